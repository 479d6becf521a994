/* SPDX-License-Identifier: MIT */
#include "auth/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/lines.h"
#include "core/grant.h"

/* No secret: it stands beside the digests. It makes them ours alone, and their comparison tell
 * nothing of a token's beginning. */
static const uint8_t key[SECRET_KEY_SIZE] = "wsluice, tokens of a file";

static const char *tokens_judge(struct slice token)
{
    for (size_t i = 0; i < token.len; i++) {
        if (token.p[i] <= ' ' || token.p[i] > '~')
            return "a token is of printable ASCII without blanks";
    }
    if (token.len < TOKENS_MIN)
        return "a token has at least 8 characters; openssl rand -hex 32 makes a good one";
    return token.len > TOKENS_MAX ? "the token is longer than 4096 bytes" : NULL;
}

/* NULL when right. */
static const char *tokens_read_line(void *owner, char *line)
{
    static const char blanks[] = " \t";
    struct tokens *t = owner;
    char *name = line + strspn(line, blanks);
    char *token = name + strcspn(name, blanks), *end;
    const char *wrong;

    if (*name == '\0' || *name == '#')
        return NULL;
    if (*token != '\0')
        *token++ = '\0';
    token += strspn(token, blanks);
    end = token + strcspn(token, blanks);
    if (end[strspn(end, blanks)] != '\0')
        return "write TOKEN or NAME TOKEN";
    *end = '\0';
    if (*token == '\0') {
        token = name;
        name = end;
    }
    wrong = tokens_judge(slice_from(token));
    if (wrong == NULL && !auth_grant_is_name(slice_from(name)))
        wrong = "a name is at most 255 bytes without control characters";
    if (wrong != NULL)
        return wrong;
    const struct slice text = slice_from(token);
    struct token *next = &t->all[t->count];
    next->name = strdup(name);
    if (next->name == NULL || !secret_mac(key, &text, 1, next->mac)) {
        free(next->name);
        return "out of memory";
    }
    t->count++;
    return NULL;
}

bool tokens_parse(struct tokens *t, char *text, char why[TOKENS_ERROR_MAX])
{
    *t = (struct tokens){.all = calloc(lines_count(text), sizeof *t->all)};
    if (t->all == NULL) {
        snprintf(why, TOKENS_ERROR_MAX, "1: out of memory");
        return false;
    }
    if (lines_each(text, tokens_read_line, t, why, TOKENS_ERROR_MAX))
        return true;
    tokens_release(t);
    return false;
}

void tokens_release(struct tokens *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->all[i].name);
    free(t->all);
    explicit_bzero(t, sizeof *t);
}

const struct token *tokens_find(const struct tokens *t, struct slice token)
{
    uint8_t mac[SECRET_MAC_SIZE];
    const struct token *found = NULL;

    if (token.len == 0 || token.len > TOKENS_MAX || !secret_mac(key, &token, 1, mac))
        return NULL;
    for (size_t i = 0; i < t->count; i++) {
        if (secret_equal(mac, t->all[i].mac, sizeof mac))
            found = &t->all[i];
    }
    return found;
}

bool tokens_handle(const struct token *t, const uint8_t by[SECRET_KEY_SIZE],
                   uint8_t handle[TOKENS_HANDLE_SIZE])
{
    const struct slice texts[] = {slice_from("handle"),
                                  slice_of((const char *)t->mac, sizeof t->mac)};
    uint8_t mac[SECRET_MAC_SIZE];

    if (!secret_mac(by, texts, 2, mac))
        return false;
    memcpy(handle, mac, TOKENS_HANDLE_SIZE);
    return true;
}

const struct token *tokens_by_handle(struct tokens *t, const uint8_t by[SECRET_KEY_SIZE],
                                     struct slice handle)
{
    for (size_t i = 0; !t->has_handles && i < t->count; i++) {
        if (!tokens_handle(&t->all[i], by, t->all[i].handle))
            return NULL;
    }
    t->has_handles = true;
    for (size_t i = 0; handle.len == TOKENS_HANDLE_SIZE && i < t->count; i++) {
        if (secret_equal(t->all[i].handle, handle.p, TOKENS_HANDLE_SIZE))
            return &t->all[i];
    }
    return NULL;
}
