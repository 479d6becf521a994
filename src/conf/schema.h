/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_SCHEMA_H
#define WSLUICE_CONF_SCHEMA_H

/* Which rows are the keys of a map in a file: of the file itself, of a route, of a listener, of its
 * certificates. */
#include <stdio.h>

#include "conf/options.h"
#include "core/backend.h"

/* The kinds a config may name; from src/server/kinds.c, which conf does not see. Both
 * NULL-terminated. */
struct conf_kinds {
    const struct backend_ops *const *backends;
    const struct framing *const *framings;
};

enum schema_map { SCHEMA_TOP, SCHEMA_ROUTE, SCHEMA_LISTEN, SCHEMA_CERT };

/* The i-th key; NULL behind the last. *kind is the backend whose row it is, or NULL. */
const struct option_row *schema_row(const struct conf_kinds *kinds, enum schema_map map, size_t i,
                                    const struct backend_ops **kind);
/* A key by its name; NULL: none. */
const struct option_row *schema_find(const struct conf_kinds *kinds, enum schema_map map,
                                     const char *name, const struct backend_ops **kind);
/* The nearest key to a misspelled one; NULL when none is near. */
const char *schema_guess(const struct conf_kinds *kinds, enum schema_map map, const char *name);

/* --help-config: every key with its type, default and what a reload does. */
void schema_print_help(const struct conf_kinds *kinds, FILE *out);
/* --dump-schema: the same as JSON Schema, draft 7. */
void schema_print_json(const struct conf_kinds *kinds, FILE *out);

#endif
