/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_REQUEST_H
#define WSLUICE_CORE_REQUEST_H

/*
 * A request as handlers see it, whatever HTTP version brought it. It lives until the response has
 * begun (for a WebSocket: the 101), then its memory is released by the front.
 */
#include <stdbool.h>

#include "base/addr.h"
#include "core/grant.h"
#include "core/route.h"
#include "proto/http1.h"
#include "proto/proxyhdr.h"

/* What admission says of a client: core/admission/admission.h. */
enum admission_verdict {
    ADMISSION_UNKNOWN, /* not asked yet: the client stands behind a proxy */
    ADMISSION_PASS,
    ADMISSION_BANNED,
    ADMISSION_ADDRESS_RATE, /* too many from there */
    ADMISSION_RATE,         /* too many */
    ADMISSION_VERDICTS
};

struct request {
    const struct http_head *head;
    char *path;            /* the one form of it (proto/path.h), which alone decides; owned */
    struct slice raw_path; /* as sent: for telling, not for judging, as is target */
    struct slice query;    /* behind '?', as sent, without a secret token */
    struct slice target;   /* as sent, without that */
    char *token;           /* ?token= where it is a secret, decoded; NULL: none; owned */
    char *cookies; /* values of the cookies that are ours, each with a NUL; NULL: none; owned */
    size_t cookies_len; /* bytes of them */
    char *set_cookie;   /* header lines for an answer that is no error; NULL: none; owned */
    /* Of a route with `session`, see request_take_session; owned; NULL: not told */
    char *session; /* the visitor's token for it */
    char *sender;  /* ?resume=: the page, which counts what it sends */
    uint64_t got;  /* ?got=: the number of the last message that it has */
    char *of;      /* ?got=N:ID: of the session with this ID */
    bool has_got;
    struct slice host;  /* Host, or what a trusted proxy says it was */
    uint16_t host_port; /* of host, told apart by a trusted proxy; 0: not */
    union addr client, server;
    enum admission_verdict admission; /* PASS, or why it may not come in */
    bool admin;      /* came by the admin address: only handlers of that door answer */
    bool secure;     /* TLS */
    bool is_nobodys; /* of a backend that belongs to many: it says nothing of a client */
    bool vouched;    /* a trusted proxy has told of it, by a PROXY header or header fields */
    /* The client's certificate: "SUCCESS", "NONE" or "FAILED:why", and of SUCCESS the subject.
     * Empty where it is not asked for. */
    struct slice client_verify, client_dn, client_cn;
    char *client_text;        /* of these; owned */
    struct slice tls_version; /* of our own TLS, "TLSv1.3"; empty: none */
    const struct proxyhdr
        *proxied;             /* of a trusted proxy, if it says more than who it is; or NULL */
    struct route_match match; /* from the dispatch on */
    struct auth_grant *grant; /* who it is, once that is known; owned */
};

/*
 * Fills r from a head (client, server and secure are the front's to set). Returns 0, or 400 with a
 * constant text: a target that is not a path, or not of this Host; a path that could be read in two
 * ways. 500 without memory.
 */
int request_init(struct request *r, const struct http_head *head, const char **why);
void request_release(struct request *r);

/* Takes ?token=... out of query and target into token, also from where they stand in the head.
 * False when it is no text, or with errno ENOMEM. */
bool request_take_token(struct request *r);

/* Takes the cookies of that name out of the head into cookies: nobody behind sees them. False
 * without memory. */
bool request_take_cookies(struct request *r, const char *name);

/* The offers whose rest is a token for a session. */
#define REQUEST_SESSION_OFFER "session.wsluice."
#define REQUEST_SESSION_BESIDE "wsluice" /* the offer beside it, chosen when nothing else is */
#define REQUEST_SESSION_MIN 22           /* bytes of such a token, of A-Z a-z 0-9 _ - */
#define REQUEST_SESSION_MAX 128
#define REQUEST_SENDER_MAX 64
#define REQUEST_OF_SIZE 17 /* 16 hexadecimal digits, and a NUL */

/* Takes what a client says about the session it wants out of the request: the token, ?session= or
 * an offer of the subprotocol session.wsluice.TOKEN, ?resume= and ?got=; those of the query only
 * where that is asked for, since elsewhere they are the program's. NULL, or why it is no good, a
 * constant text; without memory errno is ENOMEM then, else another. */
const char *request_take_session(struct request *r, bool from_query);

/* The name the client asked for, without a port: "example.org" of "example.org:8080", "::1" of
 * "[::1]:8080". */
struct slice request_host_name(const struct request *r);

/* What became of the client's certificate, as client_verify, or by the word of a trusted proxy that
 * has ended TLS. For telling, not for judging: who may come is judged by our own TLS only. */
struct slice request_client_verdict(const struct request *r);

/* What a PROXY header to a service says of the client; unique is the session's. */
void request_introduce(const struct request *r, const char *unique, struct proxyhdr *out);

/* The user's name; "" when nobody was asked. */
const char *request_user(const struct request *r);

#endif
