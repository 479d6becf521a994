/* SPDX-License-Identifier: MIT */
#include "core/request.h"

#include <stdlib.h>
#include <string.h>

#include "core/auth_cache.h"
#include "core/auth_cookie.h"
#include "proto/cookie.h"
#include "proto/path.h"
#include "proto/secret.h"

#define COOKIES_MAX (4 * COOKIE_TEXT_MAX) /* of one name there may be several, of several paths */

/* Cuts scheme and authority off an absolute target (RFC 9112, section 3.2.2), which must name this
 * Host. */
static bool cut_authority(struct slice *target, struct slice host)
{
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t n = strlen(schemes[i]);

        if (target->len <= n || !slice_eq_nocase(slice_of(target->p, n), slice_from(schemes[i])))
            continue;
        const char *p = target->p + n;
        const char *end = target->p + target->len;
        const char *slash = memchr(p, '/', (size_t)(end - p));

        if (slash == NULL || !slice_eq_nocase(slice_of(p, (size_t)(slash - p)), host))
            return false;
        *target = slice_of(slash, (size_t)(end - slash));
        return true;
    }
    return false;
}

int request_init(struct request *r, const struct http_head *head, const char **why)
{
    struct slice target = head->target;

    memset(r, 0, sizeof *r);
    r->head = head;
    r->host = head->host;
    if (target.len == 0 || (target.p[0] != '/' && !cut_authority(&target, head->host))) {
        *why = "the request target must be a path, or a URL of this Host";
        return 400;
    }
    if (memchr(target.p, '#', target.len) != NULL) {
        *why = "a fragment does not belong into a request";
        return 400;
    }
    r->target = head->target;
    r->raw_path = slice_cut(target, '?', &r->query);
    r->path = malloc(r->raw_path.len + 1);
    if (r->path == NULL) {
        *why = "out of memory";
        return 500;
    }
    return path_make(r->path, r->raw_path, why) ? 0 : 400;
}

void request_release(struct request *r)
{
    free(r->path);
    free(r->client_text);
    r->path = r->client_text = NULL;
    free(r->grant);
    r->grant = NULL;
    secret_wipe(slice_from(r->token));
    free(r->token);
    r->token = NULL;
    free(r->cookies);
    r->cookies = NULL;
    free(r->set_cookie);
    r->set_cookie = NULL;
}

bool request_take_cookies(struct request *r)
{
    struct http_head *h = (struct http_head *)(uintptr_t)r->head; /* the front's own */
    char values[COOKIES_MAX];
    size_t n = cookie_take(h, AUTH_COOKIE_NAME, values, sizeof values);

    if (n == 0)
        return true;
    r->cookies = malloc(n);
    if (r->cookies == NULL)
        return false;
    memcpy(r->cookies, values, n);
    r->cookies_len = n;
    return true;
}

struct slice request_host_name(const struct request *r)
{
    struct slice host = r->host;

    if (host.len > 0 && host.p[0] == '[') {
        const char *end = memchr(host.p, ']', host.len);

        return end == NULL ? host : slice_of(host.p + 1, (size_t)(end - host.p - 1));
    }
    const char *colon = host.len > 0 ? memchr(host.p, ':', host.len) : NULL;
    return colon == NULL ? host : slice_of(host.p, (size_t)(colon - host.p));
}

struct slice request_client_verdict(const struct request *r)
{
    const struct proxyhdr *p = r->proxied;

    if (r->client_verify.len > 0 || r->tls_version.len > 0 || p == NULL || !p->tls)
        return r->client_verify;
    return slice_from(!p->tls_cert      ? "NONE"
                      : p->tls_verified ? "SUCCESS"
                                        : "FAILED:as the proxy says");
}

void request_introduce(const struct request *r, const char *unique, struct proxyhdr *out)
{
    struct slice verdict = request_client_verdict(r);

    *out = (struct proxyhdr){
        .tls = r->secure,
        .tls_cert = verdict.len > 0 && !slice_is(verdict, "NONE"),
        .tls_verified = slice_is(verdict, "SUCCESS"),
        .source = r->client,
        .destination = r->server,
        .authority = request_host_name(r),
        .unique_id = slice_from(unique),
        .tls_version = r->tls_version,
        .tls_cn = r->client_cn,
    };
    if (r->tls_version.len == 0 && r->proxied != NULL) {
        out->tls_version = r->proxied->tls_version;
        out->tls_cn = r->proxied->tls_cn;
    }
}

const char *request_user(const struct request *r)
{
    return r->grant != NULL ? r->grant->user : "";
}

/* Keeps the first value; all of that name go. */
static bool keep_token(struct request *r, struct slice value)
{
    char *copy;
    int n;

    if (r->token != NULL)
        return true;
    copy = malloc(value.len + 1);
    if (copy == NULL)
        return false;
    n = secret_unescape(value, copy, value.len);
    if (n < 0) {
        free(copy);
        return false;
    }
    copy[n] = '\0';
    r->token = copy;
    return true;
}

bool request_take_token(struct request *r)
{
    static const char name[] = "token=";
    struct slice rest = r->query, part, value;
    char *begin = (char *)(uintptr_t)r->query.p, *out = begin; /* the front's own memory */
    bool ok = true;

    if (r->query.p == NULL)
        return true;
    size_t before = r->query.len;
    while (rest.p != NULL) {
        part = slice_cut(rest, '&', &rest);
        if (slice_starts(part, name)) {
            value = slice_of(part.p + sizeof name - 1, part.len - (sizeof name - 1));
            ok = keep_token(r, value) && ok;
            continue;
        }
        if (out != begin)
            *out++ = '&';
        memmove(out, part.p, part.len);
        out += part.len;
    }
    r->query.len = (size_t)(out - begin);
    secret_wipe(slice_of(out, before - r->query.len));
    r->target.len -= before - r->query.len;
    if (r->query.len == 0 && before > 0) { /* the '?' alone says nothing */
        r->target.len--;
        r->query = slice_of(NULL, 0);
    }
    return ok;
}
