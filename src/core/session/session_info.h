/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SESSION_SESSION_INFO_H
#define WSLUICE_CORE_SESSION_SESSION_INFO_H

/* Live sessions, looked at and ended from outside. */
#include "core/backend.h"
#include "core/observe/stats.h"
#include "core/session/session.h"
#include "proto/secret.h"

struct client;

#define SESSION_KEY_SHOWN 128 /* bytes of a session's key that are shown, with a NUL */

/* A session at this moment. Texts are borrowed from it, valid until the loop goes on; they may hold
 * any bytes but NUL. */
struct session_info {
    uint64_t id;
    const char *phase; /* "opening", "open", "closing", "detached": it has no client and waits
                          for one; "ending": the client has left */
    const char *whose; /* "token", "user", "room", "shared": it outlives its connections, see
                          docs/sessions.md; NULL: it does not */
    char key[SESSION_KEY_SHOWN]; /* of a token: 8 digits of a digest, else the user or the room */
    size_t clients;              /* that are there */
    uint64_t joined;             /* that there ever were */
    double detached;             /* seconds; negative: it is not */
    size_t replay_bytes;         /* memory of what it keeps to replay */
    const char *client;          /* "127.0.0.1:5000" */
    const char *path;            /* as in the log */
    const char *subprotocol;     /* "": none */
    const char *user;            /* "": nobody was asked */
    const char *route;           /* its path */
    const char *backend;         /* kind */
    char address[BACKEND_TEXT_MAX];       /* "pid 123", "127.0.0.1:80"; "": none */
    double age, idle;                     /* seconds; idle: since the last data */
    char compression[DEFLATE_ANSWER_MAX]; /* what was agreed on; "": none */
    struct stats_compressed compressed_in, compressed_out;
    uint64_t messages_in, messages_out, bytes_in, bytes_out, dropped;
    bool datagrams; /* the backend's kind */
    uint64_t datagrams_dropped_in, datagrams_dropped_out;
    uint64_t stalls_client, stalls_backend;
    size_t queued_client, queued_backend; /* bytes that wait here for either side */
    bool client_paused, backend_paused;   /* we do not read that side, because of the other */
    bool rate_held;                       /* nor the client, because it is over a rate */
    uint64_t rate_holds;                  /* how often it was */
    double rtt_ms;                        /* negative: not measured */
};

void session_inspect(const struct session *s, struct session_info *out);

/* A client of a session that outlives its connections; borrowed as above. */
struct session_client_info {
    uint64_t number;
    const char *client, *user;
    double age;    /* seconds */
    size_t behind; /* bytes of the ring that it is still to be sent */
    size_t queued; /* bytes that wait here for it */
    uint64_t messages_in, messages_out, skipped;
    double rtt_ms; /* negative: not measured */
};

/* The clients of such a session, newest first; at most `most`. Returns how many. */
size_t session_inspect_clients(const struct session *s, struct session_client_info *out,
                               size_t most);

/* Where a client is. False when that cannot be told. */
bool session_client_addr(const struct client *c, union addr *out);

/* NULL: there is none. */
struct session *session_find(const struct worker *w, uint64_t id);

/* Ends it: Close 1008 with the reason (to a client that waits for its handshake: 503), and the
 * ladder for its program. A client that reads too slowly to hear that is not waited for; nor is one
 * that was sent a Close before, so a second kick is the end. */
void session_kick(struct session *s, const char *reason);
typedef bool session_meant(const struct client *c, const void *data);
/* Ends the sessions of the clients that are meant, as session_kick; one that belongs to many only
 * loses these clients. Returns how many they were. */
size_t session_kick_clients(struct session *s, session_meant *is_meant, const void *data,
                            const char *reason);

/* Which sessions are meant: an ID, "ID/NUMBER" (one client of a session), an address (all from
 * there), an address with port, "unix", "user:NAME" (as authenticated), or "token:TOKEN" (that of a
 * list of services). */
struct session_choice {
    enum { CHOICE_ID, CHOICE_CLIENT, CHOICE_USER, CHOICE_TOKEN } by;
    uint64_t id;
    uint64_t number; /* of its client; 0: the session */
    char client[ADDR_TEXT_MAX];
    bool with_port;
    struct slice user;            /* into the text that was parsed */
    uint8_t mac[SECRET_MAC_SIZE]; /* of the token */
};

/* False when the text is none of these. */
bool session_choice_parse(const struct worker *w, struct session_choice *c, struct slice text);
/* The client with this number of a session that outlives its connections leaves. False: it has none
 * such. */
bool session_kick_member(struct session *s, uint64_t number, const char *reason);
/* Kicks what is chosen of this session; returns how many clients or sessions it were. */
size_t session_kick_chosen(struct session *s, const struct session_choice *c, const char *reason);

/* A walk along all sessions there were at its beginning, newest first, that may take many turns:
 * those that end meanwhile are left out. */
struct session_cursor {
    struct worker *worker;
    struct session *next;
    struct session_cursor *other; /* the worker's list */
};

void session_cursor_open(struct session_cursor *c, struct worker *w);
struct session *session_cursor_next(struct session_cursor *c); /* NULL: that was all */
void session_cursor_close(struct session_cursor *c);

#endif
