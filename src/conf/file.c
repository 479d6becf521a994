/* SPDX-License-Identifier: MIT */
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/trusted_file.h"
#include "conf/file_impl.h"
#include "conf/habits.h"

#define INCLUDE_DEPTH_MAX 4
#define FILES_MAX 1000U

static void file_read(struct loader *l, const char *name, const struct spot *from, unsigned depth);

/* ---- one file to bytes ---- */

/* True when it was not read before. */
static bool is_new(struct loader *l, const struct stat *st)
{
    struct seen_file *seen;

    for (seen = l->seen; seen != NULL; seen = seen->next) {
        if (seen->dev == st->st_dev && seen->ino == st->st_ino)
            return false;
    }
    seen = arena_alloc(&l->scratch, sizeof *seen);
    if (seen != NULL) {
        *seen = (struct seen_file){st->st_dev, st->st_ino, l->seen};
        l->seen = seen;
    }
    return seen != NULL;
}

/* The whole file, of that size; NULL or what is wrong. */
static const char *read_bytes(int fd, size_t size, struct arena *arena, struct slice *text)
{
    char *bytes = size <= YAML_FILE_MAX ? arena_alloc(arena, size + 1) : NULL;
    size_t n = 0;
    ssize_t got = 1;

    if (bytes == NULL)
        return size > YAML_FILE_MAX ? "larger than 1 MiB" : "out of memory";
    while (got != 0 && n < size) {
        got = read(fd, bytes + n, size - n);
        if (got < 0 && errno != EINTR)
            return strerror(errno);
        n += got > 0 ? (size_t)got : 0;
    }
    *text = slice_of(bytes, n);
    return NULL;
}

static const char *file_told(const char *why)
{
    return why != NULL ? why : "out of memory";
}

static const char *file_open(struct loader *l, const char *name, struct slice *text)
{
    /* O_NONBLOCK: a FIFO would wait for its writer */
    int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    const char *wrong = NULL;
    char why[TRUSTED_FILE_ERROR_MAX];
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        wrong = strerror(errno);
    else if (!trusted_file_judge(name, 0, why))
        wrong = file_told(arena_dup(&l->scratch, slice_from(why)));
    else if (!S_ISREG(st.st_mode))
        wrong = "not a regular file";
    else if (!is_new(l, &st))
        wrong = "this file was read already";
    else
        wrong = read_bytes(fd, (size_t)st.st_size, &l->scratch, text);
    if (fd >= 0)
        close(fd);
    return wrong;
}

/* ---- include ---- */

/* The pattern relative to the file that has it; magic in that file's folder means nothing. */
static char *pattern_of(struct loader *l, const struct yaml_node *item)
{
    const char *file = item->at.file, *slash = strrchr(file, '/');
    size_t folder = slash != NULL && item->text[0] != '/' ? (size_t)(slash - file) + 1 : 0, n = 0;
    char *pattern = arena_alloc(&l->scratch, 2 * folder + strlen(item->text) + 1);

    for (size_t i = 0; pattern != NULL && i < folder; i++) {
        if (strchr("*?[\\", file[i]) != NULL)
            pattern[n++] = '\\';
        pattern[n++] = file[i];
    }
    if (pattern != NULL)
        strcpy(pattern + n, item->text);
    return pattern;
}

static void include_one(struct loader *l, const struct yaml_node *item, unsigned depth)
{
    char *pattern = item->kind == YAML_SCALAR ? pattern_of(l, item) : NULL;
    glob_t found;
    int rc;

    if (item->kind == YAML_BAD)
        return;
    if (item->kind != YAML_SCALAR || yaml_is_null(item) || item->text[0] == '\0') {
        faults_add(l->faults, &item->at, "include: an item is a file's name or a pattern");
        return;
    }
    if (pattern == NULL) {
        value_no_memory(l);
        return;
    }
    rc = glob(pattern, 0, NULL, &found); /* sorted by name */
    if (rc == GLOB_NOMATCH && strpbrk(item->text, "*?[") == NULL)
        faults_add(l->faults, &item->at, "include: %.200s: no such file", item->text);
    else if (rc != 0 && rc != GLOB_NOMATCH)
        faults_add(l->faults, &item->at, "include: %.200s cannot be searched for", item->text);
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
        const char *name = arena_dup(&l->scratch, slice_from(found.gl_pathv[i]));

        if (name == NULL)
            value_no_memory(l);
        else
            file_read(l, name, &item->at, depth + 1);
    }
    if (rc == 0)
        globfree(&found);
}

/* ---- the top level ---- */

/* The items of a list; one alone may stand without being a list. */
static void each_item(struct loader *l, const struct yaml_node *value, unsigned depth,
                      void (*take)(struct loader *, const struct yaml_node *, unsigned))
{
    if (yaml_is_null(value) || (value->kind == YAML_MAP && take == include_one))
        faults_add(l->faults, &value->at, "%s: a list is needed", value->key->text);
    else if (value->kind != YAML_LIST && value->kind != YAML_BAD)
        take(l, value, depth);
    for (const struct yaml_node *item = value->first; item != NULL && value->kind == YAML_LIST;
         item = item->next)
        take(l, item, depth);
}

static void take_listen(struct loader *l, const struct yaml_node *item, unsigned depth)
{
    (void)depth;
    if (yaml_is_null(item))
        faults_add(l->faults, &item->at, "listen: an item is an address or a map");
    else
        parts_add(l, &l->listen, item);
}

static void take_route(struct loader *l, const struct yaml_node *item, unsigned depth)
{
    (void)depth;
    parts_add(l, &l->routes, item);
}

static const struct structure {
    const char *key;
    void (*take)(struct loader *l, const struct yaml_node *item, unsigned depth);
} structures[] = {
    {"listen", take_listen},
    {"routes", take_route},
    {"include", include_one},
};

static void set_top(struct loader *l, const struct option_row *row, const struct yaml_node *value)
{
    bool ours = row >= option_rows && row < option_rows + option_rows_count;
    bool overridden = ours && l->cli->given[row - option_rows];
    struct config *c = overridden ? &l->unused : l->config;
    struct set_key *set;

    for (set = l->set; set != NULL; set = set->next) {
        if (set->row == row) {
            faults_add(l->faults, &value->key->at, "%s is set already at %.300s:%u:%u", row->name,
                       set->at.file, set->at.line, set->at.column);
            return;
        }
    }
    set = arena_alloc(&l->scratch, sizeof *set);
    if (set == NULL) {
        value_no_memory(l);
        return;
    }
    *set = (struct set_key){row, value->at, l->set};
    l->set = set;
    (void)value_set(l, row, row->place == IN_SETTINGS ? (void *)&c->settings : (void *)c, value);
}

static void tell_no_map(struct loader *l, const struct yaml_node *root)
{
    char advice[HABIT_ADVICE_MAX];

    if (root->kind == YAML_SCALAR && habits_find(HABIT_YAML, root->text, advice))
        faults_add(l->faults, &root->at, "the file must be a map of keys; %s", advice);
    else
        faults_add(l->faults, &root->at, "the file must be a map of keys, this is %s%s",
                   value_kind_name(root),
                   root->kind == YAML_LIST ? "; write routes: above it" : "");
}

static void read_top(struct loader *l, const struct yaml_node *root, unsigned depth)
{
    const struct backend_ops *kind;

    if (root->kind != YAML_MAP) {
        if (!yaml_is_null(root) && root->kind != YAML_BAD)
            tell_no_map(l, root);
        return;
    }
    for (const struct yaml_node *v = root->first; v != NULL; v = v->next) {
        const struct option_row *row = schema_find(l->kinds, SCHEMA_TOP, v->key->text, &kind);

        if (row == NULL)
            value_unknown(l, SCHEMA_TOP, v);
        else if (row->type != OPTION_NODES)
            set_top(l, row, v);
        for (size_t i = 0; i < sizeof structures / sizeof structures[0]; i++) {
            if (row != NULL && strcmp(structures[i].key, row->name) == 0)
                each_item(l, v, depth, structures[i].take);
        }
    }
}

/* from: where it is included; NULL: it is the first. */
static void file_read(struct loader *l, const char *name, const struct spot *from, unsigned depth)
{
    struct spot whole = {.file = name};
    const struct yaml_node *root;
    const char *wrong = NULL;
    struct slice text;

    if (depth > INCLUDE_DEPTH_MAX)
        wrong = "included more than 4 files deep";
    else if (++l->files > FILES_MAX)
        wrong = "more than 1000 files";
    else
        wrong = file_open(l, name, &text);
    if (wrong != NULL && from != NULL)
        faults_add(l->faults, from, "include: %.300s: %s", name, wrong);
    else if (wrong != NULL)
        faults_add(l->faults, &whole, "%s", wrong);
    if (wrong != NULL)
        return;
    root = yaml_read(name, text, &l->scratch, l->faults);
    if (root != NULL)
        read_top(l, root, depth);
}

void file_load(struct config *c, const struct command_line *cli, const struct conf_kinds *kinds,
               struct faults *faults)
{
    struct loader l = {.config = c, .cli = cli, .kinds = kinds, .faults = faults};
    size_t before = faults->count;

    file_read(&l, cli->file, NULL, 0);
    parts_build_listeners(&l);
    parts_build_routes(&l);
    if (c->route_count == 0 && faults->count == before)
        faults_add(faults, &(struct spot){.file = cli->file},
                   "nothing is served; routes are needed");
    arena_release(&l.scratch);
}
