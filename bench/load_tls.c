/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/*
 * One version, one cipher and one group, so that every server is given the same work. Certificates
 * are not verified: the benchmark made them a moment ago, and the pattern tells who answers.
 */
bool load_tls_init(struct load *l)
{
    char group[] = "X25519"; /* OpenSSL's macro casts const away */

    l->tls = SSL_CTX_new(TLS_client_method());
    if (l->tls == NULL || SSL_CTX_set_min_proto_version(l->tls, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(l->tls, "TLS_AES_256_GCM_SHA384") != 1 ||
        SSL_CTX_set1_groups_list(l->tls, group) != 1)
        return false;
    SSL_CTX_set_verify(l->tls, SSL_VERIFY_NONE, NULL);
    (void)SSL_CTX_set_session_cache_mode(l->tls, SSL_SESS_CACHE_OFF); /* no handshake is resumed */
    (void)SSL_CTX_set_options(l->tls, SSL_OP_IGNORE_UNEXPECTED_EOF);  /* as in plain TCP */
    (void)SSL_CTX_set_mode(l->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(l->tls, 1);
    return true;
}

void load_tls_free(struct load *l)
{
    SSL_CTX_free(l->tls);
    l->tls = NULL;
}

bool load_tls_start(struct load *l, struct load_conn *c)
{
    c->ssl = SSL_new(l->tls);
    if (c->ssl != NULL && SSL_set_fd(c->ssl, c->fd) == 1) {
        SSL_set_connect_state(c->ssl);
        return true;
    }
    load_fail(l, "TLS: no memory");
    return false;
}

/* What a result of OpenSSL's means: 0 for the end, else -1 with errno. */
static ssize_t outcome(struct load *l, const struct load_conn *c, int result)
{
    int saved = errno;
    int error = SSL_get_error(c->ssl, result);
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);

    ERR_clear_error();
    switch (error) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_SYSCALL:
        errno = saved != 0 ? saved : ECONNRESET;
        return -1;
    default:
        load_fail(l, "connection %u: TLS: %s", c->id, reason != NULL ? reason : "failed");
        errno = EPROTO;
        return -1;
    }
}

ssize_t load_tls_shake(struct load *l, struct load_conn *c)
{
    int r;

    errno = 0;
    r = SSL_do_handshake(c->ssl);
    return r == 1 ? 1 : outcome(l, c, r);
}

void load_tls_close(struct load_conn *c)
{
    (void)SSL_shutdown(c->ssl); /* our close_notify; the reads that follow see the server's */
    ERR_clear_error();
}

/* As many records as there are: the caller is told of none that lies in OpenSSL's buffer. */
ssize_t load_tls_recv(struct load *l, struct load_conn *c, uint8_t *p, size_t n)
{
    size_t have = 0;
    size_t got;

    while (have < n) {
        int r;

        errno = 0;
        r = SSL_read_ex(c->ssl, p + have, n - have, &got);
        if (r != 1) {
            ssize_t result = outcome(l, c, r);

            return have > 0 ? (ssize_t)have : result; /* an end is seen again */
        }
        have += got;
        if (!load_tls_pending(c))
            break;
    }
    return (ssize_t)have;
}

bool load_tls_pending(const struct load_conn *c)
{
    return SSL_has_pending(c->ssl) == 1;
}

ssize_t load_tls_send(struct load *l, struct load_conn *c, const uint8_t *p, size_t n)
{
    size_t sent = 0;
    size_t put;

    while (sent < n) {
        int r;

        errno = 0;
        r = SSL_write_ex(c->ssl, p + sent, n - sent, &put);
        if (r != 1) {
            ssize_t result = outcome(l, c, r);

            return sent > 0 ? (ssize_t)sent : result;
        }
        sent += put;
    }
    return (ssize_t)sent;
}

void load_tls_drop(struct load_conn *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
}
