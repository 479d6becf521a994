/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HTTP_DISPATCH_H
#define WSLUICE_HTTP_DISPATCH_H

#include "core/stream.h"

/*
 * Hands a stream with a parsed request to its handler, whatever HTTP version brought it: looks for
 * its route, turns away whom admission or authentication does not let pass, and takes secrets out
 * of the request before anybody behind sees it. The stream is answered or taken by a handler at
 * once, or by the kind of authentication later.
 */
void dispatch_request(struct stream *s);

#endif
