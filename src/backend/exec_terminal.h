/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_EXEC_TERMINAL_H
#define WSLUICE_BACKEND_EXEC_TERMINAL_H

/* What a program on a terminal finds in its environment beside what all have, unless the route, or
 * our own environment by `pass-env`, has another word for it. */
#include "backend/exec_env.h"
#include "io/child/child.h"

/*
 * On one that controls its session: what a login sets (TERM, HOME, USER, LOGNAME, SHELL of its
 * account) and a character set. Where only its output is one, nobody types: a dumb one, and no
 * pagers. -1 without memory, and then e is released.
 */
int exec_terminal_env(struct exec_env *e, const struct route *r, enum child_standard standard);

#endif
