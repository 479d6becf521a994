/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_HANDSHAKE_H
#define WSLUICE_PROTO_HANDSHAKE_H

/* The opening handshake of RFC 6455, section 4.2, the server's side: judging a request head. Pure.
 */
#include <stdbool.h>

#include "proto/http1.h"

#define HANDSHAKE_ACCEPT_SIZE 29 /* base64 of a SHA-1 and its NUL */

#define HANDSHAKE_METHODS "GET, HEAD, OPTIONS" /* what may be asked where no WebSocket is */
#define HANDSHAKE_NOT_BY_1_0 \
    "a WebSocket needs HTTP/1.1 (of an nginx in front: proxy_http_version 1.1)"

/* The request asks for a WebSocket: its Upgrade field has the token, which HTTP/1.0 does not know
 * (RFC 9110, section 7.8). Says nothing about whether it asks rightly. */
bool handshake_wanted(const struct http_head *head);

/*
 * Judges the request and computes Sec-WebSocket-Accept. Returns 0, or the HTTP status to refuse it
 * with and a constant text in *why: 400, 405, 426 (the answer must then name the version and the
 * protocol; see handshake_refusal_fields), or 503 without memory.
 */
int handshake_check(const struct http_head *head, char accept[HANDSHAKE_ACCEPT_SIZE],
                    const char **why);

/* Extra header lines a refusal with this status must carry ("" for most); each ends in CR LF. */
const char *handshake_refusal_fields(int status);

/*
 * The first subprotocol the client offers that is in `wanted` (n names); false if none. Offers are
 * read over all Sec-WebSocket-Protocol fields, trimmed; names are compared with case (RFC 6455,
 * section 4.1).
 */
bool handshake_choose(const struct http_head *head, const char *const *wanted, size_t n,
                      struct slice *chosen);

/* May be the name of a subprotocol: a token (RFC 9110, section 5.6.2). What is none is no client's
 * offer. */
bool handshake_is_token(struct slice s);

/* A walk over all offers in their order: zero it, but for the head. */
struct handshake_offers {
    const struct http_head *head;
    size_t field;
    struct slice rest;
};

/* The next offer; false if there is none. */
bool handshake_next_offer(struct handshake_offers *o, struct slice *offer);

/*
 * True when Origin names the same host and port as Host does (RFC 6454): scheme http or https with
 * their default ports, letters without case. What gives a Host without a port its own is `port`, if
 * a proxy in front told it (else 0), then `secure`, whether the request came over TLS.
 */
bool handshake_same_origin(struct slice origin, struct slice host, uint16_t port, bool secure);

#endif
