/* SPDX-License-Identifier: MIT */
#include "io/retry.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define FIRST_PAUSE 0.02 /* seconds; each is twice as long as the one before */

/* A service that refuses now, for as long as somebody waits for it. */
struct retry_target {
    LIST_ENTRY(retry_target) link;
    LIST_HEAD(, retry) all; /* who waits, the one that asks among them */
    struct retry *asks;     /* NULL: nobody, for a moment */
    double pause;           /* to the next question */
    char what[256];         /* the last refusal */
};

struct retry {
    struct worker *worker;
    const struct connect_events *events;
    void *owner;
    struct connect_spec spec;
    struct connect *connect;     /* NULL: it waits */
    struct retry_target *target; /* NULL: nothing was refused yet */
    LIST_ENTRY(retry) link;      /* of the target */
    ev_timer timer;  /* of who asks: the next question; of the others: the end of patience */
    double until;    /* worker time: to the end of patience */
    double deadline; /* worker time: to the end of it all */
    char what[256];  /* the last refusal */
    struct reap reap;
};

static void retry_ask(struct retry *r);

/* ---- targets ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_of(const struct retry_target *t, const struct connect_spec *spec)
{
    const struct connect_spec *other = &LIST_FIRST(&t->all)->spec;

    return same_text(spec->host, other->host) && spec->port == other->port &&
           same_text(spec->unix_path, other->unix_path);
}

static struct retry_target *find_target(const struct worker *w, const struct connect_spec *spec)
{
    struct retry_target *t = LIST_FIRST(&w->refusing);

    while (t != NULL && !is_of(t, spec))
        t = LIST_NEXT(t, link);
    return t;
}

static bool retry_join(struct retry *r)
{
    struct retry_target *t = find_target(r->worker, &r->spec);

    if (t == NULL) {
        t = calloc(1, sizeof *t);
        if (t == NULL)
            return false;
        t->pause = FIRST_PAUSE;
        LIST_INIT(&t->all);
        LIST_INSERT_HEAD(&r->worker->refusing, t, link);
    }
    r->target = t;
    LIST_INSERT_HEAD(&t->all, r, link);
    return true;
}

static void leave(struct retry *r)
{
    struct retry_target *t = r->target;

    if (t == NULL)
        return;
    r->target = NULL;
    LIST_REMOVE(r, link);
    if (t->asks == r)
        t->asks = NULL;
    if (!LIST_EMPTY(&t->all))
        return;
    LIST_REMOVE(t, link);
    free(t);
}

/* ---- waiting ---- */

static void retry_set_timer(struct retry *r, double seconds)
{
    ev_timer_stop(r->worker->loop, &r->timer);
    ev_timer_set(&r->timer, seconds > 0 ? seconds : 0, 0);
    ev_timer_start(r->worker->loop, &r->timer);
}

/* Waits: as the one that asks again after a pause, or for that one. */
static void wait_on(struct retry *r)
{
    struct retry_target *t = r->target;
    double left = r->until - r->worker->now;

    if (t->asks == NULL)
        t->asks = r;
    retry_set_timer(r, t->asks == r && t->pause < left ? t->pause : left);
}

/* The one that asked is gone without an answer: another one asks in its place. */
static void ask_on(struct retry_target *t)
{
    if (t != NULL && t->asks == NULL)
        wait_on(LIST_FIRST(&t->all));
}

static void free_retry(struct reap *reap)
{
    free((char *)reap - offsetof(struct retry, reap));
}

/* Its end; returns the target it was one of, where others are left. */
static struct retry_target *end_retry(struct retry *r)
{
    struct retry_target *t = r->target;

    if (t != NULL && LIST_FIRST(&t->all) == r && LIST_NEXT(r, link) == NULL)
        t = NULL;
    leave(r);
    if (r->connect != NULL)
        connect_cancel(r->connect);
    r->connect = NULL;
    ev_timer_stop(r->worker->loop, &r->timer);
    r->reap.release = free_retry;
    worker_reap(r->worker, &r->reap);
    return t;
}

void retry_cancel(struct retry *r)
{
    ask_on(end_retry(r));
}

static void retry_fail(struct retry *r, enum connect_failure why)
{
    struct retry_target *others = end_retry(r);

    ask_on(others);
    r->events->failed(r->owner, why, r->what);
}

/* ---- asking ---- */

/* It lets clients in again: those who wait connect now. */
static void release_all(struct retry_target *t)
{
    struct retry *r;

    while (t != NULL && (r = LIST_FIRST(&t->all)) != NULL) {
        if (LIST_NEXT(r, link) == NULL)
            t = NULL;
        leave(r);
        retry_ask(r);
    }
}

static void retry_on_connected(void *owner, int fd, const union addr *addr)
{
    struct retry *r = owner;
    struct retry_target *others;

    r->connect = NULL;
    others = end_retry(r);
    release_all(others);
    r->events->connected(r->owner, fd, addr);
}

static void retry_on_failed(void *owner, enum connect_failure why, const char *what)
{
    struct retry *r = owner;
    struct retry_target *t = r->target;

    r->connect = NULL;
    (void)snprintf(r->what, sizeof r->what, "%s", what);
    if (why != CONNECT_REFUSED || r->worker->now >= r->until || (t == NULL && !retry_join(r))) {
        retry_fail(r, why);
        return;
    }
    if (t != NULL && t->asks == r)
        t->pause *= 2;
    memcpy(r->target->what, r->what, sizeof r->what);
    wait_on(r);
}

static const struct connect_events retry_connect_events = {retry_on_connected, retry_on_failed};

static void on_retry_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct retry *r = timer->data;
    (void)loop;
    (void)revents;

    if (r->worker->now < r->until) {
        retry_ask(r);
        return;
    }
    if (r->target != NULL)
        memcpy(r->what, r->target->what, sizeof r->what);
    retry_fail(r, CONNECT_REFUSED);
}

/* What does not begin for want of memory is told from the loop. */
static void retry_ask(struct retry *r)
{
    ev_timer_stop(r->worker->loop, &r->timer);
    r->spec.timeout = r->deadline - r->worker->now;
    r->connect = connect_start(r->worker, &r->spec, &retry_connect_events, r);
    if (r->connect != NULL)
        return;
    (void)snprintf(r->what, sizeof r->what, "out of memory");
    r->until = 0;
    retry_set_timer(r, 0);
}

struct retry *retry_start(struct worker *w, const struct connect_spec *spec, ev_tstamp patience,
                          const struct connect_events *events, void *owner)
{
    struct retry *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->worker = w;
    r->events = events;
    r->owner = owner;
    r->spec = *spec;
    r->until = w->now + (patience < spec->timeout ? patience : spec->timeout);
    r->deadline = w->now + spec->timeout;
    ev_timer_init(&r->timer, on_retry_timer, 0, 0);
    r->timer.data = r;
    if (patience > 0 && find_target(w, spec) != NULL && retry_join(r)) {
        wait_on(r);
        return r;
    }
    r->connect = connect_start(w, &r->spec, &retry_connect_events, r);
    if (r->connect != NULL)
        return r;
    free(r);
    return NULL;
}
