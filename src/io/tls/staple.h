/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_TLS_STAPLE_H
#define WSLUICE_IO_TLS_STAPLE_H

/* A stapled OCSP response (RFC 6066, section 8): a file in DER that somebody else keeps fresh. */
#include "io/tls/tlsfile.h"

struct staple;

/*
 * Reads the file: a successful response about the certificate that ctx has, which must say that it
 * is good. From then on clients that ask for it get it, until it is past its time. The staple has
 * to live as long as ctx. NULL with an error.
 */
struct staple *staple_load(SSL_CTX *ctx, const char *file, char error[TLSFILE_ERROR_MAX]);
void staple_free(struct staple *s); /* NULL is fine */

#endif
