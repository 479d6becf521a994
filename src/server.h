/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_H
#define WSLUICE_SERVER_H

/* The whole of it: worker, listeners, signals; from start to drained end. */
#include "core/config.h"

/* Serves until SIGTERM or SIGINT and the drain after it. Takes one reference of c. Returns the exit
 * status: 0, or 1 when it could not start (said on standard error, one line). */
int server_run(struct config *c);

#endif
