/* SPDX-License-Identifier: MIT */
#include "base/account.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROUPS_FIRST 32
#define GROUPS_MAX 65536 /* of the kernel: NGROUPS_MAX */

static int account_fault(char error[ACCOUNT_ERROR_MAX], const char *name, const char *why)
{
    snprintf(error, ACCOUNT_ERROR_MAX, "%.100s: %s", name, why);
    return -1;
}

static bool account_is_number(const char *text, unsigned long *out)
{
    char *end;

    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && *out < (uid_t)-1;
}

static int find_group(struct account *a, const char *name, char error[ACCOUNT_ERROR_MAX])
{
    const struct group *gr = getgrnam(name);
    unsigned long number;

    if (gr != NULL)
        a->gid = gr->gr_gid;
    else if (account_is_number(name, &number))
        a->gid = (gid_t)number;
    else
        return account_fault(error, name, "no such group; create it, or name another");
    return 0;
}

/* user: without the group. */
static int account_find_user(struct account *a, const char *user, bool group_follows,
                             char error[ACCOUNT_ERROR_MAX])
{
    const struct passwd *pw = getpwnam(user);
    unsigned long number;

    if (pw == NULL) {
        if (!account_is_number(user, &number))
            return account_fault(error, user, "no such account; create it, or name another");
        pw = getpwuid((uid_t)number);
        if (pw == NULL && !group_follows)
            return account_fault(error, user, "a number without an account needs a group, too");
        a->uid = (uid_t)number;
    }
    if (pw != NULL) {
        a->uid = pw->pw_uid;
        a->gid = pw->pw_gid;
        snprintf(a->name, sizeof a->name, "%s", pw->pw_name);
    }
    return 0;
}

/* A number without an account is in its one group. */
static int find_groups(struct account *a, bool is_known, char error[ACCOUNT_ERROR_MAX])
{
    int room = is_known ? GROUPS_FIRST : 1, count;
    gid_t *groups = NULL, *larger;

    for (;;) {
        larger = realloc(groups, (size_t)room * sizeof *groups);
        if (larger == NULL || room > GROUPS_MAX) {
            free(larger != NULL ? larger : groups);
            return account_fault(error, a->name,
                                 larger != NULL ? "in too many groups" : "out of memory");
        }
        groups = larger;
        count = room;
        groups[0] = a->gid;
        if (!is_known || getgrouplist(a->name, a->gid, groups, &count) >= 0)
            break;
        room = count > room ? count : 2 * room;
    }
    a->groups = groups;
    a->group_count = (size_t)count;
    return 0;
}

int account_find(struct account *a, const char *text, char error[ACCOUNT_ERROR_MAX])
{
    const char *colon = strchr(text, ':');
    size_t n = colon != NULL ? (size_t)(colon - text) : strlen(text);
    char user[ACCOUNT_NAME_MAX];
    bool is_known;

    *a = (struct account){0};
    if (n == 0 || n >= sizeof user || (colon != NULL && colon[1] == '\0'))
        return account_fault(error, text, "write NAME or NAME:GROUP");
    memcpy(user, text, n);
    user[n] = '\0';
    if (account_find_user(a, user, colon != NULL, error) < 0)
        return -1;
    is_known = a->name[0] != '\0';
    if (!is_known)
        memcpy(a->name, user, n + 1);
    if (colon != NULL && find_group(a, colon + 1, error) < 0)
        return -1;
    return find_groups(a, is_known, error);
}

void account_release(struct account *a)
{
    free(a->groups);
    *a = (struct account){0};
}

static const char *variable(struct arena *arena, const char *name, const char *value)
{
    size_t n = strlen(name) + strlen(value) + 2;
    char *text = arena_alloc(arena, n);

    if (text != NULL)
        snprintf(text, n, "%s=%s", name, value);
    return text;
}

size_t account_login(const char *text, struct arena *arena, const char *vars[ACCOUNT_LOGIN])
{
    char error[ACCOUNT_ERROR_MAX];
    struct account a = {.uid = geteuid()};
    size_t count = 0;

    if (text != NULL && account_find(&a, text, error) < 0)
        return 0;
    const struct passwd *pw = getpwuid(a.uid);
    account_release(&a);
    if (pw == NULL)
        return 0;
    const char *const rows[ACCOUNT_LOGIN][2] = {
        {"HOME", pw->pw_dir},
        {"USER", pw->pw_name},
        {"LOGNAME", pw->pw_name},
        {"SHELL", pw->pw_shell[0] != '\0' ? pw->pw_shell : "/bin/sh"},
    };
    for (size_t i = 0; i < ACCOUNT_LOGIN; i++) {
        vars[count] = rows[i][1][0] != '\0' ? variable(arena, rows[i][0], rows[i][1]) : NULL;
        count += vars[count] != NULL;
    }
    return count;
}
