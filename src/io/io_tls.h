/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_IO_TLS_H
#define WSLUICE_IO_IO_TLS_H

/*
 * TLS as a transport of io: everything above it stays as it is. The handshake needs no state of its
 * own: it is what the first reads and writes do. A peer that speaks plain HTTP to us gets a
 * readable 400.
 */
#include "io/io.h"
#include "io/tlsctx.h"

extern const struct io_transport io_tls;

/* Makes a socket io, just opened and not yet read, the server's side of TLS. -1 without memory. */
int io_tls_accept(struct io *io, struct tlsctx *t);

#endif
