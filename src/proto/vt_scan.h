/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_VT_SCAN_H
#define WSLUICE_PROTO_VT_SCAN_H

/*
 * Follows what a program writes to its terminal, in pieces cut anywhere: takes out what asks the
 * terminal something (vt_query.h), keeps account of its modes (vt_modes.h), and holds back what is
 * unfinished, a character of UTF-8 or a sequence, so that what comes out can end anywhere. The
 * state machine is that of DEC's VT500 as xterm has it, in UTF-8: C1 characters are two bytes.
 *
 * What comes out is what went in, but for the questions, and does not depend on the cuts. A
 * sequence longer than VT_HOLD passes as it comes; then vt_is_between is false until it has ended.
 * Pure, of a fixed size, and knows no screen.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vt_modes.h"
#include "proto/vt_seq.h"

#define VT_HOLD 512U      /* bytes of a sequence that are held back */
#define VT_SHIELD_MAX 16U /* see vt_shield */

enum vt_what {
    VT_ALL,  /* all was read */
    VT_ASKS, /* a question, which was taken out */
    VT_TOLD, /* a sequence, where `tells` is set */
};

struct vt_scan {
    uint8_t state;
    char string;     /* which kind of string it is in: the letter behind ESC */
    bool is_passing; /* more than VT_HOLD of it came: it is held back no more */
    bool tells; /* the caller's choice: sequences are told one by one, and only text and control
                   characters come out */
    uint16_t held;
    uint8_t hold[VT_HOLD];
    struct vt_modes modes;
};

/* One piece on its way. The caller sets p, n and out, which has room for n + VT_HOLD bytes, and
 * calls vt_scan until it says VT_ALL; what came out so far are `used` bytes. */
struct vt_pass {
    const uint8_t *p;
    size_t n;
    uint8_t *out;
    size_t used;
    struct vt_seq seq; /* of VT_ASKS and VT_TOLD; its text is valid until the next call */
};

enum vt_what vt_scan(struct vt_scan *s, struct vt_pass *pass);

/* No more follows: what is held comes out as it is. Returns how many bytes. */
size_t vt_scan_end(struct vt_scan *s, uint8_t out[VT_HOLD]);

/* Whether what came out so far ended between two characters or sequences. */
static inline bool vt_is_between(const struct vt_scan *s)
{
    return !s->is_passing;
}

/* Where that is not so: what a terminal must be told that did not see the beginning, so that it
 * takes the rest for nothing. Returns the length. */
size_t vt_shield(const struct vt_scan *s, char out[VT_SHIELD_MAX]);

#endif
