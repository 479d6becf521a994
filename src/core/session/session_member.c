/* SPDX-License-Identifier: MIT */

/*
 * One client of a session that outlives its connections.
 *
 * Its place in what was said is a number. Whenever its queue is empty it is sent what it may have
 * from the ring, some 64 KiB at most; so a slow one costs that, and stops nobody. What it has got
 * is known from its pongs: a ping with the number of the last message before it goes out at the
 * latest with every quarter of the ring, and every browser answers by itself. A page that counts
 * says so itself (docs/sessions.md).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/admission/limits.h"
#include "core/core.h"
#include "core/session/session_kept.h"
#include "core/subprotocol.h"
#include "proto/channel.h"
#include "proto/tty.h"

#define TELL_COUNT 1.0 /* seconds between two reports of what has arrived of it */

static struct member *member_of(struct client_owner *o)
{
    return (struct member *)o;
}

static double now_of(const struct member *m)
{
    return m->owner.worker->now;
}

/* ---- what it is told about the session ---- */

static void member_tell(struct member *m, const char *json)
{
    uint8_t frame[CLIENT_PLACE + CHANNEL_TOLD_MAX];
    struct client_burst burst = {.client = m->client};
    size_t n = strlen(json);

    if (m->sender == NULL || m->client->state != CLIENT_OPEN)
        return;
    frame[CLIENT_PLACE - 1] = CHANNEL_ABOUT;
    memcpy(frame + CLIENT_PLACE, json, n);
    client_send(&burst, WS_TEXT, frame + CLIENT_PLACE - 1, n + 1, false);
    client_flush(&burst);
}

static void tell_begin(struct member *m, bool resumed)
{
    char json[CHANNEL_TOLD_MAX];

    m->told_count = m->sender != NULL ? m->sender->count : 0;
    m->told_at = now_of(m);
    channel_write_session(json, resumed, session_kept(m->session)->id, m->next, m->told_count);
    member_tell(m, json);
}

static void tell_count(struct member *m)
{
    char json[CHANNEL_TOLD_MAX];

    if (m->sender == NULL || (m->sender->count == m->told_count && !m->is_asked) ||
        now_of(m) - m->told_at < TELL_COUNT)
        return;
    m->is_asked = false;
    m->told_count = m->sender->count;
    m->told_at = now_of(m);
    channel_write_number(json, "got", m->told_count);
    member_tell(m, json);
}

/* When to look at it, worker time: its own deadlines, and what it is to be told. */
static double member_due(const struct member *m)
{
    double due = client_due(m->client), told = m->told_at + TELL_COUNT;
    bool wants = m->sender != NULL && m->sender->count != m->told_count;

    return wants && told < due ? told : due;
}

void member_tell_skipped(struct member *m)
{
    char json[CHANNEL_TOLD_MAX];

    if (m->skipped == m->skipped_told)
        return;
    channel_write_number(json, "skipped", m->skipped - m->skipped_told);
    m->skipped_told = m->skipped;
    member_tell(m, json);
}

/* ---- what it has got ---- */

static void note_got(struct member *m, uint64_t number)
{
    if (number >= m->next)
        number = m->next - 1;
    if (number <= m->got)
        return;
    m->got = number;
    m->got_moved = now_of(m);
    m->silent = false;
}

/* A ping that says which messages stand before it. */
static void member_ask(struct member *m)
{
    struct session_kept *k = session_kept(m->session);
    struct {
        double stamp;
        uint64_t number;
    } payload = {worker_clock(), m->next - 1};

    m->asked_total = k->ring.total - ring_bytes_from(&k->ring, m->next);
    if (m->mark_number == 0) {
        m->mark_number = m->next - 1;
        m->mark_at = stream_delivered(m->client->stream) + stream_pending(m->client->stream);
    }
    if (m->sender == NULL)
        client_ping(m->client, &payload, sizeof payload);
}

static void ask_when_due(struct member *m)
{
    struct session_kept *k = session_kept(m->session);

    if (session_is_private(m->session) &&
        k->ring.total - ring_bytes_from(&k->ring, m->next) - m->asked_total >= k->ring.limit / 4)
        member_ask(m);
}

static void on_pong(struct client_owner *o, const uint8_t *payload, size_t n)
{
    uint64_t number;

    if (n != sizeof(double) + sizeof number)
        return;
    memcpy(&number, payload + sizeof(double), sizeof number);
    note_got(member_of(o), number);
}

/* While it is not read, its pongs cannot be seen: what its system has acknowledged counts. */
static void look_at_mark(struct member *m)
{
    if (m->mark_number == 0 || m->client->stream == NULL ||
        stream_delivered(m->client->stream) < m->mark_at)
        return;
    if (m->client->paused)
        note_got(m, m->mark_number);
    m->mark_number = 0;
    if (m->client->paused && m->got + 1 < m->next)
        member_ask(m);
}

bool member_is_behind(const struct member *m)
{
    const struct session_kept *k = session_kept(m->session);

    return !m->silent && m->got + 1 >= k->ring.first &&
           ring_bytes_from(&k->ring, m->got + 1) > k->ring.limit / 2;
}

bool member_holds(struct member *m)
{
    look_at_mark(m);
    return member_is_behind(m);
}

/* ---- sending ---- */

uint8_t *member_form(const struct member *m, const struct ring_message *msg, uint8_t *opcode,
                     size_t *n)
{
    uint8_t *p = msg->payload;

    *opcode = msg->opcode;
    if (m->client->tty != CLIENT_TTY_NOT) {
        *--p = TTY_OUTPUT;
        *opcode = WS_BINARY;
    }
    if (m->client->channels || m->session->channels)
        *--p = msg->channel;
    *n = msg->len + (size_t)(msg->payload - p);
    return p;
}

static void send_message_of(struct member *m, struct client_burst *burst, uint64_t number,
                            const struct ring_message *msg)
{
    uint8_t opcode, *p;
    size_t n;

    p = member_form(m, msg, &opcode, &n);
    client_count_out(m->client, n);
    attach_sent(m, number, n);
    client_send(burst, opcode, p, n, false);
}

static void send_one(struct member *m, struct client_burst *burst, uint64_t number)
{
    struct ring_message msg = ring_get(&session_kept(m->session)->ring, number);

    if (hub_is_for(m, &msg))
        send_message_of(m, burst, number, &msg);
}

void member_send(struct member *m, uint64_t number, uint8_t *p, size_t n)
{
    struct client_burst burst = {.client = m->client};
    const struct ring_message msg = {
        .payload = p, .len = n, .opcode = m->session->opcode_out, .channel = CHANNEL_OUTPUT};

    send_message_of(m, &burst, number, &msg);
    client_flush(&burst);
}

/* What it was to get is not there any more. */
static void skip(struct member *m)
{
    struct session_kept *k = session_kept(m->session);

    if (session_is_private(m->session)) {
        attach_gap(m);
        client_close(m->client, SESSION_GAP, "messages were lost", CLOSED_BY_SERVER);
    } else if (k->screen != NULL) {
        screen_show_again(m);
    } else if (session_framing(m->session)->cut ==
               NULL) { /* bytes without borders cannot be torn */
        attach_gap(m);
        client_close(m->client, WS_CODE_POLICY, "the client reads too slowly", CLOSED_BY_SERVER);
    } else {
        attach_skipped(m, k->ring.first - m->next);
        m->next = k->ring.first;
        member_tell_skipped(m);
    }
}

/* Number of the first message that is not there yet, or that it is not to get. */
static uint64_t end_of(const struct member *m)
{
    uint64_t next = session_kept(m->session)->ring.next;

    return m->leave_at != 0 && m->leave_at < next ? m->leave_at : next;
}

static void member_send_some(struct member *m)
{
    struct session_kept *k = session_kept(m->session);
    struct client_burst burst = {.client = m->client};
    uint64_t until;

    if (m->next < k->ring.first)
        skip(m);
    if (m->client->state != CLIENT_OPEN || m->wants_picture)
        return;
    if (fan_send(m, end_of(m))) {
        ask_when_due(m);
        return;
    }
    until = k->ring.total - ring_bytes_from(&k->ring, m->next) + SESSION_AT_ONCE;
    while (m->next < end_of(m)) {
        if (k->ring.total - ring_bytes_from(&k->ring, m->next) > until)
            break;
        send_one(m, &burst, m->next++);
    }
    client_flush(&burst);
    ask_when_due(m);
}

static void set_ready(struct member *m, bool ready)
{
    struct session_kept *k = session_kept(m->session);

    if (m->ready == ready)
        return;
    m->ready = ready;
    k->ready += ready ? 1 : (size_t)-1;
}

static bool takes(const struct client *c)
{
    return c->state == CLIENT_OPEN && client_queued(c) == 0 && !c->asked_pause;
}

void member_pump(struct member *m)
{
    struct session_kept *k = session_kept(m->session);
    struct client *c = m->client;

    if (!m->attached)
        return;
    while (takes(c) && m->next < end_of(m)) {
        if (!m->wants_picture)
            member_send_some(m);
        else if (!screen_show(m))
            break;
    }
    set_ready(m, takes(c) && m->next == k->ring.next && !m->wants_picture);
    if (k->code != 0 && (k->at_once || m->next == k->ring.next))
        client_close(c, k->code, client_extra(m->session->client)->reason, k->closer);
    else if (m->leave_at != 0 && m->next >= m->leave_at)
        member_leave(m, WS_CODE_NORMAL, "closed by the program");
}

/* ---- coming and going ---- */

struct member *member_new(struct session *s, const struct session_open *o, const char *unique)
{
    size_t n;
    char *origin = session_log_origin(o, unique, &n);
    struct member *m = origin != NULL ? calloc(1, sizeof *m + sizeof *m->client + n) : NULL;
    const struct request *r = stream_request(o->stream);
    bool speaks_tty = o->route->backend->is_terminal && slice_is(o->subprotocol, TTY_SUBPROTOCOL);

    if (m == NULL) {
        free(origin);
        return NULL;
    }
    m->client = (struct client *)(m + 1);
    memcpy(m->client->origin, origin, n);
    free(origin);
    m->owner = (struct client_owner){.events = &member_client_events,
                                     .worker = session_worker(s),
                                     .route = session_route(s),
                                     .id = s->owner.id + session_kept(s)->joined++,
                                     .last_data = session_worker(s)->now};
    m->session = s;
    m->number = session_kept(s)->joined;
    m->opened_at = m->got_moved = now_of(m);
    const struct client_open how = {
        .owner = &m->owner,
        .stream = o->stream,
        .accept = o->accept,
        .deflate = o->deflate,
        .framing = speaks_tty ? &framing_stream : session_route(s)->framing,
        .speaks_tty = speaks_tty,
        .assembles = true,
        .speaks_channels = r->sender != NULL || (subprotocol_has_channels(o->route) &&
                                                 slice_is(o->subprotocol, CHANNEL_SUBPROTOCOL)),
    };
    if (r->sender != NULL)
        m->sender = sender_find(session_kept(s), r->sender);
    if ((r->sender != NULL && m->sender == NULL) || client_init(m->client, &how) < 0) {
        free(m);
        return NULL;
    }
    m->ticket = o->ticket;
    session_kept(s)->last = r->client;
    return m;
}

void member_join(struct member *m, uint64_t next)
{
    struct session_kept *k = session_kept(m->session);

    if (m->sender != NULL)
        m->sender->member = m;
    if (m->sender != NULL && session_framing(m->session)->addresses)
        m->sender->count = 0; /* who comes back to a hub is new */
    LIST_INSERT_HEAD(&k->members, m, link);
    m->attached = true;
    m->next = next;
    m->live_from = k->ring.next;
    m->got = next - 1;
    m->asked_total = k->ring.total - ring_bytes_from(&k->ring, next);
    k->count++;
    k->detached_since = 0;
}

void member_begin(struct member *m)
{
    struct session_kept *k = session_kept(m->session);
    bool knows, resumed = k->joined > 1 && !session_framing(m->session)->addresses;

    if (m->session->client->was_open) /* else it could not be opened */
        attach_joined(m);
    knows = hub_came(m);
    if (!knows)
        client_stop_input(m->client); /* what comes right behind the handshake */
    client_begin(m->client);
    if (!knows)
        client_no_memory(m->client);
    tell_begin(m, resumed);
    if (session_route(m->session)->backend->is_terminal && m->client->tty == CLIENT_TTY_NOT)
        screen_sized(m, 0, 0);
    member_pump(m);
    client_arm(m->client, member_due(m));
}

static void member_detach(struct member *m)
{
    struct session_kept *k = session_kept(m->session);

    if (!m->attached)
        return;
    hub_left(m);
    attach_gone(m);
    set_ready(m, false);
    m->attached = false;
    LIST_REMOVE(m, link);
    LIST_INSERT_HEAD(&k->leaving, m, link);
    k->count--;
    if (m->sender != NULL && m->sender->member == m)
        m->sender->member = NULL;
    if (k->count == 0)
        k->detached_since = now_of(m);
    screen_left(m);
}

void member_leave(struct member *m, uint16_t code, const char *why)
{
    client_stop_input(m->client);
    member_detach(m);
    if (m->client->state == CLIENT_OPENING)
        client_begin(m->client); /* pages cannot see a status */
    client_close(m->client, code, why, CLOSED_BY_SERVER);
    member_check(m);
}

static void member_release(struct reap *r)
{
    struct member *m = (struct member *)((char *)r - offsetof(struct member, reap));

    client_release(m->client);
    free(m);
}

/* What it did counts for the session. */
static void member_sum_up(struct member *m)
{
    struct client *all = m->session->client, *c = m->client;

    all->messages_in += c->messages_in;
    all->messages_out += c->messages_out;
    all->bytes_in += c->bytes_in;
    all->bytes_out += c->bytes_out;
    session_note_dropped(m->session, client_extra(c)->dropped);
}

/* The visitor has ended the session in order. */
static bool is_farewell(const struct client *c)
{
    return c->closer == CLOSED_BY_CLIENT && c->answered &&
           (c->code == WS_CODE_NORMAL || c->code == WS_CODE_NO_STATUS);
}

void member_check(struct member *m)
{
    struct session *s = m->session;
    struct session_kept *k = session_kept(s);
    struct client *c = m->client;
    bool attached = m->attached;

    if (c->state != CLIENT_OVER || m->gone)
        return;
    m->gone = true;
    member_detach(m);
    if (k->code != 0 && k->closer == CLOSED_BY_BACKEND && (c->answered || !session_is_private(s))) {
        k->told = true;
        session_kept_hide(s); /* who comes now begins anew */
    }
    if (c->was_open)
        stats_closed(session_route(s)->stats, c->code,
                     c->closer == CLOSED_BY_CLIENT    ? STATS_BY_CLIENT
                     : c->closer == CLOSED_BY_BACKEND ? STATS_BY_BACKEND
                                                      : STATS_BY_SERVER,
                     now_of(m) - m->opened_at);
    member_sum_up(m);
    attach_left(m);
    if (k->count == 0 && s->ticket == NULL && k->code == 0)
        s->ticket = m->ticket; /* a session that nobody is at counts as its last client */
    else if (m->ticket != NULL)
        limits_leave(core_of(session_worker(s))->limits, m->ticket, session_route(s));
    LIST_REMOVE(m, link);
    m->reap.release = member_release;
    worker_reap(session_worker(s), &m->reap);
    if (attached && session_is_private(s) && is_farewell(c))
        session_kept_close(s, c->code, client_extra(c)->reason, CLOSED_BY_CLIENT);
}

/* ---- what its client tells ---- */

static void member_on_input(struct client_owner *o, const uint8_t *p, size_t n)
{
    struct member *m = member_of(o);

    if (!m->attached || !m->client->input_open) {
        session_count_dropped(m->session, n);
        return;
    }
    m->session->owner.last_data = now_of(m);
    if (session_record(m->session) != NULL)
        record_from(session_record(m->session), m->number);
    screen_typed(m);
    if (!hub_input(m, p, n))
        session_client_events.input(&m->session->owner, p, n);
}

static void member_on_message(struct client_owner *o, bool text, bool last, const uint8_t *p,
                              size_t n)
{
    struct member *m = member_of(o);

    if (!m->attached || !m->client->input_open || session_record(m->session) == NULL)
        return;
    record_from(session_record(m->session), m->number);
    session_client_events.message(&m->session->owner, text, last, p, n);
}

static void member_on_farewell(struct client_owner *o)
{
    struct member *m = member_of(o);

    if (m->attached && session_is_private(m->session) &&
        (m->client->code == WS_CODE_NORMAL || m->client->code == WS_CODE_NO_STATUS))
        session_client_events.farewell(&m->session->owner);
}

static void member_on_finish(struct client_owner *o)
{
    struct session *s = member_of(o)->session;

    if (!member_of(o)->attached || !s->client->input_open)
        return;
    session_client_events.finish(&s->owner);
    client_stop_input(s->client); /* of nobody: the backend's input has ended */
}

static void member_on_resize(struct client_owner *o, uint16_t columns, uint16_t rows)
{
    if (member_of(o)->attached)
        screen_sized(member_of(o), columns, rows);
}

/* What comes behind the backend's end has not arrived, and its page may say it to the next one. */
static void on_counted(struct client_owner *o)
{
    struct member *m = member_of(o);
    const struct session *s = m->session;

    if (m->sender != NULL && m->attached && s->backend != NULL && s->client->input_open)
        m->sender->count++;
}

static void on_got(struct client_owner *o, uint64_t number)
{
    struct member *m = member_of(o);

    note_got(m, number);
    m->is_asked = true; /* a page has no pings: this is how it knows that the link lives */
}

static bool member_on_signal(struct client_owner *o, int number)
{
    struct member *m = member_of(o);

    return !m->attached || session_client_events.signal(&m->session->owner, number);
}

static bool member_on_blocked(const struct client_owner *o)
{
    return session_blocked(((const struct member *)o)->session);
}

static void member_on_timer(struct client_owner *o)
{
    struct member *m = member_of(o);
    struct client *c = m->client;

    client_go_on(c);
    client_look(c);
    o->events->settle(o);
    if (c->state != CLIENT_OVER)
        client_arm(c, member_due(m));
}

static void member_on_settle(struct client_owner *o)
{
    struct member *m = member_of(o);

    member_pump(m);
    tell_count(m);
    if (m->sender != NULL && m->sender->count != m->told_count)
        client_hurry(m->client, m->told_at + TELL_COUNT - now_of(m));
    if (client_settle(m->client, session_blocked(m->session)))
        session_count_stall(m->session, STATS_BACKEND);
    member_check(m);
    session_settle(m->session);
}

const struct client_events member_client_events = {
    .input = member_on_input,
    .message = member_on_message,
    .farewell = member_on_farewell,
    .finish = member_on_finish,
    .resize = member_on_resize,
    .counted = on_counted,
    .got = on_got,
    .signal = member_on_signal,
    .pong = on_pong,
    .blocked = member_on_blocked,
    .timer = member_on_timer,
    .settle = member_on_settle,
};
