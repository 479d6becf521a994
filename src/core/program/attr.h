/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_PROGRAM_ATTR_H
#define WSLUICE_CORE_PROGRAM_ATTR_H

/*
 * What the settings of a route make of its program: struct child_attr, once for all of its
 * sessions. Texts are read by conf/build_attr.c; here is what needs a look at the world.
 */
#include "core/config.h"
#include "io/child/child_attr.h"

#define ATTR_ERROR_MAX 384

/* True when the route has a program. */
bool attr_has_program(const struct route *r);

/* r->attr, made when there are none; NULL without memory. */
struct child_attr *attr_make(struct route *r);

/*
 * read-paths and write-paths. Where neither says anything, or "any", nothing is limited. With
 * read-paths alone nothing can be written; with write-paths alone everything can be read.
 */
bool attr_limits_reading(const struct settings *s);
bool attr_limits_writing(const struct settings *s);

/*
 * Completes the attributes: accounts are looked up, paths opened, limits compared with our own
 * unless we stay root, who may raise them. False with what is wrong, beginning with the option's
 * name.
 */
bool attr_prepare(struct route *r, bool stays_root, char why[ATTR_ERROR_MAX]);

/* The controllers that the limits of all programs take, as cgroup_controllers has them. */
unsigned attr_controllers(const struct config *c);

/* Of a program on a terminal: completes what a login would have set for its account. It goes on
 * without where the account is not known. */
void attr_prepare_login(struct route *r);

/* Some program is kept from writing, but on this kernel not from shortening files: for a word in
 * the log. */
bool attr_leaves_truncation(const struct config *c);

#endif
