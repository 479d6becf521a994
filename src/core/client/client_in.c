/* SPDX-License-Identifier: MIT */

/*
 * What a client sends: the walk over a chunk of the worker's receive buffer. What its data frames
 * hold is taken by client_message.c; control frames are answered here, compressed ones inflated.
 *
 * The rest of a chunk is deferred when the client has had its share inflated or the backend has no
 * place (client_deflate.c), and when a frame is over a rate (client_throttle.c). It lies in
 * extra->held, at most one read, and the client is not read meanwhile. For a rate the reader is set
 * back to stand before the frame again; a frame that was let in and not used up is never weighed
 * twice. client_settle and the timer see when it may go on, from the loop.
 */
#include <assert.h>
#include <string.h>

#include "core/client/client_in.h"

static void flush_pongs(struct input *in)
{
    if (in->pongs > 0)
        stream_write(in->c->stream, client_worker(in->c)->tx, in->pongs);
    in->pongs = 0;
}

void client_input_write(struct input *in, const uint8_t *p, size_t n)
{
    struct client *c = in->c;

    if (n == 0)
        return;
    if (!c->echoes) {
        c->owner->events->input(c->owner, p, n);
    } else if (!c->input_open || client_settings(c)->read_only) {
        client_count_dropped(c, n);
    } else {
        flush_pongs(in); /* what was asked first is answered first */
        stream_write(c->stream, p, n);
    }
}

void client_input_flush(struct input *in)
{
    if (in->start != NULL)
        client_input_write(in, in->start, (size_t)(in->end - in->start));
    in->start = in->end = NULL;
}

void client_input_fail(struct input *in, uint16_t code, const char *why)
{
    client_input_flush(in); /* whole messages before the bad one count */
    flush_pongs(in);
    in->failed = true;
    client_fail(in->c, code, why);
}

void client_input_no_memory(struct input *in)
{
    worker_no_memory(client_worker(in->c), "a session");
    client_input_fail(in, WS_CODE_INTERNAL, "out of memory");
}

/* A compressed frame, unmasked: its pieces are taken like frames that came as they are. */
static void take_inflated(struct input *in, struct ws_frame *f)
{
    struct client *c = in->c;
    enum client_deflate_step step;
    struct ws_frame piece;

    do {
        step = client_deflate_next(c, f, &piece);
        if (step == DEFLATED_FAULT)
            client_input_fail(in, piece.code, piece.why);
        if (step == DEFLATED_FAULT || step == DEFLATED_NOTHING)
            return;
        client_message(in, &piece, (uint8_t *)(uintptr_t)piece.payload);
        client_input_flush(in); /* the next piece takes its place */
        if (in->failed)
            return;
        in->waits = client_deflate_must_wait(c);
    } while (step == DEFLATED_PIECE && !in->waits);
    in->in_frame = step == DEFLATED_PIECE;
    in->frame = *f;
}

static void take_compressed(struct input *in, struct ws_frame *f, uint8_t *payload)
{
    struct client *c = in->c;

    if (!c->input_open) { /* nobody wants to know what is in it */
        client_count_dropped(c, f->len);
        return;
    }
    client_input_flush(in);
    ws_unmask(payload, payload, f->len, f->key);
    take_inflated(in, f);
}

/* A client that pings but does not read gets one answer, to its last ping (RFC 6455, section
 * 5.5.3). */
static void keep_late(struct client *c, const uint8_t *pong, size_t n)
{
    struct client_extra *b = client_need_extra(c);

    if (b != NULL)
        buf_release(&b->late_pong);
    if (b == NULL || buf_append(&b->late_pong, pong, n) < 0)
        client_count_dropped(c, n);
}

static void answer_ping(struct input *in, const uint8_t *payload, size_t n)
{
    struct client *c = in->c;
    uint8_t frame[2 + WS_CONTROL_MAX];
    size_t len = ws_write_header(frame, WS_PONG, n);

    memcpy(frame + len, payload, n);
    len += n;
    if (c->state != CLIENT_OPEN)
        return;
    if (stream_queued(c->stream) > 0) {
        keep_late(c, frame, len);
        return;
    }
    if (c->echoes)
        client_input_flush(in);
    /* A pong is shorter than its ping, so those of one chunk always fit. */
    memcpy(client_worker(c)->tx + in->pongs, frame, len);
    in->pongs += len;
}

static void take_control(struct input *in, const struct ws_frame *f)
{
    struct client *c = in->c;
    uint8_t payload[WS_CONTROL_MAX];
    uint16_t code, wrong;

    ws_unmask(payload, f->payload, f->len, f->key);
    switch (f->opcode) {
    case WS_PING:
        answer_ping(in, payload, f->len);
        break;
    case WS_PONG:
        client_clock_pong(c, payload, f->len);
        break;
    default:
        wrong = ws_check_close(payload, f->len, &code);
        if (wrong != 0) {
            client_input_fail(in, wrong,
                              wrong == WS_CODE_PROTOCOL ? "malformed Close"
                                                        : "Close reason that is not UTF-8");
            return;
        }
        client_input_flush(in);
        flush_pongs(in);
        in->failed = true; /* nothing behind a Close counts */
        client_answer_close(c, code, payload + 2, f->len > 2 ? f->len - 2 : 0);
    }
}

static bool hold(struct client *c, const uint8_t *p, size_t n)
{
    struct client_extra *b = client_need_extra(c);

    return b != NULL && buf_append(&b->held, p, n) == 0;
}

/* Copies what is held to `to`. */
static void unhold(struct client *c, uint8_t *to)
{
    struct client_extra *b = c->extra;

    if (b == NULL || buf_len(&b->held) == 0)
        return;
    memcpy(to, buf_data(&b->held), buf_len(&b->held));
    buf_release(&b->held);
}

static size_t held_len(const struct client *c)
{
    return buf_len(&client_extra(c)->held);
}

/* Keeps what is not looked at in this turn, until client_input_go_on. */
static void defer(struct input *in, const uint8_t *p, size_t n)
{
    struct client *c = in->c;

    if (in->in_frame) {
        client_deflate_leave(c, &in->frame);
        p -= in->frame.len; /* it ends where p begins */
        n += in->frame.len;
    }
    if (n > 0 && !hold(c, p, n)) {
        client_input_no_memory(in);
        return;
    }
    c->deferred = n > 0 || in->in_frame;
}

/* False: it is over a rate, and either the client has failed or what comes from here on waits. */
static bool may_pass(struct input *in, const struct ws_frame *f)
{
    switch (client_throttle_take(in->c, f)) {
    case RATE_PASS:
        return true;
    case RATE_HELD:
        in->c->reader = in->before;
        in->waits = true;
        return false;
    case RATE_OVER:
        break;
    }
    client_input_fail(in, WS_CODE_POLICY, "more than the rate that is allowed");
    return false;
}

/* Returns what was used: nothing when the piece may not pass. */
static size_t take_payload(struct input *in, struct ws_frame *f, uint8_t *payload, size_t used)
{
    if (client_throttle(in->c) != NULL && !may_pass(in, f))
        return 0;
    if (f->rsv != 0)
        take_compressed(in, f, payload);
    else
        client_message(in, f, payload);
    return used;
}

static void client_look_at(struct input *in, uint8_t *p, size_t n)
{
    struct client *c = in->c;
    struct ws_frame f;
    size_t used;

    while (n > 0 && !in->failed && !in->waits) {
        if (client_throttle(c) != NULL)
            in->before = c->reader;
        switch (ws_reader_next(&c->reader, p, n, &used, &f)) {
        case WS_EV_DATA:
            used = take_payload(in, &f, p + (f.payload - p), used);
            break;
        case WS_EV_CONTROL:
            take_control(in, &f);
            break;
        case WS_EV_ERROR:
            client_input_fail(in, f.code, f.why);
            break;
        case WS_EV_MORE:
            if (used == 0 && !hold(c, p, n))
                client_input_no_memory(in);
            used = used == 0 ? n : used;
            break;
        }
        p += used;
        n -= used;
    }
    if (in->waits && !in->failed)
        defer(in, p, n);
    client_input_flush(in);
    if (!in->failed)
        flush_pongs(in);
}

void client_input(struct client *c, uint8_t *p, size_t n)
{
    struct input in = {.c = c};
    size_t held = held_len(c); /* goes in front of the chunk, into its head room */

    assert(!c->deferred);
    assert(held <= WS_HELD_MAX && WS_HELD_MAX + FRAMING_PREFIX_MAX <= WORKER_HEADROOM);
    client_deflate_turn(c);
    unhold(c, p - held);
    client_look_at(&in, p - held, n + held);
}

bool client_input_ready(const struct client *c)
{
    return c->deferred && !c->owner->events->blocked(c->owner) &&
           client_worker(c)->now >= client_throttle_until(c);
}

/* Back into the receive buffer, where a chunk has room before and behind it. */
void client_input_go_on(struct client *c)
{
    struct input in = {.c = c};
    uint8_t *p = client_worker(c)->rx + WORKER_HEADROOM - WS_HELD_MAX;
    size_t n = held_len(c);
    struct ws_frame f;

    assert(n <= WS_HELD_MAX + WORKER_RX_SIZE);
    unhold(c, p);
    c->deferred = false;
    client_throttle_return(c);
    client_deflate_turn(c);
    if (client_deflate_return(c, &f)) {
        f.payload = p;
        p += f.len;
        n -= f.len;
        if (c->input_open)
            take_inflated(&in, &f);
        else
            client_count_dropped(c, f.len);
    }
    if (!in.failed)
        client_look_at(&in, p, n);
}

void client_input_drop(struct client *c)
{
    client_throttle_drop(c);
    if (!c->deferred)
        return;
    c->deferred = false;
    client_count_dropped(c, held_len(c));
    if (c->extra != NULL)
        buf_release(&c->extra->held);
}

void client_flush_pong(struct client *c)
{
    struct client_extra *b = c->extra;

    if (b == NULL || buf_len(&b->late_pong) == 0 || c->state != CLIENT_OPEN)
        return;
    stream_write(c->stream, buf_data(&b->late_pong), buf_len(&b->late_pong));
    buf_release(&b->late_pong);
}
