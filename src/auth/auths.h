/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_AUTH_AUTHS_H
#define WSLUICE_AUTH_AUTHS_H

/* The kinds of authentication there are; src/server/kinds.c lists them. */
#include "core/auth/auth.h"

extern const struct auth_ops auth_basic;       /* name and password, from an htpasswd file */
extern const struct auth_ops auth_bearer;      /* a token, from a file of tokens */
extern const struct auth_ops auth_client_cert; /* a certificate that TLS has verified */
extern const struct auth_ops auth_hook;        /* what a program or an HTTP server says */

#endif
