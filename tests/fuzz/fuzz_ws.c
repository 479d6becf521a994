/* SPDX-License-Identifier: MIT */
/*
 * proto/ws. Input: 4 bytes of seed and settings, then the bytes of a client. Oracles:
 * - messages, control frames and the error read from random pieces are those read from the whole;
 * - at most WS_HELD_MAX is held back; events stay inside their chunk; begin and end alternate;
 * - no message without RSV bits passes the limit, no control frame 125 bytes, no RSV bit shows that
 * was not allowed;
 * - ws_unmask equals the plain loop, also when it moves the payload down;
 * - a Close judged fine and written again by ws_write_close is the same Close;
 * - what ws_write_close writes is judged fine, whatever the reason was.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As bytes: 'B' opcode rsv at a begin, payload, 'E' at an end, 'C' opcode len payload, '!' code. */
struct story {
    struct ws_reader r;
    uint8_t *text;
    size_t n, max;
    uint64_t message;
    bool open, failed;
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void put(struct story *s, const void *p, size_t n)
{
    must(n <= s->max - s->n);
    if (n)
        memcpy(s->text + s->n, p, n);
    s->n += n;
}

static void put3(struct story *s, uint8_t a, uint8_t b, uint8_t c)
{
    put(s, (const uint8_t[]){a, b, c}, 3);
}

static void put_payload(struct story *s, const struct ws_frame *f)
{
    must(f->len <= s->max - s->n);
    for (size_t i = 0; i < f->len; i++)
        s->text[s->n + i] = f->payload[i] ^ f->key[i & 3];
    s->n += f->len;
}

static void check_close(const uint8_t *payload, size_t n)
{
    uint8_t out[WS_CONTROL_MAX + 2];
    char reason[WS_CONTROL_MAX + 1];
    uint16_t code, again;
    uint16_t fault = ws_check_close(payload, n, &code);
    size_t text = n > 2 ? n - 2 : 0, len;

    if (text)
        memcpy(reason, payload + 2, text);
    reason[text] = '\0';
    len = ws_write_close(out, fault ? WS_CODE_NORMAL : code, reason);
    must(len <= sizeof out && len == 2u + out[1]);
    must(ws_check_close(out + 2, len - 2, &again) == 0);
    if (!fault && strlen(reason) == text) /* a NUL ends our reasons, not theirs */
        must(len - 2 == n && (n == 0 || memcmp(out + 2, payload, n) == 0));
}

static void tell(struct story *s, enum ws_event ev, const struct ws_frame *f)
{
    switch (ev) {
    case WS_EV_ERROR:
        must(f->code == WS_CODE_PROTOCOL || (f->code == WS_CODE_TOO_BIG && s->r.limit));
        must(f->why && strlen(f->why) <= WS_REASON_MAX);
        put3(s, '!', (uint8_t)(f->code >> 8), (uint8_t)f->code);
        s->failed = true;
        return;
    case WS_EV_CONTROL:
        must(f->len <= WS_CONTROL_MAX && (f->opcode & 8) && f->opcode <= WS_PONG);
        put3(s, 'C', f->opcode, (uint8_t)f->len);
        put_payload(s, f);
        if (f->opcode == WS_CLOSE)
            check_close(s->text + s->n - f->len, f->len);
        return;
    default:
        must(ev == WS_EV_DATA && f->begin == !s->open && !(f->rsv & ~s->r.rsv_mask));
        must(f->opcode == WS_TEXT || f->opcode == WS_BINARY);
        if (f->begin) {
            put3(s, 'B', f->opcode, f->rsv);
            s->message = 0;
        }
        s->message += f->len;
        must(!s->r.limit || f->rsv || s->message <= s->r.limit);
        put_payload(s, f);
        if (f->end)
            put(s, "E", 1);
        s->open = !f->end;
    }
}

/* Returns how many of the n bytes are held back. */
static size_t play(struct story *s, const uint8_t *p, size_t n)
{
    size_t at = 0;

    while (at < n && !s->failed) {
        size_t used;
        struct ws_frame f;
        enum ws_event ev = ws_reader_next(&s->r, p + at, n - at, &used, &f);

        if (ev == WS_EV_MORE) {
            must(used == 0 && n - at <= WS_HELD_MAX);
            break;
        }
        must(used <= n - at && (used > 0 || ev == WS_EV_ERROR));
        if (ev != WS_EV_ERROR)
            must(f.payload >= p + at && f.payload + f.len == p + at + used);
        at += used;
        tell(s, ev, &f);
    }
    return n - at;
}

static void play_pieces(struct story *s, const uint8_t *p, size_t n, uint32_t seed)
{
    size_t start = 0, end = 0;

    while (end < n && !s->failed) {
        size_t len;

        seed = seed * 1664525 + 1013904223;
        len = 1 + (seed >> 8) % (seed >> 31 ? 3 : 200);
        end += len < n - end ? len : n - end;
        start = end - play(s, p + start, end - start);
    }
}

static void check_unmask(const uint8_t *p, size_t n, uint32_t seed)
{
    const size_t dist = seed % 40;
    const uint8_t key[4] = {(uint8_t)(seed >> 8), (uint8_t)(seed >> 16), (uint8_t)(seed >> 24),
                            0xA5};
    uint8_t *buf = malloc(n + dist + 1);

    must(buf != NULL);
    if (n)
        memcpy(buf + dist, p, n);
    ws_unmask(buf, buf + dist, n, key);
    for (size_t i = 0; i < n; i++)
        must(buf[i] == (p[i] ^ key[i & 3]));
    free(buf);
}

static struct story story_new(size_t n, uint32_t limit, uint8_t rsv_mask)
{
    struct story s = {.max = 2 * n + 16};

    /* a frame of 6 bytes tells at most 4 besides its payload */
    s.text = malloc(s.max);
    must(s.text != NULL);
    ws_reader_init(&s.r, limit, rsv_mask);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t limits[] = {0, 1, 100, 70000};
    struct story whole, pieces;
    uint8_t rsv_mask;
    uint32_t seed;
    size_t n;

    if (size < sizeof seed)
        return 0;
    memcpy(&seed, data, sizeof seed);
    n = size - sizeof seed;
    data += sizeof seed;

    rsv_mask = seed << 2 & WS_RSV_MASK;
    whole = story_new(n, limits[seed & 3], rsv_mask);
    pieces = story_new(n, limits[seed & 3], rsv_mask);
    play(&whole, data, n);
    play_pieces(&pieces, data, n, seed);
    must(whole.n == pieces.n && memcmp(whole.text, pieces.text, whole.n) == 0);
    must(whole.failed == pieces.failed && whole.open == pieces.open);
    free(whole.text);
    free(pieces.text);

    check_unmask(data, n, seed);
    return 0;
}
