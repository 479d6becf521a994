/* SPDX-License-Identifier: MIT */
#include "backend/exec_args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/template.h"

static const char *exec_args_unknown(struct slice name, struct arena *arena)
{
    static const char format[] =
        "{%.*s} names no capture of the path; for the text itself write {{%.*s}}";
    int len = name.len < 64 ? (int)name.len : 64;
    char *why = arena_alloc(arena, sizeof format + 128);

    if (why == NULL)
        return "out of memory";
    snprintf(why, sizeof format + 128, format, len, name.p, len, name.p);
    return why;
}

static const char *prepare_one(struct route *r, const char *arg, struct arena *arena)
{
    const char *rest = arg;
    struct slice piece;
    enum template_piece kind;

    while ((kind = template_next(&rest, &piece)) != TEMPLATE_END) {
        int n = kind == TEMPLATE_NAME ? route_capture_find(r, piece) : -1;

        if (kind == TEMPLATE_NAME && n < 0)
            return exec_args_unknown(piece, arena);
        if (kind == TEMPLATE_NAME || piece.p != arg || *rest != '\0')
            r->target.templated = true;
    }
    return NULL;
}

const char *exec_args_prepare(struct route *r, struct arena *arena)
{
    char **argv = r->target.argv;
    const char *rest = argv[0], *wrong;
    struct route_segment *seg;
    struct slice piece;
    enum template_piece kind;

    /* Also those that no argument names: a script may put its variable into one. */
    for (size_t i = 0; (seg = route_capture(r, i)) != NULL; i++)
        seg->no_option = true;
    while ((kind = template_next(&rest, &piece)) != TEMPLATE_END) {
        if (kind == TEMPLATE_NAME)
            return "the program itself cannot come from a request";
    }
    for (size_t i = 1; argv[i] != NULL; i++) {
        wrong = prepare_one(r, argv[i], arena);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

/* Writes the argument, or with out == NULL only counts. Returns its bytes with the NUL. */
static size_t expand_one(const struct route_match *m, const char *arg, char *out)
{
    const char *rest = arg;
    struct slice piece;
    enum template_piece kind;
    size_t n = 0;

    while ((kind = template_next(&rest, &piece)) != TEMPLATE_END) {
        if (kind == TEMPLATE_NAME)
            piece = m->captures[route_capture_find(m->route, piece)];
        if (out != NULL)
            memcpy(out + n, piece.p, piece.len);
        n += piece.len;
    }
    if (out != NULL)
        out[n] = '\0';
    return n + 1;
}

char **exec_args_expand(const struct route_match *m)
{
    char *const *args = m->route->target.argv;
    size_t count, bytes = 0;

    for (count = 1; args[count] != NULL; count++)
        bytes += expand_one(m, args[count], NULL);
    char **argv = malloc((count + 1) * sizeof *argv + bytes);
    if (argv == NULL)
        return NULL;
    char *text = (char *)(argv + count + 1);
    argv[0] = args[0];
    for (size_t i = 1; i < count; i++) {
        argv[i] = text;
        text += expand_one(m, args[i], text);
    }
    argv[count] = NULL;
    return argv;
}
