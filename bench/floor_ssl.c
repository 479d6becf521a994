/* SPDX-License-Identifier: MIT */

/*
 * Floor: TLS echo. epoll, SSL_read, SSL_write: what TLS itself costs. It says close_notify at the
 * end, sends session tickets as OpenSSL does by default, and holds no buffers for idle connections.
 *
 *   floor_ssl CERTIFICATE KEY [PORT]
 */
#include "floor.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 256
#define RECORD 16384 /* the most a TLS record carries */

struct conn {
    SSL *ssl;
    int fd;
    int left;      /* bytes of the record still to write again, as OpenSSL demands it */
    uint8_t *kept; /* owned; those bytes */
};

struct server {
    SSL_CTX *tls;
    int epoll;
    int listener;
    uint8_t buffer[RECORD];
};

static _Noreturn void die_tls(const char *what)
{
    fprintf(stderr, "floor_ssl: %s: %s\n", what, ERR_error_string(ERR_get_error(), NULL));
    exit(1);
}

static SSL_CTX *make_tls(const char *cert, const char *key)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    if (tls == NULL || SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        die_tls("certificate");
    (void)SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF); /* tickets, as by default */
    SSL_CTX_set_read_ahead(tls, 1);
    return tls;
}

static void watch(const struct server *s, struct conn *c, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    if (epoll_ctl(s->epoll, op, c != NULL ? c->fd : s->listener, &ev) < 0)
        floor_die("epoll_ctl");
}

static void drop(struct conn *c)
{
    if (!SSL_in_init(c->ssl))
        (void)SSL_shutdown(c->ssl); /* says so, waits for nothing */
    SSL_free(c->ssl);
    (void)close(c->fd);
    free(c->kept);
    free(c);
    ERR_clear_error();
}

static void accept_all(const struct server *s)
{
    int fd;

    while ((fd = floor_accept(s->listener, true)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);

        if (c == NULL || (c->ssl = SSL_new(s->tls)) == NULL || SSL_set_fd(c->ssl, fd) != 1)
            die_tls("SSL_new");
        c->fd = fd;
        SSL_set_accept_state(c->ssl);
        watch(s, c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* What OpenSSL waits for; false: the connection is over. */
static bool wait_for(const struct server *s, struct conn *c, int result)
{
    int error = SSL_get_error(c->ssl, result);

    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        return false;
    watch(s, c, EPOLL_CTL_MOD, error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
    return true;
}

/* False: the connection is over, or something is kept for later (then it is watched for). */
static bool write_record(struct server *s, struct conn *c, const uint8_t *p, int n, bool *alive)
{
    int r = SSL_write(c->ssl, p, n);

    if (r > 0)
        return true;
    *alive = wait_for(s, c, r);
    if (*alive && c->kept == NULL) {
        c->kept = malloc((size_t)n);
        if (c->kept == NULL)
            floor_die("malloc");
        for (int i = 0; i < n; i++)
            c->kept[i] = p[i];
        c->left = n;
    }
    return false;
}

static bool serve(struct server *s, struct conn *c)
{
    bool alive = true;
    int n;

    if (c->kept != NULL) {
        if (!write_record(s, c, c->kept, c->left, &alive))
            return alive;
        free(c->kept);
        c->kept = NULL;
        watch(s, c, EPOLL_CTL_MOD, EPOLLIN);
    }
    while ((n = SSL_read(c->ssl, s->buffer, RECORD)) > 0) {
        if (!write_record(s, c, s->buffer, n, &alive))
            return alive;
        if (SSL_has_pending(c->ssl) == 0)
            return true; /* the socket is empty, or epoll tells */
    }
    return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ || wait_for(s, c, n);
}

static void loop(struct server *s)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int n = epoll_wait(s->epoll, events, EVENTS, -1);

        if (n < 0 && errno != EINTR)
            floor_die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(s);
            else if (!serve(s, events[i].data.ptr))
                drop(events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    struct server *s = calloc(1, sizeof *s);

    if (s == NULL)
        floor_die("calloc");
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "Usage: floor_ssl CERTIFICATE KEY [PORT]\n");
        return 2;
    }
    s->tls = make_tls(argv[1], argv[2]);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->listener = floor_listen(argc > 3 ? floor_number(argv[3], 0, 65535) : 0, true);
    watch(s, NULL, EPOLL_CTL_ADD, EPOLLIN);
    loop(s);
}
