/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_LISTENERS_H
#define WSLUICE_LISTENERS_H

/* The set of listening sockets, and how it follows a configuration. */
#include "core/config.h"
#include "io/accept.h"
#include "passed.h"

struct listeners {
    struct listener *first;
    struct listener *admin; /* see admin.h; handed to a successor with the others */
    struct worker *worker;
    listener_accepted accepted;
    void *owner;
};

/*
 * Opens what c wants and the set does not have, and closes what it does not want any more;
 * listeners in both stay untouched. All or nothing: when one cannot be opened the set is as before,
 * and error says why (-1).
 */
int listeners_follow(struct listeners *set, const struct config *c, struct passed *passed,
                     char error[LISTENER_ERROR_MAX]);

/* The port of the first listener with TLS, in the order of the configuration; 0: none. */
uint16_t listeners_tls_port(const struct listeners *set);

/* The first that other machines may reach: neither loopback nor a Unix socket; NULL: none. */
const struct listener *listeners_exposed(const struct listeners *set);

/* Stops listening. keep_files: another process serves the sockets now. */
void listeners_close(struct listeners *set, bool keep_files);

#endif
