/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_YAML_H
#define WSLUICE_CONF_YAML_H

/*
 * A YAML document as a tree that knows where everything stands. JSON is a part of YAML. Refused,
 * because nothing here needs them and each is a way to be misunderstood: anchors, aliases, tags,
 * several documents, keys that stand twice in a map or are no text, NUL in a text.
 */
#include <stdbool.h>

#include "base/arena.h"
#include "conf/faults.h"

#define YAML_FILE_MAX (1024U * 1024U) /* bytes */
#define YAML_DEPTH_MAX 16
#define YAML_NODES_MAX 100000U
#define YAML_KEYS_MAX 1000U /* in one map */

enum yaml_kind {
    YAML_BAD, /* a fault was told already */
    YAML_SCALAR,
    YAML_LIST,
    YAML_MAP,
};

struct yaml_node {
    enum yaml_kind kind;
    bool plain; /* a scalar without quotes */
    struct spot at;
    const char *text;               /* SCALAR */
    const struct yaml_node *key;    /* of a value in a map: its key, a SCALAR */
    struct yaml_node *first, *next; /* LIST, MAP: the first child; the sibling behind this one */
    size_t count;                   /* LIST, MAP: children */
};

/*
 * Reads text (file is its name, kept by pointer) into a tree in the arena. NULL when there is none:
 * the file is empty, or not YAML. What is wrong is added to the faults; a tree may come with
 * faults.
 */
struct yaml_node *yaml_read(const char *file, struct slice text, struct arena *arena,
                            struct faults *faults);

/* The value of a key in a MAP; NULL: none. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* A plain scalar that YAML has for no value: "", "~" or "null". */
bool yaml_is_null(const struct yaml_node *node);

#endif
