/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_TLS_TLSBIO_H
#define WSLUICE_IO_TLS_TLSBIO_H

/*
 * How OpenSSL reaches a connected socket here: by recv and send. Its own way is read and write,
 * which cost more (docs/performance.md), and write raises SIGPIPE.
 */
#include <stdbool.h>

struct bio_method_st;
struct ssl_st;

/* What all connections of a context share: it must live as long as they. NULL without memory.
 * BIO_meth_free it. */
struct bio_method_st *tlsbio_method(void);

/* Binds the connection to a socket, which stays the caller's. False without memory. */
bool tlsbio_attach(struct ssl_st *ssl, const struct bio_method_st *method, int fd);

#endif
