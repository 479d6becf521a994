/* SPDX-License-Identifier: MIT */
#include "io/tls/io_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"

#define HANDSHAKES_A_TURN 8
#define RECORD 16384 /* bytes of the largest TLS record (RFC 8446, section 5.1) */

/* What a peer may ask of TLS itself, in so many seconds: new keys, renegotiation. */
#define BUSY_WINDOW 60.0
#define BUSY_MAX 32

struct tls_conn {
    struct io_link link; /* what the io points to */
    SSL *ssl;
    struct tlsctx *ctx; /* of a server; NULL: we are the client */
    double busy_since;
    unsigned busy;
    bool cut;
    bool over; /* the read after the last one has an end or a failure to tell */
};

static struct tls_conn *conn_of(const struct io *io)
{
    return (struct tls_conn *)(uintptr_t)io->link;
}

/* A browser pointed at the wrong scheme should read why. The bytes go out plain, beside OpenSSL. */
static void answer_plain_http(const struct io *io)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 62\r\nConnection: close\r\n\r\n"
        "400 Bad Request: this port speaks TLS; use https:// or wss://\n";

    (void)send(io_fd(io), answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void log_peer(const struct io *io, enum log_level level, const char *msg, const char *why)
{
    const char *who = conn_of(io)->ctx != NULL ? "client" : "backend";
    union addr peer = {0};
    socklen_t len = sizeof peer;
    char text[ADDR_TEXT_MAX];

    (void)getpeername(io_fd(io), &peer.sa, &len);
    log_line(&io_worker(io)->log, level, msg, LOG_C(who, addr_format(&peer, text)),
             LOG_C("reason", why));
}

/* Anybody can make a handshake fail, so these lines are for who looks for them; but not that a
 * client was kept out for its certificate. */
static void log_failure(const struct io *io, unsigned long code)
{
    const char *reason = ERR_reason_error_string(code);
    long verdict = SSL_get_verify_result(conn_of(io)->ssl);
    bool refused =
        verdict != X509_V_OK || ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;

    if (verdict != X509_V_OK)
        reason = X509_verify_cert_error_string(verdict);
    log_peer(io, refused ? LOG_INFO : LOG_DEBUG, "TLS handshake failed",
             reason != NULL ? reason : "protocol error");
}

/* What a call that did not get through means to io: -1 with errno, or 0 for the end. */
static ssize_t translate(struct io *io, int rc)
{
    const struct tls_conn *c = conn_of(io);
    int saved = errno;
    int why = SSL_get_error(c->ssl, rc);
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
        if (c->ctx != NULL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
            answer_plain_http(io);
        else if (c->ctx != NULL && !SSL_is_init_finished(c->ssl))
            log_failure(io, code);
        else if (c->ctx == NULL && ERR_reason_error_string(code) != NULL)
            log_peer(io, LOG_WARN, "TLS failed", ERR_reason_error_string(code));
        errno = EPROTO;
        return -1;
    }
}

/* SSL_get_error looks at the queue, so it has to be empty before a call, which it nearly always is:
 * clearing it nevertheless costs more than a tenth of a small record. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

bool io_tls_may_shake(struct worker *w)
{
    return w->handshakes++ < HANDSHAKES_A_TURN;
}

/* All that is there, record by record. */
static ssize_t tls_read(struct io *io, void *p, size_t n)
{
    struct tls_conn *c = conn_of(io);
    uint8_t *at = p;
    size_t done = 0, got;

    if (SSL_in_init(c->ssl) && !io_tls_may_shake(io_worker(io))) {
        errno = EAGAIN;
        return -1;
    }
    while (done < n) {
        forget_errors();
        errno = 0;
        int rc = SSL_read_ex(c->ssl, at + done, n - done, &got);

        if (rc != 1 && done == 0 && !c->cut)
            return translate(io, rc);
        if (rc != 1 || c->cut) {
            c->over = SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ;
            break;
        }
        done += got;
        if (got < RECORD && SSL_has_pending(c->ssl) == 0)
            break; /* the socket was empty a moment ago: spares the read that would say so */
    }
    if (!c->cut)
        return (ssize_t)done;
    ERR_clear_error();
    errno = EPROTO;
    return -1;
}

/* As many records as the kernel takes; io queues the rest. */
static ssize_t tls_write(struct io *io, const void *p, size_t n)
{
    SSL *ssl = conn_of(io)->ssl;
    const char *at = p;
    size_t done = 0;

    while (done < n) {
        size_t put = 0, piece = n - done < RECORD ? n - done : RECORD;

        forget_errors();
        errno = 0;
        int rc = SSL_write_ex(ssl, at + done, piece, &put);
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
    SSL *ssl = conn_of(io)->ssl;

    ERR_clear_error();
    if (!SSL_in_init(ssl))
        (void)SSL_shutdown(ssl); /* our close_notify; the peer's is not waited for */
    ERR_clear_error();
    return shutdown(io_fd(io), SHUT_WR);
}

/* epoll knows nothing of what lies inside OpenSSL, which may be the end: a close_notify behind
 * which the peer waits for ours. */
static bool tls_pending(const struct io *io)
{
    const struct tls_conn *c = conn_of(io);

    return c->over || SSL_has_pending(c->ssl) == 1;
}

static void tls_release(struct io *io)
{
    struct tls_conn *c = conn_of(io);

    io->link = &io_raw_socket;
    SSL_free(c->ssl);
    tlsctx_release(c->ctx);
    free(c);
}

static const struct io_transport tls_transport = {
    .two_way = true,
    .read = tls_read,
    .write = tls_write,
    .shutdown = tls_shutdown,
    .pending = tls_pending,
    .release = tls_release,
};

/*
 * Called by OpenSSL for every message of TLS's own. A KeyUpdate costs us a key derivation and an
 * answer, a renegotiation (TLS 1.2) the alert that refuses it, and either costs the peer nothing.
 * Shutting the socket down ends OpenSSL's own loop over such messages, too.
 */
static void io_tls_on_message(int sent, int version, int type, const void *message, size_t len,
                              SSL *ssl, void *arg)
{
    const unsigned char *p = message;
    struct io *io = arg;
    struct tls_conn *c = conn_of(io);
    (void)version;
    (void)ssl;

    if (!(sent ? type == SSL3_RT_ALERT && len == 2 && p[1] == SSL_AD_NO_RENEGOTIATION
               : type == SSL3_RT_HANDSHAKE && len > 0 && p[0] == SSL3_MT_KEY_UPDATE))
        return;
    if (io_worker(io)->now - c->busy_since >= BUSY_WINDOW) {
        c->busy_since = io_worker(io)->now;
        c->busy = 0;
    }
    if (++c->busy <= BUSY_MAX || c->cut)
        return;
    c->cut = true;
    log_peer(io, LOG_WARN, "TLS connection cut", "too many key updates or renegotiations");
    (void)shutdown(io_fd(io), SHUT_RDWR); /* the kernel answers what follows by itself */
}

static int io_tls_begin(struct io *io, SSL *ssl, struct tlsctx *t)
{
    struct tls_conn *c = calloc(1, sizeof *c);

    if (c == NULL || ssl == NULL) {
        SSL_free(ssl);
        free(c);
        return -1;
    }
    c->link.transport = &tls_transport;
    c->ssl = ssl;
    c->ctx = t != NULL ? tlsctx_retain(t) : NULL;
    c->busy_since = io_worker(io)->now;
    io->link = &c->link;
    SSL_set_msg_callback(ssl, io_tls_on_message);
    SSL_set_msg_callback_arg(ssl, io);
    return 0;
}

int io_tls_accept(struct io *io, struct tlsctx *t)
{
    return io_tls_begin(io, tlsctx_connection(t, io_fd(io)), t);
}

int io_tls_adopt(struct io *io, struct ssl_st *ssl)
{
    return io_tls_begin(io, ssl, NULL);
}

/* ---- who the client is ---- */

/* As of RFC 4514, in UTF-8, control bytes escaped. NULL without memory. */
static char *subject_of(X509 *cert)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *data, *text = NULL;

    if (out != NULL &&
        X509_NAME_print_ex(out, X509_get_subject_name(cert), 0,
                           XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0 &&
        BIO_write(out, "", 1) == 1) {
        (void)BIO_get_mem_data(out, &data);
        text = strdup(data);
    }
    BIO_free(out);
    return text;
}

/* The last one, as the most specific; "" where there is none, or it holds control bytes. Free it.
 * NULL without memory. */
static char *common_name_of(X509 *cert)
{
    const X509_NAME *name = X509_get_subject_name(cert);
    unsigned char *utf8 = NULL;
    char *text = NULL;
    int at = -1, last = -1, n;

    while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
        last = at;
    if (last < 0)
        return strdup("");
    n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
    for (int i = 0; i < n; i++) {
        if (utf8[i] < 0x20 || utf8[i] == 0x7f)
            n = 0;
    }
    if (n >= 0)
        text = strndup((const char *)utf8, (size_t)n);
    OPENSSL_free(utf8);
    return text;
}

static bool is_tls(const struct io *io)
{
    return io->link->transport == &tls_transport;
}

const char *io_tls_version(const struct io *io)
{
    return is_tls(io) ? SSL_get_version(conn_of(io)->ssl) : "";
}

char *io_tls_client(const struct io *io)
{
    SSL *ssl = is_tls(io) ? conn_of(io)->ssl : NULL;
    char *subject = NULL, *name = NULL, *all = NULL;
    const char *failure = "";
    long verdict;
    X509 *cert;
    int n;

    errno = 0;
    if (ssl == NULL || (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0)
        return NULL;
    cert = SSL_get0_peer_certificate(ssl);
    verdict = SSL_get_verify_result(ssl);
    if (cert != NULL && verdict != X509_V_OK)
        failure = X509_verify_cert_error_string(verdict);
    else if (cert != NULL &&
             ((subject = subject_of(cert)) == NULL || (name = common_name_of(cert)) == NULL))
        goto end;
    n = asprintf(&all, "%s%s%c%s%c%s",
                 cert == NULL           ? "NONE"
                 : verdict != X509_V_OK ? "FAILED:"
                                        : "SUCCESS",
                 failure, '\0', subject != NULL ? subject : "", '\0', name != NULL ? name : "");
    all = n < 0 ? NULL : all;
end:
    free(subject);
    free(name);
    errno = all == NULL ? ENOMEM : 0;
    return all;
}
