/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_TLSFILE_H
#define WSLUICE_IO_TLSFILE_H

/* Certificates, keys and settings that both sides of TLS, ours as a server and ours as a client,
 * load into OpenSSL's contexts. */
#include <openssl/ssl.h>
#include <stdbool.h>

#define TLSFILE_ERROR_MAX 400

/* "FILE: why (what OpenSSL says)" in error; false. Empties OpenSSL's queue of errors. */
bool tlsfile_fail(char error[TLSFILE_ERROR_MAX], const char *file, const char *why);

/* NULL, or what keeps the file from being read without waiting: a FIFO would stop the loop. */
const char *tlsfile_fault(const char *file);

/* A context with Mozilla's intermediate profile: TLS 1.2 and 1.3, forward secrecy only, no
 * renegotiation, no compression, no buffers for idle connections. NULL when OpenSSL does not work.
 */
SSL_CTX *tlsfile_context(const SSL_METHOD *method);

/* A certificate with its chain and key, both PEM: readable, fitting each other, valid today, the
 * key not open to others. */
bool tlsfile_load_pair(SSL_CTX *ctx, const char *cert, const char *key,
                       char error[TLSFILE_ERROR_MAX]);

/* The authorities that peers' certificates are judged by, PEM. */
bool tlsfile_load_ca(SSL_CTX *ctx, const char *file, char error[TLSFILE_ERROR_MAX]);

#endif
