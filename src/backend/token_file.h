/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_TOKEN_FILE_H
#define WSLUICE_BACKEND_TOKEN_FILE_H

/*
 * Which service a token stands for, as websockify's TokenFile has it: a file with lines
 * `TOKEN: HOST:PORT` or `TOKEN: unix:PATH`, or a directory of such files. Blank lines and those
 * that begin with # are left out. It is read at each look, so a change holds at once.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/secret.h"

#define TOKEN_FILE_SIZE_MAX (1U << 20)
#define TOKEN_FILES_MAX 1024 /* of a directory */

struct token_target {
    char host[256]; /* or the path of a Unix socket */
    uint16_t port;
    bool is_unix;
    uint8_t mac[SECRET_MAC_SIZE]; /* of the token, under the worker's key; be_tcp.c only */
    bool broken;                  /* the list itself, or the line of this token, is no good */
    char why[200]; /* what could not be read; also when the rest of a directory was */
};

/*
 * False when the token stands nowhere, with t->broken and t->why when a file was unreadable or a
 * line of it wrong. Files of a directory are opened below it: no symbolic link leads out; those
 * whose names begin with a dot are left out.
 */
bool token_file_find(const char *path, struct slice token, struct token_target *t);

/* One line; exported for tests. True when it is the token's. */
bool token_file_line(struct slice line, struct slice token, struct token_target *t);

#endif
