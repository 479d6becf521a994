/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "conf/file_impl.h"

void parts_add(struct loader *l, struct parts *parts, const struct yaml_node *node)
{
    struct part *part = arena_alloc(&l->scratch, sizeof *part);

    if (part == NULL) {
        value_no_memory(l);
        return;
    }
    part->node = node;
    *(parts->end != NULL ? parts->end : &parts->first) = part;
    parts->end = &part->next;
    parts->count++;
}

/* ---- listeners ---- */

static void set_cert(struct loader *l, struct tlsctx_cert *cert, const struct yaml_node *node)
{
    const struct backend_ops *kind;

    if (node->kind != YAML_MAP) {
        if (node->kind != YAML_BAD)
            faults_add(l->faults, &node->at, "tls: a map with cert and key is needed, this is %s",
                       value_kind_name(node));
        return;
    }
    for (const struct yaml_node *v = node->first; v != NULL; v = v->next) {
        const struct option_row *row = schema_find(l->kinds, SCHEMA_CERT, v->key->text, &kind);

        if (row == NULL)
            value_unknown(l, SCHEMA_CERT, v);
        else
            (void)value_set(l, row, cert, v);
    }
    if (yaml_get(node, "cert") == NULL || yaml_get(node, "key") == NULL)
        faults_add(l->faults, &node->at, "tls: both cert and key are needed");
}

/* One map, or a list of them: the first is for clients that name no server. */
static void set_certs(struct loader *l, struct listen_spec *spec, const struct yaml_node *value)
{
    bool is_list = value->kind == YAML_LIST;
    size_t count = is_list ? value->count : 1;

    if (count == 0) {
        faults_add(l->faults, &value->at, "tls: a certificate is needed");
        return;
    }
    spec->certs = arena_alloc(&l->config->arena, count * sizeof *spec->certs);
    if (spec->certs == NULL) {
        value_no_memory(l);
        return;
    }
    spec->cert_count = count;
    if (!is_list)
        set_cert(l, spec->certs, value);
    struct tlsctx_cert *cert = spec->certs;
    for (const struct yaml_node *v = value->first; is_list && v != NULL; v = v->next)
        set_cert(l, cert++, v);
    for (size_t i = 0; i < count; i++) {
        if (spec->certs[i].cert == NULL || spec->certs[i].key == NULL)
            spec->cert_count = 0; /* told already; --check goes on with what can be looked at */
    }
}

static void set_listener(struct loader *l, struct listen_spec *spec, const struct yaml_node *node)
{
    const struct backend_ops *kind;

    if (node->kind == YAML_SCALAR) {
        const struct option_row *address = schema_find(l->kinds, SCHEMA_LISTEN, "address", &kind);

        (void)value_set(l, address, spec, node);
        return;
    }
    if (node->kind == YAML_LIST)
        faults_add(l->faults, &node->at, "listen: an item is an address or a map");
    if (node->kind != YAML_MAP)
        return;
    for (const struct yaml_node *v = node->first; v != NULL; v = v->next) {
        const struct option_row *row = schema_find(l->kinds, SCHEMA_LISTEN, v->key->text, &kind);

        if (row == NULL)
            value_unknown(l, SCHEMA_LISTEN, v);
        else if (row->type == OPTION_NODES)
            set_certs(l, spec, v);
        else
            (void)value_set(l, row, spec, v);
    }
    if (yaml_get(node, "address") == NULL)
        faults_add(l->faults, &node->at, "listen: an address is needed");
}

static void build_one(struct loader *l, struct listen_spec *all, size_t n,
                      const struct yaml_node *node)
{
    char why[BUILD_ERROR_MAX];
    const struct yaml_node *address = node->kind == YAML_MAP ? yaml_get(node, "address") : node;
    const struct spot *at = address != NULL ? &address->at : &node->at;

    build_listener_defaults(&all[n], l->config);
    set_listener(l, &all[n], node);
    if (all[n].text == NULL)
        return;
    if (!build_listener(&all[n], why)) {
        faults_add(l->faults, at, "%s", why);
        return;
    }
    if (build_listener_again(all, n, true))
        faults_add(l->faults, at, "%.200s: listed twice", all[n].text);
}

void parts_build_listeners(struct loader *l)
{
    struct config *c = l->config;
    size_t n = 0, count = l->listen.count > 0 ? l->listen.count : 1;
    struct listen_spec *all = arena_alloc(&c->arena, count * sizeof *all);
    char why[BUILD_ERROR_MAX];

    if (all == NULL) {
        value_no_memory(l);
        return;
    }
    for (const struct part *p = l->listen.first; p != NULL; p = p->next)
        build_one(l, all, n++, p->node);
    if (n == 0) {
        all[0].text = BUILD_DEFAULT_LISTEN;
        build_listener_defaults(&all[0], c);
        (void)build_listener(&all[0], why);
    }
    if (l->cli->listen.count == 0) {
        c->listen = all;
        c->listen_count = count;
        return;
    }
    /* The command line is stronger, but says only where: its listeners were built before the file's
     * top level was known. */
    for (size_t i = 0; i < c->listen_count; i++)
        build_listener_defaults(&c->listen[i], c);
}

/* ---- routes ---- */

struct route_reading {
    struct loader *loader;
    struct route *route;
    const struct yaml_node *node;
    const struct yaml_node *chosen; /* what chose the backend */
    bool bad;
};

/* The key that chooses a backend: `to`, or one of a kind. */
static void parts_choose(struct route_reading *r, const struct backend_ops *kind,
                         const struct yaml_node *value)
{
    if (r->chosen != NULL) {
        faults_add(r->loader->faults, &value->key->at,
                   "two backends for one route: %s and %s; make two routes of it",
                   r->chosen->key->text, value->key->text);
        r->bad = true;
        return;
    }
    r->chosen = value;
    r->route->backend = kind;
}

static void set_in_route(struct route_reading *r, const struct yaml_node *value)
{
    struct loader *l = r->loader;
    const char *key = value->key->text;
    const struct backend_ops *kind;
    const struct option_row *row = schema_find(l->kinds, SCHEMA_ROUTE, key, &kind);

    if (row == NULL) {
        value_unknown(l, SCHEMA_ROUTE, value);
        r->bad = true;
        return;
    }
    void *base = row->place == IN_SETTINGS ? (void *)&r->route->settings
                 : row->place == IN_TARGET ? (void *)&r->route->target
                                           : (void *)r->route;
    if (!value_set(l, row, base, value)) {
        r->bad = true;
        return;
    }
    if (strcmp(key, "to") == 0)
        parts_choose(r, NULL, value);
    else if (kind != NULL && kind->key != NULL && strcmp(kind->key, key) == 0)
        parts_choose(r, kind, value);
}

/* Keys of a kind make sense with it only. */
static void judge_kinds(struct route_reading *r)
{
    for (const struct yaml_node *v = r->node->first; v != NULL; v = v->next) {
        const struct backend_ops *kind;

        if (schema_find(r->loader->kinds, SCHEMA_ROUTE, v->key->text, &kind) == NULL ||
            kind == NULL || kind == r->route->backend)
            continue;
        faults_add(r->loader->faults, &v->key->at, "%s is for routes of the kind %s (%s)",
                   v->key->text, kind->name, kind->scheme_help);
    }
}

/* Where a key stands that the route, or the top level for it, has; else the route. */
static void tell_built(void *owner, const char *key, const char *why)
{
    struct route_reading *r = owner;
    const struct yaml_node *value = yaml_get(r->node, key);
    const struct spot *at = &r->node->at;

    if (value != NULL)
        at = &value->at;
    for (const struct set_key *s = r->loader->set; value == NULL && s != NULL; s = s->next) {
        if (strcmp(s->row->name, key) == 0)
            at = &s->at;
    }
    faults_add(r->loader->faults, at, "%s: %s", key, why);
}

static void tell_nothing(struct route_reading *r)
{
    char keys[200];
    size_t n = 0;

    for (size_t i = 0; r->loader->kinds->backends[i] != NULL && n < sizeof keys; i++) {
        const char *key = r->loader->kinds->backends[i]->key;

        if (key != NULL)
            n += (size_t)snprintf(keys + n, sizeof keys - n, "%s, ", key);
    }
    keys[n < sizeof keys ? n : 0] = '\0';
    faults_add(r->loader->faults, &r->node->at, "a route needs one of %sto or static", keys);
}

static bool begin_route(struct route_reading *r)
{
    struct loader *l = r->loader;
    char where[512];

    if (r->node->kind != YAML_MAP) {
        if (r->node->kind != YAML_BAD)
            faults_add(l->faults, &r->node->at, "routes: an item is a map, this is %s",
                       value_kind_name(r->node));
        return false;
    }
    snprintf(where, sizeof where, "%.400s:%u:%u", r->node->at.file, r->node->at.line,
             r->node->at.column);
    r->route = config_add_route(l->config);
    if (r->route != NULL)
        r->route->where = arena_dup(&l->config->arena, slice_from(where));
    if (r->route != NULL && r->route->where != NULL)
        return true;
    value_no_memory(l);
    return false;
}

static void build_one_route(struct loader *l, const struct yaml_node *node)
{
    struct route_reading r = {.loader = l, .node = node};

    if (!begin_route(&r))
        return;
    for (const struct yaml_node *v = node->first; v != NULL; v = v->next)
        set_in_route(&r, v);
    if (r.route->path == NULL)
        r.route->path = "/";
    if (r.chosen == NULL && r.route->static_dir == NULL && !r.bad) {
        tell_nothing(&r);
        return;
    }
    if (r.route->backend != NULL && r.route->target.text == NULL)
        r.route->target.text =
            r.route->target.argv != NULL ? r.route->target.argv[0] : r.route->backend->name;
    if (build_route(l->config, r.route, l->kinds, tell_built, &r) && !r.bad)
        judge_kinds(&r);
}

void parts_build_routes(struct loader *l)
{
    for (const struct part *p = l->routes.first; p != NULL; p = p->next)
        build_one_route(l, p->node);
}
