/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HTTP_FRONT_H1_H
#define WSLUICE_HTTP_FRONT_H1_H

/*
 * HTTP/1.1: one connection carries requests one after another, until one of them becomes a
 * WebSocket or the connection ends. Heads must be complete within handshake-timeout (then 408); see
 * proto/http1.h for what is refused. Requests that arrive before the earlier one is answered
 * (pipelining) end the connection after that answer.
 */
#include "core/front.h"

extern const struct front_ops front_h1;

#endif
