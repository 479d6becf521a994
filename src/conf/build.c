/* SPDX-License-Identifier: MIT */
#include "conf/build.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_LISTEN "127.0.0.1:8080"

static bool build_listener(struct listen_spec *l, const char *text, unsigned unix_mode,
                           char error[CLI_ERROR_MAX])
{
    const char *wrong;

    l->text = text;
    l->unix_mode = unix_mode;
    if (strncmp(text, "unix:", 5) == 0) {
        l->unix_path = text + 5;
        wrong = text[5] == '\0' ? "a path is needed" : NULL;
    } else if (strcmp(text, "systemd") == 0 || strncmp(text, "systemd:", 8) == 0) {
        wrong = NULL; /* whether such a socket was passed to us is seen when it is opened */
    } else {
        wrong = addr_split(slice_from(text), &l->host, &l->port);
        if (wrong == NULL && l->host.len > 0 && l->host.p[0] == '[')
            l->host = slice_of(l->host.p + 1, l->host.len - 2);
    }
    if (wrong == NULL)
        return true;
    snprintf(error, CLI_ERROR_MAX,
             "--listen %.200s: %s; write PORT, HOST:PORT, [V6]:PORT, unix:PATH or systemd[:NAME]",
             text, wrong);
    return false;
}

bool build_listeners(struct config *c, const struct text_list *texts, unsigned unix_mode,
                     char error[CLI_ERROR_MAX])
{
    size_t count = texts->count > 0 ? texts->count : 1;

    c->listen = arena_alloc(&c->arena, count * sizeof *c->listen);
    if (c->listen == NULL) {
        snprintf(error, CLI_ERROR_MAX, "out of memory");
        return false;
    }
    c->listen_count = count;
    for (size_t i = 0; i < count; i++) {
        if (!build_listener(&c->listen[i], texts->count > 0 ? texts->items[i] : DEFAULT_LISTEN,
                            unix_mode, error))
            return false;
    }
    return true;
}

/* "exec:PROGRAM ARG..., tcp://HOST:PORT, unix:PATH or echo:" */
static void list_schemes(const struct conf_kinds *kinds, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; kinds->backends[i] != NULL && n < size; i++) {
        const char *between = i == 0 ? "" : kinds->backends[i + 1] == NULL ? " or " : ", ";

        n += (size_t)snprintf(out + n, size - n, "%s%s", between, kinds->backends[i]->scheme_help);
    }
}

static const struct backend_ops *find_backend(const char *address, const struct conf_kinds *kinds)
{
    for (size_t i = 0; kinds->backends[i] != NULL; i++) {
        const char *prefix = kinds->backends[i]->prefix;

        if (strncmp(address, prefix, strlen(prefix)) == 0)
            return kinds->backends[i];
    }
    return NULL;
}

static bool build_target(struct config *c, struct route *r, const char *address,
                         const struct conf_kinds *kinds, char error[CLI_ERROR_MAX])
{
    char schemes[200];
    const char *wrong;

    r->target.text = address;
    r->backend = find_backend(address, kinds);
    if (r->backend == NULL) {
        list_schemes(kinds, schemes, sizeof schemes);
        snprintf(error, CLI_ERROR_MAX, "%.150s: unknown kind of address; write %s", address,
                 schemes);
        return false;
    }
    wrong = r->backend->parse(&r->target, address + strlen(r->backend->prefix), &c->arena);
    if (wrong != NULL)
        snprintf(error, CLI_ERROR_MAX, "%.150s: %s; write %s", address, wrong,
                 r->backend->scheme_help);
    return wrong == NULL;
}

static bool build_framing(struct route *r, const struct conf_kinds *kinds,
                          char error[CLI_ERROR_MAX])
{
    const char *name = r->settings.framing_name;

    r->framing = r->backend->framing;
    if (name == NULL || r->backend->loopback)
        return true;
    for (size_t i = 0; kinds->framings[i] != NULL; i++) {
        if (strcmp(kinds->framings[i]->name, name) == 0) {
            r->framing = kinds->framings[i];
            return true;
        }
    }
    int n = snprintf(error, CLI_ERROR_MAX, "--framing %.60s: no such framing; there are:", name);
    for (size_t i = 0; kinds->framings[i] != NULL && n > 0 && n < CLI_ERROR_MAX; i++)
        n += snprintf(error + n, (size_t)(CLI_ERROR_MAX - n), " %s", kinds->framings[i]->name);
    return false;
}

/* Paths are kept without the slash at their end, but for "/" itself. */
static bool build_path(struct config *c, struct route *r, const char *path,
                       char error[CLI_ERROR_MAX])
{
    size_t n = strlen(path);

    if (path[0] != '/' || strpbrk(path, "?#%") != NULL) {
        snprintf(error, CLI_ERROR_MAX, "route %.150s: a path begins with / and has no ?, # or %%",
                 path);
        return false;
    }
    while (n > 1 && path[n - 1] == '/')
        n--;
    r->path = arena_dup(&c->arena, slice_of(path, n));
    if (r->path == NULL) {
        snprintf(error, CLI_ERROR_MAX, "out of memory");
        return false;
    }
    for (size_t i = 0; i < c->route_count; i++) {
        if (strcmp(c->routes[i].path, r->path) == 0) {
            snprintf(
                error, CLI_ERROR_MAX,
                "two backends for the path %.150s; give each its own path with --route PATH=ADDR",
                r->path);
            return false;
        }
    }
    return true;
}

bool build_route(struct config *c, const char *path, const char *address, char **argv,
                 const struct conf_kinds *kinds, char error[CLI_ERROR_MAX])
{
    struct route *all = arena_alloc(&c->arena, (c->route_count + 1) * sizeof *all);
    struct route *r;

    if (all == NULL) {
        snprintf(error, CLI_ERROR_MAX, "out of memory");
        return false;
    }
    if (c->route_count > 0)
        memcpy(all, c->routes, c->route_count * sizeof *all);
    r = &all[c->route_count];
    r->config = c;
    r->settings = c->settings;
    if (!build_path(c, r, path, error))
        return false;
    if (argv != NULL) {
        r->backend = find_backend("exec:", kinds);
        r->target.text = argv[0];
        r->target.argv = argv;
    } else if (!build_target(c, r, address, kinds, error)) {
        return false;
    }
    c->routes = all;
    c->route_count++;
    return build_framing(r, kinds, error);
}
