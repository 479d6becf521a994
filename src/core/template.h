/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_TEMPLATE_H
#define WSLUICE_CORE_TEMPLATE_H

/*
 * Text with places for what a path captured: "{name}", the name of lower-case letters, digits and
 * _. Written "{{name}}" it is the text "{name}". All other braces are themselves.
 */
#include "base/arena.h"
#include "base/slice.h"

enum template_piece { TEMPLATE_END, TEMPLATE_TEXT, TEMPLATE_NAME };

/* The next piece of *rest, which is moved behind it: text to take as it is, or a name. */
enum template_piece template_next(const char **rest, struct slice *piece);

/* The text as a template that stands for just this text; NULL without memory. */
const char *template_quote(const char *text, struct arena *arena);

#endif
