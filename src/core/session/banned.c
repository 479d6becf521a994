/* SPDX-License-Identifier: MIT */
#include "core/session/banned.h"

#include "core/admission/admission.h"
#include "core/admission/waiting.h"
#include "core/core.h"

/* In one turn. */
#define WALK_PIECE 500  /* sessions that are looked at */
#define WALK_KICKS 50   /* sessions that are ended */
#define WALK_CLOSES 500 /* connections that have asked for nothing */

static bool is_gone(void *admission, const union addr *client)
{
    return admission_bans_client(admission, client);
}

static bool client_is_banned(const struct client *c, const void *admission)
{
    struct admission *g = (struct admission *)(uintptr_t)admission; /* as it is passed below */
    union addr client;

    return session_client_addr(c, &client) && admission_bans_client(g, &client);
}

static void stop_walk(struct banned_walk *b)
{
    if (b->walking)
        session_cursor_close(&b->cursor);
    b->walking = false;
    ev_timer_stop(b->worker->loop, &b->next);
}

/* False: that was all. What has asked for nothing goes first: it may hold the descriptors that
 * others need. */
static bool walk_on(struct banned_walk *b)
{
    struct admission *g = core_of(b->worker)->admission;
    int kicks = 0;

    if (!waiting_close(b->worker, is_gone, g, WALK_CLOSES))
        return true;
    for (int i = 0; i < WALK_PIECE && kicks < WALK_KICKS; i++) {
        struct session *s = session_cursor_next(&b->cursor);

        if (s == NULL)
            return false;
        kicks += (int)session_kick_clients(s, client_is_banned, g, "banned");
    }
    return true;
}

static void wait_a_turn(struct banned_walk *b)
{
    ev_timer_set(&b->next, 0, 0);
    ev_timer_start(b->worker->loop, &b->next);
}

static void on_next_turn(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct banned_walk *b = timer->data;
    (void)loop;
    (void)revents;

    if (walk_on(b))
        wait_a_turn(b);
    else
        stop_walk(b);
}

static void start_walk(void *walk)
{
    struct banned_walk *b = walk;

    stop_walk(b);
    b->walking = true;
    session_cursor_open(&b->cursor, b->worker);
    wait_a_turn(b);
}

void banned_init(struct banned_walk *b, struct worker *w)
{
    b->worker = w;
    ev_timer_init(&b->next, on_next_turn, 0, 0);
    b->next.data = b;
    admission_on_ban(core_of(w)->admission, start_walk, b);
}

void banned_release(struct banned_walk *b)
{
    stop_walk(b);
    admission_on_ban(core_of(b->worker)->admission, NULL, NULL);
}
