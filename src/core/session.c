/* SPDX-License-Identifier: MIT */

/* The life of a session: opening, and every way it ends. */
#include "core/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/handler.h"
#include "core/limits.h"
#include "core/session_impl.h"
#include "core/session_info.h"
#include "proto/tty.h"

static void session_release(struct reap *r)
{
    struct session *s = (struct session *)((char *)r - offsetof(struct session, reap));

    s->magic = 0;
    free(s);
}

static void session_count_end(struct session *s)
{
    enum stats_by by = s->closer == CLOSED_BY_BACKEND  ? STATS_BY_BACKEND
                       : s->closer == CLOSED_BY_CLIENT ? STATS_BY_CLIENT
                                                       : STATS_BY_SERVER;

    s->stats->dropped += s->dropped;
    stats_closed(s->stats, s->code, by, s->worker->now - s->opened_at);
}

/* Both sides are over: the one place where a session ends. */
static void session_check_over(struct session *s)
{
    if (s->phase != SESSION_OVER || s->backend != NULL || s->magic != SESSION_MAGIC)
        return;
    record_close(s->record); /* it borrows what the log line needs */
    session_log_end(s);
    if (s->was_open)
        session_count_end(s);
    sessions_leave_cursors(s);
    session_input_release(s);
    session_output_release(s);
    session_deflate_release(s);
    if (s->next != NULL)
        s->next->prev = s->prev;
    *s->prev = s->next;
    s->worker->sessions->count--;
    session_rate_release(s);
    limits_leave(s->worker->limits, s->ticket, s->route);
    config_release(s->route->config);
    s->magic = ~SESSION_MAGIC;
    s->reap.release = session_release;
    worker_reap(s->worker, &s->reap);
}

static void session_stop_backend(struct session *s)
{
    s->input_open = false;
    if (s->backend == NULL || s->backend_stopped)
        return;
    s->backend_stopped = true;
    if (s->backend_paused) { /* it must be able to write its last words, though nobody hears them */
        s->backend_paused = false;
        s->backend->ops->pause(s->backend, false);
    }
    s->backend->ops->finish(s->backend);
    s->backend->ops->stop(s->backend);
}

/* Lets go of it at once: one that is still being opened, or at the very end. */
static void session_drop_backend(struct session *s)
{
    struct backend *b = s->backend;

    s->backend = NULL;
    if (b == NULL)
        return;
    if (s->was_open)
        session_log_backend(s, b);
    s->dropped += b->ops->lost(b);
    b->ops->close(b);
}

/* Keeps the first word on why it ends. */
static void session_note_end(struct session *s, uint16_t code, const char *reason, size_t len,
                             enum session_closer who)
{
    if (s->closer != CLOSED_BY_NOBODY)
        return;
    s->closer = (uint8_t)who;
    s->code = code;
    s->reason = slice_dup(slice_of(reason, len));
}

static void session_leave_stream(struct session *s, void (*leave)(struct stream *))
{
    struct stream *stream = s->stream;

    session_input_drop(s);
    if (s->was_open)
        session_time_stop(s);
    s->stream = NULL;
    s->phase = SESSION_OVER;
    leave(stream);
}

static void session_send_close(struct session *s, uint16_t code, const char *reason)
{
    uint8_t frame[WS_CONTROL_MAX + 2];

    stream_write(s->stream, frame, ws_write_close(frame, code, reason));
}

static void session_refuse(struct session *s, int status, const char *why)
{
    handler_log(s->stream, status, why);
    session_note_end(s, WS_CODE_ABNORMAL, why, strlen(why), CLOSED_BY_SERVER);
    stream_refuse(s->stream, status, status == 503 ? "Retry-After: 1\r\n" : NULL, why);
    s->stream = NULL;
    s->phase = SESSION_OVER;
}

/* The 101. Early frames come from inside stream_upgrade, so the session is ready before. */
static void session_begin(struct session *s)
{
    struct session_opening *opening = s->opening;
    char extensions[DEFLATE_ANSWER_MAX];

    s->opening = NULL;
    s->phase = SESSION_OPEN;
    s->was_open = true;
    if (config_record_dir(&s->route->settings) != NULL)
        session_log_record(s);
    stats_opened(s->stats);
    session_time_start(s);
    if (s->route->framing != NULL && s->route->framing->datagrams)
        stream_stay_live(s->stream);
    stream_upgrade(s->stream, opening->accept, opening->subprotocol,
                   session_deflate_answer(s, extensions));
    free(opening);
}

void session_close(struct session *s, uint16_t code, const char *reason, enum session_closer who)
{
    if (s->phase == SESSION_OPENING) {
        session_drop_backend(s);
        if (s->route->settings.errors == ERRORS_CLOSE)
            session_begin(s); /* page script cannot see a status, but it sees a close code */
        else
            session_refuse(s, 503, reason);
        session_check_over(s);
    }
    if (s->phase != SESSION_OPEN)
        return;
    session_note_end(s, code, reason, strlen(reason), who);
    session_send_close(s, code, reason);
    s->phase = SESSION_CLOSING;
    s->waiting_since = s->worker->now;
    s->client_mark = stream_delivered(s->stream);
    session_time_closing(s);
    /* A service that has said all may still listen: what the client has sent before it reads our
     * Close arrives there. */
    if (who != CLOSED_BY_BACKEND)
        session_stop_backend(s);
    session_balance(s);
}

void session_fail(struct session *s, uint16_t code, const char *reason)
{
    if (s->phase == SESSION_OPEN) {
        session_note_end(s, code, reason, strlen(reason), CLOSED_BY_SERVER);
        session_send_close(s, code, reason);
    }
    if (s->phase == SESSION_OPEN || s->phase == SESSION_CLOSING)
        session_leave_stream(s, stream_end);
    session_stop_backend(s);
    session_check_over(s);
}

void session_client_close(struct session *s, uint16_t code, const uint8_t *reason, size_t len)
{
    if (s->phase == SESSION_OPEN) {
        session_note_end(s, code, (const char *)reason, len, CLOSED_BY_CLIENT);
        session_send_close(s, code, "");
        session_input_farewell(s);
    }
    if (s->phase == SESSION_OPEN || s->phase == SESSION_CLOSING)
        session_leave_stream(s, stream_end);
    session_stop_backend(s);
    session_check_over(s);
}

void session_lost(struct session *s, const char *why)
{
    if (s->phase == SESSION_OVER)
        return;
    bool opening = s->phase == SESSION_OPENING;

    if (opening) /* there will be no line of a session */
        log_line(&s->worker->log, LOG_INFO, "request abandoned", LOG_C("client", s->origin_text),
                 LOG_C("route", s->route->path), LOG_C("reason", why));
    session_note_end(s, WS_CODE_ABNORMAL, why, strlen(why), CLOSED_BY_CLIENT);
    session_leave_stream(s, stream_abort);
    if (opening)
        session_drop_backend(s);
    session_stop_backend(s);
    session_check_over(s);
}

void session_stalled(struct session *s, uint16_t code, const char *why)
{
    if (s->phase != SESSION_OPEN)
        return;
    session_note_end(s, code, why, strlen(why), CLOSED_BY_SERVER);
    session_send_close(s, code,
                       why); /* behind what is queued: a client that comes back to life hears it */
    session_leave_stream(s, stream_end);
    session_stop_backend(s);
    session_check_over(s);
}

/* Also while CLOSING: a service that has said all may still be told more than it reads. */
bool session_blocked(const struct session *s)
{
    const struct backend *b = s->backend;

    return (b != NULL && s->input_open && b->ops->queued(b) > 0) ||
           (s->loopback && s->stream != NULL && stream_queued(s->stream) > 0);
}

void session_balance(struct session *s)
{
    struct backend *b = s->backend;
    bool client_full = s->stream != NULL && stream_queued(s->stream) > 0;
    bool backend_full = b != NULL && b->ops->queued(b) > 0;
    bool hold_backend = (client_full || s->tty_held) && s->phase == SESSION_OPEN;
    bool blocked = session_blocked(s);
    bool hold_client = blocked || s->put_off;

    if (b != NULL && hold_backend != s->backend_paused && !s->backend_stopped) {
        s->backend_paused = hold_backend;
        s->stalls_client += hold_backend && client_full; /* who asks for a pause is not stalled */
        s->stats->stalls[STATS_CLIENT] += hold_backend && client_full;
        b->ops->pause(b, hold_backend);
    }
    if (s->stream != NULL && blocked != s->far_held && s->phase != SESSION_OPENING) {
        s->far_held = blocked;
        s->stalls_backend += blocked;
        s->stats->stalls[STATS_BACKEND] += blocked;
    }
    if (s->stream != NULL && hold_client != s->client_paused && s->phase != SESSION_OPENING) {
        s->client_paused = hold_client;
        stream_pause(s->stream, hold_client);
    }
    session_time_stalls(s, client_full, backend_full);
    if (session_input_ready(s))
        session_time_hurry(s, 0);
}

/* ---- what the client's side tells ---- */

static void on_client_data(void *owner, uint8_t *p, size_t n)
{
    struct session *s = owner;

    session_input(s, p, n);
    session_balance(s);
}

static void on_client_drained(void *owner)
{
    struct session *s = owner;

    session_flush_pong(s);
    session_balance(s);
}

static void on_client_closed(void *owner, int err)
{
    session_lost(owner, err == 0 ? "the client left without a Close" : strerror(err));
}

/* Before the 101 no client has sent its Close: whoever ends its side then has given up (RFC 6455,
 * section 4.1: it would have to wait for our answer before anything else). What it sent too early
 * is not worth a service. */
static void on_client_hung_up(void *owner)
{
    struct session *s = owner;

    if (s->phase == SESSION_OPENING)
        session_lost(s, "the client left while the service was being opened");
}

static const struct stream_events client_events = {on_client_data, on_client_drained,
                                                   on_client_closed, on_client_hung_up};

/* ---- what the backend tells ---- */

static void on_backend_opened(void *owner)
{
    struct session *s = owner;

    if (s->phase != SESSION_OPENING)
        return;
    stats_observe(&s->stats->opening, &stats_scale_short, worker_clock() - s->opening->asked_at);
    session_begin(s);
}

/* errors: close. Page script cannot see an HTTP status, but it sees a close code. */
static void refuse_by_close(struct session *s, int status, const char *why)
{
    uint16_t code = status == 503   ? WS_CODE_TRY_LATER
                    : status == 502 ? WS_CODE_BAD_GATEWAY
                                    : WS_CODE_INTERNAL;

    handler_log(s->stream, status, why);
    session_begin(s);
    session_close(s, code, why, CLOSED_BY_SERVER);
}

static void on_backend_failed(void *owner, int status, const char *why)
{
    struct session *s = owner;
    struct backend *b = s->backend;

    s->backend = NULL;
    s->stats->not_opened++;
    if (s->phase == SESSION_OPENING && s->route->settings.errors == ERRORS_CLOSE)
        refuse_by_close(s, status, why);
    else if (s->phase == SESSION_OPENING)
        session_refuse(s, status, why);
    b->ops->close(b);
    session_check_over(s);
}

static void on_backend_data(void *owner, uint8_t *p, size_t n)
{
    struct session *s = owner;

    session_output(s, p, n);
    session_balance(s);
}

static void on_backend_eof(void *owner)
{
    session_backend_silent(owner);
}

static void on_backend_stderr(void *owner, const struct slice *lines, size_t count)
{
    struct session *s = owner;

    session_output_stderr(s, lines, count);
    session_balance(s);
}

void session_backend_silent(struct session *s)
{
    if (!s->backend->ops->reports_exit) {
        session_backend_done(s);
        return;
    }
    if (s->exit_awaited) /* it has said so itself, and now its output is closed */
        return;
    s->exit_awaited = true;
    s->waiting_since = s->worker->now;
    session_time_hurry(s, SESSION_EXIT_WAIT);
}

/* What the client is told of a backend that has ended well, but not between two messages. */
static void close_torn(struct session *s)
{
    session_close(s, WS_CODE_INTERNAL, "the backend ended inside a message", CLOSED_BY_BACKEND);
}

void session_backend_done(struct session *s)
{
    s->exit_awaited = false;
    if (!session_output_end(s))
        close_torn(s);
    session_close(s, WS_CODE_NORMAL, "", CLOSED_BY_BACKEND);
}

static void on_backend_drained(void *owner)
{
    session_balance(owner);
}

/* The Close that tells how a program ended. Reasons are for people, codes for programs. */
static void close_by_end(struct session *s, const struct backend_end *end)
{
    char reason[64];
    const char *name;

    switch (end->how) {
    case BACKEND_CLEAN:
        session_close(s, WS_CODE_NORMAL, "", CLOSED_BY_BACKEND);
        break;
    case BACKEND_EXITED:
        snprintf(reason, sizeof reason, "exit %d", end->number);
        session_close(s, end->number == 0 ? WS_CODE_NORMAL : (uint16_t)(4000 + end->number), reason,
                      CLOSED_BY_BACKEND);
        break;
    case BACKEND_SIGNALED:
        name = sigabbrev_np(end->number);
        snprintf(reason, sizeof reason, name != NULL ? "signal SIG%s" : "signal %s%d",
                 name != NULL ? name : "", end->number);
        session_close(s, (uint16_t)(4300 + end->number), reason, CLOSED_BY_BACKEND);
        break;
    case BACKEND_BROKE:
        session_close(s, WS_CODE_INTERNAL, end->why, CLOSED_BY_BACKEND);
        break;
    }
}

static void on_backend_ended(void *owner, const struct backend_end *end)
{
    struct session *s = owner;

    s->exit_awaited = false;
    s->exit_how = (int)end->how;
    s->exit_number = end->number;
    if (!session_output_end(s) &&
        (end->how == BACKEND_CLEAN || (end->how == BACKEND_EXITED && end->number == 0)))
        close_torn(s);
    close_by_end(s, end);
    s->input_open = false;
    session_drop_backend(s);
    session_balance(s);
    session_check_over(s);
}

static const struct backend_events backend_events = {
    .opened = on_backend_opened,
    .failed = on_backend_failed,
    .data = on_backend_data,
    .lines = on_backend_stderr,
    .eof = on_backend_eof,
    .drained = on_backend_drained,
    .ended = on_backend_ended,
};

/* ---- beginning ---- */

static void session_never_was(struct session *s)
{
    session_rate_release(s);
    free(s->origin_text);
    free(s->opening);
    free(s);
}

static struct session *session_new(const struct session_open *o, const char *unique)
{
    const struct route *route = o->route;
    struct session *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->opening = calloc(1, sizeof *s->opening);
    s->stream = o->stream;
    s->worker = o->stream->worker;
    s->route = route;
    if (s->opening == NULL || session_log_start(s, o->subprotocol, unique) < 0 ||
        session_rate_start(s) < 0) {
        session_never_was(s);
        return NULL;
    }
    memcpy(s->opening->accept, o->accept, sizeof s->opening->accept);
    s->opening->subprotocol = slice_from(session_log_subprotocol(s));
    s->magic = SESSION_MAGIC;
    s->ticket = o->ticket;
    s->stats = stats_route(s->worker, route);
    s->id = ++s->worker->next_id;
    s->code = WS_CODE_ABNORMAL;
    s->input_open = true;
    s->loopback = route->backend->loopback;
    s->opened_at = s->last_data = s->worker->now;
    if (route->backend->is_terminal && slice_is(o->subprotocol, TTY_SUBPROTOCOL))
        s->tty = SESSION_TTY_BEGINS;
    s->opcode_out = s->tty != SESSION_TTY_NOT                 ? WS_BINARY
                    : route->settings.frames == FRAMES_TEXT   ? WS_TEXT
                    : route->settings.frames == FRAMES_BINARY ? WS_BINARY
                                                              : session_framing(s)->opcode_out;
    s->channels = route->settings.stderr_mode == STDERR_MESSAGE && !s->loopback &&
                  (route->backend->has_stderr || session_framing(s)->typed);
    ws_reader_init(&s->reader, session_framing(s)->assembles ? route->settings.max_message : 0, 0);
    if (!session_deflate_start(s, &o->deflate)) {
        session_never_was(s);
        return NULL;
    }
    return s;
}

static void session_enlist(struct session *s)
{
    struct sessions *all = s->worker->sessions;

    s->next = all->first;
    s->prev = &all->first;
    if (all->first != NULL)
        all->first->prev = &s->next;
    all->first = s;
    all->count++;
    config_retain(s->route->config);
}

static void make_unique(char out[33])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[16] = {0};

    (void)!getrandom(random, sizeof random, GRND_NONBLOCK);
    for (size_t i = 0; i < sizeof random; i++) {
        out[2 * i] = digits[random[i] >> 4];
        out[2 * i + 1] = digits[random[i] & 15];
    }
    out[32] = '\0';
}

void session_start(const struct session_open *o)
{
    struct worker *w = o->stream->worker;
    struct session *s;
    char unique[33];

    make_unique(unique);
    s = session_new(o, unique);
    if (s == NULL) {
        limits_leave(w->limits, o->ticket, o->route);
        handler_log(o->stream, 503, "out of memory");
        stream_refuse(o->stream, 503, "Retry-After: 1\r\n", "out of memory, try again later");
        return;
    }
    session_enlist(s);
    s->stream->events = &client_events;
    s->stream->owner = s;
    const struct backend_open how = {
        .worker = w,
        .route = o->route,
        .request = o->stream->request,
        .subprotocol = o->subprotocol,
        .id = s->id,
        .size_follows = s->tty != SESSION_TTY_NOT,
        .unique = unique,
        .events = &backend_events,
        .owner = s,
    };
    if (s->loopback) { /* nothing to open */
        session_begin(s);
        return;
    }
    s->opening->asked_at = worker_clock();
    s->backend = o->route->backend->open(&how);
    if (s->backend == NULL) {
        session_refuse(s, 503, "out of memory, try again later");
        session_check_over(s);
    }
}

void session_kick(struct session *s, const char *reason)
{
    if (s->phase == SESSION_CLOSING)
        session_lost(s, reason); /* it was told already */
    else if (s->phase == SESSION_OPEN && stream_queued(s->stream) > 0)
        session_stalled(s, WS_CODE_POLICY, reason); /* it would not hear it for long */
    else
        session_close(s, WS_CODE_POLICY, reason, CLOSED_BY_SERVER);
    session_stop_backend(s); /* also of a session whose client has left already */
}

size_t sessions_shut(struct worker *w, const char *reason, size_t batch)
{
    struct session *next;
    size_t left = 0;

    for (struct session *s = w->sessions->first; s != NULL; s = next) {
        bool waits = s->phase == SESSION_OPENING || s->phase == SESSION_OPEN;

        next = s->next;
        if (waits && batch == 0) {
            left++;
            continue;
        }
        batch -= waits;
        session_close(s, WS_CODE_GOING_AWAY, reason, CLOSED_BY_SERVER);
        session_stop_backend(s);
    }
    return left;
}

void sessions_drop(struct worker *w)
{
    struct session *next;

    for (struct session *s = w->sessions->first; s != NULL; s = next) {
        next = s->next;
        session_drop_backend(s);
        session_lost(s, "shutdown");
        session_check_over(s);
    }
}
