/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_TRUST_H
#define WSLUICE_SERVER_TRUST_H

/*
 * The files that a configuration names and that we act by: keys, certificates, authorities,
 * passwords, tokens, bans, secrets, programs of hooks. As root we take them only where nobody else
 * could have written them (base/trusted_file.h); files of the configuration itself are judged by
 * who reads them. They are looked at by path and opened later: who could change that in between is
 * who is trusted.
 */
#include <sys/types.h>

#include "core/config.h"

/* Tells each that is not to be taken: where it is named (NULL: no file), as what, and why. user:
 * whose files they may be beside root's. */
void trust_judge(const struct config *c, uid_t user,
                 void (*tell)(void *arg, const char *where, const char *what, const char *why),
                 void *arg);

#endif
