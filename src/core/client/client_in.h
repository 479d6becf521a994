/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_CLIENT_CLIENT_IN_H
#define WSLUICE_CORE_CLIENT_CLIENT_IN_H

/* What client_in.c and client_message.c share: one walk over what a client has sent. */
#include "core/client/client_impl.h"

/* One pass over a chunk. */
struct input {
    struct client *c;
    uint8_t *start, *end; /* region of bytes ready to leave; NULL: none */
    size_t pongs;         /* bytes of pong frames gathered in worker->tx */
    bool failed;
    bool waits;    /* nothing more is looked at in this turn */
    bool in_frame; /* then: there is more in this frame, unmasked: */
    struct ws_frame frame;
    struct ws_reader before; /* with rates: the reader, before what it looks at */
};

/* client_in.c */

/* To where client messages go: the backend, or straight back. */
void client_input_write(struct input *in, const uint8_t *p, size_t n);
/* The region leaves. */
void client_input_flush(struct input *in);
/* The client broke a rule, at this place: whole messages before it count, nothing behind it. */
void client_input_fail(struct input *in, uint16_t code, const char *why);
void client_input_no_memory(struct input *in);

/* client_message.c: data of the client, whole messages or pieces of them. payload is writable, as
 * it lies in the worker's buffer. */
void client_message(struct input *in, const struct ws_frame *f, uint8_t *payload);

#endif
