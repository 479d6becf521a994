/* SPDX-License-Identifier: MIT */
#include "core/observe/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"
#include "core/core.h"
#include "core/observe/record_json.h"

/* Bytes of one event; longer ones are cut in pieces, so that any line fits into the buffer. */
#define CAST_PIECE 1024U
#define JSONL_PIECE 8192U
#define CAST_LINE_MAX (6U * (CAST_PIECE + UTF8_MAX) + 64U)
#define JSONL_LINE_MAX ((JSONL_PIECE + 2U) / 3U * 4U + 128U)
#define HEADER_MAX (RECORD_BUFFER - 64U)
#define MARK_TEXT_MAX 256U /* bytes of an address or a user's name that are kept */
#define MARK_LINE_MAX (2U * 6U * MARK_TEXT_MAX + 128U)
#define CAST_WIDTH 80 /* until somebody says one; a player needs to be told */
#define CAST_HEIGHT 24

struct direction {
    uint8_t carry[UTF8_MAX - 1]; /* the beginning of a character, to be completed */
    uint8_t carried;
    uint8_t last; /* byte given before */
};

struct record {
    struct worker *worker;
    const struct settings *set;
    struct record_facts facts;
    char *path; /* of the current file; its end is rewritten for each part */
    size_t stem;
    int fd;          /* -1: none yet, or failed */
    bool failed;     /* nothing more is recorded */
    uint32_t part;   /* number of the current file, from 1; 0: none yet */
    bool has_event;  /* in the current file */
    uint64_t size;   /* of the current file, whole lines that were written */
    double begun_at; /* worker time 0 of the current file */
    char *waiting;   /* RECORD_BUFFER bytes; NULL: nothing waits */
    size_t waits;
    ev_timer timer; /* runs while something waits */
    unsigned columns, rows;
    uint64_t from; /* number of the client that input is of; 0: there is only one */
    struct direction dir[2];
};

/* ---- files ---- */

static void name_part(struct record *r, uint32_t part)
{
    const char *ending = r->facts.format == RECORD_CAST ? "cast" : "jsonl";

    if (part == 1)
        sprintf(r->path + r->stem, ".%s", ending);
    else
        sprintf(r->path + r->stem, "-%u.%s", part, ending);
}
#define PART_NAME_MAX sizeof "-4294967295.jsonl"

static void close_part(struct record *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

static void forget_waiting(struct record *r)
{
    ev_timer_stop(r->worker->loop, &r->timer);
    free(r->waiting);
    r->waiting = NULL;
    r->waits = 0;
}

/* The session goes on without. */
static void record_give_up(struct record *r, int err)
{
    close_part(r);
    forget_waiting(r);
    r->failed = true;
    core_of(r->worker)->recordings_failed++;
    log_line(&r->worker->log, LOG_WARN, "recording stopped", LOG_I("id", r->facts.id),
             LOG_C("file", r->path), LOG_C("reason", strerror(err)));
}

/* After a failed write the file ends in a part of a line: takes it off, so that what is there can
 * be read. */
static void end_in_whole_line(struct record *r, size_t written)
{
    const char *end = written > 0 ? memrchr(r->waiting, '\n', written) : NULL;
    uint64_t whole = r->size + (end != NULL ? (uint64_t)(end + 1 - r->waiting) : 0);

    if (written > 0 && ftruncate(r->fd, (off_t)whole) < 0) {
        /* then it has a torn last line */
    }
}

/* Writes what waits. False when the recording has ended over it. */
static bool flush(struct record *r)
{
    size_t done = 0;

    while (done < r->waits) {
        ssize_t n = write(r->fd, r->waiting + done, r->waits - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int err = n < 0 ? errno : ENOSPC;

            end_in_whole_line(r, done);
            record_give_up(r, err);
            return false;
        }
        done += (size_t)n;
    }
    r->size += r->waits;
    forget_waiting(r);
    return true;
}

static void record_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct record *r = timer->data;
    (void)loop;
    (void)revents;

    (void)flush(r);
}

/* Appends to what waits; n <= RECORD_BUFFER. */
static bool record_put(struct record *r, const char *p, size_t n)
{
    if (r->waits + n > RECORD_BUFFER && !flush(r))
        return false;
    if (r->waiting == NULL) {
        r->waiting = malloc(RECORD_BUFFER);
        if (r->waiting == NULL) {
            record_give_up(r, ENOMEM);
            return false;
        }
        ev_timer_set(&r->timer, RECORD_DELAY, 0);
        ev_timer_start(r->worker->loop, &r->timer);
    }
    memcpy(r->waiting + r->waits, p, n);
    r->waits += n;
    return true;
}

/* ---- headers ---- */

static size_t put_text_field(char *out, const char *name, const char *text, size_t most)
{
    size_t n = (size_t)sprintf(out, ",\"%s\":\"", name);

    n += record_json_text(out + n, text, most);
    out[n++] = '"';
    return n;
}

static size_t cast_header(const struct record *r, char *out, const struct timespec *now)
{
    const struct record_facts *f = &r->facts;
    char title[RECORD_JSON_MOST];
    size_t n = (size_t)sprintf(out, "{\"version\":2,\"width\":%u,\"height\":%u,\"timestamp\":%lld",
                               r->columns, r->rows, (long long)now->tv_sec);

    snprintf(title, sizeof title, "session %llu of %s on %s", (unsigned long long)f->id, f->client,
             f->path);
    n += put_text_field(out + n, "title", title, sizeof title);
    n += (size_t)sprintf(out + n, ",\"env\":{\"TERM\":\"%s\"",
                         f->plain_newlines ? "dumb" : "xterm-256color");
    n += put_text_field(out + n, "WSLUICE_ROUTE", f->route, 256);
    n += put_text_field(out + n, "WSLUICE_SUBPROTOCOL", f->subprotocol, 128);
    return n + (size_t)sprintf(out + n, "}}\n");
}

static size_t jsonl_header(const struct record *r, char *out, const struct timespec *now)
{
    const struct record_facts *f = &r->facts;
    size_t n = (size_t)sprintf(out,
                               "{\"format\":\"wsluice-recording\",\"version\":1,"
                               "\"timestamp\":%lld.%06ld,\"part\":%u,\"session\":%llu",
                               (long long)now->tv_sec, now->tv_nsec / 1000, r->part,
                               (unsigned long long)f->id);

    n += put_text_field(out + n, "client", f->client, 128);
    n += put_text_field(out + n, "route", f->route, 256);
    n += put_text_field(out + n, "path", f->path, RECORD_JSON_MOST);
    n += put_text_field(out + n, "framing", f->framing, 64);
    n += put_text_field(out + n, "subprotocol", f->subprotocol, 128);
    return n + (size_t)sprintf(out + n, "}\n");
}

/* ---- parts ---- */

/* The next file, and the oldest away that is one too many. */
static bool open_part(struct record *r)
{
    uint64_t keep = r->set->record_files;
    char header[HEADER_MAX];
    struct timespec now;

    r->part++;
    if (keep > 0 && r->part > keep) {
        name_part(r, (uint32_t)(r->part - keep));
        (void)unlink(r->path); /* somebody else may have taken it away */
    }
    name_part(r, r->part);
    r->fd = open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
    if (r->fd < 0) {
        record_give_up(r, errno);
        return false;
    }
    r->size = 0;
    r->has_event = false;
    r->begun_at = r->worker->clock;
    clock_gettime(CLOCK_REALTIME, &now);
    return record_put(r, header,
                      r->facts.format == RECORD_CAST ? cast_header(r, header, &now)
                                                     : jsonl_header(r, header, &now));
}

/* One event: what follows its time, with the end of the line. */
static void put_event(struct record *r, const char *rest, size_t n)
{
    char time[48];
    size_t len;

    if (r->failed)
        return;
    if (r->fd >= 0 && r->has_event && r->size + r->waits + sizeof time + n > r->set->record_max) {
        if (!flush(r))
            return;
        close_part(r);
    }
    if (r->fd < 0 && !open_part(r))
        return;
    len = (size_t)snprintf(time, sizeof time,
                           r->facts.format == RECORD_CAST ? "[%.6f," : "{\"time\":%.6f,",
                           r->worker->clock - r->begun_at);
    if (r->waits + len + n > RECORD_BUFFER && !flush(r)) /* a line is in one piece */
        return;
    if (record_put(r, time, len) && record_put(r, rest, n))
        r->has_event = true;
}

/* ---- events ---- */

static bool is_wanted(const struct record *r, enum record_direction dir)
{
    return !r->failed && (dir == RECORD_OUT || r->set->record_what == RECORD_BOTH);
}

/* "\n" that no "\r" comes before becomes "\r\n", as a terminal would have had it. out holds 2 * n.
 */
static size_t add_returns(struct direction *d, uint8_t *out, const uint8_t *p, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n' && d->last != '\r')
            out[len++] = '\r';
        out[len++] = d->last = p[i];
    }
    return len;
}

/* n <= CAST_PIECE + carry bytes that end with a character, or wrong. */
static void cast_event(struct record *r, enum record_direction dir, const uint8_t *p, size_t n)
{
    struct direction *d = &r->dir[dir];
    uint8_t text[2 * (CAST_PIECE + UTF8_MAX)], right[3 * sizeof text];
    char line[CAST_LINE_MAX];
    size_t len = (size_t)sprintf(line, "\"%c\",\"", dir == RECORD_IN ? 'i' : 'o');

    if (n == 0)
        return;
    if (dir == RECORD_OUT && r->facts.plain_newlines) {
        n = add_returns(d, text, p, n);
        p = text;
    }
    len += record_json_escape(line + len, right, utf8_replace(right, p, n));
    memcpy(line + len, "\"]\n", 3);
    put_event(r, line, len + 3);
}

void record_bytes(struct record *r, enum record_direction dir, const uint8_t *p, size_t n)
{
    struct direction *d = &r->dir[dir];
    uint8_t piece[CAST_PIECE + UTF8_MAX];

    if (r->facts.format != RECORD_CAST || !is_wanted(r, dir))
        return;
    while (n > 0) {
        size_t have = d->carried, more = n < CAST_PIECE ? n : CAST_PIECE;

        memcpy(piece, d->carry, have);
        memcpy(piece + have, p, more);
        have += more;
        d->carried = (uint8_t)utf8_tail(piece, have);
        have -= d->carried;
        memcpy(d->carry, piece + have, d->carried);
        cast_event(r, dir, piece, have);
        p += more;
        n -= more;
    }
}

void record_resize(struct record *r, unsigned columns, unsigned rows)
{
    char line[48];
    bool before_all = r->part == 0;

    columns = columns > 0 ? columns : r->columns;
    rows = rows > 0 ? rows : r->rows;
    if (r->facts.format != RECORD_CAST || r->failed || (columns == r->columns && rows == r->rows))
        return;
    r->columns = columns;
    r->rows = rows;
    if (before_all) /* the header will say it */
        return;
    put_event(r, line, (size_t)snprintf(line, sizeof line, "\"r\",\"%ux%u\"]\n", columns, rows));
}

/* A character that was never completed. */
static void end_character(struct record *r, enum record_direction dir)
{
    struct direction *d = &r->dir[dir];

    if (!r->failed && d->carried > 0)
        cast_event(r, dir, d->carry, d->carried);
    d->carried = 0;
}

void record_from(struct record *r, uint64_t number)
{
    if (r->from != number)
        end_character(r, RECORD_IN);
    r->from = number;
}

void record_mark(struct record *r, uint64_t number, const char *what, const char *address,
                 const char *user)
{
    char line[MARK_LINE_MAX];
    bool is_cast = r->facts.format == RECORD_CAST;
    size_t n = (size_t)sprintf(
        line, is_cast ? "\"m\",\"%s %" PRIu64 : "\"event\":\"%s\",\"number\":%" PRIu64, what,
        number);

    if (is_cast) {
        line[n++] = ' ';
        n += record_json_text(line + n, address, MARK_TEXT_MAX);
        if (user[0] != '\0')
            line[n++] = ' ';
        n += record_json_text(line + n, user, MARK_TEXT_MAX);
        n += (size_t)sprintf(line + n, "\"]\n");
    } else {
        n += put_text_field(line + n, "client", address, MARK_TEXT_MAX);
        n += put_text_field(line + n, "user", user, MARK_TEXT_MAX);
        n += (size_t)sprintf(line + n, "}\n");
    }
    put_event(r, line, n);
}

static void jsonl_event(struct record *r, enum record_direction dir, bool text, bool end,
                        const uint8_t *p, size_t n)
{
    char line[JSONL_LINE_MAX];
    size_t len = (size_t)sprintf(line, "\"dir\":\"%s\",\"type\":\"%s\",\"end\":%s,",
                                 dir == RECORD_IN ? "in" : "out", text ? "text" : "binary",
                                 end ? "true" : "false");

    if (dir == RECORD_IN && r->from != 0)
        len += (size_t)sprintf(line + len, "\"number\":%" PRIu64 ",", r->from);
    len += (size_t)sprintf(line + len, "\"data\":\"");
    len += record_json_base64(line + len, p, n);
    memcpy(line + len, "\"}\n", 3);
    put_event(r, line, len + 3);
}

void record_message(struct record *r, enum record_direction dir, bool text, bool end,
                    const uint8_t *p, size_t n)
{
    if (r->facts.format != RECORD_JSONL || !is_wanted(r, dir) || (n == 0 && !end))
        return;
    for (; n > JSONL_PIECE; p += JSONL_PIECE, n -= JSONL_PIECE)
        jsonl_event(r, dir, text, false, p, JSONL_PIECE);
    jsonl_event(r, dir, text, end, p, n);
}

/* ---- beginning and end ---- */

/* DIR/START-ID with room for the ending. NULL without memory. */
static char *make_path(struct record *r, const char *dir)
{
    size_t size = strlen(dir) + 96;
    char *path = malloc(size);
    struct timespec now;
    struct tm tm = {0};

    if (path == NULL)
        return NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    r->stem =
        (size_t)snprintf(path, size - PART_NAME_MAX, "%s/%04d%02d%02dT%02d%02d%02d.%06ldZ-%llu",
                         dir, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                         tm.tm_sec, now.tv_nsec / 1000, (unsigned long long)r->facts.id);
    return path;
}

struct record *record_new(struct worker *w, const struct settings *set,
                          const struct record_facts *facts)
{
    struct record *r;

    if (config_record_dir(set) == NULL)
        return NULL;
    r = calloc(1, sizeof *r);
    if (r != NULL) {
        *r = (struct record){.worker = w,
                             .set = set,
                             .facts = *facts,
                             .fd = -1,
                             .columns = CAST_WIDTH,
                             .rows = CAST_HEIGHT};
        r->path = make_path(r, config_record_dir(set));
    }
    if (r == NULL || r->path == NULL) {
        free(r);
        core_of(w)->recordings_failed++;
        log_line(&w->log, LOG_WARN, "recording stopped", LOG_I("id", facts->id),
                 LOG_C("reason", "out of memory"));
        return NULL;
    }
    ev_timer_init(&r->timer, record_on_timer, RECORD_DELAY, 0);
    r->timer.data = r;
    return r;
}

void record_close(struct record *r)
{
    if (r == NULL)
        return;
    end_character(r, RECORD_IN);
    end_character(r, RECORD_OUT);
    if (r->waits > 0)
        (void)flush(r);
    close_part(r);
    free(r->path);
    free(r);
}
