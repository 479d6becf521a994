/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_HOST_PORT_H
#define WSLUICE_BACKEND_HOST_PORT_H

/* HOST:PORT or [V6]:PORT behind a scheme, for all kinds on the network: backend_ops.parse. */
#include "core/backend.h"

const char *host_port_parse(struct target *t, const char *rest, struct arena *arena);

#endif
