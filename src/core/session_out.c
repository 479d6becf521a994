/* SPDX-License-Identifier: MIT */

/*
 * Backend to client. Small messages (many short lines of one read) are gathered in worker->tx and
 * leave in one write. A large one gets its header written just before it, where it lies: in the
 * receive buffer, whose head room and already consumed front give the place, or in out_message,
 * which keeps place for it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/session_impl.h"

#define SMALL_MESSAGE 4096U /* bytes that are cheaper to copy than to write apart */

/* One pass over a chunk: how much of worker->tx is filled. */
struct output {
    struct session *s;
    size_t gathered;
};

static void flush_gathered(struct output *o)
{
    if (o->gathered > 0)
        stream_write(o->s->stream, o->s->worker->tx, o->gathered);
    o->gathered = 0;
}

static void gather(struct output *o, uint8_t opcode, const uint8_t *p, size_t n)
{
    if (o->gathered + WS_SERVER_HEADER_MAX + n > WORKER_TX_SIZE)
        flush_gathered(o);
    uint8_t *at = o->s->worker->tx + o->gathered;
    size_t header = ws_write_header(at, opcode, n);

    memcpy(at + header, p, n);
    o->gathered += header + n;
}

/* p has WS_SERVER_HEADER_MAX writable bytes in front, which nobody needs any more. */
static void send_frame(struct output *o, uint8_t opcode, uint8_t *p, size_t n, bool is_only)
{
    if (n <= SMALL_MESSAGE && !is_only) {
        gather(o, opcode, p, n);
        return;
    }
    size_t header = ws_header_len(n);

    flush_gathered(o);
    ws_write_header(p - header, opcode, n);
    stream_write(o->s->stream, p - header, header + n);
}

/* Text of the backend that is not UTF-8, by the route's choice. */
static void send_invalid(struct output *o, const uint8_t *p, size_t n)
{
    struct session *s = o->s;

    if (s->route->settings.invalid_utf8 == UTF8_CLOSE) {
        flush_gathered(o);
        session_close(s, WS_CODE_INTERNAL, "the backend sent text that is not UTF-8",
                      CLOSED_BY_SERVER);
        return;
    }
    bool replace = s->route->settings.invalid_utf8 == UTF8_REPLACE;
    uint8_t *copy = malloc(WS_SERVER_HEADER_MAX + (replace ? 3 * n : n));

    if (copy == NULL) {
        flush_gathered(o);
        session_close(s, WS_CODE_INTERNAL, "out of memory", CLOSED_BY_SERVER);
        return;
    }
    uint8_t *body = copy + WS_SERVER_HEADER_MAX;
    if (replace)
        n = utf8_replace(body, p, n);
    else
        memcpy(body, p, n);
    send_frame(o, replace ? WS_TEXT : WS_BINARY, body, n, false);
    free(copy);
}

/* A message to the client; p as in send_frame. is_only: nothing else of this chunk will follow. */
static void send_message(struct output *o, uint8_t *p, size_t n, bool is_only)
{
    struct session *s = o->s;

    s->messages_out++;
    s->bytes_out += n;
    s->stats->messages_out++;
    s->stats->bytes_out += n;
    if (s->record != NULL)
        record_message(s->record, RECORD_OUT, s->opcode_out == WS_TEXT, true, p, n);
    if (s->opcode_out == WS_TEXT && !utf8_valid(p, n))
        send_invalid(o, p, n);
    else
        send_frame(o, s->opcode_out, p, n, is_only && o->gathered == 0);
}

/* Both directions obey max-message where messages are assembled. False when the session was closed
 * for it. */
static bool fits(struct output *o, size_t n)
{
    struct session *s = o->s;

    if (n <= s->route->settings.max_message)
        return true;
    flush_gathered(o);
    session_close(s, WS_CODE_TOO_BIG, "the backend's message is longer than max-message",
                  CLOSED_BY_SERVER);
    return false;
}

/* More of an unfinished message: kept with place for the frame header in front. False when the
 * session was closed for it. */
static bool keep(struct output *o, const uint8_t *p, size_t n, size_t spare)
{
    struct session *s = o->s;
    struct buf *m = &s->out_message;
    const uint8_t place[WS_SERVER_HEADER_MAX] = {0};
    size_t have = buf_len(m) > 0 ? buf_len(m) - WS_SERVER_HEADER_MAX : 0;

    if (n == 0)
        return true;
    if (!fits(o, have + n - spare))
        return false;
    if ((buf_len(m) == 0 && buf_append(m, place, sizeof place) < 0) || buf_append(m, p, n) < 0) {
        flush_gathered(o);
        session_close(s, WS_CODE_INTERNAL, "out of memory", CLOSED_BY_SERVER);
        return false;
    }
    return true;
}

static void send_kept(struct output *o, size_t chop)
{
    struct buf *m = &o->s->out_message;
    size_t n = buf_len(m) - WS_SERVER_HEADER_MAX;

    send_message(o, buf_data(m) + WS_SERVER_HEADER_MAX, n > chop ? n - chop : 0, false);
    buf_release(m);
}

/* Framings with a cutter. False when the session was closed on the way. */
static bool cut_messages(struct output *o, uint8_t *p, size_t n)
{
    struct session *s = o->s;
    struct framing_cut cut;
    bool first = true;

    while (n > 0) {
        memset(&cut, 0, sizeof cut);
        if (!s->route->framing->cut(&s->out_state, p, n, &cut)) {
            flush_gathered(o);
            session_close(s, WS_CODE_INTERNAL, "the backend broke its framing", CLOSED_BY_SERVER);
            return false;
        }
        size_t used = cut.skip + cut.body + cut.drop;
        uint8_t *body = p + cut.skip;

        if (!cut.end || buf_len(&s->out_message) > 0) {
            /* a \r at the end may turn out to belong to the border */
            bool maybe = !cut.end && cut.body > 0 && body[cut.body - 1] == '\r';

            if (!keep(o, body, cut.body, cut.end ? cut.chop : maybe))
                return false;
            if (cut.end && buf_len(&s->out_message) > 0)
                send_kept(o, cut.chop);
        } else if (fits(o, cut.body)) {
            send_message(o, body, cut.body - cut.chop, first && used == n);
        }
        if (s->phase != SESSION_OPEN)
            return false;
        first = false;
        p += used;
        n -= used;
    }
    return true;
}

/* Framings that hand bytes on as they come; in text frames an unfinished character waits. */
static void pass_bytes(struct output *o, uint8_t *p, size_t n)
{
    struct session *s = o->s;

    if (s->carry_len > 0) {
        p -= s->carry_len;
        n += s->carry_len;
        memcpy(p, s->carry, s->carry_len);
        s->carry_len = 0;
    }
    if (s->opcode_out == WS_TEXT) {
        s->carry_len = (uint8_t)utf8_tail(p, n);
        n -= s->carry_len;
        memcpy(s->carry, p + n, s->carry_len);
    }
    if (n > 0)
        send_message(o, p, n, true);
}

/* `partial-lines` counts from the last byte of the unfinished message. */
static void note_partial(struct session *s)
{
    double wait = s->route->settings.partial_lines;

    s->partial_since = 0;
    if (wait <= 0 || buf_len(&s->out_message) == 0)
        return;
    s->partial_since = s->worker->now;
    session_time_hurry(s, wait);
}

void session_output(struct session *s, uint8_t *p, size_t n)
{
    struct output o = {.s = s};

    s->last_data = s->worker->now;
    if (s->phase != SESSION_OPEN) {
        s->dropped += n;
        return;
    }
    if (s->record != NULL)
        record_bytes(s->record, RECORD_OUT, p, n);
    if (s->route->framing->cut == NULL)
        pass_bytes(&o, p, n);
    else if (!cut_messages(&o, p, n))
        return;
    if (s->phase != SESSION_OPEN)
        return;
    flush_gathered(&o);
    note_partial(s);
}

void session_output_partial(struct session *s)
{
    struct output o = {.s = s};
    struct buf *m = &s->out_message;
    uint8_t rest[FRAMING_CARRY_MAX];
    size_t kept = 0;

    s->partial_since = 0;
    if (s->phase != SESSION_OPEN || buf_len(m) == 0)
        return;
    if (s->opcode_out == WS_TEXT)
        kept = utf8_tail(buf_data(m) + WS_SERVER_HEADER_MAX, buf_len(m) - WS_SERVER_HEADER_MAX);
    if (buf_len(m) == WS_SERVER_HEADER_MAX + kept)
        return; /* nothing but the beginning of a character */
    memcpy(rest, buf_data(m) + buf_len(m) - kept, kept);
    send_kept(&o, kept);
    s->out_state = (struct framing_state){0};
    if (s->phase == SESSION_OPEN)
        flush_gathered(&o);
    (void)keep(&o, rest, kept, 0);
}

void session_output_end(struct session *s)
{
    struct output o = {.s = s};
    uint8_t tail[WS_SERVER_HEADER_MAX + FRAMING_CARRY_MAX];

    if (s->phase != SESSION_OPEN)
        return;
    if (buf_len(&s->out_message) > 0)
        send_kept(&o, 0);
    if (s->carry_len > 0) {
        memcpy(tail + WS_SERVER_HEADER_MAX, s->carry, s->carry_len);
        send_message(&o, tail + WS_SERVER_HEADER_MAX, s->carry_len, false);
        s->carry_len = 0;
    }
    if (s->phase == SESSION_OPEN)
        flush_gathered(&o);
}

void session_output_release(struct session *s)
{
    buf_release(&s->out_message);
    s->carry_len = 0;
}

void session_send_control(struct session *s, uint8_t opcode, const void *p, size_t n)
{
    uint8_t frame[2 + WS_CONTROL_MAX];
    size_t header = ws_write_header(frame, opcode, n);

    memcpy(frame + header, p, n);
    stream_write(s->stream, frame, header + n);
}
