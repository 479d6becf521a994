/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_CORE_H
#define WSLUICE_CORE_CORE_H

/*
 * The worker with what the layers above io keep for the whole process. Whoever has a worker up here
 * has this, by core_of: the server makes the one, and a worker alone is for code that needs no more
 * than io. Each part is made, and freed, by the functions of its own header.
 */
#include <stdbool.h>
#include <stdint.h>

#include "io/worker.h"

struct admission;
struct auth;
struct config;
struct connections;
struct control;
struct deflate_pool;
struct limits;
struct sessions;
struct stats;
struct waiting;

struct core {
    struct worker worker;            /* first member, see core_of */
    struct config *config;           /* the current one; sessions hold the one they started with */
    struct admission *admission;     /* who may come in */
    struct waiting *waiting;         /* connections that asked for nothing */
    struct limits *limits;           /* how many sessions there may be */
    struct auth *auth;               /* passwords known lately, failures */
    struct connections *connections; /* of clients, of every front */
    struct sessions *sessions;       /* all of them */
    struct stats *stats;             /* what is counted */
    struct deflate_pool *deflate;    /* made when a message is first compressed */
    struct control *control;         /* what the admin address may have the server do */
    uint64_t next_id;                /* of sessions */
    uint64_t recordings_failed;      /* that ended before their session; see observe/record.h */
    bool draining;                   /* on the way out: not ready for anything new */
};

static inline struct core *core_of(const struct worker *w)
{
    return (struct core *)(uintptr_t)w;
}

#endif
