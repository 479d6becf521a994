/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_ADMISSION_ADMISSION_H
#define WSLUICE_CORE_ADMISSION_ADMISSION_H

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
#define ADMISSION_FIRST_REFUSAL ADMISSION_BANNED
extern const char *const admission_names[ADMISSION_VERDICTS];

struct admission;

struct admission *admission_new(struct worker *w); /* NULL without memory */
void admission_free(struct admission *g);

/* Called as changed(arg) whenever somebody may be banned who has come in before; from the loop, or
 * from inside admission_apply and admission_ban. */
void admission_on_ban(struct admission *g, void (*changed)(void *arg), void *arg);

/* A configuration is in force: its list of bans is taken out of it, and the file is watched. The
 * worker's loop is there. */
void admission_apply(struct admission *g, struct config *c);

/* Of one of the networks that are believed about others. What it says in its own name is never
 * turned away. */
bool admission_is_proxy(const struct admission *g, const union addr *peer);
/* Counts a connection, or tells why it is turned away; that is counted and logged, once a second
 * at most. */
enum admission_verdict admission_admit(struct admission *g, const union addr *client);
/* ADMISSION_BANNED or ADMISSION_PASS, without counting a connection. */
enum admission_verdict admission_refuse_banned(struct admission *g, const union addr *client);
/* Such a client may no longer be here. Says nothing to the log, and does not count. */
bool admission_bans_client(struct admission *g, const union addr *client);
/* As admission_refuse_banned, of one that has passed before, perhaps as a proxy in its own name. */
enum admission_verdict admission_refuse_banned_since(struct admission *g, const union addr *client);

/* The HTTP status of a refusal, its words, and the seconds for Retry-After (0: none). */
int admission_status(enum admission_verdict v);
const char *admission_why(enum admission_verdict v);
unsigned admission_retry_after(const struct admission *g, const union addr *client,
                               enum admission_verdict v);

/* ---- for the metrics */
uint64_t admission_refused(const struct admission *g, enum admission_verdict v);
bool admission_file_is_good(
    const struct admission *g); /* the last time it was read; also without a file */
size_t admission_file_count(const struct admission *g);

/* ---- orders, which last as long as this process */

#define ADMISSION_BANS_MAX 1024

struct admission_ban {
    struct cidr network;
    double until; /* worker time; 0: for good */
};

/* seconds: 0 for good. A second ban of the same network replaces the first. False: there are too
 * many. */
bool admission_ban(struct admission *g, const struct cidr *network, double seconds);
bool admission_unban(struct admission *g, const struct cidr *network); /* false: there was none */
/* Those in force, oldest first. */
size_t admission_bans(struct admission *g, const struct admission_ban **all);
/* Some line of the file has that network or one around it. */
bool admission_file_has(const struct admission *g, const struct cidr *network);

#endif
