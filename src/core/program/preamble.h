/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_PROGRAM_PREAMBLE_H
#define WSLUICE_CORE_PROGRAM_PREAMBLE_H

/*
 * What a service is told before the client's first byte: a text with places for named values, such
 * as the WEBIRC line of IRC servers. A client chooses some of the values, so none may end the line
 * or a word of it: each is one word, without spaces and control bytes, not empty and not beginning
 * with a colon. An IPv6 address that would gets a 0 in front.
 */
#include "base/buf.h"
#include "core/backend.h"

#define PREAMBLE_ERROR_MAX 512

/* Judges settings.preamble of r, its secret read. False with what is wrong. */
bool preamble_sound(const struct route *r, char why[PREAMBLE_ERROR_MAX]);

/* {secret} stands in what is told to this route's service. */
bool preamble_needs_secret(const struct route *r);

/* The secret as it may stand in a line: a word. */
bool preamble_is_word(struct slice text);

enum preamble_result { PREAMBLE_MADE, PREAMBLE_NO_WORD, PREAMBLE_NO_MEMORY };

/* Appends its text for this session; nothing without a preamble. After NO_WORD name says which
 * value it was. */
enum preamble_result preamble_expand(const struct backend_open *o, struct buf *out,
                                     struct slice *name);

/* Services of this route are told the session's UNIQUE_ID, in it or in a PROXY header. */
bool preamble_tells_unique(const struct route *r);

#endif
