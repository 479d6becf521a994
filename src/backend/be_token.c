/* SPDX-License-Identifier: MIT */

/* token: a service, at the address that a file has for the token that the client brings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backends.h"
#include "backend/service.h"
#include "backend/token_list.h"
#include "core/auth/auth.h"
#include "core/core.h"
#include "core/request.h"

/* ?token=, or the path's last segment behind the route's own. */
static struct slice token_of(const struct request *r)
{
    const char *below = r->path + r->match.prefix, *slash = strrchr(below, '/');

    if (r->token != NULL)
        return slice_from(r->token);
    return slice_from(slash != NULL ? slash + 1 : below);
}

static const struct service_refusal unreadable = {503, "the list of services cannot be read"};
static const struct service_refusal unknown = {403, "no service has this token"};

static void log_broken(struct worker *w, const struct route *route, const struct token_target *to)
{
    if (to->why[0] != '\0')
        log_line(&w->log, LOG_ERROR, "cannot read the list of services",
                 LOG_C("route", route->path), LOG_C("reason", to->why));
}

/* The list may have changed since the guard has looked. */
static struct backend *token_refuse(struct service *s, const struct backend_open *o)
{
    log_broken(o->worker, o->route, s->target);
    return service_refuse(s, s->target->broken ? &unreadable : &unknown);
}

/* A token is guessed like a password: before anything is opened for it. */
static void token_judge(struct auth_check *a)
{
    struct worker *w = a->stream->worker;
    const struct slice token = token_of(stream_request(a->stream));
    struct token_target to;

    if (token.len == 0) {
        auth_deny(a, unknown.status, unknown.why, AUTH_NOTHING, NULL);
        return;
    }
    if (auth_throttled(a))
        return;
    if (token_list_find(a->route->target.tokens, w->now, token, &to)) {
        auth_admit(a);
        return;
    }
    log_broken(w, a->route, &to);
    if (to.broken)
        auth_deny(a, unreadable.status, unreadable.why, AUTH_NOTHING, NULL);
    else
        auth_deny(a, unknown.status, unknown.why, AUTH_GUESS, NULL);
}

static const struct auth_ops token_guard = {.name = "token-file", .judge = token_judge};

static struct backend *token_open(const struct backend_open *o)
{
    struct service *s = service_new(o, &backend_token);
    struct token_target *to;

    if (s == NULL)
        return NULL;
    s->target = to = calloc(1, sizeof *to);
    if (to == NULL)
        return service_drop(s);
    const struct slice token = token_of(o->request);
    bool found = token_list_find(o->route->target.tokens, o->worker->now, token, to);
    (void)secret_mac(core_of(o->worker)->auth->key, &token, 1,
                     to->mac); /* without memory: nobody's */
    if (!found)
        return token_refuse(s, o);
    const struct connect_spec spec = {
        .host = to->is_unix ? NULL : to->host,
        .port = to->port,
        .unix_path = to->is_unix ? to->host : NULL,
        .timeout = o->route->settings.connect_timeout,
    };
    return service_connect(s, o, &spec);
}

static const char *token_parse(struct target *t, const char *rest, struct arena *arena)
{
    (void)arena;
    t->token_file = rest;
    return rest[0] == '\0' ? "a file or directory is needed" : NULL;
}

static void free_list(void *list)
{
    token_list_free(list);
}

static const char *token_prepare(struct route *r, struct arena *arena)
{
    struct token_target target;

    if (r->target.text == NULL)
        r->target.text = r->target.token_file;
    r->target.tokens = token_list_new(r->target.token_file);
    if (r->target.tokens == NULL || !config_own(r->config, free_list, r->target.tokens))
        return "out of memory";
    if (token_list_find(r->target.tokens, 0, slice_of("", 0), &target) || !target.broken)
        return NULL;
    return arena_dup(arena, slice_from(target.why));
}

static bool token_has_token(const struct backend *b, const uint8_t mac[SECRET_MAC_SIZE])
{
    return secret_equal(service_of_const(b)->target->mac, mac, SECRET_MAC_SIZE);
}

static void token_describe(const struct backend *b, char *out, size_t size)
{
    const struct service *s = service_of_const(b);

    if (s->target->is_unix)
        snprintf(out, size, "%s", s->target->host);
    else
        service_describe(b, out, size);
}

static const struct option_row token_rows[] = {
    {.name = "token-file",
     .type = OPTION_TEXT,
     .place = IN_TARGET,
     .offset = offsetof(struct target, token_file),
     .reload = RELOAD_NEW,
     .value = "PATH",
     .help =
         "a file, or a directory of files, with a service for each token: lines `TOKEN: HOST:PORT` "
         "or `TOKEN: unix:PATH`; the token is ?token= or the last segment of the path"},
};

const struct backend_ops backend_token = {
    .name = "token",
    .prefix = "token-file:",
    .scheme_help = "token-file:PATH",
    .takes_token = true,
    .rows = token_rows,
    .rows_count = sizeof token_rows / sizeof token_rows[0],
    .key = "token-file",
    .parse = token_parse,
    .prepare = token_prepare,
    .guard = &token_guard,
    .open = token_open,
    .describe = token_describe,
    .has_token = token_has_token,
    SERVICE_OPS,
};
