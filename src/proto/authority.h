/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_AUTHORITY_H
#define WSLUICE_PROTO_AUTHORITY_H

/* "host", "host:port", "[v6]:port": what Host and an Origin name (RFC 3986, section 3.2). */
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/*
 * Splits it: host with the brackets of IPv6 kept, port 0 when there is none. False when it is
 * anything else: empty, with user information, with characters a host cannot have, with a port that
 * is no number up to 65535.
 */
bool authority_split(struct slice text, struct slice *host, uint16_t *port);

/* The name ends in ".example.org" and has more in front of it. Letters without case. */
bool authority_is_below(struct slice name, struct slice dotted);
/* The name is the pattern "example.org", or below the pattern "*.example.org". */
bool authority_has(struct slice pattern, struct slice name);

/* The name without the dot that may end it (RFC 1034, section 3.1): "example.org" of
 * "example.org.". */
struct slice authority_plain(struct slice name);

/* The host is an address, with brackets or without, and no name that DNS is asked for. What ends in
 * a number counts as one, as it does for browsers. */
bool authority_is_address(struct slice host);
/* "localhost" or "*.localhost", which browsers look for on their own machine (RFC 6761, section
 * 6.3). */
bool authority_is_localhost(struct slice host);

#endif
