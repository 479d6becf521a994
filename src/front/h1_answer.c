/* SPDX-License-Identifier: MIT */

/* What an HTTP/1.1 connection answers: heads, bodies in chunks, the 101. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "front/h1.h"
#include "io/worker.h"

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

void h1_respond(struct stream *s, const struct response *r)
{
    struct h1 *h = h1_of(s);
    const struct h1_request *req = h->asker->req;
    uint64_t length = r->length > 0 ? r->length : r->body.len;
    char head[2048], extent[64], date[64];

    h->keep_alive = !r->close && !s->worker->draining && req->parser.head.keep_alive &&
                    buf_len(&req->bytes) == req->parser.length;
    h->chunked = r->unknown_length && !r->head_only;
    h->in_chunks = false;
    if (r->unknown_length)
        snprintf(extent, sizeof extent, "Transfer-Encoding: chunked");
    else
        snprintf(extent, sizeof extent, "Content-Length: %llu", (unsigned long long)length);
    int n =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d %s\r\n%sContent-Type: %s\r\n%s\r\n"
                 "X-Content-Type-Options: nosniff\r\n%s%s\r\n",
                 r->status, http_reason(r->status), date_field(date),
                 r->content_type != NULL ? r->content_type : "text/plain; charset=utf-8", extent,
                 r->fields != NULL ? r->fields : "", h->keep_alive ? "" : "Connection: close\r\n");
    if (n < 0 || (size_t)n >= sizeof head) /* our own fields are short; never cut a head silently */
        abort();
    if (!r->head_only && (size_t)n + r->body.len <= sizeof head) {
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
    char head[HTTP1_HEAD_MAX / 4];
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
