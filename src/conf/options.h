/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_OPTIONS_H
#define WSLUICE_CONF_OPTIONS_H

/*
 * The one table of options, beside the rows of backends' kinds; core/option.h says what a row says.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "core/option.h"

#define OPTION_ROWS_MAX 128

/* What only the command line says. */
struct command_line {
    struct text_list listen;
    struct text_list routes;
    struct route root; /* what is said about "/": --to, --static; no more than a place for it */
    const char *file;  /* NULL: no --config */
    bool check, dump_config, help_config, dump_schema;
    bool help, help_all, version;
    bool pty;                    /* COMMAND runs on a terminal */
    int completion;              /* enum completion_shell */
    char **command;              /* COMMAND ARG...; NULL: none */
    bool given[OPTION_ROWS_MAX]; /* which of option_rows stand there */
};

/* Of the command line; those IN_CONFIG, IN_SETTINGS and IN_ROUTE are keys of a file, too. */
extern const struct option_row option_rows[];
extern const size_t option_rows_count;
/* Keys of a file only. */
extern const struct option_row file_rows[];
extern const size_t file_rows_count;

#define OPTION_ERROR_MAX 256

/* Sets a field from text. False with what is wrong, in words that fit behind "--name: ". base is
 * the struct of row->place. */
bool option_set(const struct option_row *row, void *base, const char *text, struct arena *arena,
                char error[OPTION_ERROR_MAX]);

/* Adds to an error of option_set how the value is written here, where a habit is known. */
void option_advise(const char *name, const char *value, char error[OPTION_ERROR_MAX]);

/* Sets every field of that place to its default. */
bool option_set_defaults(enum option_place place, void *base, struct arena *arena);

/* Sets the field to nothing, so that a list does not grow. */
void option_clear(const struct option_row *row, void *base);

/* A value written so that option_set reads the same; for types of one text only. */
#define OPTION_TEXT_MAX 64
const char *option_format_number(const struct option_row *row, const void *base,
                                 char out[OPTION_TEXT_MAX]);

/* Copies the field with what it points to; false without memory. Not for OPTION_ARGV. */
bool option_copy(const struct option_row *row, void *to, const void *from, struct arena *arena);

/* The field is the same in both. */
bool option_equal(const struct option_row *row, const void *a, const void *b);

/* Rows of the command line by name, by letter; NULL: none. */
const struct option_row *option_find(struct slice name);
const struct option_row *option_find_letter(char letter);

/* Did you mean? Set name, offer candidates; best is the nearest of them, NULL when none is near. */
struct option_guess {
    struct slice name;
    const char *best;
    size_t distance;
};
void option_guess_add(struct option_guess *g, const char *name);

#endif
