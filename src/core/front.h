/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_FRONT_H
#define WSLUICE_CORE_FRONT_H

/*
 * A front turns a connection into requests and streams: one kind per HTTP version. A kind is one
 * file src/http/front_NAME.c that ends in one const struct front_ops.
 */
#include "base/addr.h"
#include "io/worker.h"

/* A connection just accepted. */
struct front_accepted {
    int fd;
    const union addr *client;
    struct tlsctx *tls; /* NULL: plain */
    bool proxied;       /* a PROXY header comes first */
    uint16_t redirect;  /* plain GET is sent to https:// at this port; 0: not */
    bool admin;         /* it came by the admin address */
};

struct front_conn;

struct front_ops {
    const char *name;
    /* Takes the connected socket over. */
    void (*open)(struct worker *w, const struct front_accepted *a);
    void (*drop)(struct front_conn *c);    /* closes it now */
    void (*go_away)(struct front_conn *c); /* closes it if nothing is asked on it */
};

/* What a connection of each kind begins with. */
struct front_conn {
    struct front_conn *next, **prev;
};

/* A worker's connections of one kind, whatever became of them. */
struct connections {
    const struct front_ops *front;
    struct front_conn *first;
    size_t count;
};

void connections_add(struct connections *all, struct front_conn *c);
void connections_remove(struct connections *all, struct front_conn *c);

/* At shutdown: connections that have no request under way end; later, all of them. */
void connections_go_away(struct connections *all);
void connections_drop(struct connections *all);

#endif
