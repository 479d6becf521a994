/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_RETRY_H
#define WSLUICE_IO_RETRY_H

/*
 * Connecting to a service that may just be restarting: where it refuses, it is tried again for a
 * while, after pauses that grow from 20 ms on. So a restart of a backend is a moment's wait, and no
 * error. While a service refuses, one connection at a time asks it; the others wait for what that
 * one finds, and connect as soon as it is let in. So a crowd does not become a storm.
 */
#include "io/connect.h"

struct retry;
struct retry_target;

/* As connect_start; patience: seconds for which refusals are tried again, 0: none. What spec points
 * to stays until the event or retry_cancel. The events are those of connect.h; the last refusal is
 * told. NULL without memory. */
struct retry *retry_start(struct worker *w, const struct connect_spec *spec, ev_tstamp patience,
                          const struct connect_events *events, void *owner);

/* No event follows. */
void retry_cancel(struct retry *r);

#endif
