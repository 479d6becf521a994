/* SPDX-License-Identifier: MIT */

/* What an HTTP/1.1 connection answers: heads, bodies in chunks, the 101. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/auth/auth_cookie.h"
#include "core/config.h"
#include "core/core.h"
#include "http/h1.h"
#include "io/worker.h"

#define HEAD_MAX (2048 + ROUTE_HEADERS_MAX + 2 * AUTH_COOKIE_LINE_MAX) /* bytes of an answer's */
#define BODY_FIELDS_MAX 192 /* bytes of those about its body */

/* RFC 9110, section 6.6.1: a server with a clock tells the time. */
static const char *date_field(char out[64])
{
    time_t now = time(NULL);
    struct tm tm;

    if (gmtime_r(&now, &tm) == NULL ||
        strftime(out, 64, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm) == 0)
        out[0] = '\0';
    return out;
}

/* What the body is and how long. Of an unknown length 1.0 learns at the end of the connection. */
static const char *body_fields(const struct response *r, bool is_1_0, char out[BODY_FIELDS_MAX])
{
    uint64_t length = r->length > 0 ? r->length : r->body.len;
    int n;

    out[0] = '\0';
    if (r->status == 204) /* RFC 9110, section 8.6 */
        return out;
    n = snprintf(out, BODY_FIELDS_MAX, "Content-Type: %.80s\r\n",
                 r->content_type != NULL ? r->content_type : "text/plain; charset=utf-8");
    if (!r->unknown_length)
        snprintf(out + n, BODY_FIELDS_MAX - (size_t)n, "Content-Length: %llu\r\n",
                 (unsigned long long)length);
    else if (!is_1_0)
        snprintf(out + n, BODY_FIELDS_MAX - (size_t)n, "Transfer-Encoding: chunked\r\n");
    return out;
}

/* 1.1 stays unless told, 1.0 goes unless told (RFC 9112, section 9.3). 426 has an Upgrade field,
 * which holds for this connection only, so it is an option of it (RFC 9110, section 7.8). */
static const char *connection_field(int status, bool keep_alive, bool is_1_0)
{
    if (status == 426)
        return keep_alive ? "Connection: Upgrade\r\n" : "Connection: close, Upgrade\r\n";
    if (!keep_alive)
        return "Connection: close\r\n";
    return is_1_0 ? "Connection: keep-alive\r\n" : "";
}

/* Who has passed may come again by it; it is for nobody else, so no cache may keep it. */
static const char *cookie_fields(const struct h1_request *req, int status)
{
    return req->handed && status < 400 && req->request.set_cookie != NULL ? req->request.set_cookie
                                                                          : "";
}

void h1_respond(struct stream *s, const struct response *r)
{
    struct h1 *h = h1_of(s);
    const struct h1_request *req = h->asker->req;
    bool is_1_0 = req->parser.head.is_1_0;
    char head[HEAD_MAX], body[BODY_FIELDS_MAX], date[64];

    h->keep_alive = !r->close && !core_of(s->worker)->draining && req->parser.head.keep_alive &&
                    !(is_1_0 && r->unknown_length) && buf_len(&req->bytes) == req->parser.length;
    h->chunked = r->unknown_length && !r->head_only && !is_1_0;
    h->in_chunks = false;
    int n = snprintf(
        head, sizeof head, "HTTP/1.1 %d %s\r\n%s%sX-Content-Type-Options: nosniff\r\n%s%s%s%s\r\n",
        r->status, http_reason(r->status), date_field(date), body_fields(r, is_1_0, body),
        r->fields != NULL ? r->fields : "", r->more_fields != NULL ? r->more_fields : "",
        cookie_fields(req, r->status), connection_field(r->status, h->keep_alive, is_1_0));

    if (n < 0 || (size_t)n >= sizeof head) /* our own fields are short; never cut a head silently */
        abort();
    if (!r->head_only && r->body.len > 0 && (size_t)n + r->body.len <= sizeof head) {
        memcpy(head + n, r->body.p, r->body.len);
        (void)io_write(&h->io, head, (size_t)n + r->body.len);
        return;
    }
    (void)io_write(&h->io, head, (size_t)n);
    if (!r->head_only && r->body.len > 0)
        (void)io_write(&h->io, r->body.p, r->body.len);
}

void h1_write_101(struct h1 *h, const char *accept, struct slice subprotocol,
                  const char *extensions)
{
    char head[HEAD_MAX];
    int n = snprintf(
        head, sizeof head,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n%s%.*s%s%s%s%s\r\n",
        accept, subprotocol.len > 0 ? "Sec-WebSocket-Protocol: " : "", (int)subprotocol.len,
        subprotocol.len > 0 ? subprotocol.p : "", subprotocol.len > 0 ? "\r\n" : "",
        extensions[0] != '\0' ? "Sec-WebSocket-Extensions: " : "", extensions,
        extensions[0] != '\0' ? "\r\n" : "");

    if (n < 0 || (size_t)n >= sizeof head)
        abort();
    (void)io_write(&h->io, head, (size_t)n);
}

/* A chunk's line in front of it, with the line end of the one before (RFC 9112, section 7.1); size
 * 0 is the last. */
static void begin_chunk(struct h1 *h, size_t n)
{
    char line[32];
    int len = snprintf(line, sizeof line, "%s%zx\r\n%s", h->in_chunks ? "\r\n" : "", n,
                       n == 0 ? "\r\n" : "");

    h->in_chunks = true;
    (void)io_write(&h->io, line, (size_t)len);
}

void h1_last_chunk(struct h1 *h)
{
    begin_chunk(h, 0);
}

void h1_write(struct stream *s, const void *p, size_t n)
{
    struct h1 *h = h1_of(s);

    if (h->chunked && n > 0)
        begin_chunk(h, n);
    (void)io_write(&h->io, p, n);
}
