/* SPDX-License-Identifier: MIT */
#include "proto/http1.h"

#include "proto/authority.h"

#define BAD_VERSION "only HTTP/1.1 and 1.0 are spoken here"

static int http1_refuse(struct http1_parser *p, int status, const char *why)
{
    if (p->status == 0) {
        p->status = status;
        p->why = why;
    }
    return -1;
}

/* llhttp gives a span in pieces when the head arrives in pieces; they touch, since our buffer is
 * one. The offset is kept in the pointer until the head is whole, because the buffer may move in
 * between. */
static void span_add(const struct http1_parser *p, struct slice *s, const char *at, size_t len)
{
    if (s->len == 0)
        s->p = (const char *)(uintptr_t)(at - p->base);
    s->len += len;
}

static int on_method(llhttp_t *l, const char *at, size_t len)
{
    struct http1_parser *p = l->data;

    span_add(p, &p->head.method, at, len);
    return 0;
}

static int on_url(llhttp_t *l, const char *at, size_t len)
{
    struct http1_parser *p = l->data;

    span_add(p, &p->head.target, at, len);
    return 0;
}

static int on_field(llhttp_t *l, const char *at, size_t len)
{
    struct http1_parser *p = l->data;

    if (p->head.count == HTTP1_FIELDS_MAX)
        return http1_refuse(p, 431, "more than 100 header fields");
    span_add(p, &p->head.fields[p->head.count].name, at, len);
    return 0;
}

static int on_value(llhttp_t *l, const char *at, size_t len)
{
    struct http1_parser *p = l->data;

    span_add(p, &p->head.fields[p->head.count].value, at, len);
    return 0;
}

static int on_value_end(llhttp_t *l)
{
    struct http1_parser *p = l->data;

    p->head.count++;
    return 0;
}

static int on_head_end(llhttp_t *l)
{
    struct http1_parser *p = l->data;

    p->head.keep_alive = llhttp_should_keep_alive(l) != 0;
    return HPE_PAUSED; /* nothing behind the head is llhttp's business */
}

void http1_init(struct http1_parser *p, size_t max)
{
    memset(p, 0, sizeof *p);
    p->max = max;
    llhttp_settings_init(&p->settings);
    p->settings.on_method = on_method;
    p->settings.on_url = on_url;
    p->settings.on_header_field = on_field;
    p->settings.on_header_value = on_value;
    p->settings.on_header_value_complete = on_value_end;
    p->settings.on_headers_complete = on_head_end;
    llhttp_init(&p->llhttp, HTTP_REQUEST, &p->settings);
    p->llhttp.data = p;
}

/* Our own rules about line ends. Returns how many bytes belong to the head; sets p->length when it
 * is whole. */
static size_t http1_scan(struct http1_parser *p, const char *b, size_t n)
{
    size_t i = p->scanned;

    for (; i < n; i++) {
        char c = b[i];

        if (c == '\0') {
            http1_refuse(p, 400, "NUL byte in the request head");
            break;
        }
        if (c == '\n' && (i == 0 || b[i - 1] != '\r')) {
            http1_refuse(p, 400, "a line of the request head ends without CR");
            break;
        }
        if (c != '\n' && i > 0 && b[i - 1] == '\r') {
            http1_refuse(p, 400, "a CR without LF in the request head");
            break;
        }
        if ((c == ' ' || c == '\t') && (i == 0 || b[i - 1] == '\n')) {
            http1_refuse(p, 400, "a folded or indented line in the request head");
            break;
        }
        if (c == '\n' && i == 3 && b[1] == '\n') {
            http1_refuse(p, 400, "empty lines before the request line");
            break;
        }
        if (c == '\n' && i >= 3 && b[i - 2] == '\n') {
            p->length = ++i;
            break;
        }
    }
    return i;
}

static void span_fix(struct slice *s, const char *base)
{
    s->p = s->len == 0 ? base : base + (uintptr_t)s->p;
}

/* Rules that need the whole head. */
static void http1_judge(struct http1_parser *p)
{
    struct http_head *h = &p->head;
    size_t hosts, lengths, codings;
    struct slice length, name;
    uint16_t port;

    h->host = http_head_get(h, "Host", &hosts);
    length = http_head_get(h, "Content-Length", &lengths);
    (void)http_head_get(h, "Transfer-Encoding", &codings);
    h->is_1_0 = p->llhttp.http_minor == 0;
    if (p->llhttp.http_major != 1 || p->llhttp.http_minor > 1)
        http1_refuse(p, 505, BAD_VERSION);
    else if (hosts != 1 && !(hosts == 0 && h->is_1_0))
        http1_refuse(p, 400, hosts == 0 ? "no Host header" : "more than one Host header");
    else if (hosts == 1 && !authority_split(h->host, &name, &port))
        http1_refuse(p, 400, "malformed Host header");
    else if (codings > 0 || lengths > 1 || (lengths == 1 && !slice_is(length, "0")))
        http1_refuse(p, 413, "a request body is not accepted");
}

/* The caller's bytes as slices at last. */
static void http1_settle(struct http1_parser *p)
{
    struct http_head *h = &p->head;

    span_fix(&h->method, p->base);
    span_fix(&h->target, p->base);
    for (size_t i = 0; i < h->count; i++) {
        if (h->fields[i].name.len == 0)
            http1_refuse(p, 400, "a header field without a name");
        span_fix(&h->fields[i].name, p->base);
        span_fix(&h->fields[i].value, p->base);
        h->fields[i].value = slice_trim(h->fields[i].value);
    }
}

static void http1_blame(struct http1_parser *p, llhttp_errno_t err)
{
    switch (err) {
    case HPE_INVALID_METHOD:
        http1_refuse(p, 501, "unknown request method");
        break;
    case HPE_INVALID_VERSION:
        http1_refuse(p, 505, BAD_VERSION);
        break;
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_INVALID_TRANSFER_ENCODING:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        http1_refuse(p, 400, "contradictory or malformed body headers");
        break;
    default:
        http1_refuse(p, 400, "malformed request head");
    }
}

enum http1_result http1_feed(struct http1_parser *p, const char *bytes, size_t n)
{
    size_t max = n < p->max ? n : p->max;
    size_t end = http1_scan(p, bytes, max);

    p->base = bytes;
    if (end >
        p->scanned) { /* the first fault counts, however the bytes came: llhttp's is earlier */
        const int status = p->status;

        p->status = 0;
        llhttp_errno_t err = llhttp_execute(&p->llhttp, bytes + p->scanned, end - p->scanned);

        if (err != HPE_OK && err != HPE_PAUSED && err != HPE_PAUSED_UPGRADE)
            http1_blame(p, err);
        else if (p->status == 0)
            p->status = status;
    }
    p->scanned = end;
    if (p->status == 0 && p->length == 0) {
        if (max < p->max)
            return HTTP1_MORE;
        http1_refuse(p, 431, "the request head is longer than --max-head");
    }
    if (p->status == 0)
        http1_settle(p);
    if (p->status == 0)
        http1_judge(p);
    return p->status == 0 ? HTTP1_DONE : HTTP1_REFUSED;
}

struct slice http_head_get(const struct http_head *h, const char *name, size_t *count)
{
    struct slice found = {NULL, 0};
    size_t n = 0;

    for (size_t i = 0; i < h->count; i++) {
        if (slice_eq_nocase(h->fields[i].name, slice_from(name))) {
            found = h->fields[i].value;
            n++;
        }
    }
    if (count != NULL)
        *count = n;
    return found;
}

bool http_head_list_has(const struct http_head *h, const char *name, const char *token)
{
    for (size_t i = 0; i < h->count; i++) {
        if (slice_eq_nocase(h->fields[i].name, slice_from(name)) &&
            slice_list_has(h->fields[i].value, token))
            return true;
    }
    return false;
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Error";
}

/* ---- taking secrets out ---- */

static bool has_part(struct slice list, char separator, const char *prefix)
{
    while (list.p != NULL) {
        if (slice_starts(slice_trim(slice_cut(list, separator, &list)), prefix))
            return true;
    }
    return false;
}

void http_field_cut(struct http_field *f, char separator, const char *prefix)
{
    char *begin = (char *)(uintptr_t)f->value.p, *out = begin; /* the front's own memory */
    struct slice rest = f->value, part;
    size_t before = f->value.len;

    if (!has_part(f->value, separator, prefix))
        return;
    while (rest.p != NULL) {
        part = slice_cut(rest, separator, &rest);
        if (slice_trim(part).len == 0 || slice_starts(slice_trim(part), prefix))
            continue;
        if (out != begin)
            *out++ = separator;
        memmove(out, part.p, part.len);
        out += part.len;
    }
    f->value = slice_trim(slice_of(begin, (size_t)(out - begin)));
    explicit_bzero(out, before - (size_t)(out - begin));
    if (f->value.len == 0)
        f->name.len = 0; /* which is nobody's name */
}
