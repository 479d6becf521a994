/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_ADMISSION_BANS_H
#define WSLUICE_CORE_ADMISSION_BANS_H

/* A list of addresses and networks: one a line, as cidr_parse has them; # begins a comment. Looked
 * up in the time of a binary search, whatever its length. */
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/cidr.h"
#include "base/file.h"
#include "base/slice.h"

#define BANS_FILE_MAX (64U << 20) /* bytes */
#define BANS_ERROR_MAX 512

struct bans;

/* NULL with "LINE: what is wrong" in why. */
struct bans *bans_parse(struct slice text, char why[BANS_ERROR_MAX]);
/* NULL with "FILE: ..." or "FILE:LINE: ..." in why. stamp is kept in either case. */
struct bans *bans_read(const char *path, struct file_stamp *stamp, char why[BANS_ERROR_MAX]);
void bans_free(struct bans *b); /* NULL is fine */

struct file_stamp bans_stamp(const struct bans *b);        /* of the file it was read from */
bool bans_have(const struct bans *b, const union addr *a); /* NULL has nobody */
/* All of that network, by one line. */
bool bans_have_network(const struct bans *b, const struct cidr *c);
size_t bans_count(const struct bans *b); /* lines */

#endif
