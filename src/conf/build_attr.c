/* SPDX-License-Identifier: MIT */
#include "conf/build_attr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/signal_name.h"
#include "conf/options.h"
#include "core/program/attr.h"

#define LIMIT_TEXT_MAX 64
#define UNLIMITED "unlimited"

/* Read as options are, so with their units, bounds and messages. */
struct limit_value {
    uint64_t number;
    double seconds;
};

#define NUMBER(type) type, IN_CONFIG, offsetof(struct limit_value, number), RELOAD_NEW
#define SECONDS OPTION_TIME, IN_CONFIG, offsetof(struct limit_value, seconds), RELOAD_NEW
#define HUGE_SIZE 1e15

/* The least of each is what a program can start with at all. */
static const struct limit_row {
    int resource;
    struct option_row row;
} limit_rows[] = {
    {RLIMIT_AS, {"as", 0, NUMBER(OPTION_SIZE), NULL, NULL, NULL, 1048576, HUGE_SIZE, NULL}},
    {RLIMIT_CORE, {"core", 0, NUMBER(OPTION_SIZE), NULL, NULL, NULL, 0, HUGE_SIZE, NULL}},
    {RLIMIT_CPU, {"cpu", 0, SECONDS, NULL, NULL, NULL, 1, 1e9, NULL}},
    {RLIMIT_DATA, {"data", 0, NUMBER(OPTION_SIZE), NULL, NULL, NULL, 65536, HUGE_SIZE, NULL}},
    {RLIMIT_FSIZE, {"fsize", 0, NUMBER(OPTION_SIZE), NULL, NULL, NULL, 0, HUGE_SIZE, NULL}},
    {RLIMIT_MEMLOCK, {"memlock", 0, NUMBER(OPTION_SIZE), NULL, NULL, NULL, 0, HUGE_SIZE, NULL}},
    {RLIMIT_MSGQUEUE, {"msgqueue", 0, NUMBER(OPTION_SIZE), NULL, NULL, NULL, 0, HUGE_SIZE, NULL}},
    {RLIMIT_NOFILE, {"nofile", 0, NUMBER(OPTION_COUNT), NULL, NULL, NULL, 8, 1e9, NULL}},
    {RLIMIT_NPROC, {"nproc", 0, NUMBER(OPTION_COUNT), NULL, NULL, NULL, 1, 1e9, NULL}},
    {RLIMIT_SIGPENDING, {"sigpending", 0, NUMBER(OPTION_COUNT), NULL, NULL, NULL, 0, 1e9, NULL}},
    {RLIMIT_STACK, {"stack", 0, NUMBER(OPTION_SIZE), NULL, NULL, NULL, 65536, HUGE_SIZE, NULL}},
};

#define LIMIT_ROWS (sizeof limit_rows / sizeof limit_rows[0])
_Static_assert(LIMIT_ROWS <= CHILD_LIMITS_MAX, "make it larger");

static const struct limit_row *find_limit(struct slice name, char why[BUILD_ERROR_MAX])
{
    int n;

    for (size_t i = 0; i < LIMIT_ROWS; i++) {
        if (slice_is(name, limit_rows[i].row.name))
            return &limit_rows[i];
    }
    n = snprintf(why, BUILD_ERROR_MAX,
                 "\"%.*s\": no such limit; there are:", (int)(name.len < 60 ? name.len : 60),
                 name.p);
    for (size_t i = 0; i < LIMIT_ROWS && n > 0 && n < BUILD_ERROR_MAX; i++)
        n += snprintf(why + n, (size_t)(BUILD_ERROR_MAX - n), " %s", limit_rows[i].row.name);
    return NULL;
}

static bool read_limit(const struct limit_row *l, struct slice text, uint64_t *out,
                       struct arena *arena, char why[BUILD_ERROR_MAX])
{
    char copy[LIMIT_TEXT_MAX], error[OPTION_ERROR_MAX];
    struct limit_value value = {0};

    if (slice_is(text, UNLIMITED)) {
        *out = CHILD_UNLIMITED;
        return true;
    }
    snprintf(copy, sizeof copy, "%.*s", (int)(text.len < 60 ? text.len : 60), text.p);
    if (!option_set(&l->row, &value, copy, arena, error)) {
        snprintf(why, BUILD_ERROR_MAX, "%s: %s, or " UNLIMITED, l->row.name, error);
        return false;
    }
    /* the kernel counts whole seconds: never less than was asked for */
    *out = l->row.type == OPTION_TIME ? (uint64_t)(value.seconds + 0.999) : value.number;
    return true;
}

/* "NAME=SOFT[:HARD]"; without HARD it is SOFT, too. */
static bool add_limit(struct route *r, struct child_attr *attr, const char *text,
                      char why[BUILD_ERROR_MAX])
{
    struct slice rest, hard, soft, name = slice_cut(slice_from(text), '=', &rest);
    const struct limit_row *l = find_limit(name, why);
    struct arena *arena = &r->config->arena;
    struct child_limit limit;

    if (l == NULL)
        return false;
    limit.resource = l->resource;
    soft = slice_cut(rest, ':', &hard);
    if (hard.p == NULL)
        hard = soft;
    if (!read_limit(l, soft, &limit.soft, arena, why) ||
        !read_limit(l, hard, &limit.hard, arena, why))
        return false;
    if (limit.soft > limit.hard) {
        snprintf(why, BUILD_ERROR_MAX, "%s: the soft limit (first) is above the hard one",
                 l->row.name);
        return false;
    }
    if (child_attr_limit(attr, limit.resource) != NULL) {
        snprintf(why, BUILD_ERROR_MAX, "%s: it is set twice", l->row.name);
        return false;
    }
    attr->limits[attr->limit_count++] = limit;
    return true;
}

static bool add_limits(struct route *r, struct child_attr *attr, char why[BUILD_ERROR_MAX])
{
    for (size_t i = 0; i < r->settings.rlimits.count; i++) {
        if (!add_limit(r, attr, r->settings.rlimits.items[i], why))
            return false;
    }
    return true;
}

static bool add_umask(struct route *r, struct child_attr *attr, char why[BUILD_ERROR_MAX])
{
    static const struct option_row row = {"umask", 0,    OPTION_MODE, IN_CONFIG, 0, RELOAD_NEW,
                                          NULL,    NULL, NULL,        0,         0, NULL};
    char error[OPTION_ERROR_MAX];
    unsigned mask;

    if (r->settings.umask == NULL)
        return true;
    if (!option_set(&row, &mask, r->settings.umask, &r->config->arena, error)) {
        snprintf(why, BUILD_ERROR_MAX, "%s", error);
        return false;
    }
    attr->umask = (int)mask;
    return true;
}

static bool add_group(struct child_attr *attr, const struct settings *s, char why[BUILD_ERROR_MAX])
{
    char *end = NULL;
    double n = s->cpu_max != NULL ? strtod(s->cpu_max, &end) : 1;

    if ((end != NULL && *end != '\0') || !(n >= 0.01 && n <= 1000)) {
        snprintf(why, BUILD_ERROR_MAX,
                 "\"%.40s\": write a number of processors, 0.01 to 1000, such as 0.5", s->cpu_max);
        return false;
    }
    attr->group = (struct cgroup_limits){s->memory_max, s->pids_max,
                                         s->cpu_max != NULL ? (uint64_t)(n * 100000 + 0.5) : 0,
                                         s->cpu_weight, s->io_weight};
    return true;
}

static bool needs_group(const struct settings *s)
{
    return s->memory_max > 0 || s->pids_max > 0 || s->cpu_max != NULL || s->cpu_weight > 0 ||
           s->io_weight > 0;
}

/* Words stand alone; paths begin at the root. */
static bool judge_paths(const struct text_list *paths, const char *none, char why[BUILD_ERROR_MAX])
{
    for (size_t i = 0; i < paths->count; i++) {
        const char *path = paths->items[i];
        bool word = strcmp(path, "any") == 0 || (none != NULL && strcmp(path, none) == 0);

        if (path[0] == '/' || (word && paths->count == 1))
            continue;
        snprintf(why, BUILD_ERROR_MAX, "\"%.150s\": %s", path,
                 word ? "it stands alone or not at all" : "a path must begin with /");
        return false;
    }
    return true;
}

static bool add_signals(struct route *r, char why[BUILD_ERROR_MAX])
{
    char names[SIGNAL_NAMES_MAX];

    for (size_t i = 0; i < r->settings.signals.count; i++) {
        int number = signal_of_name(slice_from(r->settings.signals.items[i]));

        if (number == 0) {
            snprintf(why, BUILD_ERROR_MAX, "\"%.40s\": no such signal; there are: %s",
                     r->settings.signals.items[i], signal_names(names));
            return false;
        }
        r->signals |= UINT64_C(1) << number;
    }
    return true;
}

const char *build_attr(struct route *r, char why[BUILD_ERROR_MAX])
{
    const struct settings *s = &r->settings;
    struct child_attr *attr;

    if (!add_signals(r, why))
        return "signals";
    if (s->run_as == NULL && s->rlimits.count == 0 && s->umask == NULL && s->nice == 0 &&
        s->read_paths.count == 0 && s->write_paths.count == 0 && !needs_group(s))
        return NULL;
    attr = attr_make(r);
    if (attr == NULL) {
        snprintf(why, BUILD_ERROR_MAX, "out of memory");
        return "run-as";
    }
    if (!add_limits(r, attr, why))
        return "rlimits";
    if (!add_umask(r, attr, why))
        return "umask";
    if (!add_group(attr, s, why))
        return "cpu-max";
    if (!judge_paths(&s->read_paths, NULL, why))
        return "read-paths";
    if (!judge_paths(&s->write_paths, "none", why))
        return "write-paths";
    if (!s->no_new_privs && (attr_limits_reading(s) || attr_limits_writing(s))) {
        snprintf(why, BUILD_ERROR_MAX,
                 "off, but read-paths and write-paths hold only programs that cannot gain "
                 "privileges; leave it on for this route");
        return "no-new-privs";
    }
    return NULL;
}
