/* SPDX-License-Identifier: MIT */
#include "core/observe/stats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "core/backend.h"
#include "core/core.h"

#define SECOND 1.0

const struct stats_scale stats_scale_short = {
    14, {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};
const struct stats_scale stats_scale_long = {
    12, {0.1, 1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400, 604800}};

const char *const stats_class_names[STATS_CLASSES] = {
    "normal", "going_away", "protocol", "no_status", "abnormal",
    "policy", "error",      "exit",     "signal",    "application"};
const char *const stats_by_names[STATS_BYS] = {"client", "backend", "server"};
const char *const stats_drop_names[STATS_DROPS] = {"size", "queue", "rate", "system"};
const char *const stats_attach_names[STATS_ATTACHES] = {"new", "joined",  "took_over", "not_there",
                                                        "gap", "no_room", "busy",      "failed"};
const char *const stats_side_names[STATS_SIDES] = {"client", "backend"};

const int stats_statuses[STATS_STATUSES] = {400, 401, 403, 404, 405, 408, 409, 413, 414, 421,
                                            426, 429, 431, 500, 501, 502, 503, 504, 505, 507};

void stats_observe(struct stats_histogram *h, const struct stats_scale *scale, double seconds)
{
    size_t i = 0;

    while (i < scale->count && seconds > scale->bounds[i])
        i++;
    h->buckets[i]++;
    h->sum += seconds > 0 ? seconds : 0;
}

uint64_t stats_observed(const struct stats_histogram *h)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= STATS_BUCKETS_MAX; i++)
        n += h->buckets[i];
    return n;
}

/* ---- a life ---- */

static double wall_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct stats_route *route_new(const char *path, const char *backend)
{
    struct stats_route *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->path = strdup(path);
    r->backend = backend;
    if (r->path == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

/* The first of the routes is the one that all share for which there is no place. */
struct stats *stats_new(void)
{
    struct stats *st = calloc(1, sizeof *st);

    if (st == NULL)
        return NULL;
    st->routes[0] = route_new("(other)", "any");
    if (st->routes[0] == NULL) {
        free(st);
        return NULL;
    }
    st->routes[0]->datagrams = true; /* may be among them */
    st->route_count = 1;
    st->start_time = st->reload_time = wall_clock();
    st->start_clock = worker_clock();
    st->reload_well = true;
    return st;
}

void stats_free(struct worker *w)
{
    struct stats *st = core_of(w)->stats;

    core_of(w)->stats = NULL;
    if (st == NULL)
        return;
    if (w->loop != NULL)
        ev_timer_stop(w->loop, &st->second);
    for (size_t i = 0; i < st->route_count; i++) {
        free(st->routes[i]->path);
        free(st->routes[i]);
    }
    free(st);
}

/* ---- the loop ---- */

static void start_second(struct worker *w)
{
    struct stats *st = core_of(w)->stats;

    st->due = w->clock + SECOND;
    ev_timer_set(&st->second, SECOND, 0);
    ev_timer_start(w->loop, &st->second);
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct worker *w = timer->data;
    struct stats *st = core_of(w)->stats;
    double late = worker_clock() - st->due;
    (void)loop;
    (void)revents;

    stats_observe(&st->lag, &stats_scale_short, late);
    st->turns[st->seconds++ % STATS_TURN_WINDOW] = (float)w->longest_turn;
    w->longest_turn = 0;
    start_second(w);
}

void stats_watch_loop(struct worker *w)
{
    struct stats *st = core_of(w)->stats;

    if (ev_is_active(&st->second))
        return;
    ev_timer_init(&st->second, on_second, SECOND, 0);
    st->second.data = w;
    start_second(w);
}

double stats_longest_turn(const struct worker *w)
{
    double longest = w->longest_turn;

    for (size_t i = 0; i < STATS_TURN_WINDOW; i++) {
        if ((double)core_of(w)->stats->turns[i] > longest)
            longest = (double)core_of(w)->stats->turns[i];
    }
    return longest;
}

/* ---- what is counted ---- */

/* Never NULL: without memory, past the bounds, or for a path that is not UTF-8, those that are
 * shared. */
static struct stats_route *counters_of(struct stats *st, const struct route *route)
{
    const char *backend = route->backend->name;
    size_t len = strlen(route->path);

    for (size_t i = 1; i < st->route_count; i++) {
        if (st->routes[i]->backend == backend && strcmp(st->routes[i]->path, route->path) == 0)
            return st->routes[i];
    }
    if (st->route_count > STATS_ROUTES_MAX || len > STATS_PATH_MAX ||
        !utf8_valid((const uint8_t *)route->path, len))
        return st->routes[0];
    struct stats_route *r = route_new(route->path, backend);
    if (r == NULL)
        return st->routes[0];
    r->datagrams = route->framing != NULL && route->framing->datagrams;
    st->routes[st->route_count++] = r;
    return r;
}

void stats_apply(struct worker *w, struct config *c)
{
    for (size_t i = 0; i < c->route_count; i++) {
        struct route *r = &c->routes[i];

        if (r->backend == NULL)
            continue;
        r->stats = counters_of(core_of(w)->stats, r);
        r->stats->kept.keeps |= r->settings.session != SESSION_OF_CONNECTION;
    }
}

void stats_opened(struct stats_route *r)
{
    r->opened++;
    r->active++;
}

static enum stats_class class_of(uint16_t code, enum stats_by by)
{
    switch (code) {
    case 1000:
        return STATS_NORMAL;
    case 1001:
        return STATS_GOING_AWAY;
    case 1002:
    case 1003:
    case 1007:
    case 1009:
    case 1010:
        return STATS_PROTOCOL;
    case 1005:
        return STATS_NO_STATUS;
    case 1006:
        return STATS_ABNORMAL;
    case 1008:
        return STATS_POLICY;
    case 1011:
    case 1012:
    case 1013:
    case 1014:
        return STATS_ERROR;
    default:
        break;
    }
    if (by == STATS_BY_BACKEND && code > 4000 && code <= 4255)
        return STATS_EXIT;
    if (by == STATS_BY_BACKEND && code > 4300 && code <= 4364)
        return STATS_SIGNAL;
    return STATS_APPLICATION;
}

void stats_closed(struct stats_route *r, uint16_t code, enum stats_by by, double seconds)
{
    r->active--;
    r->closed[class_of(code, by)][by]++;
    stats_observe(&r->duration, &stats_scale_long, seconds);
}

void stats_refused(struct worker *w, int status)
{
    size_t i = 0;

    while (i < STATS_STATUSES && stats_statuses[i] != status)
        i++;
    core_of(w)->stats->refused[i]++;
}

void stats_reloaded(struct worker *w, bool ok)
{
    struct stats *st = core_of(w)->stats;

    st->reload_well = ok;
    if (!ok) {
        st->reloads_failed++;
        return;
    }
    st->reloads_ok++;
    st->reload_time = wall_clock();
}
