/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_PERCENT_H
#define WSLUICE_BASE_PERCENT_H

/* Hexadecimal digits, and bytes written as %XX (RFC 3986, section 2.1). What of them is allowed
 * where is the caller's to judge. */
#include <stddef.h>

/* 0 to 15, of either case; -1: c is no digit. */
int hex_digit(char c);

/* The byte that "%XX" at p means, where `left` bytes can be read; -1: that is not what is there. */
int percent_byte(const char *p, size_t left);

#endif
