/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CTL_CTL_TOP_H
#define WSLUICE_CTL_CTL_TOP_H

/* `ctl top`: figures and the busiest sessions, again and again until q. On what is no terminal,
 * once. Returns the exit status. */
int ctl_top_run(const char *address, double interval);

#endif
