/* SPDX-License-Identifier: MIT */
#include "listeners.h"

#include <stdio.h>
#include <string.h>

/* Opened for the new configuration, not yet part of the set. */
struct fresh {
    struct listeners *set;
    const struct config *config;
    struct passed *passed;
    struct listener *first;
    char *error;
};

static struct listener *find(struct listener *first, const char *text)
{
    while (first != NULL && (first->wanted || strcmp(first->text, text) != 0))
        first = first->next;
    return first;
}

static bool is_systemd(const char *text)
{
    return strcmp(text, "systemd") == 0 || strncmp(text, "systemd:", 8) == 0;
}

static int open_one(struct fresh *f, const struct listen_spec *l, struct passed_socket *passed)
{
    const struct listener_spec spec = {
        .text = l->text,
        .unix_path = l->unix_path,
        .unix_mode = l->unix_mode,
        .host = l->host,
        .port = l->port,
        .reuse_port = l->reuse_port,
        .secure = l->tls != NULL,
        .inherited = passed != NULL ? passed->fd : 0,
    };
    struct listener *opened, **at = &f->first;

    if (passed != NULL)
        passed->taken = true;
    opened = listener_open(f->set->worker, &spec, f->set->accepted, f->set->owner, f->error);
    if (opened == NULL)
        return -1;
    opened->spec = l;
    if (is_systemd(l->text))
        opened->unix_ino = 0; /* its file belongs to the socket unit: never ours to remove */
    while (*at != NULL)       /* in the order of the configuration, for the log */
        at = &(*at)->next;
    *at = opened;
    return 0;
}

/* One address of the configuration: what we have, what was passed to us, or a new socket. */
static int follow_one(struct fresh *f, const struct listen_spec *l)
{
    bool systemd = is_systemd(l->text);
    struct listener *have = find(f->set->first, l->text);
    struct passed_socket *passed;
    bool any = have != NULL;

    for (; have != NULL; have = systemd ? find(have, l->text) : NULL)
        have->wanted = true;
    while (!any || systemd) {
        passed = passed_find(f->passed, l->text);
        if (passed == NULL)
            break;
        any = true;
        if (open_one(f, l, passed) < 0)
            return -1;
    }
    if (any)
        return 0;
    if (systemd) {
        snprintf(f->error, LISTENER_ERROR_MAX,
                 "cannot listen on %s: no such socket was passed; see systemd.socket(5)", l->text);
        return -1;
    }
    return open_one(f, l, NULL);
}

static void close_all(struct listener *first, bool keep_files)
{
    struct listener *next;

    for (struct listener *l = first; l != NULL; l = next) {
        next = l->next;
        l->handed_over = keep_files;
        listener_close(l);
    }
}

static void drop_unwanted(struct listeners *set)
{
    struct listener **at = &set->first;

    while (*at != NULL) {
        struct listener *l = *at;

        if (l->wanted) {
            l->wanted = false;
            at = &l->next;
            continue;
        }
        *at = l->next;
        log_printf(&set->worker->log, LOG_INFO, "no longer listening on %s", l->url);
        listener_close(l);
    }
}

static void adopt_fresh(struct listeners *set, struct listener *fresh)
{
    struct listener *next;

    for (; fresh != NULL; fresh = next) {
        const struct listen_spec *spec = fresh->spec;

        next = fresh->next;
        fresh->next = set->first;
        set->first = fresh;
        listener_start(fresh);
        log_printf(&set->worker->log, LOG_INFO, "listening on %s%s%s", fresh->url,
                   spec->name != NULL ? " as " : "", spec->name != NULL ? spec->name : "");
    }
}

/* Connections from now on are served by what c says of their listener. */
static void point_at_specs(struct listeners *set, const struct config *c)
{
    for (struct listener *l = set->first; l != NULL; l = l->next) {
        for (size_t i = 0; i < c->listen_count; i++) {
            if (strcmp(c->listen[i].text, l->text) == 0)
                l->spec = &c->listen[i];
        }
    }
}

int listeners_follow(struct listeners *set, const struct config *c, struct passed *passed,
                     char error[LISTENER_ERROR_MAX])
{
    struct fresh f = {.set = set, .config = c, .passed = passed, .error = error};

    for (struct listener *l = set->first; l != NULL; l = l->next)
        l->wanted = false;
    for (size_t i = 0; i < c->listen_count; i++) {
        if (follow_one(&f, &c->listen[i]) < 0) {
            close_all(f.first, false);
            return -1;
        }
    }
    drop_unwanted(set);
    adopt_fresh(set, f.first);
    point_at_specs(set, c);
    return 0;
}

uint16_t listeners_tls_port(const struct listeners *set)
{
    const struct listen_spec *best = NULL;
    uint16_t port = 0;

    for (const struct listener *l = set->first; l != NULL; l = l->next) {
        const struct listen_spec *spec = l->spec;

        /* the specs of a configuration are one array */
        if (spec->tls != NULL && addr_port(&l->addr) != 0 && (best == NULL || spec < best)) {
            best = spec;
            port = addr_port(&l->addr);
        }
    }
    return port;
}

const struct listener *listeners_exposed(const struct listeners *set)
{
    for (const struct listener *l = set->first; l != NULL; l = l->next) {
        union addr a = l->addr;

        addr_unmap(&a);
        if ((a.sa.sa_family == AF_INET || a.sa.sa_family == AF_INET6) && !addr_is_loopback(&a))
            return l;
    }
    return NULL;
}

void listeners_close(struct listeners *set, bool keep_files)
{
    close_all(set->first, keep_files);
    set->first = NULL;
}
