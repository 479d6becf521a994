/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_AUTH_PASSWD_H
#define WSLUICE_AUTH_PASSWD_H

/*
 * `wsluice passwd [FILE] NAME`: makes a line of a file for `auth: basic`. The password comes from
 * the terminal, twice and without echo, or is the only line of standard input; it is in no argument
 * and no environment. With FILE that line replaces the user's, or is added: the file is replaced as
 * a whole, with the mode and owner it had; a new one has mode 0600. Without FILE the line is
 * printed.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define PASSWD_WORD "passwd"

/* argv[0] is "passwd". The exit status: 0; 1 it could not be done; 2 wrong usage. */
int passwd_run(int argc, char **argv);

/* passwd_read.c: into out, a text of at least one byte. False with what is wrong, constant or of
 * strerror. */
bool passwd_read(char *out, size_t size, const char **wrong);

/* The text with `line` in the place of the user's line, whose part behind a second colon stays, or
 * at the end; by malloc, *len its length. *was_there: it was in the place of one. NULL without
 * memory. */
char *passwd_put(struct slice text, const char *name, const char *line, size_t *len,
                 bool *was_there);

#endif
