/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_TLSCTX_H
#define WSLUICE_IO_TLSCTX_H

/*
 * What a TLS listener needs of OpenSSL: certificates by server name, and settings by Mozilla's
 * intermediate profile (TLS 1.2 and 1.3, forward secrecy only). No renegotiation, no compression;
 * sessions resume by tickets under keys that live in memory only. Counted references: connections
 * keep the one they began with, so certificates can be changed under way.
 */
#include <stddef.h>

struct tlsctx;

struct tlsctx_cert {
    const char *cert; /* PEM file: the certificate, then its chain */
    const char *key;  /* PEM file; must not be readable for others */
};

#define TLSCTX_ERROR_MAX 400

/*
 * Reads and checks everything: files readable, key fits certificate, not expired, key file not open
 * to others. The first is the one for clients that name no server or an unknown one. NULL with one
 * line in error that names file, fault and remedy.
 */
struct tlsctx *tlsctx_new(const struct tlsctx_cert *certs, size_t count,
                          char error[TLSCTX_ERROR_MAX]);
struct tlsctx *tlsctx_retain(struct tlsctx *t);
void tlsctx_release(struct tlsctx *t); /* NULL is fine */

/* A server-side connection object (SSL); NULL without memory. It keeps what it needs of t by
 * itself. */
struct ssl_st *tlsctx_connection(struct tlsctx *t);

#endif
