/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_TLS_TLSCLIENT_H
#define WSLUICE_IO_TLS_TLSCLIENT_H

/*
 * Our side of TLS towards services: the settings of a route, and the handshake on a connected
 * socket. The service's certificate is verified by authority, date and name unless told otherwise.
 */
#include <stdbool.h>

#include "io/worker.h"

struct ssl_st;
struct tlsclient;

struct tlsclient_spec {
    const char *ca;         /* PEM file of authorities; NULL: the system's */
    const char *cert, *key; /* PEM files, to show to the service; NULL: none */
    const char *name;       /* asked for (SNI) and verified, instead of the host; NULL: the host */
    const char *alpn;       /* protocols to offer (RFC 7301), commas between; NULL: none */
    bool verify;
};

#define TLSCLIENT_ERROR_MAX 400

/* Reads and checks everything; NULL with one line in error that names file, fault and remedy. */
struct tlsclient *tlsclient_new(const struct tlsclient_spec *spec, char error[TLSCLIENT_ERROR_MAX]);
void tlsclient_free(struct tlsclient *c); /* NULL is fine */

/* As tlsctx_look and tlsctx_files. */
bool tlsclient_look(const struct tlsclient_spec *spec, uint64_t *files);
uint64_t tlsclient_files(const struct tlsclient *c);

struct tlsclient_events {
    /* ssl is connected and the owner's, as fd is again. */
    void (*done)(void *owner, int fd, struct ssl_st *ssl);
    /* In words, valid during the call: "certificate has expired". fd is closed. */
    void (*failed)(void *owner, bool timed_out, const char *why);
};

struct tlsclient_shake; /* one handshake under way; ends with its event or the cancelling */

/* Takes the connected socket over. host is the service's name or address; timeout, for all
 * of connecting and told when it is over, and what is left of it, in seconds. Events come from the
 * loop only, exactly one. NULL without memory: fd is closed then. c must live as long. */
struct tlsclient_shake *tlsclient_start(struct worker *w, struct tlsclient *c, int fd,
                                        const char *host, double timeout, double left,
                                        const struct tlsclient_events *events, void *owner);
/* Closes everything; no event follows. */
void tlsclient_cancel(struct tlsclient_shake *s);

#endif
