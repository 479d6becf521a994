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

#endif
