/* SPDX-License-Identifier: MIT */

/* Writes a screen for another terminal. */
#include "proto/vt_screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CHUNK 1024U
#define CELL_TEXT_MAX (VT_SGR_TEXT_MAX + 3 + 4 * (1 + VT_MORE))

struct brush {
    struct buf *out;
    struct vt_sgr sgr; /* what the terminal has now */
    bool failed;
    size_t used;
    char chunk[CHUNK];
};

static void brush_flush(struct brush *b)
{
    if (b->used > 0 && buf_append(b->out, b->chunk, b->used) < 0)
        b->failed = true;
    b->used = 0;
}

static void brush_text(struct brush *b, const char *p, size_t n)
{
    if (b->used + n > CHUNK)
        brush_flush(b);
    memcpy(b->chunk + b->used, p, n);
    b->used += n;
}

/* At most 64 bytes. */
__attribute__((format(printf, 2, 3))) static void brush(struct brush *b, const char *format, ...)
{
    char text[64];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0)
        brush_text(b, text, (size_t)n);
}

static size_t brush_encode(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* ---- rows ---- */

static bool same_colour(const struct vt_colour *a, const struct vt_colour *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void brush_sgr(struct brush *b, const struct vt_sgr *sgr)
{
    char text[VT_SGR_TEXT_MAX];
    size_t n;

    if (b->sgr.flags == sgr->flags && b->sgr.underline == sgr->underline &&
        same_colour(&b->sgr.fg, &sgr->fg) && same_colour(&b->sgr.bg, &sgr->bg) &&
        same_colour(&b->sgr.line, &sgr->line))
        return;
    b->sgr = *sgr;
    n = vt_sgr_write(sgr, text);
    brush_text(b, "\033[", 2);
    brush_text(b, text, n > 1 ? n : 0);
    brush_text(b, "m", 1);
}

static void brush_cell(struct brush *b, const struct vt_cell *cell)
{
    char text[4 * (1 + VT_MORE)];
    size_t n = brush_encode(text, cell->c != 0 ? cell->c : ' ');
    const struct vt_sgr sgr = {
        .flags = cell->flags, .underline = cell->underline, .fg = cell->fg, .bg = cell->bg};

    for (size_t i = 0; i < VT_MORE && cell->more[i] != 0; i++)
        n += brush_encode(text + n, cell->more[i]);
    brush_sgr(b, &sgr);
    brush_text(b, text, n);
}

static bool is_empty_cell(const struct vt_cell *cell)
{
    return cell->c == 0 && cell->bg.kind == VT_COLOUR_DEFAULT;
}

static void brush_row(struct brush *b, const struct vt_cell *row, size_t columns)
{
    while (columns > 0 && is_empty_cell(&row[columns - 1]))
        columns--;
    for (size_t i = 0; i < columns; i++) {
        if (row[i].c != VT_TAIL)
            brush_cell(b, &row[i]);
    }
}

bool vt_paint_row(const struct vt_cell *row, size_t columns, struct buf *out)
{
    struct brush b;

    b.out = out; /* the chunk is not cleared: this is done for each line that leaves */
    b.failed = false;
    b.used = 0;
    b.sgr = (struct vt_sgr){0};
    brush_row(&b, row, columns);
    brush_sgr(&b, &(struct vt_sgr){0});
    brush_flush(&b);
    return !b.failed;
}

/* ---- the whole ---- */

/* From the first line on; then they are pushed out at the top. What is left of one that takes more
 * rows than it did, where the terminal was wider, goes. */
static void brush_above(struct brush *b, const struct vt_screen *s)
{
    const char *p = (const char *)buf_data(&s->above);
    size_t left = buf_len(&s->above), lines = 0, push;

    while (left > 0) {
        const char *nl = memchr(p, '\n', left);

        brush_flush(b);
        if (buf_append(b->out, p, (size_t)(nl - p)) < 0)
            b->failed = true;
        brush_text(b, "\r\n", 2);
        lines++;
        left -= (size_t)(nl - p) + 1;
        p = nl + 1;
    }
    push = lines < s->rows ? lines : s->rows - 1U;
    if (push > 0)
        brush(b, "\033[%u;1H", s->rows);
    while (push-- > 0)
        brush_text(b, "\n", 1);
    if (lines > 0)
        brush_text(b, "\033[2J", 4);
}

static void brush_grid(struct brush *b, const struct vt_screen *s, const struct vt_grid *g)
{
    for (size_t row = 0; row < s->rows; row++) {
        const struct vt_cell *cells = vt_row(g, s, row);
        size_t used = s->columns;

        while (used > 0 && is_empty_cell(&cells[used - 1]))
            used--;
        if (used == 0)
            continue;
        brush(b, "\033[%zu;1H", row + 1);
        brush_row(b, cells, used);
    }
}

static void brush_place(struct brush *b, const struct vt_place *at)
{
    brush(b, "\033[%u;%uH", at->row + 1U, at->column + 1U);
}

/* What DECSC would have saved; origin mode is not among it. */
static void brush_saved(struct brush *b, const struct vt_screen *s, size_t which)
{
    const struct vt_kept *kept = &s->scan.modes.saved[which];

    brush_place(b, &s->saved[which]);
    for (unsigned i = 0; i < 4; i++) {
        if (kept->charsets[i] != 0)
            brush(b, "\033%c%c", "()*+"[i], kept -> charsets[i]);
    }
    brush_sgr(b, &kept->sgr);
    brush_text(b, "\0337", 2);
    for (unsigned i = 0; i < 4; i++) {
        if (kept->charsets[i] != 0)
            brush(b, "\033%cB", "()*+"[i]);
    }
}

static void brush_tabs(struct brush *b, const struct vt_screen *s)
{
    bool usual = true;

    for (size_t i = 0; i < sizeof s->tabs; i++)
        usual = usual && s->tabs[i] == 1;
    if (usual)
        return;
    brush_text(b, "\033[3g", 4);
    for (unsigned i = 0; i < s->columns; i++) {
        if ((s->tabs[i / 8] >> i % 8 & 1) != 0)
            brush(b, "\033[%uG\033H", i + 1);
    }
}

/* The cursor, last: behind the last column it gets by writing there what stands there. */
static void brush_cursor(struct brush *b, const struct vt_screen *s)
{
    const struct vt_modes *m = &s->scan.modes;
    const struct vt_cell *line = vt_row(vt_shown(s), s, s->at.row);
    struct vt_place at = s->at;
    size_t top = m->top > 0 ? m->top - 1U : 0;

    if (m->now.origin && at.row >= top)
        at.row = (uint16_t)(at.row - top);
    if (at.wraps && line[at.column].c == VT_TAIL)
        at.column--;
    brush_place(b, &at);
    if (at.wraps && m->now.charsets[m->now.shift] == 0)
        brush_cell(b, &line[at.column]);
    brush_sgr(b, &m->now.sgr);
    if (vt_modes_private(m, 25) == 2)
        brush_text(b, "\033[?25l", 6);
}

static void brush_modes(struct brush *b, const struct vt_screen *s)
{
    char text[VT_MODES_TEXT_MAX];

    brush_flush(b);
    brush_text(b, text, vt_modes_write(&s->scan.modes, text));
    b->sgr = s->scan.modes.now.sgr;
}

bool vt_screen_paint(const struct vt_screen *s, struct buf *out)
{
    struct brush b = {.out = out};
    char shield[VT_SHIELD_MAX];

    brush_above(&b, s);
    brush_tabs(&b, s);
    brush_grid(&b, s, &s->main);
    brush_saved(&b, s, 0);
    if (s->is_alternate) {
        brush(&b, "\033[?%uh", s->scan.modes.alternate);
        brush_grid(&b, s, &s->alternate);
        brush_saved(&b, s, 1);
    }
    brush_modes(&b, s);
    brush_cursor(&b, s);
    brush_text(&b, shield, vt_shield(&s->scan, shield));
    brush_flush(&b);
    return !b.failed && !s->is_lost;
}
