/* SPDX-License-Identifier: MIT */

/* Bytes as they are: plain sockets and pipes. */
#include <sys/socket.h>
#include <unistd.h>

#include "io/io.h"

static ssize_t socket_read(struct io *io, void *p, size_t n)
{
    return recv(io_fd(io), p, n, 0);
}

static ssize_t socket_write(struct io *io, const void *p, size_t n)
{
    return send(io_fd(io), p, n, MSG_NOSIGNAL);
}

static int socket_shutdown(struct io *io)
{
    return shutdown(io_fd(io), SHUT_WR);
}

static ssize_t pipe_read(struct io *io, void *p, size_t n)
{
    return read(io_fd(io), p, n);
}

/* SIGPIPE is ignored by the server from its start. */
static ssize_t pipe_write(struct io *io, const void *p, size_t n)
{
    return write(io_write_fd(io), p, n);
}

/* A pipe ends by being closed, which io does itself. */
static int pipe_shutdown(struct io *io)
{
    (void)io;
    return 0;
}

static const struct io_transport socket_transport = {
    .two_way = true,
    .read = socket_read,
    .write = socket_write,
    .shutdown = socket_shutdown,
};

static const struct io_transport pipe_transport = {
    .read = pipe_read,
    .write = pipe_write,
    .shutdown = pipe_shutdown,
};

const struct io_link io_raw_socket = {&socket_transport};
const struct io_link io_raw_pipe = {&pipe_transport};
