/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_ROUTE_H
#define WSLUICE_CORE_ROUTE_H

/*
 * Which route a request takes. Of all routes whose host, path and subprotocol match, the best is
 * taken: by host (an exact one, then the longest "*.example.org", then none), then the longest path
 * prefix on segment borders ("/a" has "/a" and "/a/b", not "/ab"), fixed text before a capture from
 * the left, then one for a subprotocol, by the order of the client's offers. Of equals, the first
 * written.
 *
 * A segment of a path may be a capture, "{name:pattern}": the whole segment must match the POSIX
 * extended regular expression, and its text can be used in arguments of programs. Whatever the
 * pattern allows, a captured text has 1 to ROUTE_CAPTURE_LEN bytes and no control byte. What a
 * program gets, wherever it stands in its arguments or environment, does not begin with one of
 * ROUTE_OPTIONS either, unless the pattern begins with that very character.
 */
#include <regex.h>

#include "core/config.h"

struct request;

#define ROUTE_SEGMENTS_MAX 32
#define ROUTE_CAPTURES_MAX 8
#define ROUTE_CAPTURE_LEN 128
#define ROUTE_NAME_MAX 32     /* bytes of a capture's name */
#define ROUTE_PATTERN_MAX 128 /* bytes */
#define ROUTE_COUNT_MAX 255   /* of a repetition in a pattern, "{2,5}" */
#define ROUTE_ERROR_MAX 320
/* What programs take for more than a word at its beginning: options ("-x", and "+cmd" of editors
 * and pagers), and files whose lines are further arguments ("@file"). */
#define ROUTE_OPTIONS "-+@"

struct route_segment {
    struct slice text; /* fixed text, or the name of the capture */
    bool is_capture;
    bool no_option; /* of a program: the text may not begin as an option does, but with `option` */
    char option;    /* which of ROUTE_OPTIONS the pattern itself begins with; 0: none */
    regex_t pattern;
};

struct route_match {
    const struct route *route; /* NULL: none */
    const struct route *files; /* whose files are shown at this path: the route itself, or the next
                                  best of the same host that has files; NULL: none */
    size_t prefix;             /* bytes of the request's path that the route's path has */
    size_t files_prefix;       /* the same of `files`; what follows is below its directory */
    struct slice captures[ROUTE_CAPTURES_MAX]; /* of the route, in order; into the request's path */
};

/* Completes r->path, host and what stands for them, from text as written. False with what is wrong.
 * What is made is the config's. */
bool route_set_path(struct route *r, const char *path, char why[ROUTE_ERROR_MAX]);
bool route_set_host(struct route *r, const char *host, char why[ROUTE_ERROR_MAX]);

/* The n-th capture of the path; NULL behind the last. */
struct route_segment *route_capture(const struct route *r, size_t n);
/* The index of the capture of that name; -1: none. */
int route_capture_find(const struct route *r, struct slice name);

/* Finds for r->host, r->path and the subprotocols in r->head. */
void route_find(const struct config *c, const struct request *r, struct route_match *m);

#endif
