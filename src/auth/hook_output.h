/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_AUTH_HOOK_OUTPUT_H
#define WSLUICE_AUTH_HOOK_OUTPUT_H

/* What a hook program says about somebody who may pass: lines `user NAME` (the last one counts) and
 * `env NAME=VALUE` (names of capital letters, digits and _; at most AUTH_ENV_MAX). Other lines,
 * values with control characters, and names that nobody may have, are left out. */
#include "core/auth/auth.h"

/* NULL without memory. */
struct auth_grant *hook_output_grant(struct slice out);

#endif
