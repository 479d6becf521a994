/* SPDX-License-Identifier: MIT */

/*
 * The admin door: health, metrics, live sessions, orders. It answers every request that came by the
 * admin address, and no other.
 *
 * Who reaches a loopback port may use it, and so may, without its visitor's knowledge, a page in a
 * browser on this machine. Browsers name such a page in Origin, and a page that has its own name
 * resolve to a loopback address is told by the Host it asks for. Both are refused.
 */
#include <stdlib.h>
#include <string.h>

#include "core/control.h"
#include "core/core.h"
#include "core/observe/stats.h"
#include "handler/admin/admin_bans.h"
#include "handler/admin/admin_body.h"
#include "handler/admin/admin_json.h"
#include "handler/admin/admin_metrics.h"
#include "handler/admin/admin_order.h"
#include "handler/admin/admin_ready.h"
#include "handler/handlers.h"
#include "proto/authority.h"

#define TEXT "text/plain; charset=utf-8"
#define KICKS_A_PIECE 50

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};

/* ---- who may ask ---- */

static bool is_loopback_host(struct slice host)
{
    union addr addr;

    if (slice_eq_nocase(host, slice_from("localhost")))
        return true;
    if (!addr_parse_host(host, 0, &addr))
        return false;
    return addr_is_loopback(&addr);
}

/* NULL, or why this request is refused. */
static const char *why_not(const struct request *r)
{
    size_t origins, sites;
    struct slice host, site = http_head_get(r->head, "Sec-Fetch-Site", &sites);
    uint16_t port;

    (void)http_head_get(r->head, "Origin", &origins);
    if (origins > 0 || (sites > 0 && !slice_is(site, "none") && !slice_is(site, "same-origin")))
        return "web pages may not use the admin address";
    if (r->server.sa.sa_family == AF_UNIX)
        return NULL;
    if (r->head->is_1_0 && r->head->host.len == 0)
        return NULL; /* a health check: every browser names a host */
    if (!authority_split(r->head->host, &host, &port) || !is_loopback_host(host))
        return "the Host of the admin address must be localhost or a loopback address";
    return NULL;
}

/* ---- looking ---- */

static void get_root(struct stream *s)
{
    admin_body_whole(
        s, 200, TEXT, NULL,
        slice_from(
            "wsluice admin\n"
            "GET  /healthz /readyz?backend=PATH /metrics /sessions /sessions/ID /stats /bans "
            "/log-level\n"
            "POST /sessions/kick?what=ID|ID/NUMBER|ADDRESS|user:NAME|token:TOKEN&reason=TEXT "
            "/ban?what=NETWORK&time=TIME /unban?what=NETWORK /reload /drain "
            "/log-level?level=LEVEL\n"));
}

static void get_health(struct stream *s)
{
    admin_body_whole(s, 200, TEXT, NULL, slice_from("ok\n"));
}

static void get_ready(struct stream *s)
{
    char backend[ADMIN_VALUE_MAX];

    if (!admin_order_parameter(stream_request(s), "backend", backend))
        admin_order_bad(s, "backend= must be the path of a route, or all");
    else if (core_of(s->worker)->draining)
        admin_body_whole(s, 503, TEXT, NULL, slice_from("draining\n"));
    else if (backend[0] != '\0')
        admin_ready_start(s, backend);
    else
        admin_body_whole(s, 200, TEXT, NULL, slice_from("ready\n"));
}

static void get_session(struct stream *s)
{
    struct session_choice choice;
    const struct session *found = NULL;
    const char *id = stream_request(s)->path + strlen("/sessions/");

    if (session_choice_parse(s->worker, &choice, slice_from(id)) && choice.by == CHOICE_ID &&
        choice.number == 0)
        found = session_find(s->worker, choice.id);
    if (found == NULL)
        admin_json_error(s, 404, NULL, "no such session");
    else
        admin_json_session(s, found);
}

static void get_level(struct stream *s)
{
    admin_json_level(s, levels[s->worker->log.level]);
}

/* ---- orders ---- */

/* Kicking everybody of an address, some a turn. */
struct kicking {
    struct session_cursor cursor;
    struct session_choice choice;
    struct stream *stream;
    size_t count;
    char what[ADMIN_VALUE_MAX], reason[ADMIN_VALUE_MAX];
};

static bool kicking_next(void *maker, struct admin_out *out)
{
    struct kicking *k = maker;

    for (int kicked = 0; kicked < KICKS_A_PIECE;) {
        struct session *session = session_cursor_next(&k->cursor);

        if (session == NULL) {
            admin_order_log(k->stream, "kick", k->what, k->count);
            admin_out_printf(out, "{\"kicked\":%zu}", k->count);
            return false;
        }
        size_t n = session_kick_chosen(session, &k->choice, k->reason);

        kicked += (int)n;
        k->count += n;
    }
    return true;
}

static void kicking_release(void *maker)
{
    struct kicking *k = maker;

    session_cursor_close(&k->cursor);
    free(k);
}

static const struct admin_maker kicking_maker = {kicking_next, kicking_release};

static void kick_one(struct stream *s, const struct kicking *k)
{
    struct session *session = session_find(s->worker, k->choice.id);
    bool found = session != NULL && session_kick_chosen(session, &k->choice, k->reason) > 0;

    admin_order_log(s, "kick", k->what, found);
    if (found)
        admin_json_done(s, 200, "kicked", 1, NULL);
    else
        admin_json_error(s, 404, NULL,
                         session != NULL ? "no such client of that session" : "no such session");
}

static void post_kick(struct stream *s)
{
    struct kicking *k = calloc(1, sizeof *k);

    if (k == NULL) {
        admin_json_error(s, 503, NULL, "out of memory");
        return;
    }
    if (!admin_order_parameter(stream_request(s), "what", k->what) ||
        !admin_order_parameter(stream_request(s), "reason", k->reason) ||
        !session_choice_parse(s->worker, &k->choice, slice_from(k->what))) {
        admin_order_bad(s,
                        "what= must be the ID of a session, ID/NUMBER of a client of it, a numeric "
                        "address, user:NAME or token:TOKEN; reason= a text");
        free(k);
        return;
    }
    if (k->reason[0] == '\0')
        memcpy(k->reason, "ended by the operator", sizeof "ended by the operator");
    if (k->choice.by == CHOICE_TOKEN) { /* it is not for the log */
        explicit_bzero(k->what, sizeof k->what);
        memcpy(k->what, "token", sizeof "token");
    }
    if (k->choice.by == CHOICE_ID) {
        kick_one(s, k);
        free(k);
        return;
    }
    k->stream = s;
    session_cursor_open(&k->cursor, s->worker);
    admin_body_start(s, ADMIN_JSON, &kicking_maker, k);
}

static void cannot(struct stream *s)
{
    admin_json_error(s, 501, NULL, "this server cannot do that");
}

static void post_reload(struct stream *s)
{
    const struct control *c = core_of(s->worker)->control;
    char message[CONTROL_MESSAGE_MAX] = "";

    if (c == NULL || c->reload == NULL) {
        cannot(s);
        return;
    }
    int rc = c->reload(c->server, message, sizeof message);
    admin_order_log(s, "reload", rc == 0 ? "done" : "failed", 1);
    if (rc == 0)
        admin_json_done(s, 200, "reloaded", 1, message);
    else
        admin_json_error(s, 409, NULL, message[0] != '\0' ? message : "the old stays in force");
}

static void post_drain(struct stream *s)
{
    struct worker *w = s->worker;
    const struct control *c = core_of(w)->control;

    if (c == NULL || c->drain == NULL) {
        cannot(s);
        return;
    }
    admin_order_log(s, "drain", "", core_of(w)->sessions->count);
    if (!core_of(w)->draining)
        c->drain(c->server);
    admin_json_done(s, 202, "draining", 1, NULL);
}

static void post_level(struct stream *s)
{
    char level[ADMIN_VALUE_MAX];
    size_t i = 0;

    if (!admin_order_parameter(stream_request(s), "level", level))
        level[0] = '\0';
    while (levels[i] != NULL && strcmp(levels[i], level) != 0)
        i++;
    if (levels[i] == NULL) {
        admin_order_bad(s, "level= must be error, warn, info or debug");
        return;
    }
    admin_order_log(s, "log-level", level, 1);
    s->worker->log.level = (enum log_level)i;
    admin_json_level(s, level);
}

/* ---- finding who answers ---- */

static const struct {
    const char *path; /* ending in '/': what begins so and has more */
    void (*get)(struct stream *s);
    void (*post)(struct stream *s);
} doors[] = {
    {"/healthz", get_health, NULL},
    {"/readyz", get_ready, NULL},
    {"/metrics", admin_metrics_answer, NULL},
    {"/stats", admin_json_stats, NULL},
    {"/sessions", admin_json_sessions, NULL},
    {"/sessions/kick", NULL, post_kick},
    {"/sessions/", get_session, NULL},
    {"/log-level", get_level, post_level},
    {"/bans", admin_json_bans, NULL},
    {"/ban", NULL, admin_bans_ban},
    {"/unban", NULL, admin_bans_unban},
    {"/reload", NULL, post_reload},
    {"/drain", NULL, post_drain},
};

#define DOORS (sizeof doors / sizeof doors[0])

static bool is_door(const char *door, const char *path)
{
    size_t n = strlen(door);

    if (door[n - 1] == '/')
        return strncmp(path, door, n) == 0 && path[n] != '\0';
    return strcmp(path, door) == 0;
}

static bool admin_wants(const struct config *c, const struct route *route, const struct request *r)
{
    (void)c;
    (void)route;
    return r->admin;
}

static void dispatch(struct stream *s, void (*get)(struct stream *), void (*post)(struct stream *))
{
    struct slice method = stream_request(s)->head->method;
    bool is_get = slice_is(method, "GET") || slice_is(method, "HEAD");

    if (is_get && get != NULL)
        get(s);
    else if (slice_is(method, "POST") && post != NULL)
        post(s);
    else
        admin_json_error(s, 405,
                         get == NULL    ? "Allow: POST\r\n"
                         : post == NULL ? "Allow: GET, HEAD\r\n"
                                        : "Allow: GET, HEAD, POST\r\n",
                         get == NULL    ? "this is an order: use POST"
                         : post == NULL ? "this is only read: use GET"
                                        : "use GET to read it, POST to set it");
}

static void admin_handle(struct stream *s, const struct config *c, const struct route *route)
{
    const char *path = stream_request(s)->path, *why = why_not(stream_request(s));
    (void)c;
    (void)route;

    if (why != NULL) {
        admin_order_log(s, "refused", why, 1);
        admin_json_error(s, 403, NULL, why);
        return;
    }
    if (strcmp(path, "/") == 0) {
        dispatch(s, get_root, NULL);
        return;
    }
    for (size_t i = 0; i < DOORS; i++) {
        if (is_door(doors[i].path, path)) {
            dispatch(s, doors[i].get, doors[i].post);
            return;
        }
    }
    admin_json_error(s, 404, NULL, "the admin address has no such page; GET / lists them");
}

const struct handler_ops handler_admin = {"admin", admin_wants, admin_handle};
