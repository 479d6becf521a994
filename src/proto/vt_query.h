/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_VT_QUERY_H
#define WSLUICE_PROTO_VT_QUERY_H

/*
 * What programs ask their terminal, and what it answers. Where many terminals show what a program
 * writes, or none, or one that came later and is shown again what was written before, none of them
 * may answer: we do, as one terminal that is like xterm.js. What such a terminal leaves without an
 * answer (pictures, the clipboard, keyboards of others) has none here either.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vt_modes.h"
#include "proto/vt_seq.h"

#define VT_ANSWER_MAX 4096U /* bytes; what is longer ends before that, with a whole answer */

/* What only the owner of the terminal knows. */
struct vt_facts {
    uint16_t columns, rows;
    uint16_t column, row;  /* of the cursor, from 1 on; 0: not known, and not answered */
    uint8_t colours[3][3]; /* of text, background and cursor, where the program has set none */
    const char *version;   /* for XTVERSION */
};

/* Whether it asks. */
bool vt_is_query(const struct vt_seq *seq);

/* Whether the answer depends on where the cursor is. */
bool vt_asks_place(const struct vt_seq *seq);

/* What the terminal answers; returns the length, 0: nothing. */
size_t vt_answer(const struct vt_seq *seq, const struct vt_modes *modes,
                 const struct vt_facts *facts, char out[VT_ANSWER_MAX]);

#endif
