/* SPDX-License-Identifier: MIT */
#include "core/stream.h"

#include <stdio.h>

#include "core/request.h"

void stream_refuse(struct stream *s, int status, const char *fields, const char *why)
{
    char body[512];
    int n = snprintf(body, sizeof body, "%d %s: %s\n", status, http_reason(status), why);
    const struct response r = {
        .status = status,
        .fields = fields,
        .body = slice_of(body, (size_t)n < sizeof body ? (size_t)n : sizeof body - 1),
        .head_only = stream_request(s) != NULL && slice_is(stream_request(s)->head->method, "HEAD"),
        .close = true,
    };

    stream_respond(s, &r);
    stream_end(s);
}
