/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_PAUSED_H
#define WSLUICE_IO_PAUSED_H

/*
 * Sockets we do not read for now. libev watches a descriptor only for reading or writing, so a
 * client that vanishes while its data is held back would go unnoticed. A pause that lasts longer
 * than a sweep (half a second) puts the socket into a second epoll that asks for nothing but RST
 * and FIN; short pauses, the usual ones, cost nothing. The list of who is paused is the worker's,
 * so that an io need not carry its links: it holds its place in it.
 */
#include "io/io.h"

int paused_init(struct worker *w); /* -1 with errno */
void paused_release(struct worker *w);

void paused_add(struct io *io);    /* reading has stopped */
void paused_remove(struct io *io); /* it goes on, or the io closes; harmless when not added */

#endif
