/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log_format.h"
#include "base/log_out.h"
#include "base/log_syslog.h"

#define LINE_ON_STACK 2048U
#define SENTENCE_MAX 2048U
#define FILE_MODE 0640
#define LOOK_AGAIN 0.02 /* seconds, at what is full and cannot be watched */

double log_clock(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- lines ---- */

static bool emit_line(struct log *l, enum log_level level, const char *msg,
                      const struct log_field *f, size_t n)
{
    struct log_format_line line = {
        .level = level, .format = l->format, .style = l->style, .msg = msg, .fields = f, .n = n};
    char on_stack[LINE_ON_STACK];
    struct log_text text = {on_stack, sizeof on_stack, 0};
    bool taken;

    line.break_first = l->torn && l->len == 0;      /* the rest of the last line was lost */
    (void)clock_gettime(CLOCK_REALTIME, &line.now); /* cannot fail */
    log_format_put(&text, &line);
    if (text.len <= text.cap)
        return log_out_put(l, text.p, text.len);

    text = (struct log_text){malloc(text.len), text.len, 0};
    if (!text.p)
        return false;
    log_format_put(&text, &line);
    taken = log_out_put(l, text.p, text.len);
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

/* ---- repeats ---- */

/* Each of these is somebody's own line: one is no substitute for another. */
static bool is_counted(enum log_level level, const char *msg)
{
    static const char *const own[] = {"session closed", "stderr", LOG_AUTH_FAILED};

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(msg, own[i]) == 0)
            return false;
    }
    return level != LOG_DEBUG;
}

/* Windows that are over: says what they held back. */
static void report_repeats(struct log *l, double now)
{
    for (size_t i = 0; i < LOG_REPEATS; i++) {
        struct log_repeat *r = &l->repeats[i];
        const struct log_field f[] = {LOG_C("event", r->msg), LOG_I("times", r->held)};

        if (r->msg == NULL || now < r->until)
            continue;
        if (r->held > 0) {
            l->holding--;
            if (!emit_line(l, r->level, "repeated", f, sizeof f / sizeof f[0]))
                log_out_dropped(l, 1);
        }
        r->msg = NULL;
    }
}

/* Counts the event; true when it is one too many in its second. */
static bool hold_back(struct log *l, enum log_level level, const char *msg)
{
    struct log_repeat *found = NULL;
    double now = log_clock();

    report_repeats(l, now);
    if (!is_counted(level, msg))
        return false;
    for (size_t i = 0; i < LOG_REPEATS && (found == NULL || found->msg == NULL); i++) {
        struct log_repeat *r = &l->repeats[i];

        if (r->msg == NULL ? found == NULL : strcmp(r->msg, msg) == 0)
            found = r;
    }
    if (found == NULL) /* more kinds of events in one second than anybody floods with */
        return false;
    if (found->msg == NULL)
        *found = (struct log_repeat){.msg = msg, .level = level, .until = now + LOG_REPEAT_WINDOW};
    if (found->count < LOG_REPEAT_MAX) {
        found->count++;
        return false;
    }
    l->holding += found->held++ == 0;
    return true;
}

/* ---- */

void log_fields(struct log *l, enum log_level level, const char *msg, const struct log_field *f,
                size_t n)
{
    if (level > l->level)
        return;
    report_dropped(l);
    if (l->sums_up && n > 0 && hold_back(l, level, msg))
        return;
    if (!emit_line(l, level, msg, f, n))
        log_out_dropped(l, 1);
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
    log_out_flush(l);
    report_dropped(l);
    if (l->holding > 0)
        report_repeats(l, log_clock());
    return l->len > 0;
}

double log_due(const struct log *l)
{
    double now = log_clock(), due = -1;

    if (l->len > 0 && l->target != LOG_TO_STDERR)
        due = l->again_at > now + LOOK_AGAIN ? l->again_at - now : LOOK_AGAIN;
    for (size_t i = 0; i < LOG_REPEATS && l->holding > 0; i++) {
        const struct log_repeat *r = &l->repeats[i];
        double left = r->until > now ? r->until - now : 0;

        if (r->msg != NULL && r->held > 0 && (due < 0 || left < due))
            due = left;
    }
    return due;
}

/* ---- where to ---- */

/* The service manager says by device and inode which stream is its own: standard error may have
 * been sent elsewhere since (systemd.exec(5)). */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;

    return stream != NULL && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/*
 * Our own description of standard error can be made nonblocking without asking who shares the other
 * one. A regular file needs none, never being full, and must not have one: two descriptions have
 * two positions, and who else writes there (2>&1) would write over our lines.
 */
void log_init(struct log *l, enum log_level level, enum log_format format)
{
    struct stat st = {0};
    int fd = -1;

    (void)fstat(STDERR_FILENO, &st);
    if (!S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode))
        fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    *l = (struct log){.fd = fd, .fd_owned = fd >= 0, .level = level, .format = format};
    if (fd < 0)
        l->fd = STDERR_FILENO;
    l->is_socket = S_ISSOCK(st.st_mode);
}

static int log_open_file(const char *path)
{
    /* nonblocking for what is no file: a FIFO without a reader is refused, a full one waits here */
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, FILE_MODE);
}

static void use_fd(struct log *l, int fd)
{
    if (l->fd_owned && l->fd >= 0)
        (void)close(l->fd);
    l->fd = fd;
    l->fd_owned = true;
    l->is_socket = false;
}

int log_open(struct log *l, const char *to, const char *syslog_socket, int have)
{
    bool is_syslog = strcmp(to, "syslog") == 0;

    l->sums_up = true;
    if (strcmp(to, "stderr") == 0) {
        l->style = is_journal() ? LOG_STYLE_JOURNAL : LOG_STYLE_PLAIN;
        return 0;
    }
    int fd = is_syslog ? -1 : log_open_file(to);
    if (fd < 0)
        fd = have;
    else if (have >= 0)
        (void)close(have);
    if (fd < 0 && !is_syslog)
        return -1;
    l->path = strdup(is_syslog ? syslog_socket : to);
    if (l->path == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    use_fd(l, fd);
    l->target = is_syslog ? LOG_TO_SYSLOG : LOG_TO_FILE;
    l->style = is_syslog ? LOG_STYLE_SYSLOG : LOG_STYLE_PLAIN;
    if (is_syslog)
        (void)log_syslog_connect(l); /* a daemon that is not there yet will be */
    return 0;
}

int log_judge(const char *to)
{
    struct stat st;
    int fd;

    if (strcmp(to, "stderr") == 0 || strcmp(to, "syslog") == 0)
        return 0;
    if (stat(to, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) /* to open one may do */
        return faccessat(AT_FDCWD, to, W_OK, AT_EACCESS) == 0 ? 0 : errno;
    fd = open(to, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0)
        (void)close(fd);
    if (fd >= 0 || errno != ENOENT)
        return fd >= 0 ? 0 : errno;
    return file_may_be_made(to);
}

void log_reopen(struct log *l)
{
    int fd;

    if (l->target == LOG_TO_STDERR) {
        log_printf(l, LOG_DEBUG, "SIGUSR1: the log is standard error, nothing to reopen");
        return;
    }
    (void)log_flush(l);
    if (l->target == LOG_TO_SYSLOG) {
        (void)log_syslog_connect(l);
        return;
    }
    fd = log_open_file(l->path);
    if (fd < 0) {
        log_line(l, LOG_ERROR, "cannot reopen the log, the old file stays in use",
                 LOG_C("file", l->path), LOG_C("reason", strerror(errno)));
        return;
    }
    use_fd(l, fd);
    if (l->len == 0)
        l->torn = false;
    log_line(l, LOG_INFO, "log reopened", LOG_C("file", l->path));
}

void log_release(struct log *l)
{
    report_repeats(l, HUGE_VAL);
    (void)log_flush(l);
    log_out_release(l);
    if (l->fd_owned && l->fd >= 0 && close(l->fd) != 0) {
        /* nowhere to say so */
    }
    free(l->path);
    l->path = NULL;
    l->fd = -1;
    l->fd_owned = l->is_socket = false;
}
