/* SPDX-License-Identifier: MIT */

/* The life of a session: its beginning, its state, and what its backend tells. */
#include "core/session/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/admission/limits.h"
#include "core/core.h"
#include "core/observe/request_log.h"
#include "core/session/session_kept.h"
#include "core/session/session_key.h"
#include "core/subprotocol.h"
#include "proto/channel.h"
#include "proto/tty.h"

/* ---- its state ---- */

bool session_may_become(enum session_state from, enum session_state to)
{
    enum {
        RUNNING = 1U << SESSION_RUNNING,
        EXITING = 1U << SESSION_EXITING,
        LISTENING = 1U << SESSION_LISTENING,
        STOPPING = 1U << SESSION_STOPPING,
        OVER = 1U << SESSION_OVER,
    };
    static const uint8_t next[] = {
        [SESSION_OPENING] = RUNNING | OVER,
        [SESSION_RUNNING] = EXITING | LISTENING | STOPPING | OVER,
        [SESSION_EXITING] = LISTENING | STOPPING | OVER,
        [SESSION_LISTENING] = STOPPING | OVER,
        [SESSION_STOPPING] = OVER,
        [SESSION_OVER] = 1U << SESSION_ENDED,
        [SESSION_ENDED] = 0,
    };

    return (next[from] >> to & 1U) != 0;
}

void session_become(struct session *s, enum session_state next)
{
    assert(session_may_become(s->state, next));
    s->state = (uint8_t)next;
}

void session_begin(struct session *s)
{
    if (session_kept(s) != NULL) {
        session_kept_begin(s);
        return;
    }
    if (config_record_dir(session_settings(s)) != NULL)
        session_log_record(s);
    client_begin(s->client);
    session_clock_arm(s);
}

/* ---- what the backend tells; each ends in settle ---- */

static void on_backend_opened(void *owner)
{
    struct session *s = owner;

    if (s->state != SESSION_OPENING)
        return;
    session_become(s, SESSION_RUNNING);
    stats_observe(&session_route(s)->stats->opening, &stats_scale_short,
                  worker_clock() - session_extra(s)->asked_at);
    session_begin(s);
    session_settle(s);
}

uint16_t session_failure_code(int status)
{
    return status == 503   ? WS_CODE_TRY_LATER
           : status == 502 ? WS_CODE_BAD_GATEWAY
                           : WS_CODE_INTERNAL;
}

/* errors: close. */
static void refuse_by_close(struct session *s, int status, const char *why)
{
    request_log(s->client->stream, status, why);
    session_begin(s);
    client_close(s->client, session_failure_code(status), why, CLOSED_BY_SERVER);
}

static void on_backend_failed(void *owner, int status, const char *why)
{
    struct session *s = owner;
    struct backend *b = s->backend;

    s->backend = NULL;
    session_become(s, SESSION_OVER);
    session_route(s)->stats->not_opened++;
    if (session_kept(s) != NULL)
        session_kept_failed(s, status, why);
    else if (s->client->state == CLIENT_OPENING && session_settings(s)->errors == ERRORS_CLOSE)
        refuse_by_close(s, status, why);
    else
        client_refuse(s->client, status, why);
    b->ops->close(b);
    session_settle(s);
}

static void on_backend_data(void *owner, uint8_t *p, size_t n)
{
    session_output(owner, p, n);
    session_settle(owner);
}

static void on_backend_lines(void *owner, const struct slice *lines, size_t count)
{
    session_output_stderr(owner, lines, count);
    session_settle(owner);
}

static void on_backend_eof(void *owner)
{
    session_backend_silent(owner);
    session_settle(owner);
}

static void on_backend_drained(void *owner)
{
    session_settle(owner);
}

static void on_backend_ended(void *owner, const struct backend_end *end)
{
    session_backend_ended(owner, end);
    session_settle(owner);
}

static const struct backend_events session_backend_events = {
    .opened = on_backend_opened,
    .failed = on_backend_failed,
    .data = on_backend_data,
    .lines = on_backend_lines,
    .eof = on_backend_eof,
    .drained = on_backend_drained,
    .ended = on_backend_ended,
};

/* ---- beginning ---- */

/* A session, behind it its client, behind that one's origin: one block, as they end together. */
static struct session *session_alloc(const struct session_open *o, const char *unique)
{
    size_t n;
    char *origin = session_log_origin(o, unique, &n);
    struct session *s = origin != NULL ? calloc(1, sizeof *s + sizeof *s->client + n) : NULL;

    if (s != NULL) {
        s->client = (struct client *)(s + 1);
        memcpy(s->client->origin, origin, n);
    }
    free(origin);
    return s;
}

static uint8_t opcode_out(const struct session *s)
{
    const struct settings *set = session_settings(s);

    return s->client->tty != CLIENT_TTY_NOT ? WS_BINARY
           : set->frames == FRAMES_TEXT     ? WS_TEXT
           : set->frames == FRAMES_BINARY   ? WS_BINARY
                                            : session_framing(s)->opcode_out;
}

struct session *session_make(const struct session_open *o, const char *unique)
{
    struct session *s = session_alloc(o, unique);

    if (s == NULL)
        return NULL;
    s->owner.events = &session_client_events;
    s->owner.worker = o->stream->worker;
    s->owner.route = o->route;
    s->owner.id = ++core_of(s->owner.worker)->next_id;
    s->opened_at = s->owner.last_data = s->owner.worker->now;
    s->echoes = o->route->backend->loopback;
    s->client->owner = &s->owner;
    s->client->code = WS_CODE_ABNORMAL;
    s->client->input_open = true;
    s->opcode_out = opcode_out(s);
    s->channels = o->route->settings.stderr_mode == STDERR_MESSAGE && !s->echoes &&
                  (o->route->backend->has_stderr || session_framing(s)->typed);
    return s;
}

/* One that ends with its client. */
static struct session *session_new(const struct session_open *o, const char *unique)
{
    struct session *s = session_make(o, unique);
    bool speaks_tty = o->route->backend->is_terminal && slice_is(o->subprotocol, TTY_SUBPROTOCOL);

    if (s == NULL)
        return NULL;
    s->ticket = o->ticket;
    const struct client_open how = {
        .owner = &s->owner,
        .stream = o->stream,
        .accept = o->accept,
        .deflate = o->deflate,
        .framing = speaks_tty ? &framing_stream : o->route->framing,
        .speaks_tty = speaks_tty,
        .speaks_channels =
            subprotocol_has_channels(o->route) && slice_is(o->subprotocol, CHANNEL_SUBPROTOCOL),
        .echoes = s->echoes,
    };
    if (client_init(s->client, &how) < 0) {
        free(s);
        return NULL;
    }
    s->opcode_out = opcode_out(s);
    s->channels |= s->client->channels;
    return s;
}

void session_enlist(struct session *s)
{
    struct sessions *all = core_of(session_worker(s))->sessions;

    LIST_INSERT_HEAD(&all->all, s, link);
    all->count++;
    config_retain(session_route(s)->config);
}

void session_make_unique(char out[SESSION_UNIQUE_SIZE])
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

void session_open_backend(struct session *s, const struct session_open *o, const struct request *r,
                          const char *unique)
{
    const struct backend_open how = {
        .worker = session_worker(s),
        .route = o->route,
        .request = r,
        .subprotocol = o->subprotocol,
        .id = s->owner.id,
        .size_follows = o->route->backend->is_terminal && slice_is(o->subprotocol, TTY_SUBPROTOCOL),
        .unique = unique,
        .events = &session_backend_events,
        .owner = s,
    };

    if (session_need_extra(s) != NULL) {
        s->extra->asked_at = worker_clock();
        s->backend = o->route->backend->open(&how);
    }
    if (s->backend == NULL) {
        session_become(s, SESSION_OVER);
        worker_no_memory(o->stream->worker, "a session");
        if (session_kept(s) != NULL)
            session_kept_failed(s, 503, "out of memory, try again later");
        else
            client_refuse(s->client, 503, "out of memory, try again later");
    }
}

/* It counts, or brings a token, and there is nothing that could be kept for it. What such a page
 * sends has a byte in front that no program expects. */
static bool wants_kept(const struct session_open *o)
{
    const struct request *r = stream_request(o->stream);

    return r->has_got || r->sender != NULL || r->session != NULL;
}

void session_refuse_no_memory(const struct session_open *o)
{
    struct worker *w = o->stream->worker;

    if (o->ticket != NULL)
        limits_leave(core_of(w)->limits, o->ticket, o->route);
    if (o->route->settings.session != SESSION_OF_CONNECTION)
        attach_refused(o->route, WS_CODE_INTERNAL);
    worker_no_memory(w, "a session");
    request_log(o->stream, 503, "out of memory");
    stream_refuse(o->stream, 503, "Retry-After: 1\r\n", "out of memory, try again later");
}

void session_start(const struct session_open *o)
{
    const struct worker *w = o->stream->worker;
    struct session *s;
    char unique[SESSION_UNIQUE_SIZE];
    uint8_t key[SECRET_MAC_SIZE];

    switch (session_key(w, o->route, stream_request(o->stream), key)) {
    case SESSION_KEYED:
        session_kept_start(o, key);
        return;
    case SESSION_KEY_NO_MEMORY: /* and not quietly one that ends with its connection */
        session_refuse_no_memory(o);
        return;
    case SESSION_KEY_NONE:
        break;
    }
    if (wants_kept(o) || o->route->settings.session == SESSION_OF_ROOM) {
        session_kept_refuse(o, SESSION_NOT_THERE, "nothing is kept here for such a client");
        return;
    }
    session_make_unique(unique);
    s = session_new(o, unique);
    if (s == NULL) {
        session_refuse_no_memory(o);
        return;
    }
    session_enlist(s);
    if (s->echoes) { /* nothing to open */
        session_become(s, SESSION_RUNNING);
        session_begin(s);
    } else {
        session_open_backend(s, o, stream_request(o->stream), unique);
    }
    session_settle(s);
}
