/* SPDX-License-Identifier: MIT */

/* The life of a session: its beginning, and what both sides tell. */
#include "core/session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/handler.h"
#include "core/limits.h"
#include "core/session_impl.h"
#include "proto/tty.h"

/* The 101. Early frames come from inside stream_upgrade, so the session is ready before. */
void session_begin(struct session *s)
{
    char extensions[DEFLATE_ANSWER_MAX];

    s->phase = SESSION_OPEN;
    s->was_open = true;
    if (config_record_dir(&s->route->settings) != NULL)
        session_log_record(s);
    stats_opened(s->route->stats);
    session_time_start(s);
    if (s->route->framing != NULL && s->route->framing->datagrams)
        stream_stay_live(s->stream);
    stream_upgrade(s->stream, s->extra->accept, s->extra->subprotocol,
                   session_deflate_answer(s, extensions));
    session_trim(s);
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
        if (hold_backend && client_full) /* who asks for a pause is not stalled */
            session_count_stall(s, STATS_CLIENT);
        b->ops->pause(b, hold_backend);
    }
    if (s->stream != NULL && blocked != s->far_held && s->phase != SESSION_OPENING) {
        s->far_held = blocked;
        if (blocked)
            session_count_stall(s, STATS_BACKEND);
    }
    if (s->stream != NULL && hold_client != s->client_paused && s->phase != SESSION_OPENING) {
        s->client_paused = hold_client;
        stream_pause(s->stream, hold_client);
    }
    session_time_stalls(s, client_full, backend_full);
    if (session_input_ready(s))
        session_time_hurry(s, 0);
    session_trim(s);
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
    stats_observe(&s->route->stats->opening, &stats_scale_short,
                  worker_clock() - s->extra->asked_at);
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
    s->route->stats->not_opened++;
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

static void on_backend_drained(void *owner)
{
    session_balance(owner);
}

static void on_backend_ended(void *owner, const struct backend_end *end)
{
    session_backend_ended(owner, end);
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
    session_deflate_release(s);
    session_rate_release(s);
    session_drop_parts(s);
    free(s);
}

/* An empty one with its origin_text. */
static struct session *session_alloc(const struct session_open *o, const char *unique)
{
    size_t n;
    char *origin = session_log_origin(o, unique, &n);
    struct session *s = origin != NULL ? calloc(1, sizeof *s + n) : NULL;

    if (s != NULL)
        memcpy(s->origin_text, origin, n);
    free(origin);
    return s;
}

static struct session *session_new(const struct session_open *o, const char *unique)
{
    const struct route *route = o->route;
    struct session *s = session_alloc(o, unique);

    if (s == NULL)
        return NULL;
    s->stream = o->stream;
    s->worker = o->stream->worker;
    s->route = route;
    if (session_extra(s) == NULL || session_rate_start(s) < 0) {
        session_never_was(s);
        return NULL;
    }
    memcpy(s->extra->accept, o->accept, sizeof s->extra->accept);
    s->extra->subprotocol = slice_from(session_log_subprotocol(s));
    s->magic = SESSION_MAGIC;
    s->ticket = o->ticket;
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
    ws_reader_init(&s->reader,
                   session_framing(s)->assembles ? (uint32_t)route->settings.max_message : 0, 0);
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
    stream_take(s->stream, &client_events, s);
    const struct backend_open how = {
        .worker = w,
        .route = o->route,
        .request = stream_request(o->stream),
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
    s->extra->asked_at = worker_clock();
    s->backend = o->route->backend->open(&how);
    if (s->backend == NULL) {
        session_refuse(s, 503, "out of memory, try again later");
        session_check_over(s);
    }
}
