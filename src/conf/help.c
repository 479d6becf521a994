/* SPDX-License-Identifier: MIT */

/* The texts of --help, --help-all and --help-config. */
#include <stdio.h>
#include <string.h>

#include "conf/cli.h"

#define HELP_COLUMN 30
#define HELP_WIDTH 100

/* left, and the text beside it, or from the next line on. */
static void print_wrapped(FILE *out, const char *left, const char *text)
{
    size_t column = HELP_COLUMN;

    if (strlen(left) >= HELP_COLUMN)
        fprintf(out, "%s\n%*s", left, HELP_COLUMN, "");
    else
        fprintf(out, "%-*s", HELP_COLUMN, left);

    while (*text != '\0') {
        size_t word = strcspn(text, " ");

        if (column + 1 + word > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        fprintf(out, " %.*s", (int)word, text);
        column += word + 1;
        text += word;
        text += strspn(text, " ");
    }
    fprintf(out, "\n");
}

/* One screen of 24 lines and 80 columns: what newcomers need. Its options are rows of the table,
 * told more shortly. */
void cli_print_help(void)
{
    fputs("wsluice: WebSocket connections to programs and services\n\n"
          "  wsluice [OPTION]... [--] COMMAND [ARG]...   a program for each connection\n"
          "  wsluice [OPTION]... --to ADDRESS            a service, tcp://HOST:PORT\n"
          "  wsluice [OPTION]... --route PATH=ADDRESS... several\n"
          "  wsluice --config FILE                       all in a file; --check checks it\n"
          "  wsluice example [NAME]                      prints such a file to begin with\n"
          "  wsluice ctl COMMAND                         looks into one that runs\n\n"
          "  -l, --listen ADDR     PORT, HOST:PORT, unix:PATH (127.0.0.1:8080)\n"
          "  -s, --static DIR      files beside the WebSocket\n"
          "      --console         a page to try it by hand\n"
          "      --pty             COMMAND on a terminal, and a page that shows it\n"
          "      --unbuffer        nothing arrives? COMMAND holds its output back\n"
          "  -f, --framing NAME    what a message is: lines, text, stream, lsp and others\n"
          "      --origin LIST     pages that may connect (same-origin)\n"
          "      --auth HOW        basic and others; wsluice passwd makes the --auth-file\n"
          "      --tls-cert FILE   with --tls-key FILE: wss:// and https://\n"
          "      --user NAME[:GROUP]  whom to become once all is open\n"
          "      --help-all        all options; --help-config all keys of a file\n\n"
          "  wsluice -l 8080 --static www -- bc -l\n"
          "  wsluice -l 6080 --static /usr/share/novnc --to tcp://127.0.0.1:5900\n"
          "  wsluice -r /chess=exec:stockfish -r /mqtt=tcp://127.0.0.1:1883 --console\n",
          stdout);
}

void cli_print_help_all(void)
{
    char left[64], help[400];

    printf("wsluice: WebSocket connections to programs and services\n\n"
           "  wsluice [OPTION]... [--] COMMAND [ARG]...   a program per connection\n"
           "  wsluice [OPTION]... --to ADDRESS            a service\n"
           "  wsluice [OPTION]... --route PATH=ADDRESS... several\n"
           "  wsluice [OPTION]... --config FILE           many, see --help-config\n"
           "  wsluice ctl COMMAND                         a running one, see ctl --help\n"
           "  wsluice example [NAME]                      prints a file to begin with\n\n");
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
        print_wrapped(stdout, left, help);
    }
    printf("\nExamples:\n"
           "  wsluice -l 8080 --static www -- bc -l\n"
           "  wsluice -l 0.0.0.0:6080 --static /usr/share/novnc --to tcp://127.0.0.1:5900\n"
           "  wsluice -r /chess=exec:/usr/games/stockfish -r /mqtt=tcp://127.0.0.1:1883\n");
}

/* ---- --help-config ---- */

static const char *const type_names[] = {
    [OPTION_FLAG] = "on or off",
    [OPTION_COUNT] = "a whole number",
    [OPTION_SIZE] = "a size (4096, 64K, 1MiB)",
    [OPTION_TIME] = "a time (100ms, 25s, 5m, 1h)",
    [OPTION_RATE] = "a rate (10/s, 600/m, 1/h:5 with a burst of 5)",
    [OPTION_BYTE_RATE] = "a rate (64K/s, 10M/m, 64K/s:1M with a burst of 1M)",
    [OPTION_MODE] = "an octal mode (0660)",
    [OPTION_TEXT] = "a text",
    [OPTION_LIST] = "a list, or a text with commas",
    [OPTION_REPEAT] = "a list, or one text",
    [OPTION_PAIRS] = "a map NAME: VALUE, or a list of NAME=VALUE",
    [OPTION_CHOICE] = "one of",
    [OPTION_ARGV] = "a list of words",
    [OPTION_NODES] = "a list",
};

static void print_key(FILE *out, const struct option_row *row, const struct backend_ops *kind)
{
    char text[800], name[64];
    size_t n = (size_t)snprintf(text, sizeof text, "%s.", row->help);

    n += (size_t)snprintf(text + n, sizeof text - n, " Type: %s", type_names[row->type]);
    for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
        n +=
            (size_t)snprintf(text + n, sizeof text - n, "%s %s", i > 0 ? "," : "", row->choices[i]);
    if (row->min > 0 || row->max > 0)
        n += (size_t)snprintf(text + n, sizeof text - n, ", %.16g to %.16g%s", row->min, row->max,
                              row->type == OPTION_TIME ? " s" : "");
    n += (size_t)snprintf(text + n, sizeof text - n, ".");
    if (row->initial != NULL)
        n += (size_t)snprintf(text + n, sizeof text - n, " Default: %s.", row->initial);
    if (kind != NULL)
        n += (size_t)snprintf(text + n, sizeof text - n, " For routes to %s.", kind->name);
    if (row->reload == RELOAD_RESTART)
        snprintf(text + n, sizeof text - n, " A reload does not change it.");
    snprintf(name, sizeof name, "  %s", row->name);
    print_wrapped(out, name, text);
}

void schema_print_help(const struct conf_kinds *kinds, FILE *out)
{
    static const struct part {
        const char *title;
        enum schema_map map;
        unsigned places;
    } parts[] = {
        {"At the top level:", SCHEMA_TOP, 1U << IN_CONFIG},
        {"In an item of listen:", SCHEMA_LISTEN, 1U << IN_LISTEN},
        {"In tls of an item of listen:", SCHEMA_CERT, 1U << IN_CERT},
        {"In an item of routes:", SCHEMA_ROUTE, 1U << IN_ROUTE | 1U << IN_TARGET},
        {"At the top level for all routes, and in a route for itself:", SCHEMA_ROUTE,
         1U << IN_SETTINGS},
    };
    const struct backend_ops *kind;
    const struct option_row *row;

    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        fprintf(out, "%s%s\n", p > 0 ? "\n" : "", parts[p].title);
        for (size_t i = 0; (row = schema_row(kinds, parts[p].map, i, &kind)) != NULL; i++) {
            if (parts[p].places >> row->place & 1)
                print_key(out, row, kind);
        }
    }
}
