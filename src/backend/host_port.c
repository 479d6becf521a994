/* SPDX-License-Identifier: MIT */
#include "backend/host_port.h"

const char *host_port_parse(struct target *t, const char *rest, struct arena *arena)
{
    struct slice host;
    const char *wrong = addr_split(slice_from(rest), &host, &t->port);

    if (wrong != NULL)
        return wrong;
    if (host.len == 0 || t->port == 0)
        return "a host and a port from 1 to 65535 are needed";
    if (host.p[0] == '[')
        host = slice_of(host.p + 1, host.len - 2);
    t->host = arena_dup(arena, host);
    return t->host == NULL ? "out of memory" : NULL;
}
