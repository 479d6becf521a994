/* SPDX-License-Identifier: MIT */
/*
 * proto/deflate_offer and proto/deflate. Input: a byte that chooses, a byte of settings, then the
 * value of a client's field, or payload of messages, or plain bytes. Oracles:
 * - an answer is itself an offer that is accepted, with no larger windows;
 * - payload read in random pieces and rooms gives the same bytes and the same verdict as at once;
 * - what the writer makes of any bytes, the reader gives back.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/deflate.h"
#include "proto/deflate_offer.h"

#define ROOM 65536U /* bytes looked at of what a message inflates to */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool choose(const char *value, size_t n, const struct deflate_policy *policy,
                   struct deflate_params *params)
{
    static struct http_head head; /* large, and only its first field is used */

    head.count = 1;
    head.fields[0].name = slice_from("Sec-WebSocket-Extensions");
    head.fields[0].value = slice_of(value, n);
    deflate_offer_choose(&head, policy, params);
    return params->agreed;
}

static void offers(uint8_t settings, const uint8_t *data, size_t size)
{
    const struct deflate_policy policy = {settings & 1, (uint8_t)(9 + (settings >> 1) % 7)};
    struct deflate_params params, again;
    char text[DEFLATE_ANSWER_MAX];

    if (!choose((const char *)data, size, &policy, &params))
        return;
    must(params.server_bits >= DEFLATE_BITS_MIN && params.server_bits <= DEFLATE_BITS_MAX);
    must(params.client_bits >= 8 && params.client_bits <= DEFLATE_BITS_MAX);
    must(policy.takeover || (!params.server_takeover && !params.client_takeover));
    must(!params.client_takeover || params.client_bits <= policy.window);
    deflate_offer_answer(&params, text);
    must(strlen(text) < sizeof text - 1);
    must(choose(text, strlen(text), &policy, &again));
    must(again.server_bits <= params.server_bits && again.client_bits <= params.client_bits);
}

/* One message, from random pieces into random rooms (seed 0: at once). Returns the verdict. */
static enum deflate_event read_message(struct deflate_reader *r, const uint8_t *p, size_t n,
                                       uint32_t seed, uint8_t *out, size_t *len)
{
    enum deflate_event ev = DEFLATE_MORE;

    *len = 0;
    do {
        size_t piece = seed == 0 ? n : (seed >> 8) % (n + 1), left = piece, got;

        do {
            size_t room = seed == 0 ? ROOM - *len : 1 + (seed >> 12) % 300;

            room = room > ROOM - *len ? ROOM - *len : room;
            if (room == 0)
                return DEFLATE_FULL;
            ev = deflate_read(r, &p, &left, piece == n, out + *len, room, &got);
            must(got <= room);
            *len += got;
            seed = seed == 0 ? 0 : seed * 1664525 + 1013904223;
        } while (ev == DEFLATE_FULL);
        must(ev == DEFLATE_BAD || left == 0);
        must(ev != DEFLATE_MORE || piece < n);
        must(ev != DEFLATE_DONE || piece == n);
        n -= piece;
    } while (ev == DEFLATE_MORE);
    return ev;
}

static void payloads(uint8_t settings, const uint8_t *data, size_t size)
{
    static uint8_t whole[ROOM], pieces[ROOM];
    /* the largest window: whether zlib sees a distance beyond a smaller one depends on the rooms */
    struct deflate_reader *a = deflate_reader_new(DEFLATE_BITS_MAX);
    struct deflate_reader *b = deflate_reader_new(DEFLATE_BITS_MAX);
    enum deflate_event ev, same;
    size_t n, m;

    for (int i = 0; i < 3; i++) { /* the same again, with what was remembered */
        ev = read_message(a, data, size, 0, whole, &n);
        same = read_message(b, data, size, 1 + settings, pieces, &m);
        must(ev == same);
        must(ev == DEFLATE_BAD || n == m);
        must(memcmp(whole, pieces, n < m ? n : m) == 0);
        if (ev != DEFLATE_DONE)
            break;
    }
    deflate_reader_free(a);
    deflate_reader_free(b);
}

static void round_trip(uint8_t settings, const uint8_t *data, size_t size)
{
    static uint8_t packed[2 * ROOM], back[ROOM];
    unsigned bits = 9 + settings % 7;
    struct deflate_writer *w = deflate_writer_new(bits, 1 + settings % 9);
    struct deflate_reader *r = deflate_reader_new(bits);
    size_t n, len;

    size = size < ROOM - 1 ? size : ROOM - 1;
    for (size_t cut = size / 2; size > 0 && cut <= size; cut += size / 3 + 1) {
        if (cut == 0)
            continue;
        len = deflate_write(w, data, cut, packed, sizeof packed);
        must(len > 0);
        must(read_message(r, packed, len, settings & 1, back, &n) == DEFLATE_DONE);
        must(n == cut && memcmp(back, data, n) == 0);
    }
    deflate_writer_free(w);
    deflate_reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (data[0] % 3 == 0)
        offers(data[1], data + 2, size - 2);
    else if (data[0] % 3 == 1)
        payloads(data[1], data + 2, size - 2);
    else
        round_trip(data[1], data + 2, size - 2);
    return 0;
}
