/* SPDX-License-Identifier: MIT */
#include "core/admission/admission.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/descriptors.h"
#include "core/admission/bans.h"
#include "core/core.h"
#include "proto/secret.h"

#define SETS 2048 /* addresses that are remembered: SETS * WAYS, chosen by a keyed digest */
#define WAYS 8
#define LOOK_EVERY 1.0    /* seconds: at the file of bans; and between lines in the log */
#define RETRY_MAX 86400.0 /* seconds */

const char *const admission_names[ADMISSION_VERDICTS] = {
    [ADMISSION_UNKNOWN] = "unknown", [ADMISSION_PASS] = "pass",
    [ADMISSION_BANNED] = "banned",   [ADMISSION_ADDRESS_RATE] = "address_rate",
    [ADMISSION_RATE] = "rate",
};

/* How often an address has connected lately. */
struct known {
    uint8_t address[16];
    struct rate_bucket bucket;
};

struct admission {
    struct worker *worker;
    uint8_t key[SECRET_KEY_SIZE];
    struct known (*known)[WAYS]; /* SETS of them; NULL: not needed so far */
    struct rate_bucket all;
    uint64_t refused[ADMISSION_VERDICTS];
    uint64_t untold[ADMISSION_VERDICTS]; /* refusals since the last line about them */
    double told_at[ADMISSION_VERDICTS];
    struct bans *file;
    struct file_stamp stamp; /* of the file when it was last read, well or not */
    bool file_is_good;
    struct admission_ban orders[ADMISSION_BANS_MAX];
    size_t order_count;
    ev_timer look;
    void (*changed)(void *arg); /* see admission_on_ban; NULL: nobody wants to know */
    void *changed_arg;
};

/* ---- bans ---- */

static void drop_expired(struct admission *g)
{
    size_t kept = 0;

    for (size_t i = 0; i < g->order_count; i++) {
        if (g->orders[i].until <= 0 || g->orders[i].until > g->worker->clock)
            g->orders[kept++] = g->orders[i];
    }
    g->order_count = kept;
}

bool admission_is_proxy(const struct admission *g, const union addr *peer)
{
    const struct config *c = core_of(g->worker)->config;

    return cidr_any_has(c->trusted, c->trusted_texts.count, peer);
}

static bool is_banned(struct admission *g, const union addr *client)
{
    if (bans_have(g->file, client))
        return true;
    if (g->order_count > 0)
        drop_expired(g);
    for (size_t i = 0; i < g->order_count; i++) {
        if (cidr_has(&g->orders[i].network, client))
            return true;
    }
    return false;
}

static void admission_set_timer(struct admission *g)
{
    struct ev_loop *loop = g->worker->loop;

    ev_timer_stop(loop, &g->look);
    if (core_of(g->worker)->config->ban_file == NULL)
        return;
    ev_timer_set(&g->look, LOOK_EVERY, 0);
    ev_timer_start(loop, &g->look);
}

void admission_on_ban(struct admission *g, void (*changed)(void *arg), void *arg)
{
    g->changed = changed;
    g->changed_arg = arg;
}

bool admission_bans_client(struct admission *g, const union addr *client)
{
    return !admission_is_proxy(g, client) && is_banned(g, client);
}

static void tell_changed(const struct admission *g)
{
    if (g->changed != NULL)
        g->changed(g->changed_arg);
}

static void take_file(struct admission *g, struct bans *b)
{
    bans_free(g->file);
    g->file = b;
    g->file_is_good = true;
    if (bans_count(b) > 0)
        tell_changed(g);
}

static void look_at_file(struct admission *g)
{
    const char *path = core_of(g->worker)->config->ban_file;
    char why[BANS_ERROR_MAX];
    struct bans *b;
    rlim_t reserve;

    if (path == NULL || !file_changed(path, &g->stamp))
        return;
    reserve = descriptors_open_reserve();
    b = bans_read(path, &g->stamp, why);
    descriptors_close_reserve(reserve);
    if (b == NULL) {
        g->file_is_good = false;
        log_line(&g->worker->log, LOG_ERROR, "bans not read again, the old ones hold",
                 LOG_C("reason", why));
        return;
    }
    log_line(&g->worker->log, LOG_INFO, "bans read again", LOG_C("file", path),
             LOG_I("networks", bans_count(b)));
    take_file(g, b);
}

static void admission_on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct admission *g = timer->data;
    (void)loop;
    (void)revents;

    look_at_file(g);
    admission_set_timer(g);
}

/* ---- life ---- */

struct admission *admission_new(struct worker *w)
{
    struct admission *g = calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    if (getrandom(g->key, sizeof g->key, 0) != (ssize_t)sizeof g->key) {
        free(g);
        return NULL;
    }
    g->worker = w;
    g->file_is_good = true;
    for (int v = 0; v < ADMISSION_VERDICTS; v++)
        g->told_at[v] = -LOOK_EVERY;
    ev_timer_init(&g->look, admission_on_look, 0, 0);
    g->look.data = g;
    return g;
}

void admission_free(struct admission *g)
{
    if (g == NULL)
        return;
    if (g->worker->loop != NULL)
        ev_timer_stop(g->worker->loop, &g->look);
    bans_free(g->file);
    free(g->known);
    free(g);
}

void admission_apply(struct admission *g, struct config *c)
{
    g->stamp = c->bans != NULL ? bans_stamp(c->bans) : (struct file_stamp){0};
    take_file(g, c->bans);
    c->bans = NULL;
    admission_set_timer(g);
}

/* ---- coming in ---- */

static bool admission_has_address(const union addr *a)
{
    return a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6;
}

/* NULL: there is none to look at. With `make` one that has rested longest is taken for it. */
static struct rate_bucket *bucket_of(const struct admission *g, const union addr *client, bool make)
{
    const struct rate *rate = &core_of(g->worker)->config->address_connect_rate;
    uint8_t address[16], mac[SECRET_MAC_SIZE];
    const struct slice text = slice_of((const char *)address, sizeof address);
    struct known *least = NULL;
    double level, lowest = INFINITY;

    addr_limit_key(client, address);
    if (!secret_mac(g->key, &text, 1, mac))
        return NULL;
    struct known *set = g->known[(mac[0] | mac[1] << 8) % SETS];
    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(set[i].address, address, sizeof address) == 0)
            return &set[i].bucket;
        level = rate_wait(&set[i].bucket, rate, rate->burst, g->worker->clock);
        if (level < lowest) {
            lowest = level;
            least = &set[i];
        }
    }
    if (!make || least == NULL)
        return NULL;
    *least = (struct known){0};
    memcpy(least->address, address, sizeof address);
    return &least->bucket;
}

static struct rate_bucket *address_bucket(struct admission *g, const union addr *client)
{
    if (!rate_is_set(&core_of(g->worker)->config->address_connect_rate) ||
        !admission_has_address(client))
        return NULL;
    if (g->known == NULL)
        g->known = calloc(SETS, sizeof *g->known);
    return g->known != NULL ? bucket_of(g, client, true) : NULL;
}

static enum admission_verdict admission_refuse(struct admission *g, const union addr *client,
                                               enum admission_verdict v)
{
    double now = g->worker->clock;
    char text[ADDR_TEXT_MAX];

    g->refused[v]++;
    g->untold[v]++;
    if (now - g->told_at[v] < LOOK_EVERY)
        return v;
    log_line(&g->worker->log, LOG_INFO, "turned away", LOG_C("client", addr_format(client, text)),
             LOG_C("reason", admission_why(v)), LOG_I("times", g->untold[v]));
    g->told_at[v] = now;
    g->untold[v] = 0;
    return v;
}

enum admission_verdict admission_refuse_banned(struct admission *g, const union addr *client)
{
    return is_banned(g, client) ? admission_refuse(g, client, ADMISSION_BANNED) : ADMISSION_PASS;
}

enum admission_verdict admission_refuse_banned_since(struct admission *g, const union addr *client)
{
    return admission_is_proxy(g, client) ? ADMISSION_PASS : admission_refuse_banned(g, client);
}

enum admission_verdict admission_admit(struct admission *g, const union addr *client)
{
    const struct config *c = core_of(g->worker)->config;
    struct rate_bucket *own;
    double now = g->worker->clock;

    if (is_banned(g, client))
        return admission_refuse(g, client, ADMISSION_BANNED);
    own = address_bucket(g, client);
    if (own != NULL && rate_wait(own, &c->address_connect_rate, 1, now) > 0)
        return admission_refuse(g, client, ADMISSION_ADDRESS_RATE);
    if (rate_wait(&g->all, &c->connect_rate, 1, now) > 0)
        return admission_refuse(g, client, ADMISSION_RATE);
    (void)rate_reserve(&g->all, &c->connect_rate, 1, now);
    if (own != NULL)
        (void)rate_reserve(own, &c->address_connect_rate, 1, now);
    return ADMISSION_PASS;
}

int admission_status(enum admission_verdict v)
{
    return v == ADMISSION_BANNED ? 403 : v == ADMISSION_ADDRESS_RATE ? 429 : 503;
}

const char *admission_why(enum admission_verdict v)
{
    return v == ADMISSION_BANNED         ? "your address is banned"
           : v == ADMISSION_ADDRESS_RATE ? "too many connections from your address, try again later"
                                         : "too many connections, try again later";
}

unsigned admission_retry_after(const struct admission *g, const union addr *client,
                               enum admission_verdict v)
{
    const struct config *c = core_of(g->worker)->config;
    const struct rate_bucket *own =
        v == ADMISSION_ADDRESS_RATE && g->known != NULL && admission_has_address(client)
            ? bucket_of(g, client, false)
            : NULL;
    double wait = 0, now = g->worker->clock;

    if (v == ADMISSION_BANNED)
        return 0;
    if (own != NULL)
        wait = rate_wait(own, &c->address_connect_rate, 1, now);
    else if (v == ADMISSION_RATE)
        wait = rate_wait(&g->all, &c->connect_rate, 1, now);
    return wait <= 1 ? 1 : (unsigned)ceil(wait < RETRY_MAX ? wait : RETRY_MAX);
}

/* ---- telling, and orders ---- */

uint64_t admission_refused(const struct admission *g, enum admission_verdict v)
{
    return g->refused[v];
}

bool admission_file_is_good(const struct admission *g)
{
    return g->file_is_good;
}

size_t admission_file_count(const struct admission *g)
{
    return bans_count(g->file);
}

static struct admission_ban *find_order(struct admission *g, const struct cidr *network)
{
    drop_expired(g);
    for (size_t i = 0; i < g->order_count; i++) {
        const struct cidr *c = &g->orders[i].network;

        if (c->family == network->family && c->bits == network->bits &&
            memcmp(c->bytes, network->bytes, sizeof c->bytes) == 0)
            return &g->orders[i];
    }
    return NULL;
}

bool admission_ban(struct admission *g, const struct cidr *network, double seconds)
{
    struct admission_ban *order = find_order(g, network);

    if (order == NULL && g->order_count == ADMISSION_BANS_MAX)
        return false;
    if (order == NULL)
        order = &g->orders[g->order_count++];
    order->network = *network;
    order->until = seconds > 0 ? g->worker->clock + seconds : 0;
    tell_changed(g);
    return true;
}

bool admission_unban(struct admission *g, const struct cidr *network)
{
    struct admission_ban *order = find_order(g, network);

    if (order == NULL)
        return false;
    g->order_count--;
    memmove(order, order + 1, (size_t)(&g->orders[g->order_count] - order) * sizeof *order);
    return true;
}

size_t admission_bans(struct admission *g, const struct admission_ban **all)
{
    drop_expired(g);
    *all = g->orders;
    return g->order_count;
}

bool admission_file_has(const struct admission *g, const struct cidr *network)
{
    return bans_have_network(g->file, network);
}
