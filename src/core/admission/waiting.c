/* SPDX-License-Identifier: MIT */
#include "core/admission/waiting.h"
#include "core/core.h"

#include <stdlib.h>
#include <string.h>

/* uthash reports a failed allocation to us instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include <uthash.h>

#define ROOM 8    /* closed at a time: a program takes four and, while it starts, as many again */
#define RANKS 256 /* addresses with more connections than that are all in the last rank */

/* The connections of one address, which stands in the list of all that have as many. */
struct waiting_address {
    uint8_t key[16];
    struct waiting_place *first, **last;
    size_t count;
    struct waiting_address *next, **prev; /* of its rank: who came to it first stands first */
    bool in_table;
    UT_hash_handle hh;
};

struct rank {
    struct waiting_address *first, **last;
};

struct waiting {
    struct waiting_address *by_address;
    struct rank ranks[RANKS];
    size_t highest; /* no rank above it has anybody */
    uint64_t shed;
};

struct waiting *waiting_new(void)
{
    struct waiting *all = calloc(1, sizeof *all);

    if (all == NULL)
        return NULL;
    for (size_t i = 0; i < RANKS; i++)
        all->ranks[i].last = &all->ranks[i].first;
    return all;
}

void waiting_free(struct waiting *all)
{
    free(all); /* the places are the connections', and an address goes with its last one */
}

/* ---- ranks ---- */

static size_t rank_of(const struct waiting_address *a)
{
    return a->count < RANKS ? a->count : RANKS - 1;
}

static void rank_join(struct waiting *all, struct waiting_address *a)
{
    struct rank *r = &all->ranks[rank_of(a)];

    a->next = NULL;
    a->prev = r->last;
    *r->last = a;
    r->last = &a->next;
    if (rank_of(a) > all->highest)
        all->highest = rank_of(a);
}

static void rank_leave(struct waiting *all, struct waiting_address *a)
{
    struct rank *r = &all->ranks[rank_of(a)];

    if (a->next != NULL)
        a->next->prev = a->prev;
    else
        r->last = a->prev;
    *a->prev = a->next;
    while (all->highest > 0 && all->ranks[all->highest].first == NULL)
        all->highest--;
}

/* ---- addresses ---- */

static struct waiting_address *address_of(struct waiting *all, const union addr *client)
{
    struct waiting_address *a;
    uint8_t key[16];

    addr_limit_key(client, key);
    HASH_FIND(hh, all->by_address, key, sizeof key, a);
    if (a != NULL || (a = calloc(1, sizeof *a)) == NULL)
        return a;
    memcpy(a->key, key, sizeof key);
    a->last = &a->first;
    a->in_table = true;
    HASH_ADD(hh, all->by_address, key, sizeof a->key, a);
    if (a->in_table)
        return a;
    free(a);
    return NULL;
}

void waiting_enter(struct waiting *all, struct waiting_place *p, struct front_conn *conn,
                   const union addr *client)
{
    struct waiting_address *a = p->address == NULL ? address_of(all, client) : NULL;

    if (a == NULL)
        return;
    if (a->count > 0)
        rank_leave(all, a);
    *p = (struct waiting_place){.prev = a->last, .address = a, .conn = conn, .client = client};
    *a->last = p;
    a->last = &p->next;
    a->count++;
    rank_join(all, a);
}

void waiting_leave(struct waiting *all, struct waiting_place *p)
{
    struct waiting_address *a = p->address;

    if (a == NULL)
        return;
    rank_leave(all, a);
    if (p->next != NULL)
        p->next->prev = p->prev;
    else
        a->last = p->prev;
    *p->prev = p->next;
    p->address = NULL;
    a->count--;
    if (a->count > 0) {
        rank_join(all, a);
        return;
    }
    HASH_DEL(all->by_address, a);
    free(a);
}

/* ---- making room ---- */

bool waiting_make_room(struct worker *w)
{
    struct waiting *all = core_of(w)->waiting;
    union addr client = {0};
    char text[ADDR_TEXT_MAX];
    size_t closed = 0;

    for (; closed < ROOM; closed++) {
        const struct waiting_address *a = all->ranks[all->highest].first;

        /* Those with one each are many: no more of them go than somebody needs now. */
        if (a == NULL || (closed > 0 && a->count == 1))
            break;
        client = *a->first->client;
        core_of(w)->connections->front->drop(a->first->conn);
    }
    all->shed += closed;
    if (closed > 0) /* the log sums up what is told again and again */
        log_line(&w->log, LOG_WARN, "connections that asked for nothing were closed to make room",
                 LOG_C("client", addr_format_host(&client, text)), LOG_I("closed", closed));
    return closed > 0;
}

uint64_t waiting_shed(const struct waiting *all)
{
    return all->shed;
}

bool waiting_close(struct worker *w, bool (*are_gone)(void *arg, const union addr *client),
                   void *arg, size_t most)
{
    struct waiting_address *a, *next;

    HASH_ITER(hh, core_of(w)->waiting->by_address, a, next)
    {
        struct waiting_place *after;

        for (struct waiting_place *p = a->first; p != NULL; p = after) {
            after =
                p->next; /* an address goes with its last one, and a place with its connection */
            if (!are_gone(arg, p->client))
                continue;
            if (most-- == 0)
                return false;
            core_of(w)->connections->front->drop(p->conn);
        }
    }
    return true;
}
