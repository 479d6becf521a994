/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file_stamp file_stamp_of(const struct stat *st)
{
    return (struct file_stamp){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool file_stamp_same(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

bool file_changed(const char *path, const struct file_stamp *stamp)
{
    struct file_stamp now;
    struct stat st;

    if (stat(path, &st) < 0)
        return false;
    now = file_stamp_of(&st);
    return !file_stamp_same(&now, stamp);
}

/* FNV-1a, by words. */
static void feed(uint64_t *digest, uint64_t word)
{
    *digest = (*digest ^ word) * 0x100000001b3U;
}

bool file_digest(const char *path, uint64_t *digest)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return false;
    feed(digest, st.st_dev);
    feed(digest, st.st_ino);
    feed(digest, (uint64_t)st.st_size);
    feed(digest, (uint64_t)st.st_mode);
    feed(digest, (uint64_t)st.st_mtim.tv_sec);
    feed(digest, (uint64_t)st.st_mtim.tv_nsec);
    feed(digest, (uint64_t)st.st_ctim.tv_sec);
    feed(digest, (uint64_t)st.st_ctim.tv_nsec);
    return true;
}

char *file_read_all(int fd, size_t size, size_t *len)
{
    char *text = malloc(size + 1);
    ssize_t n = 1;

    *len = 0;
    while (text != NULL && *len < size && n > 0) {
        n = read(fd, text + *len, size - *len);
        if (n > 0)
            *len += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    if (text != NULL && n < 0) {
        int err = errno;

        explicit_bzero(text, *len);
        free(text);
        errno = err;
        return NULL;
    }
    if (text != NULL)
        text[*len] = '\0';
    return text;
}

int file_may_be_made(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX] = ".";

    if (slash != NULL && slash - path + 1 >= (int)sizeof folder)
        return ENAMETOOLONG;
    if (slash != NULL)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + (slash == path), path);
    return faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}
