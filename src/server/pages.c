/* SPDX-License-Identifier: MIT */
#include "server/pages.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/route.h"
#include "handler/files/terminal_page.h"

#define NAME_LONGEST 100 /* bytes of a file's name worth showing */

static const char unreserved[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

/* A name that stands in an address as it is. */
static bool is_page(const char *name)
{
    size_t n = strlen(name);

    return n > 5 && n < NAME_LONGEST && strcmp(name + n - 5, ".html") == 0 && name[0] != '.' &&
           strspn(name, unreserved) == n;
}

/* The first *.html of the folder by name; empty: none, or we may not look. */
static void first_page(int folder, char name[NAME_LONGEST])
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    name[0] = '\0';
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (is_page(entry->d_name) && (name[0] == '\0' || strcmp(entry->d_name, name) < 0))
            snprintf(name, NAME_LONGEST, "%.99s", entry->d_name);
    }
    closedir(dir);
}

static bool shows_terminal(const struct route *r)
{
    return r->page == PAGE_TERMINAL && terminal_page_is_there();
}

/* What stands behind the route's path. False: it has no page. */
static bool page_of(const struct route *r, char name[NAME_LONGEST])
{
    name[0] = '\0';
    if (r->static_dir != NULL && faccessat(r->static_fd, "index.html", R_OK, 0) == 0)
        return true;
    if (r->page == PAGE_CONSOLE || shows_terminal(r))
        return true;
    if (r->static_dir != NULL)
        first_page(r->static_fd, name);
    return name[0] != '\0';
}

/* A browser can ask for it without more: no part of it is a pattern. */
static bool pages_is_plain(const struct route *r)
{
    return r->capture_count == 0 && (r->host == NULL || r->host[0] != '*') &&
           r->match_subprotocol == NULL;
}

static const struct route *pages_find_route(const struct config *c, char name[NAME_LONGEST])
{
    const struct route *best = NULL;
    char candidate[NAME_LONGEST];

    for (size_t i = 0; i < c->route_count; i++) {
        const struct route *r = &c->routes[i];

        if (!pages_is_plain(r) || (best != NULL && r->segment_count >= best->segment_count) ||
            !page_of(r, candidate))
            continue;
        best = r;
        memcpy(name, candidate, NAME_LONGEST);
    }
    return best;
}

/* The first of the configuration. Those that only redirect, or are for a proxy, are no doors for a
 * browser. */
static const struct listener *find_listener(const struct listeners *set)
{
    const struct listener *best = NULL;

    for (const struct listener *l = set->first; l != NULL; l = l->next) {
        const struct listen_spec *spec = l->spec, *first = best != NULL ? best->spec : NULL;

        if (l->unix_path == NULL && addr_port(&l->addr) != 0 && !spec->redirect &&
            !spec->accept_proxy && (first == NULL || spec < first))
            best = l;
    }
    return best;
}

/* All addresses of the machine are reached by its loopback. */
static void write_host(const struct listener *l, const struct route *r, char *out, size_t size)
{
    static const struct in6_addr any = IN6ADDR_ANY_INIT;
    union addr a = l->addr;

    if (r->host != NULL) {
        snprintf(out, size, "%.200s:%u", r->host, (unsigned)addr_port(&a));
        return;
    }
    if (a.sa.sa_family == AF_INET && a.v4.sin_addr.s_addr == INADDR_ANY)
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (a.sa.sa_family == AF_INET6 && memcmp(&a.v6.sin6_addr, &any, sizeof any) == 0)
        a.v6.sin6_addr = in6addr_loopback;
    (void)addr_format(&a, out);
}

/* As an address has it. */
static void write_path(const char *path, char *out, size_t size)
{
    size_t n = 0;

    for (; *path != '\0' && n + 4 < size; path++) {
        if (*path == '/' || strchr(unreserved, *path) != NULL)
            out[n++] = *path;
        else
            n += (size_t)snprintf(out + n, size - n, "%%%02X", (unsigned)(unsigned char)*path);
    }
    out[n] = '\0';
}

void pages_tell(const struct listeners *set, const struct config *c)
{
    const struct listener *l = find_listener(set);
    const struct listen_spec *spec;
    const struct route *r;
    char name[NAME_LONGEST], host[ADDR_TEXT_MAX + 200], path[160];

    if (l == NULL || (r = pages_find_route(c, name)) == NULL)
        return;
    spec = l->spec;
    write_host(l, r, host, sizeof host);
    write_path(r->path, path, sizeof path);
    if ((r->static_dir != NULL || shows_terminal(r)) && path[strlen(path) - 1] != '/')
        strcat(path, "/");
    log_printf(&set->worker->log, LOG_INFO, "open %s://%s%s%s",
               spec->tls != NULL ? "https" : "http", host, path, name);
}
