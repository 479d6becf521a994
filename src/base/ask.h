/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_ASK_H
#define WSLUICE_BASE_ASK_H

/*
 * Questions that the C library answers by asking somebody else, and as long as that takes: names by
 * name servers, accounts by a directory. Before we serve that is right. Later it is not, since all
 * sessions would wait: so then a process of its own asks, and gets what is left of a time that is
 * granted to all such questions together.
 */
#include <stdbool.h>
#include <stddef.h>

struct ask_limit {
    bool is_limited;
    double left; /* seconds, while is_limited */
};

/*
 * Fills the size bytes at `answer` by calling question(arg, answer); is_limited: in a process of
 * its own, which is killed when the time is over. False with errno (ETIMEDOUT: no answer in time);
 * then what is in answer means nothing. NULL for a: without limit. `question` opens and changes
 * nothing that outlives it.
 */
bool ask_within(struct ask_limit *a, void (*question)(const void *arg, void *answer),
                const void *arg, void *answer, size_t size);

/* errno of ask_within in words for people. */
const char *ask_error(int err);

#endif
