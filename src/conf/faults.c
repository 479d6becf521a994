/* SPDX-License-Identifier: MIT */
#include "conf/faults.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void faults_add(struct faults *f, const struct spot *at, const char *format, ...)
{
    char line[FAULT_LINE_MAX];
    int n = 0;
    va_list args;

    if (at != NULL && at->line > 0)
        n = snprintf(line, sizeof line, "%.400s:%u:%u: ", at->file, at->line, at->column);
    else if (at != NULL)
        n = snprintf(line, sizeof line, "%.400s: ", at->file);
    va_start(args, format);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    for (char *p = line; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
    for (size_t i = 0; i < f->count && i < FAULTS_MAX; i++) {
        if (f->lines[i] != NULL && strcmp(f->lines[i], line) == 0)
            return;
    }
    if (f->count++ < FAULTS_MAX)
        f->lines[f->count - 1] = strdup(line);
}

void faults_tell(const struct faults *f, void (*tell)(void *arg, const char *line), void *arg)
{
    size_t kept = f->count < FAULTS_MAX ? f->count : FAULTS_MAX;
    char further[64];

    for (size_t i = 0; i < kept; i++)
        tell(arg, f->lines[i] != NULL ? f->lines[i] : "out of memory");
    if (f->count == kept)
        return;
    snprintf(further, sizeof further, "%zu further faults", f->count - kept);
    tell(arg, further);
}

struct printing {
    FILE *out;
    const char *prefix;
};

static void print_line(void *arg, const char *line)
{
    const struct printing *p = arg;

    fprintf(p->out, "%s%s\n", p->prefix, line);
}

void faults_print(const struct faults *f, FILE *out, const char *prefix)
{
    struct printing p = {out, prefix};

    faults_tell(f, print_line, &p);
}

void faults_release(struct faults *f)
{
    for (size_t i = 0; i < FAULTS_MAX; i++)
        free(f->lines[i]);
    memset(f, 0, sizeof *f);
}
