/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_BUILD_ATTR_H
#define WSLUICE_CONF_BUILD_ATTR_H

/* The settings of a route for its program that are more than one plain value each. */
#include "conf/build.h"

/* Reads them into r->attr, which stays NULL where nothing is said. NULL, or the key at fault with
 * what is wrong. */
const char *build_attr(struct route *r, char why[BUILD_ERROR_MAX]);

#endif
