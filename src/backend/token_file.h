/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_TOKEN_FILE_H
#define WSLUICE_BACKEND_TOKEN_FILE_H

/*
 * Which service a token stands for, as websockify's TokenFile has it: lines `TOKEN: HOST:PORT` or
 * `TOKEN: unix:PATH`. Blank lines and those that begin with # are left out. A token ends at the
 * first colon with a blank behind it, or where there is none such at the first (`TOKEN:HOST:PORT`);
 * the port stands behind the last one, so IPv6 addresses need no brackets. The files themselves are
 * backend/token_list.h's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/secret.h"

struct token_target {
    char host[256]; /* or the path of a Unix socket */
    uint16_t port;
    bool is_unix;
    uint8_t mac[SECRET_MAC_SIZE]; /* of the token, under the worker's key; be_tcp.c only */
    bool broken;                  /* the list itself, or the line of this token, is no good */
    char why[200]; /* what could not be read; also when the rest of a directory was */
};

/* True when this line is the token's; with t->broken and t->why when it is and says nothing. */
bool token_file_line(struct slice line, struct slice token, struct token_target *t);

#endif
