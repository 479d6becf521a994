/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_HUB_H
#define WSLUICE_PROTO_HUB_H

/*
 * The words of framing hub (docs/sessions.md): a program that speaks in lines with many clients,
 * each known by a number from 1 on, which is never used again in a session.
 *
 *   to the program                       from it
 *   + 7 ADDRESS USER   7 is there        * text      to all
 *   7 text             7 says            7 text      to one; 7,9 text: to several
 *   - 7                7 has left        !7 text     to all who are there but 7; !7,9 likewise
 *                                        - 7         closes 7; - 7,9 likewise
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define HUB_ID_MAX 20U /* digits of a number */

enum hub_kind { HUB_UNKNOWN, HUB_ALL, HUB_SOME, HUB_ALL_BUT, HUB_CLOSE };

/* A line of the program: the numbers as they stand there, and what it says behind them. */
struct hub_line {
    enum hub_kind kind;
    struct slice ids;  /* at least one number, for hub_next_id; of HUB_ALL nothing */
    struct slice text; /* a tail of the line; of HUB_CLOSE nothing */
};

/* Reads a line without its end. HUB_UNKNOWN: it is none of these. */
struct hub_line hub_read(struct slice line);

/* Takes the next number off *ids. False at the end. */
bool hub_next_id(struct slice *ids, uint64_t *id);

/* Writes what client `id` says: each line of p, also an empty or unterminated one, behind its
 * number, and ended by "\n". "\n", "\r\n" and "\r" end lines, as there are readers that take any of
 * them for an end: so no client can begin a line in another's name. Returns the length; out NULL:
 * only that. */
size_t hub_write_lines(uint8_t *out, uint64_t id, const uint8_t *p, size_t n);

/* "+ ID ADDRESS USER\n". user may be "". No field holds a blank, a control character or a byte
 * above ASCII: those, and '%', are written as %XX; a user called "-" is %2D, nobody is "-". Returns
 * the length; out NULL: only that. */
size_t hub_write_came(uint8_t *out, uint64_t id, const char *address, const char *user);

/* "- ID\n", at most HUB_ID_MAX + 3 bytes. Returns the length. */
size_t hub_write_left(uint8_t *out, uint64_t id);

#endif
