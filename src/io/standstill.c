/* SPDX-License-Identifier: MIT */
#include "io/standstill.h"

#include "io/worker.h"

#define TICK 1.0 /* seconds */

/* So much time has gone by since libev last looked at its clock, and does not count. */
static void take_out(struct worker *w, double seconds)
{
    w->standstill.total += seconds;
    ev_resume(w->loop); /* as if the loop had been suspended: puts its timers off by that time */
}

/* A pause that ends now. */
static void standstill_begin(struct worker *w, double now, double seconds)
{
    struct standstill *s = &w->standstill;

    if (now - s->total - seconds < s->again)
        return;
    take_out(w, seconds);
    s->turns = 1;
    ev_idle_start(w->loop, &s->hurry);
    s->until = now + seconds; /* catching up takes no longer than the pause itself */
    log_line(&w->log, LOG_INFO, "we stood still", LOG_F("seconds", seconds));
}

/* The loop wakes up, and libev has not looked at its clock yet. */
static void on_wake(struct ev_loop *loop)
{
    struct worker *w = ev_userdata(loop);
    struct standstill *s = &w->standstill;
    double now = worker_clock();

    s->woken = true;
    if (!ev_is_active(&s->tick)) /* nothing was planned yet */
        return;
    if (s->turns > 0)
        take_out(w, now - s->slept);
    else if (now - s->total - s->due > STANDSTILL_LEAST)
        standstill_begin(w, now, now - s->slept);
}

/* What has come meanwhile was looked at, or that takes too long. */
static bool is_caught_up(const struct standstill *s, double now)
{
    if (s->turns <= STANDSTILL_TURNS_LEAST)
        return false;
    return s->turns > STANDSTILL_TURNS || s->events < STANDSTILL_CALM || now > s->until;
}

static void standstill_end(struct worker *w, double now)
{
    struct standstill *s = &w->standstill;

    s->turns = 0;
    s->again = now - s->total + STANDSTILL_APART;
    ev_idle_stop(w->loop, &s->hurry);
}

static void on_idle(struct ev_loop *loop, ev_idle *idle, int revents)
{
    (void)loop;
    (void)idle;
    (void)revents;
}

static void on_tick(struct ev_loop *loop, ev_timer *tick, int revents)
{
    struct worker *w = tick->data;
    (void)loop;
    (void)revents;

    w->standstill.due = worker_time(w) + TICK;
}

/* The loop begins: before, there were no turns that could be late. */
static void standstill_start(struct worker *w)
{
    struct standstill *s = &w->standstill;

    ev_timer_init(&s->tick, on_tick, TICK, TICK);
    s->tick.data = w;
    ev_now_update(w->loop);
    ev_timer_start(w->loop, &s->tick);
    ev_unref(w->loop);
    s->due = worker_time(w) + TICK;
}

void standstill_turn_over(struct worker *w, double now)
{
    struct standstill *s = &w->standstill;
    double lasted = now - w->clock;

    s->slept = now;
    if (!s->woken)
        return;
    if (!ev_is_active(&s->tick)) {
        standstill_start(w);
    } else if (s->turns > 0) {
        take_out(w, lasted);
        s->turns++;
        if (is_caught_up(s, now))
            standstill_end(w, now);
    } else if (lasted > STANDSTILL_LEAST) {
        standstill_begin(w, now, lasted);
    }
}

void standstill_init(struct worker *w)
{
    w->standstill = (struct standstill){0};
    ev_idle_init(&w->standstill.hurry, on_idle);
    ev_set_userdata(w->loop, w);
    ev_set_loop_release_cb(w->loop, NULL, on_wake);
}

void standstill_release(struct worker *w)
{
    ev_idle_stop(w->loop, &w->standstill.hurry);
    if (!ev_is_active(&w->standstill.tick))
        return;
    ev_ref(w->loop);
    ev_timer_stop(w->loop, &w->standstill.tick);
}
