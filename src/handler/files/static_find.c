/* SPDX-License-Identifier: MIT */
#include "handler/files/static_find.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/coding.h"

#define OPEN_TRIES 16 /* openat2 gives up with EAGAIN while somebody renames in the tree */

/* A segment with a leading dot is nobody's page (.git, .htpasswd), but for RFC 8615's. */
static bool is_hidden(const char *path)
{
    for (const char *dot = strstr(path, "/."); dot != NULL; dot = strstr(dot + 1, "/.")) {
        if (strncmp(dot, "/.well-known", 12) != 0 || (dot[12] != '/' && dot[12] != '\0'))
            return true;
    }
    return false;
}

int static_open(int root, const char *path, const char *suffix)
{
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    char name[PATH_MAX];
    long fd = -1;
    int n = snprintf(name, sizeof name, ".%s%s", path, suffix);

    errno = ENAMETOOLONG;
    if (n < 0 || (size_t)n >= sizeof name)
        return -1;
    for (int tries = 0; fd < 0 && tries < OPEN_TRIES; tries++) {
        fd = syscall(SYS_openat2, root, name, &how, sizeof how);
        if (fd < 0 && errno != EAGAIN && errno != EINTR)
            break;
    }
    return (int)fd;
}

int static_find(int root, const char *path, struct stat *st)
{
    bool is_folder = path[0] != '\0' && path[strlen(path) - 1] == '/';
    int fd = -1;

    errno = ENOENT;
    if (!is_hidden(path))
        fd = static_open(root, path, is_folder ? "index.html" : "");
    if (fd < 0 || (fstat(fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

/* Opens the form of a file that is beside it; -1: there is none, or one that is out of date. */
static int open_form(int root, const char *path, const char *suffix, time_t made, struct stat *st)
{
    int fd = static_open(root, path, suffix);

    if (fd < 0 || (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_mtim.tv_sec >= made))
        return fd;
    close(fd);
    return -1;
}

void static_choose_form(int root, const char *path, const struct http_head *head,
                        struct static_page *page)
{
    static const struct {
        const char *coding, *suffix, *of_index;
    } forms[] = {{"br", ".br", "index.html.br"}, {"gzip", ".gz", "index.html.gz"}};
    const size_t n = sizeof forms / sizeof forms[0];
    unsigned weight, best = coding_weight(head, "identity");
    time_t made = page->st.st_mtim.tv_sec; /* whole seconds: not every packer keeps more */

    for (size_t i = 0; i < n; i++) {
        const char *suffix = ends_with(path, "/") ? forms[i].of_index : forms[i].suffix;
        struct stat st;
        int fd = ends_with(path, forms[i].suffix) ? -1 : open_form(root, path, suffix, made, &st);

        if (fd < 0)
            continue;
        page->varies = true;
        weight = coding_weight(head, forms[i].coding);
        if (weight <= best) {
            close(fd);
            continue;
        }
        close(page->fd);
        page->fd = fd;
        page->st = st;
        page->coding = forms[i].coding;
        best = weight;
    }
}

bool static_has_page(int root, const char *path)
{
    struct stat st = {0};
    int fd = static_find(root, path, &st);

    if (fd >= 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        fd = static_open(root, path, "/index.html");
    }
    if (fd < 0)
        return false;
    close(fd);
    return true;
}
