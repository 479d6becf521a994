/* SPDX-License-Identifier: MIT */

/* Every way a client ends. */
#include <stdlib.h>
#include <string.h>

#include "core/client/client_impl.h"
#include "core/observe/request_log.h"

/* Keeps the first word on why it ends. */
static void client_note_end(struct client *c, uint16_t code, const char *reason, size_t len,
                            enum client_closer who)
{
    if (c->closer != CLOSED_BY_NOBODY)
        return;
    c->closer = who;
    c->code = code;
    if (client_need_extra(c) != NULL)
        c->extra->reason = slice_dup(slice_of(reason, len));
}

void client_note_reason(struct client *c, const char *reason)
{
    if (client_need_extra(c) != NULL && c->extra->reason == NULL)
        c->extra->reason = slice_dup(slice_from(reason));
}

static void client_send_close(struct client *c, uint16_t code, const char *reason)
{
    uint8_t frame[WS_CONTROL_MAX + 2];

    stream_write(c->stream, frame, ws_write_close(frame, code, reason));
}

/* To OVER: what was queued still leaves with stream_end, and does not with stream_abort. */
static void client_leave_stream(struct client *c, void (*leave)(struct stream *))
{
    struct stream *stream = c->stream;

    client_input_drop(c);
    if (c->was_open)
        client_clock_stop(c);
    c->input_open = false;
    c->stream = NULL;
    client_become(c, CLIENT_OVER);
    leave(stream);
}

void client_refuse(struct client *c, int status, const char *why)
{
    struct stream *stream = c->stream;

    if (c->state != CLIENT_OPENING)
        return;
    request_log(stream, status, why);
    client_note_end(c, WS_CODE_ABNORMAL, why, strlen(why), CLOSED_BY_SERVER);
    c->stream = NULL;
    client_become(c, CLIENT_OVER);
    stream_refuse(stream, status, status == 503 ? "Retry-After: 1\r\n" : NULL, why);
}

void client_close(struct client *c, uint16_t code, const char *reason, enum client_closer who)
{
    if (c->state != CLIENT_OPEN)
        return;
    client_note_end(c, code, reason, strlen(reason), who);
    client_send_close(c, code, reason);
    client_become(c, CLIENT_CLOSING);
    client_clock_closing(c);
}

void client_no_memory(struct client *c)
{
    worker_no_memory(client_worker(c), "a session");
    client_close(c, WS_CODE_INTERNAL, "out of memory", CLOSED_BY_SERVER);
}

void client_fail(struct client *c, uint16_t code, const char *reason)
{
    if (c->state == CLIENT_OPEN) {
        client_note_end(c, code, reason, strlen(reason), CLOSED_BY_SERVER);
        client_send_close(c, code, reason);
    }
    if (c->state == CLIENT_OPEN || c->state == CLIENT_CLOSING)
        client_leave_stream(c, stream_end);
}

void client_answer_close(struct client *c, uint16_t code, const uint8_t *reason, size_t len)
{
    c->answered = true;
    if (c->state == CLIENT_OPEN) {
        client_note_end(c, code, (const char *)reason, len, CLOSED_BY_CLIENT);
        client_send_close(c, code, "");
        c->owner->events->farewell(c->owner);
    }
    if (c->state == CLIENT_OPEN || c->state == CLIENT_CLOSING)
        client_leave_stream(c, stream_end);
}

void client_lose(struct client *c, const char *why)
{
    if (c->state == CLIENT_OVER)
        return;
    if (c->state == CLIENT_OPENING) /* there will be no line of a session */
        log_line(&client_worker(c)->log, LOG_INFO, "request abandoned", LOG_C("client", c->origin),
                 LOG_C("route", client_route(c)->path), LOG_C("reason", why));
    client_note_end(c, WS_CODE_ABNORMAL, why, strlen(why), CLOSED_BY_CLIENT);
    client_leave_stream(c, stream_abort);
}

void client_abandon(struct client *c, uint16_t code, const char *why)
{
    if (c->state != CLIENT_OPEN)
        return;
    client_note_end(c, code, why, strlen(why), CLOSED_BY_SERVER);
    /* Behind what is queued: a client that comes back to life hears it. */
    client_send_close(c, code, why);
    client_leave_stream(c, stream_end);
}

void client_release(struct client *c)
{
    client_deflate_release(c);
    client_throttle_release(c);
    if (c->extra == NULL)
        return;
    buf_release(&c->extra->held);
    buf_release(&c->extra->in_message);
    buf_release(&c->extra->late_pong);
    free(c->extra->reason);
    free(c->extra);
    c->extra = NULL;
}
