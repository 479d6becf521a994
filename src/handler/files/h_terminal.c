/* SPDX-License-Identifier: MIT */

/*
 * page: terminal. A plain GET on a route with a terminal answers the page that shows it, which is
 * part of this program. The page's own files stand beside it, below the route's path.
 */
#include <stdio.h>
#include <string.h>

#include "core/observe/request_log.h"
#include "core/request.h"
#include "handler/files/mime.h"
#include "handler/files/static_redirect.h"
#include "handler/files/static_send.h"
#include "handler/files/terminal_page.h"
#include "handler/files/validators.h"
#include "handler/handlers.h"
#include "proto/coding.h"
#include "proto/handshake.h"

/* What follows the route's own path: "" at the path itself, else with a slash at its begin. */
static const char *terminal_path_below(const struct request *r)
{
    return r->path + r->match.prefix;
}

static bool terminal_wants(const struct config *c, const struct route *route,
                           const struct request *r)
{
    (void)c;
    if (route == NULL || route->page != PAGE_TERMINAL || handshake_wanted(r->head) ||
        (!slice_is(r->head->method, "GET") && !slice_is(r->head->method, "HEAD")) ||
        !terminal_page_is_there())
        return false;
    return terminal_path_below(r)[0] == '\0' ||
           terminal_file_find(terminal_path_below(r) + 1) != NULL;
}

/*
 * The page says itself what it may load (its meta element); a header is needed for what only a
 * header can say. Pages of the same origin may show it in a frame, since they can do all that it
 * does; no other page may, nor keep a hand on a window that it has opened it in: it could lead the
 * visitor's keys there.
 */
static void terminal_write_fields(char fields[STATIC_FIELDS_SIZE], const struct validators *v,
                                  bool is_gzip, const struct route *route)
{
    snprintf(fields, STATIC_FIELDS_SIZE,
             "ETag: %s\r\n%sVary: Accept-Encoding\r\n%s"
             "Content-Security-Policy: frame-ancestors 'self'\r\n"
             "Cross-Origin-Opener-Policy: same-origin\r\n"
             "Referrer-Policy: no-referrer\r\n",
             v->etag, route->sets_cache ? "" : "Cache-Control: no-cache\r\n",
             is_gzip ? "Content-Encoding: gzip\r\n" : "");
}

static void terminal_handle(struct stream *s, const struct config *c, const struct route *route)
{
    const struct request *r = stream_request(s);
    const struct terminal_file *file;
    const char *type;
    struct validators v = {.modified = ""};
    char fields[STATIC_FIELDS_SIZE];
    bool is_gzip = coding_weight(r->head, "gzip") > coding_weight(r->head, "identity");
    (void)c;

    if (terminal_path_below(r)[0] == '\0') {
        static_redirect(s, route->headers);
        return;
    }
    file = terminal_file_find(terminal_path_below(r) + 1);
    type = mime_of(file->name);
    if (strcmp(file->name, TERMINAL_INDEX) == 0 && route->settings.session != SESSION_OF_CONNECTION)
        file = terminal_file_find(TERMINAL_INDEX_KEPT);
    snprintf(v.etag, sizeof v.etag, "\"%s%s\"", file->etag, is_gzip ? "-gzip" : "");
    terminal_write_fields(fields, &v, is_gzip, route);
    struct response answer = {
        .status = validators_known(r->head, &v) ? 304 : 200,
        .content_type = type,
        .fields = fields,
        .more_fields = route->headers,
        .length = (uint64_t)(is_gzip ? file->gzip_end - file->gzip : file->end - file->begin),
    };
    answer.head_only = answer.status == 304 || slice_is(r->head->method, "HEAD");
    if (!answer.head_only) {
        static_send_bytes(s, &answer, is_gzip ? file->gzip : file->begin,
                          route->settings.stall_timeout);
        return;
    }
    request_log(s, answer.status, NULL);
    stream_respond(s, &answer);
    stream_end(s);
}

const struct handler_ops handler_terminal = {"terminal", terminal_wants, terminal_handle};
