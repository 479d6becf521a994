/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_COOKIE_H
#define WSLUICE_PROTO_COOKIE_H

/*
 * Cookies of a request (RFC 6265, section 4.2), and the text of the one that is ours:
 *
 *   UNTIL.WHO.MAC    decimal seconds . base64url . base64url, the last two without padding
 *
 * Each has one spelling. What they mean is core/auth/auth_cookie.h's. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/http1.h"
#include "proto/secret.h"

#define COOKIE_WHO_MAX 255
#define COOKIE_TEXT_MAX 400 /* bytes, its NUL included */
#define COOKIE_UNTIL_MAX 9999999999U

struct cookie {
    uint64_t until; /* at most COOKIE_UNTIL_MAX */
    size_t who_len; /* 1 to COOKIE_WHO_MAX */
    char who[COOKIE_WHO_MAX + 1];
    uint8_t mac[SECRET_MAC_SIZE];
};

bool cookie_read(struct slice text, struct cookie *c);
/* With a NUL; its length without. */
size_t cookie_write(const struct cookie *c, char out[COOKIE_TEXT_MAX]);

/* Takes all cookies of that name out of the head, in the bytes where it stands, and wipes what is
 * left over; a field in which nothing remains goes, too. Up to `max` values are copied into out,
 * one behind another, each with a NUL: the number of bytes. One that is longer than max is left
 * out. */
size_t cookie_take(struct http_head *h, const char *name, char *out, size_t max);

#endif
