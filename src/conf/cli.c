/* SPDX-License-Identifier: MIT */
#include "conf/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/build.h"
#include "conf/file.h"
#include "conf/habits.h"
#include "core/template.h"

struct reading {
    struct config *config;
    struct command_line *cli;
    const struct conf_kinds *kinds;
    struct faults *faults;
    char **args;      /* what is left */
    const char *name; /* what the faults of a route are about: its path, or the option */
};

/* Tells the first fault only: those behind it may follow from it. */
static bool cli_usage(struct reading *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool cli_usage(struct reading *r, const char *format, ...)
{
    char line[FAULT_LINE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (r->faults->count == 0)
        faults_add(r->faults, NULL, "%s", line);
    return false;
}

/* ---- options ---- */

static void *cli_place_of(struct reading *r, enum option_place place)
{
    return place == IN_CONFIG     ? (void *)r->config
           : place == IN_SETTINGS ? (void *)&r->config->settings
           : place == IN_ROUTE    ? (void *)&r->cli->root
                                  : (void *)r->cli;
}

static bool cli_set(struct reading *r, const struct option_row *row, const char *value)
{
    char why[OPTION_ERROR_MAX];

    r->cli->given[row - option_rows] = true;
    if (option_set(row, cli_place_of(r, row->place), value, &r->config->arena, why))
        return true;
    option_advise(row->name, value, why);
    return cli_usage(r, "--%s: %s", row->name, why);
}

/* The value in the argument itself, or the next argument; flags need none. */
static bool set_from_args(struct reading *r, const struct option_row *row, const char *attached)
{
    if (attached != NULL)
        return cli_set(r, row, attached);
    if (row->type == OPTION_FLAG)
        return cli_set(r, row, "on");
    if (*r->args == NULL)
        return cli_usage(r, "--%s: a value is missing (%s)", row->name, row->value);
    return cli_set(r, row, *r->args++);
}

/* dashes: as they were written. attached: the value in the argument itself, or NULL. */
static bool cli_unknown(struct reading *r, const char *dashes, struct slice name,
                        const char *attached)
{
    struct option_guess guess = {.name = name};
    const char *next = *r->args != NULL && **r->args != '-' ? *r->args : NULL;
    int len = name.len < 60 ? (int)name.len : 60;
    char advice[HABIT_ADVICE_MAX];

    if (habits_find_option(name, attached != NULL ? attached : next, advice))
        return cli_usage(r, "unknown option %s%.*s; %s", dashes, len, name.p, advice);
    for (size_t i = 0; name.len > 1 && i < option_rows_count; i++)
        option_guess_add(&guess, option_rows[i].name);
    if (guess.best != NULL)
        return cli_usage(r, "unknown option %s%.*s; did you mean --%s?", dashes, len, name.p,
                         guess.best);
    return cli_usage(r, "unknown option %s%.*s; see wsluice --help-all", dashes, len, name.p);
}

static bool read_long(struct reading *r, const char *arg)
{
    struct slice value, name = slice_cut(slice_from(arg + 2), '=', &value);
    const struct option_row *row = option_find(name);

    return row != NULL ? set_from_args(r, row, value.p) : cli_unknown(r, "--", name, value.p);
}

/* "-listen", "-port=8080": a long option with one dash. Its letters would be read one by one. */
static bool is_long(const char *arg, struct slice *name, struct slice *value)
{
    char advice[HABIT_ADVICE_MAX];

    *name = slice_cut(slice_from(arg + 1), '=', value);
    return name->len > 1 && (option_find(*name) != NULL || habits_find_option(*name, NULL, advice));
}

/* "-l 80", "-l80", "-hV" */
static bool read_letters(struct reading *r, const char *arg)
{
    struct slice name, value;

    if (is_long(arg, &name, &value))
        return option_find(name) != NULL
                   ? cli_usage(r, "%.60s: a long option has two dashes; write -%.60s", arg, arg)
                   : cli_unknown(r, "-", name, value.p);
    for (const char *p = arg + 1; *p != '\0'; p++) {
        const struct option_row *row = option_find_letter(*p);

        if (row == NULL)
            return cli_unknown(r, "-", slice_of(p, 1), p[1] != '\0' ? p + 1 : NULL);
        if (row->type != OPTION_FLAG)
            return set_from_args(r, row, p[1] != '\0' ? p + 1 : NULL);
        if (!cli_set(r, row, "on"))
            return false;
    }
    return true;
}

/* Options up to "--" or the first word that is none: there COMMAND begins. */
static bool read_args(struct reading *r)
{
    while (*r->args != NULL) {
        const char *arg = *r->args;

        if (arg[0] != '-' || arg[1] == '\0')
            break;
        r->args++;
        if (strcmp(arg, "--") == 0)
            break;
        if (!(arg[1] == '-' ? read_long(r, arg) : read_letters(r, arg)))
            return false;
    }
    r->cli->command = *r->args != NULL ? r->args : NULL;
    return true;
}

/* ---- listeners and routes ---- */

static bool build_listeners(struct reading *r)
{
    const struct text_list *texts = &r->cli->listen;
    size_t count = texts->count > 0 ? texts->count : 1;
    struct config *c = r->config;
    char why[BUILD_ERROR_MAX];

    c->listen = arena_alloc(&c->arena, count * sizeof *c->listen);
    if (c->listen == NULL)
        return cli_usage(r, "out of memory");
    c->listen_count = count;
    for (size_t i = 0; i < count; i++) {
        c->listen[i].text = texts->count > 0 ? texts->items[i] : BUILD_DEFAULT_LISTEN;
        build_listener_defaults(&c->listen[i], c);
        if (!build_listener(&c->listen[i], why))
            return cli_usage(r, "--listen %s", why);
        if (build_listener_again(c->listen, i, false))
            return cli_usage(r, "--listen %.200s: given twice", c->listen[i].text);
    }
    return true;
}

static void tell_route(void *owner, const char *key, const char *why)
{
    const struct option_row *row = option_find(slice_from(key));
    struct reading *r = owner;

    if (strcmp(key, "framing") == 0)
        cli_usage(r, "--framing %s", why);
    else if (row != NULL && row->place == IN_SETTINGS)
        cli_usage(r, "--%s: %s", key, why);
    else
        cli_usage(r, "%s %s", r->name, why);
}

/* A route of the command line; name is for faults. NULL with a fault told. */
static struct route *add_route(struct reading *r, const char *name, const char *path)
{
    struct route *route = config_add_route(r->config);

    r->name = name;
    if (route == NULL) {
        cli_usage(r, "out of memory");
        return NULL;
    }
    route->path = path;
    return route;
}

static bool finish_route(struct reading *r, struct route *route)
{
    return build_route(r->config, route, r->kinds, tell_route, r);
}

/* Words of the command line are no templates: "{x}" in them is itself. */
static bool set_command(struct reading *r, struct route *route)
{
    char **words = r->cli->command;
    struct arena *arena = &r->config->arena;
    size_t n = 0;

    while (words[n] != NULL)
        n++;
    const char **argv = arena_alloc(arena, (n + 1) * sizeof *argv);
    if (argv == NULL)
        return cli_usage(r, "out of memory");
    for (size_t i = 0; i < n; i++) {
        argv[i] = i == 0 ? words[0] : template_quote(words[i], arena);
        if (argv[i] == NULL)
            return cli_usage(r, "out of memory");
    }
    for (size_t i = 0; r->kinds->backends[i] != NULL; i++) {
        const char *key = r->kinds->backends[i]->key;

        if (key != NULL && strcmp(key, r->cli->pty ? "pty" : "exec") == 0)
            route->backend = r->kinds->backends[i];
    }
    route->target.text = words[0];
    memcpy(&route->target.argv, &argv, sizeof argv); /* char ** by its use, never written to */
    return true;
}

static bool build_root(struct reading *r)
{
    const struct command_line *cli = r->cli;
    char advice[HABIT_ADVICE_MAX];
    struct route *route;

    if (cli->pty && cli->command == NULL)
        return cli_usage(r, "--pty: a COMMAND is needed; in --route write PATH=pty:PROGRAM ARG...");
    if (cli->command == NULL && cli->root.target.text == NULL)
        return true;
    if (cli->command != NULL && cli->root.target.text != NULL)
        return cli_usage(r, "two backends for the path /: --to %.100s and a COMMAND; %s",
                         cli->root.target.text,
                         habits_find(HABIT_TARGET, cli->root.target.text, advice)
                             ? advice
                             : "give each its own path with --route PATH=ADDR");
    route = add_route(r, cli->command != NULL ? "COMMAND:" : "--to", "/");
    if (route == NULL)
        return false;
    if (cli->command != NULL && !set_command(r, route))
        return false;
    if (cli->command == NULL)
        route->target.text = cli->root.target.text;
    return finish_route(r, route);
}

/* "PATH=ADDR"; a '=' in the pattern of a capture is none. */
static size_t path_length(const char *text)
{
    size_t depth = 0, n;

    for (n = 0; text[n] != '\0' && (text[n] != '=' || depth > 0); n++) {
        if (text[n] == '{')
            depth++;
        else if (text[n] == '}' && depth > 0)
            depth--;
    }
    return n;
}

static bool build_given(struct reading *r, const char *text)
{
    size_t n = path_length(text);
    const char *path = arena_dup(&r->config->arena, slice_of(text, n));
    char advice[HABIT_ADVICE_MAX];
    struct route *route;

    if (path == NULL)
        return cli_usage(r, "out of memory");
    if (text[n] == '\0' || text[0] != '/')
        return cli_usage(r, "--route %.150s: %s; %s", text,
                         text[n] == '\0' ? "no = in it" : "a path begins with /",
                         habits_find(HABIT_ROUTE, text, advice) ? advice : "write PATH=ADDR");
    route = add_route(r, "--route", path);
    if (route == NULL)
        return false;
    route->target.text = text + n + 1;
    return finish_route(r, route);
}

/* Files are for "/": its route, or one without a backend. */
static bool build_static(struct reading *r)
{
    const char *dir = r->cli->root.static_dir;
    struct route *route = NULL;

    if (dir == NULL)
        return true;
    for (size_t i = 0; i < r->config->route_count; i++) {
        if (r->config->routes[i].segment_count == 0)
            route = &r->config->routes[i];
    }
    if (route != NULL) {
        route->static_dir = dir;
        return true;
    }
    route = add_route(r, "--static", "/");
    if (route == NULL)
        return false;
    route->static_dir = dir;
    return finish_route(r, route);
}

static bool build_routes(struct reading *r)
{
    if (!build_root(r))
        return false;
    for (size_t i = 0; i < r->cli->routes.count; i++) {
        if (!build_given(r, r->cli->routes.items[i]))
            return false;
    }
    if (!build_static(r))
        return false;
    return r->config->route_count > 0 ||
           cli_usage(r,
                     "nothing to serve; give a COMMAND, --to ADDR, --route PATH=ADDR, --static DIR "
                     "or --config FILE, or see wsluice --help");
}

/* ---- all of it ---- */

/* With a file, all routes stand there. */
static bool cli_judge_file(struct reading *r)
{
    const struct command_line *cli = r->cli;
    char why[OPTION_ERROR_MAX];

    if (cli->file == NULL)
        return true;
    snprintf(why, sizeof why, "a COMMAND and --config: routes stand in the file");
    option_advise("config", cli->file, why);
    if (cli->command != NULL)
        return cli_usage(r, "%s", why);
    for (size_t i = 0; i < option_rows_count; i++) {
        const struct option_row *row = &option_rows[i];

        if (cli->given[i] && (row->place == IN_ROUTE || strcmp(row->name, "route") == 0 ||
                              strcmp(row->name, "pty") == 0))
            return cli_usage(r, "--%s and --config: routes stand in the file", row->name);
    }
    return true;
}

enum cli_result cli_parse(int argc, char **argv, struct config *c, struct command_line *cli,
                          const struct conf_kinds *kinds, struct faults *faults)
{
    struct reading r = {.config = c,
                        .cli = cli,
                        .kinds = kinds,
                        .faults = faults,
                        .args = argv + (argc > 0 ? 1 : 0)};
    size_t before = faults->count;

    memset(cli, 0, sizeof *cli);
    if (!option_set_defaults(IN_CONFIG, c, &c->arena) ||
        !option_set_defaults(IN_SETTINGS, &c->settings, &c->arena)) {
        cli_usage(&r, "out of memory");
        return CLI_USAGE;
    }
    if (!read_args(&r))
        return CLI_USAGE;
    if (cli->help || cli->help_all || cli->version || cli->help_config || cli->dump_schema ||
        cli->completion != 0)
        return CLI_OK;
    if (!cli_judge_file(&r))
        return CLI_USAGE;
    c->from_file = cli->file != NULL;
    if (cli->file == NULL)
        return build_listeners(&r) && build_routes(&r) ? CLI_OK : CLI_USAGE;
    if (cli->listen.count > 0 && !build_listeners(&r))
        return CLI_USAGE;
    file_load(c, cli, kinds, faults);
    return faults->count == before ? CLI_OK : CLI_BAD_FILE;
}
