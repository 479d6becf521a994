/* SPDX-License-Identifier: MIT */
#include "io/tlsctx.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* https://wiki.mozilla.org/Security/Server_Side_TLS, "intermediate", version 5.7 */
#define CIPHERS                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:prime256v1:secp384r1"

struct tlsctx {
    unsigned references;
    size_t count;
    SSL_CTX *ctx[]; /* the first is the default */
};

static SSL_CTX *fail(char error[TLSCTX_ERROR_MAX], SSL_CTX *ctx, const char *file, const char *why)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    snprintf(error, TLSCTX_ERROR_MAX, "%.200s: %s%s%s%s", file, why, reason != NULL ? " (" : "",
             reason != NULL ? reason : "", reason != NULL ? ")" : "");
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return NULL;
}

/* NULL, or what is wrong with the file's permissions. */
static const char *key_fault(const char *file)
{
    struct stat st;

    if (stat(file, &st) < 0)
        return strerror(errno);
    if (st.st_mode & S_IROTH)
        return "readable for everybody; run chmod o-r on it";
    return NULL;
}

static const char *validity_fault(SSL_CTX *ctx)
{
    const X509 *cert = SSL_CTX_get0_certificate(ctx);

    if (cert == NULL)
        return "no certificate in it";
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
        return "the certificate has expired; renew it";
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        return "the certificate is not valid yet; check it and the clock";
    return NULL;
}

/* HTTP/1.1 is all there is; a client that offers only others is told so by the handshake (RFC 7301,
 * section 3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;

    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_ctx(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL)
        return NULL;
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Idle connections hold no buffers; what the kernel did not take may be offered again from
     * another place. */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only */
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1 || SSL_CTX_set1_groups_list(ctx, GROUPS) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static SSL_CTX *load(const struct tlsctx_cert *c, char error[TLSCTX_ERROR_MAX])
{
    SSL_CTX *ctx = make_ctx();
    const char *wrong;

    if (ctx == NULL)
        return fail(error, NULL, c->cert, "cannot set TLS up");
    if (SSL_CTX_use_certificate_chain_file(ctx, c->cert) != 1)
        return fail(error, ctx, c->cert, "cannot read a PEM certificate from it");
    wrong = validity_fault(ctx);
    if (wrong != NULL)
        return fail(error, ctx, c->cert, wrong);
    wrong = key_fault(c->key);
    if (wrong != NULL)
        return fail(error, ctx, c->key, wrong);
    if (SSL_CTX_use_PrivateKey_file(ctx, c->key, SSL_FILETYPE_PEM) != 1)
        return fail(error, ctx, c->key, "cannot read a PEM key from it that fits the certificate");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return fail(error, ctx, c->key, "the key does not fit the certificate");
    return ctx;
}

/* The certificate for the server name the client asks for; the default one when none fits. */
static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    const struct tlsctx *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;

    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    for (size_t i = 0; i < t->count; i++) {
        if (X509_check_host(SSL_CTX_get0_certificate(t->ctx[i]), name, 0, 0, NULL) == 1) {
            (void)SSL_set_SSL_CTX(ssl, t->ctx[i]);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

struct tlsctx *tlsctx_new(const struct tlsctx_cert *certs, size_t count,
                          char error[TLSCTX_ERROR_MAX])
{
    struct tlsctx *t = calloc(1, sizeof *t + count * sizeof t->ctx[0]);

    if (t == NULL) {
        snprintf(error, TLSCTX_ERROR_MAX, "out of memory");
        return NULL;
    }
    t->references = 1;
    for (; t->count < count; t->count++) {
        t->ctx[t->count] = load(&certs[t->count], error);
        if (t->ctx[t->count] == NULL) {
            tlsctx_release(t);
            return NULL;
        }
    }
    (void)SSL_CTX_set_tlsext_servername_callback(t->ctx[0], choose_certificate);
    (void)SSL_CTX_set_tlsext_servername_arg(t->ctx[0], t);
    return t;
}

struct tlsctx *tlsctx_retain(struct tlsctx *t)
{
    t->references++;
    return t;
}

void tlsctx_release(struct tlsctx *t)
{
    if (t == NULL || --t->references > 0)
        return;
    for (size_t i = 0; i < t->count; i++)
        SSL_CTX_free(t->ctx[i]);
    free(t);
}

struct ssl_st *tlsctx_connection(struct tlsctx *t)
{
    SSL *ssl = SSL_new(t->ctx[0]);

    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return ssl;
}
