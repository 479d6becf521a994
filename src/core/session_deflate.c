/* SPDX-License-Identifier: MIT */

/*
 * permessage-deflate in a session (RFC 7692).
 *
 * From the client: a compressed frame is inflated into the worker's buffer, a piece at a time, and
 * each piece goes the way of an uncompressed frame. Because a few bytes may become a thousand times
 * as many, that stops as soon as anything waits for the far side, and after SHARE bytes in any
 * case. What was received and not looked at is put off: see session_in.c.
 *
 * To the client: a message is compressed whole, and sent as it is if that would not make it
 * smaller.
 */
#include <stdlib.h>

#include "core/deflate_pool.h"
#include "core/session_impl.h"

/* Inflated bytes of one session in a turn of the loop. */
#define SHARE 262144U
/* Longer messages leave as they are: compressing one takes its time from all other sessions. */
#define COMPRESSED_MAX (1U << 20)

struct session_deflate {
    struct deflate_params params;
    struct deflate_reader *reader; /* with takeover ours, else of the message under way; or NULL */
    struct deflate_writer *writer; /* with takeover, once there was a message */

    /* the message under way */
    uint64_t plain; /* its length so far */
    bool begun;     /* its first piece was given */

    size_t share;          /* what is left of it */
    bool in_frame;         /* what was put off begins with the unmasked rest of this frame */
    struct ws_frame frame; /* its payload is not set */

    struct stats_compressed in, out;
};

bool session_deflate_start(struct session *s, const struct deflate_params *params)
{
    if (!params->agreed)
        return true;
    s->extra->deflate = calloc(1, sizeof *s->extra->deflate);
    if (s->extra->deflate == NULL)
        return false;
    s->extra->deflate->params = *params;
    s->reader.rsv_mask = WS_RSV1;
    return true;
}

const char *session_deflate_answer(const struct session *s, char out[DEFLATE_ANSWER_MAX])
{
    const struct session_deflate *d = session_deflate(s);

    return d != NULL ? deflate_offer_answer(&d->params, out) : "";
}

void session_deflate_counts(const struct session *s, struct stats_compressed *in,
                            struct stats_compressed *out)
{
    static const struct stats_compressed none = {0, 0};
    const struct session_deflate *d = session_deflate(s);

    *in = d != NULL ? d->in : none;
    *out = d != NULL ? d->out : none;
}

static void drop_reader(struct session *s)
{
    struct session_deflate *d = session_deflate(s);

    if (d->reader != NULL && !d->params.client_takeover)
        deflate_pool_return(s->worker, d->reader);
    else
        deflate_reader_free(d->reader);
    d->reader = NULL;
}

void session_deflate_release(struct session *s)
{
    struct session_deflate *d = session_deflate(s);

    if (d == NULL)
        return;
    drop_reader(s);
    deflate_writer_free(d->writer);
    free(d);
    s->extra->deflate = NULL;
}

/* ---- from the client ---- */

void session_deflate_turn(struct session *s)
{
    if (session_deflate(s) != NULL)
        session_deflate(s)->share = SHARE;
}

static bool has_reader(struct session *s)
{
    struct session_deflate *d = session_deflate(s);

    if (d->reader == NULL && d->params.client_takeover)
        d->reader = deflate_reader_new(d->params.client_bits);
    else if (d->reader == NULL)
        d->reader = deflate_pool_borrow(s->worker);
    return d->reader != NULL;
}

static enum session_deflate_step fault(struct ws_frame *piece, uint16_t code, const char *why)
{
    piece->code = code;
    piece->why = why;
    return DEFLATED_FAULT;
}

static void count(struct stats_compressed *c, struct stats_compressed *route, uint64_t plain,
                  uint64_t wire)
{
    c->plain += plain;
    c->wire += wire;
    route->plain += plain;
    route->wire += wire;
}

/* The piece that was inflated, as a frame that nothing masks. */
static void describe(struct session_deflate *d, const struct ws_frame *f, bool end,
                     struct ws_frame *piece)
{
    piece->opcode = f->opcode;
    piece->begin = !d->begun;
    piece->end = end;
    d->begun = !end;
    d->plain = end ? 0 : d->plain + piece->len;
}

enum session_deflate_step session_deflate_next(struct session *s, struct ws_frame *f,
                                               struct ws_frame *piece)
{
    struct session_deflate *d = session_deflate(s);
    uint8_t *out = deflate_pool_plain(s->worker);
    uint64_t limit = s->reader.limit != 0 ? s->reader.limit - d->plain : UINT64_MAX - 1;
    /* One byte more than there may be, if need be in the tail room, tells a message that is too
     * long before the rest of it is put together. */
    size_t room = limit <= DEFLATE_POOL_PLAIN ? (size_t)limit + 1 : DEFLATE_POOL_PLAIN;
    size_t had = f->len;
    enum deflate_event event;

    *piece = (struct ws_frame){.payload = out};
    if (out == NULL || !has_reader(s))
        return fault(piece, WS_CODE_INTERNAL, "out of memory");
    event = deflate_read(d->reader, &f->payload, &f->len, f->end, out, room, &piece->len);
    count(&d->in, &s->route->stats->compressed_in, piece->len, had - f->len);
    d->share -= piece->len < d->share ? piece->len : d->share;
    if (event == DEFLATE_NO_MEMORY)
        return fault(piece, WS_CODE_INTERNAL, "out of memory");
    if (event == DEFLATE_BAD)
        return fault(piece, WS_CODE_BAD_UTF8, "compressed data that is broken");
    if (piece->len > limit)
        return fault(piece, WS_CODE_TOO_BIG, "message too big");
    if (event == DEFLATE_MORE && piece->len == 0)
        return DEFLATED_NOTHING;
    describe(d, f, event == DEFLATE_DONE, piece);
    if (event == DEFLATE_DONE && !d->params.client_takeover)
        drop_reader(s);
    return event == DEFLATE_FULL ? DEFLATED_PIECE : DEFLATED_LAST;
}

bool session_deflate_must_wait(const struct session *s)
{
    return session_deflate(s)->share == 0 || session_blocked(s);
}

void session_deflate_leave(struct session *s, const struct ws_frame *f)
{
    struct session_deflate *d = session_deflate(s);

    d->in_frame = true;
    d->frame = *f;
}

bool session_deflate_return(struct session *s, struct ws_frame *f)
{
    struct session_deflate *d = session_deflate(s);

    if (d == NULL || !d->in_frame)
        return false;
    *f = d->frame;
    d->in_frame = false;
    return true;
}

/* ---- to the client ---- */

static struct deflate_writer *writer_for(struct session *s)
{
    struct session_deflate *d = session_deflate(s);
    int level = (int)s->route->settings.compression_level;

    if (!d->params.server_takeover)
        return deflate_pool_writer(s->worker, d->params.server_bits, level);
    if (d->writer == NULL)
        d->writer = deflate_writer_new(d->params.server_bits, level);
    return d->writer;
}

size_t session_deflate_pack(struct session *s, uint8_t opcode, const uint8_t *p, size_t n,
                            const uint8_t **frame)
{
    struct session_deflate *d = session_deflate(s);
    struct deflate_writer *writer;
    uint8_t *packed;
    size_t len, header;

    if (d == NULL || n == 0 || n < s->route->settings.compression_min || n > COMPRESSED_MAX)
        return 0;
    packed = deflate_pool_packed(s->worker, WS_SERVER_HEADER_MAX + n + DEFLATE_SLACK);
    writer = packed != NULL ? writer_for(s) : NULL;
    if (writer == NULL)
        return 0;
    packed += WS_SERVER_HEADER_MAX;
    len = deflate_write(writer, p, n, packed, n - 1 + DEFLATE_SLACK);
    if (len == 0)
        return 0;
    count(&d->out, &s->route->stats->compressed_out, n, len);
    header = ws_header_len(len);
    ws_write_header(packed - header, opcode | WS_RSV1, len);
    *frame = packed - header;
    return header + len;
}
