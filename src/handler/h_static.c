/* SPDX-License-Identifier: MIT */

/*
 * Files below a route's `static` on plain GET and HEAD: what follows the route's own path is looked
 * for in its directory.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "handler/handlers.h"
#include "handler/mime.h"
#include "handler/static_find.h"
#include "handler/static_send.h"
#include "handler/validators.h"
#include "proto/handshake.h"

#define FIELDS_SIZE \
    1536 /* header lines of ours in an answer; a front's head has 2048 bytes in all */

/* Adds text to a header line at out, all but plain characters and those in `keep` as %XX. Returns
 * its new end, NULL when it does not fit or had not fitted before. */
static char *add_escaped(char *out, const char *end, struct slice text, const char *keep)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (size_t i = 0; i < text.len && out != NULL; i++) {
        char c = text.p[i];
        bool as_is = c != '\0' && (strchr(plain, c) != NULL || strchr(keep, c) != NULL);
        int n = snprintf(out, (size_t)(end - out), as_is ? "%c" : "%%%02X", (unsigned char)c);

        out = n > 0 && n < end - out ? out + n : NULL;
    }
    return out;
}

/*
 * To the same path with a slash behind it, so that the page's own links work. It has one leading
 * slash only: "//name/" would be another host.
 */
static void redirect(struct stream *s)
{
    const struct request *r = stream_request(s);
    char fields[FIELDS_SIZE];
    const char *end = fields + sizeof fields;
    struct slice path = slice_from(r->path);
    char *out = add_escaped(fields + sprintf(fields, "Location: "), end, path, "/!$&'()*+,;=:@");
    const struct response answer = {.status = 301,
                                    .fields = fields,
                                    .body = slice_from("see Location\n"),
                                    .head_only = slice_is(r->head->method, "HEAD")};

    out = add_escaped(out, end, slice_from("/"), "/");
    if (r->query.p != NULL)
        out = add_escaped(add_escaped(out, end, slice_from("?"), "?"), end, r->query,
                          "/!$&'()*+,;=:@?%");
    if (out == NULL || end - out < 3) {
        static_refuse(s, 414, NULL, "the path is too long");
        return;
    }
    memcpy(out, "\r\n", 3);
    handler_log(s, 301, NULL);
    stream_respond(s, &answer);
    stream_end(s);
}

/* ---- the handler ---- */

/* What is asked for below the directory. */
static const char *path_below(const struct request *r)
{
    return r->path + r->match.files_prefix;
}

/* A path where only a route could answer is left to who speaks for it: the console, or the hint
 * that WebSocket is spoken there. A route with files of its own shows them, so without the console
 * a missing file is just that. */
static bool static_wants(const struct config *c, const struct route *route, const struct request *r)
{
    const struct route *files = r->match.files;
    (void)c;

    if (files == NULL || handshake_wanted(r->head))
        return false;
    if (route->backend == NULL || (files == route && !route->settings.console))
        return true;
    return static_has_page(files->static_fd, path_below(r));
}

static bool is_origin(const char *text)
{
    return strstr(text, "://") != NULL &&
           text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                             "-._:/[]")] == '\0';
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

static void answer_file(struct stream *s, int fd, const struct stat *st)
{
    const struct http_head *head = stream_request(s)->head;
    struct validators v;
    char fields[FIELDS_SIZE];
    struct response answer = {
        .status = 200,
        .content_type = mime_of(stream_request(s)->path[strlen(stream_request(s)->path) - 1] == '/'
                                    ? ".html"
                                    : stream_request(s)->path),
        .fields = fields,
        .length = (uint64_t)st->st_size,
        .head_only = slice_is(head->method, "HEAD"),
    };
    int n;

    validators_make(&v, st);
    n = snprintf(fields, sizeof fields, "ETag: %s\r\nCache-Control: no-cache\r\n%s%s%s", v.etag,
                 v.modified[0] != '\0' ? "Last-Modified: " : "", v.modified,
                 v.modified[0] != '\0' ? "\r\n" : "");
    add_frames(fields + n, fields + sizeof fields,
               &stream_request(s)->match.files->settings.origins);
    if (validators_known(head, &v)) {
        answer.status = 304;
        answer.head_only = true;
    }
    if (!answer.head_only) {
        static_send(s, &answer, fd, stream_request(s)->match.files->settings.stall_timeout);
        return;
    }
    close(fd);
    handler_log(s, answer.status, NULL);
    stream_respond(s, &answer);
    stream_end(s);
}

static void static_handle(struct stream *s, const struct config *c, const struct route *route)
{
    const struct request *r = stream_request(s);
    struct stat st = {0};
    int fd;
    (void)c;
    (void)route;

    if (!slice_is(r->head->method, "GET") && !slice_is(r->head->method, "HEAD")) {
        static_refuse(s, 405, handshake_refusal_fields(405), "files are only read here");
        return;
    }
    fd = static_find(r->match.files->static_fd, path_below(r), &st);
    if (fd < 0) {
        static_refuse_errno(s, errno);
    } else if (S_ISREG(st.st_mode)) {
        answer_file(s, fd, &st);
    } else {
        close(fd);
        if (r->path[strlen(r->path) - 1] == '/') /* a directory named index.html */
            static_refuse_errno(s, ENOENT);
        else
            redirect(s);
    }
}

const struct handler_ops handler_static = {"static", static_wants, static_handle};
