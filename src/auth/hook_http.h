/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_AUTH_HOOK_HTTP_H
#define WSLUICE_AUTH_HOOK_HTTP_H

/* Asking an HTTP server whether a request may pass: one GET on a connection of its own. */
#include <stdbool.h>

#include "core/auth/auth_queue.h"
#include "core/request.h"
#include "io/worker.h"

struct hook_http;

/* "http://HOST:PORT/PATH" in pieces, into the text. */
struct hook_url {
    struct slice host, path; /* the host without the brackets of IPv6 */
    uint16_t port;
};

/* NULL, or what is wrong. */
const char *hook_url_parse(struct hook_url *u, const char *text);

#define HOOK_HTTP_NO_PLACE (-1)

/* When a place of the queue is free. status: of the answer; 0: there was none within `timeout` of
 * that, or nothing that can be understood; HOOK_HTTP_NO_PLACE: it was not asked, see
 * core/auth/auth_queue.h. user: its X-User. From the loop, once. NULL without memory, or room in
 * the queue. url stays as long. */
struct hook_http *hook_http_start(struct auth_queue *q, const struct hook_url *url,
                                  const struct request *r, double timeout,
                                  void (*done)(void *owner, int status, struct slice user),
                                  void *owner);
void hook_http_cancel(struct hook_http *h);

#endif
