/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CLI_COMPLETION_IMPL_H
#define WSLUICE_CLI_COMPLETION_IMPL_H

/* What the scripts of all shells are made from. */
#include <stdio.h>

#include "conf/options.h"
#include "ctl/ctl.h"

/* What can be offered for a value. */
enum offer {
    OFFER_NOTHING,
    OFFER_FILES,
    OFFER_FOLDERS,
    OFFER_WORDS,     /* see completion_print_words */
    OFFER_ADDRESSES, /* the same, to go on with: no blank behind them */
    OFFER_USERS,
    OFFER_VARIABLES,
    OFFER_COMMANDS,
    OFFER_SESSIONS, /* of the running server: by number */
    OFFER_BANS,     /* of the running server: by address */
};

enum offer completion_offer(const struct option_row *row);

/* The words of an OFFER_WORDS or OFFER_ADDRESSES, blanks between. */
void completion_print_words(const struct option_row *row, FILE *out);

bool completion_takes_value(const struct option_row *row);

/* Of the first argument of an order of ctl; words: of OFFER_WORDS. */
enum offer completion_order(const struct ctl_order *order, const char **words);

/* Names of our examples, blanks between. */
void completion_print_examples(FILE *out);

/* Text inside '...' of a shell. quote: how that shell writes a quote there; special: bytes that it
 * wants a backslash before. */
void completion_print_quoted(const char *text, const char *quote, const char *special, FILE *out);

/* What makes words of the answers of `ctl --json sessions` and `ctl --json bans`. */
#define COMPLETION_SESSIONS "grep -o '\"id\":[0-9]*' | cut -d: -f2"
#define COMPLETION_BANS "grep -o '\"network\":\"[^\"]*' | cut -d'\"' -f4"

void completion_print_bash(FILE *out);
void completion_print_zsh(FILE *out);
void completion_print_fish(FILE *out);

#endif
