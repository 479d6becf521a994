/* SPDX-License-Identifier: MIT */
/*
 * The cutters of proto/framing. Input: 4 bytes of seed, then bytes of a program. Oracles:
 * - the messages cut out of random pieces are those cut out of the whole, and so is the refusal;
 * - every cut takes at least 1 byte and stays inside its chunk; chop stays inside the message; a
 *   body is no longer than was announced;
 * - between two messages of a kind that says lengths the state is all zeroes;
 * - what prefix and suffix make of pieces of the input is cut into these pieces again;
 * - lines: messages with their ends put back ("\n" or "\r\n") are the input;
 * - datagrams, of whole runs only: lengths and messages put together again are the input up to the
 *   first that is cut off;
 * - lines: no message holds a "\n", and none that came with "\n" alone ends in "\r".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bodies one behind the other, and where each message ends; the rest is unterminated. */
struct out {
    uint8_t *text;
    size_t *ends;
    size_t n, count;
    uint8_t kinds[4]; /* opcode and what of the first messages */
    bool broken;      /* the cutter refused; nothing is fed any more */
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct out out_new(size_t n)
{
    struct out o = {.text = malloc(n + 1), .ends = calloc(n + 1, sizeof(size_t))};

    must(o.text && o.ends);
    return o;
}

static void out_free(struct out *o)
{
    free(o->text);
    free(o->ends);
}

static void play(const struct framing *kind, struct framing_state *st, const uint8_t *p, size_t n,
                 struct out *o)
{
    struct framing_cut cut;

    for (size_t at = 0; at < n && !o->broken; at += cut.skip + cut.body + cut.drop) {
        o->broken = !kind->cut(st, p + at, n - at, &cut);
        must(!o->broken || (cut.why && *cut.why));
        if (o->broken)
            return;
        must(cut.size == 0 || cut.body <= cut.size);
        must(cut.skip <= n - at && cut.body <= n - at - cut.skip);
        must(cut.drop <= n - at - cut.skip - cut.body);
        must(cut.skip + cut.body + cut.drop > 0);
        memcpy(o->text + o->n, p + at + cut.skip, cut.body);
        o->n += cut.body;
        if (!cut.end)
            continue;
        if (o->count < sizeof o->kinds)
            o->kinds[o->count] = (uint8_t)(cut.opcode << 4 | cut.what);
        must(kind->by_mark || memcmp(st, &(struct framing_state){0}, sizeof *st) == 0);
        must(cut.chop <= o->n - (o->count ? o->ends[o->count - 1] : 0));
        o->n -= cut.chop;
        o->ends[o->count++] = o->n;
    }
}

static void play_pieces(const struct framing *kind, const uint8_t *p, size_t n, uint32_t seed,
                        struct out *o)
{
    struct framing_state st = {0};

    for (size_t at = 0, len; at < n; at += len) {
        seed = seed * 1664525 + 1013904223;
        len = 1 + (seed >> 8) % (seed >> 31 ? 3 : 60);
        len = len < n - at ? len : n - at;
        play(kind, &st, p + at, len, o);
    }
}

static void check_lines(const struct out *o, const uint8_t *p, size_t n)
{
    size_t from = 0, at = 0;

    for (size_t i = 0; i < o->count; i++) {
        size_t len = o->ends[i] - from;

        must(len < n - at && memcmp(p + at, o->text + from, len) == 0);
        must(!memchr(o->text + from, '\n', len));
        at += len;
        if (p[at] == '\r')
            at++;
        else
            must(len == 0 || p[at - 1] != '\r');
        must(at < n && p[at] == '\n');
        at++;
        from = o->ends[i];
    }
    must(n - at == o->n - from && memcmp(p + at, o->text + from, n - at) == 0);
    must(!memchr(p + at, '\n', n - at));
}

/* Pieces of the input as messages, there and back. */
static void round_trip(const struct framing *kind, const uint8_t *p, size_t n, uint32_t seed)
{
    uint8_t *bytes = malloc(2 * (n + 1) * (FRAMING_PREFIX_MAX + FRAMING_SUFFIX_MAX + 1));
    struct out got, want = out_new(2 * n + 2);
    size_t len = 0;

    must(bytes != NULL);
    for (size_t at = 0, piece; at < n; at += piece) {
        seed = seed * 1664525 + 1013904223;
        piece = (seed >> 8) % 40;
        piece = piece < n - at ? piece : n - at;
        if (want.count == 2 * n)
            break;
        len += kind->prefix ? kind->prefix(bytes + len, piece, 1 + piece % 2) : 0;
        memcpy(bytes + len, p + at, piece);
        len += piece;
        len += kind->suffix ? kind->suffix(bytes + len, piece, 1 + piece % 2) : 0;
        memcpy(want.text + want.n, p + at, piece);
        want.n += piece;
        want.ends[want.count++] = want.n;
    }
    got = out_new(len);
    play_pieces(kind, bytes, len, seed, &got);
    must(!got.broken && got.count == want.count && got.n == want.n);
    must(memcmp(got.text, want.text, want.n) == 0);
    must(memcmp(got.ends, want.ends, want.count * sizeof(size_t)) == 0);
    out_free(&got);
    out_free(&want);
    free(bytes);
}

static void check_datagrams(const uint8_t *p, size_t n)
{
    uint8_t prefix[FRAMING_PREFIX_MAX];
    struct framing_cut cut;

    while (n > 0 && framing_datagram.cut(NULL, p, n, &cut)) {
        size_t before = framing_datagram.prefix(prefix, cut.body, 0);

        must(cut.end && cut.drop == 0 && cut.chop == 0 && cut.skip == before);
        must(before <= n && cut.body <= n - before && memcmp(p, prefix, before) == 0);
        p += before + cut.body;
        n -= before + cut.body;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct framing *const kinds[] = {
        &framing_lines,     &framing_crlf, &framing_nul,    &framing_len32, &framing_len32le,
        &framing_netstring, &framing_lsp,  &framing_tagged, &framing_hub,
    };
    uint32_t seed;
    size_t n;

    if (size < sizeof seed)
        return 0;
    memcpy(&seed, data, sizeof seed);
    data += sizeof seed;
    n = size - sizeof seed;
    check_datagrams(data, n);

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct framing_state st = {0};
        struct out whole, pieces;

        whole = out_new(n);
        pieces = out_new(n);
        play(kinds[i], &st, data, n, &whole);
        play_pieces(kinds[i], data, n, seed, &pieces);
        must(whole.broken == pieces.broken && whole.count == pieces.count);
        /* of a message that broke at its end more or less may have come before */
        must(whole.broken || whole.n == pieces.n);
        size_t sure = !whole.broken ? whole.n : whole.count > 0 ? whole.ends[whole.count - 1] : 0;
        must(memcmp(whole.text, pieces.text, sure) == 0);
        must(memcmp(whole.kinds, pieces.kinds, sizeof whole.kinds) == 0);
        must(memcmp(whole.ends, pieces.ends, whole.count * sizeof(size_t)) == 0);
        if (kinds[i] == &framing_lines || kinds[i] == &framing_crlf || kinds[i] == &framing_hub)
            check_lines(&whole, data, n);
        if (!kinds[i]->by_mark)
            round_trip(kinds[i], data, n, seed);
        out_free(&whole);
        out_free(&pieces);
    }
    return 0;
}
