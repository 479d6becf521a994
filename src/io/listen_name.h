/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_LISTEN_NAME_H
#define WSLUICE_IO_LISTEN_NAME_H

/* The addresses that a listener's words stand for, and whether they would do. */
#include "io/accept.h"

#define LISTEN_WHY_MAX (LISTENER_ERROR_MAX / 2)
#define LISTEN_FAULT "cannot listen on %s: %s"
#define LISTEN_TAKEN "another server answers there, or it is not a socket; choose another path"
#define LISTEN_ADDRESSES 16 /* of one name; more are left out */

struct listen_addresses {
    size_t n;
    union addr addrs[LISTEN_ADDRESSES];
};

/* Looks the host of an internet address up, as spec->ask says. False with what is wrong. */
bool listen_name_find(const struct listener_spec *spec, struct listen_addresses *found,
                      char why[LISTEN_WHY_MAX]);

/* What to do about an errno of bind, for an internet address. */
const char *listen_advice(int err);

#endif
