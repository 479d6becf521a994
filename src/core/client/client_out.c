/* SPDX-License-Identifier: MIT */

/*
 * What a client is sent. Small messages are gathered in worker->tx and leave in one write. A large
 * one gets its header written just before it, where it lies: in the receive buffer, whose head room
 * and already consumed front give the place, or in a buffer that keeps place for it.
 */
#include <string.h>

#include "core/client/client_impl.h"
#include "proto/tty.h"

#define SMALL_MESSAGE 4096U /* bytes that are cheaper to copy than to write apart */

void client_flush(struct client_burst *b)
{
    if (b->gathered > 0)
        stream_write(b->client->stream, client_worker(b->client)->tx, b->gathered);
    b->gathered = 0;
}

static void client_out_gather(struct client_burst *b, uint8_t opcode, const uint8_t *p, size_t n)
{
    if (b->gathered + WS_SERVER_HEADER_MAX + n > WORKER_TX_SIZE)
        client_flush(b);
    uint8_t *at = client_worker(b->client)->tx + b->gathered;
    size_t header = ws_write_header(at, opcode, n);

    memcpy(at + header, p, n);
    b->gathered += header + n;
}

/* A whole frame that was made elsewhere. */
static void send_packed(struct client_burst *b, const uint8_t *frame, size_t n, bool only)
{
    if (n > SMALL_MESSAGE || only || b->gathered + n > WORKER_TX_SIZE)
        client_flush(b);
    if (n > SMALL_MESSAGE || only) {
        stream_write(b->client->stream, frame, n);
        return;
    }
    memcpy(client_worker(b->client)->tx + b->gathered, frame, n);
    b->gathered += n;
}

static void send_plain(struct client_burst *b, uint8_t opcode, uint8_t *p, size_t n, bool only)
{
    size_t header = ws_header_len(n);

    if (n <= SMALL_MESSAGE && !only) {
        client_out_gather(b, opcode, p, n);
        return;
    }
    client_flush(b);
    ws_write_header(p - header, opcode, n);
    stream_write(b->client->stream, p - header, header + n);
}

void client_send(struct client_burst *b, uint8_t opcode, uint8_t *p, size_t n, bool only)
{
    const uint8_t *frame;
    size_t len = client_deflate_pack(b->client, opcode, p, n, &frame);

    only = only && b->gathered == 0;
    if (len > 0)
        send_packed(b, frame, len, only);
    else
        send_plain(b, opcode, p, n, only);
}

bool client_frame(struct client *c, uint8_t opcode, const uint8_t *p, size_t n, struct buf *out,
                  struct stats_compressed *packed)
{
    const uint8_t *frame;
    size_t len = client_deflate_frame(c, opcode, p, n, &frame, packed);
    uint8_t header[WS_SERVER_HEADER_MAX];

    if (len > 0)
        return buf_append(out, frame, len) == 0;
    len = ws_write_header(header, opcode, n);
    if (buf_reserve(out, len + n) == NULL)
        return false;
    return buf_append(out, header, len) == 0 && buf_append(out, p, n) == 0;
}

void client_send_frames(struct client *c, const struct buf *frames, uint64_t messages,
                        uint64_t payload, const struct stats_compressed *packed)
{
    struct stats_route *stats = client_route(c)->stats;

    c->messages_out += messages;
    c->bytes_out += payload;
    stats->messages_out += messages;
    stats->bytes_out += payload;
    client_deflate_count(c, packed);
    stream_write(c->stream, buf_data(frames), buf_len(frames));
}

void client_count_out(struct client *c, size_t n)
{
    struct stats_route *stats = client_route(c)->stats;

    c->messages_out++;
    c->bytes_out += n;
    stats->messages_out++;
    stats->bytes_out += n;
}

void client_send_control(struct client *c, uint8_t opcode, const void *p, size_t n)
{
    uint8_t frame[2 + WS_CONTROL_MAX];
    size_t header = ws_write_header(frame, opcode, n);

    memcpy(frame + header, p, n);
    stream_write(c->stream, frame, header + n);
}

void client_ping(struct client *c, const void *payload, size_t n)
{
    client_send_control(c, WS_PING, payload, n);
}
