/* SPDX-License-Identifier: MIT */
/*
 * auth/tokens and the lines of backend/token_file. Input: a file, then a NUL, then a token that
 * is asked for. Oracles:
 * - a refused file says in which line and why, and leaves nothing behind;
 * - a token that is found stands in the file, is long enough and of printable characters;
 * - a line gives a target only to the token it begins with, and then a whole one.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/tokens.h"
#include "backend/token_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool stands_in(struct slice text, struct slice word)
{
    return memmem(text.p, text.len, word.p, word.len) != NULL;
}

static void check_tokens(struct slice file, struct slice token)
{
    char why[TOKENS_ERROR_MAX] = "", *text = slice_dup(file);
    struct tokens t;

    must(text != NULL);
    if (tokens_parse(&t, text, why)) {
        const struct token *found = tokens_find(&t, token);

        if (found != NULL) {
            must(found->name != NULL && stands_in(file, token));
            must(token.len >= TOKENS_MIN && token.len <= TOKENS_MAX);
            for (size_t i = 0; i < token.len; i++)
                must(token.p[i] > ' ' && token.p[i] <= '~');
        }
    } else {
        must(why[0] >= '1' && why[0] <= '9' && strchr(why, ':') != NULL);
        must(t.all == NULL && t.count == 0);
    }
    tokens_release(&t);
    free(text);
}

static void check_target(const struct token_target *t)
{
    must(memchr(t->host, '\0', sizeof t->host) != NULL && t->host[0] != '\0');
    must(t->is_unix ? t->port == 0 && strlen(t->host) < 108 : t->port > 0);
}

static void check_lines(struct slice file, struct slice token)
{
    struct slice rest = file, line;

    while (rest.p != NULL) {
        struct token_target t = {0};

        line = slice_cut(rest, '\n', &rest);
        if (token_file_line(line, token, &t)) {
            must(!t.broken && token.len > 0 && stands_in(line, token));
            check_target(&t);
        }
        must(!t.broken || t.why[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;
    size_t len = nul != NULL ? (size_t)(nul - text) : size;
    struct slice token = slice_of(text, 0);

    if (size == 0)
        return 0;
    if (nul != NULL)
        token = slice_of(nul + 1, size - len - 1);
    check_tokens(slice_of(text, len), token);
    check_lines(slice_of(text, len), token);
    return 0;
}
