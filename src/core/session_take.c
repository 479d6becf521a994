/* SPDX-License-Identifier: MIT */

/*
 * Client to backend: what becomes of the payload of data frames. Payloads are unmasked towards the
 * front of the chunk, each right behind the one before with the framing's prefix and suffix between
 * them, over headers that have been read. What several frames hold so leaves in one write, without
 * a copy into another buffer:
 *
 *    received   | hdr | payload 1 | hdr | payload 2 | hdr | payload 3 (unfinished)
 *    region       payload 1\n payload 2\n            -> write;  payload 3 is copied to in_message
 */
#include <string.h>

#include "core/session_in.h"
#include "proto/tty.h"

static void message_done(struct session *s, uint64_t n)
{
    s->messages_in++;
    s->route->stats->messages_in++;
    if (s->loopback) {
        s->messages_out++;
        s->bytes_out += n;
        s->route->stats->messages_out++;
        s->route->stats->bytes_out += n;
    }
}

static bool text_ok(struct session *s, const struct ws_frame *f, const uint8_t *plain)
{
    if (f->opcode != WS_TEXT)
        return true;
    return utf8_feed(&s->in_utf8, plain, f->len) && (!f->end || utf8_complete(&s->in_utf8));
}

/* A message, or a piece of one, for the recording that keeps borders. */
static void note(struct session *s, const struct ws_frame *f, const uint8_t *plain)
{
    bool text = f->opcode == WS_TEXT;

    if (session_record(s) == NULL)
        return;
    record_message(session_record(s), RECORD_IN, text, f->end, plain, f->len);
    if (s->loopback)
        record_message(session_record(s), RECORD_OUT, text, f->end, plain, f->len);
}

/* Echo: a message that goes back compressed. False: it goes as any other. */
static bool turn_packed(struct input *in, uint8_t opcode, const uint8_t *p, size_t n)
{
    const uint8_t *frame;
    size_t len = in->s->loopback && in->s->input_open
                     ? session_deflate_pack(in->s, opcode, p, n, &frame)
                     : 0;

    if (len == 0)
        return false;
    session_input_flush(in);
    session_input_write(in, frame, len);
    return true;
}

static size_t put_prefix(const struct session *s, uint8_t *out, uint64_t len, uint8_t opcode)
{
    return session_framing(s)->prefix != NULL ? session_framing(s)->prefix(out, len, opcode) : 0;
}

static size_t put_suffix(const struct session *s, uint8_t *out, uint64_t len, uint8_t opcode)
{
    return session_framing(s)->suffix != NULL ? session_framing(s)->suffix(out, len, opcode) : 0;
}

/* A message that lies whole in the chunk: the usual case. payload is writable, being in the
 * worker's buffer. */
static void take_whole(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct session *s = in->s;
    uint8_t prefix[FRAMING_PREFIX_MAX], suffix[FRAMING_SUFFIX_MAX];
    size_t before = put_prefix(s, prefix, f->len, f->opcode);
    size_t behind = put_suffix(s, suffix, f->len, f->opcode);

    /* The frame's own header is at least 6 bytes, so this nearly always fits; WORKER_HEADROOM
     * covers the first one. */
    if (in->start != NULL && in->end + before + behind > payload)
        session_input_flush(in);
    uint8_t *at = in->start != NULL ? in->end : payload - before - behind;

    ws_unmask(at + before, payload, f->len, f->key);
    if (f->opcode == WS_TEXT && !utf8_valid(at + before, f->len)) {
        session_input_fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
        return;
    }
    note(s, f, at + before);
    if (turn_packed(in, f->opcode, at + before, f->len)) {
        message_done(s, f->len);
        return;
    }
    memcpy(at, prefix, before);
    memcpy(at + before + f->len, suffix, behind);
    if (in->start == NULL)
        in->start = at;
    in->end = at + before + f->len + behind;
    message_done(s, f->len);
}

/* A message in several pieces: gathered in in_message, with room for the prefix left in front. */
static void take_piece(struct input *in, const struct ws_frame *f)
{
    struct session *s = in->s;
    struct session_busy *busy = session_busy(s);
    struct buf *m = busy != NULL ? &busy->in_message : NULL;

    if (f->begin) {
        s->in_utf8 = (struct utf8_state){0};
        if (m == NULL || buf_reserve(m, FRAMING_PREFIX_MAX + f->len) == NULL) {
            session_input_no_memory(in);
            return;
        }
        buf_added(m, FRAMING_PREFIX_MAX);
    }
    uint8_t *to = buf_reserve(m, f->len + FRAMING_SUFFIX_MAX);
    if (to == NULL) {
        session_input_no_memory(in);
        return;
    }
    ws_unmask(to, f->payload, f->len, f->key);
    if (!text_ok(s, f, to)) {
        session_input_fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
        return;
    }
    note(s, f, to);
    buf_added(m, f->len);
    if (!f->end)
        return;

    uint8_t prefix[FRAMING_PREFIX_MAX];
    size_t len = buf_len(m) - FRAMING_PREFIX_MAX;
    size_t before = put_prefix(s, prefix, len, f->opcode);
    uint8_t *body = buf_data(m) + FRAMING_PREFIX_MAX;
    size_t behind = put_suffix(s, body + len, len, f->opcode);

    if (!turn_packed(in, f->opcode, body, len)) {
        memcpy(body - before, prefix, before);
        session_input_flush(in);
        session_input_write(in, body - before, before + len + behind);
    }
    buf_release(m);
    message_done(s, len);
}

/* Framings that hand bytes on as they arrive. */
static void take_bytes(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct session *s = in->s;
    uint8_t *at = in->start != NULL ? in->end : payload;

    if (f->begin)
        s->in_utf8 = (struct utf8_state){0};
    ws_unmask(at, payload, f->len, f->key);
    if (!text_ok(s, f, at)) {
        session_input_fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
        return;
    }
    note(s, f, at);
    if (in->start == NULL)
        in->start = at;
    in->end = at + f->len;
    if (f->end)
        message_done(s, f->len);
}

/* More of a message that is not input. */
static void take_order(struct input *in, const struct ws_frame *f, const uint8_t *p, size_t n)
{
    struct session *s = in->s;
    struct session_busy *busy = session_busy(s);
    struct buf *m = busy != NULL ? &busy->in_message : NULL;
    const char *wrong;

    session_input_flush(in); /* what was typed before it comes first */
    if (m != NULL && buf_len(m) + n > TTY_ORDER_MAX) {
        session_input_fail(in, WS_CODE_TOO_BIG, "tty: an order longer than 4096 bytes");
        return;
    }
    if (m == NULL || buf_append(m, p, n) < 0) {
        session_input_no_memory(in);
        return;
    }
    if (!f->end)
        return;
    wrong = session_tty_order(s, s->tty_command, slice_of((const char *)buf_data(m), buf_len(m)));
    buf_release(m);
    if (wrong != NULL)
        session_input_fail(in, WS_CODE_PROTOCOL, wrong);
}

/* Terminal clients: the first byte of a message says what it is. What is typed goes on as it comes,
 * without that byte. */
static void take_tty(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct session *s = in->s;
    uint8_t *p = payload;
    size_t n = f->len;

    if (f->begin) {
        s->in_utf8 = (struct utf8_state){0};
        s->tty_command = 0;
    }
    ws_unmask(p, p, n, f->key);
    if (!text_ok(s, f, p)) {
        session_input_fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
        return;
    }
    if (s->tty_command == 0 && n > 0) {
        s->tty_command = p[0] != 0 ? p[0] : UINT8_MAX; /* 0 is none yet; neither is a command */
        if (p[0] != TTY_BEGIN) {
            p++;
            n--;
        }
    }
    if (s->tty_command == TTY_INPUT && s->tty == SESSION_TTY_RUNS) {
        if (in->start == NULL)
            in->start = in->end = p;
        memmove(in->end, p, n);
        in->end += n;
    } else if (s->tty_command != 0) {
        take_order(in, f, p, n);
    }
    if (f->end && !in->failed)
        message_done(s, f->len);
}

void session_take(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct session *s = in->s;

    s->bytes_in += f->len;
    s->route->stats->bytes_in += f->len;
    s->last_data = s->worker->now;
    if (s->tty != SESSION_TTY_NOT) {
        take_tty(in, f, payload);
        return;
    }
    if (f->begin && f->end && f->len == 0 && s->route->settings.eof_on_empty &&
        !s->route->settings.read_only && s->input_open && s->backend != NULL) {
        session_input_flush(in);
        s->messages_in++;
        s->route->stats->messages_in++;
        note(s, f, f->payload);
        session_input_farewell(s);
        s->input_open = false;
        s->backend->ops->finish(s->backend);
        return;
    }
    if (!session_framing(s)->assembles)
        take_bytes(in, f, payload);
    else if (f->begin && f->end)
        take_whole(in, f, payload);
    else
        take_piece(in, f);
}
