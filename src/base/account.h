/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_ACCOUNT_H
#define WSLUICE_BASE_ACCOUNT_H

/* Accounts of the system by what an operator wrote: NAME, NAME:GROUP, or numbers for either. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"

#define ACCOUNT_ERROR_MAX 200
#define ACCOUNT_NAME_MAX 64

struct account {
    char name[ACCOUNT_NAME_MAX]; /* a bare number when the system knows no name for it */
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* all of them, gid among them; malloc'd */
    size_t group_count;
};

/* Looks it up, which may ask the network (NSS): at the start and at a reload only. 0, or -1 with
 * what is wrong and what to do; then nothing is to be released. */
int account_find(struct account *a, const char *text, char error[ACCOUNT_ERROR_MAX]);
void account_release(struct account *a);

/* What a login sets for an account ("NAME", "NAME:GROUP"; NULL: the one we are), as "HOME=/root"
 * and the like, USER, LOGNAME, SHELL; with memory of the arena. How many there are: none for one
 * that is not known, or without memory. Asks as account_find does. */
#define ACCOUNT_LOGIN 4
size_t account_login(const char *text, struct arena *arena, const char *vars[ACCOUNT_LOGIN]);

#endif
