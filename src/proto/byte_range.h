/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_BYTE_RANGE_H
#define WSLUICE_PROTO_BYTE_RANGE_H

/* The Range field of a request (RFC 9110, section 14). Pure. */
#include <stdint.h>

#include "base/slice.h"

enum byte_range {
    BYTE_RANGE_ALL,  /* send all: the field is not understood, or asks for several ranges */
    BYTE_RANGE_PART, /* send first .. first + length */
    BYTE_RANGE_NONE, /* 416: it begins behind the end */
};

/* text: the field's value. size: bytes there are. first and length are set for PART only, and lie
 * within size. */
enum byte_range byte_range_parse(struct slice text, uint64_t size, uint64_t *first,
                                 uint64_t *length);

#endif
