/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_EXEC_ENV_H
#define WSLUICE_BACKEND_EXEC_ENV_H

/*
 * The environment of a program: an allow-list and nothing else.
 *
 * - of ours: PATH, LANG, LC_*, TZ, and what `pass-env` names;
 * - CGI (RFC 3875, section 4.1): GATEWAY_INTERFACE SERVER_SOFTWARE SERVER_NAME SERVER_PORT
 *   SERVER_PROTOCOL REQUEST_METHOD REQUEST_URI SCRIPT_NAME PATH_INFO QUERY_STRING REMOTE_ADDR
 *   REMOTE_PORT REMOTE_USER HTTPS, and UNIQUE_ID;
 * - SSL_PROTOCOL over TLS; SSL_CLIENT_VERIFY (SUCCESS, NONE, FAILED:why) where certificates are
 * asked for; after SUCCESS SSL_CLIENT_S_DN (not known of a proxy's TLS) and SSL_CLIENT_S_DN_CN;
 * - WSLUICE_PROXY_AUTHORITY, WSLUICE_PROXY_ALPN, WSLUICE_PROXY_UNIQUE_ID as a trusted proxy's PROXY
 *   header says;
 * - WSLUICE_ROUTE, WSLUICE_SUBPROTOCOL, and WSLUICE_CAPTURE_NAME for what the path captured;
 * - headers, HTTP_NAME: letters, digits and hyphens only become names; a hyphen becomes an
 *   underscore. When two different names give one variable, both are dropped. Never HTTP_PROXY (it
 *   means something to programs), nor the credentials of Authorization and Proxy-Authorization.
 *   Repeated fields are joined by ", ";
 * - what an auth-hook said;
 * - `env`: NAME=VALUE, last and strongest.
 *
 * A value with a control byte is left out, as is one that begins like a shell function, "() {".
 */
#include "core/backend.h"

/* When we have none ourselves. */
#define EXEC_DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

struct exec_env {
    char **vars; /* NULL-terminated, for execve */
    size_t count, cap;
    bool failed; /* out of memory */
};

/* -1 without memory. ours is our own environment (environ). */
int exec_env_build(struct exec_env *e, const struct backend_open *o, char *const *ours);
/* One more, unless its value has control bytes. -1 without memory, and then e is released. */
int exec_env_add(struct exec_env *e, const char *name, struct slice value);
/* Adds a variable unless one of its name is there. -1 without memory, and then e is released. */
int exec_env_default(struct exec_env *e, const char *name, const char *value);
/* It is there and not empty. */
bool exec_env_says(const struct exec_env *e, const char *name);
void exec_env_release(struct exec_env *e);

#endif
