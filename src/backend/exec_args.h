/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_EXEC_ARGS_H
#define WSLUICE_BACKEND_EXEC_ARGS_H

/*
 * Arguments of programs may hold what the route's path captured: "{name}" (core/template.h). The
 * program itself never does. What was captured does not begin as an option does: the path does not
 * match then (ROUTE_OPTIONS in core/route.h).
 */
#include "core/request.h"

/* Judges r->target.argv and marks its captures. NULL, or what is wrong, constant or of the arena.
 */
const char *exec_args_prepare(struct route *r, struct arena *arena);

/* The arguments of this request, in one allocation to free; NULL without memory. */
char **exec_args_expand(const struct route_match *m);

#endif
