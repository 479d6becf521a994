/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_CLI_H
#define WSLUICE_CONF_CLI_H

/* The command line to a checked config. */
#include "conf/options.h"
#include "core/backend.h"

/* The kinds a config may name; from src/tables.c, which conf does not see. Both NULL-terminated. */
struct conf_kinds {
    const struct backend_ops *const *backends;
    const struct framing *const *framings;
};

#define CLI_ERROR_MAX 512

/*
 * Reads argv into c (fresh from config_new) and cli. argv must outlive c. False with one line that
 * says what is wrong and what to do. With cli->help or cli->version set nothing else was checked.
 */
bool cli_parse(int argc, char **argv, struct config *c, struct command_line *cli,
               const struct conf_kinds *kinds, char error[CLI_ERROR_MAX]);

/* The text of --help. */
void cli_print_help(void);

#endif
