/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "conf/cli.h"
#include "server.h"
#include "tables.h"
#include "version.h"

#define EXIT_USAGE 2

int main(int argc, char **argv)
{
    const struct conf_kinds kinds = {backends, framings};
    struct command_line cli;
    char error[CLI_ERROR_MAX] = "out of memory";
    struct config *c = config_new();

    if (c == NULL || !cli_parse(argc, argv, c, &cli, &kinds, error)) {
        fprintf(stderr, "wsluice: %s\n", error);
        if (c != NULL)
            config_release(c);
        return EXIT_USAGE;
    }
    if (cli.help || cli.version) {
        if (cli.help)
            cli_print_help();
        else
            version_print();
        config_release(c);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    return server_run(c);
}
