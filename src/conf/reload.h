/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_RELOAD_H
#define WSLUICE_CONF_RELOAD_H

/* What a reload cannot change: the rows with RELOAD_RESTART. */
#include "conf/options.h"

/* Keeps their values of c, in memory of kept->arena; the other fields of kept mean nothing. False
 * without memory. */
bool reload_keep(struct config *kept, const struct config *c);

/* Tells, one line each, which of them c says otherwise. */
void reload_compare(const struct config *kept, const struct config *c,
                    void (*tell)(void *arg, const char *line), void *arg);

#endif
