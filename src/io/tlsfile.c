/* SPDX-License-Identifier: MIT */
#include "io/tlsfile.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* https://wiki.mozilla.org/Security/Server_Side_TLS, "intermediate", version 5.7 */
#define CIPHERS                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:prime256v1:secp384r1"

bool tlsfile_fail(char error[TLSFILE_ERROR_MAX], const char *file, const char *why)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    snprintf(error, TLSFILE_ERROR_MAX, "%.200s: %s%s%s%s", file, why, reason != NULL ? " (" : "",
             reason != NULL ? reason : "", reason != NULL ? ")" : "");
    ERR_clear_error();
    return false;
}

SSL_CTX *tlsfile_context(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    char groups[] = GROUPS; /* OpenSSL's macro casts const away */

    if (ctx == NULL)
        return NULL;
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Idle connections hold no buffers; what the kernel did not take may be offered again from
     * another place. Without automatic retry a read comes back after messages of TLS's own, so that
     * a peer that sends only such cannot keep us in it. */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(ctx, 1);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only */
    if (SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1 || SSL_CTX_set1_groups_list(ctx, groups) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

const char *tlsfile_fault(const char *file)
{
    struct stat st;

    if (stat(file, &st) < 0)
        return strerror(errno);
    return S_ISREG(st.st_mode) ? NULL : "not a regular file";
}

/* NULL, or what is wrong with the file or its permissions. */
static const char *key_fault(const char *file)
{
    const char *wrong = tlsfile_fault(file);
    struct stat st;

    if (wrong != NULL || stat(file, &st) < 0)
        return wrong != NULL ? wrong : strerror(errno);
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

/* What PEM blocks there are in a file. */
enum content { HAS_CERT = 1, HAS_KEY = 2, HAS_REQUEST = 4 };

#define BLOCKS_LOOKED_AT 32

static unsigned content_of(const char *file)
{
    /* only of a file: a FIFO would wait for its writer */
    BIO *in = tlsfile_fault(file) == NULL ? BIO_new_file(file, "r") : NULL;
    unsigned content = 0;
    char *name, *header;
    unsigned char *data;
    long len;

    for (int i = 0; in != NULL && i < BLOCKS_LOOKED_AT; i++) {
        if (PEM_read_bio(in, &name, &header, &data, &len) != 1)
            break;
        content |= strstr(name, "PRIVATE KEY") != NULL           ? HAS_KEY
                   : strstr(name, "CERTIFICATE REQUEST") != NULL ? HAS_REQUEST
                   : strstr(name, "CERTIFICATE") != NULL         ? HAS_CERT
                                                                 : 0U;
        OPENSSL_clear_free(data, (size_t)len);
        OPENSSL_free(name);
        OPENSSL_free(header);
    }
    BIO_free(in);
    ERR_clear_error();
    return content;
}

/* NULL, or which file was taken for which. */
static const char *cert_mistake(const char *cert, const char *key)
{
    unsigned in_cert = content_of(cert);

    if ((in_cert & HAS_CERT) != 0 || in_cert == 0)
        return NULL;
    if ((in_cert & HAS_KEY) == 0)
        return "this is a request (CSR); what the authority made of it is needed here";
    return (content_of(key) & HAS_CERT) != 0
               ? "this is the key, and the certificate is in the key's place; they are swapped"
               : "this is a key; its certificate is needed here";
}

static const char *key_mistake(const char *key)
{
    unsigned in_key = content_of(key);

    return (in_key & HAS_KEY) == 0 && in_key != 0 ? "this is a certificate; its key is needed here"
                                                  : NULL;
}

bool tlsfile_load_pair(SSL_CTX *ctx, const char *cert, const char *key,
                       char error[TLSFILE_ERROR_MAX])
{
    const char *wrong;

    ERR_clear_error();
    wrong = tlsfile_fault(cert);
    if (wrong == NULL)
        wrong = cert_mistake(cert, key);
    if (wrong != NULL)
        return tlsfile_fail(error, cert, wrong);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return tlsfile_fail(error, cert, "cannot read a PEM certificate from it");
    wrong = validity_fault(ctx);
    if (wrong != NULL)
        return tlsfile_fail(error, cert, wrong);
    wrong = key_mistake(key);
    if (wrong == NULL)
        wrong = key_fault(key);
    if (wrong != NULL)
        return tlsfile_fail(error, key, wrong);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return tlsfile_fail(error, key, "cannot read a PEM key from it that fits the certificate");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return tlsfile_fail(error, key, "the key does not fit the certificate");
    return true;
}

bool tlsfile_load_ca(SSL_CTX *ctx, const char *file, char error[TLSFILE_ERROR_MAX])
{
    const char *wrong = tlsfile_fault(file);

    ERR_clear_error();
    if (wrong == NULL && SSL_CTX_load_verify_file(ctx, file) == 1)
        return true;
    return tlsfile_fail(
        error, file, wrong != NULL ? wrong : "cannot read PEM certificates of authorities from it");
}
