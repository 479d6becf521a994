/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_FILES_STATIC_FIND_H
#define WSLUICE_HANDLER_FILES_STATIC_FIND_H

/*
 * Files below a directory. The kernel itself keeps every step of a path beneath that directory
 * (openat2, RESOLVE_BENEATH), symlinks and renames in the middle of it included, so there is no
 * check here that could be outrun. Descriptors are the caller's to close.
 */
#include <stdbool.h>
#include <sys/stat.h>

#include "proto/http1.h"

/* Opens root/path with suffix added to it. -1 with errno. O_NONBLOCK: a FIFO would wait for its
 * writer. */
int static_open(int root, const char *path, const char *suffix);

/* The regular file, or the directory, that a path names, "" the root; for "PATH/" the index in it.
 * -1 with errno. */
int static_find(int root, const char *path, struct stat *st);

/* A file as it is sent: itself, or one beside it that holds it compressed. */
struct static_page {
    int fd;
    struct stat st;
    const char *coding; /* NULL: as it is */
    bool varies;        /* there are others, for other clients */
};

/*
 * Of the regular file at path, which page->fd and page->st say, the form that this client wants
 * most: the file itself, or "FILE.br" or "FILE.gz" beside it, if they are not older than it.
 * page->fd is then another descriptor.
 */
void static_choose_form(int root, const char *path, const struct http_head *head,
                        struct static_page *page);

/* There is something to show under this path. */
bool static_has_page(int root, const char *path);

#endif
