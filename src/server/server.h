/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_SERVER_H
#define WSLUICE_SERVER_SERVER_H

/* The whole of it: worker, listeners, signals; from start to drained end. */
#include "core/config.h"

/* How the configuration is read again: a new one (not prepared), or NULL with faults told one by
 * one. */
struct server_loader {
    struct config *(*load)(void *arg, void (*tell)(void *tell_arg, const char *line),
                           void *tell_arg);
    void *arg;
    char **argv; /* how we were started, for a successor */
};

/*
 * Serves until SIGTERM or SIGINT and the drain after it. Takes one reference of c. SIGHUP loads
 * again: everything is read and checked first, then swapped, or the old one is kept and the log
 * says why; sessions keep what they started with. SIGUSR2 starts a successor. Returns the exit
 * status: 0, or 1 when it could not start (said on standard error), or 2 when it must not, as root
 * for other machines.
 */
int server_run(struct config *c, const struct server_loader *loader);

#endif
