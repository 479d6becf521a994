/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_VERSION_H
#define WSLUICE_VERSION_H

/* Our version and those of the libraries this process runs with, to standard output. */
void version_print(void);

#endif
