/* SPDX-License-Identifier: MIT */
#include "io/tls/staple.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 65536L /* bytes; responses have some hundreds to some thousands */

struct staple {
    ASN1_GENERALIZEDTIME *until; /* NULL: newer information is always there (RFC 6960) */
    size_t len;
    unsigned char der[];
};

/* The whole file, at most FILE_MAX bytes; NULL with an error. */
static struct staple *staple_read_file(const char *file, char error[TLSFILE_ERROR_MAX])
{
    const char *wrong;
    struct stat st;
    BIO *in = tlsfile_open(file, &st, &wrong);
    struct staple *s = malloc(sizeof *s + FILE_MAX), *fitting;
    int n = in != NULL && s != NULL ? BIO_read(in, s->der, FILE_MAX) : -1;

    BIO_free(in);
    if (n <= 0) {
        free(s);
        (void)tlsfile_fail(error, file,
                           wrong != NULL ? wrong : "cannot read an OCSP response from it");
        return NULL;
    }
    fitting = realloc(s, sizeof *s + (size_t)n);
    s = fitting != NULL ? fitting : s;
    s->until = NULL;
    s->len = (size_t)n;
    return s;
}

/* What the response says of our certificate, which it knows by its serial number. */
static const char *judge_single(SSL_CTX *ctx, OCSP_BASICRESP *basic, ASN1_GENERALIZEDTIME **until)
{
    const ASN1_INTEGER *ours = X509_get0_serialNumber(SSL_CTX_get0_certificate(ctx));

    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        OCSP_CERTID *id;
        ASN1_INTEGER *serial = NULL;

        memcpy(&id, &(const OCSP_CERTID *){OCSP_SINGLERESP_get0_id(single)}, sizeof id);
        if (OCSP_id_get0_info(NULL, NULL, NULL, &serial, id) != 1 ||
            ASN1_INTEGER_cmp(serial, ours) != 0)
            continue;
        if (OCSP_single_get0_status(single, NULL, NULL, NULL, until) == V_OCSP_CERTSTATUS_GOOD)
            return NULL;
        return "the OCSP response says that the certificate is not good";
    }
    return "the OCSP response is about another certificate";
}

static const char *staple_judge(SSL_CTX *ctx, struct staple *s)
{
    const unsigned char *p = s->der;
    OCSP_RESPONSE *whole = d2i_OCSP_RESPONSE(NULL, &p, (long)s->len);
    OCSP_BASICRESP *basic = NULL;
    ASN1_GENERALIZEDTIME *until = NULL;
    const char *wrong = "not an OCSP response in DER";

    if (whole != NULL && p == s->der + s->len) {
        wrong = "the OCSP response says that there was an error; ask the responder again";
        if (OCSP_response_status(whole) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
            basic = OCSP_response_get1_basic(whole);
        if (basic != NULL)
            wrong = judge_single(ctx, basic, &until);
    }
    if (wrong == NULL && until != NULL) {
        s->until = ASN1_STRING_dup(until);
        wrong = s->until == NULL ? "out of memory" : NULL;
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(whole);
    return wrong;
}

/* An old response is worse than none: then clients ask the responder themselves. */
static int give(SSL *ssl, void *arg)
{
    const struct staple *s = arg;
    unsigned char *copy;

    if (s->until != NULL && X509_cmp_current_time(s->until) <= 0)
        return SSL_TLSEXT_ERR_NOACK;
    copy = OPENSSL_memdup(s->der, s->len);
    if (copy == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    (void)SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)s->len); /* OpenSSL's now */
    return SSL_TLSEXT_ERR_OK;
}

struct staple *staple_load(SSL_CTX *ctx, const char *file, char error[TLSFILE_ERROR_MAX])
{
    struct staple *s;
    const char *wrong;

    ERR_clear_error();
    s = staple_read_file(file, error);
    if (s == NULL)
        return NULL;
    wrong = staple_judge(ctx, s);
    if (wrong != NULL) {
        (void)tlsfile_fail(error, file, wrong);
        staple_free(s);
        return NULL;
    }
    (void)SSL_CTX_set_tlsext_status_cb(ctx, give);
    (void)SSL_CTX_set_tlsext_status_arg(ctx, s);
    return s;
}

void staple_free(struct staple *s)
{
    if (s == NULL)
        return;
    ASN1_GENERALIZEDTIME_free(s->until);
    free(s);
}
