/* SPDX-License-Identifier: MIT */
#include "io/tls/tlsclient.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "io/tls/io_tls.h"
#include "io/tls/tlsfile.h"

_Static_assert(TLSCLIENT_ERROR_MAX == TLSFILE_ERROR_MAX, "the same lines");

struct tlsclient {
    SSL_CTX *ctx;
    char *name;     /* NULL: the host */
    uint64_t files; /* what they were just before they were read */
};

struct tlsclient_shake {
    struct worker *worker;
    const struct tlsclient_events *events;
    void *owner;
    SSL *ssl;
    int fd;
    ev_io ready;
    ev_timer deadline;
    double timeout;
    char name[256]; /* that is verified, for messages */
    struct reap reap;
};

/* ---- settings ---- */

#define ALPN_MAX 255 /* bytes of all names, each with its length before it */

/* "h2,postgresql" as RFC 7301, section 3.1, has it on the wire. 0: no names, or too long ones. */
static unsigned alpn_wire(const char *list, unsigned char out[ALPN_MAX])
{
    unsigned n = 0;

    for (;;) {
        size_t len = strcspn(list, ",");

        if (len == 0 || n + 1 + len > ALPN_MAX)
            return 0;
        out[n] = (unsigned char)len;
        memcpy(out + n + 1, list, len);
        n += 1 + (unsigned)len;
        if (list[len] == '\0')
            return n;
        list += len + 1;
    }
}

static bool set_alpn(struct tlsclient *c, const char *list, char error[TLSCLIENT_ERROR_MAX])
{
    unsigned char wire[ALPN_MAX];
    unsigned n = alpn_wire(list, wire);

    if (n == 0)
        return tlsfile_fail(error, list,
                            "backend-alpn: write names of protocols with commas between and no "
                            "blanks, 254 bytes in all, such as postgresql");
    if (SSL_CTX_set_alpn_protos(c->ctx, wire, n) != 0) /* 0 is success here */
        return tlsfile_fail(error, list, "out of memory");
    return true;
}

static bool tlsclient_load(struct tlsclient *c, const struct tlsclient_spec *spec,
                           char error[TLSCLIENT_ERROR_MAX])
{
    if (spec->name != NULL && (c->name = strdup(spec->name)) == NULL)
        return tlsfile_fail(error, spec->name, "out of memory");
    c->ctx = tlsfile_context(TLS_client_method());
    if (c->ctx == NULL)
        return tlsfile_fail(error, "TLS", "cannot set it up");
    if (spec->alpn != NULL && !set_alpn(c, spec->alpn, error))
        return false;
    SSL_CTX_set_verify(c->ctx, spec->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (spec->ca != NULL) {
        /* What is listed is trusted, whoever else vouches for it: a service's own certificate may
         * stand there. */
        (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c->ctx), X509_V_FLAG_PARTIAL_CHAIN);
        if (!tlsfile_load_ca(c->ctx, spec->ca, false, error))
            return false;
    } else if (spec->verify && SSL_CTX_set_default_verify_paths(c->ctx) != 1) {
        return tlsfile_fail(error, "the system's certificates of authorities", "cannot use them");
    }
    return spec->cert == NULL || tlsfile_load_pair(c->ctx, spec->cert, spec->key, error);
}

struct tlsclient *tlsclient_new(const struct tlsclient_spec *spec, char error[TLSCLIENT_ERROR_MAX])
{
    struct tlsclient *c = calloc(1, sizeof *c);

    if (c == NULL) {
        snprintf(error, TLSCLIENT_ERROR_MAX, "out of memory");
        return NULL;
    }
    (void)tlsclient_look(spec, &c->files);
    if (tlsclient_load(c, spec, error))
        return c;
    tlsclient_free(c);
    return NULL;
}

bool tlsclient_look(const struct tlsclient_spec *spec, uint64_t *files)
{
    const char *const all[] = {spec->ca, spec->cert, spec->key};

    return tlsfile_look(all, sizeof all / sizeof all[0], files);
}

uint64_t tlsclient_files(const struct tlsclient *c)
{
    return c->files;
}

void tlsclient_free(struct tlsclient *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->ctx);
    free(c->name);
    free(c);
}

/* ---- a handshake ---- */

static void shake_release(struct reap *r)
{
    free((char *)r - offsetof(struct tlsclient_shake, reap));
}

/* The watchers are gone; fd and ssl are left to whoever calls. */
static void tlsclient_end(struct tlsclient_shake *s)
{
    ev_io_stop(s->worker->loop, &s->ready);
    ev_timer_stop(s->worker->loop, &s->deadline);
    s->reap.release = shake_release;
    worker_reap(s->worker, &s->reap);
}

void tlsclient_cancel(struct tlsclient_shake *s)
{
    tlsclient_end(s);
    SSL_free(s->ssl);
    close(s->fd);
}

static void tlsclient_fail(struct tlsclient_shake *s, bool timed_out, const char *why)
{
    tlsclient_cancel(s);
    s->events->failed(s->owner, timed_out, why);
}

/* Why a handshake did not come to its end, in words. err: errno of the call. */
static void explain(const struct tlsclient_shake *s, int rc, int err, char out[512])
{
    long verdict = SSL_get_verify_result(s->ssl);
    int how = SSL_get_error(s->ssl, rc);
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
        snprintf(out, 512, "the certificate is not for %.255s; see backend-servername", s->name);
    else if (verdict != X509_V_OK && SSL_get_verify_mode(s->ssl) != SSL_VERIFY_NONE)
        snprintf(out, 512, "the certificate is not accepted: %s; see backend-ca",
                 X509_verify_cert_error_string(verdict));
    else if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
        snprintf(out, 512, "no TLS 1.2 or 1.3 is spoken there");
    else if (reason != NULL && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
        snprintf(out, 512, "TLS handshake: %s", reason);
    else if (how == SSL_ERROR_SYSCALL && err != 0)
        snprintf(out, 512, "TLS handshake: %s", strerror(err));
    else
        snprintf(out, 512, "TLS handshake: the service closed the connection");
}

static void tlsclient_watch(struct tlsclient_shake *s, int events)
{
    ev_io_stop(s->worker->loop, &s->ready);
    ev_io_modify(&s->ready, events);
    ev_io_start(s->worker->loop, &s->ready);
}

static void tlsclient_finish(struct tlsclient_shake *s)
{
    tlsclient_end(s);
    s->events->done(s->owner, s->fd, s->ssl);
}

static void tlsclient_on_ready(struct ev_loop *loop, ev_io *io, int revents)
{
    struct tlsclient_shake *s = io->data;
    char why[512];
    (void)loop;

    if (revents & EV_ERROR) { /* epoll refused it: nothing more would come of it */
        tlsclient_fail(s, false, strerror(ENOMEM));
        return;
    }
    if (!io_tls_may_shake(s->worker))
        return; /* epoll tells again */
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(s->ssl), err = errno;
    int how = SSL_get_error(s->ssl, rc);

    if (rc == 1) {
        tlsclient_finish(s);
    } else if (how == SSL_ERROR_WANT_READ || how == SSL_ERROR_WANT_WRITE) {
        tlsclient_watch(s, how == SSL_ERROR_WANT_READ ? EV_READ : EV_WRITE);
    } else {
        explain(s, rc, err, why);
        ERR_clear_error();
        tlsclient_fail(s, false, why);
    }
}

static void tlsclient_on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct tlsclient_shake *s = timer->data;
    char why[64];
    (void)loop;
    (void)revents;

    snprintf(why, sizeof why, "timed out after %.1f s, in the TLS handshake", s->timeout);
    tlsclient_fail(s, true, why);
}

/* Asks for the name and has it verified; an address is verified only (RFC 6066, section 3). */
static bool set_name(struct tlsclient_shake *s)
{
    union addr addr;
    bool ok;

    if (addr_parse_host(slice_from(s->name), 0, &addr))
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), s->name) == 1;
    else
        ok = SSL_set_tlsext_host_name(s->ssl, s->name) == 1 && SSL_set1_host(s->ssl, s->name) == 1;
    ERR_clear_error();
    return ok;
}

struct tlsclient_shake *tlsclient_start(struct worker *w, struct tlsclient *c, int fd,
                                        const char *host, double timeout, double left,
                                        const struct tlsclient_events *events, void *owner)
{
    struct tlsclient_shake *s = calloc(1, sizeof *s);

    if (s != NULL)
        snprintf(s->name, sizeof s->name, "%s", c->name != NULL ? c->name : host);
    if (s == NULL || (s->ssl = SSL_new(c->ctx)) == NULL || SSL_set_fd(s->ssl, fd) != 1 ||
        !set_name(s)) {
        if (s != NULL)
            SSL_free(s->ssl);
        free(s);
        close(fd);
        return NULL;
    }
    SSL_set_connect_state(s->ssl);
    s->worker = w;
    s->events = events;
    s->owner = owner;
    s->fd = fd;
    s->timeout = timeout;
    ev_io_init(&s->ready, tlsclient_on_ready, fd, EV_WRITE);
    ev_timer_init(&s->deadline, tlsclient_on_deadline, left > 0 ? left : 0, 0);
    s->ready.data = s->deadline.data = s;
    ev_io_start(w->loop, &s->ready);
    ev_timer_start(w->loop, &s->deadline);
    return s;
}
