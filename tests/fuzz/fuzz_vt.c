/* SPDX-License-Identifier: MIT */
/*
 * proto/vt_scan, vt_modes, vt_query. Input: 4 bytes that seed the cutting, then what a program
 * writes. Oracles:
 * - in pieces it is the same as at once: what comes out, what is asked and answered, the modes;
 * - what comes out is what went in, in order, and nothing is missing where nothing was asked;
 * - nothing that comes out is a question: scanned again it comes out as it is;
 * - who comes between two sequences is shown what all others are, from there on;
 * - modes that are written are read as the same.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/vt_query.h"
#include "proto/vt_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct vt_scan scan;
    uint8_t *out;
    size_t used, asked, answered;
    uint32_t answers; /* a digest of them */
};

static const struct vt_facts facts = {
    .columns = 80, .rows = 24, .column = 3, .row = 4, .version = "wsluice"};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void note(struct seen *s, const struct vt_seq *seq)
{
    char answer[VT_ANSWER_MAX];
    size_t n = vt_answer(seq, &s->scan.modes, &facts, answer);

    must(n < sizeof answer && vt_is_query(seq));
    s->asked++;
    s->answered += n;
    for (size_t i = 0; i < n; i++)
        s->answers = s->answers * 31 + (uint8_t)answer[i];
}

/* p is copied to a block of its own size, for ASan; so is what comes out. */
static void feed(struct seen *s, const uint8_t *p, size_t n)
{
    uint8_t *in = malloc(n + 1), *out = malloc(n + VT_HOLD);
    struct vt_pass pass = {.p = in, .n = n, .out = out};
    enum vt_what what;

    must(in != NULL && out != NULL);
    memcpy(in, p, n);
    while ((what = vt_scan(&s->scan, &pass)) != VT_ALL) {
        if (what == VT_ASKS)
            note(s, &pass.seq);
    }
    must(pass.used <= n + VT_HOLD);
    memcpy(s->out + s->used, out, pass.used);
    s->used += pass.used;
    free(in);
    free(out);
}

static struct seen begin(size_t size)
{
    struct seen s = {.out = malloc(size + VT_HOLD)};

    must(s.out != NULL);
    return s;
}

static void end(struct seen *s)
{
    s->used += vt_scan_end(&s->scan, s->out + s->used);
}

static void must_be_same(const struct seen *a, const struct seen *b)
{
    must(a->used == b->used && memcmp(a->out, b->out, a->used) == 0);
    must(a->asked == b->asked && a->answered == b->answered && a->answers == b->answers);
    must(memcmp(&a->scan.modes, &b->scan.modes, sizeof a->scan.modes) == 0);
}

static void check_late(const struct seen *s, const uint8_t *rest, size_t n,
                       const struct seen *whole)
{
    struct seen late;

    if (!vt_is_between(&s->scan))
        return;
    late = begin(n + s->scan.held);
    feed(&late, s->scan.hold, s->scan.held);
    feed(&late, rest, n);
    end(&late);
    must(late.used == whole->used - s->used);
    must(memcmp(late.out, whole->out + s->used, late.used) == 0);
    must(late.asked == whole->asked - s->asked);
    free(late.out);
}

static void check_kept(const uint8_t *p, size_t n, const struct seen *whole)
{
    size_t at = 0;

    for (size_t i = 0; i < n && at < whole->used; i++)
        at += p[i] == whole->out[at];
    must(at == whole->used);
    must(whole->asked > 0 ? whole->used < n : whole->used == n);
}

static void check_again(size_t n, const struct seen *whole)
{
    struct seen again = begin(n);

    feed(&again, whole->out, whole->used);
    end(&again);
    if (again.asked == 0) /* two halves around a question may make one */
        must(again.used == whole->used && memcmp(again.out, whole->out, again.used) == 0);
    else
        must(whole->asked > 0);
    free(again.out);
}

static void check_modes(const struct seen *whole)
{
    char text[VT_MODES_TEXT_MAX], text2[VT_MODES_TEXT_MAX];
    size_t n = vt_modes_write(&whole->scan.modes, text);
    struct seen again = begin(n);

    must(n < sizeof text);
    feed(&again, (const uint8_t *)text, n);
    must(again.asked == 0 && again.scan.held == 0 && again.used == n);
    must(vt_modes_write(&again.scan.modes, text2) == n && memcmp(text, text2, n) == 0);
    free(again.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole, pieces;
    uint32_t seed;

    if (size < sizeof seed)
        return 0;
    memcpy(&seed, data, sizeof seed);
    data += sizeof seed;
    size -= sizeof seed;
    whole = begin(size);
    feed(&whole, data, size);
    end(&whole);
    check_kept(data, size, &whole);
    check_again(size, &whole);
    check_modes(&whole);
    pieces = begin(size);
    for (size_t at = 0, n; at < size; at += n) {
        seed = seed * 1103515245U + 12345U;
        n = 1 + (seed >> 16) % 24;
        n = n < size - at ? n : size - at;
        feed(&pieces, data + at, n);
        if ((seed >> 8) % 4 == 0)
            check_late(&pieces, data + at + n, size - at - n, &whole);
    }
    end(&pieces);
    must_be_same(&pieces, &whole);
    free(whole.out);
    free(pieces.out);
    return 0;
}
