/* SPDX-License-Identifier: MIT */
#include "core/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/auth_delay.h"
#include "core/auth_job.h"
#include "core/handler.h"
#include "proto/handshake.h"

#define VERIFY_RUNNING 4
#define VERIFY_WAITING 256
#define HOOKS_RUNNING 8
#define HOOKS_WAITING 256
#define FIELDS_MAX 512

struct auth *auth_new(struct worker *w)
{
    struct auth *a = calloc(1, sizeof *a);

    if (a == NULL)
        return NULL;
    if (getrandom(a->key, sizeof a->key, 0) == (ssize_t)sizeof a->key) {
        a->delays = auth_delays_new(a->key);
        a->verify = auth_jobs_new(w, VERIFY_RUNNING, VERIFY_WAITING);
        a->hooks = auth_jobs_new(w, HOOKS_RUNNING, HOOKS_WAITING);
    }
    if (a->delays != NULL && a->verify != NULL && a->hooks != NULL)
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
    auth_jobs_free(a->verify);
    auth_jobs_free(a->hooks);
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
    return true;
}

void auth_release(struct route *r)
{
    if (r->auth != NULL && r->auth->release != NULL)
        r->auth->release(r);
    r->auth = NULL;
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
        auth_delays_leave(s->worker->auth->delays, &stream_request(s)->client, s->worker->now,
                          left);
    config_release(a->config);
    free(a);
}

/* The client left meanwhile. */
static void on_closed(void *owner, int err)
{
    struct auth_check *a = owner;
    struct stream *s = a->stream;
    double left = a->judging ? 0 : ev_timer_remaining(s->worker->loop, &s->timer);
    (void)err;

    if (a->judging && a->route->auth->cancel != NULL)
        a->route->auth->cancel(a);
    check_end(a, left);
    stream_abort(s);
}

/* Who asks for a page may end its side and wait for the answer; who wants a WebSocket needs both.
 */
static void on_hung_up(void *owner)
{
    const struct auth_check *a = owner;

    if (handshake_wanted(stream_request(a->stream)->head))
        on_closed(owner, 0);
}

static const struct stream_events auth_events = {NULL, NULL, on_closed, on_hung_up};

void auth_request(struct stream *s, const struct route *route, const struct config *c,
                  void (*then)(struct stream *s, const struct config *c))
{
    struct auth_check *a;

    if (route->auth == NULL) {
        then(s, c);
        return;
    }
    a = calloc(1, sizeof *a);
    if (a == NULL) {
        handler_log(s, 503, "out of memory");
        stream_refuse(s, 503, "Retry-After: 1\r\n", "out of memory, try again later");
        return;
    }
    a->stream = s;
    a->route = route;
    a->config = config_retain(route->config);
    a->then = then;
    a->judging = true;
    stream_take(s, &auth_events, a);
    ev_timer_init(&s->timer, NULL, 0, 0);
    route->auth->judge(a);
}

void auth_allow(struct auth_check *a, struct auth_grant *grant)
{
    struct stream *s = a->stream;
    void (*then)(struct stream *, const struct config *) = a->then;
    struct config *c = config_retain(a->config);

    if (grant == NULL) {
        auth_deny(a, 503, "out of memory, try again later", false);
        config_release(c);
        return;
    }
    free(stream_request(s)->grant);
    stream_request(s)->grant = grant;
    a->judging = false;
    check_end(a, 0);
    then(s, c);
    config_release(c);
}

/* ---- saying no */

static void make_challenge(const struct auth_check *a, char fields[FIELDS_MAX])
{
    const struct auth_ops *ops = a->route->auth;

    fields[0] = '\0';
    if (a->status == 401 && ops->challenge != NULL)
        snprintf(fields, FIELDS_MAX, "WWW-Authenticate: %s realm=\"%s\"%s\r\n", ops->challenge,
                 a->route->settings.auth_realm, ops->challenge_more);
    else if (a->status == 503 || a->status == 429)
        snprintf(fields, FIELDS_MAX, "Retry-After: 1\r\n");
}

static void answer(struct auth_check *a)
{
    struct stream *s = a->stream;
    int status = a->status;
    const char *why = a->why;
    char fields[FIELDS_MAX];

    make_challenge(a, fields);
    check_end(a, 0);
    stream_refuse(s, status, fields, why);
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;

    answer(timer->data);
}

bool auth_throttled(struct auth_check *a)
{
    struct stream *s = a->stream;

    if (a->counted)
        return false;
    a->counted =
        auth_delays_enter(s->worker->auth->delays, &stream_request(s)->client, s->worker->now);
    if (a->counted)
        return false;
    auth_deny(a, 429, "too many attempts from your address, try again later", false);
    return true;
}

void auth_deny(struct auth_check *a, int status, const char *why, bool is_attempt)
{
    struct stream *s = a->stream;
    struct worker *w = s->worker;
    double delay = 0;

    a->judging = false;
    if (is_attempt) {
        delay = auth_delays_failed(w->auth->delays, &stream_request(s)->client, w->now);
        if (!a->counted) /* else their answers would wait here without a limit */
            a->counted = auth_delays_enter(w->auth->delays, &stream_request(s)->client, w->now);
        if (!a->counted) {
            status = 429;
            why = "too many attempts from your address, try again later";
            delay = 0;
        }
    }
    a->status = status;
    a->why = why;
    handler_log(s, status, why);
    if (delay <= 0) {
        answer(a);
        return;
    }
    ev_timer_init(&s->timer, on_late, delay, 0);
    ev_timer_start(w->loop, &s->timer);
}

/* ---- afterwards */

void auth_forget(struct request *r, const struct route *route)
{
    const struct http_head *h = r->head;

    if (route == NULL || route->auth == NULL)
        return;
    for (size_t i = 0; i < h->count; i++) {
        if (slice_eq_nocase(h->fields[i].name, slice_from("Authorization")))
            secret_wipe(h->fields[i].value);
    }
    if (route->auth->forget != NULL)
        route->auth->forget(r);
}
