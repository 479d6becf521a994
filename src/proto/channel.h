/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_CHANNEL_H
#define WSLUICE_PROTO_CHANNEL_H

/*
 * Channels: each message begins with one byte that says what the rest is, in text and binary frames
 * alike; the first three as Kubernetes has them. To the client where the route has `stderr:
 * message`; both ways with the subprotocol below.
 */
#include "base/slice.h"

#define CHANNEL_SUBPROTOCOL "channels.wsluice"

#define CHANNEL_INPUT 0x00  /* from the client: for the program */
#define CHANNEL_OUTPUT 0x01 /* to the client */
#define CHANNEL_STDERR 0x02 /* to the client */
#define CHANNEL_ABOUT 0x03  /* about the session: a JSON object */

#define CHANNEL_ABOUT_MAX 4096U /* bytes of such an object */

/* Of {"signal": "INT"} with whatever else stands there: the number; 0: it says nothing of one.
 * NULL, or what is wrong, constant. */
const char *channel_read_about(struct slice json, int *signal);

#endif
