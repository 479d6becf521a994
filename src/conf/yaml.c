/* SPDX-License-Identifier: MIT */
#include "conf/yaml.h"

#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "conf/habits.h"

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    struct faults *faults;
    const char *file;
    struct slice text;
    size_t nodes;
    bool failed; /* nothing more can be read */
};

static struct spot spot_of(const struct reader *r, yaml_mark_t mark)
{
    return (struct spot){r->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* Where a byte stands that is no UTF-8: the parser knows no line for it. */
static struct spot spot_of_byte(const struct reader *r, size_t offset)
{
    struct spot at = {r->file, 1, 1};

    for (size_t i = 0; i < offset && i < r->text.len; i++) {
        at.column++;
        if (r->text.p[i] == '\n') {
            at.line++;
            at.column = 1;
        }
    }
    return at;
}

/* The first is 1. */
static struct slice line_at(const struct reader *r, unsigned line)
{
    struct slice rest = r->text, text = slice_cut(rest, '\n', &rest);

    while (line-- > 1 && rest.p != NULL)
        text = slice_cut(rest, '\n', &rest);
    return text;
}

/* How it is written here; the fault may be in the line before the one where it was noticed. */
static bool advise(const struct reader *r, unsigned line, char advice[HABIT_ADVICE_MAX])
{
    for (unsigned i = 0; i < 2 && i < line; i++) {
        const char *text = arena_dup(r->arena, slice_trim(line_at(r, line - i)));

        if (text != NULL && habits_find(HABIT_YAML, text, advice))
            return true;
    }
    return false;
}

/* Among the blanks that the line begins with is a tab. */
static bool is_indented_by_tab(const struct reader *r, unsigned line)
{
    struct slice text = line_at(r, line);

    for (size_t i = 0; i < text.len && (text.p[i] == ' ' || text.p[i] == '\t'); i++) {
        if (text.p[i] == '\t')
            return true;
    }
    return false;
}

static void tell_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    bool bytes = p->error == YAML_READER_ERROR;
    struct spot at = bytes ? spot_of_byte(r, p->problem_offset) : spot_of(r, p->problem_mark);
    char advice[HABIT_ADVICE_MAX] = "";

    if (is_indented_by_tab(r, at.line))
        snprintf(advice, sizeof advice, "lines are indented with blanks, not with tabs");
    else if (!bytes)
        (void)advise(r, at.line, advice);
    faults_add(r->faults, &at, "not valid YAML: %s%s%s%s%s",
               p->problem ? p->problem : "out of memory", p->context ? ", " : "",
               p->context ? p->context : "", advice[0] != '\0' ? "; " : "", advice);
}

/* The next event, to be deleted by the caller; false at the end of what can be read. */
static bool next_event(struct reader *r, yaml_event_t *event)
{
    if (r->failed)
        return false;
    if (yaml_parser_parse(&r->parser, event))
        return true;
    tell_syntax(r);
    r->failed = true;
    return false;
}

static void yaml_stop(struct reader *r, struct spot at, const char *why)
{
    if (!r->failed)
        faults_add(r->faults, &at, "%s", why);
    r->failed = true;
}

static struct yaml_node *new_node(struct reader *r, const yaml_event_t *event)
{
    struct yaml_node *node = arena_alloc(r->arena, sizeof *node);

    if (node == NULL) {
        yaml_stop(r, spot_of(r, event->start_mark), "out of memory");
        return NULL;
    }
    node->at = spot_of(r, event->start_mark);
    if (++r->nodes > YAML_NODES_MAX)
        yaml_stop(r, node->at, "the file has too many parts");
    return node;
}

/* Anchors and tags, wherever they may stand. */
static void refuse_ornaments(struct reader *r, const struct yaml_node *node,
                             const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor != NULL)
        faults_add(r->faults, &node->at, "anchors (&%.60s) are not possible here",
                   (const char *)anchor);
    if (tag != NULL)
        faults_add(r->faults, &node->at, "tags (%.60s) are not possible here", (const char *)tag);
}

static void fill_scalar(struct reader *r, struct yaml_node *node, const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t n = event->data.scalar.length;

    node->kind = YAML_SCALAR;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    refuse_ornaments(r, node, event->data.scalar.anchor, event->data.scalar.tag);
    if (memchr(value, '\0', n) != NULL) {
        faults_add(r->faults, &node->at, "a text cannot hold NUL");
        node->kind = YAML_BAD;
    }
    node->text = arena_dup(r->arena, slice_of(value, n));
    if (node->text == NULL)
        yaml_stop(r, node->at, "out of memory");
}

static struct yaml_node *read_node(struct reader *r, yaml_event_t *event, unsigned depth);

static void fill_list(struct reader *r, struct yaml_node *node, unsigned depth)
{
    struct yaml_node **end = &node->first;
    yaml_event_t event;

    while (next_event(r, &event)) {
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return;
        }
        *end = read_node(r, &event, depth + 1);
        if (*end != NULL)
            end = &(*end)->next;
        node->count++;
    }
}

/* A key is text, and new. */
static void judge_key(struct reader *r, const struct yaml_node *map, struct yaml_node *key)
{
    const struct yaml_node *first;

    if (r->failed)
        return;
    if (key->kind != YAML_SCALAR) {
        if (key->kind != YAML_BAD)
            faults_add(r->faults, &key->at, "a key must be a text");
        key->kind = YAML_BAD;
        return;
    }
    first = yaml_get(map, key->text);
    if (first == NULL)
        return;
    faults_add(r->faults, &key->at, "the key %.60s stands twice, first in line %u", key->text,
               first->key->at.line);
    key->kind = YAML_BAD;
}

static void fill_map(struct reader *r, struct yaml_node *node, unsigned depth)
{
    struct yaml_node **end = &node->first, *key = NULL, *value;
    yaml_event_t event;

    while (next_event(r, &event)) {
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return;
        }
        value = read_node(r, &event, depth + 1);
        if (value == NULL)
            return;
        if (key == NULL) {
            key = value;
            judge_key(r, node, key);
            continue;
        }
        value->key = key;
        if (key->kind == YAML_SCALAR) {
            *end = value;
            end = &value->next;
        }
        if (++node->count > YAML_KEYS_MAX)
            yaml_stop(r, key->at, "the map has too many keys");
        key = NULL;
    }
}

/* The node that begins with this event, which is deleted. NULL: nothing more can be read. */
static struct yaml_node *read_node(struct reader *r, yaml_event_t *event, unsigned depth)
{
    struct yaml_node *node = new_node(r, event);
    yaml_event_type_t type = event->type;

    if (node == NULL) {
        yaml_event_delete(event);
        return NULL;
    }
    if (depth > YAML_DEPTH_MAX) {
        yaml_stop(r, node->at, "nested too deeply, more than 16 levels");
    } else if (type == YAML_ALIAS_EVENT) {
        faults_add(r->faults, &node->at, "aliases (*%.60s) are not possible here",
                   (const char *)event->data.alias.anchor);
    } else if (type == YAML_SCALAR_EVENT) {
        fill_scalar(r, node, event);
    } else if (type == YAML_SEQUENCE_START_EVENT) {
        node->kind = YAML_LIST;
        refuse_ornaments(r, node, event->data.sequence_start.anchor,
                         event->data.sequence_start.tag);
    } else if (type == YAML_MAPPING_START_EVENT) {
        node->kind = YAML_MAP;
        refuse_ornaments(r, node, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    }
    yaml_event_delete(event);
    if (node->kind == YAML_LIST)
        fill_list(r, node, depth);
    else if (node->kind == YAML_MAP)
        fill_map(r, node, depth);
    return node;
}

static struct yaml_node *read_stream(struct reader *r)
{
    struct yaml_node *root = NULL;
    yaml_event_t event;

    while (next_event(r, &event)) {
        yaml_event_type_t type = event.type;

        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT ||
            type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT) {
            if (type == YAML_DOCUMENT_START_EVENT && root != NULL)
                yaml_stop(r, spot_of(r, event.start_mark), "a second document begins here");
            yaml_event_delete(&event);
            if (type == YAML_STREAM_END_EVENT)
                break;
            continue;
        }
        root = read_node(r, &event, 1);
    }
    return root;
}

struct yaml_node *yaml_read(const char *file, struct slice text, struct arena *arena,
                            struct faults *faults)
{
    struct reader r = {.arena = arena, .faults = faults, .file = file, .text = text};
    struct yaml_node *root = NULL;

    if (!yaml_parser_initialize(&r.parser)) {
        faults_add(faults, &(struct spot){.file = file}, "out of memory");
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.p, text.len);
    root = read_stream(&r);
    yaml_parser_delete(&r.parser);
    return r.failed ? NULL : root;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    for (const struct yaml_node *n = map->first; n != NULL; n = n->next) {
        if (n->key != NULL && strcmp(n->key->text, key) == 0)
            return n;
    }
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && node->plain &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}
