/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_VT_SEQ_H
#define WSLUICE_PROTO_VT_SEQ_H

/*
 * One control sequence of what a program writes to its terminal, whole, taken apart: ECMA-48 (5.3
 * to 5.6) with the private markers of DEC's VT500 and of xterm. Both forms of the introducers are
 * known, ESC and a letter, and the C1 character, which in UTF-8 is two bytes (C2 80 to C2 9F).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define VT_PARAMS 32U /* of a sequence; terminals ignore what comes behind so many */

enum vt_kind {
    VT_ESCAPE, /* ESC, intermediates, a final byte; or a C1 character that stands alone */
    VT_CONTROL,
    VT_OSC,
    VT_DCS,
    VT_STRING, /* SOS, PM, APC: `final` is X, ^ or _ */
};

struct vt_param {
    uint16_t value; /* 0 where nothing stands there, 65535 where more */
    bool is_sub;    /* a colon stands before it, not a semicolon */
};

struct vt_seq {
    enum vt_kind kind;
    char marker; /* of CONTROL and DCS: one of < = > ?, or 0 */
    char inter;  /* the last intermediate byte (20 to 2F), or 0 */
    char final;
    bool by_bell; /* of an OSC: it was ended by BEL and not by ST */
    size_t count; /* of params; 0 when there is not one digit and no semicolon */
    struct vt_param params[VT_PARAMS];
    struct slice text; /* of OSC and STRING all of it, of DCS what stands behind its final byte */
};

/* Takes a whole sequence apart, from its ESC or C1 character on. The text lies in p. Control
 * characters inside of CONTROL and ESCAPE are of no account. */
void vt_seq_read(struct vt_seq *seq, const uint8_t *p, size_t n);

/* The value of a parameter, or what is meant where it is missing or 0. */
uint16_t vt_param_or(const struct vt_seq *seq, size_t at, uint16_t missing);

/* A decimal number in front of *text, which is cut off it, and one semicolon behind it. -1: there
 * is none. */
int vt_take_number(struct slice *text);

#endif
