/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_CONTROL_H
#define WSLUICE_CORE_CONTROL_H

/*
 * What the admin door may have the server do. The server fills it (core->control; NULL:
 * it can do none of it); a function that is NULL cannot be done.
 */
#include <stddef.h>

#define CONTROL_MESSAGE_MAX 1024

struct control {
    /* Reads the configuration again. 0: it is in force; -1: the old one stays. A message for people
     * in either case, possibly empty. */
    int (*reload)(void *server, char *message, size_t size);
    /* Begins to drain, as SIGTERM does. Returns at once. */
    void (*drain)(void *server);
    void *server;
};

#endif
