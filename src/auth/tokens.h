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

struct token {
    uint8_t mac[SECRET_MAC_SIZE];
    char *name; /* "": none */
};

struct tokens {
    uint8_t key[SECRET_KEY_SIZE]; /* random */
    struct token *all;
    size_t count;
};

/* Keeps digests only; writes in text. False with "LINE: what is wrong", which shows nothing of the
 * line. */
bool tokens_parse(struct tokens *t, char *text, char why[TOKENS_ERROR_MAX]);
void tokens_release(struct tokens *t);

/* Looks at all of them whichever it is. *name belongs to t. */
bool tokens_have(const struct tokens *t, struct slice token, const char **name);

#endif
