/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_TLS_IO_TLS_H
#define WSLUICE_IO_TLS_IO_TLS_H

/*
 * TLS as a transport of io: everything above it stays as it is. The server's handshake needs no
 * state of its own: it is what the first reads and writes do. A peer that speaks plain HTTP to us
 * gets a readable 400; one that keeps TLS busy with itself (new keys, renegotiation) is cut off.
 */
#include "io/io.h"
#include "io/tls/tlsctx.h"

/* Makes a socket io, just opened and not yet read, the server's side of TLS. -1 without memory. It
 * keeps t. */
int io_tls_accept(struct io *io, struct tlsctx *t);

/* Makes it the client's side, after the handshake (io/tls/tlsclient.h). ssl is the io's in any
 * case. -1 without memory. */
int io_tls_adopt(struct io *io, struct ssl_st *ssl);

/*
 * What a client has shown, as three texts in one malloc'd piece. First the verdict: "SUCCESS",
 * "NONE" (no certificate), or "FAILED:" and why; behind its NUL the subject as of RFC 4514, behind
 * that one's the subject's common name, both empty unless SUCCESS. NULL where clients are not
 * asked, and without memory (errno ENOMEM).
 */
char *io_tls_client(const struct io *io);

/* "TLSv1.3"; "" without TLS. */
const char *io_tls_version(const struct io *io);

/* Handshakes cost as much as hundreds of messages: only a few steps are made in one turn. False
 * when this turn's are used up; epoll tells of the socket again. */
bool io_tls_may_shake(struct worker *w);

#endif
