/* SPDX-License-Identifier: MIT */

/*
 * All of a session's deadlines on one timer. Data only moves stamps; the timer looks at them when
 * it fires and sleeps on, so that a message costs no timer work.
 *
 * Who is alive: any byte from the client counts. A ping stuck behind data we have queued has not
 * asked anything yet, so as long as the client's system acknowledges bytes it is given more time.
 * While we do not read the client (its data is held back) its pong may lie unread, so silence
 * proves nothing then; what counts is whether its system acknowledges our ping, whether it has hung
 * up, and stall-timeout.
 */
#include <stdlib.h>
#include <string.h>

#include "core/session_impl.h"

#define STALL_LOOK 1.0   /* seconds between looks at a queue that does not move */
#define CLOSING_LOOK 1.0 /* and at a client that has our Close before it */
#define SOONEST 0.001

/* Of the heartbeat, seconds; 0: there is none. Uniform in 0.9 to 1.1 of what is set: clients that
 * came together are not pinged together. */
static double interval(const struct session *s)
{
    uint64_t x = s->id * 0x9e3779b97f4a7c15U;

    return s->route->settings.ping * (0.9 + 0.2 * (double)(x >> 11) / 9007199254740992.0);
}

static double min_of(double a, double b)
{
    return a < b ? a : b;
}

static double heartbeat_due(const struct session *s)
{
    const struct session_busy *b = session_is_busy(s);

    if (s->route->settings.ping <= 0)
        return SESSION_NEVER;
    if (b->ping_at > 0) /* an answer may come before it is overdue: then the next ping is due */
        return min_of(b->pong_due, s->worker->now + interval(s));
    return min_of(stream_last_rx(s->stream), stream_last_tx(s->stream)) + interval(s);
}

static double stall_look(const struct session *s)
{
    return min_of(STALL_LOOK, s->route->settings.stall_timeout / 4);
}

/* When to look again, worker time. */
static double next_due(const struct session *s)
{
    const struct settings *set = &s->route->settings;
    const struct session_busy *b = session_is_busy(s);
    double due = SESSION_NEVER;

    if (session_input_ready(s))
        return s->worker->now;
    if (s->phase == SESSION_OPEN) {
        due = heartbeat_due(s);
        if (set->idle_timeout > 0)
            due = min_of(due, s->last_data + set->idle_timeout);
        if (s->exit_awaited)
            due = min_of(due, b->waiting_since + SESSION_EXIT_WAIT);
        if (b->partial_since > 0)
            due = min_of(due, b->partial_since + set->partial_lines);
        if (b->client_stall > 0 || b->backend_stall > 0)
            due = min_of(due, s->worker->now + stall_look(s));
        if (s->tty == SESSION_TTY_BEGINS)
            due = min_of(due, s->opened_at + s->route->config->handshake_timeout);
    } else if (s->phase == SESSION_CLOSING) {
        due = s->worker->now + min_of(set->close_timeout, CLOSING_LOOK);
    }
    return min_of(due, session_rate_due(s));
}

static void arm(struct session *s, double seconds)
{
    ev_timer_stop(s->worker->loop, &s->stream->timer);
    if (seconds < SOONEST) /* what was put off is looked at in the next turn */
        seconds = session_input_ready(s) ? 0 : SOONEST;
    ev_timer_set(&s->stream->timer, seconds, 0);
    ev_timer_start(s->worker->loop, &s->stream->timer);
}

static void await_pong(struct session *s, double now)
{
    s->busy->pong_due = now + s->route->settings.pong_timeout;
    s->busy->ping_mark = stream_delivered(s->stream);
}

static void send_ping(struct session *s)
{
    struct session_busy *b = session_busy(s);
    double stamp = worker_clock();

    if (b == NULL) {
        session_close(s, WS_CODE_INTERNAL, "out of memory", CLOSED_BY_SERVER);
        return;
    }
    b->ping_at = stamp;
    await_pong(s, s->worker->now);
    session_send_control(s, WS_PING, &stamp, sizeof stamp);
    s->route->stats->pings++;
}

static void lose(struct session *s)
{
    s->route->stats->lost++;
    session_lost(s, "no answer to the heartbeat");
}

/* The pong is overdue: is the client? With a queue for it, the stall clock judges. */
static void judge_silence(struct session *s, double now)
{
    bool moving = stream_delivered(s->stream) != s->busy->ping_mark;
    bool pending = stream_pending(s->stream) > 0;

    if (s->busy->client_stall > 0 || (pending && moving) || (s->client_paused && !pending))
        await_pong(s, now);
    else
        lose(s);
}

static void check_heartbeat(struct session *s, double now)
{
    struct session_busy *b = s->busy;
    bool asked = b != NULL && b->ping_at > 0;

    if (asked && stream_last_rx(s->stream) > b->ping_at) {
        b->ping_at = 0;
        asked = false;
    }
    if (asked && now >= b->pong_due)
        judge_silence(s, now);
    else if (!asked && now >= heartbeat_due(s))
        send_ping(s);
}

static void check_stalls(struct session *s, double now)
{
    const struct settings *set = &s->route->settings;
    struct session_busy *b = s->busy;

    if (b != NULL && b->client_stall > 0) {
        uint64_t mark = stream_delivered(s->stream);

        if (mark != b->client_mark) {
            b->client_mark = mark;
            b->client_stall = now;
        } else if (now - b->client_stall >= set->stall_timeout) {
            session_stalled(s, WS_CODE_POLICY, "the client reads too slowly");
            return;
        }
    }
    if (b != NULL && b->backend_stall > 0) {
        uint64_t mark = s->backend->ops->delivered(s->backend);

        if (mark != b->backend_mark) {
            b->backend_mark = mark;
            b->backend_stall = now;
        } else if (now - b->backend_stall >= set->stall_timeout) {
            session_stalled(s, WS_CODE_INTERNAL, "the backend takes no input");
        } else if (now - b->backend_stall >= set->stop_grace && stream_peer_finished(s->stream)) {
            session_lost(s, "the client left without a Close");
        }
    }
}

/* Our Close stands behind what was queued before it: a slow client gets all of that, and then
 * close-timeout to answer. */
static void check_closing(struct session *s, double now)
{
    const struct settings *set = &s->route->settings;
    uint64_t mark = stream_delivered(s->stream);
    double limit = stream_pending(s->stream) > 0 ? set->stall_timeout : set->close_timeout;
    const struct session_busy *b = session_is_busy(s);

    if (s->busy != NULL && mark != b->client_mark) {
        s->busy->client_mark = mark;
        s->busy->waiting_since = now;
    } else if (now - b->waiting_since >= limit) {
        session_lost(s, "no answer to our Close");
    }
}

static void look_at_put_off(struct session *s)
{
    if (session_input_ready(s)) {
        session_input_go_on(s);
        session_balance(s);
    } else if (session_rate_holds(s)) {
        session_rate_look(s);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct session *s = timer->data;
    const struct settings *set = &s->route->settings;
    double now = s->worker->now;
    (void)loop;
    (void)revents;

    look_at_put_off(s);
    if (s->phase == SESSION_CLOSING)
        check_closing(s, now);
    if (s->phase == SESSION_OPEN && s->exit_awaited &&
        now - session_is_busy(s)->waiting_since >= SESSION_EXIT_WAIT)
        session_backend_done(s);
    if (s->phase == SESSION_OPEN && session_is_busy(s)->partial_since > 0 &&
        now - s->busy->partial_since >= set->partial_lines) {
        session_output_partial(s);
        session_balance(s);
    }
    if (s->phase == SESSION_OPEN && set->idle_timeout > 0 &&
        now - s->last_data >= set->idle_timeout)
        session_close(s, WS_CODE_GOING_AWAY, "idle", CLOSED_BY_SERVER);
    if (s->phase == SESSION_OPEN && s->tty == SESSION_TTY_BEGINS &&
        now - s->opened_at >= s->route->config->handshake_timeout)
        session_close(s, WS_CODE_POLICY, "tty: no first message in time", CLOSED_BY_SERVER);
    if (s->phase == SESSION_OPEN)
        check_stalls(s, now);
    if (s->phase == SESSION_OPEN)
        check_heartbeat(s, now);
    if (s->phase == SESSION_OPEN || s->phase == SESSION_CLOSING)
        arm(s, next_due(s) - now);
    session_trim(s);
}

void session_time_start(struct session *s)
{
    ev_timer_init(&s->stream->timer, on_timer, 0, 0);
    double due = next_due(s);
    if (due < SESSION_NEVER)
        arm(s, due - s->worker->now);
}

void session_time_stop(struct session *s)
{
    ev_timer_stop(s->worker->loop, &s->stream->timer);
}

void session_time_hurry(struct session *s, double seconds)
{
    if (s->phase != SESSION_OPEN && s->phase != SESSION_CLOSING)
        return;
    if (!ev_is_active(&s->stream->timer) ||
        ev_timer_remaining(s->worker->loop, &s->stream->timer) > seconds)
        arm(s, seconds);
}

/* Without memory the wait is over when the timer looks. */
void session_time_wait(struct session *s, double seconds)
{
    if (session_busy(s) != NULL)
        s->busy->waiting_since = s->worker->now;
    session_time_hurry(s, seconds);
}

void session_time_closing(struct session *s)
{
    session_rate_lift(s);
    session_time_wait(s, min_of(s->route->settings.close_timeout, CLOSING_LOOK));
    if (s->busy != NULL)
        s->busy->client_mark = stream_delivered(s->stream);
}

/* Without memory there would be no clock, and no next balance either, where nothing moves. */
void session_time_stalls(struct session *s, bool client_full, bool backend_full)
{
    bool full = s->phase == SESSION_OPEN && (client_full || backend_full);
    struct session_busy *b = full ? session_busy(s) : s->busy;

    if (full && b == NULL)
        session_close(s, WS_CODE_INTERNAL, "out of memory", CLOSED_BY_SERVER);
    if (b == NULL)
        return;
    if (!full || !client_full) {
        b->client_stall = 0;
    } else if (b->client_stall <= 0) {
        b->client_stall = s->worker->now;
        b->client_mark = stream_delivered(s->stream);
        session_time_hurry(s, stall_look(s));
    }
    if (!full || !backend_full) {
        b->backend_stall = 0;
    } else if (b->backend_stall <= 0) {
        b->backend_stall = s->worker->now;
        b->backend_mark = s->backend->ops->delivered(s->backend);
        session_time_hurry(s, stall_look(s));
    }
}

/* ---- round trips: of a float's 24 bits of precision 8 are enough ---- */

static uint16_t pack(float ms)
{
    uint32_t bits;

    memcpy(&bits, &ms, sizeof bits);
    return (uint16_t)((bits + 0x8000U) >> 16);
}

static float unpack(uint16_t packed)
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

double session_time_rtt(const struct session *s)
{
    float sorted[SESSION_RTTS];
    size_t n = s->rtt_count < SESSION_RTTS ? s->rtt_count : SESSION_RTTS;

    if (n == 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        sorted[i] = unpack(s->rtt[i]);
    qsort(sorted, n, sizeof sorted[0], compare_floats);
    return (double)sorted[n / 2];
}

static void note_rtt(struct session *s, double seconds)
{
    s->rtt[s->rtt_count % SESSION_RTTS] = pack((float)(seconds * 1000));
    if (++s->rtt_count ==
        2 * SESSION_RTTS) /* it only has to say that all are there, and whose turn */
        s->rtt_count = SESSION_RTTS;
    stats_observe(&s->route->stats->round_trip, &stats_scale_short, seconds);
}

void session_time_pong(struct session *s, const uint8_t *payload, size_t n)
{
    struct session_busy *b = s->busy;
    double stamp;

    if (b == NULL || b->ping_at <= 0 || n != sizeof stamp)
        return;
    memcpy(&stamp, payload, sizeof stamp);
    if (stamp > b->ping_at ||
        stamp < b->ping_at) /* not the last one; an unsolicited pong is legal */
        return;
    note_rtt(s, worker_clock() - stamp);
    b->ping_at = 0;
}
