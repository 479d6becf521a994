/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/child/child.h"

/* 0 or an errno, ENOENT or EACCES. */
static int child_find_check(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return errno == EACCES ? EACCES : ENOENT;
    if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
        return EACCES;
    return 0;
}

/* "dir/name"; an empty directory is the current one. */
static char *child_find_join(const char *dir, size_t dir_len, const char *name)
{
    size_t name_len = strlen(name);
    char *path = malloc(dir_len + name_len + 3);
    char *p = path;

    if (!path)
        return NULL;
    if (dir_len == 0)
        *p++ = '.';
    memcpy(p, dir, dir_len);
    p += dir_len;
    *p++ = '/';
    memcpy(p, name, name_len + 1);
    return path;
}

static char *child_find_in(const char *name, const char *list)
{
    int err = ENOENT;

    for (;;) {
        size_t len = strcspn(list, ":");
        char *path = child_find_join(list, len, name);
        int e;

        if (!path)
            return NULL;
        e = child_find_check(path);
        if (e == 0)
            return path;
        free(path);
        if (e == EACCES)
            err = EACCES; /* what execvp says when nothing better follows */
        if (list[len] == '\0')
            break;
        list += len + 1;
    }
    errno = err;
    return NULL;
}

char *child_find(const char *name, const char *path_list)
{
    int err;

    if (*name == '\0') {
        errno = ENOENT;
        return NULL;
    }
    if (!strchr(name, '/'))
        return child_find_in(name, path_list ? path_list : "/usr/local/bin:/usr/bin:/bin");
    err = child_find_check(name);
    if (err != 0) {
        errno = err;
        return NULL;
    }
    return strdup(name);
}
