/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "conf/cli.h"
#include "server.h"
#include "tables.h"
#include "version.h"

#define EXIT_USAGE 2

/* Everything stands on the command line, which cannot change. */
static struct config *load_again(void *arg, void (*tell)(void *tell_arg, const char *line),
                                 void *tell_arg)
{
    (void)arg;
    tell(tell_arg, "there is no configuration file to read again");
    return NULL;
}

int main(int argc, char **argv)
{
    const struct conf_kinds kinds = {backends, framings};
    struct command_line cli;
    char error[CLI_ERROR_MAX] = "out of memory";
    struct config *c = config_new();

    if (c == NULL || !cli_parse(argc, argv, c, &cli, &kinds, error)) {
        fprintf(stderr, "wsluice: %s\n", error);
        if (c != NULL)
            config_release(c);
        return EXIT_USAGE;
    }
    if (cli.help || cli.version) {
        if (cli.help)
            cli_print_help();
        else
            version_print();
        config_release(c);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    const struct server_loader loader = {.load = load_again, .argv = argv};

    return server_run(c, &loader);
}
