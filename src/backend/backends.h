/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_BACKENDS_H
#define WSLUICE_BACKEND_BACKENDS_H

/* The kinds of backends there are; src/server/kinds.c lists them. */
#include "core/backend.h"

extern const struct backend_ops backend_exec;
extern const struct backend_ops backend_pty;
extern const struct backend_ops backend_tcp;
extern const struct backend_ops backend_tls;
extern const struct backend_ops backend_unix;
extern const struct backend_ops backend_token; /* a service that a token chooses */
extern const struct backend_ops backend_udp;
extern const struct backend_ops backend_echo;

#endif
