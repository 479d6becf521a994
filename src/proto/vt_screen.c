/* SPDX-License-Identifier: MIT */

/* What a terminal shows: cells, the cursor, and what text and control characters do to them.
 * Sequences are in vt_control.c, what is written for another terminal in vt_paint.c. */
#include "proto/vt_screen_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "proto/vt_width.h"

#define PIECE 2048U /* bytes that are looked at in one go */

/* ---- cells ---- */

/* One block: cells, then their order. */
static bool grid_make(struct vt_grid *g, uint16_t columns, uint16_t rows)
{
    size_t cells = (size_t)columns * rows;

    g->cells = calloc(1, cells * sizeof *g->cells + rows * sizeof *g->order);
    if (g->cells == NULL)
        return false;
    g->order = (uint16_t *)(void *)(g->cells + cells);
    for (uint16_t i = 0; i < rows; i++)
        g->order[i] = i;
    return true;
}

static void grid_free(struct vt_grid *g)
{
    free(g->cells);
    *g = (struct vt_grid){0};
}

static struct vt_cell blank(const struct vt_screen *s)
{
    return (struct vt_cell){.bg = s->scan.modes.now.sgr.bg};
}

struct vt_cell *vt_line(struct vt_screen *s, size_t row)
{
    return vt_row(vt_shown(s), s, row);
}

static void work(struct vt_screen *s, size_t cells)
{
    s->work -= cells < s->work ? cells : s->work;
    if (s->work == 0)
        s->is_lost = true;
}

/* A character of two cells that one of them is taken from goes as a whole. */
static void mend(struct vt_screen *s, struct vt_cell *line, size_t at)
{
    if (at > 0 && at < s->columns && line[at].c == VT_TAIL) {
        line[at - 1].c = 0;
        line[at - 1].more[0] = 0;
        line[at].c = 0;
    }
}

void vt_erase(struct vt_screen *s, size_t row, size_t from, size_t to)
{
    struct vt_cell *line = vt_line(s, row), nothing = blank(s);

    work(s, to - from);
    mend(s, line, from);
    mend(s, line, to);
    for (size_t i = from; i < to; i++)
        line[i] = nothing;
}

void vt_shift(struct vt_screen *s, size_t n, bool right)
{
    struct vt_cell *line = vt_line(s, s->at.row);
    size_t at = s->at.column, room = s->columns - at;

    n = n < room ? n : room;
    work(s, room);
    mend(s, line, at);
    mend(s, line, right ? s->columns - n : at + n);
    if (right)
        memmove(line + at + n, line + at, (room - n) * sizeof *line);
    else
        memmove(line + at, line + at + n, (room - n) * sizeof *line);
    vt_erase(s, s->at.row, right ? at : s->columns - n, right ? at + n : s->columns);
}

/* ---- lines ---- */

static void forget_oldest(struct vt_screen *s)
{
    while (buf_len(&s->above) > s->above_max) {
        const uint8_t *p = buf_data(&s->above), *end = memchr(p, '\n', buf_len(&s->above));

        buf_consume(&s->above, end != NULL ? (size_t)(end - p) + 1 : buf_len(&s->above));
    }
}

static void keep_line(struct vt_screen *s, size_t row)
{
    if (s->above_max == 0)
        return;
    if (!vt_paint_row(vt_line(s, row), s->columns, &s->above) || buf_append(&s->above, "\n", 1) < 0)
        buf_release(&s->above); /* half a line is none */
    forget_oldest(s);
}

size_t vt_top(const struct vt_screen *s)
{
    return s->scan.modes.top > 0 ? s->scan.modes.top - 1U : 0;
}

size_t vt_bottom(const struct vt_screen *s)
{
    return s->scan.modes.bottom > 0 ? s->scan.modes.bottom : s->rows;
}

void vt_scroll_up(struct vt_screen *s, size_t top, size_t bottom, size_t n, bool keeps)
{
    uint16_t *order = vt_shown(s)->order;

    n = n < bottom - top ? n : bottom - top;
    for (size_t i = 0; i < n; i++) {
        uint16_t first = order[top];

        if (keeps && top == 0 && !s->is_alternate)
            keep_line(s, 0);
        memmove(order + top, order + top + 1, (bottom - top - 1) * sizeof *order);
        order[bottom - 1] = first;
        vt_erase(s, bottom - 1, 0, s->columns);
    }
}

void vt_scroll_down(struct vt_screen *s, size_t top, size_t bottom, size_t n)
{
    uint16_t *order = vt_shown(s)->order;

    n = n < bottom - top ? n : bottom - top;
    for (size_t i = 0; i < n; i++) {
        uint16_t last = order[bottom - 1];

        memmove(order + top + 1, order + top, (bottom - top - 1) * sizeof *order);
        order[top] = last;
        vt_erase(s, top, 0, s->columns);
    }
}

void vt_line_feed(struct vt_screen *s)
{
    if ((size_t)s->at.row + 1 == vt_bottom(s))
        vt_scroll_up(s, vt_top(s), vt_bottom(s), 1, true);
    else if (s->at.row + 1 < s->rows)
        s->at.row++;
    s->at.wraps = false;
}

void vt_go(struct vt_screen *s, size_t column, size_t row)
{
    s->at.column = (uint16_t)(column < s->columns ? column : s->columns - 1U);
    s->at.row = (uint16_t)(row < s->rows ? row : s->rows - 1U);
    s->at.wraps = false;
}

/* ---- tabs ---- */

bool vt_is_tab(const struct vt_screen *s, size_t column)
{
    return (s->tabs[column / 8] >> column % 8 & 1) != 0;
}

static void set_usual_tabs(struct vt_screen *s)
{
    memset(s->tabs, 1, sizeof s->tabs); /* each eighth column */
}

void vt_tab(struct vt_screen *s, size_t n)
{
    size_t at = s->at.column;

    if (s->at.wraps)
        return;
    for (; n > 0 && at + 1 < s->columns; n--) {
        at++;
        while (at + 1 < s->columns && !vt_is_tab(s, at))
            at++;
    }
    s->at.column = (uint16_t)at;
}

/* ---- text ---- */

/* Line drawing: what stands for ` to ~ while G0 or G1 is the set 0. */
static uint32_t drawn(const struct vt_screen *s, uint32_t c)
{
    static const uint16_t special[] = {
        0x25C6, 0x2592, 0x2409, 0x240C, 0x240D, 0x240A, 0x00B0, 0x00B1, 0x2424, 0x240B, 0x2518,
        0x2510, 0x250C, 0x2514, 0x253C, 0x23BA, 0x23BB, 0x2500, 0x23BC, 0x23BD, 0x251C, 0x2524,
        0x2534, 0x252C, 0x2502, 0x2264, 0x2265, 0x03C0, 0x2260, 0x00A3, 0x00B7,
    };
    const struct vt_kept *now = &s->scan.modes.now;

    if (c < '`' || c > '~' || now->charsets[now->shift] != '0')
        return c;
    return special[c - '`'];
}

static void combine(struct vt_screen *s, uint32_t c)
{
    struct vt_cell *line = vt_line(s, s->at.row);
    size_t at = s->at.column, i = 0;

    if (!s->at.wraps && at == 0)
        return;
    at -= !s->at.wraps;
    if (line[at].c == VT_TAIL && at > 0)
        at--;
    while (i < VT_MORE && line[at].more[i] != 0)
        i++;
    if (line[at].c != 0 && i < VT_MORE && c <= UINT16_MAX)
        line[at].more[i] = (uint16_t)c;
}

static void wrap(struct vt_screen *s)
{
    s->at.column = 0;
    vt_line_feed(s);
}

static void store(struct vt_screen *s, uint32_t c, size_t width)
{
    const struct vt_sgr *sgr = &s->scan.modes.now.sgr;
    struct vt_cell *line = vt_line(s, s->at.row), cell = {.c = c,
                                                          .flags = sgr->flags,
                                                          .underline = sgr->underline,
                                                          .fg = sgr->fg,
                                                          .bg = sgr->bg};
    size_t at = s->at.column;

    mend(s, line, at);
    mend(s, line, at + width);
    line[at] = cell;
    if (width == 2) {
        cell.c = VT_TAIL;
        line[at + 1] = cell;
    }
}

void vt_put_character(struct vt_screen *s, uint32_t c)
{
    bool wraps = !s->scan.modes.wraps_not;
    size_t width = vt_width(c);

    work(s, 1);
    if (width == 0) {
        combine(s, c);
        return;
    }
    if (s->at.wraps && wraps)
        wrap(s);
    if (width == 2 && s->at.column + 2U > s->columns) {
        if (!wraps || s->columns < 2)
            return;
        wrap(s);
    }
    if (s->scan.modes.insert)
        vt_shift(s, width, true);
    s->last = c;
    store(s, c, width);
    s->at.column = (uint16_t)(s->at.column + width);
    if (s->at.column >= s->columns) {
        s->at.column = (uint16_t)(s->columns - 1U);
        s->at.wraps = wraps;
    }
}

static void control_character(struct vt_screen *s, uint8_t c)
{
    switch (c) {
    case '\b':
        if (s->at.column > 0)
            s->at.column--;
        s->at.wraps = false;
        break;
    case '\t':
        vt_tab(s, 1);
        break;
    case '\n':
    case '\v':
    case '\f':
        if (s->scan.modes.newline)
            s->at.column = 0;
        vt_line_feed(s);
        break;
    case '\r':
        s->at.column = 0;
        s->at.wraps = false;
        break;
    case 0x0E:
    case 0x0F:
        vt_modes_shift(&s->scan.modes, c == 0x0E);
        break;
    default:
        break;
    }
}

static void take(struct vt_screen *s, const uint8_t *p, size_t n)
{
    uint32_t c;

    for (size_t at = 0, len; at < n; at += len) {
        len = 1;
        if (p[at] < 0x20 || p[at] == 0x7F) {
            control_character(s, p[at]);
        } else if (p[at] < 0x80) {
            vt_put_character(s, drawn(s, p[at]));
        } else {
            len = utf8_decode(p + at, n - at, &c);
            vt_put_character(s, len > 0 ? c : 0xFFFD);
            len = len > 0 ? len : 1;
        }
    }
}

/* ---- outside ---- */

void vt_screen_clear(struct vt_screen *s)
{
    for (size_t row = 0; row < s->rows; row++)
        vt_erase(s, row, 0, s->columns);
}

void vt_screen_begin(struct vt_screen *s)
{
    grid_free(&s->alternate);
    s->is_alternate = false;
    s->at = s->saved[0] = s->saved[1] = (struct vt_place){0};
    set_usual_tabs(s);
    buf_release(&s->above);
    vt_screen_clear(s);
}

bool vt_show_alternate(struct vt_screen *s, bool alternate)
{
    work(s, (size_t)s->columns * s->rows);
    if (alternate && !grid_make(&s->alternate, s->columns, s->rows)) {
        s->is_lost = true;
        return false;
    }
    s->is_alternate = alternate;
    if (alternate)
        vt_screen_clear(s);
    else
        grid_free(&s->alternate);
    return true;
}

static bool fits(uint16_t columns, uint16_t rows)
{
    return columns > 0 && rows > 0 && columns <= VT_COLUMNS_MAX && rows <= VT_ROWS_MAX;
}

struct vt_screen *vt_screen_new(uint16_t columns, uint16_t rows, size_t above_max)
{
    struct vt_screen *s = fits(columns, rows) ? calloc(1, sizeof *s) : NULL;

    if (s == NULL || !grid_make(&s->main, columns, rows)) {
        free(s);
        return NULL;
    }
    s->columns = columns;
    s->rows = rows;
    s->above_max = above_max;
    s->scan.tells = true;
    set_usual_tabs(s);
    return s;
}

void vt_screen_free(struct vt_screen *s)
{
    if (s == NULL)
        return;
    grid_free(&s->main);
    grid_free(&s->alternate);
    buf_release(&s->above);
    free(s);
}

void vt_screen_write(struct vt_screen *s, const uint8_t *p, size_t n)
{
    uint8_t text[PIECE + VT_HOLD];

    s->work = 4 * (size_t)s->columns * s->rows + n * (s->columns + VT_WORK);
    while (n > 0 && !s->is_lost) {
        size_t piece = n < PIECE ? n : PIECE;
        struct vt_pass pass = {.p = p, .n = piece, .out = text};
        enum vt_what what;

        do {
            pass.used = 0;
            what = vt_scan(&s->scan, &pass);
            take(s, text, pass.used);
            if (what != VT_TOLD)
                continue;
            vt_modes_apply(&s->scan.modes, &pass.seq);
            vt_obey(s, &pass.seq);
        } while (what != VT_ALL && !s->is_lost);
        p += piece;
        n -= piece;
    }
}

/* ---- another size ---- */

/* Which rows stay: those below the cursor go first, then those at the top. */
static size_t first_kept(const struct vt_screen *s, uint16_t rows)
{
    return s->at.row >= rows ? s->at.row + 1U - rows : 0;
}

static bool grid_resize(struct vt_screen *s, struct vt_grid *g, uint16_t columns, uint16_t rows,
                        size_t first)
{
    struct vt_grid larger;
    size_t keep = s->columns < columns ? s->columns : columns;

    if (g->cells == NULL)
        return true;
    if (!grid_make(&larger, columns, rows))
        return false;
    for (size_t row = 0; row < rows && row + first < s->rows; row++) {
        struct vt_cell *to = larger.cells + row * columns;
        const struct vt_cell *from = vt_row(g, s, row + first);

        memcpy(to, from, keep * sizeof *to);
        if (keep < s->columns && from[keep].c == VT_TAIL)
            to[keep - 1].c = 0;
    }
    free(g->cells);
    *g = larger;
    return true;
}

void vt_screen_resize(struct vt_screen *s, uint16_t columns, uint16_t rows)
{
    size_t first = first_kept(s, rows);

    if (s->is_lost || (columns == s->columns && rows == s->rows))
        return;
    for (size_t row = 0; row < first && !s->is_alternate; row++)
        keep_line(s, row);
    if (!fits(columns, rows) || !grid_resize(s, &s->main, columns, rows, first) ||
        !grid_resize(s, &s->alternate, columns, rows, first)) {
        s->is_lost = true;
        return;
    }
    s->columns = columns;
    s->rows = rows;
    s->scan.modes.top = s->scan.modes.bottom = 0;
    vt_go(s, s->at.column, s->at.row - first);
    for (size_t i = 0; i < 2; i++) {
        s->saved[i].column = s->saved[i].column < columns ? s->saved[i].column : columns - 1;
        s->saved[i].row = s->saved[i].row < rows ? s->saved[i].row : rows - 1;
    }
}

size_t vt_screen_memory(const struct vt_screen *s)
{
    size_t cells = (size_t)s->columns * s->rows;

    return sizeof *s + cells * sizeof(struct vt_cell) * (s->alternate.cells != NULL ? 2 : 1) +
           (s->above.block != NULL ? s->above.block->cap : 0);
}
