/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
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

bool file_changed(const char *path, const struct file_stamp *stamp)
{
    struct file_stamp now;
    struct stat st;

    if (stat(path, &st) < 0)
        return false;
    now = file_stamp_of(&st);
    return now.dev != stamp->dev || now.ino != stamp->ino || now.size != stamp->size ||
           !same_time(now.modified, stamp->modified) || !same_time(now.changed, stamp->changed);
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
