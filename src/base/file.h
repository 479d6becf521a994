/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_FILE_H
#define WSLUICE_BASE_FILE_H

/* Small files that are read whole, and read again when they are others than before. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Which file it was; all zeroes: none. */
struct file_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec modified, changed;
};

struct file_stamp file_stamp_of(const struct stat *st);

bool file_stamp_same(const struct file_stamp *a, const struct file_stamp *b);

/* The file is another than at that time. A missing one is not: somebody may be replacing it. */
bool file_changed(const char *path, const struct file_stamp *stamp);

/* A digest of which files they are, begun with FILE_DIGEST_START and fed one by one. False for one
 * that is not there. */
#define FILE_DIGEST_START 0xcbf29ce484222325U
bool file_digest(const char *path, uint64_t *digest);

/* At most `size` bytes from where fd stands, with a NUL behind them, by malloc; *len is how many
 * came. NULL with errno set; then what was read is wiped. */
char *file_read_all(int fd, size_t size, size_t *len);

/* Whether we may make a file in the folder of that path: 0, or an errno. */
int file_may_be_made(const char *path);

#endif
