/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_DEFLATE_OFFER_H
#define WSLUICE_PROTO_DEFLATE_OFFER_H

/*
 * Which of a client's offers of permessage-deflate is accepted, and with which parameters (RFC
 * 7692, sections 5 and 7.1; the field's grammar is RFC 6455, section 9.1). Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/http1.h"

#define DEFLATE_BITS_MIN 9 /* zlib makes no raw stream with a window of 8 bits */
#define DEFLATE_BITS_MAX 15

/* What the route allows. */
struct deflate_policy {
    bool takeover;  /* streams may live from message to message */
    uint8_t window; /* bits of the windows then, DEFLATE_BITS_MIN to DEFLATE_BITS_MAX */
};

/* What was agreed on. */
struct deflate_params {
    bool agreed;                             /* false: no compression, nothing else counts */
    bool server_takeover, client_takeover;   /* that side's messages may refer to earlier ones */
    uint8_t server_bits, client_bits;        /* windows of what we, what they compress */
    bool tell_server_bits, tell_client_bits; /* they stand in the answer */
};

/* All Sec-WebSocket-Extensions fields keep to the grammar (RFC 6455, section 9.1), whatever
 * extensions they offer; empty members of the list mean nothing. */
bool deflate_offer_valid(const struct http_head *head);

/*
 * Takes the client's first acceptable offer. An offer with an unknown or repeated parameter, or a
 * bad value, is declined for itself; a field that breaks the grammar is no offer at all.
 *
 * With takeover, a client that does not say that it can use a smaller window than 32 KiB is told
 * client_no_context_takeover: what a session keeps has a bound.
 */
void deflate_offer_choose(const struct http_head *head, const struct deflate_policy *policy,
                          struct deflate_params *params);

/* The value of our Sec-WebSocket-Extensions for params that were agreed on. */
#define DEFLATE_ANSWER_MAX 160
const char *deflate_offer_answer(const struct deflate_params *params, char out[DEFLATE_ANSWER_MAX]);

#endif
