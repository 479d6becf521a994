/* SPDX-License-Identifier: MIT */

/*
 * Client to backend: the walk over a chunk of the worker's receive buffer. What its data frames
 * hold is taken by session_take.c; control frames are answered here, compressed ones inflated.
 *
 * The rest of a chunk is put off when the session has inflated its share or the far side has no
 * place (session_deflate.c), and when a frame is over a rate (session_rate.c). It lies in
 * s->busy->held, at most one read, and the client is not read meanwhile. For a rate the reader is
 * set back to stand before the frame again; a frame that was let in and not used up is never
 * weighed twice. session_balance and the timer see when the session may go on, from the loop.
 */
#include <assert.h>
#include <string.h>

#include "core/session_in.h"

static void flush_pongs(struct input *in)
{
    if (in->pongs > 0)
        stream_write(in->s->stream, in->s->worker->tx, in->pongs);
    in->pongs = 0;
}

void session_input_write(struct input *in, const uint8_t *p, size_t n)
{
    struct session *s = in->s;

    if (n == 0)
        return;
    if (s->route->settings.read_only) {
        session_count_dropped(s, n);
        return;
    }
    if (session_record(s) != NULL)
        record_bytes(session_record(s), RECORD_IN, p, n);
    if (!s->input_open || (s->backend == NULL && !s->loopback)) {
        session_count_dropped(s, n);
    } else if (s->loopback) {
        flush_pongs(in); /* what was asked first is answered first */
        stream_write(s->stream, p, n);
    } else {
        s->backend->ops->write(s->backend, p, n);
    }
}

void session_input_flush(struct input *in)
{
    if (in->start != NULL)
        session_input_write(in, in->start, (size_t)(in->end - in->start));
    in->start = in->end = NULL;
}

void session_input_fail(struct input *in, uint16_t code, const char *why)
{
    session_input_flush(in); /* whole messages before the bad one count */
    flush_pongs(in);
    in->failed = true;
    session_fail(in->s, code, why);
}

void session_input_no_memory(struct input *in)
{
    session_input_fail(in, WS_CODE_INTERNAL, "out of memory");
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
            session_input_fail(in, piece.code, piece.why);
        if (step == DEFLATED_FAULT || step == DEFLATED_NOTHING)
            return;
        session_take(in, &piece, (uint8_t *)(uintptr_t)piece.payload);
        session_input_flush(in); /* the next piece takes its place */
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
        session_count_dropped(s, f->len);
        return;
    }
    session_input_flush(in);
    ws_unmask(payload, payload, f->len, f->key);
    take_inflated(in, f);
}

/* A client that pings but does not read gets one answer, to its last ping (RFC 6455, section
 * 5.5.3). */
static void keep_late(struct session *s, const uint8_t *pong, size_t n)
{
    struct session_busy *b = session_busy(s);

    if (b != NULL)
        buf_release(&b->late_pong);
    if (b == NULL || buf_append(&b->late_pong, pong, n) < 0)
        session_count_dropped(s, n);
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
        keep_late(s, frame, len);
        return;
    }
    if (s->loopback)
        session_input_flush(in);
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
            session_input_fail(in, wrong,
                               wrong == WS_CODE_PROTOCOL ? "malformed Close"
                                                         : "Close reason that is not UTF-8");
            return;
        }
        session_input_flush(in);
        flush_pongs(in);
        in->failed = true; /* nothing behind a Close counts */
        session_client_close(s, code, payload + 2, f->len > 2 ? f->len - 2 : 0);
    }
}

static bool hold(struct session *s, const uint8_t *p, size_t n)
{
    struct session_busy *b = session_busy(s);

    return b != NULL && buf_append(&b->held, p, n) == 0;
}

/* Copies what is held to `to`. */
static void unhold(struct session *s, uint8_t *to)
{
    struct session_busy *b = s->busy;

    if (b == NULL || buf_len(&b->held) == 0)
        return;
    memcpy(to, buf_data(&b->held), buf_len(&b->held));
    buf_release(&b->held);
}

static size_t held_len(const struct session *s)
{
    return buf_len(&session_is_busy(s)->held);
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
    if (n > 0 && !hold(s, p, n)) {
        session_input_no_memory(in);
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
    session_input_fail(in, WS_CODE_POLICY, "more than the rate that is allowed");
    return false;
}

/* Returns what was used: nothing when the piece may not pass. */
static size_t take_payload(struct input *in, struct ws_frame *f, uint8_t *payload, size_t used)
{
    if (session_rate(in->s) != NULL && !may_pass(in, f))
        return 0;
    if (f->rsv != 0)
        take_compressed(in, f, payload);
    else
        session_take(in, f, payload);
    return used;
}

static void look_at(struct input *in, uint8_t *p, size_t n)
{
    struct session *s = in->s;
    struct ws_frame f;
    size_t used;

    while (n > 0 && !in->failed && !in->waits) {
        if (session_rate(s) != NULL)
            in->before = s->reader;
        switch (ws_reader_next(&s->reader, p, n, &used, &f)) {
        case WS_EV_DATA:
            used = take_payload(in, &f, p + (f.payload - p), used);
            break;
        case WS_EV_CONTROL:
            take_control(in, &f);
            break;
        case WS_EV_ERROR:
            session_input_fail(in, f.code, f.why);
            break;
        case WS_EV_MORE:
            if (used == 0 && !hold(s, p, n))
                session_input_no_memory(in);
            used = used == 0 ? n : used;
            break;
        }
        p += used;
        n -= used;
    }
    if (in->waits && !in->failed)
        put_off(in, p, n);
    session_input_flush(in);
    if (!in->failed)
        flush_pongs(in);
}

void session_input(struct session *s, uint8_t *p, size_t n)
{
    struct input in = {.s = s};
    size_t held = held_len(s); /* goes in front of the chunk, into its head room */

    assert(!s->put_off);
    assert(held <= WS_HELD_MAX && WS_HELD_MAX + FRAMING_PREFIX_MAX <= WORKER_HEADROOM);
    session_deflate_turn(s);
    unhold(s, p - held);
    look_at(&in, p - held, n + held);
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
    size_t n = held_len(s);
    struct ws_frame f;

    assert(n <= WS_HELD_MAX + WORKER_RX_SIZE);
    unhold(s, p);
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
            session_count_dropped(s, f.len);
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
    session_count_dropped(s, held_len(s));
    if (s->busy != NULL)
        buf_release(&s->busy->held);
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
    struct session_busy *b = s->busy;

    if (b == NULL || buf_len(&b->late_pong) == 0 || s->phase != SESSION_OPEN)
        return;
    stream_write(s->stream, buf_data(&b->late_pong), buf_len(&b->late_pong));
    buf_release(&b->late_pong);
}
