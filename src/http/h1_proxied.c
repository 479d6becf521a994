/* SPDX-License-Identifier: MIT */

/*
 * A PROXY header before everything else, as a transport that stands before the real one: it reads
 * the header and nothing more, then puts the real transport in its place.
 */
#include <errno.h>
#include <sys/socket.h>

#include "core/config.h"
#include "core/core.h"
#include "http/h1.h"
#include "proto/proxyhdr.h"

static void h1_refuse_proxied(struct h1 *h, const char *why)
{
    char client[ADDR_TEXT_MAX];

    log_line(&h->stream.worker->log, LOG_INFO, "connection refused",
             LOG_C("client", addr_format(&h->asker->client, client)), LOG_C("reason", why));
}

/* Takes what was peeked out of the socket: `keep` of it belongs to the header, all or its end. */
static int h1_take_proxied(struct h1 *h, const uint8_t *keep, size_t n)
{
    uint8_t gone[PROXYHDR_MAX];

    (void)!recv(io_fd(&h->io), gone, n, 0); /* there, as we have seen */
    return keep != NULL ? buf_append(&h->asker->proxied, keep, n) : 0;
}

/* Takes the header alone out of the socket: what follows may be TLS, which is not ours to read. A
 * header's part is taken too: left there it would wake us for ever, behind a FIN or on a Unix
 * socket even with SO_RCVLOWAT. */
static ssize_t h1_read_proxied(struct io *io, void *p, size_t n)
{
    struct h1 *h = h1_of_io(io);
    struct h1_asker *a = h->asker;
    struct proxyhdr hdr;
    size_t had = buf_len(&a->proxied);
    uint8_t *fresh = (uint8_t *)p + had;
    ssize_t got = recv(io_fd(io), fresh, PROXYHDR_MAX - had, MSG_PEEK);

    if (got <= 0)
        return got;
    if (had > 0)
        memcpy(p, buf_data(&a->proxied), had);
    switch (proxyhdr_parse(p, had + (size_t)got, &hdr)) {
    case PROXYHDR_MORE:
        errno = h1_take_proxied(h, fresh, (size_t)got) < 0 ? ENOMEM : EAGAIN;
        return -1;
    case PROXYHDR_BAD:
        h1_refuse_proxied(h, "no valid PROXY header");
        errno = EPROTO;
        return -1;
    case PROXYHDR_DONE:
        break;
    }
    if (hdr.source.sa.sa_family != AF_UNSPEC)
        a->client = hdr.source;
    else
        a->unnamed = !hdr.is_local;
    a->secure = hdr.tls;
    if (hdr.source.sa.sa_family != AF_UNSPEC && !h1_admission_proxied(h)) {
        errno = EPROTO;
        return -1;
    }
    h1_wait(h);
    (void)h1_take_proxied(h, NULL, hdr.length - had);
    buf_release(&a->proxied);
    if (proxyhdr_is_rich(&hdr) && buf_append(&a->proxied, p, hdr.length) < 0) {
        errno = ENOMEM;
        return -1;
    }
    io->link = a->behind;
    return io->link->transport->read(io, p, n);
}

/* Nothing is answered before we know to whom. */
static ssize_t h1_write_proxied(struct io *io, const void *p, size_t n)
{
    (void)io;
    (void)p;
    (void)n;
    errno = EPIPE;
    return -1;
}

static int h1_shutdown_proxied(struct io *io)
{
    return shutdown(io_fd(io), SHUT_WR);
}

static void h1_release_proxied(struct io *io)
{
    io->link = h1_of_io(io)->asker->behind;
    if (io->link->transport->release != NULL)
        io->link->transport->release(io);
}

static const struct io_transport proxied_transport = {
    .two_way = true,
    .read = h1_read_proxied,
    .write = h1_write_proxied,
    .shutdown = h1_shutdown_proxied,
    .release = h1_release_proxied,
};

static const struct io_link h1_proxied = {&proxied_transport};

bool h1_expect_proxied(struct h1 *h)
{
    const struct config *c = core_of(h->stream.worker)->config;

    if (!cidr_any_has(c->trusted, c->trusted_texts.count, &h->asker->client)) {
        h1_refuse_proxied(h, "not one of the trusted proxies");
        return false;
    }
    h->asker->behind = h->io.link;
    h->io.link = &h1_proxied;
    return true;
}
