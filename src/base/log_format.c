/* SPDX-License-Identifier: MIT */
#include "base/log_format.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

/* Numbers of RFC 5424, section 6.2.1; <syslog.h> has names that are ours. */
#define LOG_SEVERITY_ERR 3
#define LOG_SEVERITY_WARNING 4
#define LOG_SEVERITY_INFO 6
#define LOG_SEVERITY_DEBUG 7
#define LOG_FACILITY_DAEMON (3 << 3)

static void log_put(struct log_text *t, const char *p, size_t n)
{
    if (t->len < t->cap && n > 0)
        memcpy(t->p + t->len, p, n < t->cap - t->len ? n : t->cap - t->len);
    t->len += n;
}

static void put_c(struct log_text *t, const char *cstr)
{
    log_put(t, cstr, strlen(cstr));
}

/* How long the character at p is, of n > 0 bytes; 0 when it is not valid UTF-8. Its code point. */
static size_t log_character(const char *p, size_t n, uint32_t *c)
{
    *c = 0;
    return utf8_decode((const uint8_t *)p, n, c);
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

static void put_bytes_hex(struct log_text *t, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char hex[5];

        (void)snprintf(hex, sizeof hex, "\\x%02x", (unsigned)(uint8_t)p[i]);
        log_put(t, hex, 4);
    }
}

static void put_unicode(struct log_text *t, uint32_t c)
{
    char hex[7];

    (void)snprintf(hex, sizeof hex, "\\u%04x", (unsigned)(c & 0xffffU));
    log_put(t, hex, 6);
}

/* The value with everything escaped that could be mistaken; quotes stay as they are where
 * keep_quotes says so. */
static void put_escaped(struct log_text *t, enum log_format format, struct slice s,
                        bool keep_quotes)
{
    size_t len;

    for (size_t i = 0; i < s.len; i += len ? len : 1) {
        const char *p = s.p + i;
        uint32_t c;
        char two[2] = {'\\', '\0'};

        len = log_character(p, s.len - i, &c);
        two[1] = len && !(c == '"' && keep_quotes) ? short_escape(c) : '\0';
        if (two[1])
            log_put(t, two, 2);
        else if (len && !utf8_is_unprintable(c))
            log_put(t, p, len);
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
    uint32_t c;
    size_t len;

    for (size_t i = 0; i < s.len; i += len) {
        len = log_character(s.p + i, s.len - i, &c);
        if (!len || s.p[i] == ' ' || s.p[i] == '=' || s.p[i] == '"' || s.p[i] == '\\' ||
            utf8_is_unprintable(c))
            return true;
    }
    return false;
}

static void log_put_text(struct log_text *t, enum log_format format, struct slice whole)
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

static void put_value(struct log_text *t, enum log_format format, const struct log_field *f)
{
    char number[352]; /* the largest double has 309 digits in front of the point */

    switch (f->kind) {
    case LOG_FIELD_TEXT:
        log_put_text(t, format, f->text);
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

static void put_time(struct log_text *t, const struct timespec *now)
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

static void put_line_text(struct log_text *t, const struct log_format_line *line)
{
    static const char levels[][8] = {"error ", "warn  ", "info  ", "debug "};

    if (line->style == LOG_STYLE_PLAIN) { /* whoever takes the others writes the time itself */
        put_time(t, &line->now);
        put_c(t, " ");
    }
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

static void put_line_json(struct log_text *t, const struct log_format_line *line)
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

/* "<N>": facility and severity of syslog(3); without a facility as sd-daemon(3) has it. */
static void put_priority(struct log_text *t, int facility, enum log_level level)
{
    static const int severities[] = {LOG_SEVERITY_ERR, LOG_SEVERITY_WARNING, LOG_SEVERITY_INFO,
                                     LOG_SEVERITY_DEBUG};
    char text[16];

    (void)snprintf(text, sizeof text, "<%d>", facility | severities[level]);
    put_c(t, text);
}

/* RFC 3164, section 4.1, without a host name: what daemons expect on /dev/log. In local time. */
static void put_syslog_head(struct log_text *t, const struct log_format_line *line)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char text[96];
    struct tm tm;

    memset(&tm, 0, sizeof tm);
    (void)localtime_r(&line->now.tv_sec, &tm);
    put_priority(t, LOG_FACILITY_DAEMON, line->level);
    (void)snprintf(text, sizeof text, "%s %2d %02d:%02d:%02d wsluice[%d]: ", months[tm.tm_mon % 12],
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)getpid());
    put_c(t, text);
}

void log_format_put(struct log_text *t, const struct log_format_line *line)
{
    if (line->break_first)
        put_c(t, "\n");
    if (line->style == LOG_STYLE_SYSLOG)
        put_syslog_head(t, line);
    else if (line->style == LOG_STYLE_JOURNAL && line->format == LOG_TEXT)
        put_priority(t, 0, line->level);
    if (line->format == LOG_JSON)
        put_line_json(t, line);
    else
        put_line_text(t, line);
    put_c(t, "\n");
}
