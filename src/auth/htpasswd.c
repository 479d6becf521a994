/* SPDX-License-Identifier: MIT */
#include "auth/htpasswd.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/lines.h"
#include "auth/verify.h"
#include "core/grant.h"

/* crypt(5) says how long what follows the last $ is; of bcrypt that is the salt, too. */
static bool is_whole(const char *hash, size_t last)
{
    unsigned cost = 0;

    if (strlen(strrchr(hash, '$') + 1) != last || strlen(hash) > VERIFY_HASH_MAX ||
        crypt_checksalt(hash) == CRYPT_SALT_INVALID)
        return false;
    return hash[1] != '2' ||
           (sscanf(hash + 4, "%2u$", &cost) == 1 && cost >= 4 && cost <= 31 && hash[6] == '$');
}

/* NULL when this hash is good enough. */
static const char *judge_hash(const char *hash)
{
    static const struct {
        const char *prefix;
        size_t last;
    } good[] = {{"$y$", 43}, {"$2a$", 53}, {"$2b$", 53}, {"$2y$", 53}, {"$5$", 43}, {"$6$", 86}};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (strncmp(hash, good[i].prefix, strlen(good[i].prefix)) == 0)
            return is_whole(hash, good[i].last)
                       ? NULL
                       : "the hash is damaged; make it anew: wsluice passwd";
    }
    if (strncmp(hash, "$apr1$", 6) == 0 || strncmp(hash, "$1$", 3) == 0)
        return "an MD5 hash is too weak; use wsluice passwd or htpasswd -B";
    if (strncmp(hash, "{SHA}", 5) == 0)
        return "an unsalted SHA-1 hash is too weak; use wsluice passwd or htpasswd -B";
    return "neither yescrypt, bcrypt nor SHA-crypt (a plain password, or DES?); use wsluice passwd "
           "or htpasswd -B";
}

static const char *judge_name(const char *name)
{
    size_t n = strlen(name);

    if (n == 0)
        return "a name is needed before the colon";
    if (n > HTPASSWD_USER_MAX)
        return "the name is longer than 255 bytes";
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return "a control character in the name";
    }
    return auth_grant_is_name(slice_from(name)) ? NULL : "a name does not begin with () {";
}

static int by_name(const void *a, const void *b)
{
    const struct htpasswd_user *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* One line, its end cut off. NULL when right. */
static const char *htpasswd_read_line(void *owner, char *line)
{
    struct htpasswd *h = owner;
    char *hash = strchr(line, ':');
    const char *wrong;

    if (line[0] == '#' || line[strspn(line, " \t")] == '\0')
        return NULL;
    if (hash == NULL)
        return "write user:hash";
    *hash++ = '\0';
    hash[strcspn(hash, ":")] = '\0';
    wrong = judge_name(line);
    if (wrong == NULL)
        wrong = judge_hash(hash);
    if (wrong == NULL)
        h->users[h->count++] = (struct htpasswd_user){line, hash};
    return wrong;
}

static bool no_twins(const struct htpasswd *h, char why[HTPASSWD_ERROR_MAX])
{
    for (size_t i = 1; i < h->count; i++) {
        if (strcmp(h->users[i - 1].name, h->users[i].name) == 0) {
            snprintf(why, HTPASSWD_ERROR_MAX, "1: the user %.100s stands there twice",
                     h->users[i].name);
            return false;
        }
    }
    return true;
}

bool htpasswd_parse(struct htpasswd *h, char *text, char why[HTPASSWD_ERROR_MAX])
{
    *h = (struct htpasswd){.users = calloc(lines_count(text), sizeof *h->users)};
    if (h->users == NULL) {
        snprintf(why, HTPASSWD_ERROR_MAX, "1: out of memory");
        return false;
    }
    if (lines_each(text, htpasswd_read_line, h, why, HTPASSWD_ERROR_MAX)) {
        qsort(h->users, h->count, sizeof *h->users, by_name);
        if (no_twins(h, why))
            return true;
    }
    htpasswd_release(h);
    return false;
}

void htpasswd_release(struct htpasswd *h)
{
    free(h->users);
    *h = (struct htpasswd){0};
}

const char *htpasswd_find(const struct htpasswd *h, struct slice name)
{
    char text[HTPASSWD_USER_MAX + 1];
    struct htpasswd_user wanted = {.name = text}, *found = NULL;

    if (name.len == 0 || name.len > HTPASSWD_USER_MAX || memchr(name.p, '\0', name.len) != NULL)
        return NULL;
    memcpy(text, name.p, name.len);
    text[name.len] = '\0';
    if (h->count > 0)
        found = bsearch(&wanted, h->users, h->count, sizeof *h->users, by_name);
    return found != NULL ? found->hash : NULL;
}
