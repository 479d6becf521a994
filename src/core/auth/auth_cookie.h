/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_AUTH_AUTH_COOKIE_H
#define WSLUICE_CORE_AUTH_AUTH_COOKIE_H

/*
 * A cookie for what a page loads and opens. Some browsers send no password with a WebSocket (those
 * of iOS), and what a page with ?token= loads has no token. So the answer to a page that was let in
 * by a password or token sets a cookie, which lets the same user pass for AUTH_COOKIE_LIFE.
 *
 * It is signed with a key of this process (a successor has another one) over the kind of `auth`,
 * the route, the user, the credential as it is now, and the time. The route is the outermost one
 * with the same `auth`, file, realm and host whose path is around this one's: a page and its
 * WebSocket below are one realm. Nothing secret is in it, and it cannot be guessed, so a wrong one
 * is none. Pure but for the clock it is told.
 */
#include "core/auth/auth.h"
#include "core/request.h"
#include "proto/cookie.h"

#define AUTH_COOKIE_NAME "wsluice_auth"
#define AUTH_COOKIE_LIFE 3600 /* seconds */
#define AUTH_COOKIE_LINE_MAX 1024

/* Whose cookie, and what has let it in: when that is another, the cookie is void. */
struct auth_claim {
    struct slice who; /* names the user or credential to its kind, up to COOKIE_WHO_MAX bytes */
    uint8_t credential[SECRET_MAC_SIZE]; /* a digest */
};

/* This route has cookies: a kind that knows them, no `origin: any`, no `auth-cache: 0`. */
bool auth_cookie_wanted(const struct route *route);

/* The header lines that set it, for an answer to r; false when it cannot be said in them. */
bool auth_cookie_make(const struct auth *auth, const struct route *route, const struct request *r,
                      const struct auth_claim *claim, double now, char line[AUTH_COOKIE_LINE_MAX]);

/* The next cookie of the request that is not over; *at is 0 at first. False: no more. Whether it is
 * good is known with the credential: auth_cookie_holds. */
bool auth_cookie_next(const struct request *r, double now, size_t *at, struct cookie *c);
bool auth_cookie_holds(const struct auth *auth, const struct route *route, const struct cookie *c,
                       const uint8_t credential[SECRET_MAC_SIZE]);

/* A page of another site, or of a sibling host, asked for this, not ours. */
bool auth_cookie_is_foreign(const struct request *r);

#endif
