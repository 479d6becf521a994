/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CLI_EXAMPLE_H
#define WSLUICE_CLI_EXAMPLE_H

/* `wsluice example`: configurations to begin with, whole ones. They are contrib/examples/NAME.yaml,
 * part of the program. */

/* argv[0] is "example"; without a name it lists them. Returns the exit status: 0; 1 it could not be
 * written; 2 wrong usage. */
int example_run(int argc, char **argv);

/* The n-th name; NULL behind the last. */
const char *example_name(unsigned n);

#endif
