/* SPDX-License-Identifier: MIT */

/* A password from a terminal or a pipe. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "auth/passwd.h"
#include "proto/secret.h"

/* What ends us while the terminal shows nothing: it is set back first. */
static void ending_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGQUIT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGTSTP); /* a stopped one would leave the terminal mute; it ends, too */
}

/* One line without its end, from fd; also the last without one. False with errno, 0: too long. */
static bool passwd_read_line(int fd, int signals, char *out, size_t size, int *signal)
{
    struct pollfd watched[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    size_t len = 0;

    for (;;) {
        char c;

        if (poll(watched, signals >= 0 ? 2 : 1, -1) < 0)
            return false;
        if (signals >= 0 && watched[1].revents != 0 && read(signals, &info, sizeof info) > 0) {
            *signal = (int)info.ssi_signo;
            errno = EINTR;
            return false;
        }
        ssize_t n = read(fd, &c, 1);
        if (n < 0)
            return false;
        if (n == 0 || c == '\n')
            break;
        if (len + 1 >= size) {
            errno = 0;
            return false;
        }
        out[len++] = c;
    }
    if (len > 0 && out[len - 1] == '\r')
        len--;
    out[len] = '\0';
    errno = 0;
    return memchr(out, '\0', len) == NULL;
}

static bool passwd_ask(const char *prompt, int signals, char *out, size_t size, int *signal)
{
    bool ok;

    fputs(prompt, stderr);
    ok = passwd_read_line(STDIN_FILENO, signals, out, size, signal);
    fputc('\n', stderr);
    return ok;
}

static const char *ask_twice(int signals, char *out, size_t size, int *signal)
{
    char again[1024];
    const char *wrong = NULL;

    if (size > sizeof again)
        size = sizeof again;
    if (!passwd_ask("Password: ", signals, out, size, signal) ||
        !passwd_ask("Again: ", signals, again, size, signal))
        wrong = errno != 0 ? strerror(errno) : "the password is too long, or no text";
    else if (strcmp(out, again) != 0)
        wrong = "the two are not the same";
    explicit_bzero(again, sizeof again);
    return wrong;
}

static const char *from_terminal(char *out, size_t size)
{
    struct termios before, mute;
    sigset_t set, old;
    int signals, signal = 0;
    const char *wrong;

    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return strerror(errno);
    ending_signals(&set);
    (void)sigprocmask(SIG_BLOCK, &set, &old);
    signals = signalfd(-1, &set, SFD_CLOEXEC);
    mute = before;
    mute.c_lflag &= ~(tcflag_t)ECHO;
    if (signals < 0 || tcsetattr(STDIN_FILENO, TCSAFLUSH, &mute) < 0) {
        wrong = strerror(errno);
    } else {
        wrong = ask_twice(signals, out, size, &signal);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    }
    if (signals >= 0)
        close(signals);
    if (signal == SIGTSTP)
        signal = SIGINT;
    if (signal != 0)
        (void)raise(signal); /* as it was meant, now that the terminal is as it was */
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    return wrong;
}

static const char *from_pipe(char *out, size_t size)
{
    int ignored;
    char more;

    if (!passwd_read_line(STDIN_FILENO, -1, out, size, &ignored))
        return errno != 0 ? strerror(errno) : "the password is too long, or no text";
    return read(STDIN_FILENO, &more, 1) > 0 ? "the password is one line, and more follows" : NULL;
}

bool passwd_read(char *out, size_t size, const char **wrong)
{
    *wrong = isatty(STDIN_FILENO) ? from_terminal(out, size) : from_pipe(out, size);
    if (*wrong == NULL && out[0] == '\0')
        *wrong = "an empty password lets everybody in";
    for (const char *p = out; *wrong == NULL && *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *wrong = "a control character stands in the password, which no browser sends";
    }
    return *wrong == NULL;
}
