/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_AUTH_HTPASSWD_H
#define WSLUICE_AUTH_HTPASSWD_H

/*
 * A file of users and hashed passwords: lines `user:hash`, blank ones and comments (#) left out;
 * what stands behind a second colon is nobody's. Hashes as of crypt(5): yescrypt $y$, bcrypt $2a$
 * $2b$ $2y$, SHA-crypt $5$ $6$. Weaker ones are refused.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define HTPASSWD_USER_MAX 255
#define HTPASSWD_ERROR_MAX 256

struct htpasswd_user {
    const char *name, *hash; /* into the text */
};

struct htpasswd {
    struct htpasswd_user *users; /* by name */
    size_t count;
};

/* Reads text, in which it writes, and which must stay. False with "LINE: what is wrong". */
bool htpasswd_parse(struct htpasswd *h, char *text, char why[HTPASSWD_ERROR_MAX]);
void htpasswd_release(struct htpasswd *h);

/* The user's hash; NULL: no such user. */
const char *htpasswd_find(const struct htpasswd *h, struct slice name);

#endif
