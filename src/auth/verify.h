/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_AUTH_VERIFY_H
#define WSLUICE_AUTH_VERIFY_H

/*
 * Checking a password against its hash takes a tenth of a second and more, on purpose, so the loop
 * must not do it: we run ourselves again as `wsluice auth-verify`, which reads "password\0hash\0"
 * from its standard input and exits with 0 when they belong together, with 1 when not. Neither is
 * in the arguments or the environment, where others could see them.
 */
#include "core/auth/auth_job.h"

#define VERIFY_WORD "auth-verify"
#define VERIFY_PASSWORD_MAX 511 /* bytes; as libcrypt has it */
#define VERIFY_HASH_MAX 383

/* What that process does: main() goes here. */
int verify_main(void);

/* On behalf of client. NULL when too many wait. `done` as in core/auth/auth_job.h. The text of
 * password must not hold NUL. */
struct auth_job *verify_start(struct auth_queue *q, const union addr *client, struct slice password,
                              const char *hash,
                              void (*done)(void *owner, int status, struct slice out), void *owner);

#endif
