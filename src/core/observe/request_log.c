/* SPDX-License-Identifier: MIT */
#include "core/observe/request_log.h"

#include "core/observe/stats.h"
#include "core/request.h"
#include "core/subprotocol.h"
#include "proto/handshake.h"

void request_log(const struct stream *s, int status, const char *why)
{
    const struct request *r = stream_request(s);
    char client[ADDR_TEXT_MAX], offers[SUBPROTOCOL_TOLD_MAX];
    bool handshake_failed = status >= 400 && handshake_wanted(r->head);

    log_line(
        &s->worker->log, status >= 400 ? LOG_INFO : LOG_DEBUG,
        status >= 400 ? "request refused" : "request",
        LOG_C("client", addr_format(&r->client, client)), LOG_C("user", request_user(r)),
        LOG_S("method", r->head->method), LOG_C("path", r->path), LOG_I("status", status),
        LOG_C("reason", why),
        LOG_C("offers", handshake_failed ? subprotocol_tell(r->head, offers) : NULL),
        LOG_S("proxy_unique_id", r->proxied != NULL ? r->proxied->unique_id : slice_of(NULL, 0)));
    if (status >= 400)
        stats_refused(s->worker, status);
}
