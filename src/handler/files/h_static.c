/* SPDX-License-Identifier: MIT */

/*
 * Files below a route's `static` on plain GET and HEAD: what follows the route's own path is looked
 * for in its directory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/auth/auth.h"
#include "core/observe/request_log.h"
#include "core/route.h"
#include "handler/files/mime.h"
#include "handler/files/static_find.h"
#include "handler/files/static_redirect.h"
#include "handler/files/static_send.h"
#include "handler/files/validators.h"
#include "handler/handlers.h"
#include "proto/byte_range.h"
#include "proto/handshake.h"

#define FIELDS_SIZE STATIC_FIELDS_SIZE

/* ---- the handler ---- */

/* What is asked for below the directory. */
static const char *path_below(const struct request *r)
{
    return r->path + r->match.files_prefix;
}

#define INDEX "index.html"

/* The index of a folder is a path of its own, and that one's door may be another. */
static bool is_behind_another_door(const struct config *c, const struct request *r)
{
    struct request index = *r;
    size_t n = strlen(r->path);
    bool behind;

    if (r->path[n - 1] != '/')
        return false;
    index.path = malloc(n + sizeof INDEX);
    if (index.path == NULL)
        return true;
    memcpy(mempcpy(index.path, r->path, n), INDEX, sizeof INDEX);
    route_find(c, &index, &index.match);
    behind = index.match.route != NULL && !auth_same(r->match.route, index.match.route) &&
             !auth_same(r->match.files, index.match.route);
    free(index.path);
    return behind;
}

/* A path where only a route could answer is left to who speaks for it: the console, or the hint
 * that WebSocket is spoken there. A route with files of its own shows them, so without the console
 * a missing file is just that. */
static bool static_wants(const struct config *c, const struct route *route, const struct request *r)
{
    const struct route *files = r->match.files;

    if (files == NULL || handshake_wanted(r->head))
        return false;
    if (route->backend == NULL || (files == route && route->page == PAGE_OFF))
        return true;
    return is_behind_another_door(c, r) || static_has_page(files->static_fd, path_below(r));
}

static bool is_origin(const char *text)
{
    return strstr(text, "://") != NULL &&
           text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                             "-._:/[]*")] == '\0';
}

/*
 * Whose pages may show ours in a frame: those that may open WebSockets here, and our own. Others
 * could put a terminal, say, beneath their own page, and have its visitor type into it. Origins
 * that do not fit are left out.
 */
static void add_frames(char *out, const char *end, const struct text_list *origins)
{
    for (size_t i = 0; i < origins->count; i++) {
        if (strcmp(origins->items[i], "any") == 0)
            return;
    }
    out += sprintf(out, "Content-Security-Policy: frame-ancestors 'self'");
    for (size_t i = 0; i < origins->count; i++) {
        const char *origin = origins->items[i];

        if (is_origin(origin) && (size_t)(end - out) > strlen(origin) + 4)
            out += sprintf(out, " %s", origin);
    }
    memcpy(out, "\r\n", 3);
}

/* What is sent of a file, and how it is told. */
struct part {
    int status; /* 200, 206, 304 or 416 */
    uint64_t first, length;
};

static void choose_part(const struct http_head *head, const struct validators *v,
                        const struct stat *st, struct part *part)
{
    size_t count;
    struct slice range = http_head_get(head, "Range", &count);

    *part = (struct part){200, 0, (uint64_t)st->st_size};
    if (validators_known(head, v)) {
        part->status = 304;
        return;
    }
    if (count != 1 || !slice_is(head->method, "GET") || !validators_allow_part(head, v))
        return;
    switch (byte_range_parse(range, part->length, &part->first, &part->length)) {
    case BYTE_RANGE_ALL:
        break;
    case BYTE_RANGE_PART:
        part->status = 206;
        break;
    case BYTE_RANGE_NONE:
        part->status = 416;
        break;
    }
}

/* The header lines of a file's answer. */
static void write_fields(char fields[FIELDS_SIZE], const struct static_page *page,
                         const struct validators *v, const struct part *part,
                         const struct route *files)
{
    char extent[96] = "";
    int n;

    if (part->status == 206)
        snprintf(extent, sizeof extent, "Content-Range: bytes %ju-%ju/%ju\r\n",
                 (uintmax_t)part->first, (uintmax_t)(part->first + part->length - 1),
                 (uintmax_t)page->st.st_size);
    n = snprintf(fields, FIELDS_SIZE, "ETag: %s\r\n%s%s%s%s%s%s%s%s%s%s", v->etag,
                 v->modified[0] != '\0' ? "Last-Modified: " : "", v->modified,
                 v->modified[0] != '\0' ? "\r\n" : "",
                 files->sets_cache ? "" : "Cache-Control: no-cache\r\n", "Accept-Ranges: bytes\r\n",
                 extent, page->varies ? "Vary: Accept-Encoding\r\n" : "",
                 page->coding != NULL ? "Content-Encoding: " : "",
                 page->coding != NULL ? page->coding : "", page->coding != NULL ? "\r\n" : "");
    add_frames(fields + n, fields + FIELDS_SIZE, &files->settings.origins);
}

static void refuse_range(struct stream *s, const struct static_page *page)
{
    char fields[64];

    snprintf(fields, sizeof fields, "Content-Range: bytes */%ju\r\n", (uintmax_t)page->st.st_size);
    close(page->fd);
    static_refuse(s, 416, fields, "the range lies behind the end of the file");
}

static void answer_file(struct stream *s, struct static_page *page)
{
    const struct request *r = stream_request(s);
    const struct route *files = r->match.files;
    struct validators v;
    struct part part;
    char fields[FIELDS_SIZE];

    static_choose_form(files->static_fd, path_below(r), r->head, page);
    validators_make(&v, &page->st, page->coding);
    choose_part(r->head, &v, &page->st, &part);
    if (part.status == 416) {
        refuse_range(s, page);
        return;
    }
    write_fields(fields, page, &v, &part, files);
    struct response answer = {
        .status = part.status,
        .content_type = mime_of(r->path[strlen(r->path) - 1] == '/' ? ".html" : r->path),
        .fields = fields,
        .more_fields = files->headers,
        .length = part.length,
        .head_only = part.status == 304 || slice_is(r->head->method, "HEAD"),
    };
    if (!answer.head_only) {
        (void)lseek(page->fd, (off_t)part.first, SEEK_SET);
        static_send(s, &answer, page->fd, files->settings.stall_timeout);
        return;
    }
    close(page->fd);
    request_log(s, answer.status, NULL);
    stream_respond(s, &answer);
    stream_end(s);
}

/* Told before anybody looks whether there is such a page. */
static void send_to_index(struct stream *s)
{
    const struct response answer = {
        .status = 302,
        .fields = "Location: " INDEX "\r\n",
        .body = slice_from("see Location\n"),
        .head_only = slice_is(stream_request(s)->head->method, "HEAD"),
    };

    request_log(s, 302, NULL);
    stream_respond(s, &answer);
    stream_end(s);
}

static void static_handle(struct stream *s, const struct config *c, const struct route *route)
{
    const struct request *r = stream_request(s);
    struct static_page page = {0};
    (void)route;

    if (!slice_is(r->head->method, "GET") && !slice_is(r->head->method, "HEAD")) {
        static_refuse(s, 405, handshake_refusal_fields(405), "files are only read here");
        return;
    }
    if (is_behind_another_door(c, r)) {
        send_to_index(s);
        return;
    }
    page.fd = static_find(r->match.files->static_fd, path_below(r), &page.st);
    if (page.fd < 0) {
        static_refuse_errno(s, errno);
    } else if (S_ISREG(page.st.st_mode)) {
        answer_file(s, &page);
    } else {
        close(page.fd);
        if (r->path[strlen(r->path) - 1] == '/') /* a directory named index.html */
            static_refuse_errno(s, ENOENT);
        else
            static_redirect(s, r->match.files->headers);
    }
}

const struct handler_ops handler_static = {"static", static_wants, static_handle};
