/* SPDX-License-Identifier: MIT */
#include "base/signal_name.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const int numbers[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2,
                              SIGTERM, SIGCONT, SIGSTOP, SIGTSTP, SIGWINCH};

int signal_of_name(struct slice name)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (slice_is(name, sigabbrev_np(numbers[i])))
            return numbers[i];
    }
    return 0;
}

const char *signal_names(char out[SIGNAL_NAMES_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        n += (size_t)snprintf(out + n, SIGNAL_NAMES_MAX - n, "%s%s", i > 0 ? " " : "",
                              sigabbrev_np(numbers[i]));
    return out;
}
