/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_KINDS_H
#define WSLUICE_SERVER_KINDS_H

/* Every array of kinds. kinds.c is the only file that names them; a new kind is its own file and
 * one row there. The array of handlers is declared in core/handler.h; src/http/dispatch.c walks
 * over it. */
#include "core/backend.h"
#include "core/front.h"
#include "core/handler.h"

extern const struct backend_ops *const backends[]; /* NULL-terminated, like all of these */
extern const struct framing *const framings[];
extern const struct front_ops *const fronts[]; /* the first is the one without ALPN */

#endif
