/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_AUTH_TOKENS_H
#define WSLUICE_AUTH_TOKENS_H

/* A list of tokens: lines `TOKEN` or `NAME TOKEN`, blank ones and comments (#) left out. A token is
 * of printable ASCII without blanks. */
#include <stdbool.h>
#include <stddef.h>

#include "proto/secret.h"

#define TOKENS_MIN 8 /* bytes of a token; shorter ones are guessed */
#define TOKENS_MAX 4096
#define TOKENS_ERROR_MAX 256

#define TOKENS_HANDLE_SIZE 16

struct token {
    uint8_t mac[SECRET_MAC_SIZE];       /* the same in each reading */
    uint8_t handle[TOKENS_HANDLE_SIZE]; /* made when first needed */
    char *name;                         /* "": none */
};

struct tokens {
    struct token *all;
    size_t count;
    bool has_handles;
};

/* Keeps digests only; writes in text. False with "LINE: what is wrong", which shows nothing of the
 * line. */
bool tokens_parse(struct tokens *t, char *text, char why[TOKENS_ERROR_MAX]);
void tokens_release(struct tokens *t);

/* NULL: not there. Looks at all of them whichever it is. */
const struct token *tokens_find(const struct tokens *t, struct slice token);

/* What stands for a token where others may see it: a digest of its digest under that key, which is
 * always the same. False without memory. */
bool tokens_handle(const struct token *t, const uint8_t key[SECRET_KEY_SIZE],
                   uint8_t handle[TOKENS_HANDLE_SIZE]);
const struct token *tokens_by_handle(struct tokens *t, const uint8_t key[SECRET_KEY_SIZE],
                                     struct slice handle);

#endif
