/* SPDX-License-Identifier: MIT */
#include "io/tls/tlsfile.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/trusted_file.h"

#define FILE_MAX (16 << 20) /* bytes; the system's authorities have a quarter of a million */

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

BIO *tlsfile_open(const char *file, struct stat *st, const char **wrong)
{
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    BIO *in = NULL;
    char *text = NULL;
    size_t len = 0;

    *wrong = NULL;
    if (fd < 0 || fstat(fd, st) < 0)
        *wrong = strerror(errno);
    else if (!S_ISREG(st->st_mode))
        *wrong = "not a regular file";
    else if (st->st_size > FILE_MAX)
        *wrong = "larger than 16 MiB";
    else if ((text = file_read_all(fd, (size_t)st->st_size, &len)) == NULL)
        *wrong = strerror(errno);
    else if (len == 0)
        *wrong = "the file is empty";
    else if ((in = BIO_new(BIO_s_mem())) == NULL || BIO_write(in, text, (int)len) != (int)len)
        *wrong = "out of memory";
    if (*wrong != NULL) {
        BIO_free(in);
        in = NULL;
    }
    if (text != NULL)
        explicit_bzero(text, len);
    free(text);
    if (fd >= 0)
        close(fd);
    return in;
}

/* Where a passphrase is needed OpenSSL would ask on the terminal, and all sessions would wait. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
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
enum content { HAS_CERT = 1, HAS_KEY = 2, HAS_REQUEST = 4, HAS_SECRET = 8 };

#define BLOCKS_LOOKED_AT 32

static unsigned kind_of(const char *name, const char *header)
{
    unsigned secret =
        strstr(name, "ENCRYPTED") != NULL || strstr(header, "ENCRYPTED") != NULL ? HAS_SECRET : 0U;

    if (strstr(name, "PRIVATE KEY") != NULL)
        return HAS_KEY | secret;
    if (strstr(name, "CERTIFICATE REQUEST") != NULL)
        return HAS_REQUEST;
    return strstr(name, "CERTIFICATE") != NULL ? HAS_CERT : 0U;
}

static unsigned content_of(const char *file)
{
    const char *wrong;
    struct stat st;
    BIO *in = tlsfile_open(file, &st, &wrong);
    unsigned content = 0;
    char *name, *header;
    unsigned char *data;
    long len;

    for (int i = 0; in != NULL && i < BLOCKS_LOOKED_AT; i++) {
        if (PEM_read_bio(in, &name, &header, &data, &len) != 1)
            break;
        content |= kind_of(name, header);
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

    if ((in_key & HAS_KEY) == 0 && in_key != 0)
        return "this is a certificate; its key is needed here";
    if ((in_key & HAS_SECRET) != 0)
        return "the key is encrypted, and nobody is there to type its passphrase; write it without "
               "one: openssl pkey -in FILE -out NEWFILE (made with umask 077)";
    return NULL;
}

/* The certificate, then its chain, to the end of the file. */
static bool use_chain(SSL_CTX *ctx, BIO *in)
{
    X509 *cert = PEM_read_bio_X509_AUX(in, NULL, no_passphrase, NULL);
    bool ok = cert != NULL && SSL_CTX_use_certificate(ctx, cert) == 1;

    X509_free(cert);
    while (ok && (cert = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) != NULL) {
        ok = SSL_CTX_add0_chain_cert(ctx, cert) == 1;
        if (!ok)
            X509_free(cert);
    }
    if (!ok || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

static bool load_cert(SSL_CTX *ctx, const char *cert, const char *key,
                      char error[TLSFILE_ERROR_MAX])
{
    const char *wrong;
    struct stat st;
    BIO *in = tlsfile_open(cert, &st, &wrong);

    if (wrong == NULL)
        wrong = cert_mistake(cert, key);
    if (wrong == NULL && !use_chain(ctx, in))
        wrong = "cannot read a PEM certificate from it";
    if (wrong == NULL)
        wrong = validity_fault(ctx);
    BIO_free(in);
    return wrong == NULL || tlsfile_fail(error, cert, wrong);
}

static bool load_key(SSL_CTX *ctx, const char *key, char error[TLSFILE_ERROR_MAX])
{
    const char *wrong;
    struct stat st;
    BIO *in = tlsfile_open(key, &st, &wrong);
    EVP_PKEY *pkey = NULL;

    /* what is no key may be readable */
    if (wrong == NULL)
        wrong = key_mistake(key);
    if (wrong == NULL)
        wrong = trusted_file_mode_fault(&st, true);
    if (wrong == NULL && (pkey = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL)) == NULL)
        wrong = "cannot read a PEM key from it";
    if (wrong == NULL &&
        (SSL_CTX_use_PrivateKey(ctx, pkey) != 1 || SSL_CTX_check_private_key(ctx) != 1))
        wrong = "the key does not fit the certificate";
    EVP_PKEY_free(pkey);
    BIO_free(in);
    return wrong == NULL || tlsfile_fail(error, key, wrong);
}

bool tlsfile_load_pair(SSL_CTX *ctx, const char *cert, const char *key,
                       char error[TLSFILE_ERROR_MAX])
{
    ERR_clear_error();
    return load_cert(ctx, cert, key, error) && load_key(ctx, key, error);
}

/* Those of the list into the store; how many certificates there were, -1 without memory. */
static int tlsfile_add_all(SSL_CTX *ctx, STACK_OF(X509_INFO) * list, bool announced)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    int count = 0;

    for (int i = 0; i < sk_X509_INFO_num(list); i++) {
        const X509_INFO *info = sk_X509_INFO_value(list, i);

        if (info->crl != NULL && X509_STORE_add_crl(store, info->crl) != 1)
            return -1;
        if (info->x509 == NULL)
            continue;
        if (X509_STORE_add_cert(store, info->x509) != 1 ||
            (announced && SSL_CTX_add_client_CA(ctx, info->x509) != 1))
            return -1;
        count++;
    }
    return count;
}

bool tlsfile_load_ca(SSL_CTX *ctx, const char *file, bool announced, char error[TLSFILE_ERROR_MAX])
{
    const char *wrong;
    struct stat st;
    STACK_OF(X509_INFO) *list = NULL;

    ERR_clear_error();
    BIO *in = tlsfile_open(file, &st, &wrong);
    if (wrong == NULL)
        list = PEM_X509_INFO_read_bio(in, NULL, no_passphrase, NULL);
    if (wrong == NULL && (list == NULL || tlsfile_add_all(ctx, list, announced) <= 0))
        wrong = "cannot read PEM certificates of authorities from it";
    sk_X509_INFO_pop_free(list, X509_INFO_free);
    BIO_free(in);
    return wrong == NULL || tlsfile_fail(error, file, wrong);
}

bool tlsfile_look(const char *const *files, size_t n, uint64_t *digest)
{
    *digest = FILE_DIGEST_START;
    for (size_t i = 0; i < n; i++) {
        if (files[i] != NULL && !file_digest(files[i], digest))
            return false;
    }
    return true;
}
