/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_UPGRADE_H
#define WSLUICE_SERVER_UPGRADE_H

/*
 * A new binary without a gap: the running process starts the program file again with the same
 * arguments and hands it the listening sockets (WSLUICE_PASSED). When the new one serves, it says
 * so on a pipe (WSLUICE_READY); the old one then drains. When the new one ends before that, the old
 * one goes on as if nothing had been; so it does when the new one takes longer than
 * upgrade-timeout, and is killed. Until it serves the new one has a process group of its own, so
 * that what it has started goes with it. See successor.h for what passes between the two.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "server/listeners.h"

struct upgrade {
    struct worker *worker;
    char **argv;
    char *program; /* path of our program file, as of the start */
    ev_io ready; /* the successor's pipe, or its pidfd when that was closed; active while one starts
                  */
    ev_timer late; /* active with it */
    pid_t successor;
    const struct listeners *set;                /* the server's, while one starts */
    void (*done)(void *owner, pid_t successor); /* it serves */
    void *owner;
};

/* Remembers how we were started. argv must stay. */
void upgrade_init(struct upgrade *u, struct worker *w, char **argv, void (*done)(void *, pid_t),
                  void *owner);

/* Starts a successor; does nothing while one is starting. Failures are logged. */
void upgrade_start(struct upgrade *u, const struct listeners *set);

/* Ends a successor that is still starting: we were told to stop, and it would serve on. */
void upgrade_cancel(struct upgrade *u);

void upgrade_release(struct upgrade *u);

#endif
