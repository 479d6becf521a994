/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SESSION_SESSION_KEY_H
#define WSLUICE_CORE_SESSION_SESSION_KEY_H

/* Which session a request means, on routes whose sessions outlive a connection. */
#include "core/request.h"
#include "proto/secret.h"

enum session_keyed { SESSION_KEYED, SESSION_KEY_NONE, SESSION_KEY_NO_MEMORY };

/*
 * The key under which that session is found: a digest, under the process's own random key, of the
 * route and of whose it is (docs/sessions.md): the visitor's token with the page's origin and who
 * the visitor is; the user; the room. So nobody finds another's, and no token is kept.
 *
 * NONE when the request means none: its session is its own, as everywhere.
 */
enum session_keyed session_key(const struct worker *w, const struct route *route,
                               const struct request *r, uint8_t key[SECRET_MAC_SIZE]);

/* Of a route with SESSION_OF_ROOM, the name of the room that the request means, in out; false when
 * it is too long. */
#define SESSION_ROOM_MAX 512
bool session_room(const struct route *route, const struct request *r, char out[SESSION_ROOM_MAX]);

#endif
