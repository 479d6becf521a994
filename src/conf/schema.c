/* SPDX-License-Identifier: MIT */
#include "conf/schema.h"

#include <string.h>

/* Places whose rows are keys of each map. */
static const unsigned places[] = {
    [SCHEMA_TOP] = 1U << IN_CONFIG | 1U << IN_SETTINGS,
    [SCHEMA_ROUTE] = 1U << IN_ROUTE | 1U << IN_SETTINGS | 1U << IN_TARGET,
    [SCHEMA_LISTEN] = 1U << IN_LISTEN,
    [SCHEMA_CERT] = 1U << IN_CERT,
};

/* Rows come as several arrays: those of files, of options, of each kind. */
static const struct option_row *array_at(const struct conf_kinds *kinds, size_t n, size_t *count,
                                         const struct backend_ops **kind)
{
    *kind = NULL;
    if (n < 2) {
        *count = n == 0 ? file_rows_count : option_rows_count;
        return n == 0 ? file_rows : option_rows;
    }
    *kind = kinds->backends[n - 2];
    *count = *kind != NULL ? (*kind)->rows_count : 0;
    return *kind != NULL ? (*kind)->rows : NULL;
}

const struct option_row *schema_row(const struct conf_kinds *kinds, enum schema_map map, size_t i,
                                    const struct backend_ops **kind)
{
    for (size_t n = 0; n < 2 || kinds->backends[n - 2] != NULL; n++) {
        size_t count;
        const struct option_row *rows = array_at(kinds, n, &count, kind);

        for (size_t k = 0; k < count; k++) {
            if ((places[map] >> rows[k].place & 1) && i-- == 0)
                return &rows[k];
        }
    }
    return NULL;
}

const struct option_row *schema_find(const struct conf_kinds *kinds, enum schema_map map,
                                     const char *name, const struct backend_ops **kind)
{
    for (size_t n = 0; n < 2 || kinds->backends[n - 2] != NULL; n++) {
        size_t count;
        const struct option_row *rows = array_at(kinds, n, &count, kind);

        for (size_t k = 0; k < count; k++) {
            if ((places[map] >> rows[k].place & 1) && strcmp(rows[k].name, name) == 0)
                return &rows[k];
        }
    }
    return NULL;
}

const char *schema_guess(const struct conf_kinds *kinds, enum schema_map map, const char *name)
{
    struct option_guess guess = {.name = slice_from(name)};
    const struct backend_ops *kind;
    const struct option_row *row;

    for (size_t i = 0; (row = schema_row(kinds, map, i, &kind)) != NULL; i++)
        option_guess_add(&guess, row->name);
    return guess.best;
}
