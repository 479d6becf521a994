/* SPDX-License-Identifier: MIT */
#include "core/admission/bans.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The family before the address: networks of both stand in one order, and none holds the other's.
 */
#define KEY_SIZE 17

struct range {
    uint8_t first[KEY_SIZE], last[KEY_SIZE];
};

struct bans {
    struct range *all; /* in order, none inside another */
    size_t count;
    size_t lines;
    struct file_stamp stamp;
    bool unix_; /* clients of Unix sockets */
};

static void key_of(const union addr *a, uint8_t out[KEY_SIZE])
{
    memset(out, 0, KEY_SIZE);
    out[0] = a->sa.sa_family == AF_INET ? 4 : 6;
    if (a->sa.sa_family == AF_INET)
        memcpy(out + 1, &a->v4.sin_addr, 4);
    else
        memcpy(out + 1, a->v6.sin6_addr.s6_addr, 16);
}

static struct range range_of(const struct cidr *c)
{
    union addr a;
    struct range r;

    cidr_first(c, &a);
    key_of(&a, r.first);
    memcpy(r.last, r.first, sizeof r.last);
    for (size_t bit = 8U + c->bits; bit < 8 * sizeof r.last; bit++)
        r.last[bit / 8] |= (uint8_t)(0x80U >> (bit % 8));
    return r;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    int order = memcmp(x->first, y->first, sizeof x->first);

    return order != 0 ? order : memcmp(y->last, x->last, sizeof x->last);
}

/* Networks hold one another or are apart: of each nest the outermost stays. */
static void merge(struct bans *b)
{
    size_t kept = 0;

    if (b->count > 0)
        qsort(b->all, b->count, sizeof *b->all, compare_ranges);
    for (size_t i = 0; i < b->count; i++) {
        if (kept == 0 || memcmp(b->all[i].first, b->all[kept - 1].last, KEY_SIZE) > 0)
            b->all[kept++] = b->all[i];
    }
    b->count = kept;
}

static bool bans_add(struct bans *b, const struct cidr *c, size_t *room)
{
    b->lines++;
    if (c->family == AF_UNIX) {
        b->unix_ = true;
        return true;
    }
    if (b->count == *room) {
        size_t more = *room == 0 ? 64 : *room * 2;
        struct range *all = realloc(b->all, more * sizeof *all);

        if (all == NULL)
            return false;
        b->all = all;
        *room = more;
    }
    b->all[b->count++] = range_of(c);
    return true;
}

/* NULL when right. */
static const char *bans_read_line(struct bans *b, struct slice line, size_t *room)
{
    struct slice comment;
    struct cidr c;
    const char *wrong;

    line = slice_trim(slice_cut(line, '#', &comment));
    if (line.len > 0 && line.p[line.len - 1] == '\r')
        line = slice_trim(slice_of(line.p, line.len - 1));
    if (line.len == 0)
        return NULL;
    if (memchr(line.p, ' ', line.len) != NULL || memchr(line.p, '\t', line.len) != NULL)
        return "one address or network a line";
    wrong = cidr_parse(line, &c);
    if (wrong == NULL && !bans_add(b, &c, room))
        wrong = "out of memory";
    return wrong;
}

struct bans *bans_parse(struct slice text, char why[BANS_ERROR_MAX])
{
    struct bans *b = calloc(1, sizeof *b);
    struct slice line, rest = text;
    size_t room = 0;
    const char *wrong = b == NULL ? "out of memory" : NULL;

    for (size_t number = 1; wrong == NULL && rest.p != NULL; number++) {
        line = slice_cut(rest, '\n', &rest);
        wrong = bans_read_line(b, line, &room);
        if (wrong != NULL)
            snprintf(why, BANS_ERROR_MAX, "%zu: %s", number, wrong);
    }
    if (wrong == NULL) {
        merge(b);
        return b;
    }
    if (b == NULL)
        snprintf(why, BANS_ERROR_MAX, "1: %s", wrong);
    bans_free(b);
    return NULL;
}

void bans_free(struct bans *b)
{
    if (b == NULL)
        return;
    free(b->all);
    free(b);
}

/* The range that holds it; NULL: none. */
static const struct range *bans_find(const struct bans *b, const uint8_t key[KEY_SIZE])
{
    size_t low = 0, high = b->count; /* the first that begins behind it lies in low..high */

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(b->all[middle].first, key, KEY_SIZE) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && memcmp(key, b->all[low - 1].last, KEY_SIZE) <= 0 ? &b->all[low - 1] : NULL;
}

bool bans_have(const struct bans *b, const union addr *a)
{
    uint8_t key[KEY_SIZE];

    if (b == NULL || a->sa.sa_family == AF_UNSPEC)
        return false;
    if (a->sa.sa_family == AF_UNIX)
        return b->unix_;
    key_of(a, key);
    return bans_find(b, key) != NULL;
}

bool bans_have_network(const struct bans *b, const struct cidr *c)
{
    const struct range *around;
    struct range r;

    if (b == NULL || c->family == AF_UNIX)
        return b != NULL && b->unix_;
    r = range_of(c);
    around = bans_find(b, r.first);
    return around != NULL && memcmp(r.last, around->last, sizeof r.last) <= 0;
}

struct file_stamp bans_stamp(const struct bans *b)
{
    return b->stamp;
}

size_t bans_count(const struct bans *b)
{
    return b != NULL ? b->lines : 0;
}

/* ---- files ---- */

struct bans *bans_read(const char *path, struct file_stamp *stamp, char why[BANS_ERROR_MAX])
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    const char *wrong = NULL;
    char line[BANS_ERROR_MAX], *text = NULL;
    struct bans *b = NULL;
    struct stat st = {0};
    size_t len = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        wrong = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        wrong = "not a regular file";
    else if (st.st_size > (off_t)BANS_FILE_MAX)
        wrong = "larger than 64 MiB";
    else if ((text = file_read_all(fd, (size_t)st.st_size, &len)) == NULL)
        wrong = strerror(errno);
    if (fd >= 0)
        close(fd);
    *stamp = file_stamp_of(&st);
    if (wrong != NULL) {
        snprintf(why, BANS_ERROR_MAX, "%.300s: %s", path, wrong);
        return NULL;
    }
    b = bans_parse(slice_of(text, len), line);
    free(text);
    if (b == NULL)
        snprintf(why, BANS_ERROR_MAX, "%.300s:%.200s", path, line);
    else
        b->stamp = *stamp;
    return b;
}
