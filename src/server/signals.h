/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_SIGNALS_H
#define WSLUICE_SERVER_SIGNALS_H

/*
 * Signals to this process, as orders from the loop. They are blocked and read from a signalfd,
 * since that tells who sent them: some orders are not taken from our own programs, which speak for
 * clients. That is no protection (a sender that has ended, or left us, is not known any more), but
 * keeps a program's mistake, or a client's trick, from being an operator's order.
 */
#include <stdbool.h>

#include "io/worker.h"

struct signals_row {
    int number; /* 0: the end of the table */
    void (*order)(void *owner);
    bool not_from_programs;
};

struct signals {
    struct worker *worker;
    const struct signals_row *rows;
    void *owner;
    ev_io readable;
};

/* rows must stay. They keep no loop from ending. -1 with errno. */
int signals_open(struct signals *s, struct worker *w, const struct signals_row *rows, void *owner);
/* Signals stay blocked. Also for one that was never opened, all zeroes. */
void signals_close(struct signals *s);

#endif
