/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_SECRET_H
#define WSLUICE_PROTO_SECRET_H

/* What is done with secrets: digests under a key, comparing without telling by the time taken,
 * forgetting. Pure. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define SECRET_MAC_SIZE 32
#define SECRET_KEY_SIZE 32

/* HMAC-SHA-256 over n texts, each with its length, so that no two lists of texts are alike. False
 * without memory. */
bool secret_mac(const uint8_t key[SECRET_KEY_SIZE], const struct slice *texts, size_t n,
                uint8_t mac[SECRET_MAC_SIZE]);

/* In a time that depends on n only. */
bool secret_equal(const void *a, const void *b, size_t n);

/* Base64 with its padding and nothing else (RFC 4648, section 4), into out. Its length; -1 for what
 * is not base64 or does not fit. */
int secret_base64(struct slice text, char *out, size_t size);

/* %XX of a query into out, which may be text.p; the length, -1 for a broken escape, NUL or what
 * does not fit. */
int secret_unescape(struct slice text, char *out, size_t size);

/* Overwrites it where it stands. The memory must be writable, though the slice is not. */
void secret_wipe(struct slice text);

#endif
