/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_GRANT_H
#define WSLUICE_CORE_GRANT_H

/* Who somebody is, as authentication found out and programs are told. */
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "proto/secret.h"

#define AUTH_NAME_MAX 255 /* bytes */

/* What a kind found out about somebody who may pass. One piece of memory, by malloc. */
struct auth_grant {
    const char *user; /* "": nobody in particular */
    bool has_mac;
    uint8_t mac[SECRET_MAC_SIZE]; /* of a credential without a name: tells its bearer from others */
    size_t env_count;
    const char *env[]; /* NAME=VALUE, for programs */
};

/* A name that somebody may have: nobody is let in under one that programs would not be told, see
 * exec_env.c. Also "", nobody's. */
bool auth_grant_is_name(struct slice user);

/* NULL without memory. */
struct auth_grant *auth_grant_new(struct slice user, const struct slice *env, size_t n);
struct auth_grant *auth_grant_copy(const struct auth_grant *g);

#endif
