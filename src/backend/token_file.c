/* SPDX-License-Identifier: MIT */
#include "backend/token_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/file.h"
#include "proto/secret.h"

static bool broken(struct token_target *t, const char *name, const char *why)
{
    t->broken = true;
    snprintf(t->why, sizeof t->why, "%.120s: %s", name, why);
    return false;
}

static bool set_target(struct slice to, struct token_target *t)
{
    struct slice host = to;

    t->is_unix = slice_starts(to, "unix:");
    if (t->is_unix) {
        host = slice_of(to.p + 5, to.len - 5);
        t->port = 0;
    } else {
        if (slice_starts(to, "tcp://"))
            to = slice_of(to.p + 6, to.len - 6);
        if (addr_split(to, &host, &t->port) != NULL || t->port == 0)
            return false;
        if (host.len > 1 && host.p[0] == '[')
            host = slice_of(host.p + 1, host.len - 2);
    }
    if (host.len == 0 || host.len >= (t->is_unix ? 108 : sizeof t->host) ||
        memchr(host.p, '\0', host.len) != NULL)
        return false;
    memcpy(t->host, host.p, host.len);
    t->host[host.len] = '\0';
    return true;
}

bool token_file_line(struct slice line, struct slice token, struct token_target *t)
{
    struct slice to, name;

    line = slice_trim(line);
    if (line.len > 0 && line.p[line.len - 1] == '\r')
        line = slice_trim(slice_of(line.p, line.len - 1));
    if (line.len == 0 || line.p[0] == '#')
        return false;
    name = slice_trim(slice_cut(line, ':', &to));
    if (token.len == 0 || name.len != token.len || !secret_equal(name.p, token.p, token.len))
        return false;
    if (to.p != NULL && set_target(slice_trim(to), t))
        return true;
    return broken(t, "the token's line", "write TOKEN: HOST:PORT or TOKEN: unix:PATH");
}

static bool find_in(int fd, const char *name, struct slice token, struct token_target *t)
{
    struct slice line, rest;
    struct stat st;
    bool found = false;
    size_t len;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return broken(t, name, "not a regular file");
    if (st.st_size > (off_t)TOKEN_FILE_SIZE_MAX)
        return broken(t, name, "larger than 1 MiB");
    char *text = file_read_all(fd, (size_t)st.st_size, &len);
    if (text == NULL)
        return broken(t, name, strerror(errno));
    rest = slice_of(text, len);
    while (!found && rest.p != NULL) {
        line = slice_cut(rest, '\n', &rest);
        found = token_file_line(line, token, t);
    }
    secret_wipe(slice_of(text, len));
    free(text);
    return found;
}

/* -1 with errno. */
static int open_below(int dir, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = -1;

    for (int tries = 0; fd < 0 && tries < 16; tries++) {
        fd = syscall(SYS_openat2, dir, name, &how, sizeof how);
        if (fd < 0 && errno != EAGAIN && errno != EINTR)
            break;
    }
    return (int)fd;
}

static bool find_in_one(int dir, const char *name, struct slice token, struct token_target *t)
{
    struct stat st;
    int fd = open_below(dir, name);
    bool found = false;

    if (fd < 0) {
        (void)broken(t, name, strerror(errno));
        t->broken = false; /* the others are there */
        return false;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        found = find_in(fd, name, token, t);
    close(fd);
    return found;
}

/* Takes the descriptor over. */
static bool find_in_directory(int fd, struct slice token, struct token_target *t)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry;
    bool found = false;
    size_t files = 0;

    if (dir == NULL) {
        close(fd);
        return broken(t, "the directory", strerror(errno));
    }
    while (!found && (entry = readdir(dir)) != NULL && files < TOKEN_FILES_MAX) {
        if (entry->d_name[0] == '.')
            continue;
        files++;
        found = find_in_one(fd, entry->d_name, token, t);
    }
    closedir(dir);
    return found;
}

bool token_file_find(const char *path, struct slice token, struct token_target *t)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    bool found;

    *t = (struct token_target){0};
    if (fd < 0)
        return broken(t, path, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return find_in_directory(fd, token, t);
    found = find_in(fd, path, token, t);
    close(fd);
    return found;
}
