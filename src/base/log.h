/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_LOG_H
#define WSLUICE_BASE_LOG_H

/*
 * The log: lines of text or JSON on standard error. Never blocks: lines that the descriptor does not take wait in a ring
 * of LOG_RING_SIZE bytes; when that is full, new lines are dropped, counted, and the count is logged once there is room.
 *
 * A line is an event name in words and a list of fields. Values may come from anyone: control bytes, quotes,
 * backslashes and bytes that are not UTF-8 are escaped reversibly (\n, \", \\, \xNN; JSON: \u00NN and, for a byte
 * that is not UTF-8, \udcNN as Python's surrogateescape has it), so that one event is always one printable line.
 *
 *   text   2026-11-21T13:47:49.123Z info  session closed id=7 client=127.0.0.1:5000 reason="exit 3"
 *   json   {"time":"2026-11-21T13:47:49.123Z","level":"info","msg":"session closed","id":7,...}
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define LOG_RING_SIZE (256U * 1024U)
#define LOG_VALUE_MAX 8192U /* bytes of one value that are kept; a longer one is cut and ends in "..." */

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

struct log {
    int fd;              /* own, nonblocking description of standard error where the system gives one, else 2 */
    bool fd_owned;
    bool is_socket;
    bool torn;           /* what the descriptor took last ends inside a line */
    enum log_level level;
    enum log_format format;
    char *ring;          /* made on first need */
    size_t head, len;    /* bytes waiting */
    uint64_t dropped;    /* lines dropped since the last report */
    uint64_t dropped_total;
};

/* A field of a line. Build with the macros below. */
struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_REAL } kind;
    struct slice text;
    int64_t number;
    double real;
};

#define LOG_S(name_, slice_) ((struct log_field){.name = (name_), .kind = LOG_FIELD_TEXT, .text = (slice_)})
#define LOG_C(name_, cstr_) LOG_S(name_, slice_from(cstr_))
#define LOG_I(name_, int_) ((struct log_field){.name = (name_), .kind = LOG_FIELD_INT, .number = (int64_t)(int_)})
#define LOG_F(name_, real_) ((struct log_field){.name = (name_), .kind = LOG_FIELD_REAL, .real = (real_)}) /* 3 decimals */

/* Opens standard error for the log. Cannot fail: falls back to plain descriptor 2. */
void log_init(struct log *l, enum log_level level, enum log_format format);
void log_release(struct log *l); /* tries once more to write what waits */

/* One line. Fields with empty text are left out. log_line(l, LOG_INFO, "started", LOG_I("pid", 1), LOG_C("user", "x")) */
#define log_line(l, lvl, msg, ...)                                                                                     \
    log_fields((l), (lvl), (msg), (const struct log_field[]){__VA_ARGS__},                                             \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
void log_fields(struct log *l, enum log_level level, const char *msg, const struct log_field *f, size_t n);

/* A line of one formatted sentence, for start-up and operator messages. */
void log_printf(struct log *l, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Writes what waits as far as the descriptor takes it. True when something still waits. */
bool log_flush(struct log *l);

#endif
