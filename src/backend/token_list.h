/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_TOKEN_LIST_H
#define WSLUICE_BACKEND_TOKEN_LIST_H

/*
 * A file of tokens and their services, or a directory of such files, in memory. At each look it is
 * seen whether it has changed, and read again only then: a guess costs no reading. So a change
 * holds at once; what is written into a file of a directory in its place, within a second.
 */
#include "backend/token_file.h"

#define TOKEN_FILE_SIZE_MAX (1U << 20)  /* bytes */
#define TOKEN_LIST_SIZE_MAX (16U << 20) /* bytes of all files of a directory */
#define TOKEN_FILES_MAX 1024            /* of a directory */

struct token_list;

/* path is borrowed. NULL without memory. */
struct token_list *token_list_new(const char *path);
void token_list_free(struct token_list *l); /* wipes what was read; NULL is fine */

/*
 * now: worker time. False when the token stands nowhere; then with t->broken and t->why when a file
 * could not be read or the line is wrong. Files of a directory are opened below it: no symbolic
 * link leads out; those whose names begin with a dot are left out.
 */
bool token_list_find(struct token_list *l, double now, struct slice token, struct token_target *t);

/* How often it was read; for tests. */
unsigned token_list_reads(const struct token_list *l);

#endif
