/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_TLS_TLSFILE_H
#define WSLUICE_IO_TLS_TLSFILE_H

/* Certificates, keys and settings that both sides of TLS, ours as a server and ours as a client,
 * load into OpenSSL's contexts. */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define TLSFILE_ERROR_MAX 400

/* "FILE: why (what OpenSSL says)" in error; false. Empties OpenSSL's queue of errors. */
bool tlsfile_fail(char error[TLSFILE_ERROR_MAX], const char *file, const char *why);

/*
 * The bytes of a regular file, which is read whole at once: nothing waits for it later, as it would
 * for a FIFO's writer. NULL with what is wrong; *st is set when it could be opened.
 */
BIO *tlsfile_open(const char *file, struct stat *st, const char **wrong);

/* What the files are now (NULLs are left out), so that a later look tells whether they are others.
 * False when one is not there: somebody may be replacing it. */
bool tlsfile_look(const char *const *files, size_t n, uint64_t *digest);

/* A context with Mozilla's intermediate profile: TLS 1.2 and 1.3, forward secrecy only, no
 * renegotiation, no compression, no buffers for idle connections. NULL when OpenSSL does not work.
 */
SSL_CTX *tlsfile_context(const SSL_METHOD *method);

/* A certificate with its chain and key, both PEM: readable, fitting each other, valid today, the
 * key not open to others nor encrypted. */
bool tlsfile_load_pair(SSL_CTX *ctx, const char *cert, const char *key,
                       char error[TLSFILE_ERROR_MAX]);

/* The authorities that peers' certificates are judged by, PEM; announced: clients are told which.
 */
bool tlsfile_load_ca(SSL_CTX *ctx, const char *file, bool announced, char error[TLSFILE_ERROR_MAX]);

#endif
