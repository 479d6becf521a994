/* SPDX-License-Identifier: MIT */
/*
 * auth/hook_output. Input: what a hook program wrote. Oracles:
 * - the name and each variable stand in it, behind their word, and have no control characters;
 * - names of variables are capital letters, digits and _, and there are at most AUTH_ENV_MAX;
 * - the grant copied is the same grant.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/hook_output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* text stands in out at the end of a line that begins with word. */
static void check_text(struct slice out, const char *word, const char *text)
{
    size_t len = strlen(text), front = strlen(word);
    bool found = false;

    for (size_t i = 0; i < len; i++)
        must((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
    for (size_t at = 0; !found && at + front + len <= out.len; at++) {
        const char *p = out.p + at;

        found = (at == 0 || p[-1] == '\n') && memcmp(p, word, front) == 0 &&
                memcmp(p + front, text, len) == 0;
    }
    must(found);
}

static void check_grant(struct slice out, const struct auth_grant *g)
{
    must(strlen(g->user) <= 255 && g->env_count <= AUTH_ENV_MAX);
    if (g->user[0] != '\0')
        check_text(out, "user ", g->user);
    for (size_t i = 0; i < g->env_count; i++) {
        size_t n = strspn(g->env[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

        must(n > 0 && n <= 128 && g->env[i][n] == '=' &&
             strchr("0123456789", g->env[i][0]) == NULL);
        check_text(out, "env ", g->env[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice out = slice_of((const char *)data, size);
    struct auth_grant *g, *copy;

    g = hook_output_grant(out);
    must(g != NULL);
    check_grant(out, g);
    copy = auth_grant_copy(g);
    must(copy != NULL && strcmp(copy->user, g->user) == 0 && copy->env_count == g->env_count);
    for (size_t i = 0; i < g->env_count; i++)
        must(strcmp(copy->env[i], g->env[i]) == 0);
    free(copy);
    free(g);
    return 0;
}
