/* SPDX-License-Identifier: MIT */
#include "http/dispatch.h"

#include <errno.h>
#include <stdio.h>

#include "core/admission/admission.h"
#include "core/admission/hostname.h"
#include "core/auth/auth.h"
#include "core/auth/auth_cookie.h"
#include "core/backend.h"
#include "core/core.h"
#include "core/handler.h"
#include "core/observe/request_log.h"
#include "core/observe/stats.h"
#include "core/refusal.h"
#include "core/request.h"
#include "proto/handshake.h"

#define HOST_TOLD_MAX 300

/* Admission has counted it, and told the log. */
static void turn_away(struct stream *s)
{
    const struct request *r = stream_request(s);
    int status = admission_status(r->admission);

    stats_refused(s->worker, status);
    refuse_over_limit(
        s, r->match.route, status,
        admission_retry_after(core_of(s->worker)->admission, &r->client, r->admission),
        admission_why(r->admission));
}

static const struct handler_ops *dispatch_choose(const struct stream *s, const struct config *c)
{
    const struct request *r = stream_request(s);

    for (const struct handler_ops *const *h = handlers; *h != NULL; h++) {
        if ((*h)->wants(c, r->match.route, r))
            return *h;
    }
    return NULL;
}

/* Judging takes its time. Who has been banned meanwhile had no session yet that could be ended. */
static bool may_still(struct stream *s)
{
    struct request *r = stream_request(s);

    r->admission = admission_refuse_banned_since(core_of(s->worker)->admission, &r->client);
    if (r->admission == ADMISSION_PASS)
        return true;
    turn_away(s); /* the request is gone then */
    return false;
}

/* What may be asked for here; also what HAProxy asks when it looks whether we are well. */
static void answer_options(struct stream *s)
{
    const struct response answer = {.status = 204, .fields = "Allow: " HANDSHAKE_METHODS "\r\n"};

    request_log(s, answer.status, NULL);
    stream_respond(s, &answer);
    stream_end(s);
}

static void dispatch_hand_over(struct stream *s, const struct config *c)
{
    struct request *r = stream_request(s);
    const struct route *route = r->match.route;
    const struct handler_ops *h = dispatch_choose(s, c);

    if (h == NULL) {
        request_log(s, 404, "no route");
        stream_refuse(s, 404, NULL, "nothing is served at this path");
        return;
    }
    if (r->grant != NULL && !may_still(s))
        return;
    auth_forget(r, route);
    auth_forget(r, r->match.files);
    if (!r->admin && slice_is(r->head->method, "OPTIONS") && !handshake_wanted(r->head))
        answer_options(s);
    else
        h->handle(s, c, route);
}

/*
 * The route lets it pass. What is shown may be the files of another route, which has a say, too,
 * and before anybody looks whether there is such a file: else the answers would tell who may not
 * know.
 */
static void passed(struct stream *s, const struct config *c)
{
    const struct request *r = stream_request(s);
    const struct route_match *m = &r->match;

    if (m->files != NULL && !handshake_wanted(r->head) && !auth_same(m->route, m->files))
        auth_request(s, m->files, c, dispatch_hand_over);
    else
        dispatch_hand_over(s, c);
}

static bool token_is_secret(const struct route *r)
{
    return r != NULL && ((r->auth != NULL && r->auth->takes_token) ||
                         (r->backend != NULL && r->backend->takes_token));
}

static void no_memory(struct stream *s)
{
    request_log(s, 503, "out of memory");
    stream_refuse(s, 503, "Retry-After: 1\r\n", "out of memory, try again later");
}

/* What was to be taken out of the request is wrong, or there is no memory for it. */
static void cannot_take(struct stream *s, const char *wrong)
{
    if (errno == ENOMEM) {
        no_memory(s);
        return;
    }
    request_log(s, 400, wrong);
    stream_refuse(s, 400, NULL, wrong);
}

/* What tells one visitor's session is nobody else's business: it goes before anybody looks. */
static bool takes_session(struct stream *s, struct request *r)
{
    bool keeps = r->match.route->settings.session != SESSION_OF_CONNECTION;
    const char *wrong = request_take_session(r, keeps);

    if (wrong == NULL)
        return true;
    if (errno != ENOMEM && !keeps) /* where nothing is kept that is said by a Close */
        return true;
    cannot_take(s, wrong);
    return false;
}

/* The name that was asked for is in the log, not in the answer. */
static bool is_for_us(struct stream *s, const struct config *c)
{
    const struct request *r = stream_request(s);
    const char *why = hostname_refusal(c, r);
    char told[HOST_TOLD_MAX];

    if (why == NULL)
        return true;
    snprintf(told, sizeof told, "%s (Host: %.*s)", why, (int)r->host.len, r->host.p);
    request_log(s, 403, told);
    stream_refuse(s, 403, NULL, why);
    return false;
}

void dispatch_request(struct stream *s)
{
    const struct config *c = core_of(s->worker)->config;
    struct request *r = stream_request(s);

    route_find(c, r, &r->match);
    if (r->admission != ADMISSION_PASS) {
        turn_away(s);
        return;
    }
    if (r->admin) { /* that door has its own rule */
        dispatch_hand_over(s, c);
        return;
    }
    if (!is_for_us(s, c))
        return;
    if (r->match.route == NULL) {
        dispatch_hand_over(s, c);
        return;
    }
    if (!request_take_cookies(r, AUTH_COOKIE_NAME)) {
        no_memory(s);
        return;
    }
    if ((token_is_secret(r->match.route) || token_is_secret(r->match.files)) &&
        !request_take_token(r)) {
        cannot_take(s, "the token in the query is no text");
        return;
    }
    if (!takes_session(s, r))
        return;
    auth_request(s, r->match.route, c, passed);
}
