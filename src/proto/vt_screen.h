/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_VT_SCREEN_H
#define WSLUICE_PROTO_VT_SCREEN_H

/*
 * What a terminal shows that was told what a program wrote to it: cells, the cursor, the lines that
 * have left at the top, and the modes of vt_modes.h. For who comes later: vt_screen_paint writes
 * what makes another terminal show the same. As xterm.js does it, but that lines do not flow anew
 * where the width changes.
 *
 * Memory is that of the cells, twice while the alternate screen is shown, and of the lines above,
 * which are kept as text. Where there is none for a step the screen is `is_lost`: it is of no use
 * any more, and does nothing. So it is where a few bytes after the other change whole screens, by
 * which a program could keep the process of all busy: see VT_WORK.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/vt_scan.h"

#define VT_COLUMNS_MAX 500U
#define VT_ROWS_MAX 200U
#define VT_WORK \
    64U            /* cells that a byte may change, beside a row; and four screens for each write */
#define VT_MORE 3U /* combining characters of a cell; others are left out */

struct vt_cell {
    uint32_t c; /* 0: nothing was written there; VT_TAIL: the right half of what stands before */
    uint16_t more[VT_MORE]; /* of the basic plane; 0: no more */
    uint8_t flags, underline;
    struct vt_colour fg, bg; /* as in struct vt_sgr */
};

#define VT_TAIL UINT32_MAX

struct vt_grid {
    struct vt_cell *cells; /* NULL: there is none */
    uint16_t *order;       /* in the same block: which of the rows in cells is shown where */
};

struct vt_place {
    uint16_t column, row; /* from 0 on */
    bool wraps;           /* behind the last column: the next character begins the next line */
};

struct vt_screen {
    uint16_t columns, rows;
    bool is_lost;
    size_t work; /* cells that what is being written may still change */
    bool is_alternate;
    struct vt_grid main, alternate;
    struct vt_place at, saved[2]; /* by DECSC, on the main and the alternate screen */
    uint32_t last;                /* character, for REP */
    uint8_t tabs[(VT_COLUMNS_MAX + 7) / 8];
    struct vt_scan scan;
    struct buf above; /* lines that have left: text and SGR sequences, each ended by \n */
    size_t above_max; /* bytes */
};

/* An empty one. Columns and rows from 1 to the maxima. NULL: without memory, or too large. */
struct vt_screen *vt_screen_new(uint16_t columns, uint16_t rows, size_t above_max);
void vt_screen_free(struct vt_screen *s);

/* The program wrote this. */
void vt_screen_write(struct vt_screen *s, const uint8_t *p, size_t n);

/* Larger than the maxima: it is lost. */
void vt_screen_resize(struct vt_screen *s, uint16_t columns, uint16_t rows);

/* Bytes that it owns. */
size_t vt_screen_memory(const struct vt_screen *s);

/* Appends what makes a terminal of this size that was reset show the same: the lines above, both
 * screens, modes, the cursor. False without memory; then what was appended is of no use. */
bool vt_screen_paint(const struct vt_screen *s, struct buf *out);

/* Appends a row as text with SGR sequences, from and to no attributes. vt_paint.c */
bool vt_paint_row(const struct vt_cell *row, size_t columns, struct buf *out);

static inline const struct vt_grid *vt_shown(const struct vt_screen *s)
{
    return s->is_alternate ? &s->alternate : &s->main;
}

static inline struct vt_cell *vt_row(const struct vt_grid *g, const struct vt_screen *s, size_t row)
{
    return g->cells + (size_t)g->order[row] * s->columns;
}

#endif
