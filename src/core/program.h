/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_PROGRAM_H
#define WSLUICE_CORE_PROGRAM_H

/*
 * What the settings of a route make of its program: struct child_rules, once for all of its
 * sessions. Texts are read by conf/build_program.c; here is what needs a look at the world.
 */
#include "core/config.h"
#include "io/child_rules.h"

#define PROGRAM_ERROR_MAX 384

/* True when the route has a program. */
bool program_of(const struct route *r);

/* r->rules, made when there are none; NULL without memory. */
struct child_rules *program_rules(struct route *r);

/*
 * read-paths and write-paths. Where neither says anything, or "any", nothing is limited. With
 * read-paths alone nothing can be written; with write-paths alone everything can be read.
 */
bool program_limits_reading(const struct settings *s);
bool program_limits_writing(const struct settings *s);

/*
 * Completes the rules: accounts are looked up, paths opened, limits compared with our own unless we
 * stay root, who may raise them. False with what is wrong, beginning with the option's name.
 */
bool program_prepare(struct route *r, bool stays_root, char why[PROGRAM_ERROR_MAX]);

/* Some program is kept from writing, but on this kernel not from shortening files: for a word in
 * the log. */
bool program_may_truncate(const struct config *c);
void program_release(struct route *r);

#endif
