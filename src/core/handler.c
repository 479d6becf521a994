/* SPDX-License-Identifier: MIT */
#include "core/handler.h"

#include "core/auth.h"
#include "core/backend.h"
#include "core/stats.h"

void handler_log(const struct stream *s, int status, const char *why)
{
    const struct request *r = s->request;
    char client[ADDR_TEXT_MAX];

    log_line(
        &s->worker->log, status >= 400 ? LOG_INFO : LOG_DEBUG,
        status >= 400 ? "request refused" : "request",
        LOG_C("client", addr_format(&r->client, client)), LOG_C("user", request_user(r)),
        LOG_S("method", r->head->method), LOG_C("path", r->path), LOG_I("status", status),
        LOG_C("reason", why),
        LOG_S("proxy_unique_id", r->proxied != NULL ? r->proxied->unique_id : slice_of(NULL, 0)));
    if (status >= 400)
        stats_refused(s->worker, status);
}

static const struct handler_ops *choose(const struct stream *s, const struct config *c)
{
    const struct request *r = s->request;

    for (const struct handler_ops *const *h = handlers; *h != NULL; h++) {
        if ((*h)->wants(c, r->match.route, r))
            return *h;
    }
    return NULL;
}

static void hand_to(const struct handler_ops *h, struct stream *s, const struct config *c)
{
    const struct route *route = s->request->match.route;

    if (h == NULL) {
        handler_log(s, 404, "no route");
        stream_refuse(s, 404, NULL, "nothing is served at this path");
        return;
    }
    auth_forget(s->request, route);
    auth_forget(s->request, s->request->match.files);
    h->handle(s, c, route);
}

static void hand_over(struct stream *s, const struct config *c)
{
    hand_to(choose(s, c), s, c);
}

/* The route lets it pass. What is shown may be the files of another route, which has a say, too. */
static void passed(struct stream *s, const struct config *c)
{
    const struct route_match *m = &s->request->match;
    const struct handler_ops *h = choose(s, c);

    if (h != NULL && h->shows_files && m->files != NULL && !auth_same(m->route, m->files))
        auth_request(s, m->files, c, hand_over);
    else
        hand_to(h, s, c);
}

static bool token_is_secret(const struct route *r)
{
    return r != NULL && ((r->auth != NULL && r->auth->takes_token) ||
                         (r->backend != NULL && r->backend->takes_token));
}

void handler_dispatch(struct stream *s)
{
    const struct config *c = s->worker->config;
    struct request *r = s->request;

    route_find(c, r, &r->match);
    if (r->admin || r->match.route == NULL) {
        hand_over(s, c);
        return;
    }
    if ((token_is_secret(r->match.route) || token_is_secret(r->match.files)) &&
        !request_take_token(r)) {
        handler_log(s, 400, "the token in the query is no text");
        stream_refuse(s, 400, NULL, "the token in the query is no text");
        return;
    }
    auth_request(s, r->match.route, c, passed);
}
