/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_VT_MODES_H
#define WSLUICE_PROTO_VT_MODES_H

/*
 * What a program has told its terminal to be, beside what is shown on it: modes, colours and
 * attributes of what is written next, character sets, the title. Found by following its output
 * (vt_scan.h); written for a terminal that comes later. Of a fixed size.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vt_seq.h"
#include "proto/vt_sgr.h"

#define VT_TITLE_MAX 255U       /* bytes; what is longer is cut between characters */
#define VT_MODES_TEXT_MAX 1024U /* bytes that vt_modes_write writes at most */
#define VT_COLOURS 16U          /* of the palette, those that programs change */

/* What DECSC keeps, but for the place. */
struct vt_kept {
    struct vt_sgr sgr;
    char charsets[4]; /* G0 to G3: the final byte of their designation; 0: ASCII */
    uint8_t shift;    /* which of them is in use */
    bool origin;
};

struct vt_modes {
    struct vt_kept now;
    struct vt_kept saved[2]; /* by DECSC: of the main and of the alternate screen */
    uint32_t changed;        /* private modes that are not as they begin: bits of a table */
    uint16_t alternate;      /* 47, 1047 or 1049, which is shown; 0: the main screen */
    uint16_t mouse;          /* 9, 1000, 1001, 1002 or 1003; 0: off */
    uint16_t mouse_coding;   /* 1005, 1006, 1015 or 1016; 0: the first one there was */
    uint16_t top, bottom;    /* of the region that scrolls, from 1 on; 0: all */
    uint8_t cursor_style;    /* as DECSCUSR has it */
    bool insert, newline, keypad;
    bool wraps_not;        /* text stays in its line: mode 7 is off */
    bool has_colour[3];    /* text, background, cursor: set by the program */
    uint8_t colours[3][3]; /* to these, red, green and blue */
    uint16_t palette_set;  /* bits: these of the palette were set */
    uint8_t palette[VT_COLOURS][3];
    uint8_t title_len;
    char title[VT_TITLE_MAX];
};

/* Follows a sequence. */
void vt_modes_apply(struct vt_modes *m, const struct vt_seq *seq);

/* SO and SI. */
void vt_modes_shift(struct vt_modes *m, uint8_t which);

/* 1: set, 2: not set, 0: nothing is known of it; as DECRQM answers. */
int vt_modes_private(const struct vt_modes *m, uint16_t number);
int vt_modes_ansi(const struct vt_modes *m, uint16_t number);

/* Modes, for a terminal that was reset: all but the alternate screen and whether the cursor is
 * seen. Moves the cursor. Returns the length. */
size_t vt_modes_write(const struct vt_modes *m, char out[VT_MODES_TEXT_MAX]);

#endif
