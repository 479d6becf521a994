/* SPDX-License-Identifier: MIT */

/* Opens a session when a request asks for a WebSocket and may have one: handshake, origin, limits,
 * in this order. */
#include "core/admission/origin.h"
#include "core/auth/auth.h"
#include "core/backend.h"
#include "core/observe/request_log.h"
#include "core/refusal.h"
#include "core/session/session.h"
#include "core/subprotocol.h"
#include "handler/handlers.h"
#include "proto/handshake.h"

/* Seconds; when a session will end is anybody's guess. */
#define LIMIT_RETRY_AFTER 1

static void h_ws_refuse(struct stream *s, int status, const char *fields, const char *why)
{
    request_log(s, status, why);
    stream_refuse(s, status, fields, why);
}

/*
 * A page of another site may open WebSockets to any address its visitor reaches, with the visitor's
 * cookies (RFC 6455, section 10.2). Programs send no Origin and may come.
 */
static bool origin_allowed(const struct request *r, const struct text_list *origins)
{
    size_t count;
    struct slice origin = http_head_get(r->head, "Origin", &count);

    if (origin_any(origins))
        return true;
    if (count != 1)
        return count == 0;
    return origins->count == 0 ? handshake_same_origin(origin, r->host, r->host_port, r->secure)
                               : origin_listed(origins, origin);
}

static struct slice choose_subprotocol(const struct stream *s, const struct route *route)
{
    const struct request *r = stream_request(s);
    struct slice chosen = subprotocol_choose(r->head, route);
    const char *wants = subprotocol_misfit(route, chosen);
    char offers[SUBPROTOCOL_TOLD_MAX], client[ADDR_TEXT_MAX];

    if (wants != NULL)
        log_line(&s->worker->log, LOG_WARN, "subprotocol does not fit the framing",
                 LOG_C("route", route->path), LOG_S("subprotocol", chosen),
                 LOG_C("framing", route->framing->name), LOG_C("wants", wants));
    if (chosen.len == 0 && subprotocol_tell(r->head, offers)[0] != '\0')
        log_line(&s->worker->log, LOG_INFO, "none of the offered subprotocols",
                 LOG_C("client", addr_format(&r->client, client)), LOG_C("route", route->path),
                 LOG_C("offers", offers));
    return chosen;
}

static void choose_compression(const struct request *r, const struct route *route,
                               struct deflate_params *params)
{
    const struct deflate_policy policy = {
        .takeover = route->settings.compression == COMPRESSION_TAKEOVER,
        .window = (uint8_t)route->settings.compression_window,
    };

    if (route->settings.compression != COMPRESSION_OFF)
        deflate_offer_choose(r->head, &policy, params);
}

static bool ws_wants(const struct config *c, const struct route *route, const struct request *r)
{
    (void)c;
    return route != NULL && route->backend != NULL && handshake_wanted(r->head);
}

static void ws_open(struct stream *s, const struct config *c)
{
    const struct request *r = stream_request(s);
    const struct route *route = r->match.route;
    char accept[HANDSHAKE_ACCEPT_SIZE];
    struct session_open open = {.stream = s, .route = route, .accept = accept};
    const char *why;
    int status = handshake_check(r->head, accept, &why);

    if (status != 0) { /* only without memory now */
        h_ws_refuse(s, status, handshake_refusal_fields(status), why);
        return;
    }
    status = session_admit(s->worker, c, route, r, &open.ticket, &why);
    if (status != 0) {
        request_log(s, status, why);
        refuse_over_limit(s, route, status, LIMIT_RETRY_AFTER, why);
        return;
    }
    open.subprotocol = choose_subprotocol(s, route);
    choose_compression(r, route, &open.deflate);
    session_start(&open);
}

static void ws_handle(struct stream *s, const struct config *c, const struct route *route)
{
    const struct request *r = stream_request(s);
    char accept[HANDSHAKE_ACCEPT_SIZE];
    const char *why;
    int status = handshake_check(r->head, accept, &why);

    if (status != 0)
        h_ws_refuse(s, status, handshake_refusal_fields(status), why);
    else if (!origin_allowed(r, &route->settings.origins))
        h_ws_refuse(s, 403, NULL, "pages of this origin may not connect; see --origin");
    else
        auth_guard(s, route->backend->guard, route, c, ws_open);
}

const struct handler_ops handler_ws = {"websocket", ws_wants, ws_handle};

/* The last resort on a WebSocket route: says what is wanted. */
static bool hint_wants(const struct config *c, const struct route *route, const struct request *r)
{
    (void)c;
    (void)r;
    return route != NULL && route->backend != NULL;
}

static void hint_handle(struct stream *s, const struct config *c, const struct route *route)
{
    bool is_get = slice_is(stream_request(s)->head->method, "GET") ||
                  slice_is(stream_request(s)->head->method, "HEAD");
    int status = is_get ? 426 : 405;
    (void)c;
    (void)route;

    h_ws_refuse(s, status, handshake_refusal_fields(status),
                stream_request(s)->head->is_1_0 && is_get
                    ? HANDSHAKE_NOT_BY_1_0
                    : "this address speaks WebSocket; open it with a WebSocket client");
}

const struct handler_ops handler_hint = {"hint", hint_wants, hint_handle};
