/* SPDX-License-Identifier: MIT */
#include "core/auth/auth_queue.h"

#include <stdlib.h>
#include <string.h>

struct auth_queue {
    struct worker *worker;
    unsigned running, running_max, waiting, waiting_max;
    uint64_t turn; /* the last that was given */
    struct auth_place *first, **last, *runs;
};

struct auth_queue *auth_queue_new(struct worker *w, unsigned running, unsigned waiting)
{
    struct auth_queue *q = calloc(1, sizeof *q);

    if (q == NULL)
        return NULL;
    q->worker = w;
    q->running_max = running;
    q->waiting_max = waiting;
    q->last = &q->first;
    return q;
}

void auth_queue_free(struct auth_queue *q)
{
    free(q);
}

struct worker *auth_queue_worker(const struct auth_queue *q)
{
    return q->worker;
}

static bool same_network(const struct auth_place *a, const struct auth_place *b, unsigned level)
{
    return memcmp(a->networks[level], b->networks[level], sizeof a->networks[level]) == 0;
}

/* Those that wait keep count of their networks: there are few of them, and none is looked up. */
static void count_waiting(struct auth_queue *q, const struct auth_place *p, int more)
{
    for (struct auth_place *w = q->first; w != NULL; w = w->next) {
        for (unsigned i = 0; i < ADDR_NETWORKS; i++)
            w->waiting[i] += same_network(w, p, i) ? (unsigned)more : 0;
    }
}

static void count_running(struct auth_queue *q, const struct auth_place *p, int more)
{
    for (struct auth_place *w = q->first; w != NULL; w = w->next) {
        for (unsigned i = 0; i < ADDR_NETWORKS; i++) {
            if (!same_network(w, p, i))
                continue;
            w->running[i] += (unsigned)more;
            if (more > 0)
                w->turns[i] = q->turn;
        }
    }
}

/* What the others of its networks know. */
static void learn(const struct auth_queue *q, struct auth_place *p)
{
    for (unsigned i = 0; i < ADDR_NETWORKS; i++) {
        p->turns[i] = q->turn;
        p->waiting[i] = p->running[i] = 0;
        for (const struct auth_place *r = q->runs; r != NULL; r = r->next)
            p->running[i] += same_network(r, p, i);
        for (const struct auth_place *w = q->first; w != NULL; w = w->next) {
            if (!same_network(w, p, i))
                continue;
            p->turns[i] = w->turns[i];
            p->waiting[i]++;
        }
    }
}

static void unlink_place(struct auth_place *p)
{
    struct auth_queue *q = p->queue;

    *p->prev = p->next;
    if (p->next != NULL)
        p->next->prev = p->prev;
    else if (!p->runs)
        q->last = p->prev;
    p->prev = NULL;
}

static void auth_queue_stop_waiting(struct auth_place *p)
{
    unlink_place(p);
    p->queue->waiting--;
    count_waiting(p->queue, p, -1);
}

static void start_waiting(struct auth_queue *q, struct auth_place *p)
{
    q->turn++;
    learn(q, p);
    p->next = NULL;
    p->prev = q->last;
    *q->last = p;
    q->last = &p->next;
    q->waiting++;
    count_waiting(q, p, 1);
}

static bool goes_before(const struct auth_place *a, const struct auth_place *b)
{
    for (unsigned i = ADDR_NETWORKS; i-- > 0;) {
        if (a->running[i] != b->running[i])
            return a->running[i] < b->running[i];
        if (a->turns[i] != b->turns[i])
            return a->turns[i] < b->turns[i];
    }
    return false;
}

static void auth_queue_begin(struct auth_place *p)
{
    struct auth_queue *q = p->queue;

    ev_timer_stop(q->worker->loop, &p->timer);
    auth_queue_stop_waiting(p);
    p->runs = true;
    p->next = q->runs;
    p->prev = &q->runs;
    if (q->runs != NULL)
        q->runs->prev = &p->next;
    q->runs = p;
    q->running++;
    q->turn++;
    count_running(q, p, 1);
    p->run(p);
}

static void begin_next(struct auth_queue *q)
{
    while (q->first != NULL && q->running < q->running_max) {
        struct auth_place *next = q->first;

        for (struct auth_place *p = next->next; p != NULL; p = p->next) {
            if (goes_before(p, next))
                next = p;
        }
        auth_queue_begin(next);
    }
}

/* The last to come of the network that waits with the most. */
static struct auth_place *least_entitled(const struct auth_queue *q)
{
    struct auth_place *found = q->first;

    for (struct auth_place *p = q->first; p != NULL; p = p->next) {
        unsigned i = ADDR_NETWORKS - 1;

        while (i > 0 && p->waiting[i] == found->waiting[i])
            i--;
        if (p->waiting[i] >= found->waiting[i])
            found = p;
    }
    return found;
}

static void auth_queue_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct auth_place *p = timer->data;
    (void)loop;
    (void)revents;

    if (p->prev != NULL)
        auth_queue_stop_waiting(p);
    p->refused(p);
}

static void auth_queue_set_timer(struct auth_place *p, double seconds)
{
    struct ev_loop *loop = p->queue->worker->loop;

    ev_timer_stop(loop, &p->timer);
    ev_timer_init(&p->timer, auth_queue_on_timer, seconds, 0);
    p->timer.data = p;
    ev_timer_start(loop, &p->timer);
}

bool auth_queue_enter(struct auth_queue *q, struct auth_place *p, const union addr *client,
                      void (*run)(struct auth_place *p), void (*refused)(struct auth_place *p))
{
    struct auth_place *last;

    p->queue = q;
    p->run = run;
    p->refused = refused;
    p->runs = false;
    for (unsigned i = 0; i < ADDR_NETWORKS; i++)
        addr_network_key(client, i, p->networks[i]);
    ev_timer_init(&p->timer, auth_queue_on_timer, 0, 0);
    start_waiting(q, p);
    if (q->running < q->running_max) {
        begin_next(q);
        return true;
    }
    last = q->waiting > q->waiting_max ? least_entitled(q) : NULL;
    if (last != NULL)
        auth_queue_stop_waiting(last);
    if (last == p) {
        p->queue = NULL;
        return false;
    }
    if (last != NULL)
        auth_queue_set_timer(last, 0); /* told from the loop */
    auth_queue_set_timer(p, AUTH_QUEUE_WAIT);
    return true;
}

void auth_queue_leave(struct auth_place *p)
{
    struct auth_queue *q = p->queue;

    if (q == NULL)
        return;
    ev_timer_stop(q->worker->loop, &p->timer);
    if (p->runs) {
        unlink_place(p);
        q->running--;
        count_running(q, p, -1);
    } else if (p->prev != NULL) {
        auth_queue_stop_waiting(p);
    }
    p->queue = NULL;
    begin_next(q);
}
