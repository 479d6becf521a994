/* SPDX-License-Identifier: MIT */

/*
 * Backend to client: what is read is cut into messages, which the client is given one by one
 * (core/client/client_out.c). An unfinished message is kept in extra->out_message, with place in
 * front for the header it will get.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/session/session_kept.h"
#include "proto/channel.h"
#include "proto/tty.h"

/* One pass over a chunk. */
struct output {
    struct session *s;
    struct client_burst burst;
};

static struct output output_begin(struct session *s)
{
    return (struct output){.s = s, .burst = {.client = s->client}};
}

static bool is_open(const struct session *s)
{
    return session_kept(s) != NULL ? session_kept_listens(s) : s->client->state == CLIENT_OPEN;
}

/* We end it, behind what is gathered. */
static void output_close(struct output *o, uint16_t code, const char *why)
{
    client_flush(&o->burst);
    session_close(o->s, code, why, CLOSED_BY_SERVER);
}

static void output_no_memory(struct output *o)
{
    worker_no_memory(session_worker(o->s), "a session");
    output_close(o, WS_CODE_INTERNAL, "out of memory");
}

/* To the client, or to all of them. p as in send_message. */
static void say(struct output *o, uint8_t opcode, uint8_t *p, size_t n, bool is_only)
{
    size_t channel = o->s->channels ? 1 : 0;

    if (session_kept(o->s) == NULL)
        client_send(&o->burst, opcode, p, n, is_only);
    else
        session_kept_say(o->s, opcode, channel > 0 ? p[0] : CHANNEL_OUTPUT, p + channel,
                         n - channel);
}

/* Text of the backend that is not UTF-8, by the route's choice. */
static void send_invalid(struct output *o, const uint8_t *p, size_t n)
{
    int choice = session_settings(o->s)->invalid_utf8;
    bool replace = choice == UTF8_REPLACE;

    if (choice == UTF8_CLOSE) {
        output_close(o, WS_CODE_INTERNAL, "the backend sent text that is not UTF-8");
        return;
    }
    uint8_t *copy = malloc(CLIENT_PLACE + (replace ? 3 * n : n));

    if (copy == NULL) {
        output_no_memory(o);
        return;
    }
    uint8_t *body = copy + CLIENT_PLACE;
    if (replace)
        n = utf8_replace(body, p, n);
    else
        memcpy(body, p, n);
    say(o, replace ? WS_TEXT : WS_BINARY, body, n, false);
    free(copy);
}

/* A message to the client, with CLIENT_PLACE writable bytes in front that nobody needs any more.
 * channel: CHANNEL_OUTPUT or _STDERR. is_only: nothing else of this chunk will follow. */
static void send_message(struct output *o, uint8_t opcode, uint8_t channel, uint8_t *p, size_t n,
                         bool is_only)
{
    struct session *s = o->s;

    if (s->channels) {
        *--p = channel;
        n++;
    }
    if (session_kept(s) == NULL)
        client_count_out(s->client, n);
    if (session_record(s) != NULL)
        record_message(session_record(s), RECORD_OUT, opcode == WS_TEXT, true, p, n);
    if (opcode == WS_TEXT && !utf8_valid(p, n))
        send_invalid(o, p, n);
    else
        say(o, opcode, p, n, is_only);
}

/* A record that says it is stderr: where the program's own would go. */
static void take_stderr(struct output *o, uint8_t *p, size_t n, bool is_only)
{
    struct session *s = o->s;
    int mode = session_settings(s)->stderr_mode;

    if (mode == STDERR_MESSAGE)
        send_message(o, s->opcode_out, CHANNEL_STDERR, p, n, is_only);
    else if (mode == STDERR_MERGE)
        send_message(o, s->opcode_out, CHANNEL_OUTPUT, p, n, is_only);
    else if (mode == STDERR_LOG)
        session_log_stderr(s, p, n);
}

/* A whole message of the backend; p as in send_message. */
static void session_out_take_message(struct output *o, const struct framing_cut *cut, uint8_t *p,
                                     size_t n, bool is_only)
{
    struct session *s = o->s;

    switch ((enum framing_what)cut->what) {
    case FRAMING_MESSAGE:
        send_message(o, cut->opcode != 0 ? cut->opcode : s->opcode_out, CHANNEL_OUTPUT, p, n,
                     is_only);
        break;
    case FRAMING_STDERR:
        take_stderr(o, p, n, is_only);
        break;
    case FRAMING_END:
        client_flush(&o->burst);
        session_backend_silent(s);
        break;
    }
}

/* Both directions obey max-message where messages are assembled. False when the session was closed
 * for it. */
static bool session_out_fits(struct output *o, size_t n)
{
    struct session *s = o->s;

    if (n <= session_settings(s)->max_message)
        return true;
    output_close(o, WS_CODE_TOO_BIG, "the backend's message is longer than --max-message");
    return false;
}

/* Makes an empty out_message ready for n bytes behind CLIENT_PLACE, all at once. */
static bool begin_kept(struct buf *m, size_t n)
{
    uint8_t *place = buf_reserve(m, CLIENT_PLACE + n);

    if (place == NULL)
        return false;
    memset(place, 0, CLIENT_PLACE);
    buf_added(m, CLIENT_PLACE);
    return true;
}

/* Without CLIENT_PLACE. */
static size_t kept_len(const struct session *s)
{
    size_t n = buf_len(&session_extra(s)->out_message);

    return n > 0 ? n - CLIENT_PLACE : 0;
}

/* More of an unfinished message: kept with CLIENT_PLACE in front. size: n and what is announced
 * behind it; spare: bytes of it that may not count. False when the session was closed for it. */
static bool session_out_keep(struct output *o, const uint8_t *p, size_t n, size_t size,
                             size_t spare)
{
    struct session *s = o->s;
    struct session_extra *b;

    if (!session_out_fits(o, kept_len(s) + size - spare))
        return false;
    if (n == 0)
        return true;
    b = session_need_extra(s);
    struct buf *m = b != NULL ? &b->out_message : NULL;
    if (m == NULL || (buf_len(m) == 0 && !begin_kept(m, size)) || buf_append(m, p, n) < 0) {
        output_no_memory(o);
        return false;
    }
    return true;
}

static bool has_kept(const struct session *s)
{
    return buf_len(&session_extra(s)->out_message) > 0;
}

static void take_kept(struct output *o, const struct framing_cut *cut)
{
    struct buf m = o->s->extra->out_message;
    size_t n = kept_len(o->s);

    o->s->extra->out_message = (struct buf){0};
    session_out_take_message(o, cut, buf_data(&m) + CLIENT_PLACE, n > cut->chop ? n - cut->chop : 0,
                             false);
    buf_release(&m);
}

static void broken_framing(struct output *o, const char *why)
{
    char reason[WS_REASON_MAX + 1];

    client_flush(&o->burst);
    snprintf(reason, sizeof reason, "the backend broke its framing: %s", why);
    session_close(o->s, WS_CODE_INTERNAL, reason, CLOSED_BY_SERVER);
}

/* One cut of a message; body is where its bytes lie. False when the session was closed for it. */
static bool take_cut(struct output *o, const struct framing_cut *cut, uint8_t *body, bool is_only)
{
    size_t size = cut->size > cut->body ? cut->size : cut->body;

    if (cut->end && !has_kept(o->s)) {
        if (!session_out_fits(o, cut->body))
            return false;
        session_out_take_message(o, cut, body, cut->body - cut->chop, is_only);
        return true;
    }
    if (!session_out_keep(o, body, cut->body, size, cut->chop))
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

        if (!take_cut(o, &cut, p + cut.skip, first && used == n) || !is_open(s))
            return false;
        if (s->state != SESSION_RUNNING) {
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
    if (s->client->tty != CLIENT_TTY_NOT) {
        *--p = TTY_OUTPUT;
        n++;
    }
    if (s->opcode_out == WS_TEXT) {
        s->carry_len = (uint8_t)utf8_tail(p, n);
        n -= s->carry_len;
        memcpy(s->carry, p + n, s->carry_len);
    }
    if (n > 0)
        send_message(o, s->opcode_out, CHANNEL_OUTPUT, p, n, true);
}

/* Of a terminal that outlives its connections: what its program asks is for us to answer. */
static void pass_screen(struct output *o, const uint8_t *p, size_t n)
{
    struct session *s = o->s;
    uint8_t *out = session_worker(s)->tx + WORKER_HEADROOM;
    struct vt_pass pass = {.p = p, .n = n, .out = out};

    _Static_assert(WORKER_HEADROOM + WORKER_RX_SIZE + VT_HOLD <= WORKER_TX_SIZE, "no room");
    while (vt_scan(&session_kept(s)->screen->scan, &pass) != VT_ALL) {
        if (vt_asks_place(&pass.seq) && pass.used > 0) {
            pass_bytes(o, out, pass.used);
            pass.used = 0;
        }
        if (!is_open(s))
            return;
        screen_answer(s, &pass.seq);
    }
    if (pass.used > 0)
        pass_bytes(o, out, pass.used);
}

static bool has_screen(const struct session *s)
{
    return session_kept(s) != NULL && session_kept(s)->screen != NULL;
}

/* What is unfinished comes after all. */
static void end_screen(struct output *o)
{
    uint8_t rest[WORKER_HEADROOM + VT_HOLD];
    size_t n = vt_scan_end(&session_kept(o->s)->screen->scan, rest + WORKER_HEADROOM);

    if (n > 0)
        pass_bytes(o, rest + WORKER_HEADROOM, n);
}

/* `partial-lines` counts from the last byte of the unfinished message. */
static void note_partial(struct session *s)
{
    double wait = session_settings(s)->partial_lines;

    if (s->extra == NULL)
        return;
    s->extra->partial_since = 0;
    if (wait <= 0 || !has_kept(s) || !session_framing(s)->by_mark)
        return;
    s->extra->partial_since = session_worker(s)->now;
    client_hurry(s->client, wait);
}

void session_output(struct session *s, uint8_t *p, size_t n)
{
    struct output o = output_begin(s);

    s->owner.last_data = session_worker(s)->now;
    if (!is_open(s) || s->state != SESSION_RUNNING) {
        session_count_dropped(s, n);
        return;
    }
    if (session_record(s) != NULL)
        record_bytes(session_record(s), RECORD_OUT, p, n);
    if (has_screen(s))
        pass_screen(&o, p, n);
    else if (session_framing(s)->cut == NULL)
        pass_bytes(&o, p, n);
    else if (!cut_messages(&o, p, n))
        return;
    if (!is_open(s))
        return;
    client_flush(&o.burst);
    note_partial(s);
}

void session_output_partial(struct session *s)
{
    struct output o = output_begin(s);
    uint8_t rest[FRAMING_CARRY_MAX];
    size_t kept = 0;

    s->extra->partial_since = 0;
    if (!is_open(s) || !has_kept(s))
        return;
    const struct buf *m = &s->extra->out_message;
    if (s->opcode_out == WS_TEXT)
        kept = utf8_tail(buf_data(m) + CLIENT_PLACE, kept_len(s));
    if (kept_len(s) == kept)
        return; /* nothing but the beginning of a character */
    memcpy(rest, buf_data(m) + buf_len(m) - kept, kept);
    take_kept(&o, &(struct framing_cut){.chop = kept});
    s->out_state = (struct framing_state){0};
    if (is_open(s))
        client_flush(&o.burst);
    (void)session_out_keep(&o, rest, kept, kept, 0);
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
    struct output o = output_begin(s);
    uint8_t tail[CLIENT_PLACE + FRAMING_CARRY_MAX];

    if (!is_open(s))
        return true;
    if (is_torn(s)) {
        session_count_dropped(s, kept_len(s));
        if (s->extra != NULL)
            buf_release(&s->extra->out_message);
        return false;
    }
    if (has_kept(s))
        take_kept(&o, &(struct framing_cut){0});
    if (has_screen(s))
        end_screen(&o);
    if (s->carry_len > 0) {
        memcpy(tail + CLIENT_PLACE, s->carry, s->carry_len);
        send_message(&o, s->opcode_out, CHANNEL_OUTPUT, tail + CLIENT_PLACE, s->carry_len, false);
        s->carry_len = 0;
    }
    if (is_open(s))
        client_flush(&o.burst);
    return true;
}

void session_output_stderr(struct session *s, const struct slice *lines, size_t count)
{
    struct output o = output_begin(s);
    uint8_t copy[CLIENT_PLACE + BACKEND_STDERR_PIECE + 1];

    s->owner.last_data = session_worker(s)->now;
    for (size_t i = 0; i < count; i++) {
        if (!is_open(s)) {
            session_count_dropped(s, lines[i].len);
            continue;
        }
        memcpy(copy + CLIENT_PLACE, lines[i].p, lines[i].len);
        copy[CLIENT_PLACE + lines[i].len] =
            '\n'; /* for the recording, whose bytes have no messages */
        if (session_record(s) != NULL)
            record_bytes(session_record(s), RECORD_OUT, copy + CLIENT_PLACE, lines[i].len + 1);
        send_message(&o, s->opcode_out, CHANNEL_STDERR, copy + CLIENT_PLACE, lines[i].len, false);
    }
    if (is_open(s))
        client_flush(&o.burst);
}
