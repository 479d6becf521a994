/* SPDX-License-Identifier: MIT */
#include "base/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double ask_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The other process. It has copies of all our descriptors: what we close meanwhile has to close. */
__attribute__((noreturn)) static void answer_it(int fd,
                                                void (*question)(const void *arg, void *answer),
                                                const void *arg, uint8_t *answer, size_t size)
{
    size_t done = 0;
    ssize_t n = 0;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)syscall(SYS_close_range, (unsigned)fd + 1, ~0U, 0U);
    if (fd > STDERR_FILENO + 1)
        (void)syscall(SYS_close_range, (unsigned)STDERR_FILENO + 1, (unsigned)fd - 1, 0U);
    question(arg, answer);
    while (done < size && (n = write(fd, answer + done, size - done)) > 0)
        done += (size_t)n;
    _exit(n < 0);
}

/* What comes until the time is over. False with errno. */
static bool read_all(struct ask_limit *a, int fd, uint8_t *answer, size_t size)
{
    double until = ask_clock() + a->left;
    size_t have = 0;

    while (have < size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        a->left = until - ask_clock();
        if (a->left <= 0 || poll(&p, 1, (int)(a->left * 1000) + 1) == 0) {
            a->left = 0;
            errno = ETIMEDOUT;
            return false;
        }
        ssize_t n = read(fd, answer + have, size - have);

        if (n == 0)
            errno = ECHILD; /* it died */
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        have += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool ask_within(struct ask_limit *a, void (*question)(const void *arg, void *answer),
                const void *arg, void *answer, size_t size)
{
    int ends[2];
    pid_t pid;

    memset(answer, 0, size);
    if (a == NULL || !a->is_limited) {
        question(arg, answer);
        return true;
    }
    if (a->left <= 0)
        errno = ETIMEDOUT;
    if (a->left <= 0 || pipe2(ends, O_CLOEXEC) < 0)
        return false;
    pid = fork();
    if (pid == 0)
        answer_it(ends[1], question, arg, answer, size);
    int err = errno;
    close(ends[1]);
    bool ok = pid > 0 && read_all(a, ends[0], answer, size);
    if (pid > 0)
        err = errno;
    close(ends[0]);
    if (pid > 0) {
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    errno = err;
    return ok;
}

const char *ask_error(int err)
{
    return err == ETIMEDOUT ? "no answer within a second, and sessions do not wait longer; reload "
                              "once it answers, or restart"
                            : strerror(err);
}
