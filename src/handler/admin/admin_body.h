/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_ADMIN_ADMIN_BODY_H
#define WSLUICE_HANDLER_ADMIN_ADMIN_BODY_H

/*
 * Answers of the admin door that are made piece by piece: one piece a turn of the loop, and the
 * next only when the one before has left, so that neither many sessions nor a slow reader hold
 * anybody up.
 */
#include "base/buf.h"
#include "core/stream.h"

/* Text being gathered. Out of memory is remembered, and told at the end. */
struct admin_out {
    struct buf text;
    bool failed;
};

void admin_out_add(struct admin_out *out, const void *p, size_t n);
void admin_out_printf(struct admin_out *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct admin_maker {
    /* Adds the next piece, of some ten KiB, or nothing at all. False: that was the last one. */
    bool (*next)(void *maker, struct admin_out *out);
    void (*release)(void *maker); /* once, also when the reader went away half-way */
};

/* Takes the stream over: 200 with that type, then what the maker makes. `maker` is released in
 * every case. */
void admin_body_start(struct stream *s, const char *content_type, const struct admin_maker *ops,
                      void *maker);

/* A whole short answer. */
void admin_body_whole(struct stream *s, int status, const char *content_type, const char *fields,
                      struct slice body);

#endif
