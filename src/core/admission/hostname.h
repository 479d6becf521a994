/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_ADMISSION_HOSTNAME_H
#define WSLUICE_CORE_ADMISSION_HOSTNAME_H

/*
 * Is it us who is asked for? A web site may let its own name resolve to our address (DNS
 * rebinding): then its pages are, to the browser, of the same origin as we, and their Host and
 * Origin agree. Only the name tells.
 */
#include "core/config.h"
#include "core/request.h"

/* NULL, or what is wrong with an item of `host` as written. */
const char *hostname_judge(const char *item);

/*
 * NULL, or why the request is refused (a constant text). r's route has been found. With names in
 * `host`, all others are strangers. Without, on loopback, names are that a page can have only if it
 * reaches us by them: those with our own port, or with the default one where that is ours. Known
 * are addresses, localhost, and what the operator named in a route's host or in `origin`.
 */
const char *hostname_refusal(const struct config *c, const struct request *r);

#endif
