/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_BUILD_H
#define WSLUICE_CONF_BUILD_H

/* From what was written to listeners and routes. All return false with one line in error. */
#include "conf/cli.h"

bool build_listeners(struct config *c, const struct text_list *texts, unsigned unix_mode,
                     char error[CLI_ERROR_MAX]);

/* Adds a route with the config's settings, its framing resolved. argv: COMMAND ARG... instead of an
 * address. */
bool build_route(struct config *c, const char *path, const char *address, char **argv,
                 const struct conf_kinds *kinds, char error[CLI_ERROR_MAX]);

#endif
