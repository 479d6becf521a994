/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_ACCOUNT_H
#define WSLUICE_BASE_ACCOUNT_H

/* Accounts of the system by what an operator wrote: NAME, NAME:GROUP, or numbers for either. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/ask.h"

#define ACCOUNT_ERROR_MAX 200
#define ACCOUNT_NAME_MAX 64
#define ACCOUNT_PATH_MAX 256

struct account {
    char name[ACCOUNT_NAME_MAX]; /* a bare number when the system knows no name for it */
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* all of them, gid among them */
    size_t group_count;
    bool is_known;               /* then also: */
    char home[ACCOUNT_PATH_MAX]; /* empty: none, or too long for us */
    char shell[ACCOUNT_PATH_MAX];
    const char *text; /* as it was asked for */
    struct account *next;
};

/* Those that were asked for, once each, with memory of the arena. */
struct accounts {
    struct arena *arena;
    struct account *first;
    struct ask_limit ask; /* an answer may come from the network (NSS) */
};

/* NULL with what is wrong and what to do. It stays for as long as the arena. */
const struct account *account_find(struct accounts *known, const char *text,
                                   char error[ACCOUNT_ERROR_MAX]);

/* What a login sets for an account ("NAME", "NAME:GROUP"; NULL: the one we are), as "HOME=/root"
 * and the like, USER, LOGNAME, SHELL; with memory of the arena. How many there are: none for one
 * that is not known, or without memory. */
#define ACCOUNT_LOGIN 4
size_t account_login(struct accounts *known, const char *text, const char *vars[ACCOUNT_LOGIN]);

#endif
