/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_AUTH_AUTH_CACHE_H
#define WSLUICE_CORE_AUTH_AUTH_CACHE_H

/* Who passed lately, by a digest of all that was judged. Bounded: the oldest go. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/grant.h"
#include "proto/secret.h"

#define AUTH_CACHE_MAX 4096

struct auth_cached;

/* Zero it first. Times are of the worker's clock. */
struct auth_cache {
    struct auth_cached *by_mac;
    size_t count;
};

/* NULL: not known, or no longer. */
const struct auth_grant *auth_cache_find(struct auth_cache *c, const uint8_t mac[SECRET_MAC_SIZE],
                                         double now);
/* Keeps a copy. Without memory it keeps nothing. */
void auth_cache_add(struct auth_cache *c, const uint8_t mac[SECRET_MAC_SIZE],
                    const struct auth_grant *g, double until);
void auth_cache_release(struct auth_cache *c);

#endif
