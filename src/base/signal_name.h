/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_SIGNAL_NAME_H
#define WSLUICE_BASE_SIGNAL_NAME_H

/* Signals that one process may want to send another, by their names without SIG, as of kill(1). */
#include "base/slice.h"

#define SIGNAL_NAMES_MAX 96

/* The number; 0: no such name. */
int signal_of_name(struct slice name);
/* All names, with blanks between. */
const char *signal_names(char out[SIGNAL_NAMES_MAX]);

#endif
