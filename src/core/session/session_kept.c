/* SPDX-License-Identifier: MIT */

/*
 * A session that outlives its connections: finding, beginning, joining; what holds its backend; how
 * it ends. docs/sessions.md is the contract.
 */
#include "core/session/session_kept.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/admission/limits.h"
#include "core/core.h"
#include "core/observe/request_log.h"
#include "core/session/session_key.h"

/* ---- all of them ---- */

struct session_kept *session_kept_find(const struct worker *w, const uint8_t key[SECRET_MAC_SIZE])
{
    struct session_kept *k;

    HASH_FIND(hh, core_of(w)->sessions->by_key, key, SECRET_MAC_SIZE, k);
    return k;
}

void session_kept_hide(struct session *s)
{
    struct session_kept *k = session_kept(s);

    if (k->in_table)
        HASH_DEL(core_of(session_worker(s))->sessions->by_key, k);
    k->in_table = false;
}

/* ---- the timer ---- */

static void on_kept_timer(struct ev_loop *loop, ev_timer *timer, int revents);

static double kept_due(const struct session *s)
{
    const struct session_kept *k = session_kept(s);
    const struct settings *set = session_settings(s);
    double due = hold_due(s);

    if (k->count == 0 && k->detached_since > 0)
        due = fmin(due, k->detached_since + (k->code != 0 ? SESSION_TOLD : set->detach));
    return k->code != 0 ? due : fmin(due, session_due(s));
}

/* The timer only moves to an earlier moment: when it fires too early it looks again. */
static void kept_arm(struct session *s)
{
    struct session_kept *k = session_kept(s);
    struct worker *w = session_worker(s);
    double due = kept_due(s);

    if (due >= CLIENT_NEVER || (ev_is_active(&k->timer) && k->due <= due))
        return;
    k->due = due;
    ev_timer_stop(w->loop, &k->timer);
    ev_timer_set(&k->timer, due > w->now ? due - w->now : 0, 0);
    ev_timer_start(w->loop, &k->timer);
}

static void look_at_stall(struct session *s, double now)
{
    struct session_extra *e = s->extra;

    if (e->stall_since <= 0 || s->backend == NULL)
        return;
    uint64_t mark = s->backend->ops->delivered(s->backend);

    if (mark != e->stall_mark) {
        e->stall_mark = mark;
        e->stall_since = now;
    } else if (now - e->stall_since >= session_settings(s)->stall_timeout) {
        session_close(s, WS_CODE_INTERNAL, "the backend takes no input", CLOSED_BY_SERVER);
    }
}

/* Nobody came for so long: it ends, or nobody wants to know any more how it ended. */
static void look_at_detached(struct session *s, double now)
{
    struct session_kept *k = session_kept(s);
    double stays = k->code != 0 ? SESSION_TOLD : session_settings(s)->detach;

    if (k->count > 0 || k->detached_since <= 0 || now - k->detached_since < stays)
        return;
    session_kept_close(s, WS_CODE_GOING_AWAY, "nobody came back", CLOSED_BY_SERVER);
}

static void kept_look(struct session *s, double now)
{
    const struct session_extra *e = session_extra(s);
    const struct settings *set = session_settings(s);

    look_at_detached(s, now);
    if (session_kept(s)->code != 0)
        return;
    if (s->state == SESSION_EXITING && now - e->exiting_since >= SESSION_EXIT_WAIT)
        session_backend_done(s);
    else if (e->partial_since > 0 && now - e->partial_since >= set->partial_lines)
        session_output_partial(s);
    if (set->idle_timeout > 0 && now - s->owner.last_data >= set->idle_timeout)
        session_close(s, WS_CODE_GOING_AWAY, "idle", CLOSED_BY_SERVER);
    look_at_stall(s, now);
}

static void on_kept_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct session_kept *k = timer->data;
    (void)loop;
    (void)revents;

    kept_look(k->session, session_worker(k->session)->now);
    session_settle(k->session);
}

/* ---- what is said ---- */

void session_kept_add(struct session *s, uint8_t opcode, uint8_t channel, struct slice text,
                      struct slice tail)
{
    struct session_kept *k = session_kept(s);
    uint8_t *to;

    hold_limit(k);
    screen_follow(s, (const uint8_t *)text.p, text.len);
    to = ring_add(&k->ring, opcode, channel, text.len + tail.len, hold_from(s));
    if (to == NULL) {
        worker_no_memory(session_worker(s), "a session");
        session_close(s, WS_CODE_INTERNAL, "out of memory", CLOSED_BY_SERVER);
        return;
    }
    memcpy(to, text.p, text.len);
    memcpy(to + text.len, tail.p, tail.len);
    hold_account(k);
    k->pump_all = true;
}

void session_kept_say(struct session *s, uint8_t opcode, uint8_t channel, const uint8_t *p,
                      size_t n)
{
    if (!hub_say(s, opcode, channel, p, n))
        session_kept_add(s, opcode, channel, slice_of((const char *)p, n), slice_from(""));
}

bool session_kept_listens(const struct session *s)
{
    return session_kept(s)->code == 0;
}

static void pump_all(struct session *s)
{
    struct session_kept *k = session_kept(s);
    struct member *m, *next;
    struct fans fans;

    if (!k->pump_all)
        return;
    memset(&fans, 0, sizeof fans);
    k->pump_all = false;
    k->fresh = k->ring.next;
    k->fans = k->count > 1 ? &fans : NULL;
    for (m = LIST_FIRST(&k->members); m != NULL; m = next) {
        next = LIST_NEXT(m, link);
        member_pump(m);
        (void)client_settle(m->client, k->blocked);
        member_check(m);
    }
    k->fans = NULL;
    fans_release(&fans);
}

/* ---- the end ---- */

/* Nobody will be told how it ended. */
static void kept_forget(struct session *s)
{
    session_kept(s)->told = true;
    session_kept_hide(s);
    session_stop(s);
}

void session_kept_close(struct session *s, uint16_t code, const char *reason,
                        enum client_closer who)
{
    struct session_kept *k = session_kept(s);
    struct client *all = s->client;

    if (k->code != 0) { /* the backend has ended by itself; nobody waits to hear it any more */
        if (who != CLOSED_BY_BACKEND)
            kept_forget(s);
        return;
    }
    k->code = code == WS_CODE_NO_STATUS ? WS_CODE_NORMAL : code;
    k->closer = (uint8_t)who;
    k->at_once = who != CLOSED_BY_BACKEND;
    k->told = who != CLOSED_BY_BACKEND || (k->count > 0 && !session_is_private(s));
    k->pump_all = true;
    if (k->count == 0)
        k->detached_since = session_worker(s)->now; /* SESSION_TOLD counts from here */
    all->code = code;
    all->closer = who;
    client_note_reason(all, reason != NULL ? reason : "");
    if (k->told) /* who comes now begins anew */
        session_kept_hide(s);
    if (who != CLOSED_BY_BACKEND)
        session_stop(s);
}

bool session_kept_settle(struct session *s)
{
    struct session_kept *k = session_kept(s);

    pump_all(s);
    attach_count(s);
    hold_trim(s);
    hold_backend(s);
    hold_members(s);
    if (k->code != 0 && LIST_EMPTY(&k->members)) /* it said all, and nobody sends it more */
        session_stop(s);
    session_clock_stall(s, k->code == 0 && s->backend != NULL &&
                               s->backend->ops->queued(s->backend) > 0);
    if (s->state == SESSION_OVER && LIST_EMPTY(&k->members) && LIST_EMPTY(&k->leaving) && k->told)
        return false;
    kept_arm(s);
    return true;
}

void session_kept_drop(struct session *s)
{
    struct session_kept *k = session_kept(s);
    struct member *m;

    session_kept_hide(s);
    k->told = true;
    while ((m = LIST_FIRST(&k->members)) != NULL || (m = LIST_FIRST(&k->leaving)) != NULL) {
        client_lose(m->client, "shutdown");
        member_check(m);
    }
}

void session_kept_release(struct session *s)
{
    struct session_kept *k = session_kept(s);

    if (k == NULL)
        return;
    session_kept_hide(s);
    k->detached_since = 0;
    attach_count(s);
    ev_timer_stop(session_worker(s)->loop, &k->timer);
    ring_release(&k->ring);
    screen_release(s);
    hold_account(k);
    senders_release(k);
    free(k->room);
    free(k);
    s->extra->kept = NULL;
}

size_t session_kept_expel(struct session *s, session_meant *is_meant, const void *data,
                          const char *reason)
{
    struct session_kept *k = session_kept(s);
    struct member *m, *next;
    size_t n = 0;

    for (m = LIST_FIRST(&k->members); m != NULL; m = next) {
        next = LIST_NEXT(m, link);
        if (!is_meant(m->client, data))
            continue;
        n++;
        if (session_is_private(s))
            break; /* it ends */
        member_leave(m, WS_CODE_POLICY, reason);
    }
    if (k->count == 0 && n == 0 && session_is_private(s))
        n = is_meant(s->client, data) ? 1 : 0;
    if (n > 0 && session_is_private(s))
        session_kick(s, reason);
    else if (n > 0)
        session_settle(s);
    return n;
}

/* ---- the beginning ---- */

void session_kept_refuse(const struct session_open *o, uint16_t code, const char *why)
{
    struct worker *w = o->stream->worker;
    uint8_t frame[WS_CONTROL_MAX + 2];

    attach_refused(o->route, code);
    request_log(o->stream, 101, why);
    if (o->ticket != NULL)
        limits_leave(core_of(w)->limits, o->ticket, o->route);
    stream_upgrade(o->stream, o->accept, o->subprotocol, "");
    stream_write(o->stream, frame, ws_write_close(frame, code, why));
    stream_end(o->stream);
}

void session_kept_begin(struct session *s)
{
    struct session_kept *k = session_kept(s);
    struct member *m, *next;

    s->client->was_open = true;
    if (config_record_dir(session_settings(s)) != NULL)
        session_log_record(s);
    for (m = LIST_FIRST(&k->members); m != NULL; m = next) {
        next = LIST_NEXT(m, link);
        member_begin(m);
        member_check(m);
    }
}

void session_kept_failed(struct session *s, int status, const char *why)
{
    struct session_kept *k = session_kept(s);
    uint16_t code = session_failure_code(status);
    struct member *m, *next;

    session_kept_hide(s);
    k->code = code;
    k->closer = CLOSED_BY_SERVER;
    k->told = k->at_once = true;
    client_note_reason(s->client, why);
    for (m = LIST_FIRST(&k->members); m != NULL; m = next) {
        next = LIST_NEXT(m, link);
        if (session_settings(s)->errors == ERRORS_CLOSE)
            member_begin(m);
        else
            client_refuse(m->client, status, why);
        member_check(m);
    }
}

/* What a backend that belongs to many is told of the one who happened to come first: nothing. */
static void make_nobodys(const struct session_open *o, struct request *r, struct http_head *head)
{
    const struct request *from = stream_request(o->stream);

    *head = (struct http_head){.method = slice_from("GET"), .target = slice_from(o->route->path)};
    *r = (struct request){.head = head,
                          .path = from->path,
                          .raw_path = slice_from(o->route->path),
                          .target = slice_from(o->route->path),
                          .match = from->match,
                          .is_nobodys = true};
}

static bool kept_add(struct session *s, const uint8_t key[SECRET_MAC_SIZE])
{
    struct sessions *all = core_of(session_worker(s))->sessions;
    struct session_kept *k = calloc(1, sizeof *k);
    char unique[SESSION_UNIQUE_SIZE];

    if (k == NULL || session_need_extra(s) == NULL) {
        free(k);
        return false;
    }
    s->extra->kept = k;
    k->session = s;
    k->fresh = 1;
    k->wanted = session_settings(s)->replay;
    ring_init(&k->ring, k->wanted);
    LIST_INIT(&k->members);
    LIST_INIT(&k->leaving);
    LIST_INIT(&k->senders);
    ev_timer_init(&k->timer, on_kept_timer, 0, 0);
    k->timer.data = k;
    memcpy(k->key, key, SECRET_MAC_SIZE);
    session_make_unique(unique);
    memcpy(k->id, unique, sizeof k->id - 1);
    if (!screen_begin(s))
        return false;
    k->in_table = true;
    HASH_ADD(hh, all->by_key, key, SECRET_MAC_SIZE, k);
    return k->in_table;
}

/* A room has a name, by which an operator knows it. */
static bool kept_name(struct session *s, const struct session_open *o)
{
    char room[SESSION_ROOM_MAX];

    if (session_settings(s)->session != SESSION_OF_ROOM ||
        !session_room(o->route, stream_request(o->stream), room))
        return true;
    session_kept(s)->room = strdup(room);
    return session_kept(s)->room != NULL;
}

static void kept_create(const struct session_open *o, const uint8_t key[SECRET_MAC_SIZE])
{
    struct request request;
    struct http_head head;
    struct member *m;
    char unique[SESSION_UNIQUE_SIZE];
    struct session *s;

    session_make_unique(unique);
    s = session_make(o, unique);
    if (s == NULL) {
        session_refuse_no_memory(o);
        return;
    }
    m = kept_add(s, key) && kept_name(s, o) ? member_new(s, o, unique) : NULL;
    if (m == NULL) {
        session_kept_release(s);
        session_drop_extra(s);
        free(s);
        session_refuse_no_memory(o);
        return;
    }
    session_enlist(s);
    m->how = STATS_ATTACH_NEW;
    member_join(m, 1);
    if (session_is_private(s)) {
        session_open_backend(s, o, stream_request(o->stream), unique);
    } else {
        make_nobodys(o, &request, &head);
        session_open_backend(s, o, &request, unique);
    }
    session_settle(s);
}

/* The members that a newcomer replaces: all, or the same page's. False when there are none. */
static bool make_way(struct session *s, const struct member *newcomer)
{
    static const char why[] = "taken over by another connection";
    size_t before = session_kept(s)->count;
    struct member *m, *next;

    if (!session_takes_over(s)) {
        if (newcomer->sender != NULL && newcomer->sender->member != NULL)
            member_leave(newcomer->sender->member, SESSION_TAKEN_OVER, why);
        return session_kept(s)->count < before;
    }
    for (m = LIST_FIRST(&session_kept(s)->members); m != NULL; m = next) {
        next = LIST_NEXT(m, link);
        member_leave(m, SESSION_TAKEN_OVER, why);
    }
    return before > 0;
}

/* Who counts means the session that it counted in. A token's is its page's, which knows when it has
 * ended; of any other somebody else may have begun the next one. */
static bool kept_is_of(const struct session *s, const struct request *r)
{
    if (r->of != NULL)
        return strcmp(r->of, session_kept(s)->id) == 0;
    return session_settings(s)->session == SESSION_OF_TOKEN;
}

static void kept_join(struct session *s, const struct session_open *o)
{
    const struct request *r = stream_request(o->stream);
    struct ring *ring = &session_kept(s)->ring;
    struct session_open open = *o;
    char unique[SESSION_UNIQUE_SIZE];
    struct member *m;

    if (r->has_got && !kept_is_of(s, r)) {
        place_keep(s, &open);
        session_kept_refuse(&open, SESSION_NOT_THERE, "that session has ended, this is another");
        return;
    }
    if (r->has_got && (r->got + 1 < ring->first || r->got + 1 > ring->next)) {
        place_keep(s, &open);
        session_kept_refuse(&open, SESSION_GAP,
                            "messages behind that number are not there any more");
        return;
    }
    if (hub_is_full(s)) {
        session_kept_refuse(o, WS_CODE_TRY_LATER, "the program is behind, try again later");
        return;
    }
    session_make_unique(unique);
    m = member_new(s, o, unique);
    if (m == NULL) {
        place_keep(s, &open);
        session_refuse_no_memory(&open);
        return;
    }
    m->how = make_way(s, m) ? STATS_ATTACH_TOOK_OVER : STATS_ATTACH_JOINED;
    place_give_back(s);
    member_join(m, r->has_got ? r->got + 1 : screen_first(s));
    if (!r->has_got)
        screen_came(m);
    if (s->state != SESSION_OPENING) {
        member_begin(m);
        (void)client_settle(m->client, session_kept(s)->blocked);
        member_check(m);
    }
    session_settle(s);
}

void session_kept_start(const struct session_open *o, const uint8_t key[SECRET_MAC_SIZE])
{
    struct worker *w = o->stream->worker;
    struct session_kept *k = session_kept_find(w, key);

    if (o->route->framing->addresses && stream_request(o->stream)->has_got)
        session_kept_refuse(o, SESSION_NOT_THERE, "who comes back to a hub is new");
    else if (k != NULL)
        kept_join(k->session, o);
    else if (stream_request(o->stream)->has_got)
        session_kept_refuse(o, SESSION_NOT_THERE, "there is no such session");
    else if (core_of(w)->sessions->replay_memory + o->route->settings.replay >
             o->route->config->max_replay)
        session_kept_refuse(o, SESSION_NO_ROOM, "no room for another session, see max-replay");
    else
        kept_create(o, key);
}
