/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_CIDR_H
#define WSLUICE_BASE_CIDR_H

/* Networks: "10.0.0.0/8", "::1", "unix" (every client of a Unix socket). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define CIDR_TEXT_MAX (ADDR_TEXT_MAX + 4)

struct cidr {
    sa_family_t family;
    uint8_t bits;
    uint8_t bytes[16];
};

/* NULL, or a constant text that says what is wrong: bits set behind the prefix are, since they are
 * nearly always a slip. */
const char *cidr_parse(struct slice text, struct cidr *out);

bool cidr_has(const struct cidr *c, const union addr *a);
/* Its first address, port 0. */
void cidr_first(const struct cidr *c, union addr *a);
/* "10.0.0.0/8"; of a single address only that. */
const char *cidr_format(const struct cidr *c, char out[CIDR_TEXT_MAX]);
bool cidr_any_has(const struct cidr *list, size_t n, const union addr *a);

#endif
