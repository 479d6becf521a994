/* SPDX-License-Identifier: MIT */
#include "conf/dump.h"

#include <string.h>

#include "conf/build.h"

/* A text in double quotes, which YAML and JSON read alike. */
static void print_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void dump_print_list(FILE *out, const char *const *items, size_t count)
{
    fputc('[', out);
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_text(out, items[i]);
    }
    fputc(']', out);
}

static void print_argv(FILE *out, char *const *argv)
{
    const char *const *items;
    size_t n = 0;

    while (argv[n] != NULL)
        n++;
    memcpy(&items, &argv, sizeof items);
    dump_print_list(out, items, n);
}

static bool is_set(const struct option_row *row, const void *base)
{
    const void *field = (const char *)base + row->offset;

    if (row->type == OPTION_TEXT || row->type == OPTION_ARGV)
        return *(const void *const *)field != NULL;
    return row->type != OPTION_NODES;
}

static void dump_print_row(FILE *out, const char *indent, const struct option_row *row,
                           const void *base)
{
    const void *field = (const char *)base + row->offset;
    const struct text_list *list = field;
    char text[OPTION_TEXT_MAX];

    if (!is_set(row, base))
        return;
    fprintf(out, "%s%s: ", indent, row->name);
    switch (row->type) {
    case OPTION_TEXT:
        print_text(out, *(const char *const *)field);
        break;
    case OPTION_LIST:
    case OPTION_REPEAT:
    case OPTION_PAIRS:
        dump_print_list(out, list->items, list->count);
        break;
    case OPTION_ARGV:
        print_argv(out, *(char *const *const *)field);
        break;
    default:
        fputs(option_format_number(row, base, text), out);
    }
    fputc('\n', out);
}

static void print_listener(FILE *out, const struct config *c, const struct listen_spec *l)
{
    struct listen_spec usual = {0};

    build_listener_defaults(&usual, c);
    fprintf(out, "  - address: ");
    print_text(out, l->text);
    fputc('\n', out);
    for (size_t i = 0; i < file_rows_count; i++) {
        const struct option_row *row = &file_rows[i];

        if (row->place == IN_LISTEN && strcmp(row->name, "address") != 0 &&
            row->type != OPTION_NODES && !option_equal(row, l, &usual))
            dump_print_row(out, "    ", row, l);
    }
}

static void print_certs(FILE *out, const struct conf_kinds *kinds, const struct listen_spec *l)
{
    const struct backend_ops *kind;
    const struct option_row *row;

    if (l->cert_count > 0)
        fprintf(out, "    tls:\n");
    for (size_t i = 0; i < l->cert_count; i++) {
        fprintf(out, "      -\n");
        for (size_t k = 0; (row = schema_row(kinds, SCHEMA_CERT, k, &kind)) != NULL; k++)
            dump_print_row(out, "        ", row, &l->certs[i]);
    }
}

/* What chose the backend: its own key, or `to`; not both. */
static bool is_target(const struct option_row *row, const struct route *r,
                      const struct backend_ops *kind)
{
    if (row->place == IN_TARGET)
        return kind == r->backend;
    return strcmp(row->name, "to") != 0 || (r->backend != NULL && r->backend->key == NULL);
}

static void print_route(FILE *out, const struct conf_kinds *kinds, const struct route *r)
{
    const struct backend_ops *kind;
    const struct option_row *row;

    fprintf(out, "  - path: ");
    print_text(out, r->path);
    fputc('\n', out);
    for (size_t i = 0; (row = schema_row(kinds, SCHEMA_ROUTE, i, &kind)) != NULL; i++) {
        if (strcmp(row->name, "path") == 0 || !is_target(row, r, kind))
            continue;
        if (row->place != IN_SETTINGS)
            dump_print_row(out, "    ", row,
                           row->place == IN_TARGET ? (const void *)&r->target : r);
        else if (!option_equal(row, &r->settings, &r->config->settings))
            dump_print_row(out, "    ", row, &r->settings);
    }
}

void dump_config(const struct config *c, const struct conf_kinds *kinds, FILE *out)
{
    const struct backend_ops *kind;
    const struct option_row *row;

    for (size_t i = 0; (row = schema_row(kinds, SCHEMA_TOP, i, &kind)) != NULL; i++)
        dump_print_row(out, "", row, row->place == IN_SETTINGS ? (const void *)&c->settings : c);
    fputs("listen:\n", out);
    for (size_t i = 0; i < c->listen_count; i++) {
        print_listener(out, c, &c->listen[i]);
        print_certs(out, kinds, &c->listen[i]);
    }
    fputs("routes:\n", out);
    for (size_t i = 0; i < c->route_count; i++)
        print_route(out, kinds, &c->routes[i]);
}
