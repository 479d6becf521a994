/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_HABITS_H
#define WSLUICE_CONF_HABITS_H

/*
 * What users of websocketd, websockify, ttyd, websocat, socat and nginx write by habit, and how the
 * same is written here. Nothing is accepted that was not: only the message of what is wrong anyway
 * ends in words that work.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define HABIT_ADVICE_MAX 256

/* Where something was written, and what habits_find is given of it. */
enum habit_place {
    HABIT_LISTEN,  /* an address to listen on */
    HABIT_TARGET,  /* the address of a service */
    HABIT_ROUTE,   /* the value of --route */
    HABIT_COMMAND, /* COMMAND and its arguments, blanks between; no such program */
    HABIT_VALUE,   /* name of an option or key, a blank, its value */
    HABIT_TIME,    /* the value of an option that is a time */
    HABIT_SIZE,    /* or a size */
    HABIT_YAML,    /* a line of a file, without the blanks around it */
};

/* How it is written here: an advice that begins with a verb. False when there is none. */
bool habits_find(enum habit_place place, const char *written, char out[HABIT_ADVICE_MAX]);

/* How that option of another tool's is written here; name: without dashes; value: NULL for none.
 * False when there is no advice. */
bool habits_find_option(struct slice name, const char *value, char out[HABIT_ADVICE_MAX]);

/* How that key of another tool's file is written here. False when there is no advice. */
bool habits_find_key(const char *name, char out[HABIT_ADVICE_MAX]);

#endif
