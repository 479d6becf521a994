/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_FILES_STATIC_SEND_H
#define WSLUICE_HANDLER_FILES_STATIC_SEND_H

/*
 * A file on its way to a client. Its body leaves in pieces: the next one is read when the one
 * before has left, so a file of any size takes no memory of ours, and one piece a turn, so that it
 * starves nobody.
 */
#include "core/stream.h"

/* Bytes of our own header lines in an answer; a front's head has 2048 in all. */
#define STATIC_FIELDS_SIZE 1536

/* Answers with answer->length bytes from where fd stands, and closes it. Takes the stream over; the
 * first piece goes with the head. stall: seconds a client may take nothing. */
void static_send(struct stream *s, struct response *answer, int fd, double stall);

/* Answers with answer->length bytes of memory, which stay where they are until the answer has left.
 * The rest is as in static_send. */
void static_send_bytes(struct stream *s, struct response *answer, const void *bytes, double stall);

/* A refusal with its line in the log; that of an errno of opening or reading a file. */
void static_refuse(struct stream *s, int status, const char *fields, const char *why);
void static_refuse_errno(struct stream *s, int err);

#endif
