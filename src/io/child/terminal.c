/* SPDX-License-Identifier: MIT */
#include "io/child/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define TERMINAL_MUCH 1024  /* bytes of one call that promise more */
#define TERMINAL_READ 32768 /* bytes of one turn, about */

/* A new terminal begins with the kernel's usual modes; these are changes. */
static int set_modes(int slave, enum terminal_mode mode)
{
    struct termios t;

    if (tcgetattr(slave, &t) != 0)
        return -1;
    if (mode == TERMINAL_OUTPUT)
        cfmakeraw(&t);
    else
        t.c_iflag |= IUTF8; /* erasing takes a whole character */
    return tcsetattr(slave, TCSANOW, &t);
}

int terminal_open(enum terminal_mode mode, const struct terminal_size *size, int *master,
                  int *slave)
{
    const struct winsize window = {.ws_col = size->columns, .ws_row = size->rows};
    int unlock = 0;

    *slave = -1;
    *master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (*master < 0)
        return -1;
    /* Without its path, which in another mount namespace could be somebody else's terminal. */
    if (ioctl(*master, TIOCSPTLCK, &unlock) == 0)
        *slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*slave >= 0 && set_modes(*slave, mode) == 0 && ioctl(*slave, TIOCSWINSZ, &window) == 0)
        return 0;
    int saved = errno;

    if (*slave >= 0)
        close(*slave);
    close(*master);
    *master = *slave = -1;
    errno = saved;
    return -1;
}

void terminal_resize(int master, const struct terminal_size *size)
{
    const struct winsize window = {.ws_col = size->columns, .ws_row = size->rows};

    (void)ioctl(master, TIOCSWINSZ, &window); /* a valid terminal: cannot fail */
}

int terminal_eof_byte(int master)
{
    struct termios t;

    if (tcgetattr(master, &t) != 0 || !(t.c_lflag & ICANON) || t.c_cc[VEOF] == _POSIX_VDISABLE)
        return -1;
    return t.c_cc[VEOF];
}

pid_t terminal_hang_up(int master)
{
    pid_t group = tcgetpgrp(master);

    if (group <= 1 || kill(-group, SIGHUP) != 0) /* it is gone, or another user's */
        return 0;
    (void)kill(-group, SIGCONT);
    return group;
}

static short events(int master)
{
    struct pollfd fd = {.fd = master, .events = POLLIN};

    return poll(&fd, 1, 0) > 0 ? fd.revents : 0;
}

bool terminal_is_away(int master)
{
    return (events(master) & POLLHUP) != 0;
}

bool terminal_has_output(int master)
{
    return (events(master) & POLLIN) != 0;
}

/* A terminal gives 4 KiB at most in one call. Where it gives much there is more, nearly always, and
 * a larger frame is cheaper than several; a typed character costs no second call. EIO: nobody holds
 * the slave, the end, unless it may return. */
static ssize_t terminal_read(struct io *io, void *p, size_t n)
{
    size_t have = 0;
    ssize_t got;

    do {
        got = read(io_fd(io), (uint8_t *)p + have, n - have);
        have += got > 0 ? (size_t)got : 0;
    } while (got >= TERMINAL_MUCH && n - have >= TERMINAL_MUCH && have < TERMINAL_READ);
    if (have > 0)
        return (ssize_t)have;
    return got < 0 && errno == EIO && !io->may_return ? 0 : got;
}

static bool is_away(const struct io *io)
{
    return terminal_is_away(io_fd(io));
}

/* A full terminal that was hung up for good is full for ever, but epoll would call us again and
 * again. */
static ssize_t terminal_write(struct io *io, const void *p, size_t n)
{
    ssize_t taken = write(io_write_fd(io), p, n);

    if (taken < 0 && errno == EAGAIN && !io->may_return)
        errno = terminal_is_away(io_write_fd(io)) ? EIO : EAGAIN;
    return taken;
}

/* A terminal has no half to shut; a pipe is closed by io. */
static int terminal_shutdown(struct io *io)
{
    (void)io;
    return 0;
}

static const struct io_transport both_ways = {
    .two_way = true,
    .read = terminal_read,
    .write = terminal_write,
    .shutdown = terminal_shutdown,
    .is_away = is_away,
};

static const struct io_transport output = {
    .read = terminal_read,
    .write = terminal_write,
    .shutdown = terminal_shutdown,
    .is_away = is_away,
};

const struct io_link terminal_link = {&both_ways};
const struct io_link terminal_output_link = {&output};
