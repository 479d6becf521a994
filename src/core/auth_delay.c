/* SPDX-License-Identifier: MIT */
#include "core/auth_delay.h"

#include <stdlib.h>
#include <string.h>

#include "proto/secret.h"

#define SETS 512
#define WAYS 8

struct failing {
    uint8_t address[16];
    bool used;
    unsigned busy; /* attempts under way */
    unsigned gone; /* of these, those whose client has left; for others the entry stays */
    double gone_until;
    double delay; /* of the last failure */
    double failed_at;
};

struct auth_delays {
    uint8_t key[SECRET_KEY_SIZE];
    struct failing all[SETS][WAYS];
};

struct auth_delays *auth_delays_new(const uint8_t *key)
{
    struct auth_delays *d = calloc(1, sizeof *d);

    if (d != NULL)
        memcpy(d->key, key, sizeof d->key);
    return d;
}

void auth_delays_free(struct auth_delays *d)
{
    free(d);
}

/* The answers that they did not wait for would have come by now. */
static void let_go(struct failing *f, double now)
{
    if (now < f->gone_until)
        return;
    f->busy -= f->gone;
    f->gone = 0;
}

/* The entry of an address; NULL: there is none. With `make` the least worth keeping is taken, NULL
 * when all of its set are busy. */
static struct failing *find(struct auth_delays *d, const union addr *client, bool make, double now)
{
    uint8_t address[16], mac[SECRET_MAC_SIZE];
    struct failing *oldest = NULL;

    addr_limit_key(client, address);
    const struct slice text = slice_of((const char *)address, sizeof address);
    if (!secret_mac(d->key, &text, 1, mac))
        return NULL;
    struct failing *set = d->all[(mac[0] | mac[1] << 8) % SETS];
    for (size_t i = 0; i < WAYS; i++) {
        let_go(&set[i], now);
        if (set[i].used && memcmp(set[i].address, address, sizeof address) == 0)
            return &set[i];
        if (set[i].busy == set[i].gone && (oldest == NULL || set[i].failed_at < oldest->failed_at))
            oldest = &set[i];
    }
    if (!make || oldest == NULL)
        return NULL;
    *oldest = (struct failing){.used = true};
    memcpy(oldest->address, address, sizeof address);
    return oldest;
}

double auth_delays_failed(struct auth_delays *d, const union addr *client, double now)
{
    struct failing *f = find(d, client, true, now);

    if (f == NULL)
        return AUTH_DELAY_MAX;
    if (f->delay <= 0 || now - f->failed_at > AUTH_DELAY_MEMORY)
        f->delay = AUTH_DELAY_FIRST;
    else if (f->delay < AUTH_DELAY_MAX)
        f->delay *= 2;
    f->failed_at = now;
    return f->delay;
}

bool auth_delays_enter(struct auth_delays *d, const union addr *client, double now)
{
    struct failing *f = find(d, client, true, now);

    if (f == NULL || (f->busy >= AUTH_DELAY_BUSY && client->sa.sa_family != AF_UNIX))
        return false;
    if (f->failed_at <= 0) /* not the first to be forgotten again */
        f->failed_at = now - AUTH_DELAY_MEMORY;
    f->busy++;
    return true;
}

void auth_delays_leave(struct auth_delays *d, const union addr *client, double now, double seconds)
{
    struct failing *f = find(d, client, false, now);

    if (f == NULL || f->busy == 0)
        return;
    if (seconds <= 0) {
        f->busy--;
        return;
    }
    f->gone++;
    if (f->gone_until < now + seconds)
        f->gone_until = now + seconds;
}
