/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CLI_COMPLETION_H
#define WSLUICE_CLI_COMPLETION_H

/* --completion: a script that teaches a shell our options, made from the one table of them. */
#include <stdio.h>

/* In the order of the choices of the option. */
enum completion_shell { COMPLETION_NONE, COMPLETION_BASH, COMPLETION_ZSH, COMPLETION_FISH };

/* Prints the script; nothing for COMPLETION_NONE. */
void completion_print(enum completion_shell shell, FILE *out);

#endif
