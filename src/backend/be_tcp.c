/* SPDX-License-Identifier: MIT */

/* tcp, tls, unix: a service at the address that the route has. */
#include <stdio.h>
#include <string.h>

#include "backend/backends.h"
#include "backend/host_port.h"
#include "backend/service.h"

static const char *unix_parse(struct target *t, const char *rest, struct arena *arena)
{
    (void)arena;
    if (rest[0] == '\0')
        return "a path is needed";
    if (strlen(rest) > 107)
        return "the path is longer than 107 bytes";
    t->unix_path = rest;
    return NULL;
}

static struct backend *open_kind(const struct backend_open *o, const struct backend_ops *ops)
{
    const struct target *target = &o->route->target;
    const struct connect_spec spec = {
        .host = target->host,
        .port = target->port,
        .unix_path = target->unix_path,
        .timeout = o->route->settings.connect_timeout,
    };
    struct service *s = service_new(o, ops);

    return s != NULL ? service_connect(s, o, &spec) : NULL;
}

static struct backend *tcp_open(const struct backend_open *o)
{
    return open_kind(o, &backend_tcp);
}

static struct backend *tls_open(const struct backend_open *o)
{
    return open_kind(o, &backend_tls);
}

static struct backend *unix_open(const struct backend_open *o)
{
    return open_kind(o, &backend_unix);
}

static void unix_describe(const struct backend *b, char *out, size_t size)
{
    snprintf(out, size, "%s", service_of_const(b)->route->target.unix_path);
}

const struct backend_ops backend_tcp = {
    .name = "tcp",
    .prefix = "tcp://",
    .scheme_help = "tcp://HOST:PORT",
    .parse = host_port_parse,
    .open = tcp_open,
    .describe = service_describe,
    SERVICE_OPS,
};

const struct backend_ops backend_tls = {
    .name = "tls",
    .prefix = "tls://",
    .scheme_help = "tls://HOST:PORT",
    .over_tls = true,
    .parse = host_port_parse,
    .open = tls_open,
    .describe = service_describe,
    SERVICE_OPS,
};

const struct backend_ops backend_unix = {
    .name = "unix",
    .prefix = "unix:",
    .scheme_help = "unix:PATH",
    .parse = unix_parse,
    .open = unix_open,
    .describe = unix_describe,
    SERVICE_OPS,
};
