/* SPDX-License-Identifier: MIT */
/*
 * proto/secret: base64 of Basic credentials, and %XX of tokens. Input: the text. Oracles:
 * - base64 that is read is what OpenSSL writes for it: there is one spelling of each;
 * - neither writes more than there is room for, and refuses what does not fit, not a part of it;
 * - an unescaped text has no NUL, and escaped again it is read as the same.
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Exactly that much, for ASan. */
static char *room(size_t n)
{
    char *p = malloc(n > 0 ? n : 1);

    must(p != NULL);
    return p;
}

static void check_base64(struct slice text)
{
    char *big = room(text.len), *exact, *again;
    int n = secret_base64(text, big, text.len);

    if (n >= 0) {
        again = room(text.len + 1);
        must(EVP_EncodeBlock((unsigned char *)again, (unsigned char *)big, n) == (int)text.len);
        must(memcmp(again, text.p, text.len) == 0);
        free(again);
        exact = room((size_t)n);
        must(secret_base64(text, exact, (size_t)n) == n && memcmp(exact, big, (size_t)n) == 0);
        must(n == 0 || secret_base64(text, exact, (size_t)n - 1) == -1);
        free(exact);
    }
    free(big);
}

static void check_unescape(struct slice text)
{
    char *plain = room(text.len), *escaped, *again;
    int n = secret_unescape(text, plain, text.len);

    if (n > 0) {
        escaped = room(3 * (size_t)n + 1);
        again = room((size_t)n);
        for (int i = 0; i < n; i++)
            sprintf(escaped + 3 * i, "%%%02x", (unsigned char)plain[i]);
        must(memchr(plain, '\0', (size_t)n) == NULL);
        must(secret_unescape(slice_from(escaped), again, (size_t)n) == n);
        must(memcmp(again, plain, (size_t)n) == 0);
        must(secret_unescape(text, again, (size_t)n - 1) == -1);
        free(again);
        free(escaped);
    }
    free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text;
    char *copy = room(size);

    if (size > 0)
        memcpy(copy, data, size);
    text = slice_of(copy, size);
    check_base64(text);
    check_unescape(text);
    free(copy);
    return 0;
}
