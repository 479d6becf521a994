/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_VT_WIDTH_H
#define WSLUICE_PROTO_VT_WIDTH_H

#include <stdint.h>

/* How many cells of a terminal a character takes: 0 (it goes to the one before), 1 or 2; as libc's
 * wcwidth and xterm.js have it, and no locale is needed. Not for control characters. */
unsigned vt_width(uint32_t c);

#endif
