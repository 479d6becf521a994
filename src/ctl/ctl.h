/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CTL_CTL_H
#define WSLUICE_CTL_CTL_H

/*
 * `wsluice ctl`: asks a running server by its admin address, or gives it orders. Runs in a process
 * of its own with plain blocking sockets, and shares nothing with the server but that protocol.
 */

#include <stdbool.h>
#include <stddef.h>

/* argv[0] is "ctl". Returns the exit status: 0; 1 it could not be done, the reason on standard
 * error; 2 wrong usage. */
int ctl_run(int argc, char **argv);

/* An order, for the completion of shells. usage begins with the name: "kick WHOM [REASON]". */
struct ctl_order {
    const char *name, *usage, *help;
};

/* The n-th; false behind the last. */
bool ctl_order_at(size_t n, struct ctl_order *out);

#endif
