/* SPDX-License-Identifier: MIT */
#include "proto/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/percent.h"

bool secret_mac(const uint8_t key[SECRET_KEY_SIZE], const struct slice *texts, size_t n,
                uint8_t mac[SECRET_MAC_SIZE])
{
    size_t size = 0;
    unsigned len = SECRET_MAC_SIZE;

    for (size_t i = 0; i < n; i++)
        size += sizeof texts[i].len + texts[i].len;
    unsigned char *all = malloc(size + 1), *p = all;
    if (all == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        p = mempcpy(p, &texts[i].len, sizeof texts[i].len);
        if (texts[i].len > 0)
            p = mempcpy(p, texts[i].p, texts[i].len);
    }
    bool ok = HMAC(EVP_sha256(), key, SECRET_KEY_SIZE, all, size, mac, &len) != NULL;
    explicit_bzero(all, size);
    free(all);
    return ok;
}

bool secret_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int secret_base64(struct slice text, char *out, size_t size)
{
    size_t n = 0, pad = 0;

    if (text.len % 4 != 0 || text.len == 0)
        return -1;
    while (pad < 2 && text.p[text.len - 1 - pad] == '=')
        pad++;
    if (text.len / 4 * 3 - pad > size)
        return -1;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t letters = i + 4 == text.len ? 4 - pad : 4;
        uint32_t bits = 0;

        for (size_t k = 0; k < 4; k++) {
            int v = k < letters ? sextet(text.p[i + k]) : 0;

            if (v < 0)
                return -1;
            bits = bits << 6 | (uint32_t)v;
        }
        if ((letters == 2 && (bits & 0xffff) != 0) || (letters == 3 && (bits & 0xff) != 0))
            return -1; /* bits that mean nothing must be zero, or one text has many spellings */
        for (size_t k = 0; k + 1 < letters; k++)
            out[n++] = (char)(bits >> (16 - 8 * k));
    }
    return (int)n;
}

int secret_unescape(struct slice text, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char)text.p[i];

        if (c == '%') {
            c = percent_byte(text.p + i, text.len - i);
            i += 2;
        }
        if (c <= 0 || n == size)
            return -1;
        out[n++] = (char)c;
    }
    return (int)n;
}

void secret_wipe(struct slice text)
{
    if (text.len > 0)
        explicit_bzero((char *)(uintptr_t)text.p, text.len);
}
