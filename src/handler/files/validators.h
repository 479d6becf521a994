/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_FILES_VALIDATORS_H
#define WSLUICE_HANDLER_FILES_VALIDATORS_H

/* What the client has already of a file (RFC 9110, section 13). Pure. */
#include <stdbool.h>
#include <sys/stat.h>

#include "proto/http1.h"

struct validators {
    char etag[72];
    char modified[64]; /* empty: the time cannot be said */
};

/* coding: of the content that st is about, NULL for none. The same file coded has another tag. */
void validators_make(struct validators *v, const struct stat *st, const char *coding);

/* If-None-Match decides where it stands. A date must be the one we gave: what else it may mean is
 * not worth parsing it. */
bool validators_known(const struct http_head *head, const struct validators *v);

/* What the client has a part of is still the same, or it does not ask (If-Range): it may get a
 * further part. */
bool validators_allow_part(const struct http_head *head, const struct validators *v);

#endif
