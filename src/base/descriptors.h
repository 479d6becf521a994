/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_DESCRIPTORS_H
#define WSLUICE_BASE_DESCRIPTORS_H

/*
 * Descriptors in reserve. The soft limit (RLIMIT_NOFILE) of this process is kept below the hard
 * one, so that clients and all that is done for them meet EMFILE while some are left. What the
 * operator asks for (signals, the admin address, a reload) raises it for as long as it opens
 * something. So there is nothing to keep account of, and nothing of it lies in our memory.
 *
 *   0 up to descriptors_of_clients()   whatever there is, connections of clients too
 *   up to the soft limit               what is opened for clients: programs, services, files
 *   up to the hard limit               what the operator asks for
 */
#include <sys/resource.h>

#define DESCRIPTORS_LEAST 24 /* of the hard limit: with less nothing could be served */

/* How many are kept back from clients' work, with that hard limit: a 16th, 4 to 32. Again as many
 * below them are kept back from connections alone. */
rlim_t descriptors_reserve(rlim_t hard);

/* Once, at the start: the soft limit becomes what the hard one allows, less the reserve. */
void descriptors_keep_reserve(void);

/* The first descriptor that no connection of a client takes while others can make room for it. */
int descriptors_of_clients(void);

/* Opens the reserve; what it returns gives descriptors_close_reserve back what was before. They may
 * be nested. */
rlim_t descriptors_open_reserve(void);
void descriptors_close_reserve(rlim_t before);

#endif
