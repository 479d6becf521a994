/* SPDX-License-Identifier: MIT */
#include "io/io_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#define HANDSHAKES_A_TURN 8
#define RECORD 16384 /* bytes of the largest TLS record (RFC 8446, section 5.1) */

/* A browser pointed at the wrong scheme should read why. The bytes go out plain, beside OpenSSL. */
static void answer_plain_http(const struct io *io)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 62\r\nConnection: close\r\n\r\n"
        "400 Bad Request: this port speaks TLS; use https:// or wss://\n";

    (void)send(io->wfd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What a call that did not get through means to io: -1 with errno, or 0 for the end. */
static ssize_t translate(struct io *io, int rc)
{
    int saved = errno;
    int why = SSL_get_error(io->tls, rc);
    unsigned long code = ERR_peek_error();

    ERR_clear_error();
    switch (why) {
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        io->tls_wants_write = true;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        errno = saved != 0 ? saved : ECONNRESET;
        return -1;
    default:
        if (ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
            answer_plain_http(io);
        errno = EPROTO;
        return -1;
    }
}

/*
 * All that is there, record by record. A handshake costs as much as hundreds of messages, so only a
 * few begin in one turn: the others' bytes stay in their sockets, of which epoll tells again.
 */
static ssize_t tls_read(struct io *io, void *p, size_t n)
{
    uint8_t *at = p;
    size_t done = 0, got;

    if (SSL_in_init(io->tls) && io->worker->handshakes++ >= HANDSHAKES_A_TURN) {
        errno = EAGAIN;
        return -1;
    }
    while (done < n) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_read_ex(io->tls, at + done, n - done, &got);

        if (rc != 1 && done == 0)
            return translate(io, rc);
        if (rc != 1)
            break; /* what is wrong, if anything is, shows again at the next read */
        done += got;
    }
    return (ssize_t)done;
}

/* As many records as the kernel takes; io queues the rest. */
static ssize_t tls_write(struct io *io, const void *p, size_t n)
{
    const char *at = p;
    size_t done = 0;

    while (done < n) {
        size_t put = 0, piece = n - done < RECORD ? n - done : RECORD;

        ERR_clear_error();
        errno = 0;
        int rc = SSL_write_ex(io->tls, at + done, piece, &put);
        if (rc != 1) {
            ssize_t result = translate(io, rc);

            if (done > 0)
                break;
            return result == 0 ? (errno = EPIPE, -1) : result;
        }
        done += put;
    }
    return (ssize_t)done;
}

static int tls_shutdown(struct io *io)
{
    ERR_clear_error();
    if (!SSL_in_init(io->tls))
        (void)SSL_shutdown(io->tls); /* our close_notify; the peer's is not waited for */
    ERR_clear_error();
    return shutdown(io->wfd, SHUT_WR);
}

/* epoll knows nothing of what lies inside OpenSSL. */
static bool tls_pending(const struct io *io)
{
    return SSL_has_pending(io->tls) == 1;
}

static void tls_release(struct io *io)
{
    SSL_free(io->tls);
    io->tls = NULL;
}

const struct io_transport io_tls = {
    .name = "tls",
    .is_socket = true,
    .read = tls_read,
    .write = tls_write,
    .shutdown = tls_shutdown,
    .pending = tls_pending,
    .release = tls_release,
};

int io_tls_accept(struct io *io, struct tlsctx *t)
{
    io->tls = tlsctx_connection(t);
    if (io->tls == NULL || SSL_set_fd(io->tls, io->rfd) != 1)
        return -1;
    io->transport = &io_tls;
    return 0;
}
