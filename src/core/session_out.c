/* SPDX-License-Identifier: MIT */

/*
 * Backend to client. Small messages (many short lines of one read) are gathered in worker->tx and
 * leave in one write. A large one gets its header written just before it, where it lies: in the
 * receive buffer, whose head room and already consumed front give the place, or in out_message,
 * which keeps place for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/session_impl.h"
#include "proto/tty.h"

#define SMALL_MESSAGE 4096U /* bytes that are cheaper to copy than to write apart */
/* Writable bytes that each message needs in front: a frame header, the byte of `stderr: message`.
 */
#define PLACE (WS_SERVER_HEADER_MAX + 1)

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

/* A whole frame that was made elsewhere. */
static void send_packed(struct output *o, const uint8_t *frame, size_t n, bool is_only)
{
    if (n > SMALL_MESSAGE || is_only || o->gathered + n > WORKER_TX_SIZE)
        flush_gathered(o);
    if (n > SMALL_MESSAGE || is_only) {
        stream_write(o->s->stream, frame, n);
        return;
    }
    memcpy(o->s->worker->tx + o->gathered, frame, n);
    o->gathered += n;
}

/* p has WS_SERVER_HEADER_MAX writable bytes in front, which nobody needs any more. */
static void send_frame(struct output *o, uint8_t opcode, uint8_t *p, size_t n, bool is_only)
{
    const uint8_t *frame;
    size_t len = session_deflate_pack(o->s, opcode, p, n, &frame);

    if (len > 0) {
        send_packed(o, frame, len, is_only);
        return;
    }
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

/* A message to the client, with PLACE writable bytes in front that nobody needs any more. channel:
 * SESSION_STDOUT or _STDERR. is_only: nothing else of this chunk will follow. */
static void send_message(struct output *o, uint8_t opcode, uint8_t channel, uint8_t *p, size_t n,
                         bool is_only)
{
    struct session *s = o->s;

    if (s->channels) {
        *--p = channel;
        n++;
    }
    s->messages_out++;
    s->bytes_out += n;
    s->route->stats->messages_out++;
    s->route->stats->bytes_out += n;
    if (session_record(s) != NULL)
        record_message(session_record(s), RECORD_OUT, opcode == WS_TEXT, true, p, n);
    if (opcode == WS_TEXT && !utf8_valid(p, n))
        send_invalid(o, p, n);
    else
        send_frame(o, opcode, p, n, is_only && o->gathered == 0);
}

/* A record that says it is stderr: where the program's own would go. */
static void take_stderr(struct output *o, uint8_t *p, size_t n, bool is_only)
{
    struct session *s = o->s;
    int mode = s->route->settings.stderr_mode;

    if (mode == STDERR_MESSAGE)
        send_message(o, s->opcode_out, SESSION_STDERR, p, n, is_only);
    else if (mode == STDERR_MERGE)
        send_message(o, s->opcode_out, SESSION_STDOUT, p, n, is_only);
    else if (mode == STDERR_LOG)
        session_log_stderr(s, p, n);
}

/* A whole message of the backend; p as in send_message. */
static void take_message(struct output *o, const struct framing_cut *cut, uint8_t *p, size_t n,
                         bool is_only)
{
    struct session *s = o->s;

    switch ((enum framing_what)cut->what) {
    case FRAMING_MESSAGE:
        send_message(o, cut->opcode != 0 ? cut->opcode : s->opcode_out, SESSION_STDOUT, p, n,
                     is_only);
        break;
    case FRAMING_STDERR:
        take_stderr(o, p, n, is_only);
        break;
    case FRAMING_END:
        flush_gathered(o);
        session_backend_silent(s);
        break;
    }
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

/* Makes an empty out_message ready for n bytes behind PLACE, all at once. */
static bool begin_kept(struct buf *m, size_t n)
{
    uint8_t *place = buf_reserve(m, PLACE + n);

    if (place == NULL)
        return false;
    memset(place, 0, PLACE);
    buf_added(m, PLACE);
    return true;
}

/* Without PLACE. */
static size_t kept_len(const struct session *s)
{
    size_t n = buf_len(&session_is_busy(s)->out_message);

    return n > 0 ? n - PLACE : 0;
}

/* More of an unfinished message: kept with PLACE in front. size: n and what is announced behind it;
 * spare: bytes of it that may not count. False when the session was closed for it. */
static bool keep(struct output *o, const uint8_t *p, size_t n, size_t size, size_t spare)
{
    struct session *s = o->s;
    struct session_busy *b;

    if (!fits(o, kept_len(s) + size - spare))
        return false;
    if (n == 0)
        return true;
    b = session_busy(s);
    struct buf *m = b != NULL ? &b->out_message : NULL;
    if (m == NULL || (buf_len(m) == 0 && !begin_kept(m, size)) || buf_append(m, p, n) < 0) {
        flush_gathered(o);
        session_close(s, WS_CODE_INTERNAL, "out of memory", CLOSED_BY_SERVER);
        return false;
    }
    return true;
}

static bool has_kept(const struct session *s)
{
    return buf_len(&session_is_busy(s)->out_message) > 0;
}

static void take_kept(struct output *o, const struct framing_cut *cut)
{
    struct buf m = o->s->busy->out_message;
    size_t n = kept_len(o->s);

    o->s->busy->out_message = (struct buf){0};
    take_message(o, cut, buf_data(&m) + PLACE, n > cut->chop ? n - cut->chop : 0, false);
    buf_release(&m);
}

static void broken_framing(struct output *o, const char *why)
{
    char reason[WS_REASON_MAX + 1];

    flush_gathered(o);
    snprintf(reason, sizeof reason, "the backend broke its framing: %s", why);
    session_close(o->s, WS_CODE_INTERNAL, reason, CLOSED_BY_SERVER);
}

/* One cut of a message; body is where its bytes lie. False when the session was closed for it. */
static bool take_cut(struct output *o, const struct framing_cut *cut, uint8_t *body, bool is_only)
{
    size_t size = cut->size > cut->body ? cut->size : cut->body;

    if (cut->end && !has_kept(o->s)) {
        if (!fits(o, cut->body))
            return false;
        take_message(o, cut, body, cut->body - cut->chop, is_only);
        return true;
    }
    if (!keep(o, body, cut->body, size, cut->chop))
        return false;
    if (cut->end)
        take_kept(o, cut);
    return true;
}

/* Framings with a cutter. False when the session was closed on the way. */
static bool cut_messages(struct output *o, uint8_t *p, size_t n)
{
    struct session *s = o->s;
    struct framing_cut cut;
    bool first = true;

    while (n > 0) {
        if (!session_framing(s)->cut(&s->out_state, p, n, &cut)) {
            broken_framing(o, cut.why);
            return false;
        }
        size_t used = cut.skip + cut.body + cut.drop;

        if (!take_cut(o, &cut, p + cut.skip, first && used == n) || s->phase != SESSION_OPEN)
            return false;
        if (s->exit_awaited) {
            session_count_dropped(s, n - used);
            return true;
        }
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
    if (s->tty != SESSION_TTY_NOT) {
        *--p = TTY_OUTPUT;
        n++;
    }
    if (s->opcode_out == WS_TEXT) {
        s->carry_len = (uint8_t)utf8_tail(p, n);
        n -= s->carry_len;
        memcpy(s->carry, p + n, s->carry_len);
    }
    if (n > 0)
        send_message(o, s->opcode_out, SESSION_STDOUT, p, n, true);
}

/* `partial-lines` counts from the last byte of the unfinished message. */
static void note_partial(struct session *s)
{
    double wait = s->route->settings.partial_lines;

    if (s->busy == NULL)
        return;
    s->busy->partial_since = 0;
    if (wait <= 0 || !has_kept(s) || !session_framing(s)->by_mark)
        return;
    s->busy->partial_since = s->worker->now;
    session_time_hurry(s, wait);
}

void session_output(struct session *s, uint8_t *p, size_t n)
{
    struct output o = {.s = s};

    s->last_data = s->worker->now;
    if (s->phase != SESSION_OPEN || s->exit_awaited) {
        session_count_dropped(s, n);
        return;
    }
    if (session_record(s) != NULL)
        record_bytes(session_record(s), RECORD_OUT, p, n);
    if (session_framing(s)->cut == NULL)
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
    uint8_t rest[FRAMING_CARRY_MAX];
    size_t kept = 0;

    s->busy->partial_since = 0;
    if (s->phase != SESSION_OPEN || !has_kept(s))
        return;
    const struct buf *m = &s->busy->out_message;
    if (s->opcode_out == WS_TEXT)
        kept = utf8_tail(buf_data(m) + PLACE, kept_len(s));
    if (kept_len(s) == kept)
        return; /* nothing but the beginning of a character */
    memcpy(rest, buf_data(m) + buf_len(m) - kept, kept);
    take_kept(&o, &(struct framing_cut){.chop = kept});
    s->out_state = (struct framing_state){0};
    if (s->phase == SESSION_OPEN)
        flush_gathered(&o);
    (void)keep(&o, rest, kept, kept, 0);
}

static bool is_torn(const struct session *s)
{
    const struct framing *framing = session_framing(s);
    const struct framing_state between = {0};

    return framing->cut != NULL && !framing->by_mark &&
           memcmp(&s->out_state, &between, sizeof between) != 0;
}

bool session_output_end(struct session *s)
{
    struct output o = {.s = s};
    uint8_t tail[PLACE + FRAMING_CARRY_MAX];

    if (s->phase != SESSION_OPEN)
        return true;
    if (is_torn(s)) {
        session_count_dropped(s, kept_len(s));
        if (s->busy != NULL)
            buf_release(&s->busy->out_message);
        return false;
    }
    if (has_kept(s))
        take_kept(&o, &(struct framing_cut){0});
    if (s->carry_len > 0) {
        memcpy(tail + PLACE, s->carry, s->carry_len);
        send_message(&o, s->opcode_out, SESSION_STDOUT, tail + PLACE, s->carry_len, false);
        s->carry_len = 0;
    }
    if (s->phase == SESSION_OPEN)
        flush_gathered(&o);
    return true;
}

void session_output_stderr(struct session *s, const struct slice *lines, size_t count)
{
    struct output o = {.s = s};
    uint8_t copy[PLACE + BACKEND_STDERR_PIECE + 1];

    s->last_data = s->worker->now;
    for (size_t i = 0; i < count; i++) {
        if (s->phase != SESSION_OPEN) {
            session_count_dropped(s, lines[i].len);
            continue;
        }
        memcpy(copy + PLACE, lines[i].p, lines[i].len);
        copy[PLACE + lines[i].len] = '\n'; /* for the recording, whose bytes have no messages */
        if (session_record(s) != NULL)
            record_bytes(session_record(s), RECORD_OUT, copy + PLACE, lines[i].len + 1);
        send_message(&o, s->opcode_out, SESSION_STDERR, copy + PLACE, lines[i].len, false);
    }
    if (s->phase == SESSION_OPEN)
        flush_gathered(&o);
}

void session_send_control(struct session *s, uint8_t opcode, const void *p, size_t n)
{
    uint8_t frame[2 + WS_CONTROL_MAX];
    size_t header = ws_write_header(frame, opcode, n);

    memcpy(frame + header, p, n);
    stream_write(s->stream, frame, header + n);
}
