/* SPDX-License-Identifier: MIT */
/*
 * auth/htpasswd. Input: a file, then a NUL, then a name that is asked for. Oracles:
 * - a refused file says in which line and why, and leaves nothing behind;
 * - every name of an accepted one is found with its own hash, and no two are the same;
 * - names and hashes lie in the text, and no hash is too weak to be there;
 * - a name is found only when it is, to the byte, one of them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/htpasswd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_users(const struct htpasswd *h, const char *text, size_t len)
{
    for (size_t i = 0; i < h->count; i++) {
        const struct htpasswd_user *u = &h->users[i];

        must(u->name >= text && u->hash > u->name && u->hash <= text + len);
        must(strlen(u->name) > 0 && strlen(u->name) <= HTPASSWD_USER_MAX);
        must(u->hash[0] == '$' && strchr("y256", u->hash[1]) != NULL && strlen(u->hash) > 40);
        must(htpasswd_find(h, slice_from(u->name)) == u->hash);
    }
}

static void check_name(const struct htpasswd *h, struct slice name)
{
    const char *hash = htpasswd_find(h, name), *wanted = NULL;

    for (size_t i = 0; i < h->count; i++) {
        if (slice_is(name, h->users[i].name))
            wanted = h->users[i].hash;
    }
    must(hash == wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t len = nul != NULL ? (size_t)(nul - data) : size;
    struct slice name = slice_of((const char *)data + size, 0);
    char why[HTPASSWD_ERROR_MAX] = "", *text = malloc(len + 1);
    struct htpasswd h;

    must(text != NULL);
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    if (nul != NULL)
        name = slice_of((const char *)nul + 1, size - len - 1);
    if (htpasswd_parse(&h, text, why)) {
        check_users(&h, text, len);
        check_name(&h, name);
    } else {
        must(why[0] >= '1' && why[0] <= '9' && strchr(why, ':') != NULL);
        must(h.users == NULL && h.count == 0);
    }
    htpasswd_release(&h);
    free(text);
    return 0;
}
