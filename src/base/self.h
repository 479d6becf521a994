/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_SELF_H
#define WSLUICE_BASE_SELF_H

/* Figures about our own process. What the system does not tell is 0. */
#include <stdbool.h>
#include <stdint.h>

struct self {
    double cpu;        /* seconds, user and system, without children */
    uint64_t resident; /* bytes */
    uint64_t virtual_; /* bytes */
    uint64_t max_fds;  /* the soft limit */
};

void self_read(struct self *s);

/*
 * Counting open descriptors. Since Linux 6.2 the system knows; before, they are listed, which takes
 * long when there are many: so in steps. Zero it first.
 */
struct self_fds {
    void *dir;
    uint64_t count;
};

/* True when count is final; else call again. */
bool self_fds_step(struct self_fds *f);
void self_fds_release(struct self_fds *f); /* also half-way */

#endif
