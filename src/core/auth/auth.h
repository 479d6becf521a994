/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_AUTH_AUTH_H
#define WSLUICE_CORE_AUTH_AUTH_H

/*
 * Who may use a route. Every request of a route with `auth` passes here before any handler sees it.
 * A kind is one file src/auth/auth_NAME.c that ends in one const struct auth_ops, plus one row in
 * src/server/kinds.c.
 *
 * A kind judges one request and says so once, by auth_allow or auth_deny, as its last act: from
 * inside `judge`, or later from the loop. Until then it may be told to `cancel`, when the client
 * leaves.
 */
#include <stdbool.h>

#include "base/addr.h"
#include "core/auth/auth_cache.h"
#include "core/config.h"
#include "core/stream.h"
#include "proto/secret.h"

struct auth_claim;
struct auth_queue;
struct auth_delays;
struct request;

#define AUTH_ERROR_MAX 512
#define AUTH_TOKEN_COOKIE "wsluice_token" /* for auth: bearer; no program gets it, on any route */
#define AUTH_ENV_MAX 64                   /* variables a hook may set */

/* What a worker remembers; made by auth_new. */
struct auth {
    uint8_t key[SECRET_KEY_SIZE]; /* random, of this process */
    struct auth_cache cache;      /* successes */
    struct auth_delays *delays;   /* failures, by address */
    struct auth_queue *verify;    /* processes that check passwords */
    struct auth_queue *hooks;     /* hook programs */
    struct auth_queue *servers;   /* hooks over HTTP that are being asked */
    uint64_t failures;            /* attempts that failed, told or not */
};

/* A request that is being judged. */
struct auth_check {
    struct stream *stream;
    const struct route *route;  /* whose `auth` it is; stays as long as this */
    const struct auth_ops *ops; /* the route's `auth`, or its backend's guard */
    void *job;                  /* the kind's; NULL: none */
    /* core/auth/auth.c only */
    struct config *config;
    void (*then)(struct stream *s, const struct config *c);
    bool judging, counted;
    int status;
    const char *why;
};

struct auth_ops {
    const char *name; /* as in `auth: NAME` */
    bool takes_token; /* ?token= is a secret for it: r->token has it */
    /* Before the route is served: judges its settings, reads its file, sets r->auth_data. False
     * with what is wrong. */
    bool (*prepare)(struct route *r, char why[AUTH_ERROR_MAX]);
    void (*release)(struct route *r); /* of r->auth_data; NULL function: nothing to release */
    void (*judge)(struct auth_check *a);
    void (*cancel)(struct auth_check *a); /* NULL function: it never waits */
    /* The scheme of WWW-Authenticate with what belongs to it but the realm; NULL: none. */
    const char *challenge, *challenge_more;
    /* Takes what only this kind should see out of the request. NULL function: nothing. */
    void (*forget)(struct request *r);
    /* Whom a cookie names by `who`: what it must have been made of, by today, and a grant, or NULL
     * without memory. False: there is nobody; then credential is of nobody, but made like others,
     * so that the time taken does not tell. NULL function: no cookies. */
    bool (*by_cookie)(struct auth_check *a, struct slice who, uint8_t credential[SECRET_MAC_SIZE],
                      struct auth_grant **grant);
};

/* All kinds, NULL-terminated: in src/server/kinds.c. */
extern const struct auth_ops *const auths[];

/* NULL without memory or random bytes. */
struct auth *auth_new(struct worker *w);
void auth_free(struct auth *a);

/* Completes r->auth from the settings and looks at files; what that makes is the config's, whose
 * routes stay where they are from here on. False with what is wrong. */
bool auth_prepare(struct route *r, char why[AUTH_ERROR_MAX]);
/* Settings that say nothing for want of `auth`. False with what is wrong. */
bool auth_settings_sound(const struct config *c, const struct route *r, char why[AUTH_ERROR_MAX]);

/* Who passes the one passes the other. */
bool auth_same(const struct route *a, const struct route *b);

/* Calls `then` when the request may pass, at once or later; else answers it. c is the config the
 * route stands in. */
void auth_request(struct stream *s, const struct route *route, const struct config *c,
                  void (*then)(struct stream *s, const struct config *c));
/* Asks the guard of a backend as auth_request asks the route's `auth`, for WebSockets; NULL:
 * whoever has come this far may pass. */
void auth_guard(struct stream *s, const struct auth_ops *guard, const struct route *route,
                const struct config *c, void (*then)(struct stream *s, const struct config *c));
/* Takes credentials out of the request, before it goes to anybody else. */
void auth_forget(struct request *r, const struct route *route);

/* ---- for kinds */

/* The request may pass. Takes the grant over; NULL: out of memory. claim: a cookie may be made of
 * it; NULL: of nothing. */
void auth_allow(struct auth_check *a, struct auth_grant *grant, const struct auth_claim *claim);
/* The request has no credentials, but perhaps a cookie: then it may pass. Else false. */
bool auth_by_cookie(struct auth_check *a);
/* The guard lets the request pass; who it is has been found out before. */
void auth_admit(struct auth_check *a);
/* What a request that may not pass has tried. */
enum auth_attempt {
    AUTH_NOTHING, /* nothing, or nobody knows: answered at once */
    AUTH_EMPTY,   /* nothing, but a job was spent on it: answered at once while that is seldom */
    AUTH_PERHAPS, /* something that browsers send unasked: as a guess, but not told as one */
    AUTH_GUESS,   /* credentials: the answer to the next of this address takes longer, and the log
                     is told of a failed authentication */
};

/* The request may not pass: 401 without good credentials, 403, or 503. why is constant; user: of a
 * guess, a name that is known, or NULL. */
void auth_deny(struct auth_check *a, int status, const char *why, enum auth_attempt attempt,
               const char *user);
/* Too many attempts of this client are under way: denied. Else this one is counted until its
 * answer. Asked before anything that tells a good credential from a wrong one: whoever learns that
 * must wait for it. */
bool auth_throttled(struct auth_check *a);

#endif
