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

/* Uniform in 0.9 to 1.1 of the interval: clients that came together are not pinged together. */
static float jittered(const struct session *s)
{
    uint64_t x = s->id * 0x9e3779b97f4a7c15U;

    return (float)(s->route->settings.ping * (0.9 + 0.2 * (double)(x >> 11) / 9007199254740992.0));
}

static double min_of(double a, double b)
{
    return a < b ? a : b;
}

static double heartbeat_due(const struct session *s)
{
    if (s->interval <= 0)
        return SESSION_NEVER;
    if (s->ping_at > 0) /* an answer may come before it is overdue: then the next ping is due */
        return min_of(s->pong_due, s->worker->now + (double)s->interval);
    return min_of(stream_last_rx(s->stream), stream_last_tx(s->stream)) + (double)s->interval;
}

static double stall_look(const struct session *s)
{
    return min_of(STALL_LOOK, s->route->settings.stall_timeout / 4);
}

/* When to look again, worker time. */
static double next_due(const struct session *s)
{
    const struct settings *set = &s->route->settings;
    double due = SESSION_NEVER;

    if (session_input_ready(s))
        return s->worker->now;
    if (s->phase == SESSION_OPEN) {
        due = heartbeat_due(s);
        if (set->idle_timeout > 0)
            due = min_of(due, s->last_data + set->idle_timeout);
        if (s->exit_awaited)
            due = min_of(due, s->waiting_since + SESSION_EXIT_WAIT);
        if (s->partial_since > 0)
            due = min_of(due, s->partial_since + set->partial_lines);
        if (s->client_stall > 0 || s->backend_stall > 0)
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
    s->pong_due = now + s->route->settings.pong_timeout;
    s->ping_mark = stream_delivered(s->stream);
}

static void send_ping(struct session *s)
{
    double stamp = worker_clock();

    s->ping_at = stamp;
    await_pong(s, s->worker->now);
    session_send_control(s, WS_PING, &stamp, sizeof stamp);
    s->stats->pings++;
}

static void lose(struct session *s)
{
    s->stats->lost++;
    session_lost(s, "no answer to the heartbeat");
}

/* The pong is overdue: is the client? With a queue for it, the stall clock judges. */
static void judge_silence(struct session *s, double now)
{
    bool moving = stream_delivered(s->stream) != s->ping_mark;
    bool pending = stream_pending(s->stream) > 0;

    if (s->client_stall > 0 || (pending && moving) || (s->client_paused && !pending))
        await_pong(s, now);
    else
        lose(s);
}

static void check_heartbeat(struct session *s, double now)
{
    if (s->ping_at > 0 && stream_last_rx(s->stream) > s->ping_at)
        s->ping_at = 0;
    if (s->ping_at > 0 && now >= s->pong_due)
        judge_silence(s, now);
    else if (s->ping_at <= 0 && now >= heartbeat_due(s))
        send_ping(s);
}

static void check_stalls(struct session *s, double now)
{
    const struct settings *set = &s->route->settings;

    if (s->client_stall > 0) {
        uint64_t mark = stream_delivered(s->stream);

        if (mark != s->client_mark) {
            s->client_mark = mark;
            s->client_stall = now;
        } else if (now - s->client_stall >= set->stall_timeout) {
            session_stalled(s, WS_CODE_POLICY, "the client reads too slowly");
            return;
        }
    }
    if (s->backend_stall > 0) {
        uint64_t mark = s->backend->ops->delivered(s->backend);

        if (mark != s->backend_mark) {
            s->backend_mark = mark;
            s->backend_stall = now;
        } else if (now - s->backend_stall >= set->stall_timeout) {
            session_stalled(s, WS_CODE_INTERNAL, "the backend takes no input");
        } else if (now - s->backend_stall >= set->stop_grace && stream_peer_finished(s->stream)) {
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

    if (mark != s->client_mark) {
        s->client_mark = mark;
        s->waiting_since = now;
    } else if (now - s->waiting_since >= limit) {
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
    if (s->phase == SESSION_OPEN && s->exit_awaited && now - s->waiting_since >= SESSION_EXIT_WAIT)
        session_backend_done(s);
    if (s->phase == SESSION_OPEN && s->partial_since > 0 &&
        now - s->partial_since >= set->partial_lines) {
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
}

void session_time_start(struct session *s)
{
    s->interval = jittered(s);
    ev_timer_init(&s->stream->timer, on_timer, 0, 0);
    s->stream->timer.data = s;
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

void session_time_closing(struct session *s)
{
    session_rate_lift(s);
    session_time_hurry(s, min_of(s->route->settings.close_timeout, CLOSING_LOOK));
}

void session_time_stalls(struct session *s, bool client_full, bool backend_full)
{
    if (s->phase != SESSION_OPEN)
        client_full = backend_full = false;
    if (client_full && s->client_stall == 0) {
        s->client_stall = s->worker->now;
        s->client_mark = stream_delivered(s->stream);
        session_time_hurry(s, stall_look(s));
    } else if (!client_full) {
        s->client_stall = 0;
    }
    if (backend_full && s->backend_stall == 0) {
        s->backend_stall = s->worker->now;
        s->backend_mark = s->backend->ops->delivered(s->backend);
        session_time_hurry(s, stall_look(s));
    } else if (!backend_full) {
        s->backend_stall = 0;
    }
}

void session_time_pong(struct session *s, const uint8_t *payload, size_t n)
{
    double stamp;

    if (s->ping_at <= 0 || n != sizeof stamp)
        return;
    memcpy(&stamp, payload, sizeof stamp);
    if (stamp > s->ping_at ||
        stamp < s->ping_at) /* not the last one; an unsolicited pong is legal */
        return;
    double rtt = worker_clock() - stamp;
    s->rtt[s->rtt_count++ % SESSION_RTTS] = (float)(rtt * 1000);
    stats_observe(&s->stats->round_trip, &stats_scale_short, rtt);
    s->ping_at = 0;
}
