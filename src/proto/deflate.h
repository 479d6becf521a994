/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_DEFLATE_H
#define WSLUICE_PROTO_DEFLATE_H

/*
 * Payloads of permessage-deflate (RFC 7692, section 7.2) in and out of plain bytes, by zlib's raw
 * streams. Pure, but for the memory of the streams: a reader or writer owns its own. What a stream
 * knows of earlier messages lasts until deflate_reader_forget or deflate_writer_forget.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deflate_reader;
struct deflate_writer;

/* ---- from the wire ---- */

enum deflate_event {
    DEFLATE_MORE, /* all input was taken; the message goes on with more of it */
    DEFLATE_FULL, /* the room is used up: call again, with what is left of the input */
    DEFLATE_DONE, /* the message is complete; the next may follow */
    DEFLATE_BAD,  /* no valid stream, or one that is cut off; the reader must forget */
    DEFLATE_NO_MEMORY,
};

/* bits: of the window, at most DEFLATE_BITS_MAX; any stream made with as many or fewer is read.
 * About 8 KiB, and the window once a message needs it. NULL without memory. */
struct deflate_reader *deflate_reader_new(unsigned bits);
void deflate_reader_free(struct deflate_reader *r);
void deflate_reader_forget(struct deflate_reader *r);

/*
 * Reads on in a message: takes bytes from *in (moving *in and *n on) and writes at most room > 0
 * plain bytes to out; *len says how many. `last`: the *n bytes are the message's last. A message
 * without any payload is an empty one, though a right peer would send one byte for it (section
 * 7.2.3.6). Final blocks may stand anywhere (section 7.2.3.4) and end nothing but themselves.
 */
enum deflate_event deflate_read(struct deflate_reader *r, const uint8_t **in, size_t *n, bool last,
                                uint8_t *out, size_t room, size_t *len);

/* ---- to the wire ---- */

/* bits: of the window, 9 to 15, which also sets the memory: 2^(bits+2) bytes twice, and 6 KiB.
 * level: 1 to 9. NULL without memory. */
struct deflate_writer *deflate_writer_new(unsigned bits, int level);
void deflate_writer_free(struct deflate_writer *w);
void deflate_writer_forget(struct deflate_writer *w);
/* The level of what follows; only right behind deflate_writer_forget. */
void deflate_writer_level(struct deflate_writer *w, int level);

/* Out of deflate_write's room this is not for the payload. */
#define DEFLATE_SLACK 16

/*
 * The payload for the message p[0 .. n), n > 0. Returns its length, at most room - DEFLATE_SLACK; 0
 * when it would be longer: then the stream has forgotten everything, and the message is to be sent
 * as it is.
 */
size_t deflate_write(struct deflate_writer *w, const uint8_t *p, size_t n, uint8_t *out,
                     size_t room);

#endif
