/* SPDX-License-Identifier: MIT */

/* Every way a session ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/handler.h"
#include "core/limits.h"
#include "core/session_impl.h"
#include "core/session_info.h"

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

    stats_closed(s->route->stats, s->code, by, s->worker->now - s->opened_at);
}

/* The one place where a session ends. */
void session_check_over(struct session *s)
{
    if (s->phase != SESSION_OVER || s->backend != NULL || s->magic != SESSION_MAGIC)
        return;
    record_close(session_record(s)); /* it borrows what the log line needs */
    session_log_end(s);
    if (s->was_open)
        session_count_end(s);
    sessions_leave_cursors(s);
    session_deflate_release(s);
    session_rate_release(s);
    session_drop_parts(s);
    if (s->next != NULL)
        s->next->prev = s->prev;
    *s->prev = s->next;
    s->worker->sessions->count--;
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

void session_drop_backend(struct session *s)
{
    struct backend *b = s->backend;

    s->backend = NULL;
    if (b == NULL)
        return;
    if (s->was_open)
        session_log_backend(s, b);
    session_count_dropped(s, b->ops->lost(b));
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
    if (session_extra(s) != NULL)
        s->extra->reason = slice_dup(slice_of(reason, len));
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

void session_refuse(struct session *s, int status, const char *why)
{
    handler_log(s->stream, status, why);
    session_note_end(s, WS_CODE_ABNORMAL, why, strlen(why), CLOSED_BY_SERVER);
    stream_refuse(s->stream, status, status == 503 ? "Retry-After: 1\r\n" : NULL, why);
    s->stream = NULL;
    s->phase = SESSION_OVER;
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

/* ---- the backend has ended ---- */

void session_backend_silent(struct session *s)
{
    if (!s->backend->ops->reports_exit) {
        session_backend_done(s);
        return;
    }
    if (s->exit_awaited) /* it has said so itself, and now its output is closed */
        return;
    s->exit_awaited = true;
    session_time_wait(s, SESSION_EXIT_WAIT);
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

void session_backend_ended(struct session *s, const struct backend_end *end)
{
    s->exit_awaited = false;
    if (session_extra(s) != NULL) {
        s->extra->exit_how = (int)end->how;
        s->extra->exit_number = end->number;
    }
    if (!session_output_end(s) &&
        (end->how == BACKEND_CLEAN || (end->how == BACKEND_EXITED && end->number == 0)))
        close_torn(s);
    close_by_end(s, end);
    s->input_open = false;
    session_drop_backend(s);
    session_balance(s);
    session_check_over(s);
}

/* ---- from outside ---- */

void session_kick(struct session *s, const char *reason)
{
    bool lingers = s->phase == SESSION_OVER && s->backend_stopped;

    if (s->phase == SESSION_CLOSING)
        session_lost(s, reason); /* it was told already */
    else if (s->phase == SESSION_OPEN && stream_queued(s->stream) > 0)
        session_stalled(s, WS_CODE_POLICY, reason); /* it would not hear it for long */
    else
        session_close(s, WS_CODE_POLICY, reason, CLOSED_BY_SERVER);
    session_stop_backend(s);
    if (lingers) { /* there is nobody to tell, and what the backend still takes is not waited for */
        session_drop_backend(s);
        session_check_over(s);
    }
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
