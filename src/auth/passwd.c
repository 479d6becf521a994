/* SPDX-License-Identifier: MIT */
#include "auth/passwd.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/htpasswd.h"
#include "auth/secret_file.h"
#include "auth/verify.h"
#include "base/file.h"
#include "base/utf8.h"

#define BCRYPT_MAX 72 /* bytes that it looks at */
#define NEW_MODE 0600
#define A43                                                                               \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" /* stands for a hash until there is one \
                                                   */
#define LINE_MAX_LEN (HTPASSWD_USER_MAX + 1 + VERIFY_HASH_MAX + 1)

static int passwd_fail(const char *what, const char *why)
{
    fprintf(stderr, "wsluice passwd: %s%s%s\n", what, why != NULL ? ": " : "",
            why != NULL ? why : "");
    return 1;
}

/* ---- the hash ---- */

static const char *hash_by(const char *prefix, const char *password, char out[CRYPT_OUTPUT_SIZE])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data;
    const char *made = NULL;

    if (crypt_gensalt_rn(prefix, 0, NULL, 0, setting, sizeof setting) == NULL)
        return NULL;
    data = calloc(1, sizeof *data);
    if (data != NULL)
        made = crypt_rn(password, setting, data, (int)sizeof *data);
    if (made != NULL)
        made = strcpy(out, made); /* both are of that size */
    if (data != NULL)
        explicit_bzero(data, sizeof *data);
    free(data);
    return made;
}

/* yescrypt, or bcrypt where libcrypt is built without it. NULL: neither, or too long for bcrypt. */
static const char *hash_password(const char *password, char out[CRYPT_OUTPUT_SIZE])
{
    const char *made = hash_by("$y$", password, out);

    return made != NULL || strlen(password) > BCRYPT_MAX ? made : hash_by("$2b$", password, out);
}

/* ---- the text ---- */

/* What stands in the line behind the hash: a second colon and all after it. */
static struct slice note_of(struct slice line)
{
    struct slice rest, note;

    (void)slice_cut(line, ':', &rest);
    (void)slice_cut(rest, ':', &note);
    if (note.p == NULL)
        return slice_of("", 0);
    return slice_of(note.p - 1, note.len + 1);
}

static char *append(char *out, struct slice s)
{
    return s.len > 0 ? mempcpy(out, s.p, s.len) : out;
}

char *passwd_put(struct slice text, const char *name, const char *line, size_t *len,
                 bool *was_there)
{
    char *all = malloc(text.len + strlen(line) + 3), *out = all;
    struct slice rest = text, one, hash;

    *was_there = false;
    if (all == NULL)
        return NULL;
    while (rest.p != NULL && rest.len > 0) {
        one = slice_cut(rest, '\n', &rest);
        bool ends = rest.p != NULL, cr = one.len > 0 && one.p[one.len - 1] == '\r';
        struct slice bare = slice_of(one.p, one.len - cr);

        if (!*was_there && slice_is(slice_cut(bare, ':', &hash), name) && hash.p != NULL) {
            *was_there = true;
            out = append(append(out, slice_from(line)), note_of(bare));
            out = append(out, slice_from(cr ? "\r" : ""));
        } else {
            out = append(out, one);
        }
        if (ends)
            *out++ = '\n';
    }
    if (!*was_there) {
        if (out > all && out[-1] != '\n')
            *out++ = '\n';
        out = append(append(out, slice_from(line)), slice_from("\n"));
    }
    *len = (size_t)(out - all);
    return all;
}

/* A line that the server would not read as this name's is not written. */
static bool passwd_judge(const char *name, const char *line, char why[HTPASSWD_ERROR_MAX])
{
    char *copy = strdup(line);
    struct htpasswd h;
    bool ok;

    if (copy == NULL || !utf8_valid((const uint8_t *)name, strlen(name)) ||
        strpbrk(name, ":\n") != NULL) {
        snprintf(why, HTPASSWD_ERROR_MAX, "%s",
                 copy == NULL ? strerror(ENOMEM)
                              : "a name is UTF-8 and has no colon and no line end");
        free(copy);
        return false;
    }
    if (!htpasswd_parse(&h, copy, why)) {
        memmove(why, why + strcspn(why, " ") + 1, strlen(why + strcspn(why, " "))); /* "1: " */
        free(copy);
        return false;
    }
    ok = htpasswd_find(&h, slice_from(name)) != NULL;
    if (!ok)
        snprintf(why, HTPASSWD_ERROR_MAX, "a name does not begin with #, and has more than blanks");
    htpasswd_release(&h);
    free(copy);
    return ok;
}

/* ---- the file ---- */

struct file {
    char path[PATH_MAX];   /* links followed */
    char folder[PATH_MAX]; /* that it is in */
    int lock;              /* the folder's descriptor: one of us at a time */
    struct stat st;
    bool is_new;
    char *text; /* as it is; by malloc */
    size_t len;
};

/* NULL, or what is wrong. */
static const char *find_folder(struct file *f, const char *path)
{
    char *copy;

    if (realpath(path, f->path) == NULL) {
        if (errno != ENOENT || strlen(path) >= sizeof f->path)
            return strerror(errno);
        strcpy(f->path, path);
        f->is_new = true;
    }
    copy = strdup(f->path);
    if (copy == NULL)
        return strerror(ENOMEM);
    snprintf(f->folder, sizeof f->folder, "%s", dirname(copy));
    free(copy);
    f->lock = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f->lock < 0 || flock(f->lock, LOCK_EX) < 0 ? strerror(errno) : NULL;
}

static const char *passwd_read_file(struct file *f)
{
    int fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    const char *wrong = NULL;

    if (fd < 0) {
        f->is_new = errno == ENOENT;
        return f->is_new ? NULL : strerror(errno);
    }
    f->is_new = false;
    if (fstat(fd, &f->st) < 0)
        wrong = strerror(errno);
    else if (!S_ISREG(f->st.st_mode))
        wrong = "not a regular file";
    else if (f->st.st_size > (off_t)SECRET_FILE_MAX)
        wrong = "larger than 8 MiB";
    else if ((f->text = file_read_all(fd, (size_t)f->st.st_size, &f->len)) == NULL)
        wrong = strerror(errno);
    else if (memchr(f->text, '\0', f->len) != NULL)
        wrong = "a zero byte stands in it";
    close(fd);
    return wrong;
}

/* Other lines of it are to be right, too: else it may be no such file at all. */
static bool judge_text(const char *text, size_t len, char why[HTPASSWD_ERROR_MAX])
{
    char *copy = slice_dup(slice_of(text, len));
    struct htpasswd h;

    if (copy == NULL || !htpasswd_parse(&h, copy, why)) {
        if (copy == NULL)
            snprintf(why, HTPASSWD_ERROR_MAX, "%s", strerror(ENOMEM));
        free(copy);
        return false;
    }
    htpasswd_release(&h);
    free(copy);
    return true;
}

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return true;
}

/* As the old one was; whoever could read that still can, and nobody else. */
static bool keep_owner(int fd, const struct file *f)
{
    struct stat st;

    if (f->is_new)
        return fchmod(fd, NEW_MODE) == 0;
    if (fstat(fd, &st) < 0)
        return false;
    if ((st.st_uid != f->st.st_uid || st.st_gid != f->st.st_gid) &&
        fchown(fd, f->st.st_uid, f->st.st_gid) < 0)
        return false;
    return fchmod(fd, f->st.st_mode & 07777) == 0;
}

/* Whole or not at all: readers see the old file or the new one. */
static const char *replace_file(const struct file *f, const char *text, size_t len)
{
    char fresh[PATH_MAX + 32];
    const char *wrong = NULL;
    int fd;

    snprintf(fresh, sizeof fresh, "%s/.wsluice-passwd-XXXXXX", f->folder);
    fd = mkostemp(fresh, O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    if (!keep_owner(fd, f) || !write_all(fd, text, len) || fsync(fd) < 0 ||
        rename(fresh, f->path) < 0)
        wrong = strerror(errno);
    close(fd);
    if (wrong != NULL)
        (void)unlink(fresh);
    else
        (void)fsync(f->lock); /* where folders cannot be synced there is no more to do */
    return wrong;
}

static int change_file(const char *path, const char *name, const char *line)
{
    struct file f = {.lock = -1};
    const char *wrong = find_folder(&f, path);
    char why[HTPASSWD_ERROR_MAX + 8] = "";
    bool was_there = false;
    char *text = NULL;
    size_t len = 0;

    if (wrong == NULL)
        wrong = passwd_read_file(&f);
    if (wrong == NULL && f.len > 0 && !judge_text(f.text, f.len, why))
        wrong = why;
    if (wrong == NULL &&
        (text = passwd_put(slice_of(f.text, f.len), name, line, &len, &was_there)) == NULL)
        wrong = strerror(ENOMEM);
    if (wrong == NULL)
        wrong = replace_file(&f, text, len);
    secret_file_free(text, len);
    secret_file_free(f.text, f.len);
    if (f.lock >= 0)
        close(f.lock);
    if (wrong != NULL)
        return passwd_fail(path, wrong);
    fprintf(stderr, "wsluice passwd: %s: %s %s\n", path, name, was_there ? "changed" : "added");
    return 0;
}

/* ---- */

static int passwd_usage(FILE *out, int status)
{
    fprintf(out,
            "usage: wsluice passwd [FILE] NAME\n"
            "Makes a line of a file for auth: basic. The password comes from the terminal, or is\n"
            "the line that stands on standard input. Without FILE the line is printed.\n");
    return status;
}

static int make_line(const char *file, const char *name)
{
    char password[VERIFY_PASSWORD_MAX + 1], hash[CRYPT_OUTPUT_SIZE], line[LINE_MAX_LEN + 1];
    char why[HTPASSWD_ERROR_MAX];
    const char *wrong;
    int status = 1;

    snprintf(line, sizeof line, "%.255s:$5$x$" A43, name);
    if (strlen(name) > HTPASSWD_USER_MAX)
        return passwd_fail("the name is longer than 255 bytes", NULL);
    if (!passwd_judge(name, line, why)) /* before anybody types a password for it */
        return passwd_fail("the name", why);
    if (!passwd_read(password, sizeof password, &wrong))
        passwd_fail(wrong, NULL);
    else if (!utf8_valid((const uint8_t *)password, strlen(password)))
        passwd_fail("the password is not UTF-8", NULL);
    else if (hash_password(password, hash) == NULL)
        passwd_fail("cannot make a hash",
                    strlen(password) > BCRYPT_MAX ? "longer than 72 bytes" : NULL);
    else if (snprintf(line, sizeof line, "%s:%s", name, hash) > 0 && !passwd_judge(name, line, why))
        passwd_fail("the line", why);
    else if (file != NULL)
        status = change_file(file, name, line);
    else
        status = puts(line) < 0 || fflush(stdout) != 0
                     ? passwd_fail("cannot write", strerror(errno))
                     : 0;
    explicit_bzero(password, sizeof password);
    return status;
}

int passwd_run(int argc, char **argv)
{
    int first = 1;

    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        return passwd_usage(stdout, 0);
    if (argc > 1 && strcmp(argv[1], "--") == 0)
        first = 2;
    else if (argc > 1 && argv[1][0] == '-')
        return passwd_usage(stderr, 2);
    if (argc - first < 1 || argc - first > 2)
        return passwd_usage(stderr, 2);
    return make_line(argc - first == 2 ? argv[first] : NULL, argv[argc - 1]);
}
