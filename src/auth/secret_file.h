/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_AUTH_SECRET_FILE_H
#define WSLUICE_AUTH_SECRET_FILE_H

/* A file of passwords or tokens, read whole, and read again when it has changed. */
#include <stdbool.h>
#include <stddef.h>

#include "base/file.h"
#include "core/auth/auth.h"

#define SECRET_FILE_MAX (8U * 1024U * 1024U) /* bytes */

struct secret_file {
    const char *path;
    double looked_at;        /* worker time */
    struct file_stamp stamp; /* of the file that was read */
};

/* The text with a NUL behind it, by malloc, and its length; NULL with what is wrong. Others may not
 * write the file, nor read it where `hidden`. */
char *secret_file_read(struct secret_file *f, bool hidden, size_t *len, char why[AUTH_ERROR_MAX]);

/* True when it is worth reading again: looks once a second at most. */
bool secret_file_changed(struct secret_file *f, double now);

/* Wipes and frees. */
void secret_file_free(char *text, size_t len);

#endif
