/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_FORWARDED_H
#define WSLUICE_CORE_FORWARDED_H

/*
 * Whom a proxy in front speaks for: X-Forwarded-For, -Proto, -Host and -Port, or Forwarded (RFC
 * 7239).
 * Which of the two the proxy writes must be told: it passes the other on as the client sent it.
 * Anybody can write these headers, so they are read from the right, hop by hop, and believed only
 * as far as each hop is one of the trusted networks. What the farthest of them says counts: it was
 * asked by the client.
 */
#include "base/cidr.h"
#include "core/request.h"

/* Corrects r's client, secure, host and its port, and sets vouched, when the client is a trusted
 * proxy; else r stays as it is. */
void forwarded_apply(struct request *r, const struct cidr *trusted, size_t count,
                     enum forwarded_header header);

#endif
