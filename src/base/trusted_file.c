/* SPDX-License-Identifier: MIT */
#include "base/trusted_file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as many as the kernel follows */
#define WRITABLE_BY_OTHERS (S_IWGRP | S_IWOTH)

const char *trusted_file_mode_fault(const struct stat *st, bool hidden)
{
    if ((st->st_mode & S_IWOTH) != 0)
        return "everybody may write it: chmod o-w";
    if (hidden && (st->st_mode & S_IROTH) != 0)
        return "everybody may read it: chmod o-r";
    return NULL;
}

/* ---- the way to a file ---- */

struct walk {
    char done[PATH_MAX]; /* without links; "" for the root */
    char rest[PATH_MAX]; /* what is still to be walked */
    unsigned links;
    bool sticky; /* `done` may be written by others, who cannot replace what is not theirs */
    uid_t user;
    char *why;
};

static bool trusted_is_ours(const struct walk *w, const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == w->user;
}

static bool others_may_write(const struct stat *st)
{
    return (st->st_mode & S_IWOTH) != 0 || ((st->st_mode & S_IWGRP) != 0 && st->st_gid != 0);
}

static bool trusted_tell(const struct walk *w, const char *option, const struct stat *st,
                         const char *what)
{
    const char *path = w->done[0] != '\0' ? w->done : "/";

    if (option != NULL)
        snprintf(w->why, TRUSTED_FILE_ERROR_MAX,
                 "user %u owns %s%.150s, and so could tell root what to do: chown %sroot %.150s",
                 (unsigned)st->st_uid, what, path, option, path);
    else
        snprintf(w->why, TRUSTED_FILE_ERROR_MAX,
                 "%s%.150s may be written by others (mode %04o), who so could tell root what to "
                 "do: chmod %s %.150s",
                 what, path, (unsigned)st->st_mode & 07777U,
                 (st->st_mode & S_IWGRP) != 0 ? "go-w" : "o-w", path);
    return false;
}

/* Of `done`, which is no link. last: what was asked for, and not a folder on the way. */
static bool judge_one(struct walk *w, const struct stat *st, bool last)
{
    const char *what = S_ISDIR(st->st_mode) ? "the folder " : "";
    bool open = others_may_write(st);

    if (!trusted_is_ours(w, st))
        return trusted_tell(w, "", st, what);
    w->sticky = open && !last && (st->st_mode & S_ISVTX) != 0;
    return !open || w->sticky || trusted_tell(w, NULL, st, what);
}

/* Cuts the first word of `rest` off; false when there is none. */
static bool next_word(struct walk *w, char word[NAME_MAX + 1])
{
    char *rest = w->rest + strspn(w->rest, "/");
    size_t n = strcspn(rest, "/");

    if (n == 0 || n > NAME_MAX)
        return false;
    memcpy(word, rest, n);
    word[n] = '\0';
    memmove(w->rest, rest + n, strlen(rest + n) + 1);
    return true;
}

/* The link's text takes the place of its name. False for what the kernel would not follow. */
static bool trusted_follow(struct walk *w, char *slash)
{
    char text[2 * PATH_MAX];
    ssize_t n = readlink(w->done, text, PATH_MAX - 1);

    if (n <= 0 || ++w->links > LINKS_MAX)
        return false;
    snprintf(text + n, sizeof text - (size_t)n, "/%s", w->rest);
    if (strlen(text) >= sizeof w->rest)
        return false;
    memcpy(w->rest, text, strlen(text) + 1);
    *slash = '\0';
    if (text[0] == '/') {
        w->done[0] = '\0';
        w->sticky = false;
    }
    return true;
}

enum step { STEP_ON, STEP_END, STEP_BAD };

static enum step trusted_step(struct walk *w)
{
    size_t n = strlen(w->done);
    char word[NAME_MAX + 1];
    bool was_sticky = w->sticky;
    struct stat st;

    if (!next_word(w, word))
        return STEP_END;
    if (strcmp(word, ".") == 0)
        return STEP_ON;
    if (strcmp(word, "..") == 0) { /* `done` has no links, so this is its folder */
        char *slash = strrchr(w->done, '/');

        w->sticky = true; /* the folder above may be: then links in it must be ours */
        if (slash != NULL)
            *slash = '\0';
        return STEP_ON;
    }
    if (n + strlen(word) + 2 > sizeof w->done)
        return STEP_END;
    snprintf(w->done + n, sizeof w->done - n, "/%s", word);
    if (lstat(w->done, &st) < 0)
        return STEP_END;
    if (S_ISLNK(st.st_mode)) {
        if (was_sticky && !trusted_is_ours(w, &st))
            return trusted_tell(w, "-h ", &st, "the link ") ? STEP_ON : STEP_BAD;
        return trusted_follow(w, w->done + n) ? STEP_ON : STEP_END;
    }
    return judge_one(w, &st, w->rest[strspn(w->rest, "/")] == '\0') ? STEP_ON : STEP_BAD;
}

bool trusted_file_judge(const char *path, uid_t user, char why[TRUSTED_FILE_ERROR_MAX])
{
    struct walk w = {.user = user, .why = why};
    enum step s = STEP_ON;
    struct stat root;
    int n;

    if (getauxval(AT_EUID) != 0)
        return true;
    if (path[0] != '/' && getcwd(w.done, sizeof w.done) == NULL)
        return true;
    n = snprintf(w.rest, sizeof w.rest, "%s%s%s", w.done, path[0] != '/' ? "/" : "", path);
    w.done[0] = '\0';
    if (n < 0 || (size_t)n >= sizeof w.rest)
        return true;
    if (lstat("/", &root) == 0 && !judge_one(&w, &root, false))
        return false;
    while (s == STEP_ON)
        s = trusted_step(&w);
    return s == STEP_END;
}
