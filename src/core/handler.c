/* SPDX-License-Identifier: MIT */
#include "core/handler.h"

#include "core/stats.h"

void handler_log(const struct stream *s, int status, const char *why)
{
    const struct request *r = s->request;
    char client[ADDR_TEXT_MAX];

    log_line(&s->worker->log, status >= 400 ? LOG_INFO : LOG_DEBUG,
             status >= 400 ? "request refused" : "request",
             LOG_C("client", addr_format(&r->client, client)), LOG_S("method", r->head->method),
             LOG_C("path", r->path), LOG_I("status", status), LOG_C("reason", why));
    if (status >= 400)
        stats_refused(s->worker, status);
}

void handler_dispatch(struct stream *s)
{
    const struct config *c = s->worker->config;
    struct request *r = s->request;
    const struct route *route;

    route_find(c, r, &r->match);
    route = r->match.route;
    for (const struct handler_ops *const *h = handlers; *h != NULL; h++) {
        if ((*h)->wants(c, route, s->request)) {
            (*h)->handle(s, c, route);
            return;
        }
    }
    handler_log(s, 404, "no route");
    stream_refuse(s, 404, NULL, "nothing is served at this path");
}
