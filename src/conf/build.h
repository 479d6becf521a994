/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_BUILD_H
#define WSLUICE_CONF_BUILD_H

/* From what was written to listeners and routes that work. */
#include "conf/schema.h"

#define BUILD_ERROR_MAX 512
#define BUILD_DEFAULT_LISTEN "127.0.0.1:8080"

/* One fault: the key whose value is wrong, and why. */
typedef void (*build_tell)(void *owner, const char *key, const char *why);

/* What c says for all listeners, before what one says for itself. */
void build_listener_defaults(struct listen_spec *l, const struct config *c);

/* Completes a listener from l->text. False with why. */
bool build_listener(struct listen_spec *l, char why[BUILD_ERROR_MAX]);

/* An earlier one of the array has the address of the n-th, perhaps in other words. On a command
 * line port 0 may stand several times, and is another port each time; in a file, which may be read
 * again, an address as written is what tells listeners apart. */
bool build_listener_again(const struct listen_spec *all, size_t n, bool in_file);

/*
 * Completes a route of c, the last or an earlier one, from what was set: path, host, target.text or
 * target.argv with its backend, settings. False when anything was told to be wrong; all of it is.
 */
bool build_route(struct config *c, struct route *r, const struct conf_kinds *kinds, build_tell tell,
                 void *owner);

#endif
