/* SPDX-License-Identifier: MIT */
#include "core/auth/auth_cookie.h"

#include <stdio.h>
#include <string.h>

#include "proto/handshake.h"

#define PATH_MAX_LEN 512 /* bytes of a path that are said in a cookie */

bool auth_cookie_wanted(const struct route *route)
{
    const struct text_list *origins = &route->settings.origins;

    for (size_t i = 0; i < origins->count; i++) {
        if (strcmp(origins->items[i], "any") == 0)
            return false;
    }
    return route->auth != NULL && route->auth->by_cookie != NULL && route->settings.auth_cache > 0;
}

/* ---- the route it is for ---- */

static bool auth_cookie_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_around(const struct route *outer, const struct route *inner)
{
    size_t n = strlen(outer->path);

    if (n == 1)
        return outer->path[0] == '/';
    return strncmp(outer->path, inner->path, n) == 0 &&
           (inner->path[n] == '/' || inner->path[n] == '\0');
}

static const struct route *scope_of(const struct route *route)
{
    const struct config *c = route->config;
    const struct route *found = route;

    for (size_t i = 0; i < c->route_count; i++) {
        const struct route *r = &c->routes[i];

        if (r->path != NULL && r->auth == route->auth && auth_cookie_same(r->host, route->host) &&
            auth_cookie_same(r->settings.auth_file, route->settings.auth_file) &&
            auth_cookie_same(r->settings.auth_realm, route->settings.auth_realm) &&
            is_around(r, route) && strlen(r->path) < strlen(found->path))
            found = r;
    }
    return found;
}

/* Whole segments of the path as far as they are plain: what is captured is any text, and what
 * browsers would escape they would compare escaped. */
static size_t plain_length(const char *path)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t n = 0;

    while (path[n] == '/' && path[n + 1] != '\0') {
        size_t next = n + 1 + strspn(path + n + 1, plain);

        if (path[next] != '/' && path[next] != '\0')
            break;
        n = next;
    }
    return n > 0 ? n : 1;
}

/* ---- signing ---- */

static bool sign(const struct auth *auth, const struct route *route, const struct cookie *c,
                 const uint8_t credential[SECRET_MAC_SIZE], uint8_t mac[SECRET_MAC_SIZE])
{
    const struct route *scope = scope_of(route);
    const struct slice texts[] = {
        slice_from(AUTH_COOKIE_NAME),
        slice_from(route->auth->name),
        slice_from(scope->path),
        slice_from(scope->host),
        slice_from(route->settings.auth_file),
        slice_from(route->settings.auth_realm),
        slice_of((const char *)&c->until, sizeof c->until),
        slice_of(c->who, c->who_len),
        slice_of((const char *)credential, SECRET_MAC_SIZE),
    };

    return secret_mac(auth->key, texts, sizeof texts / sizeof texts[0], mac);
}

bool auth_cookie_make(const struct auth *auth, const struct route *route, const struct request *r,
                      const struct auth_claim *claim, double now, char line[AUTH_COOKIE_LINE_MAX])
{
    struct cookie c = {.until = (uint64_t)now + AUTH_COOKIE_LIFE, .who_len = claim->who.len};
    const char *path = scope_of(route)->path;
    size_t path_len = plain_length(path);
    char text[COOKIE_TEXT_MAX];

    if (c.who_len == 0 || c.who_len > COOKIE_WHO_MAX || path_len > PATH_MAX_LEN ||
        c.until > COOKIE_UNTIL_MAX)
        return false;
    memcpy(c.who, claim->who.p, c.who_len);
    if (!sign(auth, route, &c, claim->credential, c.mac))
        return false;
    (void)cookie_write(&c, text);
    snprintf(line, AUTH_COOKIE_LINE_MAX,
             "Set-Cookie: " AUTH_COOKIE_NAME "=%s; Path=%.*s; Max-Age=%d; HttpOnly; "
             "SameSite=Strict%s\r\nCache-Control: private\r\n",
             text, (int)path_len, path, AUTH_COOKIE_LIFE, r->secure ? "; Secure" : "");
    return true;
}

bool auth_cookie_next(const struct request *r, double now, size_t *at, struct cookie *c)
{
    while (*at < r->cookies_len) {
        const struct slice text = slice_from(r->cookies + *at);

        *at += text.len + 1;
        if (cookie_read(text, c) && now < (double)c->until)
            return true;
    }
    return false;
}

bool auth_cookie_holds(const struct auth *auth, const struct route *route, const struct cookie *c,
                       const uint8_t credential[SECRET_MAC_SIZE])
{
    uint8_t mac[SECRET_MAC_SIZE];

    return sign(auth, route, c, credential, mac) && secret_equal(mac, c->mac, sizeof mac);
}

/* The origin of a WebSocket is judged by its handler. Of what else a page loads, browsers say where
 * that page is from; those that do not yet have SameSite only. */
bool auth_cookie_is_foreign(const struct request *r)
{
    size_t count;
    struct slice site = http_head_get(r->head, "Sec-Fetch-Site", &count);

    return count > 0 && !handshake_wanted(r->head) && !slice_is(site, "same-origin") &&
           !slice_is(site, "none");
}
