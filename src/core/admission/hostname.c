/* SPDX-License-Identifier: MIT */
#include "core/admission/hostname.h"

#include <string.h>

#include "core/admission/origin.h"
#include "proto/authority.h"
#include "proto/handshake.h"

const char *hostname_judge(const char *item)
{
    const char *name = strncmp(item, "*.", 2) == 0 ? item + 2 : item;
    struct slice host;
    uint16_t port;

    if (!authority_split(slice_from(name), &host, &port) || host.len != strlen(name) ||
        strchr(name, '*') != NULL || name[strlen(name) - 1] == '.')
        return "a name without a port: example.org, *.example.org for all below it, or any";
    return NULL;
}

static bool hostname_is_listed(const struct text_list *hosts, struct slice name)
{
    for (size_t i = 0; i < hosts->count; i++) {
        if (strcmp(hosts->items[i], "any") == 0 || authority_has(slice_from(hosts->items[i]), name))
            return true;
    }
    return false;
}

/* By these no foreign page can come: DNS has no say in them, or the operator has named them. */
static bool hostname_is_ours(const struct config *c, const struct request *r, struct slice host)
{
    const struct route *route = r->match.route;
    struct slice name = authority_plain(host);

    return authority_is_address(host) || authority_is_localhost(host) ||
           hostname_is_listed(&c->hosts, name) ||
           (route != NULL &&
            (route->host != NULL || origin_names_host(&route->settings.origins, name)));
}

/* The port is that of this very connection. A proxy in front that passes the Host it was asked for
 * listens at another one. */
static bool is_own_port(const struct request *r, uint16_t port)
{
    uint16_t own = addr_port(&r->server);

    return port == own || (port == 0 && (own == 80 || own == 443));
}

/* The browser has not judged the name by our certificate, nor has a proxy spoken for it, nor does
 * the list of origins decide alone. */
static bool may_be_rebound(const struct request *r, bool listed)
{
    const struct route *route = r->match.route;
    const struct text_list *origins = route != NULL ? &route->settings.origins : NULL;

    if (!addr_is_loopback(&r->server) || r->tls_version.len > 0 || (r->vouched && !listed))
        return false;
    return origins == NULL || origins->count == 0 ||
           (!origin_any(origins) && !handshake_wanted(r->head));
}

static struct slice hostname_of(struct slice text, uint16_t *port)
{
    struct slice host;

    return authority_split(text, &host, port) ? host : text;
}

const char *hostname_refusal(const struct config *c, const struct request *r)
{
    struct slice sent = r->head->host, host;
    bool listed = c->hosts.count > 0;
    uint16_t port = 0;

    if (r->host.len == 0) /* HTTP/1.0: no browser asks so */
        return NULL;
    if (listed && !hostname_is_ours(c, r, hostname_of(r->host, &port)))
        return "the name in Host is none of ours; see --host";
    /* What was sent, whatever a proxy says: the fields of one can be had by script, for files. */
    port = 0;
    host = hostname_of(sent, &port);
    if (sent.len > 0 && may_be_rebound(r, listed) && is_own_port(r, port) &&
        !hostname_is_ours(c, r, host))
        return "the name in Host is not known to be ours: name it with --host, or ask for an "
               "address or localhost";
    return NULL;
}
