/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_PASSED_H
#define WSLUICE_SERVER_PASSED_H

/*
 * Listening sockets that were passed to this process: by systemd (LISTEN_PID, LISTEN_FDS,
 * LISTEN_FDNAMES; sd_listen_fds(3)), or by the process whose successor we are (WSLUICE_PASSED, see
 * upgrade.h).
 */
#include <stdbool.h>
#include <stddef.h>

struct passed_socket {
    int fd;
    char *name; /* systemd: of the socket unit; predecessor: the address as written in the
                   configuration */
    bool by_systemd;
    bool taken;
};

struct passed {
    struct passed_socket *sockets;
    size_t count;
};

/* Reads the environment, and takes these variables out of it. -1 without memory. */
int passed_read(struct passed *p);

/*
 * The next socket not yet taken for this address as written: the predecessor's for the same text,
 * systemd's for "systemd" (any) or "systemd:NAME". NULL: none. Mark it taken when it is used.
 */
struct passed_socket *passed_find(struct passed *p, const char *text);

/* Closes what was not taken. */
void passed_release(struct passed *p);

#endif
