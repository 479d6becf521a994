/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_OBSERVE_RECORD_JSON_H
#define WSLUICE_CORE_OBSERVE_RECORD_JSON_H

/* Bytes as JSON writes them. Pure. Each function writes to out and returns the length. */
#include <stddef.h>
#include <stdint.h>

/* The inside of a string (RFC 8259, section 7) of valid UTF-8. Up to 6 * n bytes. */
size_t record_json_escape(char *out, const uint8_t *p, size_t n);

/* The same of any text: what is not UTF-8 becomes U+FFFD. At most `most` bytes of the text are
 * taken, whole characters; up to 6 * most bytes are written. most <= RECORD_JSON_MOST. */
#define RECORD_JSON_MOST 1024
size_t record_json_text(char *out, const char *text, size_t most);

/* Base64 (RFC 4648, section 4) with padding: (n + 2) / 3 * 4 bytes. */
size_t record_json_base64(char *out, const uint8_t *p, size_t n);

#endif
