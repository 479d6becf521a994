/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_HANDLER_H
#define WSLUICE_CORE_HANDLER_H

/*
 * What answers a request. A kind is one file src/handler/h_NAME.c that ends in one const struct
 * handler_ops, plus one row in src/server/kinds.c; the first row that wants a request gets it.
 */
#include <stdbool.h>

#include "core/config.h"
#include "core/request.h"
#include "core/stream.h"

struct handler_ops {
    const char *name;
    /* route is NULL when no route has the path. */
    bool (*wants)(const struct config *c, const struct route *route, const struct request *r);
    /* Answers now, or takes the stream over by setting its events and owner. */
    void (*handle)(struct stream *s, const struct config *c, const struct route *route);
};

/* All kinds in order of precedence, NULL-terminated: in src/server/kinds.c. */
extern const struct handler_ops *const handlers[];

#endif
