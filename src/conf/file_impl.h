/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_FILE_IMPL_H
#define WSLUICE_CONF_FILE_IMPL_H

/*
 * The inside of reading files, for file*.c only. First all files are read and their top levels set;
 * then listeners and routes are built, which need the defaults.
 *
 *   file.c         files, includes, the top level
 *   file_parts.c   listeners and routes
 *   file_value.c   one value of a tree to a field
 */
#include "conf/build.h"
#include "conf/file.h"
#include "conf/yaml.h"

/* Nodes to be built later, in the order read. */
struct parts {
    struct part {
        const struct yaml_node *node;
        struct part *next;
    } * first, **end;
    size_t count;
};

struct loader {
    struct config *config;
    const struct command_line *cli;
    const struct conf_kinds *kinds;
    struct faults *faults;
    struct arena scratch; /* trees and texts of files; gone with the loader */
    struct config unused; /* takes values that the command line overrides */
    struct set_key {      /* keys of the top level that were set */
        const struct option_row *row;
        struct spot at; /* of the value */
        struct set_key *next;
    } * set;
    struct seen_file {
        uint64_t dev, ino;
        struct seen_file *next;
    } * seen;
    size_t files;
    struct parts listen, routes;
};

void parts_add(struct loader *l, struct parts *parts, const struct yaml_node *node);

/* file_parts.c */
void parts_build_listeners(struct loader *l);
void parts_build_routes(struct loader *l);

/* file_value.c: false when a fault was told. The row is not of type OPTION_NODES. */
bool value_set(struct loader *l, const struct option_row *row, void *base,
               const struct yaml_node *value);
/* The key of this value is none of the map. */
void value_unknown(struct loader *l, enum schema_map map, const struct yaml_node *value);
/* "a list", "a map", "one value" */
const char *value_kind_name(const struct yaml_node *node);
void value_no_memory(struct loader *l);

#endif
