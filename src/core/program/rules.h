/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_PROGRAM_RULES_H
#define WSLUICE_CORE_PROGRAM_RULES_H

/*
 * What the settings of a route make of its program: struct child_rules, once for all of its
 * sessions. Texts are read by conf/build_rules.c; here is what needs a look at the world.
 */
#include "core/config.h"
#include "io/child/child_rules.h"

#define RULES_ERROR_MAX 384

/* True when the route has a program. */
bool rules_of_program(const struct route *r);

/* r->rules, made when there are none; NULL without memory. */
struct child_rules *rules_make(struct route *r);

/*
 * read-paths and write-paths. Where neither says anything, or "any", nothing is limited. With
 * read-paths alone nothing can be written; with write-paths alone everything can be read.
 */
bool rules_limit_reading(const struct settings *s);
bool rules_limit_writing(const struct settings *s);

/*
 * Completes the rules: accounts are looked up, paths opened, limits compared with our own unless we
 * stay root, who may raise them. False with what is wrong, beginning with the option's name.
 */
bool rules_prepare(struct route *r, bool stays_root, char why[RULES_ERROR_MAX]);

/* Of a program on a terminal: completes what a login would have set for its account. It goes on
 * without where the account is not known. */
void rules_prepare_login(struct route *r);

/* Some program is kept from writing, but on this kernel not from shortening files: for a word in
 * the log. */
bool rules_may_truncate(const struct config *c);

#endif
