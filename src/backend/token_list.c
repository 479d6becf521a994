/* SPDX-License-Identifier: MIT */
#include "backend/token_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "proto/secret.h"

#define LOOK_EVERY 1.0 /* seconds: at the files of a directory */
#define TICK 0.05      /* seconds; two changes that close may bear the same time */

struct token_text {
    struct token_text *next;
    char *name;              /* in its directory; NULL: the file itself */
    struct file_stamp stamp; /* all zeroes: it could not be opened */
    char *text;              /* NULL: nothing could be read */
    size_t len;
};

struct token_list {
    const char *path;
    struct token_text *files, **last;
    size_t count, size;      /* files, bytes of all */
    struct file_stamp stamp; /* of path */
    bool was_read, unsettled;
    bool broken;   /* something that should be there could not be read */
    char why[200]; /* that, or what else of a directory could not */
    double looked_at;
    unsigned reads;
};

struct token_list *token_list_new(const char *path)
{
    struct token_list *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->path = path;
    l->last = &l->files;
    return l;
}

static void token_list_forget(struct token_list *l)
{
    struct token_text *next;

    for (struct token_text *f = l->files; f != NULL; f = next) {
        next = f->next;
        secret_wipe(slice_of(f->text, f->len));
        free(f->text);
        free(f->name);
        free(f);
    }
    l->files = NULL;
    l->last = &l->files;
    l->count = l->size = 0;
    l->broken = l->was_read = l->unsettled = false;
    l->why[0] = '\0';
}

void token_list_free(struct token_list *l)
{
    if (l == NULL)
        return;
    token_list_forget(l);
    free(l);
}

unsigned token_list_reads(const struct token_list *l)
{
    return l->reads;
}

static void token_list_complain(struct token_list *l, bool broken, const char *name,
                                const char *why)
{
    l->broken = l->broken || broken;
    snprintf(l->why, sizeof l->why, "%.120s: %s", name, why);
}

/* ---- reading ---- */

/* Changed so lately that the next change may leave the same stamp. */
static bool is_fresh(const struct stat *st)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    double age = (double)(now.tv_sec - st->st_ctim.tv_sec) +
                 (double)(now.tv_nsec - st->st_ctim.tv_nsec) / 1e9;
    return age > -TICK && age < TICK;
}

static struct token_text *add_file(struct token_list *l, const char *name)
{
    struct token_text *f = calloc(1, sizeof *f);

    if (f != NULL && name != NULL)
        f->name = strdup(name);
    if (f == NULL || (name != NULL && f->name == NULL)) {
        free(f);
        token_list_complain(l, true, name != NULL ? name : l->path, strerror(ENOMEM));
        return NULL;
    }
    *l->last = f;
    l->last = &f->next;
    l->count++;
    return f;
}

static void token_list_read_file(struct token_list *l, struct token_text *f, int fd,
                                 const struct stat *st)
{
    const char *name = f->name != NULL ? f->name : l->path;

    f->stamp = file_stamp_of(st);
    l->unsettled = l->unsettled || is_fresh(st);
    if (st->st_size > (off_t)TOKEN_FILE_SIZE_MAX) {
        token_list_complain(l, true, name, "larger than 1 MiB");
        return;
    }
    if (l->size + (size_t)st->st_size > TOKEN_LIST_SIZE_MAX) {
        token_list_complain(l, true, name, "all files together are larger than 16 MiB");
        return;
    }
    f->text = file_read_all(fd, (size_t)st->st_size, &f->len);
    if (f->text == NULL)
        token_list_complain(l, true, name, strerror(errno));
    else
        l->size += f->len;
}

/* -1 with errno. */
static int open_below(int dir, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = -1;

    for (int tries = 0; fd < 0 && tries < 16; tries++) {
        fd = syscall(SYS_openat2, dir, name, &how, sizeof how);
        if (fd < 0 && errno != EAGAIN && errno != EINTR)
            break;
    }
    return (int)fd;
}

/* One that cannot be opened, or is no file, is kept by its name: it may become one. */
static void read_below(struct token_list *l, int dir, const char *name)
{
    struct token_text *f = add_file(l, name);
    int fd = f != NULL ? open_below(dir, name) : -1;
    struct stat st;

    if (f == NULL)
        return;
    if (fd < 0) {
        token_list_complain(l, false, name, strerror(errno)); /* the others are there */
        return;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        token_list_read_file(l, f, fd, &st);
    close(fd);
}

/* Takes the descriptor over. */
static void read_directory(struct token_list *l, int fd)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry;

    if (dir == NULL) {
        close(fd);
        token_list_complain(l, true, "the directory", strerror(errno));
        return;
    }
    while ((entry = readdir(dir)) != NULL && l->count < TOKEN_FILES_MAX) {
        if (entry->d_name[0] != '.')
            read_below(l, fd, entry->d_name);
    }
    closedir(dir);
}

static void token_list_read_all(struct token_list *l, double now)
{
    int fd = open(l->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct token_text *f;
    struct stat st;

    token_list_forget(l);
    l->reads++;
    l->looked_at = now;
    if (fd < 0 || fstat(fd, &st) < 0) {
        token_list_complain(l, true, l->path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return;
    }
    l->stamp = file_stamp_of(&st);
    l->was_read = true;
    l->unsettled = is_fresh(&st);
    if (S_ISDIR(st.st_mode)) {
        read_directory(l, fd);
        return;
    }
    if (!S_ISREG(st.st_mode))
        token_list_complain(l, true, l->path, "not a regular file");
    else if ((f = add_file(l, NULL)) != NULL)
        token_list_read_file(l, f, fd, &st);
    close(fd);
}

/* ---- looking ---- */

static bool changed_below(const struct token_list *l)
{
    int dir = open(l->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool changed = dir < 0;

    for (const struct token_text *f = l->files; f != NULL && !changed; f = f->next) {
        struct file_stamp stamp = {0};
        struct stat st;
        int fd = open_below(dir, f->name);

        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
            stamp = file_stamp_of(&st);
        if (fd >= 0)
            close(fd);
        changed = !file_stamp_same(&stamp, &f->stamp);
    }
    if (dir >= 0)
        close(dir);
    return changed;
}

static bool is_current(struct token_list *l, double now)
{
    struct file_stamp stamp;
    struct stat st;

    if (!l->was_read || l->unsettled || stat(l->path, &st) < 0)
        return false;
    stamp = file_stamp_of(&st);
    if (!file_stamp_same(&stamp, &l->stamp))
        return false;
    if (!S_ISDIR(st.st_mode) || now - l->looked_at < LOOK_EVERY)
        return true;
    l->looked_at = now;
    return !changed_below(l);
}

static bool token_list_find_in(const struct token_text *f, struct slice token,
                               struct token_target *t)
{
    struct slice line, rest = slice_of(f->text, f->len);

    while (rest.p != NULL) {
        line = slice_cut(rest, '\n', &rest);
        if (token_file_line(line, token, t))
            return true;
    }
    return false;
}

bool token_list_find(struct token_list *l, double now, struct slice token, struct token_target *t)
{
    *t = (struct token_target){0};
    if (!is_current(l, now))
        token_list_read_all(l, now);
    for (const struct token_text *f = l->files; f != NULL; f = f->next) {
        if (token_list_find_in(f, token, t))
            return true;
    }
    if (!t->broken) {
        t->broken = l->broken;
        memcpy(t->why, l->why, sizeof t->why);
    }
    return false;
}
