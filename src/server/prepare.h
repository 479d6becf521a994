/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_PREPARE_H
#define WSLUICE_SERVER_PREPARE_H

/* What has to be right before anything is served. */
#include <stddef.h>

#include "core/config.h"
#include "io/worker.h"

/*
 * What holds for the whole process, once, before any descriptor of ours: descriptors 0 to 2 exist
 * and none but them is passed on; as many descriptors as the system allows (programs get the old
 * limit back, w->nofile_at_start); SIGPIPE and SIGXFSZ ignored, SIGCHLD at its default; a heap that
 * keeps what large messages needed.
 */
void prepare_process(struct worker *w);

/* What the system allows us is enough to start with; told and counted as by prepare_config, of
 * which this is a part that is worth a look before anything is opened. */
size_t prepare_limits(void (*tell)(void *arg, const char *line), void *arg);

/*
 * Looks at the world for a configuration that was read without fault: programs are looked up,
 * directories opened, certificates and keys loaded, networks parsed, limits derived. Each fault is
 * one line to tell. Returns how many there were; with none c is ready to be served.
 */
size_t prepare_config(struct config *c, void (*tell)(void *arg, const char *line), void *arg);

/* What has to be writable, looked at with the identity that was given up to: part of prepare_config
 * that is worth a second look then. */
size_t prepare_writable(const struct config *c, void (*tell)(void *arg, const char *line),
                        void *arg);

/* What TLS of a listener is made of. */
struct tlsctx_spec prepare_tls_spec(const struct listen_spec *l);

#endif
