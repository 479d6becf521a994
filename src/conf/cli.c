/* SPDX-License-Identifier: MIT */
#include "conf/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"

struct reading {
    struct config *config;
    struct command_line *cli;
    char *error; /* CLI_ERROR_MAX */
    char **args; /* what is left */
};

static void *place_of(struct reading *r, enum option_place place)
{
    return place == IN_CONFIG     ? (void *)r->config
           : place == IN_SETTINGS ? (void *)&r->config->settings
                                  : (void *)r->cli;
}

static bool set(struct reading *r, const struct option_row *row, const char *value)
{
    char why[OPTION_ERROR_MAX];

    if (option_set(row, place_of(r, row->place), value, &r->config->arena, why))
        return true;
    snprintf(r->error, CLI_ERROR_MAX, "--%s: %s", row->name, why);
    return false;
}

/* The value in the argument itself, or the next argument; flags need none. */
static bool set_from_args(struct reading *r, const struct option_row *row, const char *attached)
{
    if (attached != NULL)
        return set(r, row, attached);
    if (row->type == OPTION_FLAG)
        return set(r, row, "on");
    if (*r->args == NULL) {
        snprintf(r->error, CLI_ERROR_MAX, "--%s: a value is missing (%s)", row->name, row->value);
        return false;
    }
    return set(r, row, *r->args++);
}

static bool read_long(struct reading *r, const char *arg)
{
    struct slice value, name = slice_cut(slice_from(arg + 2), '=', &value);
    const struct option_row *row = option_find(name);

    if (row == NULL) {
        const char *guess = option_guess(name);

        snprintf(r->error, CLI_ERROR_MAX, "unknown option --%.*s; %s%s%s",
                 (int)(name.len < 60 ? name.len : 60), name.p,
                 guess != NULL ? "did you mean --" : "see wsluice --help",
                 guess != NULL ? guess : "", guess != NULL ? "?" : "");
        return false;
    }
    return set_from_args(r, row, value.p);
}

/* "-l 80", "-l80", "-hV" */
static bool read_letters(struct reading *r, const char *arg)
{
    for (const char *p = arg + 1; *p != '\0'; p++) {
        const struct option_row *row = option_find_letter(*p);

        if (row == NULL) {
            snprintf(r->error, CLI_ERROR_MAX, "unknown option -%c; see wsluice --help", *p);
            return false;
        }
        if (row->type != OPTION_FLAG)
            return set_from_args(r, row, p[1] != '\0' ? p + 1 : NULL);
        if (!set(r, row, "on"))
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

static bool read_unix_mode(const char *text, unsigned *mode, char error[CLI_ERROR_MAX])
{
    char *end;
    unsigned long n = strtoul(text, &end, 8);

    if (*text == '\0' || *end != '\0' || n > 0777) {
        snprintf(error, CLI_ERROR_MAX, "--unix-mode: \"%.60s\" is not an octal mode such as 0660",
                 text);
        return false;
    }
    *mode = (unsigned)n;
    return true;
}

static bool build_routes(struct reading *r, const struct conf_kinds *kinds)
{
    const struct command_line *cli = r->cli;
    struct config *c = r->config;

    if (cli->command != NULL && cli->to != NULL) {
        snprintf(r->error, CLI_ERROR_MAX,
                 "two backends for the path /: --to and a COMMAND; give each its own path with "
                 "--route PATH=ADDR");
        return false;
    }
    if (cli->command != NULL && !build_route(c, "/", NULL, cli->command, kinds, r->error))
        return false;
    if (cli->to != NULL && !build_route(c, "/", cli->to, NULL, kinds, r->error))
        return false;
    for (size_t i = 0; i < cli->routes.count; i++) {
        struct slice address, path = slice_cut(slice_from(cli->routes.items[i]), '=', &address);
        const char *copy = arena_dup(&c->arena, path);

        if (address.p == NULL || copy == NULL) {
            snprintf(r->error, CLI_ERROR_MAX, "--route %.150s: write PATH=ADDR",
                     cli->routes.items[i]);
            return false;
        }
        if (!build_route(c, copy, address.p, NULL, kinds, r->error))
            return false;
    }
    if (c->route_count == 0 && c->static_dir == NULL) {
        snprintf(r->error, CLI_ERROR_MAX,
                 "nothing to serve; give a COMMAND, --to ADDR, --route PATH=ADDR or --static DIR, "
                 "or see wsluice --help");
        return false;
    }
    return true;
}

static bool check_env(const struct config *c, char error[CLI_ERROR_MAX])
{
    for (size_t i = 0; i < c->settings.env.count; i++) {
        const char *eq = strchr(c->settings.env.items[i], '=');

        if (eq == NULL || eq == c->settings.env.items[i]) {
            snprintf(error, CLI_ERROR_MAX, "--env %.150s: write NAME=VALUE",
                     c->settings.env.items[i]);
            return false;
        }
    }
    return true;
}

bool cli_parse(int argc, char **argv, struct config *c, struct command_line *cli,
               const struct conf_kinds *kinds, char error[CLI_ERROR_MAX])
{
    struct reading r = {.config = c, .cli = cli, .error = error, .args = argv + (argc > 0 ? 1 : 0)};
    unsigned unix_mode;

    snprintf(error, CLI_ERROR_MAX, "out of memory");
    memset(cli, 0, sizeof *cli);
    if (!option_set_defaults(IN_CONFIG, c, &c->arena) ||
        !option_set_defaults(IN_SETTINGS, &c->settings, &c->arena) ||
        !option_set_defaults(IN_COMMAND_LINE, cli, &c->arena))
        return false;
    if (!read_args(&r))
        return false;
    if (cli->help || cli->version)
        return true;
    return read_unix_mode(cli->unix_mode, &unix_mode, error) && check_env(c, error) &&
           build_listeners(c, &cli->listen, unix_mode, error) && build_routes(&r, kinds);
}

#define HELP_COLUMN 30
#define HELP_WIDTH 100

static void print_wrapped(const char *text)
{
    size_t column = HELP_COLUMN;

    while (*text != '\0') {
        size_t word = strcspn(text, " ");

        if (column + 1 + word > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        printf(" %.*s", (int)word, text);
        column += word + 1;
        text += word;
        text += strspn(text, " ");
    }
    printf("\n");
}

void cli_print_help(void)
{
    char left[64], help[400];

    printf("wsluice: WebSocket connections to programs and services\n\n"
           "  wsluice [OPTION]... [--] COMMAND [ARG]...   a program per connection\n"
           "  wsluice [OPTION]... --to ADDRESS            a service\n"
           "  wsluice [OPTION]... --route PATH=ADDRESS... several\n\n");
    for (size_t i = 0; i < option_rows_count; i++) {
        const struct option_row *row = &option_rows[i];
        char letter[5] = "    ";
        bool tell = row->initial != NULL && row->type != OPTION_FLAG;

        if (row->letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", row->letter);
        snprintf(left, sizeof left, "  %s--%s %s", letter, row->name,
                 row->value != NULL ? row->value : "");
        snprintf(help, sizeof help, "%s%s%s%s", row->help, tell ? " (" : "",
                 tell ? row->initial : "", tell ? ")" : "");
        printf("%-*s", HELP_COLUMN, left);
        print_wrapped(help);
    }
    printf("\nExamples:\n"
           "  wsluice -l 8080 --static www -- bc -l\n"
           "  wsluice -l 0.0.0.0:6080 --static /usr/share/novnc --to tcp://127.0.0.1:5900\n"
           "  wsluice -r /chess=exec:/usr/games/stockfish -r /mqtt=tcp://127.0.0.1:1883\n");
}
