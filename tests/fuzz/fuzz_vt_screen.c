/* SPDX-License-Identifier: MIT */
/*
 * proto/vt_screen. Input: 4 bytes (columns, rows, where it is painted, another size), then what a
 * program writes. Oracles:
 * - a terminal that is painted to shows the same: cells, cursor, modes, also after what comes next;
 * - what leaves at the top is bounded.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/vt_screen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ABOVE 4096U

static void must(bool ok)
{
    if (!ok)
        abort();
}

static uint32_t shown(const struct vt_cell *cell)
{
    return cell->c == 0 ? ' ' : cell->c;
}

static void must_be_same_cell(const struct vt_cell *a, const struct vt_cell *b)
{
    must(shown(a) == shown(b) && a->flags == b->flags && a->underline == b->underline);
    must(memcmp(&a->fg, &b->fg, sizeof a->fg) == 0 || a->c == 0 || b->c == 0);
    must(memcmp(&a->bg, &b->bg, sizeof a->bg) == 0);
    must(memcmp(a->more, b->more, sizeof a->more) == 0 || a->c == 0);
}

static void must_be_same_grid(const struct vt_screen *a, const struct vt_grid *ga,
                              const struct vt_screen *b, const struct vt_grid *gb)
{
    for (size_t row = 0; row < a->rows; row++) {
        for (size_t i = 0; i < a->columns; i++)
            must_be_same_cell(&vt_row(ga, a, row)[i], &vt_row(gb, b, row)[i]);
    }
}

static void must_be_same(const struct vt_screen *a, const struct vt_screen *b)
{
    must(a->is_alternate == b->is_alternate);
    must_be_same_grid(a, &a->main, b, &b->main);
    if (a->is_alternate)
        must_be_same_grid(a, &a->alternate, b, &b->alternate);
    must(a->at.column == b->at.column && a->at.row == b->at.row);
    must(memcmp(&a->scan.modes.now, &b->scan.modes.now, sizeof a->scan.modes.now) == 0);
}

/* Painted when nothing is half written, as those who come late are. */
static struct vt_screen *paint(struct vt_screen *s)
{
    struct vt_screen *late = vt_screen_new(s->columns, s->rows, ABOVE);
    struct buf out = {0};

    must(late != NULL && vt_screen_paint(s, &out));
    vt_screen_write(late, buf_data(&out), buf_len(&out));
    buf_release(&out);
    late->last = s->last;
    late->at.wraps = s->at.wraps; /* not kept with line drawing on, and by DECSC */
    late->saved[0] = s->saved[0];
    late->saved[1] = s->saved[1];
    late->scan.modes.saved[0] = s->scan.modes.saved[0];
    late->scan.modes.saved[1] = s->scan.modes.saved[1];
    return late;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vt_screen *s, *late;
    size_t at;

    if (size < 4)
        return 0;
    s = vt_screen_new(1 + data[0] % 40, 1 + data[1] % 12, ABOVE);
    must(s != NULL);
    at = 4 + (size - 4) * data[2] / 256;
    vt_screen_write(s, data + 4, at - 4);
    if (data[3] % 4 == 0)
        vt_screen_resize(s, 1 + data[3] % 37, 1 + data[3] % 11);
    must(buf_len(&s->above) <= ABOVE);
    must(s->at.column < s->columns && s->at.row < s->rows);
    if (s->is_lost) { /* too much of it was drawn anew with every few bytes */
        vt_screen_free(s);
        return 0;
    }
    late = paint(s);
    must_be_same(s, late);
    if (s->scan.held == 0 && vt_is_between(&s->scan)) {
        vt_screen_write(s, data + at, size - at);
        vt_screen_write(late, data + at, size - at);
        must(s->is_lost == late->is_lost);
        if (!s->is_lost)
            must_be_same(s, late);
    }
    vt_screen_free(s);
    vt_screen_free(late);
    return 0;
}
