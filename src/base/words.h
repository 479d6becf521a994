/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_WORDS_H
#define WSLUICE_BASE_WORDS_H

/* Words on one line that no shell reads: what in them was meant for one, and how a list says it. */
#include <stddef.h>

enum words_kind {
    WORDS_PLAIN,  /* blanks separate them, nothing else is meant */
    WORDS_QUOTED, /* quotes, or a backslash before a blank, as a shell would take away */
    WORDS_SHELL,  /* a word that is an operator of a shell: |, >, && and others */
};

enum words_kind words_judge(const char *line);

/* A list of YAML (and JSON) of what a shell would make of the line; of WORDS_SHELL one that runs a
 * shell. Cut short with an ellipsis where it does not fit. */
void words_as_list(const char *line, char *out, size_t size);

#endif
