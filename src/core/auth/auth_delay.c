/* SPDX-License-Identifier: MIT */
#include "core/auth/auth_delay.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include <uthash.h>

#include "core/rate.h"
#include "proto/secret.h"

#define ID_SIZE 16
#define LOOK_MAX 8 /* entries that are looked at to find one to forget */

/* An address, or the network around several. */
struct failing {
    uint8_t
        id[ID_SIZE]; /* a keyed digest, so that nobody chooses who shares a bucket of the table */
    bool in_table;
    unsigned busy; /* attempts under way */
    unsigned gone; /* of these, those whose client has left; for others the entry stays */
    double gone_until;
    unsigned failures; /* each within AUTH_DELAY_MEMORY of the one before */
    double failed_at;
    struct rate_bucket empty, told;
    uint64_t untold;
    UT_hash_handle hh;
};

struct auth_delays {
    uint8_t key[SECRET_KEY_SIZE];
    struct failing *all; /* the longest untouched first */
};

/* By the levels of addr_network_key. */
static const struct {
    unsigned busy;     /* attempts under way at most */
    unsigned patience; /* failures and lines that count as one of a single address */
} levels[ADDR_NETWORKS] = {
    {AUTH_DELAY_BUSY, 1}, {2 * AUTH_DELAY_BUSY, 4}, {4 * AUTH_DELAY_BUSY, 16}};

struct auth_delays *auth_delays_new(const uint8_t *key)
{
    struct auth_delays *d = calloc(1, sizeof *d);

    if (d != NULL)
        memcpy(d->key, key, sizeof d->key);
    return d;
}

static void delay_drop(struct auth_delays *d, struct failing *f)
{
    HASH_DEL(d->all, f);
    free(f);
}

void auth_delays_free(struct auth_delays *d)
{
    if (d == NULL)
        return;
    while (d->all != NULL)
        delay_drop(d, d->all);
    explicit_bzero(d->key, sizeof d->key);
    free(d);
}

unsigned auth_delays_count(const struct auth_delays *d)
{
    return HASH_COUNT(d->all);
}

static unsigned levels_of(const union addr *client)
{
    union addr plain = *client;

    addr_unmap(&plain);
    return plain.sa.sa_family == AF_INET6 ? ADDR_NETWORKS : 1;
}

/* The answers that they did not wait for would have come by now. */
static void delay_let_go(struct failing *f, double now)
{
    if (now < f->gone_until)
        return;
    f->busy -= f->gone;
    f->gone = 0;
}

/* To the end of those that may be forgotten. Without memory it is gone. */
static struct failing *delay_put(struct auth_delays *d, struct failing *f)
{
    f->in_table = true;
    HASH_ADD(hh, d->all, id, ID_SIZE, f);
    if (f->in_table)
        return f;
    free(f);
    return NULL;
}

/* The entries at the head have not been touched for longest; busy ones are looked at later again.
 */
static void make_room(struct auth_delays *d, double now)
{
    for (int i = 0; i < LOOK_MAX && HASH_COUNT(d->all) >= AUTH_DELAYS_MAX; i++) {
        struct failing *f = d->all;

        delay_let_go(f, now);
        if (f->busy == f->gone) {
            delay_drop(d, f);
        } else {
            HASH_DEL(d->all, f);
            (void)delay_put(d, f);
        }
    }
}

static bool make_id(const struct auth_delays *d, const union addr *client, unsigned level,
                    uint8_t id[ID_SIZE])
{
    uint8_t network[17], mac[SECRET_MAC_SIZE];
    const struct slice text = slice_of((const char *)network, sizeof network);

    addr_network_key(client, level, network);
    network[16] = (uint8_t)level;
    if (!secret_mac(d->key, &text, 1, mac))
        return false;
    memcpy(id, mac, ID_SIZE);
    return true;
}

/* NULL: there is none; with `make` only without memory. */
static struct failing *delay_find(struct auth_delays *d, const union addr *client, unsigned level,
                                  bool make, double now)
{
    uint8_t id[ID_SIZE];
    struct failing *f;

    if (!make_id(d, client, level, id))
        return NULL;
    HASH_FIND(hh, d->all, id, ID_SIZE, f);
    if (f != NULL) {
        delay_let_go(f, now);
        if (!make)
            return f;
        HASH_DEL(d->all, f); /* it is touched */
        return delay_put(d, f);
    }
    if (!make)
        return NULL;
    make_room(d, now);
    f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    memcpy(f->id, id, ID_SIZE);
    return delay_put(d, f);
}

static double delay_seconds(unsigned failures, unsigned patience)
{
    double delay = AUTH_DELAY_FIRST;

    for (unsigned n = (failures - 1) / patience; n > 0 && delay < AUTH_DELAY_MAX; n--)
        delay *= 2;
    return delay;
}

double auth_delays_failed(struct auth_delays *d, const union addr *client, double now)
{
    double longest = 0, delay;

    for (unsigned i = 0; i < levels_of(client); i++) {
        struct failing *f = delay_find(d, client, i, true, now);

        if (f == NULL)
            return AUTH_DELAY_MAX;
        if (now - f->failed_at > AUTH_DELAY_MEMORY)
            f->failures = 0;
        f->failures++;
        f->failed_at = now;
        delay = delay_seconds(f->failures, levels[i].patience);
        longest = delay > longest ? delay : longest;
    }
    return longest;
}

static struct rate rate_of(unsigned level, double burst)
{
    double n = levels[level].patience;

    return (struct rate){.amount = n, .period = 1, .burst = burst * n};
}

double auth_delays_empty(struct auth_delays *d, const union addr *client, double now)
{
    double longest = 0, delay;

    for (unsigned i = 0; i < levels_of(client); i++) {
        struct failing *f = delay_find(d, client, i, true, now);
        struct rate rate = rate_of(i, AUTH_EMPTY_BURST);

        if (f == NULL)
            return AUTH_DELAY_MAX;
        delay = rate_reserve(&f->empty, &rate, 1, now);
        longest = delay > longest ? delay : longest;
    }
    return longest < AUTH_DELAY_MAX ? longest : AUTH_DELAY_MAX;
}

bool auth_delays_tell(struct auth_delays *d, const union addr *client, double now, uint64_t *untold)
{
    struct failing *all[ADDR_NETWORKS];
    unsigned n = levels_of(client);
    bool may = true;

    *untold = 0;
    for (unsigned i = 0; i < n; i++) {
        struct rate rate = rate_of(i, AUTH_TELL_BURST);

        all[i] = delay_find(d, client, i, true, now);
        if (all[i] == NULL)
            return true;
        may = may && rate_wait(&all[i]->told, &rate, 1, now) <= 0;
    }
    if (!may) {
        all[0]->untold++;
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        struct rate rate = rate_of(i, AUTH_TELL_BURST);

        (void)rate_reserve(&all[i]->told, &rate, 1, now);
    }
    *untold = all[0]->untold;
    all[0]->untold = 0;
    return true;
}

/* Who never failed leaves no trace, and pushes nobody out. */
static void drop_blank(struct auth_delays *d, struct failing *f)
{
    if (f->busy == 0 && f->failures == 0 && f->empty.at <= 0 && f->told.at <= 0)
        delay_drop(d, f);
}

bool auth_delays_enter(struct auth_delays *d, const union addr *client, double now)
{
    bool may_always = client->sa.sa_family == AF_UNIX;
    struct failing *all[ADDR_NETWORKS];
    unsigned n = levels_of(client);

    bool may = true;

    for (unsigned i = 0; i < n; i++) {
        all[i] = delay_find(d, client, i, true, now);
        may = may && all[i] != NULL && (all[i]->busy < levels[i].busy || may_always);
    }
    for (unsigned i = 0; i < n; i++) {
        if (may)
            all[i]->busy++;
        else if (all[i] != NULL)
            drop_blank(d, all[i]);
    }
    return may;
}

void auth_delays_leave(struct auth_delays *d, const union addr *client, double now, double seconds)
{
    for (unsigned i = 0; i < levels_of(client); i++) {
        struct failing *f = delay_find(d, client, i, false, now);

        if (f == NULL || f->busy == 0)
            continue;
        if (seconds > 0) {
            f->gone++;
            if (f->gone_until < now + seconds)
                f->gone_until = now + seconds;
            continue;
        }
        f->busy--;
        drop_blank(d, f);
    }
}
