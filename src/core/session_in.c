/* SPDX-License-Identifier: MIT */

/*
 * Client to backend. A chunk of the worker's receive buffer is walked over once; payloads are
 * unmasked towards the front of the chunk, each right behind the one before with the framing's
 * prefix and suffix between them, over headers that have been read. What several frames hold so
 * leaves in one write, without a copy into another buffer:
 *
 *    received   | hdr | payload 1 | hdr | payload 2 | hdr | payload 3 (unfinished)
 *    region       payload 1\n payload 2\n            -> write;  payload 3 is copied to in_message
 *
 * The rest of a chunk is put off when the session has inflated its share or the far side has no
 * place (session_deflate.c), and when a frame is over a rate (session_rate.c). It lies in
 * s->held, at most one read, and the client is not read meanwhile. For a rate the reader is set
 * back to stand before the frame again; a frame that was let in and not used up is never weighed
 * twice. session_balance and the timer see when the session may go on, from the loop.
 */
#include <assert.h>
#include <string.h>

#include "core/session_impl.h"
#include "proto/tty.h"

/* One pass over a chunk. */
struct input {
    struct session *s;
    uint8_t *start, *end; /* region of bytes ready to leave; NULL: none */
    size_t pongs;         /* bytes of pong frames gathered in worker->tx */
    bool failed;
    bool waits;    /* nothing more is looked at in this turn */
    bool in_frame; /* then: there is more in this frame, unmasked: */
    struct ws_frame frame;
    struct ws_reader before; /* with rates: the reader, before what it looks at */
};

static void flush_pongs(struct input *in)
{
    if (in->pongs > 0)
        stream_write(in->s->stream, in->s->worker->tx, in->pongs);
    in->pongs = 0;
}

/* To where client messages go: the backend, or straight back. */
static void deliver(struct input *in, const uint8_t *p, size_t n)
{
    struct session *s = in->s;

    if (n == 0)
        return;
    if (s->route->settings.read_only) {
        s->dropped += n;
        return;
    }
    if (s->record != NULL)
        record_bytes(s->record, RECORD_IN, p, n);
    if (!s->input_open || (s->backend == NULL && !s->loopback)) {
        s->dropped += n;
    } else if (s->loopback) {
        flush_pongs(in); /* what was asked first is answered first */
        stream_write(s->stream, p, n);
    } else {
        s->backend->ops->write(s->backend, p, n);
    }
}

static void flush_region(struct input *in)
{
    if (in->start != NULL)
        deliver(in, in->start, (size_t)(in->end - in->start));
    in->start = in->end = NULL;
}

static void fail(struct input *in, uint16_t code, const char *why)
{
    flush_region(in); /* whole messages before the bad one count */
    flush_pongs(in);
    in->failed = true;
    session_fail(in->s, code, why);
}

static void no_memory(struct input *in)
{
    fail(in, WS_CODE_INTERNAL, "out of memory");
}

static void message_done(struct session *s, uint64_t n)
{
    s->messages_in++;
    s->stats->messages_in++;
    if (s->loopback) {
        s->messages_out++;
        s->bytes_out += n;
        s->stats->messages_out++;
        s->stats->bytes_out += n;
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

    if (s->record == NULL)
        return;
    record_message(s->record, RECORD_IN, text, f->end, plain, f->len);
    if (s->loopback)
        record_message(s->record, RECORD_OUT, text, f->end, plain, f->len);
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
    flush_region(in);
    deliver(in, frame, len);
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
        flush_region(in);
    uint8_t *at = in->start != NULL ? in->end : payload - before - behind;

    ws_unmask(at + before, payload, f->len, f->key);
    if (f->opcode == WS_TEXT && !utf8_valid(at + before, f->len)) {
        fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
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
    struct buf *m = &s->in_message;

    if (f->begin) {
        s->in_utf8 = (struct utf8_state){0};
        if (buf_reserve(m, FRAMING_PREFIX_MAX + f->len) == NULL) {
            no_memory(in);
            return;
        }
        buf_added(m, FRAMING_PREFIX_MAX);
    }
    uint8_t *to = buf_reserve(m, f->len + FRAMING_SUFFIX_MAX);
    if (to == NULL) {
        no_memory(in);
        return;
    }
    ws_unmask(to, f->payload, f->len, f->key);
    if (!text_ok(s, f, to)) {
        fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
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
        flush_region(in);
        deliver(in, body - before, before + len + behind);
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
        fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
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
    struct buf *m = &s->in_message;
    const char *wrong;

    flush_region(in); /* what was typed before it comes first */
    if (buf_len(m) + n > TTY_ORDER_MAX) {
        fail(in, WS_CODE_TOO_BIG, "tty: an order longer than 4096 bytes");
        return;
    }
    if (buf_append(m, p, n) < 0) {
        no_memory(in);
        return;
    }
    if (!f->end)
        return;
    wrong = session_tty_order(s, s->tty_command, slice_of((const char *)buf_data(m), buf_len(m)));
    buf_release(m);
    if (wrong != NULL)
        fail(in, WS_CODE_PROTOCOL, wrong);
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
        fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
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

static void take_data(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct session *s = in->s;

    s->bytes_in += f->len;
    s->stats->bytes_in += f->len;
    s->last_data = s->worker->now;
    if (s->tty != SESSION_TTY_NOT) {
        take_tty(in, f, payload);
        return;
    }
    if (f->begin && f->end && f->len == 0 && s->route->settings.eof_on_empty &&
        !s->route->settings.read_only && s->input_open && s->backend != NULL) {
        flush_region(in);
        s->messages_in++;
        s->stats->messages_in++;
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

/* A compressed frame, unmasked: its pieces are taken like frames that came as they are. */
static void take_inflated(struct input *in, struct ws_frame *f)
{
    struct session *s = in->s;
    enum session_deflate_step step;
    struct ws_frame piece;

    do {
        step = session_deflate_next(s, f, &piece);
        if (step == DEFLATED_FAULT)
            fail(in, piece.code, piece.why);
        if (step == DEFLATED_FAULT || step == DEFLATED_NOTHING)
            return;
        take_data(in, &piece, (uint8_t *)(uintptr_t)piece.payload);
        flush_region(in); /* the next piece takes its place */
        if (in->failed)
            return;
        in->waits = session_deflate_must_wait(s);
    } while (step == DEFLATED_PIECE && !in->waits);
    in->in_frame = step == DEFLATED_PIECE;
    in->frame = *f;
}

static void take_compressed(struct input *in, struct ws_frame *f, uint8_t *payload)
{
    struct session *s = in->s;

    if (!s->input_open) { /* nobody wants to know what is in it */
        s->dropped += f->len;
        return;
    }
    flush_region(in);
    ws_unmask(payload, payload, f->len, f->key);
    take_inflated(in, f);
}

static void answer_ping(struct input *in, const uint8_t *payload, size_t n)
{
    struct session *s = in->s;
    uint8_t frame[2 + WS_CONTROL_MAX];
    size_t len = ws_write_header(frame, WS_PONG, n);

    memcpy(frame + len, payload, n);
    len += n;
    if (s->phase != SESSION_OPEN)
        return;
    if (stream_queued(s->stream) > 0) {
        /* A client that pings but does not read gets one answer, to its last ping (RFC 6455,
         * section 5.5.3). */
        buf_release(&s->late_pong);
        if (buf_append(&s->late_pong, frame, len) < 0)
            s->dropped += len;
        return;
    }
    if (s->loopback)
        flush_region(in);
    /* A pong is shorter than its ping, so those of one chunk always fit. */
    memcpy(s->worker->tx + in->pongs, frame, len);
    in->pongs += len;
}

static void take_control(struct input *in, const struct ws_frame *f)
{
    struct session *s = in->s;
    uint8_t payload[WS_CONTROL_MAX];
    uint16_t code, wrong;

    ws_unmask(payload, f->payload, f->len, f->key);
    switch (f->opcode) {
    case WS_PING:
        answer_ping(in, payload, f->len);
        break;
    case WS_PONG:
        session_time_pong(s, payload, f->len);
        break;
    default:
        wrong = ws_check_close(payload, f->len, &code);
        if (wrong != 0) {
            fail(in, wrong,
                 wrong == WS_CODE_PROTOCOL ? "malformed Close" : "Close reason that is not UTF-8");
            return;
        }
        flush_region(in);
        flush_pongs(in);
        in->failed = true; /* nothing behind a Close counts */
        session_client_close(s, code, payload + 2, f->len > 2 ? f->len - 2 : 0);
    }
}

/* Puts the bytes held back in front of the chunk, into its head room. */
static void unhold(struct session *s, uint8_t **p, size_t *n)
{
    size_t held = buf_len(&s->held);

    if (held == 0)
        return;
    assert(held <= WS_HELD_MAX && WS_HELD_MAX + FRAMING_PREFIX_MAX <= WORKER_HEADROOM);
    *p -= held;
    *n += held;
    memcpy(*p, buf_data(&s->held), held);
    buf_release(&s->held);
}

/* Keeps what is not looked at in this turn, until session_input_go_on. */
static void put_off(struct input *in, const uint8_t *p, size_t n)
{
    struct session *s = in->s;

    if (in->in_frame) {
        session_deflate_leave(s, &in->frame);
        p -= in->frame.len; /* it ends where p begins */
        n += in->frame.len;
    }
    if (n > 0 && buf_append(&s->held, p, n) < 0) {
        no_memory(in);
        return;
    }
    s->put_off = n > 0 || in->in_frame;
}

/* False: it is over a rate, and either the session has failed or what comes from here on waits. */
static bool may_pass(struct input *in, const struct ws_frame *f)
{
    switch (session_rate_take(in->s, f)) {
    case RATE_PASS:
        return true;
    case RATE_HELD:
        in->s->reader = in->before;
        in->waits = true;
        return false;
    case RATE_OVER:
        break;
    }
    fail(in, WS_CODE_POLICY, "more than the rate that is allowed");
    return false;
}

/* Returns what was used: nothing when the piece may not pass. */
static size_t take_payload(struct input *in, struct ws_frame *f, uint8_t *payload, size_t used)
{
    if (in->s->rate != NULL && !may_pass(in, f))
        return 0;
    if (f->rsv != 0)
        take_compressed(in, f, payload);
    else
        take_data(in, f, payload);
    return used;
}

static void look_at(struct input *in, uint8_t *p, size_t n)
{
    struct session *s = in->s;
    struct ws_frame f;
    size_t used;

    while (n > 0 && !in->failed && !in->waits) {
        if (s->rate != NULL)
            in->before = s->reader;
        switch (ws_reader_next(&s->reader, p, n, &used, &f)) {
        case WS_EV_DATA:
            used = take_payload(in, &f, p + (f.payload - p), used);
            break;
        case WS_EV_CONTROL:
            take_control(in, &f);
            break;
        case WS_EV_ERROR:
            fail(in, f.code, f.why);
            break;
        case WS_EV_MORE:
            if (used == 0 && buf_append(&s->held, p, n) < 0)
                no_memory(in);
            used = used == 0 ? n : used;
            break;
        }
        p += used;
        n -= used;
    }
    if (in->waits && !in->failed)
        put_off(in, p, n);
    flush_region(in);
    if (!in->failed)
        flush_pongs(in);
}

void session_input(struct session *s, uint8_t *p, size_t n)
{
    struct input in = {.s = s};

    assert(!s->put_off);
    session_deflate_turn(s);
    unhold(s, &p, &n);
    look_at(&in, p, n);
}

bool session_input_ready(const struct session *s)
{
    return s->put_off && !session_blocked(s) && s->worker->now >= session_rate_until(s);
}

/* Back into the receive buffer, where a chunk has room before and behind it. */
void session_input_go_on(struct session *s)
{
    struct input in = {.s = s};
    uint8_t *p = s->worker->rx + WORKER_HEADROOM - WS_HELD_MAX;
    size_t n = buf_len(&s->held);
    struct ws_frame f;

    assert(n <= WS_HELD_MAX + WORKER_RX_SIZE);
    if (n > 0)
        memcpy(p, buf_data(&s->held), n);
    buf_release(&s->held);
    s->put_off = false;
    session_rate_return(s);
    session_deflate_turn(s);
    if (session_deflate_return(s, &f)) {
        f.payload = p;
        p += f.len;
        n -= f.len;
        if (s->input_open)
            take_inflated(&in, &f);
        else
            s->dropped += f.len;
    }
    if (!in.failed)
        look_at(&in, p, n);
}

void session_input_drop(struct session *s)
{
    session_rate_drop(s);
    if (!s->put_off)
        return;
    s->put_off = false;
    s->dropped += buf_len(&s->held);
    buf_release(&s->held);
}

void session_input_farewell(struct session *s)
{
    uint8_t word[FRAMING_PREFIX_MAX];
    const struct framing *framing = session_framing(s);

    if (framing->farewell != NULL && s->input_open && s->backend != NULL)
        s->backend->ops->write(s->backend, word, framing->farewell(word));
}

void session_flush_pong(struct session *s)
{
    if (buf_len(&s->late_pong) == 0 || s->phase != SESSION_OPEN)
        return;
    stream_write(s->stream, buf_data(&s->late_pong), buf_len(&s->late_pong));
    buf_release(&s->late_pong);
}

void session_input_release(struct session *s)
{
    buf_release(&s->held);
    buf_release(&s->in_message);
    buf_release(&s->late_pong);
}
