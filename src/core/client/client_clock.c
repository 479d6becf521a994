/* SPDX-License-Identifier: MIT */

/*
 * A client's deadlines, on the one timer that its stream has. Data only moves stamps; the timer
 * looks at them when it fires and sleeps on, so that a message costs no timer work.
 *
 * Who is alive: any byte from the client counts. A ping stuck behind data we have queued has not
 * asked anything yet, so as long as the client's system acknowledges bytes it is given more time.
 * While we do not read the client (its data is held back) its pong may lie unread, so silence
 * proves nothing then; what counts is whether its system acknowledges our ping, whether it has hung
 * up, and stall-timeout.
 */
#include <stdlib.h>
#include <string.h>

#include "core/client/client_impl.h"

#define STALL_LOOK 1.0   /* seconds between looks at a queue that does not move */
#define CLOSING_LOOK 1.0 /* and at a client that has our Close before it */
#define SOONEST 0.001

/* ---- the timer ---- */

static void client_set_timer(struct client *c, double seconds)
{
    ev_timer_stop(client_worker(c)->loop, &c->stream->timer);
    if (seconds < SOONEST) /* what was deferred is looked at in the next turn */
        seconds = client_input_ready(c) ? 0 : SOONEST;
    ev_timer_set(&c->stream->timer, seconds, 0);
    ev_timer_start(client_worker(c)->loop, &c->stream->timer);
}

void client_arm(struct client *c, double due)
{
    if (c->state != CLIENT_OPEN && c->state != CLIENT_CLOSING)
        return;
    if (due < CLIENT_NEVER)
        client_set_timer(c, due - client_worker(c)->now);
    else
        client_clock_stop(c);
}

void client_hurry(struct client *c, double seconds)
{
    if (c->state != CLIENT_OPEN && c->state != CLIENT_CLOSING)
        return;
    if (!ev_is_active(&c->stream->timer) ||
        ev_timer_remaining(client_worker(c)->loop, &c->stream->timer) > seconds)
        client_set_timer(c, seconds);
}

static void on_client_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct client *c = timer->data;
    (void)loop;
    (void)revents;

    c->owner->events->timer(c->owner);
}

void client_clock_start(struct client *c)
{
    ev_timer_init(&c->stream->timer, on_client_timer, 0, 0);
}

void client_clock_stop(struct client *c)
{
    ev_timer_stop(client_worker(c)->loop, &c->stream->timer);
}

/* ---- when to look ---- */

/* Of the heartbeat, seconds; 0: there is none. Spread evenly over 0.9 to 1.1 of what is set:
 * clients that came together are not pinged together. */
static double heartbeat_interval(const struct client *c)
{
    uint64_t x = c->owner->id * 0x9e3779b97f4a7c15U;

    return client_settings(c)->ping * (0.9 + 0.2 * (double)(x >> 11) / 9007199254740992.0);
}

static double heartbeat_due(const struct client *c)
{
    const struct client_extra *e = client_extra(c);

    if (client_settings(c)->ping <= 0)
        return CLIENT_NEVER;
    if (e->ping_at > 0) /* an answer may come before it is overdue: then the next ping is due */
        return client_earlier(e->pong_due, client_worker(c)->now + heartbeat_interval(c));
    return client_earlier(stream_last_rx(c->stream), stream_last_tx(c->stream)) +
           heartbeat_interval(c);
}

static double client_stall_look(const struct client *c)
{
    return client_earlier(STALL_LOOK, client_settings(c)->stall_timeout / 4);
}

/* When the first message of the terminal protocol is overdue: it counts from the 101. */
static double first_message_due(const struct client *c)
{
    return c->tty == CLIENT_TTY_BEGINS ? client_extra(c)->tty_due : CLIENT_NEVER;
}

double client_due(const struct client *c)
{
    double now = client_worker(c)->now, due = CLIENT_NEVER;

    if (client_input_ready(c))
        return now;
    if (c->state == CLIENT_OPEN) {
        due = client_earlier(heartbeat_due(c), first_message_due(c));
        if (client_extra(c)->stall_since > 0)
            due = client_earlier(due, now + client_stall_look(c));
    } else if (c->state == CLIENT_CLOSING) {
        due = now + client_earlier(client_settings(c)->close_timeout, CLOSING_LOOK);
    }
    return client_earlier(due, client_throttle_due(c));
}

/* ---- the heartbeat ---- */

static void await_pong(struct client *c, double now)
{
    c->extra->pong_due = now + client_settings(c)->pong_timeout;
    c->extra->ping_mark = stream_delivered(c->stream);
}

static void send_ping(struct client *c)
{
    struct client_extra *e = client_need_extra(c);
    double stamp = worker_time(client_worker(c));

    if (e == NULL) {
        client_no_memory(c);
        return;
    }
    e->ping_at = stamp;
    await_pong(c, client_worker(c)->now);
    client_send_control(c, WS_PING, &stamp, sizeof stamp);
    client_route(c)->stats->pings++;
}

/* The pong is overdue: is the client? With a queue for it, the stall clock judges. */
static void judge_silence(struct client *c, double now)
{
    bool moving = stream_delivered(c->stream) != c->extra->ping_mark;
    bool pending = stream_pending(c->stream) > 0;

    if (c->extra->stall_since > 0 || (pending && moving) || (c->paused && !pending)) {
        await_pong(c, now);
        return;
    }
    client_route(c)->stats->lost++;
    client_lose(c, "no answer to the heartbeat");
}

static void check_heartbeat(struct client *c, double now)
{
    struct client_extra *e = c->extra;
    bool asked = e != NULL && e->ping_at > 0;

    if (asked && stream_last_rx(c->stream) > e->ping_at) {
        e->ping_at = 0;
        asked = false;
    }
    if (asked && now >= e->pong_due)
        judge_silence(c, now);
    else if (!asked && now >= heartbeat_due(c))
        send_ping(c);
}

/* ---- stalls, the wait for its Close, its first message ---- */

/* Without memory there would be no clock, and no next look either, where nothing moves. */
void client_clock_stall(struct client *c, bool full)
{
    struct client_extra *e = full ? client_need_extra(c) : c->extra;

    if (full && e == NULL)
        client_no_memory(c);
    if (e == NULL)
        return;
    if (!full) {
        e->stall_since = 0;
    } else if (e->stall_since <= 0) {
        e->stall_since = client_worker(c)->now;
        e->stall_mark = stream_delivered(c->stream);
        client_hurry(c, client_stall_look(c));
    }
}

static void client_check_stall(struct client *c, double now)
{
    struct client_extra *e = c->extra;

    if (e == NULL || e->stall_since <= 0)
        return;
    uint64_t mark = stream_delivered(c->stream);

    if (mark != e->stall_mark) {
        e->stall_mark = mark;
        e->stall_since = now;
    } else if (now - e->stall_since >= client_settings(c)->stall_timeout) {
        client_abandon(c, WS_CODE_POLICY, "the client reads too slowly");
    }
}

/* Without memory the wait is over when the timer looks. */
void client_clock_closing(struct client *c)
{
    struct client_extra *e = client_need_extra(c);

    client_throttle_lift(c);
    if (e != NULL) {
        e->stall_since = 0;
        e->closing_since = client_worker(c)->now;
        e->stall_mark = stream_delivered(c->stream);
    }
    client_hurry(c, client_earlier(client_settings(c)->close_timeout, CLOSING_LOOK));
}

/* Our Close stands behind what was queued before it: a slow client gets all of that, and then
 * close-timeout to answer. */
static void check_closing(struct client *c, double now)
{
    const struct settings *set = client_settings(c);
    uint64_t mark = stream_delivered(c->stream);
    double limit = stream_pending(c->stream) > 0 ? set->stall_timeout : set->close_timeout;

    if (c->extra != NULL && mark != c->extra->stall_mark) {
        c->extra->stall_mark = mark;
        c->extra->closing_since = now;
    } else if (now - client_extra(c)->closing_since >= limit) {
        client_lose(c, "no answer to our Close");
    }
}

void client_go_on(struct client *c)
{
    if (client_input_ready(c))
        client_input_go_on(c);
    else if (client_throttled(c))
        client_throttle_look(c);
}

void client_look(struct client *c)
{
    double now = client_worker(c)->now;

    if (c->state == CLIENT_CLOSING)
        check_closing(c, now);
    if (c->state == CLIENT_OPEN && now >= first_message_due(c))
        client_close(c, WS_CODE_POLICY, "tty: no first message in time", CLOSED_BY_SERVER);
    if (c->state == CLIENT_OPEN)
        client_check_stall(c, now);
    if (c->state == CLIENT_OPEN)
        check_heartbeat(c, now);
}

bool client_hung_up(const struct client *c)
{
    return c->stream != NULL && stream_peer_finished(c->stream);
}

/* ---- round trips: of a float's 24 bits of precision 8 are enough ---- */

static uint16_t pack_rtt(float ms)
{
    uint32_t bits;

    memcpy(&bits, &ms, sizeof bits);
    return (uint16_t)((bits + 0x8000U) >> 16);
}

static float unpack_rtt(uint16_t packed)
{
    uint32_t bits = (uint32_t)packed << 16;
    float ms;

    memcpy(&ms, &bits, sizeof ms);
    return ms;
}

static int compare_floats(const void *a, const void *b)
{
    const float *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

double client_rtt(const struct client *c)
{
    float sorted[CLIENT_RTTS];
    size_t n = c->rtt_count < CLIENT_RTTS ? c->rtt_count : CLIENT_RTTS;

    if (n == 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        sorted[i] = unpack_rtt(c->rtt[i]);
    qsort(sorted, n, sizeof sorted[0], compare_floats);
    return (double)sorted[n / 2];
}

static void note_rtt(struct client *c, double seconds)
{
    c->rtt[c->rtt_count % CLIENT_RTTS] = pack_rtt((float)(seconds * 1000));
    /* The count only has to say that all are there, and whose turn it is. */
    if (++c->rtt_count == 2 * CLIENT_RTTS)
        c->rtt_count = CLIENT_RTTS;
    stats_observe(&client_route(c)->stats->round_trip, &stats_scale_short, seconds);
}

void client_clock_pong(struct client *c, const uint8_t *payload, size_t n)
{
    struct client_extra *e = c->extra;
    double stamp;

    if (n != sizeof stamp && c->owner->events->pong != NULL)
        c->owner->events->pong(c->owner, payload, n);
    if (e == NULL || e->ping_at <= 0 || n != sizeof stamp)
        return;
    memcpy(&stamp, payload, sizeof stamp);
    if (stamp > e->ping_at || stamp < e->ping_at)
        return; /* not the last one; an unsolicited pong is legal */
    note_rtt(c, worker_time(client_worker(c)) - stamp);
    e->ping_at = 0;
}
