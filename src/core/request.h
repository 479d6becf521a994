/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_REQUEST_H
#define WSLUICE_CORE_REQUEST_H

/*
 * A request as handlers see it, whatever HTTP version brought it. It lives until the response has
 * begun (for a WebSocket: the 101), then its memory is released by the front.
 */
#include <stdbool.h>

#include "base/addr.h"
#include "core/route.h"
#include "proto/http1.h"

struct request {
    const struct http_head *head;
    char *path;            /* decoded, NUL-terminated, begins with '/', no dot segments; owned */
    struct slice raw_path; /* as sent */
    struct slice query;    /* behind '?', as sent */
    struct slice host;     /* Host, or what a trusted proxy says it was */
    union addr client, server;
    bool admin;  /* came by the admin address: only handlers of that door answer */
    bool secure; /* TLS */
    /* The client's certificate: "SUCCESS", "NONE" or "FAILED:why", and of SUCCESS the subject.
     * Empty where it is not asked for. */
    struct slice client_verify, client_dn;
    char *client_text;        /* of both; owned */
    struct route_match match; /* from the dispatch on */
};

/*
 * Fills r from a head (client, server and secure are the front's to set). Returns 0, or 400 with a
 * constant text: a target that is not a path, or not of this Host; escapes that are broken or hide
 * NUL; dot segments. 500 without memory.
 */
int request_init(struct request *r, const struct http_head *head, const char **why);
void request_release(struct request *r);

#endif
