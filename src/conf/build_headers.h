/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_BUILD_HEADERS_H
#define WSLUICE_CONF_BUILD_HEADERS_H

/* The header fields that a route's answers with files get. */
#include "conf/build.h"

/* Makes r->headers of r->settings.headers. False with what is wrong: a name that is none, or one
 * that only we may say; a value with a control character; more than ROUTE_HEADERS_MAX bytes. */
bool build_headers(struct route *r, char why[BUILD_ERROR_MAX]);

#endif
