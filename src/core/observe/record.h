/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_OBSERVE_RECORD_H
#define WSLUICE_CORE_OBSERVE_RECORD_H

/*
 * The recording of one session, in files of its own: DIR/START-ID.cast (asciicast v2) where the
 * bytes are text as a terminal shows it, DIR/START-ID.jsonl (one JSON object a line, the payload in
 * base64, message borders kept) otherwise. docs/recording.md is the contract.
 *
 * Events gather in a buffer that is there only while something waits in it, at most RECORD_DELAY;
 * files are written with plain write(2). They are made by us (O_EXCL), so they are regular files:
 * no pipe and no device can make the loop wait. A fault of writing ends the recording with one line
 * in the log, never the session.
 *
 * At the cap of record-max a new file is begun: -2, -3, ...; each is whole by itself. Of one
 * session the newest record-files stay.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "io/worker.h"

#define RECORD_BUFFER (16U * 1024U) /* bytes of events that wait; an event is smaller */
#define RECORD_DELAY 1.0            /* seconds until they are written */

enum record_format { RECORD_CAST, RECORD_JSONL };
enum record_direction { RECORD_IN, RECORD_OUT }; /* from the client, to the client */

struct record;

/* What a recording says about its session. Borrowed for as long as it lasts, as settings are. */
struct record_facts {
    uint64_t id;
    const char *client, *route, *path, *framing, *subprotocol;
    enum record_format format;
    bool plain_newlines; /* CAST: no terminal has made "\r\n" of "\n", so we do */
};

/* Nothing is opened before the first event. NULL when the route does not record, or without memory
 * (the log says so). */
struct record *record_new(struct worker *w, const struct settings *set,
                          const struct record_facts *facts);

/* RECORD_CAST: bytes as the backend reads or writes them; characters may be cut anywhere. Of other
 * formats nothing becomes of it. */
void record_bytes(struct record *r, enum record_direction dir, const uint8_t *p, size_t n);

/* RECORD_CAST: the terminal has another size; 0: as it was. */
void record_resize(struct record *r, unsigned columns, unsigned rows);

/* RECORD_JSONL: a message, or a piece of one; end: its last. Of other formats nothing becomes of
 * it. */
void record_message(struct record *r, enum record_direction dir, bool text, bool end,
                    const uint8_t *p, size_t n);

/* Of a session that many may write to: what comes from now on is of the client with this number,
 * and told apart from what came before. */
void record_from(struct record *r, uint64_t number);

/* A client has come or gone (what: "joined", "left"): a marker of asciicast, a line of its own
 * otherwise. user: "" when nobody was asked. */
void record_mark(struct record *r, uint64_t number, const char *what, const char *address,
                 const char *user);

/* Writes what waits and frees r. NULL is fine. */
void record_close(struct record *r);

#endif
