/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_CODING_H
#define WSLUICE_PROTO_CODING_H

/* Content codings that a client accepts (Accept-Encoding; RFC 9110, section 12.5.3). Pure. */
#include "proto/http1.h"

/*
 * How much the client wants a coding, in thousandths: 0 not at all, 1000 most. "identity", which is
 * no coding, is accepted unless the field rules it out; any other only where the field names it, or
 * has a "*". A weight that is none (q=2, q=x) is taken for 0.
 */
unsigned coding_weight(const struct http_head *head, const char *coding);

#endif
