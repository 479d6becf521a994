/* SPDX-License-Identifier: MIT */

/*
 * permessage-deflate of a client (RFC 7692).
 *
 * From the client: a compressed frame is inflated into the worker's buffer, a piece at a time, and
 * each piece goes the way of an uncompressed frame. Because a few bytes may become a thousand times
 * as many, that stops as soon as anything waits for the far side, and after SHARE bytes in any
 * case. What was received and not looked at is deferred: see client_in.c.
 *
 * To the client: a message is compressed whole, and sent as it is if that would not make it
 * smaller.
 */
#include <stdlib.h>

#include "core/client/client_impl.h"
#include "core/client/deflate_pool.h"

/* Inflated bytes of one client in a turn of the loop. */
#define SHARE 262144U
/* Longer messages leave as they are: compressing one takes its time from all others. */
#define COMPRESSED_MAX (1U << 20)

struct client_deflate {
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

bool client_deflate_start(struct client *c, const struct deflate_params *params)
{
    if (!params->agreed)
        return true;
    c->extra->deflate = calloc(1, sizeof *c->extra->deflate);
    if (c->extra->deflate == NULL)
        return false;
    c->extra->deflate->params = *params;
    c->reader.rsv_mask = WS_RSV1;
    return true;
}

const char *client_compression(const struct client *c, char out[DEFLATE_ANSWER_MAX])
{
    const struct client_deflate *d = client_deflate(c);

    return d != NULL ? deflate_offer_answer(&d->params, out) : "";
}

void client_compressed(const struct client *c, struct stats_compressed *in,
                       struct stats_compressed *out)
{
    static const struct stats_compressed none = {0, 0};
    const struct client_deflate *d = client_deflate(c);

    *in = d != NULL ? d->in : none;
    *out = d != NULL ? d->out : none;
}

static void drop_reader(struct client *c)
{
    struct client_deflate *d = client_deflate(c);

    if (d->reader != NULL && !d->params.client_takeover)
        deflate_pool_return(client_worker(c), d->reader);
    else
        deflate_reader_free(d->reader);
    d->reader = NULL;
}

void client_deflate_release(struct client *c)
{
    struct client_deflate *d = client_deflate(c);

    if (d == NULL)
        return;
    drop_reader(c);
    deflate_writer_free(d->writer);
    free(d);
    c->extra->deflate = NULL;
}

/* ---- from the client ---- */

void client_deflate_turn(struct client *c)
{
    if (client_deflate(c) != NULL)
        client_deflate(c)->share = SHARE;
}

static bool has_reader(struct client *c)
{
    struct client_deflate *d = client_deflate(c);

    if (d->reader == NULL && d->params.client_takeover)
        d->reader = deflate_reader_new(d->params.client_bits);
    else if (d->reader == NULL)
        d->reader = deflate_pool_borrow(client_worker(c));
    return d->reader != NULL;
}

static enum client_deflate_step client_deflate_fault(struct ws_frame *piece, uint16_t code,
                                                     const char *why)
{
    piece->code = code;
    piece->why = why;
    return DEFLATED_FAULT;
}

static enum client_deflate_step fault_of_memory(const struct client *c, struct ws_frame *piece)
{
    worker_no_memory(client_worker(c), "a session");
    return client_deflate_fault(piece, WS_CODE_INTERNAL, "out of memory");
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
static void describe(struct client_deflate *d, const struct ws_frame *f, bool end,
                     struct ws_frame *piece)
{
    piece->opcode = f->opcode;
    piece->begin = !d->begun;
    piece->end = end;
    d->begun = !end;
    d->plain = end ? 0 : d->plain + piece->len;
}

enum client_deflate_step client_deflate_next(struct client *c, struct ws_frame *f,
                                             struct ws_frame *piece)
{
    struct client_deflate *d = client_deflate(c);
    uint8_t *out = deflate_pool_plain(client_worker(c));
    uint64_t limit = c->reader.limit != 0 ? c->reader.limit - d->plain : UINT64_MAX - 1;
    /* One byte more than there may be, if need be in the tail room, tells a message that is too
     * long before the rest of it is put together. */
    size_t room = limit <= DEFLATE_POOL_PLAIN ? (size_t)limit + 1 : DEFLATE_POOL_PLAIN;
    size_t had = f->len;
    enum deflate_event event;

    *piece = (struct ws_frame){.payload = out};
    if (out == NULL || !has_reader(c))
        return fault_of_memory(c, piece);
    event = deflate_read(d->reader, &f->payload, &f->len, f->end, out, room, &piece->len);
    count(&d->in, &client_route(c)->stats->compressed_in, piece->len, had - f->len);
    d->share -= piece->len < d->share ? piece->len : d->share;
    if (event == DEFLATE_NO_MEMORY)
        return fault_of_memory(c, piece);
    if (event == DEFLATE_BAD)
        return client_deflate_fault(piece, WS_CODE_BAD_UTF8, "compressed data that is broken");
    if (piece->len > limit)
        return client_deflate_fault(piece, WS_CODE_TOO_BIG,
                                    "the message is longer than --max-message");
    if (event == DEFLATE_MORE && piece->len == 0)
        return DEFLATED_NOTHING;
    describe(d, f, event == DEFLATE_DONE, piece);
    if (event == DEFLATE_DONE && !d->params.client_takeover)
        drop_reader(c);
    return event == DEFLATE_FULL ? DEFLATED_PIECE : DEFLATED_LAST;
}

bool client_deflate_must_wait(const struct client *c)
{
    return client_deflate(c)->share == 0 || c->owner->events->blocked(c->owner);
}

void client_deflate_leave(struct client *c, const struct ws_frame *f)
{
    struct client_deflate *d = client_deflate(c);

    d->in_frame = true;
    d->frame = *f;
}

bool client_deflate_return(struct client *c, struct ws_frame *f)
{
    struct client_deflate *d = client_deflate(c);

    if (d == NULL || !d->in_frame)
        return false;
    *f = d->frame;
    d->in_frame = false;
    return true;
}

/* ---- to the client ---- */

static struct deflate_writer *writer_for(struct client *c)
{
    struct client_deflate *d = client_deflate(c);
    int level = (int)client_settings(c)->compression_level;

    if (!d->params.server_takeover)
        return deflate_pool_writer(client_worker(c), d->params.server_bits, level);
    if (d->writer == NULL)
        d->writer = deflate_writer_new(d->params.server_bits, level);
    return d->writer;
}

bool client_frames_alike(const struct client *c, uint8_t *bits)
{
    const struct client_deflate *d = client_deflate(c);

    *bits = d != NULL ? (uint8_t)d->params.server_bits : 0;
    return d == NULL || !d->params.server_takeover;
}

void client_deflate_count(struct client *c, const struct stats_compressed *packed)
{
    struct client_deflate *d = client_deflate(c);

    if (d != NULL)
        count(&d->out, &client_route(c)->stats->compressed_out, packed->plain, packed->wire);
}

size_t client_deflate_pack(struct client *c, uint8_t opcode, const uint8_t *p, size_t n,
                           const uint8_t **frame)
{
    struct stats_compressed packed = {0, 0};
    size_t len = client_deflate_frame(c, opcode, p, n, frame, &packed);

    client_deflate_count(c, &packed);
    return len;
}

size_t client_deflate_frame(struct client *c, uint8_t opcode, const uint8_t *p, size_t n,
                            const uint8_t **frame, struct stats_compressed *sum)
{
    struct client_deflate *d = client_deflate(c);
    struct deflate_writer *writer;
    uint8_t *packed;
    size_t len, header;

    if (d == NULL || n == 0 || n < client_settings(c)->compression_min || n > COMPRESSED_MAX)
        return 0;
    packed = deflate_pool_packed(client_worker(c), WS_SERVER_HEADER_MAX + n + DEFLATE_SLACK);
    writer = packed != NULL ? writer_for(c) : NULL;
    if (writer == NULL)
        return 0;
    packed += WS_SERVER_HEADER_MAX;
    len = deflate_write(writer, p, n, packed, n - 1 + DEFLATE_SLACK);
    if (len == 0)
        return 0;
    sum->plain += n;
    sum->wire += len;
    header = ws_header_len(len);
    ws_write_header(packed - header, opcode | WS_RSV1, len);
    *frame = packed - header;
    return header + len;
}
