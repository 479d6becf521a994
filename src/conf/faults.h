/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_FAULTS_H
#define WSLUICE_CONF_FAULTS_H

/* What is wrong with a configuration: all of it, each fault one line. */
#include <stddef.h>
#include <stdio.h>

#define FAULTS_MAX 50 /* kept; the rest is only counted */
#define FAULT_LINE_MAX 1024

/* A place in a file; line and column from 1, 0: the file as a whole. */
struct spot {
    const char *file;
    unsigned line, column;
};

/* Zeroed: none. */
struct faults {
    char *lines[FAULTS_MAX]; /* NULL where there was no memory */
    size_t count;            /* all of them */
};

/* Adds a line, "FILE:LINE:COL: " before it when at is not NULL; one that is there already not
 * again: what all routes inherit is one fault. Control bytes become '?'. */
void faults_add(struct faults *f, const struct spot *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* All of them, one by one; last, how many were only counted. */
void faults_tell(const struct faults *f, void (*tell)(void *arg, const char *line), void *arg);
/* Prints all of them to out, a line each, with prefix before it. */
void faults_print(const struct faults *f, FILE *out, const char *prefix);
void faults_release(struct faults *f);

#endif
