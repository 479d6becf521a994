/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_LISTENERS_H
#define WSLUICE_SERVER_LISTENERS_H

/* The set of listening sockets, and how it follows a configuration. */
#include "core/config.h"
#include "io/accept.h"
#include "server/passed.h"

struct listeners {
    struct listener *first;
    struct listener *admin; /* see admin.h; handed to a successor with the others */
    struct worker *worker;
    listener_accepted accepted;
    void *owner;
};

/*
 * The set follows a configuration in two steps, so that who changes more than listeners can do all
 * of it or nothing. First what c wants and the set does not have is opened, into *fresh. -1 when
 * one cannot be: error says why, and *fresh is NULL. Nobody notices so far.
 */
int listeners_open(struct listeners *set, const struct config *c, struct passed *passed,
                   struct listener **fresh, char error[LISTENER_ERROR_MAX]);
/* Takes in what listeners_open has opened, and closes what c does not want any more; listeners in
 * both stay open. */
void listeners_adopt(struct listeners *set, struct listener *fresh);
/* Closes what listeners_open has opened, when something else of the new configuration failed. */
void listeners_abandon(struct listener *fresh);

/* We serve: what a predecessor has passed to us is ours, the files of Unix sockets too. */
void listeners_own(struct listeners *set);

/* The port of the first listener with TLS, in the order of the configuration; 0: none. */
uint16_t listeners_tls_port(const struct listeners *set);

/* Between the two steps: the first of those there will be that other machines may reach, neither
 * loopback nor a Unix socket; NULL: none. */
const struct listener *listeners_exposed(const struct listeners *set, const struct listener *fresh);

/* Stops listening. The files of sockets that another process serves now (handed_over) stay. */
/* What a start would say of the addresses of a configuration, without taking one: names that are
 * none, addresses of other machines, low ports, root on the network. Counts the lines. */
size_t listeners_judge(const struct config *c, void (*tell)(void *arg, const char *line),
                       void *arg);

void listeners_close(struct listeners *set);

#endif
