/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_TLS_TLSCTX_H
#define WSLUICE_IO_TLS_TLSCTX_H

/*
 * What a TLS listener needs of OpenSSL: certificates by server name, and settings by Mozilla's
 * intermediate profile (TLS 1.2 and 1.3, forward secrecy only). No renegotiation, no compression;
 * sessions resume by tickets under keys that live in memory only (io/tls/tickets.h). Counted
 * references: connections keep the one they began with, so certificates can be changed under way.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tlsctx;

struct tlsctx_cert {
    const char *cert; /* PEM file: the certificate, then its chain */
    const char *key;  /* PEM file; must not be readable for others */
    const char *ocsp; /* DER file: a response to staple; NULL: none */
};

/* Whether clients are to show a certificate. OPTIONAL lets in those that show none, or one that
 * does not hold: what it was is told (io_tls_client). */
enum tlsctx_client { TLSCTX_CLIENT_OFF, TLSCTX_CLIENT_OPTIONAL, TLSCTX_CLIENT_REQUIRE };

struct tlsctx_spec {
    const struct tlsctx_cert *certs; /* the first is for clients that name no server of ours */
    size_t count;
    int client_cert;       /* enum tlsctx_client */
    const char *client_ca; /* PEM file of authorities, unless OFF */
};

#define TLSCTX_ERROR_MAX 400

/*
 * Reads and checks everything: files readable, key fits certificate, not expired, key file not open
 * to others. NULL with one line in error that names file, fault and remedy.
 */
struct tlsctx *tlsctx_new(const struct tlsctx_spec *spec, char error[TLSCTX_ERROR_MAX]);
struct tlsctx *tlsctx_retain(struct tlsctx *t);
void tlsctx_release(struct tlsctx *t); /* NULL is fine */

/* What the files of spec are now, as one number; false when one is not there. And what they were
 * just before t was made of them: when the numbers differ, the files are others. */
bool tlsctx_look(const struct tlsctx_spec *spec, uint64_t *files);
uint64_t tlsctx_files(const struct tlsctx *t);

/* A server-side connection object (SSL) on a socket, which stays the caller's; NULL without memory.
 * t must live as long as it. */
struct ssl_st *tlsctx_connection(struct tlsctx *t, int fd);

#endif
