/* SPDX-License-Identifier: MIT */

/*
 * What a client sends: what becomes of the payload of data frames. Payloads are unmasked towards
 * the front of the chunk, each right behind the one before with the framing's prefix and suffix
 * between them, over headers that have been read. What several frames hold so leaves in one write,
 * without a copy into another buffer:
 *
 *    received   | hdr | payload 1 | hdr | payload 2 | hdr | payload 3 (unfinished)
 *    region       payload 1\n payload 2\n            -> write;  payload 3 is copied to in_message
 */
#include <string.h>

#include "core/client/client_in.h"
#include "proto/channel.h"
#include "proto/tty.h"

static void message_done(struct client *c, uint64_t n)
{
    c->messages_in++;
    client_route(c)->stats->messages_in++;
    if (c->echoes) {
        c->messages_out++;
        c->bytes_out += n;
        client_route(c)->stats->messages_out++;
        client_route(c)->stats->bytes_out += n;
    }
}

static bool text_ok(struct client *c, const struct ws_frame *f, const uint8_t *plain)
{
    if (f->opcode != WS_TEXT)
        return true;
    return utf8_feed(&c->in_utf8, plain, f->len) && (!f->end || utf8_complete(&c->in_utf8));
}

static void message_tell(struct client *c, const struct ws_frame *f, const uint8_t *plain)
{
    c->owner->events->message(c->owner, f->opcode == WS_TEXT, f->end, plain, f->len);
}

/* Echo: a message that goes back compressed. False: it goes as any other. */
static bool turn_packed(struct input *in, uint8_t opcode, const uint8_t *p, size_t n)
{
    const uint8_t *frame;
    size_t len =
        in->c->echoes && in->c->input_open ? client_deflate_pack(in->c, opcode, p, n, &frame) : 0;

    if (len == 0)
        return false;
    client_input_flush(in);
    client_input_write(in, frame, len);
    return true;
}

static size_t put_prefix(const struct client *c, uint8_t *out, uint64_t len, uint8_t opcode)
{
    return client_framing(c)->prefix != NULL ? client_framing(c)->prefix(out, len, opcode) : 0;
}

static size_t put_suffix(const struct client *c, uint8_t *out, uint64_t len, uint8_t opcode)
{
    return client_framing(c)->suffix != NULL ? client_framing(c)->suffix(out, len, opcode) : 0;
}

/* A message that lies whole in the chunk: the usual case. payload is writable, being in the
 * worker's buffer. */
static void take_whole(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct client *c = in->c;
    uint8_t prefix[FRAMING_PREFIX_MAX], suffix[FRAMING_SUFFIX_MAX];
    size_t before = put_prefix(c, prefix, f->len, f->opcode);
    size_t behind = put_suffix(c, suffix, f->len, f->opcode);

    /* The frame's own header is at least 6 bytes, so this nearly always fits; WORKER_HEADROOM
     * covers the first one. */
    if (in->start != NULL && in->end + before + behind > payload)
        client_input_flush(in);
    uint8_t *at = in->start != NULL ? in->end : payload - before - behind;

    ws_unmask(at + before, payload, f->len, f->key);
    if (f->opcode == WS_TEXT && !utf8_valid(at + before, f->len)) {
        client_input_fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
        return;
    }
    message_tell(c, f, at + before);
    if (turn_packed(in, f->opcode, at + before, f->len)) {
        message_done(c, f->len);
        return;
    }
    memcpy(at, prefix, before);
    memcpy(at + before + f->len, suffix, behind);
    if (in->start == NULL)
        in->start = at;
    in->end = at + before + f->len + behind;
    message_done(c, f->len);
}

/* Adds a piece to the unfinished message, behind room for a prefix. NULL: the client has failed. */
static struct buf *message_gather(struct input *in, const struct ws_frame *f)
{
    struct client *c = in->c;
    struct client_extra *e = client_need_extra(c);
    struct buf *m = e != NULL ? &e->in_message : NULL;
    uint8_t *to;

    if (f->begin) {
        c->in_utf8 = (struct utf8_state){0};
        if (m == NULL || buf_reserve(m, FRAMING_PREFIX_MAX + f->len) == NULL) {
            client_input_no_memory(in);
            return NULL;
        }
        buf_added(m, FRAMING_PREFIX_MAX);
    }
    to = m != NULL ? buf_reserve(m, f->len + FRAMING_SUFFIX_MAX) : NULL;
    if (to == NULL) {
        client_input_no_memory(in);
        return NULL;
    }
    ws_unmask(to, f->payload, f->len, f->key);
    if (!text_ok(c, f, to)) {
        client_input_fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
        return NULL;
    }
    buf_added(m, f->len);
    return m;
}

/* A message in several pieces, with room for the prefix left in front. */
static void take_piece(struct input *in, const struct ws_frame *f)
{
    struct client *c = in->c;
    struct buf *m = message_gather(in, f);
    uint8_t prefix[FRAMING_PREFIX_MAX], *body;
    size_t len, before, behind;

    if (m == NULL || !f->end)
        return;
    len = buf_len(m) - FRAMING_PREFIX_MAX;
    body = buf_data(m) + FRAMING_PREFIX_MAX;
    c->owner->events->message(c->owner, f->opcode == WS_TEXT, true, body, len);
    before = put_prefix(c, prefix, len, f->opcode);
    behind = put_suffix(c, body + len, len, f->opcode);
    if (!turn_packed(in, f->opcode, body, len)) {
        memcpy(body - before, prefix, before);
        client_input_flush(in);
        client_input_write(in, body - before, before + len + behind);
    }
    buf_release(m);
    message_done(c, len);
}

/* Framings that hand bytes on as they arrive. */
static void take_bytes(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct client *c = in->c;
    uint8_t *at = in->start != NULL ? in->end : payload;

    if (f->begin)
        c->in_utf8 = (struct utf8_state){0};
    ws_unmask(at, payload, f->len, f->key);
    if (!text_ok(c, f, at)) {
        client_input_fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
        return;
    }
    message_tell(c, f, at);
    if (in->start == NULL)
        in->start = at;
    in->end = at + f->len;
    if (f->end)
        message_done(c, f->len);
}

/* What to do about an order that is whole. */
static void message_follow(struct input *in, struct slice order)
{
    struct client *c = in->c;
    struct channel_about about = {0};
    bool is_about = c->channels && c->channel == 1 + CHANNEL_ABOUT;
    const char *wrong =
        is_about ? channel_read_about(order, &about) : client_tty_order(c, c->tty_command, order);
    int number = about.signal;

    if (wrong == NULL && about.has_got && c->owner->events->got != NULL)
        c->owner->events->got(c->owner, about.got);
    if (wrong != NULL)
        client_input_fail(in, WS_CODE_PROTOCOL, wrong);
    else if (number != 0 && !client_settings(c)->read_only && c->state == CLIENT_OPEN &&
             !c->owner->events->signal(c->owner, number))
        client_input_fail(in, WS_CODE_POLICY, "this signal is not allowed here");
}

/* More of a message that is not input. */
static void take_order(struct input *in, const struct ws_frame *f, const uint8_t *p, size_t n)
{
    struct client *c = in->c;
    struct client_extra *busy = client_need_extra(c);
    struct buf *m = busy != NULL ? &busy->in_message : NULL;

    client_input_flush(in); /* what was typed before it comes first */
    if (m != NULL && buf_len(m) + n > TTY_ORDER_MAX) {
        client_input_fail(in, WS_CODE_TOO_BIG, "an order longer than 4096 bytes");
        return;
    }
    if (m == NULL || buf_append(m, p, n) < 0) {
        client_input_no_memory(in);
        return;
    }
    if (!f->end)
        return;
    message_follow(in, slice_of((const char *)buf_data(m), buf_len(m)));
    if (c->extra != NULL)
        buf_release(&c->extra->in_message);
}

static void take_tty(struct input *in, const struct ws_frame *f, uint8_t *payload);

/* One that is to count whole, and came in pieces. */
static void take_tty_pieces(struct input *in, const struct ws_frame *f)
{
    struct buf *m = message_gather(in, f), whole;
    struct ws_frame all = {.opcode = f->opcode, .begin = true, .end = true};

    if (m == NULL || !f->end)
        return;
    whole = *m;
    *m = (struct buf){0};
    all.payload = buf_data(&whole) + FRAMING_PREFIX_MAX;
    all.len = buf_len(&whole) - FRAMING_PREFIX_MAX;
    client_input_flush(in);
    take_tty(in, &all, buf_data(&whole) + FRAMING_PREFIX_MAX);
    client_input_flush(in);
    buf_release(&whole);
}

/* Terminal clients: the first byte of a message says what it is. What is typed goes on as it comes,
 * without that byte. */
static void take_tty(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct client *c = in->c;
    uint8_t *p = payload;
    size_t n = f->len;

    if (c->assembles && !(f->begin && f->end)) {
        take_tty_pieces(in, f);
        return;
    }
    if (f->begin) {
        c->in_utf8 = (struct utf8_state){0};
        c->tty_command = 0;
    }
    ws_unmask(p, p, n, f->key);
    if (!text_ok(c, f, p)) {
        client_input_fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
        return;
    }
    if (c->tty_command == 0 && n > 0) {
        c->tty_command = p[0] != 0 ? p[0] : UINT8_MAX; /* 0 is none yet; neither is a command */
        if (p[0] != TTY_BEGIN) {
            p++;
            n--;
        }
    }
    if (c->tty_command == TTY_INPUT && c->tty == CLIENT_TTY_RUNS) {
        if (in->start == NULL)
            in->start = in->end = p;
        memmove(in->end, p, n);
        in->end += n;
    } else if (c->tty_command != 0) {
        take_order(in, f, p, n);
    }
    if (f->end && !in->failed)
        message_done(c, f->len);
}

/* Whether an empty message ends the backend's input. */
static bool ends_input(const struct client *c)
{
    return client_settings(c)->eof_on_empty && !client_settings(c)->read_only && c->input_open &&
           !c->echoes;
}

/* Of a message's first bytes: takes the first one off, which says what the rest is for. False when
 * there is none yet. */
static bool take_channel(struct client *c, struct ws_frame *f, uint8_t **payload)
{
    if (f->begin)
        c->channel = 0;
    if (c->channel != 0)
        return true;
    if (f->len == 0)
        return false;
    c->channel = (uint8_t)(1 + (**payload ^ f->key[0]));
    f->begin = true; /* empty pieces may have come before */
    ++*payload;
    f->payload++;
    f->len--;
    const uint8_t key[4] = {f->key[1], f->key[2], f->key[3], f->key[0]};
    memcpy(f->key, key, sizeof key);
    return true;
}

static void take_about(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct client *c = in->c;

    if (f->begin)
        c->in_utf8 = (struct utf8_state){0};
    ws_unmask(payload, payload, f->len, f->key);
    if (!text_ok(c, f, payload)) {
        client_input_fail(in, WS_CODE_BAD_UTF8, "text that is not UTF-8");
        return;
    }
    take_order(in, f, payload, f->len);
    if (f->end && !in->failed)
        message_done(c, f->len);
}

static void message_take_message(struct input *in, const struct ws_frame *f, uint8_t *payload);

/* What is for the backend, of a client that says so. */
static void message_take_input(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct client *c = in->c;

    if (c->tty != CLIENT_TTY_NOT)
        take_tty(in, f, payload);
    else
        message_take_message(in, f, payload);
    if (f->end && !in->failed && c->owner->events->counted != NULL)
        c->owner->events->counted(c->owner);
}

static void take_channels(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct client *c = in->c;
    struct ws_frame rest = *f;

    if (!take_channel(c, &rest, &payload)) {
        if (f->end)
            message_done(c, 0); /* it is for nothing */
        return;
    }
    if (c->channel == 1 + CHANNEL_INPUT)
        message_take_input(in, &rest, payload);
    else if (c->channel == 1 + CHANNEL_ABOUT)
        take_about(in, &rest, payload);
    else
        client_input_fail(in, WS_CODE_PROTOCOL,
                          "channels: a message begins with byte 0 (input) or 3 (about)");
}

void client_message(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct client *c = in->c;

    c->bytes_in += f->len;
    client_route(c)->stats->bytes_in += f->len;
    c->owner->last_data = client_worker(c)->now;
    if (c->channels)
        take_channels(in, f, payload);
    else if (c->tty != CLIENT_TTY_NOT)
        take_tty(in, f, payload);
    else
        message_take_message(in, f, payload);
}

/* What is for the backend. */
static void message_take_message(struct input *in, const struct ws_frame *f, uint8_t *payload)
{
    struct client *c = in->c;

    if (f->begin && f->end && f->len == 0 && ends_input(c)) {
        client_input_flush(in);
        c->messages_in++;
        client_route(c)->stats->messages_in++;
        message_tell(c, f, f->payload);
        c->owner->events->finish(c->owner);
        c->input_open = false;
        return;
    }
    if (f->opcode == WS_BINARY && client_framing(c)->addresses)
        client_input_fail(in, WS_CODE_UNSUPPORTED, "text only, not binary messages");
    else if (!c->assembles)
        take_bytes(in, f, payload);
    else if (f->begin && f->end)
        take_whole(in, f, payload);
    else
        take_piece(in, f);
}
