/* SPDX-License-Identifier: MIT */
#include "auth/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/trusted_file.h"

static const char *secret_file_judge(const struct stat *st, bool hidden)
{
    if (!S_ISREG(st->st_mode))
        return "not a regular file";
    if (st->st_size > (off_t)SECRET_FILE_MAX)
        return "larger than 8 MiB";
    return trusted_file_mode_fault(st, hidden);
}

char *secret_file_read(struct secret_file *f, bool hidden, size_t *len, char why[AUTH_ERROR_MAX])
{
    rlim_t reserve = descriptors_open_reserve(); /* clients must not keep it from being read */
    int fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    const char *wrong = NULL;
    struct stat st = {0};
    char *text = NULL;

    if (fd < 0 || fstat(fd, &st) < 0)
        wrong = strerror(errno);
    else
        wrong = secret_file_judge(&st, hidden);
    descriptors_close_reserve(reserve);
    if (wrong == NULL) {
        text = file_read_all(fd, (size_t)st.st_size, len);
        wrong = text == NULL ? strerror(errno) : NULL;
    }
    if (text != NULL && memchr(text, '\0', *len) != NULL) { /* what is behind it would be lost */
        wrong = "a zero byte stands in it";
        secret_file_free(text, *len);
        text = NULL;
    }
    if (fd >= 0) {
        f->stamp = file_stamp_of(&st);
        close(fd);
    }
    if (wrong != NULL)
        snprintf(why, AUTH_ERROR_MAX, "%.300s: %s", f->path, wrong);
    return text;
}

bool secret_file_changed(struct secret_file *f, double now)
{
    if (now - f->looked_at < 1)
        return false;
    f->looked_at = now;
    return file_changed(f->path, &f->stamp);
}

void secret_file_free(char *text, size_t len)
{
    if (text != NULL)
        explicit_bzero(text, len);
    free(text);
}
