/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SESSION_BANNED_H
#define WSLUICE_CORE_SESSION_BANNED_H

/*
 * Who is banned now may have come before: connections that have asked for nothing are closed, and
 * sessions are kicked, some in each turn of the loop.
 */
#include <stdbool.h>

#include "core/session/session_info.h"

struct banned_walk {
    struct worker *worker;
    ev_timer next;
    bool walking;
    struct session_cursor cursor;
};

/* Begins a walk whenever admission has bans that it did not have. */
void banned_init(struct banned_walk *b, struct worker *w);
/* While there are an admission and a loop. */
void banned_release(struct banned_walk *b);

#endif
