/* SPDX-License-Identifier: MIT */
#include "auth/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void keep_stamp(struct secret_file *f, const struct stat *st)
{
    f->dev = st->st_dev;
    f->ino = st->st_ino;
    f->size = st->st_size;
    f->modified = st->st_mtim;
    f->changed = st->st_ctim;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static const char *judge(const struct stat *st, bool hidden)
{
    if (!S_ISREG(st->st_mode))
        return "not a regular file";
    if (st->st_size > (off_t)SECRET_FILE_MAX)
        return "larger than 8 MiB";
    if ((st->st_mode & S_IWOTH) != 0)
        return "everybody may write it: chmod o-w";
    if (hidden && (st->st_mode & S_IROTH) != 0)
        return "everybody may read it: chmod o-r";
    return NULL;
}

static char *read_all(int fd, size_t size, size_t *len)
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
        secret_file_free(text, *len);
        return NULL;
    }
    if (text != NULL)
        text[*len] = '\0';
    return text;
}

char *secret_file_read(struct secret_file *f, bool hidden, size_t *len, char why[AUTH_ERROR_MAX])
{
    int fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    const char *wrong = NULL;
    struct stat st = {0};
    char *text = NULL;

    if (fd < 0 || fstat(fd, &st) < 0)
        wrong = strerror(errno);
    else
        wrong = judge(&st, hidden);
    if (wrong == NULL) {
        text = read_all(fd, (size_t)st.st_size, len);
        wrong = text == NULL ? strerror(errno) : NULL;
    }
    if (fd >= 0) {
        keep_stamp(f, &st);
        close(fd);
    }
    if (wrong != NULL)
        snprintf(why, AUTH_ERROR_MAX, "%.300s: %s", f->path, wrong);
    return text;
}

bool secret_file_changed(struct secret_file *f, double now)
{
    struct stat st;

    if (now - f->looked_at < 1)
        return false;
    f->looked_at = now;
    if (stat(f->path, &st) < 0)
        return false; /* somebody is just replacing it, or we may not look any more: keep what we
                         have */
    return f->dev != st.st_dev || f->ino != st.st_ino || f->size != st.st_size ||
           !same_time(f->modified, st.st_mtim) || !same_time(f->changed, st.st_ctim);
}

void secret_file_free(char *text, size_t len)
{
    if (text != NULL)
        explicit_bzero(text, len);
    free(text);
}
