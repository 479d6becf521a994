/* SPDX-License-Identifier: MIT */
#include "core/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    secret_wipe(slice_from(r->session));
    free(r->session);
    free(r->sender);
    free(r->of);
    r->token = r->session = r->sender = r->of = NULL;
    free(r->cookies);
    r->cookies = NULL;
    free(r->set_cookie);
    r->set_cookie = NULL;
}

bool request_take_cookies(struct request *r, const char *name)
{
    struct http_head *h = (struct http_head *)(uintptr_t)r->head; /* the front's own */
    char values[COOKIES_MAX];
    size_t n = cookie_take(h, name, values, sizeof values);

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

/* ---- taking values out of the query ---- */

/* Keeps the first value; all of that name go. */
static bool keep_value(char **keep, struct slice value)
{
    char *copy;
    int n;

    if (*keep != NULL)
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
    *keep = copy;
    return true;
}

/* name ends in '='. False without memory or when a value is no text. */
static bool request_take_value(struct request *r, const char *name, char **keep)
{
    struct slice rest = r->query, part, value;
    char *begin = (char *)(uintptr_t)r->query.p, *out = begin; /* the front's own memory */
    size_t before = r->query.len;
    bool ok = true;

    if (r->query.p == NULL)
        return true;
    while (rest.p != NULL) {
        part = slice_cut(rest, '&', &rest);
        if (slice_starts(part, name)) {
            value = slice_of(part.p + strlen(name), part.len - strlen(name));
            ok = keep_value(keep, value) && ok;
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

bool request_take_token(struct request *r)
{
    errno = 0;
    return request_take_value(r, "token=", &r->token);
}

/* ---- the session that is wanted ---- */

static bool is_word(const char *text, size_t min, size_t max)
{
    size_t n = strlen(text);

    return n >= min && n <= max &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static bool request_read_number(const char *text, uint64_t *out)
{
    size_t n = strlen(text);

    if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
        return false;
    *out = strtoull(text, NULL, 10);
    return true;
}

/* "17", or "17:ID" with the ID of a session; which is left in text. */
static bool request_read_got(struct request *r, char *text)
{
    char *id = strchr(text, ':');

    if (id != NULL)
        *id++ = '\0';
    if (!request_read_number(text, &r->got))
        return false;
    if (id == NULL)
        return true;
    if (strlen(id) != REQUEST_OF_SIZE - 1 || strspn(id, "0123456789abcdef") != strlen(id))
        return false;
    r->of = strdup(id);
    return r->of != NULL;
}

/* An offer speaks before the query does: it is in no proxy's log. */
static bool request_take_offer(struct request *r)
{
    struct slice rest, offer;
    char *told = NULL;

    for (size_t i = 0; i < r->head->count; i++) {
        struct http_field *f = (struct http_field *)(uintptr_t)&r->head->fields[i];

        if (!slice_eq_nocase(f->name, slice_from("Sec-WebSocket-Protocol")))
            continue;
        for (rest = f->value; told == NULL && rest.p != NULL;) {
            offer = slice_trim(slice_cut(rest, ',', &rest));
            if (!slice_starts(offer, REQUEST_SESSION_OFFER))
                continue;
            told = slice_dup(slice_of(offer.p + strlen(REQUEST_SESSION_OFFER),
                                      offer.len - strlen(REQUEST_SESSION_OFFER)));
            if (told == NULL)
                return false;
        }
        http_field_cut(f, ',', REQUEST_SESSION_OFFER);
    }
    if (told != NULL) {
        free(r->session);
        r->session = told;
    }
    return true;
}

const char *request_take_session(struct request *r, bool from_query)
{
    char *got = NULL;
    errno = 0;
    bool ok = !from_query ||
              (request_take_value(r, "session=", &r->session) &&
               request_take_value(r, "resume=", &r->sender) && request_take_value(r, "got=", &got));

    ok = ok && request_take_offer(r);
    r->has_got = got != NULL;
    ok = ok && (got == NULL || request_read_got(r, got));
    free(got);
    if (!ok)
        return "?session=, ?resume= or ?got= cannot be read";
    if (r->session != NULL && !is_word(r->session, REQUEST_SESSION_MIN, REQUEST_SESSION_MAX))
        return "a token for a session has 22 to 128 letters, digits, _ and -";
    if (r->sender != NULL && !is_word(r->sender, 1, REQUEST_SENDER_MAX))
        return "?resume= has 1 to 64 letters, digits, _ and -";
    return NULL;
}
