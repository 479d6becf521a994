/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_VT_SGR_H
#define WSLUICE_PROTO_VT_SGR_H

/*
 * Colours and attributes of a terminal's text (SGR, ECMA-48 8.3.117, with what xterm and others
 * added), and colours as X11 writes them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vt_seq.h"

#define VT_SGR_TEXT_MAX 128U /* bytes that vt_sgr_write writes at most */

enum vt_colour_kind { VT_COLOUR_DEFAULT, VT_COLOUR_16, VT_COLOUR_256, VT_COLOUR_RGB };

struct vt_colour {
    uint8_t kind; /* enum vt_colour_kind */
    uint8_t v[3]; /* a number, or red, green and blue */
};

/* Attributes of text: bits of vt_sgr.flags. */
enum {
    VT_BOLD = 1,
    VT_DIM = 2,
    VT_ITALIC = 4,
    VT_BLINK = 8,
    VT_INVERSE = 16,
    VT_HIDDEN = 32,
    VT_STRIKE = 64,
    VT_OVERLINE = 128,
};

struct vt_sgr {
    uint8_t flags;
    uint8_t underline; /* as in 4:n; 0: none */
    struct vt_colour fg, bg, line;
};

/* What a CONTROL ending in m makes of it. */
void vt_sgr_apply(struct vt_sgr *sgr, const struct vt_seq *seq);

/* The parameters of an SGR sequence that make it of nothing: "0;1;38;5;9". Returns the length. */
size_t vt_sgr_write(const struct vt_sgr *sgr, char out[VT_SGR_TEXT_MAX]);

/* Reads a colour as X11 writes it: "#rgb", "#rrggbb", "rgb:r/g/b" with 1 to 4 digits each. */
bool vt_read_colour(struct slice text, uint8_t rgb[3]);

/* Text being written into a block of `size` bytes. */
struct vt_text {
    char *at;
    size_t size, used;
};

/* What does not fit is left out, whole. */
__attribute__((format(printf, 2, 3))) void vt_put(struct vt_text *t, const char *format, ...);

#endif
