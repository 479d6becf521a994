/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_CLI_H
#define WSLUICE_CONF_CLI_H

/* The command line, and the file it may name, to a checked config. */
#include "conf/faults.h"
#include "conf/schema.h"

enum cli_result {
    CLI_OK,
    CLI_BAD_FILE, /* what --config names has faults, each with its place */
    CLI_USAGE,    /* the command line is wrong: one fault, what to do */
};

/*
 * Reads argv into c (fresh from config_new) and cli. argv must outlive c; of files nothing stays.
 * With cli->help, version, help_config or dump_schema set nothing else was checked. To be called
 * again, with another c, to read a file again.
 */
enum cli_result cli_parse(int argc, char **argv, struct config *c, struct command_line *cli,
                          const struct conf_kinds *kinds, struct faults *faults);

/* The text of --help: one screen. */
void cli_print_help(void);

/* The text of --help-all: every option. */
void cli_print_help_all(void);

#endif
