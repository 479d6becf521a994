/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

#define LINE_ON_STACK 2048U
#define SENTENCE_MAX 2048U

/* ---- a line is built in memory; what does not fit is only counted, so that the caller can come
 * again with more */
struct text {
    char *p;
    size_t cap, len;
};

static void put(struct text *t, const char *p, size_t n)
{
    if (t->len < t->cap && n > 0)
        memcpy(t->p + t->len, p, n < t->cap - t->len ? n : t->cap - t->len);
    t->len += n;
}

static void put_c(struct text *t, const char *cstr)
{
    put(t, cstr, strlen(cstr));
}

/* Everything one line is made of. The time is taken once, so that a second attempt has the same
 * length. */
struct line {
    enum log_level level;
    enum log_format format;
    bool break_first;
    struct timespec now;
    const char *msg;
    const struct log_field *fields;
    size_t n;
};

/* How long the character at p is, of n > 0 bytes; 0 when it is not valid UTF-8. */
static size_t character(const char *p, size_t n)
{
    const uint8_t *u = (const uint8_t *)p;
    size_t len = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;

    return len <= n && utf8_valid(u, len) ? len : 0;
}

/* The code point of a valid character of len bytes. */
static uint32_t code_point(const char *p, size_t len)
{
    const uint8_t *u = (const uint8_t *)p;
    uint32_t c = len == 1 ? u[0] : u[0] & (0xffU >> (len + 1));

    for (size_t i = 1; i < len; i++)
        c = c << 6 | (u[i] & 0x3fU);
    return c;
}

/* Characters that would break the line, move the cursor or hide: controls, separators, direction
 * marks, no-width marks. */
static bool is_unprintable(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

/* The two-character escape both formats share, or NUL. */
static char short_escape(uint32_t c)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '"':
    case '\\':
        return (char)c;
    default:
        return '\0';
    }
}

static void put_bytes_hex(struct text *t, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char hex[5];

        (void)snprintf(hex, sizeof hex, "\\x%02x", (unsigned)(uint8_t)p[i]);
        put(t, hex, 4);
    }
}

static void put_unicode(struct text *t, uint32_t c)
{
    char hex[7];

    (void)snprintf(hex, sizeof hex, "\\u%04x", (unsigned)(c & 0xffffU));
    put(t, hex, 6);
}

/* The value with everything escaped that could be mistaken; quotes stay as they are where
 * keep_quotes says so. */
static void put_escaped(struct text *t, enum log_format format, struct slice s, bool keep_quotes)
{
    size_t len;

    for (size_t i = 0; i < s.len; i += len ? len : 1) {
        const char *p = s.p + i;
        uint32_t c;
        char two[2] = {'\\', '\0'};

        len = character(p, s.len - i);
        c = len ? code_point(p, len) : 0;
        two[1] = len && !(c == '"' && keep_quotes) ? short_escape(c) : '\0';
        if (two[1])
            put(t, two, 2);
        else if (len && !is_unprintable(c))
            put(t, p, len);
        else if (format == LOG_TEXT)
            put_bytes_hex(t, p, len ? len : 1);
        else
            put_unicode(t, len ? c : 0xdc00U | (uint8_t)*p);
    }
}

/* At most LOG_VALUE_MAX bytes of a value, not ending inside a character. */
static struct slice kept(struct slice s)
{
    size_t n = LOG_VALUE_MAX;

    if (s.len <= n)
        return s;
    return slice_of(s.p, n - utf8_tail((const uint8_t *)s.p, n));
}

/* In the text format a value of ordinary characters stands without quotes. */
static bool needs_quotes(struct slice s)
{
    size_t len;

    for (size_t i = 0; i < s.len; i += len) {
        len = character(s.p + i, s.len - i);
        if (!len || s.p[i] == ' ' || s.p[i] == '=' || s.p[i] == '"' || s.p[i] == '\\' ||
            is_unprintable(code_point(s.p + i, len)))
            return true;
    }
    return false;
}

static void put_text(struct text *t, enum log_format format, struct slice whole)
{
    struct slice s = kept(whole);
    bool quoted = format == LOG_JSON || needs_quotes(s);

    if (quoted)
        put_c(t, "\"");
    put_escaped(t, format, s, false);
    if (s.len < whole.len)
        put_c(t, "...");
    if (quoted)
        put_c(t, "\"");
}

static void put_value(struct text *t, enum log_format format, const struct log_field *f)
{
    char number[352]; /* the largest double has 309 digits in front of the point */

    switch (f->kind) {
    case LOG_FIELD_TEXT:
        put_text(t, format, f->text);
        return;
    case LOG_FIELD_INT:
        (void)snprintf(number, sizeof number, "%" PRId64, f->number);
        break;
    case LOG_FIELD_REAL:
        if (isfinite(f->real))
            (void)snprintf(number, sizeof number, "%.3f", f->real);
        else
            (void)snprintf(number, sizeof number, "null"); /* JSON knows no other */
        break;
    }
    put_c(t, number);
}

static void put_time(struct text *t, const struct timespec *now)
{
    char text[96];
    struct tm tm;

    memset(&tm, 0, sizeof tm);
    (void)gmtime_r(&now->tv_sec, &tm); /* fails only for years beyond int */
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                   (int)(now->tv_nsec / 1000000));
    put_c(t, text);
}

static void put_line_text(struct text *t, const struct line *line)
{
    static const char levels[][8] = {" error ", " warn  ", " info  ", " debug "};

    put_time(t, &line->now);
    put_c(t, levels[line->level]);
    put_escaped(t, LOG_TEXT, slice_from(line->msg), true);
    for (size_t i = 0; i < line->n; i++) {
        if (line->fields[i].kind == LOG_FIELD_TEXT && line->fields[i].text.len == 0)
            continue;
        put_c(t, " ");
        put_c(t, line->fields[i].name);
        put_c(t, "=");
        put_value(t, LOG_TEXT, &line->fields[i]);
    }
}

static void put_line_json(struct text *t, const struct line *line)
{
    static const char levels[][8] = {"error", "warn", "info", "debug"};

    put_c(t, "{\"time\":\"");
    put_time(t, &line->now);
    put_c(t, "\",\"level\":\"");
    put_c(t, levels[line->level]);
    put_c(t, "\",\"msg\":\"");
    put_escaped(t, LOG_JSON, slice_from(line->msg), false);
    put_c(t, "\"");
    for (size_t i = 0; i < line->n; i++) {
        if (line->fields[i].kind == LOG_FIELD_TEXT && line->fields[i].text.len == 0)
            continue;
        put_c(t, ",\"");
        put_c(t, line->fields[i].name);
        put_c(t, "\":");
        put_value(t, LOG_JSON, &line->fields[i]);
    }
    put_c(t, "}");
}

static void put_line(struct text *t, const struct line *line)
{
    if (line->break_first)
        put_c(t, "\n");
    if (line->format == LOG_JSON)
        put_line_json(t, line);
    else
        put_line_text(t, line);
    put_c(t, "\n");
}

/* ---- writing without waiting */

/*
 * One write: > 0 bytes taken, 0 when the descriptor is full, -1 on an error that waiting does not
 * mend. A description that is not ours may be shared with a program that wants it blocking, so it
 * cannot be made nonblocking: then we ask first, and write no more than a pipe takes whole.
 * (Somebody else writing in between could still make us wait: only where /proc is missing.)
 */
static ssize_t write_once(const struct log *l, const char *p, size_t n)
{
    ssize_t r;

    if (l->is_socket) {
        r = send(l->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (l->fd_owned) {
        r = write(l->fd, p, n);
    } else {
        struct pollfd pfd = {.fd = l->fd, .events = POLLOUT};

        if (poll(&pfd, 1, 0) <= 0)
            return 0;
        r = write(l->fd, p, n < PIPE_BUF ? n : PIPE_BUF);
    }
    if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    return r;
}

/* Writes on until the descriptor is full. False on an error; *done is right in both cases. */
static bool write_some(struct log *l, const char *p, size_t n, size_t *done)
{
    *done = 0;
    while (*done < n) {
        ssize_t r = write_once(l, p + *done, n - *done);

        if (r < 0)
            return false;
        if (r == 0)
            break;
        *done += (size_t)r;
        l->torn = p[*done - 1] != '\n';
    }
    return true;
}

/* ---- the ring */

/* Appends all of p or nothing. */
static bool ring_put(struct log *l, const char *p, size_t n)
{
    size_t tail, first;

    if (n > LOG_RING_SIZE - l->len)
        return false;
    if (!l->ring) {
        l->ring = malloc(LOG_RING_SIZE);
        if (!l->ring)
            return false;
        l->head = 0;
    }
    tail = (l->head + l->len) % LOG_RING_SIZE;
    first = n < LOG_RING_SIZE - tail ? n : LOG_RING_SIZE - tail;
    memcpy(l->ring + tail, p, first);
    memcpy(l->ring, p + first, n - first);
    l->len += n;
    return true;
}

static void ring_free(struct log *l)
{
    free(l->ring);
    l->ring = NULL;
    l->head = l->len = 0;
}

static void count_dropped(struct log *l, uint64_t lines)
{
    l->dropped += lines;
    l->dropped_total += lines;
}

/* Writing failed for good: what waits will never be taken. */
static void ring_drop(struct log *l)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < l->len; i++)
        lines += l->ring[(l->head + i) % LOG_RING_SIZE] == '\n';
    count_dropped(l, lines);
    ring_free(l);
}

/* Writes from the ring what the descriptor takes. */
static void ring_write(struct log *l)
{
    while (l->len > 0) {
        size_t piece = l->len < LOG_RING_SIZE - l->head ? l->len : LOG_RING_SIZE - l->head;
        size_t done;
        bool works = write_some(l, l->ring + l->head, piece, &done);

        l->head = (l->head + done) % LOG_RING_SIZE;
        l->len -= done;
        if (!works) {
            ring_drop(l);
            return;
        }
        if (done < piece)
            return;
    }
    ring_free(l);
}

/* ---- lines */

/* Hands a finished line on. False when it is lost. */
static bool emit(struct log *l, const char *p, size_t n)
{
    size_t done = 0;

    if (n > LOG_RING_SIZE)
        return false;
    if (l->len == 0 && !write_some(l, p, n, &done))
        return false;
    return done == n || ring_put(l, p + done, n - done);
}

static bool emit_line(struct log *l, enum log_level level, const char *msg,
                      const struct log_field *f, size_t n)
{
    struct line line = {.level = level, .format = l->format, .msg = msg, .fields = f, .n = n};
    char on_stack[LINE_ON_STACK];
    struct text text = {on_stack, sizeof on_stack, 0};
    bool taken;

    line.break_first = l->torn && l->len == 0;      /* the rest of the last line was lost */
    (void)clock_gettime(CLOCK_REALTIME, &line.now); /* cannot fail */
    put_line(&text, &line);
    if (text.len <= text.cap)
        return emit(l, text.p, text.len);

    text = (struct text){malloc(text.len), text.len, 0};
    if (!text.p)
        return false;
    put_line(&text, &line);
    taken = emit(l, text.p, text.len);
    free(text.p);
    return taken;
}

/* Tells what was lost, once there is room again; half of the ring, or a full one would hold nothing
 * but such reports. */
static void report_dropped(struct log *l)
{
    struct log_field lines = LOG_I("lines", l->dropped);

    if (l->dropped == 0 || l->len > LOG_RING_SIZE / 2)
        return;
    if (emit_line(l, LOG_WARN, "log lines were dropped", &lines, 1))
        l->dropped = 0;
}

void log_fields(struct log *l, enum log_level level, const char *msg, const struct log_field *f,
                size_t n)
{
    if (level > l->level)
        return;
    report_dropped(l);
    if (!emit_line(l, level, msg, f, n))
        count_dropped(l, 1);
}

void log_printf(struct log *l, enum log_level level, const char *fmt, ...)
{
    char sentence[SENTENCE_MAX];
    va_list ap;
    int n;

    if (level > l->level)
        return;
    va_start(ap, fmt);
    n = vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    if (n < 0)
        return; /* a wrong format of ours */
    if ((size_t)n >= sizeof sentence)
        memcpy(sentence + sizeof sentence - sizeof "...", "...", sizeof "...");
    log_fields(l, level, sentence, NULL, 0);
}

bool log_flush(struct log *l)
{
    if (l->len > 0)
        ring_write(l);
    report_dropped(l);
    return l->len > 0;
}

void log_init(struct log *l, enum log_level level, enum log_format format)
{
    struct stat st;
    int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    *l = (struct log){.fd = fd, .fd_owned = true, .level = level, .format = format};
    if (fd >= 0)
        return;
    l->fd = STDERR_FILENO;
    l->fd_owned = false;
    l->is_socket = fstat(STDERR_FILENO, &st) == 0 && S_ISSOCK(st.st_mode);
}

void log_release(struct log *l)
{
    (void)log_flush(l);
    ring_free(l);
    if (l->fd_owned && close(l->fd) != 0) {
        /* nowhere to say so */
    }
    l->fd = -1;
    l->fd_owned = l->is_socket = false;
}
