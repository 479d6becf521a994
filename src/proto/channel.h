/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_CHANNEL_H
#define WSLUICE_PROTO_CHANNEL_H

/*
 * Channels: each message begins with one byte that says what the rest is, in text and binary frames
 * alike; the first three as Kubernetes has them. To the client where the route has `stderr:
 * message`; both ways with the subprotocol below.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define CHANNEL_SUBPROTOCOL "channels.wsluice"

#define CHANNEL_INPUT 0x00  /* from the client: for the program */
#define CHANNEL_OUTPUT 0x01 /* to the client */
#define CHANNEL_STDERR 0x02 /* to the client */
#define CHANNEL_ABOUT 0x03  /* about the session: a JSON object */

#define CHANNEL_ABOUT_MAX 4096U /* bytes of such an object */

/* What such an object says; whatever else stands there is nothing. */
struct channel_about {
    int signal; /* {"signal": "INT"}: the number; 0: none */
    bool has_got;
    uint64_t got; /* {"got": 17}: messages up to this number have arrived */
};

/* NULL, or what is wrong, constant. */
const char *channel_read_about(struct slice json, struct channel_about *about);

/* What the server says (docs/sessions.md). Longer ones than this are not written. */
#define CHANNEL_TOLD_MAX 128

/* The first message: whether the session was there before, by which ID it is told from any other
 * that follows it, the number of the message that comes next, and how many of the page's own have
 * arrived. */
void channel_write_session(char out[CHANNEL_TOLD_MAX], bool resumed, const char *id, uint64_t next,
                           uint64_t got);
/* {"NAME":number} */
void channel_write_number(char out[CHANNEL_TOLD_MAX], const char *name, uint64_t number);
/* {"NAME":"text"}; or, of JSON, {"NAME":text}, null if that is none. To be freed; NULL without
 * memory, or when text is not UTF-8. */
char *channel_text(const char *name, struct slice text, bool is_json);

#endif
