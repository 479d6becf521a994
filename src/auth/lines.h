/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_AUTH_LINES_H
#define WSLUICE_AUTH_LINES_H

/* The lines of a file of passwords or tokens. */
#include <stdbool.h>
#include <stddef.h>

size_t lines_count(const char *text); /* at least 1 */

/* Cuts text into lines, where it stands, their ends (LF or CR LF) off; `take` gets one after
 * another, may write in it, and tells what is wrong with it, or NULL. Then false, and "LINE: what
 * is wrong" in why. */
bool lines_each(char *text, const char *(*take)(void *owner, char *line), void *owner, char *why,
                size_t size);

#endif
