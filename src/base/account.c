/* SPDX-License-Identifier: MIT */
#include "base/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROUPS_MAX 65536 /* of the kernel: NGROUPS_MAX */

/* What is known of one, as a process of its own tells it. */
struct answer {
    int rc; /* -1: error says why */
    char error[ACCOUNT_ERROR_MAX];
    struct account a; /* without pointers */
    gid_t groups[GROUPS_MAX];
};

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

static void copy_path(char to[ACCOUNT_PATH_MAX], const char *path)
{
    if (strlen(path) < ACCOUNT_PATH_MAX)
        memcpy(to, path, strlen(path) + 1);
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
        a->is_known = true;
        snprintf(a->name, sizeof a->name, "%s", pw->pw_name);
        copy_path(a->home, pw->pw_dir);
        copy_path(a->shell, pw->pw_shell[0] != '\0' ? pw->pw_shell : "/bin/sh");
    }
    return 0;
}

/* A number without an account is in its one group. */
static int find_groups(struct answer *w)
{
    int count = GROUPS_MAX;

    w->groups[0] = w->a.gid;
    if (!w->a.is_known)
        count = 1;
    else if (getgrouplist(w->a.name, w->a.gid, w->groups, &count) < 0)
        return account_fault(w->error, w->a.name, "in too many groups");
    w->a.group_count = (size_t)count;
    return 0;
}

static void account_question(const void *arg, void *answer)
{
    struct answer *w = answer;
    const char *text = arg, *colon = strchr(text, ':');
    size_t n = colon != NULL ? (size_t)(colon - text) : strlen(text);
    char user[ACCOUNT_NAME_MAX];

    w->rc = -1;
    if (n == 0 || n >= sizeof user || (colon != NULL && colon[1] == '\0')) {
        (void)account_fault(w->error, text, "write NAME or NAME:GROUP");
        return;
    }
    memcpy(user, text, n);
    user[n] = '\0';
    if (account_find_user(&w->a, user, colon != NULL, w->error) < 0)
        return;
    if (!w->a.is_known)
        memcpy(w->a.name, user, n + 1);
    if (colon == NULL || find_group(&w->a, colon + 1, w->error) == 0)
        w->rc = find_groups(w);
}

/* What an answer becomes for as long as the arena. */
static const struct account *account_keep(struct accounts *known, const char *text,
                                          const struct answer *w, char error[ACCOUNT_ERROR_MAX])
{
    struct account *a = arena_alloc(known->arena, sizeof *a);
    gid_t *groups = arena_alloc(known->arena, w->a.group_count * sizeof *groups);

    if (a == NULL || groups == NULL || (text = arena_dup(known->arena, slice_from(text))) == NULL) {
        (void)account_fault(error, w->a.name, "out of memory");
        return NULL;
    }
    memcpy(groups, w->groups, w->a.group_count * sizeof *groups);
    *a = w->a;
    a->text = text;
    a->groups = groups;
    a->next = known->first;
    known->first = a;
    return a;
}

const struct account *account_find(struct accounts *known, const char *text,
                                   char error[ACCOUNT_ERROR_MAX])
{
    const struct account *a = known->first;
    struct answer *w;

    while (a != NULL && strcmp(a->text, text) != 0)
        a = a->next;
    if (a != NULL)
        return a;
    w = malloc(sizeof *w);
    if (w == NULL)
        (void)account_fault(error, text, "out of memory");
    else if (!ask_within(&known->ask, account_question, text, w, sizeof *w))
        (void)account_fault(error, text, ask_error(errno));
    else if (w->rc == 0)
        a = account_keep(known, text, w, error);
    else
        memcpy(error, w->error, ACCOUNT_ERROR_MAX);
    free(w);
    return a;
}

static const char *variable(struct arena *arena, const char *name, const char *value)
{
    size_t n = strlen(name) + strlen(value) + 2;
    char *text = arena_alloc(arena, n);

    if (text != NULL)
        snprintf(text, n, "%s=%s", name, value);
    return text;
}

size_t account_login(struct accounts *known, const char *text, const char *vars[ACCOUNT_LOGIN])
{
    char error[ACCOUNT_ERROR_MAX], ours[ACCOUNT_NAME_MAX];
    size_t count = 0;

    snprintf(ours, sizeof ours, "%u", (unsigned)geteuid());
    const struct account *a = account_find(known, text != NULL ? text : ours, error);
    if (a == NULL || !a->is_known)
        return 0;
    const char *const rows[ACCOUNT_LOGIN][2] = {
        {"HOME", a->home}, {"USER", a->name}, {"LOGNAME", a->name}, {"SHELL", a->shell}};
    for (size_t i = 0; i < ACCOUNT_LOGIN; i++) {
        vars[count] = rows[i][1][0] != '\0' ? variable(known->arena, rows[i][0], rows[i][1]) : NULL;
        count += vars[count] != NULL;
    }
    return count;
}
