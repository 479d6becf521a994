/* SPDX-License-Identifier: MIT */

/*
 * redirect-to-https: a browser that asks a plain listener for a page is sent to the same path at
 * the listener with TLS. WebSocket handshakes are not redirected: browsers do not follow.
 */
#include <stdio.h>
#include <string.h>

#include "http/h1.h"

#define PLACE_MAX 1500 /* bytes; an answer's head has 2048 in all */

static bool is_plain_get(const struct http_head *head)
{
    return (slice_is(head->method, "GET") || slice_is(head->method, "HEAD")) &&
           !http_head_list_has(head, "Upgrade", "websocket");
}

/* "example.org" of "example.org:8080"; "[::1]" stays as it is. */
static struct slice without_port(struct slice host)
{
    size_t n = host.len;

    while (n > 0 && host.p[n - 1] >= '0' && host.p[n - 1] <= '9')
        n--;
    return n > 0 && host.p[n - 1] == ':' && host.p[0] != ':' ? slice_of(host.p, n - 1) : host;
}

/* What may stand in a URL's host and nothing else. */
static bool is_host(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.p[i];

        if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}/?#@%", c) != NULL)
            return false;
    }
    return host.len > 0;
}

bool h1_redirect(struct h1 *h)
{
    const struct request *r = &h->asker->req->request;
    struct slice host = without_port(r->host), path = r->raw_path, query = r->query;
    char fields[PLACE_MAX + 32], port[8] = "";

    if (h->asker->redirect == 0 || r->secure || !is_plain_get(r->head) || !is_host(host))
        return false;
    if (host.len + path.len + query.len + sizeof port + sizeof "https://?" > PLACE_MAX)
        return false; /* an answer as ever, then */
    if (h->asker->redirect != 443)
        snprintf(port, sizeof port, ":%u", h->asker->redirect);
    snprintf(fields, sizeof fields, "Location: https://%.*s%s%.*s%s%.*s\r\n", (int)host.len, host.p,
             port, (int)path.len, path.p, query.p != NULL ? "?" : "", (int)query.len,
             query.p != NULL ? query.p : "");
    const struct response answer = {
        .status = 301,
        .fields = fields,
        .body = slice_from("this page is at https://\n"),
        .head_only = slice_is(r->head->method, "HEAD"),
    };
    stream_respond(&h->stream, &answer);
    stream_end(&h->stream);
    return true;
}
