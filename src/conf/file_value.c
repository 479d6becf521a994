/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/words.h"
#include "conf/file_impl.h"
#include "conf/habits.h"

void value_no_memory(struct loader *l)
{
    faults_add(l->faults, NULL, "out of memory");
}

const char *value_kind_name(const struct yaml_node *node)
{
    return node->kind == YAML_LIST ? "a list" : node->kind == YAML_MAP ? "a map" : "one value";
}

static bool file_set_text(struct loader *l, const struct option_row *row, void *base,
                          const struct yaml_node *value, const char *text)
{
    char why[OPTION_ERROR_MAX];
    const char *copy = arena_dup(&l->config->arena, slice_from(text));

    if (copy == NULL) {
        value_no_memory(l);
        return false;
    }
    if (option_set(row, base, copy, &l->config->arena, why))
        return true;
    option_advise(row->name, text, why);
    faults_add(l->faults, &value->at, "%s: %s", row->name, why);
    return false;
}

/* The text of an item, or NULL with a fault told. */
static const char *item_text(struct loader *l, const struct option_row *row,
                             const struct yaml_node *item)
{
    if (item->kind == YAML_SCALAR && !yaml_is_null(item))
        return item->text;
    if (item->kind == YAML_SCALAR)
        faults_add(l->faults, &item->at, "%s: an item is empty; write \"\" for an empty text",
                   row->name);
    else if (item->kind != YAML_BAD)
        faults_add(l->faults, &item->at, "%s: an item is %s, not a text", row->name,
                   value_kind_name(item));
    return NULL;
}

/* Items of a YAML list are taken as they are: commas do not separate there. */
static bool set_items(struct loader *l, const struct option_row *row, void *base,
                      const struct yaml_node *value)
{
    struct option_row as_is = *row;
    bool ok = true;

    if (row->type == OPTION_LIST)
        as_is.type = OPTION_REPEAT;
    for (const struct yaml_node *item = value->first; item != NULL; item = item->next) {
        const char *text = item_text(l, row, item);

        ok = text != NULL && file_set_text(l, &as_is, base, item, text) && ok;
    }
    return ok;
}

static bool set_pairs(struct loader *l, const struct option_row *row, void *base,
                      const struct yaml_node *value)
{
    bool ok = true;

    for (const struct yaml_node *item = value->first; item != NULL; item = item->next) {
        const char *name = item->key->text, *text = item_text(l, row, item);
        size_t size = strlen(name) + (text != NULL ? strlen(text) : 0) + 2;
        char *pair = text != NULL ? arena_alloc(&l->scratch, size) : NULL;

        if (text == NULL) {
            ok = false;
        } else if (pair == NULL) {
            value_no_memory(l);
            ok = false;
        } else if (name[0] == '\0' || strchr(name, '=') != NULL) {
            faults_add(l->faults, &item->key->at, "%s: \"%.60s\" is no name for a variable",
                       row->name, name);
            ok = false;
        } else {
            snprintf(pair, size, "%s=%s", name, text);
            ok = file_set_text(l, row, base, item, pair) && ok;
        }
    }
    return ok;
}

static bool set_argv(struct loader *l, const struct option_row *row, void *base,
                     const struct yaml_node *value)
{
    char **argv = arena_alloc(&l->config->arena, (value->count + 1) * sizeof *argv);
    size_t n = 0;

    if (argv == NULL) {
        value_no_memory(l);
        return false;
    }
    for (const struct yaml_node *item = value->first; item != NULL; item = item->next) {
        const char *text = item_text(l, row, item);

        if (text == NULL)
            return false;
        argv[n] = arena_dup(&l->config->arena, slice_from(text));
        if (argv[n++] == NULL) {
            value_no_memory(l);
            return false;
        }
    }
    if (n == 0 || argv[0][0] == '\0') {
        faults_add(l->faults, &value->at, "%s: a program is needed", row->name);
        return false;
    }
    *(char ***)((char *)base + row->offset) = argv;
    return true;
}

/* What a value of each type may be, beside one text. */
static bool file_takes(const struct option_row *row, const struct yaml_node *value)
{
    bool is_list = row->type == OPTION_LIST || row->type == OPTION_REPEAT ||
                   row->type == OPTION_PAIRS || row->type == OPTION_ARGV;

    if (value->kind == YAML_MAP)
        return row->type == OPTION_PAIRS;
    if (value->kind == YAML_LIST)
        return is_list;
    return row->type != OPTION_ARGV;
}

static void tell_kind(struct loader *l, const struct option_row *row, const struct yaml_node *value)
{
    char list[200];

    if (row->type == OPTION_ARGV && value->kind == YAML_SCALAR) {
        words_as_list(value->text, list, sizeof list);
        faults_add(l->faults, &value->at,
                   "%s: a list of words is needed here, this is one value; write %s: %s", row->name,
                   row->name, list);
        return;
    }
    faults_add(l->faults, &value->at, "%s: %s is needed here, this is %s", row->name,
               row->type == OPTION_ARGV ? "a list of words" : "one value", value_kind_name(value));
}

bool value_set(struct loader *l, const struct option_row *row, void *base,
               const struct yaml_node *value)
{
    if (value->kind == YAML_BAD)
        return false;
    if (yaml_is_null(value)) {
        faults_add(l->faults, &value->at, "%s: a value is missing (%s)", row->name,
                   row->value != NULL ? row->value : "on or off");
        return false;
    }
    if (!file_takes(row, value)) {
        tell_kind(l, row, value);
        return false;
    }
    option_clear(row, base);
    if (row->type == OPTION_ARGV)
        return set_argv(l, row, base, value);
    if (value->kind == YAML_MAP)
        return set_pairs(l, row, base, value);
    if (value->kind == YAML_LIST)
        return set_items(l, row, base, value);
    return file_set_text(l, row, base, value, value->text);
}

void value_unknown(struct loader *l, enum schema_map map, const struct yaml_node *value)
{
    static const char *const names[] = {"the top level", "a route", "an item of listen", "tls"};
    const struct spot *at = &value->key->at;
    const char *key = value->key->text, *guess = schema_guess(l->kinds, map, key);
    const struct backend_ops *kind;
    char advice[HABIT_ADVICE_MAX];

    for (enum schema_map other = SCHEMA_TOP; other <= SCHEMA_CERT; other++) {
        if (schema_find(l->kinds, other, key, &kind) == NULL)
            continue;
        faults_add(l->faults, at, "%.60s belongs to %s, not to %s%s", key, names[other], names[map],
                   map == SCHEMA_ROUTE && strcmp(key, "user") == 0
                       ? "; whose process a program is says run-as"
                       : "");
        return;
    }
    if (habits_find_key(key, advice))
        faults_add(l->faults, at, "unknown key %.60s; %s", key, advice);
    else if (key[0] == '/' && map != SCHEMA_CERT)
        faults_add(l->faults, at, "unknown key %.60s; write - path: %.60s at an item of routes",
                   key, key);
    else if (guess != NULL)
        faults_add(l->faults, at, "unknown key %.60s; did you mean %s?", key, guess);
    else
        faults_add(l->faults, at, "unknown key %.60s; see wsluice --help-config", key);
}
