/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_ADMISSION_GATE_H
#define WSLUICE_CORE_ADMISSION_GATE_H

/*
 * Who may come in at all: how many connections in a time, in all and from one address (of IPv6:
 * one /64), and which addresses not at all. Asked as soon as the client's address is known: by a
 * listener for connections of clients, after a PROXY header or for the request that opens a
 * WebSocket for those behind trusted proxies.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/cidr.h"
#include "core/config.h"
#include "core/request.h"
#include "io/worker.h"

/* Those that are turned away, for the metrics. */
#define GATE_FIRST_REFUSAL GATE_BANNED
extern const char *const gate_names[GATE_VERDICTS];

struct gate;

struct gate *gate_new(struct worker *w); /* NULL without memory */
void gate_free(struct gate *g);

/* Called as changed(arg) whenever somebody may be banned who has come in before; from the loop, or
 * from inside gate_follow and gate_ban. */
void gate_on_ban(struct gate *g, void (*changed)(void *arg), void *arg);

/* A configuration is in force: its list of bans is taken out of it, and the file is watched. The
 * worker's loop is there. */
void gate_follow(struct gate *g, struct config *c);

/* Of one of the networks that are believed about others. What it says in its own name is never
 * turned away. */
bool gate_is_proxy(const struct gate *g, const union addr *peer);
/* Counts a connection, or tells why it is turned away; that is counted and logged, once a second
 * at most. */
enum gate_verdict gate_enter(struct gate *g, const union addr *client);
/* GATE_BANNED or GATE_PASS, without counting a connection. */
enum gate_verdict gate_look(struct gate *g, const union addr *client);
/* Such a client may no longer be here. Says nothing to the log, and does not count. */
bool gate_bans_client(struct gate *g, const union addr *client);
/* As gate_look, of one that has passed before, perhaps as a proxy in its own name. */
enum gate_verdict gate_look_again(struct gate *g, const union addr *client);

/* The HTTP status of a refusal, its words, and the seconds for Retry-After (0: none). */
int gate_status(enum gate_verdict v);
const char *gate_why(enum gate_verdict v);
unsigned gate_retry_after(const struct gate *g, const union addr *client, enum gate_verdict v);

/* ---- for the metrics */
uint64_t gate_refused(const struct gate *g, enum gate_verdict v);
bool gate_file_is_good(const struct gate *g); /* the last time it was read; also without a file */
size_t gate_file_count(const struct gate *g);

/* ---- orders, which last as long as this process */

#define GATE_BANS_MAX 1024

struct gate_ban {
    struct cidr network;
    double until; /* worker time; 0: for good */
};

/* seconds: 0 for good. A second ban of the same network replaces the first. False: there are too
 * many. */
bool gate_ban(struct gate *g, const struct cidr *network, double seconds);
bool gate_unban(struct gate *g, const struct cidr *network); /* false: there was none */
/* Those in force, oldest first. */
size_t gate_bans(struct gate *g, const struct gate_ban **all);
/* Some line of the file has that network or one around it. */
bool gate_file_has(const struct gate *g, const struct cidr *network);

#endif
