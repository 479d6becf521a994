/* SPDX-License-Identifier: MIT */
#include "core/auth/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/auth/auth_cookie.h"
#include "core/auth/auth_delay.h"
#include "core/auth/auth_queue.h"
#include "core/backend.h"
#include "core/core.h"
#include "core/observe/request_log.h"
#include "core/observe/stats.h"
#include "core/refusal.h"
#include "proto/cookie.h"
#include "proto/handshake.h"

/* Jobs at once, and requests that wait for one. */
#define VERIFY_RUNNING 4
#define HOOKS_RUNNING 8
#define SERVERS_RUNNING 32
#define WAITING 256
#define LEFT_WHILE_JUDGED 1.0 /* seconds that the place of a client that left so stays taken */
#define FIELDS_MAX 512

struct auth *auth_new(struct worker *w)
{
    struct auth *a = calloc(1, sizeof *a);

    if (a == NULL)
        return NULL;
    if (getrandom(a->key, sizeof a->key, 0) == (ssize_t)sizeof a->key) {
        a->delays = auth_delays_new(a->key);
        a->verify = auth_queue_new(w, VERIFY_RUNNING, WAITING);
        a->hooks = auth_queue_new(w, HOOKS_RUNNING, WAITING);
        a->servers = auth_queue_new(w, SERVERS_RUNNING, WAITING);
    }
    if (a->delays != NULL && a->verify != NULL && a->hooks != NULL && a->servers != NULL)
        return a;
    auth_free(a);
    return NULL;
}

void auth_free(struct auth *a)
{
    if (a == NULL)
        return;
    auth_cache_release(&a->cache);
    auth_delays_free(a->delays);
    auth_queue_free(a->verify);
    auth_queue_free(a->hooks);
    auth_queue_free(a->servers);
    explicit_bzero(a->key, sizeof a->key);
    free(a);
}

/* ---- before the start */

static bool realm_sound(const char *realm)
{
    for (const char *p = realm; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
            return false;
    }
    return strlen(realm) <= 128;
}

static void release_kind(void *route)
{
    struct route *r = route;

    if (r->auth->release != NULL)
        r->auth->release(r);
    r->auth = NULL;
}

bool auth_prepare(struct route *r, char why[AUTH_ERROR_MAX])
{
    size_t i = 0;

    if (r->settings.auth == AUTH_NONE)
        return true;
    if (!realm_sound(r->settings.auth_realm)) {
        snprintf(why, AUTH_ERROR_MAX,
                 "auth-realm: plain letters without quotes and backslashes, at most 128");
        return false;
    }
    while (auths[i] != NULL && i + 1 != (size_t)r->settings.auth)
        i++;
    if (auths[i] == NULL) {
        snprintf(why, AUTH_ERROR_MAX, "this program was built without it");
        return false;
    }
    if (!auths[i]->prepare(r, why))
        return false;
    r->auth = auths[i];
    if (config_own(r->config, release_kind, r))
        return true;
    snprintf(why, AUTH_ERROR_MAX, "out of memory");
    return false;
}

/* Somebody names a file of passwords and expects that they are asked for. */
bool auth_settings_sound(const struct config *c, const struct route *r, char why[AUTH_ERROR_MAX])
{
    const struct settings *s = &r->settings;
    bool used = false;

    if (s->auth != AUTH_NONE || (s->auth_file == NULL && s->auth_hook.count == 0))
        return true;
    for (size_t i = 0; i < c->route_count; i++)
        used = used || c->routes[i].settings.auth != AUTH_NONE;
    if (used && s->auth_file == c->settings.auth_file &&
        s->auth_hook.items == c->settings.auth_hook.items)
        return true; /* a default for others */
    snprintf(why, AUTH_ERROR_MAX,
             "%s is set, but nobody is asked: auth is none; write auth: basic, bearer or hook",
             s->auth_file != NULL ? "auth-file" : "auth-hook");
    return false;
}

static bool texts_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool auth_same(const struct route *a, const struct route *b)
{
    const struct text_list *hook_a = &a->settings.auth_hook, *hook_b = &b->settings.auth_hook;

    if (a == b || b->auth == NULL)
        return true;
    if (a->auth != b->auth || !texts_same(a->settings.auth_file, b->settings.auth_file) ||
        hook_a->count != hook_b->count)
        return false;
    for (size_t i = 0; i < hook_a->count; i++) {
        if (!texts_same(hook_a->items[i], hook_b->items[i]))
            return false;
    }
    return hook_a->count == 0; /* a hook is told the route, and may judge by it */
}

/* ---- one request */

/* left: its client has, so many seconds before its answer. They count, or who does not wait for the
 * answer to a wrong guess could guess at any pace. */
static void check_end(struct auth_check *a, double left)
{
    struct stream *s = a->stream;

    ev_timer_stop(s->worker->loop, &s->timer);
    stream_take(s, NULL, NULL);
    if (a->counted)
        auth_delays_leave(core_of(s->worker)->auth->delays, &stream_request(s)->client,
                          s->worker->clock, left);
    config_release(a->config);
    free(a);
}

/* The client left meanwhile. */
static void auth_on_closed(void *owner, int err)
{
    struct auth_check *a = owner;
    struct stream *s = a->stream;
    double left = a->judging ? LEFT_WHILE_JUDGED : ev_timer_remaining(s->worker->loop, &s->timer);
    (void)err;

    if (a->judging && a->ops->cancel != NULL)
        a->ops->cancel(a);
    check_end(a, left);
    stream_abort(s);
}

/* Who asks for a page may end its side and wait for the answer; who wants a WebSocket needs both.
 */
static void on_hung_up(void *owner)
{
    const struct auth_check *a = owner;

    if (handshake_wanted(stream_request(a->stream)->head))
        auth_on_closed(owner, 0);
}

static const struct stream_events auth_events = {NULL, NULL, auth_on_closed, on_hung_up};

static void auth_judge(struct stream *s, const struct auth_ops *ops, const struct route *route,
                       void (*then)(struct stream *s, const struct config *c))
{
    struct auth_check *a = calloc(1, sizeof *a);

    if (a == NULL) {
        request_log(s, 503, "out of memory");
        stream_refuse(s, 503, "Retry-After: 1\r\n", "out of memory, try again later");
        return;
    }
    a->stream = s;
    a->route = route;
    a->ops = ops;
    a->config = config_retain(route->config);
    a->then = then;
    a->judging = true;
    stream_take(s, &auth_events, a);
    ev_timer_init(&s->timer, NULL, 0, 0);
    ops->judge(a);
}

void auth_request(struct stream *s, const struct route *route, const struct config *c,
                  void (*then)(struct stream *s, const struct config *c))
{
    if (route->auth == NULL)
        then(s, c);
    else
        auth_judge(s, route->auth, route, then);
}

void auth_guard(struct stream *s, const struct auth_ops *guard, const struct route *route,
                const struct config *c, void (*then)(struct stream *s, const struct config *c))
{
    if (guard == NULL)
        then(s, c);
    else
        auth_judge(s, guard, route, then);
}

void auth_admit(struct auth_check *a)
{
    struct stream *s = a->stream;
    void (*then)(struct stream *, const struct config *) = a->then;
    struct config *c = config_retain(a->config);

    a->judging = false;
    check_end(a, 0);
    then(s, c);
    config_release(c);
}

/* Only for pages: whoever opens a WebSocket could have set the cookie by one. */
static void offer_cookie(const struct auth_check *a, struct request *r,
                         const struct auth_claim *claim)
{
    const struct worker *w = a->stream->worker;
    char line[AUTH_COOKIE_LINE_MAX], *before = r->set_cookie;

    if (handshake_wanted(r->head) || !auth_cookie_wanted(a->route) ||
        !auth_cookie_make(core_of(w)->auth, a->route, r, claim, w->clock, line))
        return;
    if (before == NULL)
        r->set_cookie = strdup(line);
    else if (asprintf(&r->set_cookie, "%s%s", before, line) < 0)
        r->set_cookie = before;
    else
        free(before);
}

bool auth_by_cookie(struct auth_check *a)
{
    const struct worker *w = a->stream->worker;
    const struct request *r = stream_request(a->stream);
    uint8_t credential[SECRET_MAC_SIZE];
    struct auth_grant *grant;
    bool known, holds;
    struct cookie c;

    if (!auth_cookie_wanted(a->route) || auth_cookie_is_foreign(r))
        return false;
    for (size_t at = 0; auth_cookie_next(r, w->clock, &at, &c);) {
        grant = NULL;
        known = a->ops->by_cookie(a, slice_of(c.who, c.who_len), credential, &grant);
        holds = auth_cookie_holds(core_of(w)->auth, a->route, &c,
                                  credential); /* known or not takes as long */
        if (known && holds) {
            auth_allow(a, grant, NULL);
            return true;
        }
        free(grant);
    }
    return false;
}

void auth_allow(struct auth_check *a, struct auth_grant *grant, const struct auth_claim *claim)
{
    struct request *r = stream_request(a->stream);

    if (grant == NULL) {
        auth_deny(a, 503, "out of memory, try again later", AUTH_NOTHING, NULL);
        return;
    }
    free(r->grant);
    r->grant = grant;
    if (claim != NULL)
        offer_cookie(a, r, claim);
    auth_admit(a);
}

/* ---- saying no */

static void make_challenge(const struct auth_check *a, char fields[FIELDS_MAX])
{
    const struct auth_ops *ops = a->ops;

    fields[0] = '\0';
    if (a->status == 401 && ops->challenge != NULL)
        snprintf(fields, FIELDS_MAX, "WWW-Authenticate: %s realm=\"%s\"%s\r\n", ops->challenge,
                 a->route->settings.auth_realm, ops->challenge_more);
    else if (a->status == 503 || a->status == 429)
        snprintf(fields, FIELDS_MAX, "Retry-After: 1\r\n");
}

static void auth_answer(struct auth_check *a)
{
    struct stream *s = a->stream;
    const struct route *route = a->route;
    struct config *c = config_retain(a->config);
    bool is_guard = a->ops != route->auth;
    int status = a->status;
    const char *why = a->why;
    char fields[FIELDS_MAX];

    make_challenge(a, fields);
    check_end(a, 0);
    if (is_guard)
        refuse_over_limit(s, route, status, status == 403 ? 0 : 1, why);
    else
        stream_refuse(s, status, fields, why);
    config_release(c);
}

static void auth_on_late(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;

    auth_answer(timer->data);
}

static const char too_many[] = "too many attempts from your address, try again later";

bool auth_throttled(struct auth_check *a)
{
    struct stream *s = a->stream;

    if (a->counted)
        return false;
    a->counted = auth_delays_enter(core_of(s->worker)->auth->delays, &stream_request(s)->client,
                                   s->worker->clock);
    if (a->counted)
        return false;
    auth_deny(a, 429, too_many, AUTH_NOTHING, NULL);
    return true;
}

/*
 * A failed authentication, for whoever bans by the log. Its lines are limited by address: no noise
 * of others hides them, neither does it flood.
 */
static void log_guess(const struct auth_check *a, const char *user)
{
    const struct stream *s = a->stream;
    const struct request *r = stream_request(s);
    struct auth *auth = core_of(s->worker)->auth;
    char client[ADDR_TEXT_MAX], more[24] = "";
    uint64_t untold;

    auth->failures++;
    stats_refused(s->worker, a->status);
    if (!auth_delays_tell(auth->delays, &r->client, s->worker->clock, &untold))
        return;
    if (untold > 0)
        snprintf(more, sizeof more, "%llu", (unsigned long long)untold);
    log_line(
        &s->worker->log, LOG_WARN, LOG_AUTH_FAILED,
        LOG_C("client", addr_format(&r->client, client)), LOG_C("auth", a->ops->name),
        LOG_C("user", user), LOG_S("method", r->head->method), LOG_C("path", r->path),
        LOG_I("status", a->status), LOG_C("reason", a->why), LOG_C("untold", more),
        LOG_S("proxy_unique_id", r->proxied != NULL ? r->proxied->unique_id : slice_of(NULL, 0)));
}

/* Seconds until the answer. */
static double auth_delay_of(struct auth_check *a, enum auth_attempt attempt)
{
    struct worker *w = a->stream->worker;
    const union addr *client = &stream_request(a->stream)->client;
    double delay;

    if (attempt == AUTH_NOTHING)
        return 0;
    delay = attempt == AUTH_EMPTY ? auth_delays_empty(core_of(w)->auth->delays, client, w->clock)
                                  : auth_delays_failed(core_of(w)->auth->delays, client, w->clock);
    if (!a->counted) /* else their answers would wait here without a limit */
        a->counted = auth_delays_enter(core_of(w)->auth->delays, client, w->clock);
    if (a->counted)
        return delay;
    a->status = 429;
    a->why = too_many;
    return 0;
}

void auth_deny(struct auth_check *a, int status, const char *why, enum auth_attempt attempt,
               const char *user)
{
    struct stream *s = a->stream;
    double delay;

    a->judging = false;
    a->status = status;
    a->why = why;
    delay = auth_delay_of(a, attempt);
    if (attempt == AUTH_GUESS)
        log_guess(a, user);
    else
        request_log(s, a->status, a->why);
    if (delay <= 0) {
        auth_answer(a);
        return;
    }
    ev_timer_init(&s->timer, auth_on_late, delay, 0);
    ev_timer_start(s->worker->loop, &s->timer);
}

/* ---- afterwards */

void auth_forget(struct request *r, const struct route *route)
{
    struct http_head *h = (struct http_head *)(uintptr_t)r->head; /* the front's own */
    char none[1];

    /* Browsers send it to every route below its path, also to those that ask for no token. */
    (void)cookie_take(h, AUTH_TOKEN_COOKIE, none, 0);
    if (route == NULL || route->auth == NULL)
        return;
    for (size_t i = 0; i < h->count; i++) {
        if (slice_eq_nocase(h->fields[i].name, slice_from("Authorization")))
            secret_wipe(h->fields[i].value);
    }
    if (route->auth->forget != NULL)
        route->auth->forget(r);
}
