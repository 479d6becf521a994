/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_FILE_H
#define WSLUICE_CONF_FILE_H

/* A configuration file, and what it includes, to a config. */
#include "conf/faults.h"
#include "conf/schema.h"

/*
 * Reads it into c, whose defaults are set and which holds what the command line says. Keys of the
 * top level that stand there, too (cli->given), are judged but not taken. All that is wrong is
 * added to the faults: with none, c is complete.
 */
void file_load(struct config *c, const struct command_line *cli, const struct conf_kinds *kinds,
               struct faults *faults);

#endif
