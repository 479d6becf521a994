/* SPDX-License-Identifier: MIT */
#include "io/tls/tlsctx.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/tls/staple.h"
#include "io/tls/tickets.h"
#include "io/tls/tlsbio.h"
#include "io/tls/tlsfile.h"
#include "io/worker.h"

_Static_assert(TLSCTX_ERROR_MAX == TLSFILE_ERROR_MAX, "the same lines");

struct tlsctx {
    unsigned references;
    BIO_METHOD *bio;
    struct tickets tickets;
    uint64_t files;
    size_t count;
    struct served {
        SSL_CTX *ctx;
        struct staple *staple; /* NULL: none */
    } served[];                /* the first is the default */
};

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

/* ---- tickets ---- */

static int set_up_ticket(const struct ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int enc)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[3];
    unsigned char hmac[sizeof key->hmac];
    int ok;

    memcpy(hmac, key->hmac, sizeof hmac);
    params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac, sizeof hmac);
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    params[2] = OSSL_PARAM_construct_end();
    ok = EVP_MAC_CTX_set_params(mac, params) == 1 &&
         EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, enc) == 1;
    OPENSSL_cleanse(hmac, sizeof hmac);
    return ok ? 1 : -1;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): enc says whether a ticket is closed or opened. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int enc)
{
    struct tlsctx *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct ticket_key *key;
    bool is_old = false;

    if (enc) {
        key = tickets_newest(&t->tickets, worker_clock());
        if (key == NULL || RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
            return -1;
        memcpy(name, key->name, sizeof key->name);
        return set_up_ticket(key, iv, cipher, mac, enc);
    }
    key = tickets_find(&t->tickets, name, worker_clock(), &is_old);
    if (key == NULL)
        return 0; /* a full handshake, then */
    return set_up_ticket(key, iv, cipher, mac, enc) < 0 ? -1 : is_old ? 2 : 1;
}

/* ---- certificates of clients ---- */

/* Whatever the certificate is worth, the client comes in, and what it is worth is told. */
static int verify_anything(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 1;
}

static bool ask_clients(SSL_CTX *ctx, const struct tlsctx_spec *spec, char error[TLSCTX_ERROR_MAX])
{
    if (spec->client_cert == TLSCTX_CLIENT_OFF)
        return true;
    if (!tlsfile_load_ca(ctx, spec->client_ca, true, error))
        return false;
    if (spec->client_cert == TLSCTX_CLIENT_REQUIRE)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    else
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, verify_anything);
    return true;
}

/* ---- contexts ---- */

static bool tlsctx_load(struct tlsctx *t, struct served *s, const struct tlsctx_cert *c,
                        const struct tlsctx_spec *spec, char error[TLSCTX_ERROR_MAX])
{
    /* Tickets are good here only: each tlsctx has keys of its own, so that what was verified by
     * other rules, before a reload or at another listener, is not resumed. */
    static const unsigned char id[] = "wsluice";

    s->ctx = tlsfile_context(TLS_server_method());
    if (s->ctx == NULL)
        return tlsfile_fail(error, c->cert, "cannot set TLS up");
    SSL_CTX_set_alpn_select_cb(s->ctx, choose_protocol, NULL);
    (void)SSL_CTX_set_app_data(s->ctx, t);
    (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(s->ctx, ticket_key);
    (void)SSL_CTX_set_session_id_context(s->ctx, id, sizeof id - 1);
    if (!tlsfile_load_pair(s->ctx, c->cert, c->key, error) || !ask_clients(s->ctx, spec, error))
        return false;
    if (c->ocsp == NULL)
        return true;
    s->staple = staple_load(s->ctx, c->ocsp, error);
    return s->staple != NULL;
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
        if (X509_check_host(SSL_CTX_get0_certificate(t->served[i].ctx), name, 0, 0, NULL) == 1) {
            (void)SSL_set_SSL_CTX(ssl, t->served[i].ctx);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

struct tlsctx *tlsctx_new(const struct tlsctx_spec *spec, char error[TLSCTX_ERROR_MAX])
{
    struct tlsctx *t = calloc(1, sizeof *t + spec->count * sizeof t->served[0]);

    if (t == NULL) {
        snprintf(error, TLSCTX_ERROR_MAX, "out of memory");
        return NULL;
    }
    t->references = 1;
    (void)tlsctx_look(spec, &t->files);
    t->bio = tlsbio_method();
    if (t->bio == NULL) {
        snprintf(error, TLSCTX_ERROR_MAX, "out of memory");
        tlsctx_release(t);
        return NULL;
    }
    while (t->count < spec->count) {
        size_t i = t->count++;

        if (!tlsctx_load(t, &t->served[i], &spec->certs[i], spec, error)) {
            tlsctx_release(t);
            return NULL;
        }
    }
    (void)SSL_CTX_set_tlsext_servername_callback(t->served[0].ctx, choose_certificate);
    (void)SSL_CTX_set_tlsext_servername_arg(t->served[0].ctx, t);
    return t;
}

bool tlsctx_look(const struct tlsctx_spec *spec, uint64_t *files)
{
    const char *ca[] = {spec->client_cert != TLSCTX_CLIENT_OFF ? spec->client_ca : NULL};
    uint64_t one;

    if (!tlsfile_look(ca, 1, files))
        return false;
    for (size_t i = 0; i < spec->count; i++) {
        const char *const all[] = {spec->certs[i].cert, spec->certs[i].key, spec->certs[i].ocsp};

        if (!tlsfile_look(all, sizeof all / sizeof all[0], &one))
            return false;
        *files = *files * 31 + one;
    }
    return true;
}

uint64_t tlsctx_files(const struct tlsctx *t)
{
    return t->files;
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
    for (size_t i = 0; i < t->count; i++) {
        SSL_CTX_free(t->served[i].ctx);
        staple_free(t->served[i].staple);
    }
    tickets_release(&t->tickets);
    BIO_meth_free(t->bio);
    free(t);
}

struct ssl_st *tlsctx_connection(struct tlsctx *t, int fd)
{
    SSL *ssl = SSL_new(t->served[0].ctx);

    if (ssl == NULL || !tlsbio_attach(ssl, t->bio, fd)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return ssl;
}
