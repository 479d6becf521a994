/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_DUMP_H
#define WSLUICE_CONF_DUMP_H

#include "conf/schema.h"

/*
 * --dump-config: c as a file that reads back to the same. The top level has every value in force; a
 * route has those that differ from there.
 */
void dump_config(const struct config *c, const struct conf_kinds *kinds, FILE *out);

#endif
