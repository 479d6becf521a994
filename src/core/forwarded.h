/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_FORWARDED_H
#define WSLUICE_CORE_FORWARDED_H

/*
 * Whom a proxy in front speaks for: Forwarded (RFC 7239), else X-Forwarded-For, -Proto and -Host.
 * Anybody can write these headers, so they are read from the right, hop by hop, and believed only
 * as far as each hop is one of the trusted networks.
 */
#include "base/cidr.h"
#include "core/request.h"

/* Corrects r's client, secure and host when the client is a trusted proxy; else r stays as it is.
 */
void forwarded_apply(struct request *r, const struct cidr *trusted, size_t count);

#endif
