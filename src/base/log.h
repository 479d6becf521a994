/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_LOG_H
#define WSLUICE_BASE_LOG_H

/*
 * The log: lines of text or JSON on standard error, in a file, or to a syslog daemon. Never blocks:
 * lines that are not taken wait in a ring of LOG_RING_SIZE bytes; when that is full, new lines are
 * dropped, counted, and the count is logged once there is room.
 *
 * A line is an event name in words and a list of fields. Values may come from anyone: control
 * bytes, quotes, backslashes and bytes that are not UTF-8 are escaped reversibly (\n, \", \\, \xNN;
 * JSON: \u00NN and, for a byte that is not UTF-8, \udcNN as Python's surrogateescape has it), so
 * that one event is always one printable line.
 *
 *   text   2026-11-21T13:47:49.123Z info  session closed id=7 client=127.0.0.1:5000 reason="exit 3"
 *   json   {"time":"2026-11-21T13:47:49.123Z","level":"info","msg":"session closed","id":7,...}
 *
 * On standard error that is the journal's, lines of text begin with a priority and have no time
 * (sd-daemon(3)); to syslog, with the head of RFC 3164 in front of text and of JSON.
 *
 * Of events of one name LOG_REPEAT_MAX in a second are written, the rest is counted and summed up:
 * `repeated event="request refused" times=37`. Not so "session closed", "stderr", debug lines, and
 * LOG_AUTH_FAILED, which has a limit by address: core/auth/auth_delay.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define LOG_AUTH_FAILED "authentication failed"
#define LOG_RING_SIZE (256U * 1024U)
#define LOG_VALUE_MAX \
    8192U /* bytes of one value that are kept; a longer one is cut and ends in "..." */

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };
enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_FILE };
enum log_style { LOG_STYLE_PLAIN, LOG_STYLE_JOURNAL, LOG_STYLE_SYSLOG };

#define LOG_REPEATS 16        /* names watched at once */
#define LOG_REPEAT_MAX 10     /* events of one name that are written in a window */
#define LOG_REPEAT_WINDOW 1.0 /* seconds */

struct log_repeat {
    const char *msg; /* NULL: free */
    enum log_level level;
    uint32_t count; /* written in this window */
    uint64_t held;  /* not written */
    double until;   /* end of the window, log_clock() */
};

struct log {
    int fd; /* own, nonblocking description where the system gives one, else 2; -1: none */
    bool fd_owned;
    bool is_socket;
    bool torn; /* what the descriptor took last ends inside a line */
    enum log_level level;
    enum log_format format;
    char *ring;       /* made on first need */
    size_t head, len; /* bytes waiting */
    uint64_t dropped; /* lines dropped since the last report */
    uint64_t dropped_total;

    /* all zeroes: standard error */
    enum log_target target;
    enum log_style style;
    char *path;      /* of the file, or of the daemon's socket; own */
    double again_at; /* syslog: there is no connection, try again then; log_clock() */

    bool sums_up;     /* repeats are held back */
    unsigned holding; /* how many of these hold back something now */
    struct log_repeat repeats[LOG_REPEATS];
};

/* A field of a line. Build with the macros below. */
struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_REAL } kind;
    struct slice text;
    int64_t number;
    double real;
};

#define LOG_S(name_, slice_) \
    ((struct log_field){.name = (name_), .kind = LOG_FIELD_TEXT, .text = (slice_)})
#define LOG_C(name_, cstr_) LOG_S(name_, slice_from(cstr_))
#define LOG_I(name_, int_) \
    ((struct log_field){.name = (name_), .kind = LOG_FIELD_INT, .number = (int64_t)(int_)})
#define LOG_F(name_, real_)                                                                      \
    ((struct log_field){.name = (name_), .kind = LOG_FIELD_REAL, .real = (real_)}) /* 3 decimals \
                                                                                    */

/* Opens standard error for the log. Cannot fail: falls back to plain descriptor 2. */
void log_init(struct log *l, enum log_level level, enum log_format format);
void log_release(struct log *l); /* tries once more to write what waits */

/*
 * Sends lines to "stderr", "syslog" (a datagram socket, /dev/log) or a file, from now on, and
 * begins to sum up repeats. Once, after log_init. -1 with errno when the file cannot be opened; a
 * syslog daemon may come later. Both strings are copied. have: that file, open already, for who may
 * not open it any more, or -1; taken over in any case where `to` is a file.
 */
int log_open(struct log *l, const char *to, const char *syslog_socket, int have);

/* Whether log_open would find `to` usable, without making a file: 0, or the errno that it has. */
int log_judge(const char *to);

/* The file may have been renamed: opens it anew by its name. When that fails the old one stays in
 * use, and a line there says so. */
void log_reopen(struct log *l);

/* One line. Fields with empty text are left out. log_line(l, LOG_INFO, "started", LOG_I("pid", 1),
 * LOG_C("user", "x")) */
#define log_line(l, lvl, msg, ...)                                         \
    log_fields((l), (lvl), (msg), (const struct log_field[]){__VA_ARGS__}, \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
/* With fields, msg is a literal: it is remembered for a second. */
void log_fields(struct log *l, enum log_level level, const char *msg, const struct log_field *f,
                size_t n);

/* A line of one formatted sentence, for start-up and operator messages. */
void log_printf(struct log *l, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes what waits as far as the descriptor takes it. True when something still waits. */
bool log_flush(struct log *l);

/* Seconds until log_flush has something to do that l->fd being writable does not tell: repeats to
 * sum up, a daemon to look for. Negative: nothing. */
double log_due(const struct log *l);

/* Something waits, for l->fd or for a time: else neither need be looked at. */
static inline bool log_is_busy(const struct log *l)
{
    return l->len > 0 || l->holding > 0;
}

/* The monotonic clock, seconds. */
double log_clock(void);

#endif
