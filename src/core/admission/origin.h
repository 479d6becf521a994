/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_ADMISSION_ORIGIN_H
#define WSLUICE_CORE_ADMISSION_ORIGIN_H

/* The list of --origin: whose pages may connect (RFC 6454). */
#include <stdbool.h>

#include "base/slice.h"
#include "core/config.h"

/* NULL, or what is wrong with an item as written: neither "any", "null" nor "https://example.org",
 * where "*.example.org" stands for all below it: at least two labels behind the star. */
const char *origin_judge(const char *item);

/* The list has "any". */
bool origin_any(const struct text_list *origins);
/* The list has this Origin, or a pattern for it: letters without case, else as written. */
bool origin_listed(const struct text_list *origins, struct slice origin);
/* A listed origin has this host name: that of a page, but with a star also of all below. */
bool origin_names_host(const struct text_list *origins, struct slice name);

#endif
