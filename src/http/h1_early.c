/* SPDX-License-Identifier: MIT */

/*
 * What a client sent right behind the head of its request: its first frames. They were read with
 * the head, before anybody could take them. Now they are read again, from the loop and as bytes
 * that just came, by a transport that stands before the real one until they are used up. So no data
 * is told from inside the call that sends the 101, and a reader that has stopped gets none of it.
 *
 * The transport is the io's, and a part of the request: both go when the last byte was read, or
 * when the io is closed before.
 */
#include <string.h>

#include "http/h1.h"

static struct h1_request *h1_early_of(const struct io *io)
{
    return (struct h1_request *)((uintptr_t)io->link - offsetof(struct h1_request, early));
}

static ssize_t h1_early_read(struct io *io, void *p, size_t n)
{
    struct h1_request *req = h1_early_of(io);

    if (n > buf_len(&req->bytes))
        n = buf_len(&req->bytes);
    memcpy(p, buf_data(&req->bytes), n);
    buf_consume(&req->bytes, n);
    if (buf_len(&req->bytes) == 0) {
        io->link = req->behind;
        h1_request_free(req);
    }
    return (ssize_t)n;
}

static ssize_t h1_early_write(struct io *io, const void *p, size_t n)
{
    struct h1_request *req = h1_early_of(io);
    ssize_t sent;

    io->link = req->behind; /* the real one finds itself by it */
    sent = io->link->transport->write(io, p, n);
    io->link = &req->early;
    return sent;
}

static int h1_early_shutdown(struct io *io)
{
    struct h1_request *req = h1_early_of(io);
    int result;

    io->link = req->behind;
    result = io->link->transport->shutdown(io);
    io->link = &req->early;
    return result;
}

static bool h1_early_pending(const struct io *io)
{
    (void)io;
    return true;
}

static void h1_early_release(struct io *io)
{
    struct h1_request *req = h1_early_of(io);

    io->link = req->behind;
    h1_request_free(req);
    if (io->link->transport->release != NULL)
        io->link->transport->release(io);
}

static const struct io_transport early_transport = {
    .two_way = true,
    .read = h1_early_read,
    .write = h1_early_write,
    .shutdown = h1_early_shutdown,
    .pending = h1_early_pending,
    .release = h1_early_release,
};

void h1_replay(struct h1 *h, struct h1_request *req)
{
    if (buf_len(&req->bytes) == req->parser.length) {
        h1_request_free(req);
        return;
    }
    explicit_bzero(buf_data(&req->bytes), req->parser.length); /* it may hold passwords */
    buf_consume(&req->bytes, req->parser.length);
    req->early.transport = &early_transport;
    req->behind = h->io.link;
    h->io.link = &req->early;
}
