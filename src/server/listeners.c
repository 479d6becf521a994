/* SPDX-License-Identifier: MIT */
#include "server/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/priv.h"

/* Opened for the new configuration, not yet part of the set. */
struct fresh {
    struct listeners *set;
    const struct config *config;
    struct passed *passed;
    struct listener *first;
    char *error;
};

static struct listener *listeners_find(struct listener *first, const char *text)
{
    while (first != NULL && (first->wanted != NULL || strcmp(first->text, text) != 0))
        first = first->next;
    return first;
}

static bool listeners_is_systemd(const char *text)
{
    return strcmp(text, "systemd") == 0 || strncmp(text, "systemd:", 8) == 0;
}

static struct listener_spec spec_of(const struct config *c, const struct listen_spec *l)
{
    return (struct listener_spec){
        .text = l->text,
        .unix_path = l->unix_path,
        .unix_mode = l->unix_mode,
        .host = l->host,
        .ask = &c->accounts->ask,
        .port = l->port,
        .reuse_port = l->reuse_port,
        .secure = l->tls != NULL,
    };
}

static int listeners_open_one(struct fresh *f, const struct listen_spec *l,
                              struct passed_socket *passed)
{
    struct listener_spec spec = spec_of(f->config, l);
    struct listener *opened, **at = &f->first;

    if (passed != NULL) {
        passed->taken = true;
        spec.inherited = passed->fd;
    }
    opened = listener_open(f->set->worker, &spec, f->set->accepted, f->set->owner, f->error);
    if (opened == NULL)
        return -1;
    opened->spec = l;
    if (listeners_is_systemd(l->text))
        opened->unix_ino = 0; /* its file belongs to the socket unit: never ours to remove */
    while (*at != NULL)       /* in the order of the configuration, for the log */
        at = &(*at)->next;
    *at = opened;
    return 0;
}

/* systemd: all that we have of that name, and all that were passed to us. */
static int follow_systemd(struct fresh *f, const struct listen_spec *l)
{
    struct listener *have = listeners_find(f->set->first, l->text);
    struct passed_socket *passed;
    bool any = have != NULL;

    for (; have != NULL; have = listeners_find(have, l->text))
        have->wanted = l;
    while ((passed = passed_find(f->passed, l->text)) != NULL) {
        any = true;
        if (listeners_open_one(f, l, passed) < 0)
            return -1;
    }
    if (any)
        return 0;
    snprintf(f->error, LISTENER_ERROR_MAX,
             "cannot listen on %s: no such socket was passed; see systemd.socket(5)", l->text);
    return -1;
}

static bool listeners_is_listed(const struct config *c, const char *text)
{
    for (size_t i = 0; i < c->listen_count; i++) {
        if (strcmp(c->listen[i].text, text) == 0)
            return true;
    }
    return false;
}

/* One that we have: as it is written, or at the same address in other words, unless those stand in
 * the configuration too. */
static struct listener *find_ours(struct fresh *f, const struct listen_spec *l)
{
    struct listener *have = listeners_find(f->set->first, l->text);
    const struct listener_spec spec = spec_of(f->config, l);

    if (have != NULL)
        return have;
    for (have = f->set->first; have != NULL; have = have->next) {
        if (have->wanted == NULL && !listeners_is_systemd(have->text) &&
            !listeners_is_listed(f->config, have->text) && listener_fits(have->fd, &spec))
            return have;
    }
    return NULL;
}

static struct passed_socket *listeners_find_passed(struct fresh *f, const struct listen_spec *l)
{
    struct passed_socket *passed = passed_find(f->passed, l->text);
    const struct listener_spec spec = spec_of(f->config, l);

    for (size_t i = 0; i < f->passed->count && passed == NULL; i++) {
        struct passed_socket *s = &f->passed->sockets[i];

        if (!s->taken && !s->by_systemd && !listeners_is_systemd(s->name) &&
            listener_fits(s->fd, &spec))
            passed = s;
    }
    return passed;
}

static bool is_any(const union addr *a)
{
    return a->sa.sa_family == AF_INET    ? a->v4.sin_addr.s_addr == INADDR_ANY
           : a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr)
                                         : false;
}

/* A port that cannot be had because we have it ourselves, at all addresses or at one of them: the
 * new socket is opened before the old one is closed, so that a fault leaves all as it was. */
static void blame_ourselves(const struct fresh *f, const struct listen_spec *l)
{
    size_t n = strlen(f->error);
    union addr asked = {0};
    bool all = addr_parse_host(l->host, l->port, &asked) && is_any(&asked);

    for (const struct listener *have = f->set->first; have != NULL; have = have->next) {
        if (l->unix_path != NULL || l->port == 0 || addr_port(&have->addr) != l->port ||
            (!all && !is_any(&have->addr)))
            continue;
        snprintf(f->error + n, LISTENER_ERROR_MAX - n,
                 "; this process itself has it, as %.60s: take that out and reload, then add this",
                 have->text);
        return;
    }
}

/* One address of the configuration: what we have, what was passed to us, or a new socket. */
static int follow_one(struct fresh *f, const struct listen_spec *l)
{
    struct listener *have;

    if (listeners_is_systemd(l->text))
        return follow_systemd(f, l);
    have = find_ours(f, l);
    if (have != NULL) {
        have->wanted = l;
        return 0;
    }
    if (listeners_open_one(f, l, listeners_find_passed(f, l)) == 0)
        return 0;
    blame_ourselves(f, l);
    return -1;
}

static void close_all(struct listener *first)
{
    struct listener *next;

    for (struct listener *l = first; l != NULL; l = next) {
        next = l->next;
        listener_close(l);
    }
}

/* What a socket has from its beginning, and the new configuration says otherwise. */
static void follow_socket(struct log *log, const struct listener *l)
{
    const struct listen_spec *old = l->spec, *spec = l->wanted;

    if (old->reuse_port != spec->reuse_port && l->unix_path == NULL)
        log_printf(log, LOG_WARN,
                   "reuse-port of %s: the change needs a restart; it stays as it was", l->url);
    if (spec->unix_path != NULL && old->unix_mode != spec->unix_mode &&
        listener_set_mode(l, spec->unix_mode) < 0)
        log_printf(log, LOG_WARN, "%s cannot get mode 0%o: %s; it stays as it was", l->url,
                   spec->unix_mode, strerror(errno));
}

/* Connections from now on are served by what the new configuration says of their listener; and by
 * its words the next one is compared, and a successor told. */
static void listeners_keep(struct log *log, struct listener *l)
{
    const struct listen_spec *spec = l->wanted;

    follow_socket(log, l);
    char *text = strcmp(spec->text, l->text) != 0 ? strdup(spec->text) : NULL;

    l->spec = spec;
    l->wanted = NULL;
    if (text == NULL)
        return; /* or no memory: then addresses are compared, each time */
    free(l->text);
    l->text = text;
}

static void drop_unwanted(struct listeners *set)
{
    struct listener **at = &set->first;

    while (*at != NULL) {
        struct listener *l = *at;

        if (l->wanted != NULL) {
            listeners_keep(&set->worker->log, l);
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

int listeners_open(struct listeners *set, const struct config *c, struct passed *passed,
                   struct listener **fresh, char error[LISTENER_ERROR_MAX])
{
    struct fresh f = {.set = set, .config = c, .passed = passed, .error = error};

    *fresh = NULL;
    for (struct listener *l = set->first; l != NULL; l = l->next)
        l->wanted = NULL;
    for (size_t i = 0; i < c->listen_count; i++) {
        if (follow_one(&f, &c->listen[i]) < 0) {
            listeners_abandon(f.first);
            return -1;
        }
    }
    *fresh = f.first;
    return 0;
}

void listeners_adopt(struct listeners *set, struct listener *fresh)
{
    drop_unwanted(set);
    adopt_fresh(set, fresh);
}

void listeners_abandon(struct listener *fresh)
{
    close_all(fresh);
}

void listeners_own(struct listeners *set)
{
    for (struct listener *l = set->first; l != NULL; l = l->next)
        l->handed_over = false;
    if (set->admin != NULL)
        set->admin->handed_over = false;
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

/* Any family but Unix's may reach beyond this machine: a virtual machine's host by AF_VSOCK, say.
 */
static bool is_exposed(const struct listener *l)
{
    union addr a = l->addr;

    addr_unmap(&a);
    return l->unix_path == NULL && !addr_is_loopback(&a);
}

size_t listeners_judge(const struct config *c, void (*tell)(void *arg, const char *line), void *arg)
{
    char error[LISTENER_ERROR_MAX];
    bool exposed;
    size_t faults = 0;

    for (size_t i = 0; i < c->listen_count; i++) {
        const struct listen_spec *l = &c->listen[i];

        if (l->text == NULL ||
            listeners_is_systemd(l->text)) /* what a unit passes only a start can see */
            continue;
        const struct listener_spec spec = spec_of(c, l);
        bool usable = listener_judge(&spec, &exposed, error);

        if (!usable || (exposed && !priv_may_expose(c->user != NULL, l->text, error))) {
            tell(arg, error);
            faults++;
        }
    }
    return faults;
}

const struct listener *listeners_exposed(const struct listeners *set, const struct listener *fresh)
{
    for (const struct listener *l = set->first; l != NULL; l = l->next) {
        if (l->wanted != NULL && is_exposed(l))
            return l;
    }
    while (fresh != NULL && !is_exposed(fresh))
        fresh = fresh->next;
    return fresh;
}

void listeners_close(struct listeners *set)
{
    close_all(set->first);
    set->first = NULL;
}
