/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_OPTIONS_H
#define WSLUICE_CONF_OPTIONS_H

/*
 * The one table of options. A row says all there is to know about an option: the command line,
 * --help, and the documents' check read it; a new option is a new row and a field in core/config.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"

enum option_type {
    OPTION_FLAG,   /* bool; alone, or on/off */
    OPTION_COUNT,  /* uint64_t */
    OPTION_SIZE,   /* uint64_t, bytes: 64K, 1MiB */
    OPTION_TIME,   /* double, seconds: 100ms, 25s, 5m, 1h; a bare number is seconds */
    OPTION_TEXT,   /* const char * */
    OPTION_LIST,   /* struct text_list; commas separate, repeating adds */
    OPTION_REPEAT, /* struct text_list; every value is one item */
    OPTION_CHOICE, /* int, index into choices */
};

/* Which struct the offset counts in. */
enum option_place { IN_CONFIG, IN_SETTINGS, IN_COMMAND_LINE };

struct option_row {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    enum option_type type;
    enum option_place place;
    size_t offset;
    const char *value;          /* what it takes, in words for --help: "TIME" */
    const char *initial;        /* default, as written; NULL: none */
    const char *const *choices; /* OPTION_CHOICE: NULL-terminated */
    double min, max;            /* COUNT, SIZE, TIME; both 0: no bounds */
    const char *help;
};

/* What only the command line says. */
struct command_line {
    struct text_list listen;
    struct text_list routes;
    const char *to;
    const char *unix_mode;
    bool help, version;
    char **command; /* COMMAND ARG...; NULL: none */
};

extern const struct option_row option_rows[];
extern const size_t option_rows_count;

#define OPTION_ERROR_MAX 256

/* Sets a field from text. False with what is wrong, in words that fit behind "--name: ". base is
 * the struct of row->place. */
bool option_set(const struct option_row *row, void *base, const char *text, struct arena *arena,
                char error[OPTION_ERROR_MAX]);

/* Sets every field of that place to its default. */
bool option_set_defaults(enum option_place place, void *base, struct arena *arena);

/* Rows by name, by letter; NULL: none. The name nearest to a misspelled one; NULL when none is
 * near. */
const struct option_row *option_find(struct slice name);
const struct option_row *option_find_letter(char letter);
const char *option_guess(struct slice name);

/* Adds an item; false without memory. */
bool text_list_add(struct text_list *l, const char *item, struct arena *arena);

#endif
