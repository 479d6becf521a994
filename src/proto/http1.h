/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_HTTP1_H
#define WSLUICE_PROTO_HTTP1_H

/*
 * The head of an HTTP/1.1 or 1.0 request (RFC 9112), parsed by llhttp in its strict form plus rules
 * of our own: every line ends in CR LF, no other CR, LF or NUL, no folded lines, no body, exactly
 * one Host (1.0: at most one), a limit of bytes and fields. One empty line may stand in front of it
 * (section 2.2).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#include "base/slice.h"

#define HTTP1_FIELDS_MAX 100

struct http_field {
    struct slice name, value; /* value without white space around it */
};

/* A parsed head. The slices point into the bytes the caller gave. */
struct http_head {
    struct slice method, target;
    struct slice host; /* the one Host field; empty: none, which only 1.0 may say */
    bool keep_alive;
    bool is_1_0; /* no upgrades, no chunks, and the connection stays only when both say so */
    size_t count;
    struct http_field fields[HTTP1_FIELDS_MAX];
};

enum http1_result { HTTP1_MORE, HTTP1_DONE, HTTP1_REFUSED };

struct http1_parser {
    llhttp_t llhttp;
    llhttp_settings_t settings;
    const char *base; /* where the head's bytes stand during this call */
    size_t max;       /* bytes of a head at most, both empty lines included */
    size_t scanned;   /* bytes judged so far */
    struct http_head head;
    size_t length;   /* DONE: bytes of the head; what follows belongs to the next protocol */
    int status;      /* REFUSED: 400, 405, 413, 431, 501 or 505 */
    const char *why; /* REFUSED: a constant text */
};

/* max: bytes a head may have. */
void http1_init(struct http1_parser *p, size_t max);

/*
 * bytes[0 .. n) is all that arrived so far, the earlier calls' bytes unchanged at its front (it may
 * have moved). Faults are told as soon as they are seen.
 */
enum http1_result http1_feed(struct http1_parser *p, const char *bytes, size_t n);

/* The value of the only field of that name; *count tells how many there are. {NULL, 0} when absent.
 */
struct slice http_head_get(const struct http_head *h, const char *name, size_t *count);

/* All values of a list field (RFC 9110, section 5.3) taken together have that token, letters
 * without case. */
bool http_head_list_has(const struct http_head *h, const char *name, const char *token);

/* Takes the parts of a list that begin with prefix out of a field's value, in its place (the bytes
 * must be the caller's own to change), and with them the field's name if nothing else is in it.
 * What stood there is wiped. */
void http_field_cut(struct http_field *f, char separator, const char *prefix);

/* "Not Found" for 404. */
const char *http_reason(int status);

#endif
