/* SPDX-License-Identifier: MIT */
#include "core/observe/record_json.h"

#include <string.h>

#include "base/utf8.h"

static size_t escape_one(char *out, uint8_t c)
{
    static const char digits[] = "0123456789abcdef";
    static const char named[][2] = {
        {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'"', '"'}, {'\\', '\\'}};

    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (c == (uint8_t)named[i][0]) {
            out[0] = '\\';
            out[1] = named[i][1];
            return 2;
        }
    }
    memcpy(out, "\\u00", 4);
    out[4] = digits[c >> 4];
    out[5] = digits[c & 15];
    return 6;
}

size_t record_json_escape(char *out, const uint8_t *p, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        if (p[i] < 0x20 || p[i] == 0x7f || p[i] == '"' || p[i] == '\\')
            len += escape_one(out + len, p[i]);
        else
            out[len++] = (char)p[i];
    }
    return len;
}

size_t record_json_text(char *out, const char *text, size_t most)
{
    uint8_t right[3 * RECORD_JSON_MOST];
    size_t n = strlen(text);

    if (n > most) {
        n = most;
        n -= utf8_tail((const uint8_t *)text, n);
    }
    return record_json_escape(out, right, utf8_replace(right, (const uint8_t *)text, n));
}

size_t record_json_base64(char *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = out;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)p[i] << 16;

        if (i + 1 < n)
            three |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < n)
            three |= p[i + 2];
        *at++ = digits[three >> 18];
        *at++ = digits[three >> 12 & 63];
        *at++ = i + 1 < n ? digits[three >> 6 & 63] : '=';
        *at++ = i + 2 < n ? digits[three & 63] : '=';
    }
    return (size_t)(at - out);
}
