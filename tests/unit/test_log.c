/* SPDX-License-Identifier: MIT */
/* base/log: where lines go, how they look there, and repeats. (Values and the ring: test_base.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define ONE LOG_I("n", 1)

struct bench {
    struct log log;
    char dir[64], path[96];
    int saved, pipe; /* our standard error; the end to read from of the one put in its place */
};

static void bench_open(struct bench *b)
{
    *b = (struct bench){.saved = -1, .pipe = -1};
    snprintf(b->dir, sizeof b->dir, "/tmp/wsluice-log-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->path, sizeof b->path, "%s/log", b->dir);
    log_init(&b->log, LOG_INFO, LOG_TEXT);
}

static void bench_close(struct bench *b)
{
    log_release(&b->log);
    (void)unlink(b->path);
    assert_int_equal(rmdir(b->dir), 0);
}

/* Standard error becomes a pipe that we read. */
static void take_stderr(struct bench *b)
{
    int fds[2];

    b->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    (void)close(fds[1]);
    b->pipe = fds[0];
    assert_int_equal(fcntl(b->pipe, F_SETFL, O_NONBLOCK), 0);
}

static void give_stderr_back(struct bench *b)
{
    assert_int_equal(dup2(b->saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(b->saved);
    (void)close(b->pipe);
}

static size_t read_all(int fd, char *out, size_t size)
{
    ssize_t n = read(fd, out, size - 1);

    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static size_t read_path(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n;

    assert_true(fd >= 0);
    n = read_all(fd, out, size);
    (void)close(fd);
    return n;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;

    while ((text = strstr(text, word)) != NULL) {
        n++;
        text += strlen(word);
    }
    return n;
}

static void journal_lines_have_a_priority(void **state)
{
    static const char *const lines[] = {"<3>error m n=1\n", "<4>warn  m n=1\n", "<6>info  m n=1\n",
                                        "<7>debug m n=1\n"};
    struct bench b;
    char text[4096], stream[64];
    struct stat st;
    (void)state;

    bench_open(&b);
    log_release(&b.log);
    take_stderr(&b);
    log_init(&b.log, LOG_DEBUG, LOG_TEXT);
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    assert_int_equal(log_open(&b.log, "stderr", "", -1), 0);
    for (enum log_level level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        log_line(&b.log, level, "m", ONE);
        read_all(b.pipe, text, sizeof text);
        assert_string_equal(text, lines[level]);
    }
    b.log.format = LOG_JSON; /* is what it is everywhere */
    log_line(&b.log, LOG_INFO, "m", ONE);
    read_all(b.pipe, text, sizeof text);
    assert_int_equal(strncmp(text, "{\"time\":\"20", 11), 0);
    log_release(&b.log);

    /* the variable is inherited by those whose standard error is something else */
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    log_init(&b.log, LOG_DEBUG, LOG_TEXT);
    assert_int_equal(log_open(&b.log, "stderr", "", -1), 0);
    log_line(&b.log, LOG_INFO, "m", ONE);
    read_all(b.pipe, text, sizeof text);
    assert_int_equal(strncmp(text, "20", 2), 0);
    assert_non_null(strstr(text, "Z info  m n=1\n"));
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    log_release(&b.log);
    give_stderr_back(&b);
    assert_int_equal(rmdir(b.dir), 0);
}

static void files_are_appended_and_opened_anew(void **state)
{
    struct bench b;
    char text[4096], other[128];
    struct stat st;
    (void)state;

    bench_open(&b);
    (void)umask(0);
    assert_int_equal(log_open(&b.log, b.path, "", -1), 0);
    assert_int_equal(stat(b.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    log_line(&b.log, LOG_INFO, "first", ONE);
    snprintf(other, sizeof other, "%s.1", b.path);
    assert_int_equal(rename(b.path, other), 0);
    log_line(&b.log, LOG_INFO, "second", ONE); /* follows the file */
    log_reopen(&b.log);
    log_line(&b.log, LOG_INFO, "third", ONE);
    read_path(other, text, sizeof text);
    assert_int_equal(count(text, "\n"), 2);
    assert_non_null(strstr(text, "second"));
    read_path(b.path, text, sizeof text);
    assert_int_equal(count(text, "\n"), 2);
    assert_non_null(strstr(text, " log reopened file="));
    assert_non_null(strstr(text, "third"));
    assert_int_equal(unlink(other), 0);

    /* where none can be made the old one stays */
    assert_int_equal(unlink(b.path), 0);
    assert_int_equal(mkdir(b.path, 0700), 0);
    int old = b.log.fd;
    log_reopen(&b.log);
    assert_int_equal(b.log.fd, old);
    assert_int_equal(fstat(old, &st), 0);
    assert_true(pread(old, text, 1, 0) < 0); /* write only */
    snprintf(other, sizeof other, "/proc/self/fd/%d", old);
    read_path(other, text, sizeof text);
    assert_non_null(strstr(text, "cannot reopen the log"));
    assert_non_null(strstr(text, "Is a directory"));
    assert_int_equal(rmdir(b.path), 0);
    bench_close(&b);

    bench_open(&b);
    assert_int_equal(log_open(&b.log, "/nonexistent/log", "", -1), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(mkfifo(b.path, 0600), 0);
    assert_int_equal(log_open(&b.log, b.path, "", -1),
                     -1); /* nobody reads it: no waiting for one */
    assert_int_equal(errno, ENXIO);
    bench_close(&b);
}

/* A FIFO that is full: lines wait, and there is a time to look again. */
static void a_full_fifo_does_not_block(void **state)
{
    static char text[256 * 1024];
    struct bench b;
    size_t lines = 0, n;
    (void)state;

    bench_open(&b);
    assert_int_equal(mkfifo(b.path, 0600), 0);
    int fd = open(b.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(log_open(&b.log, b.path, "", -1), 0);
    assert_true(log_due(&b.log) < 0);
    for (int i = 0; i < 2000; i++)
        log_printf(&b.log, LOG_INFO, "a line of a length that soon fills what a FIFO holds %d", i);
    assert_true(b.log.len > 0 && log_is_busy(&b.log));
    assert_true(log_due(&b.log) > 0 && log_due(&b.log) < 0.1);
    assert_int_equal(b.log.dropped_total, 0);
    do {
        (void)log_flush(&b.log);
        n = read_all(fd, text, sizeof text);
        lines += count(text, "\n");
    } while (n > 0);
    assert_int_equal(lines, 2000);
    assert_true(log_due(&b.log) < 0);
    (void)close(fd);
    bench_close(&b);
}

static int listen_syslog(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void syslog_gets_datagrams(void **state)
{
    struct bench b;
    char text[65536], head[64], *body;
    (void)state;

    bench_open(&b);
    int fd = listen_syslog(b.path);
    assert_int_equal(log_open(&b.log, "syslog", b.path, -1), 0);
    log_line(&b.log, LOG_WARN, "m", LOG_C("v", "a\nb"));
    read_all(fd, text, sizeof text);
    snprintf(head, sizeof head, " wsluice[%d]: ", (int)getpid());
    body = strstr(text, head);
    assert_non_null(body);
    assert_string_equal(body + strlen(head), "warn  m v=\"a\\nb\"");
    assert_int_equal(strncmp(text, "<28>", 4), 0); /* daemon, warning */
    assert_int_equal(body - text, 4 + 15);         /* "Nov 21 15:00:00" */
    struct tm tm;
    *body = '\0';
    assert_non_null(strptime(text + 4, "%b %d %H:%M:%S", &tm));

    b.log.format = LOG_JSON;
    log_line(&b.log, LOG_ERROR, "m", ONE);
    read_all(fd, text, sizeof text);
    assert_int_equal(strncmp(text, "<27>", 4), 0);
    assert_non_null(strstr(text, ": {\"time\":"));

    /* longer than any daemon takes: cut, not lost */
    static char long_text[8][LOG_VALUE_MAX];
    struct log_field f[8];
    for (size_t i = 0; i < 8; i++) {
        memset(long_text[i], 'x', LOG_VALUE_MAX);
        f[i] = LOG_S("v", slice_of(long_text[i], LOG_VALUE_MAX));
    }
    log_fields(&b.log, LOG_INFO, "long", f, 8);
    assert_int_equal(read_all(fd, text, sizeof text), 32768);
    (void)close(fd);
    bench_close(&b);
}

/* A daemon that is not there, comes, is slow, restarts: nothing is lost that the ring can hold. */
static void syslog_daemons_come_and_go(void **state)
{
    struct bench b;
    char text[1024];
    int got = 0;
    (void)state;

    bench_open(&b);
    assert_int_equal(log_open(&b.log, "syslog", b.path, -1), 0);
    log_printf(&b.log, LOG_INFO, "n=%d", 0);
    assert_true(b.log.len > 0);
    assert_true(log_due(&b.log) > 0.2); /* not more often than that */
    int fd = listen_syslog(b.path);
    for (int n = 1; n < 1200; n++) {
        if (n == 600) { /* a new socket under the old name; what it had not read it has lost */
            for (bool more = true; more;) {
                more = log_flush(&b.log);
                while (read_all(fd, text, sizeof text) > 0) {
                    got++;
                    more = true;
                }
            }
            (void)close(fd);
            assert_int_equal(unlink(b.path), 0);
            fd = listen_syslog(b.path);
        }
        log_printf(&b.log, LOG_INFO, "n=%d", n);
        b.log.again_at = b.log.again_at > 0 ? 1 : 0; /* the second is over */
    }
    assert_int_equal(b.log.dropped_total, 0);
    for (bool more = true; more;) {
        more = log_flush(&b.log);
        while (read_all(fd, text, sizeof text) > 0) {
            char wanted[32];
            const char *at;

            snprintf(wanted, sizeof wanted, "info  n=%d", got++);
            at = strstr(text, "info");
            assert_non_null(at);
            assert_string_equal(at, wanted); /* in order, one a datagram, none twice */
            more = true;
        }
    }
    assert_int_equal(got, 1200);
    (void)close(fd);
    bench_close(&b);
}

static void syslog_losses_are_counted(void **state)
{
    struct bench b;
    uint64_t dropped;
    char text[1024];
    (void)state;

    bench_open(&b);
    assert_int_equal(log_open(&b.log, "syslog", b.path, -1), 0);
    for (int i = 0; i < 10000; i++)
        log_printf(&b.log, LOG_INFO, "a line for a daemon that is not there n=%d", i);
    dropped = b.log.dropped;
    assert_true(dropped > 1000);
    int fd = listen_syslog(b.path), lines = 0;
    b.log.again_at = 1;
    text[0] = '\0';
    for (bool more = true; more;) {
        more = log_flush(&b.log);
        while (read_all(fd, text, sizeof text) > 0) {
            lines += strstr(text, "not there") != NULL;
            more = true;
            if (strstr(text, "dropped") != NULL)
                assert_int_equal(strtoull(strstr(text, "lines=") + 6, NULL, 10), dropped);
        }
    }
    assert_int_equal(b.log.dropped, 0); /* told */
    assert_int_equal(lines + (int)dropped, 10000);
    (void)close(fd);
    bench_close(&b);
}

static void repeats_are_summed_up(void **state)
{
    static char text[65536];
    struct bench b;
    double start;
    (void)state;

    bench_open(&b);
    assert_int_equal(log_open(&b.log, b.path, "", -1), 0);
    start = log_clock();
    for (int i = 0; i < 50; i++) {
        log_line(&b.log, LOG_INFO, "request refused", LOG_I("n", i));
        log_line(&b.log, LOG_INFO, "session closed", LOG_I("n", i));
        log_line(&b.log, LOG_INFO, "stderr", LOG_I("n", i));
        log_line(&b.log, i % 2 ? LOG_INFO : LOG_WARN, "other", LOG_I("n", i));
        log_printf(&b.log, LOG_INFO, "a sentence");
    }
    for (int i = 0; i < 10; i++)
        log_line(&b.log, LOG_INFO, "ten", LOG_I("n", i));
    assert_true(log_clock() - start < 0.9); /* else this proves nothing */
    read_path(b.path, text, sizeof text);
    assert_int_equal(count(text, "request refused"), 10);
    assert_int_equal(count(text, "session closed"), 50);
    assert_int_equal(count(text, " stderr "), 50);
    assert_int_equal(count(text, " other "), 10);
    assert_int_equal(count(text, " ten "), 10);
    assert_int_equal(count(text, "a sentence"), 50);
    assert_int_equal(count(text, "repeated"), 0);
    assert_true(log_is_busy(&b.log) && log_due(&b.log) > 0 && log_due(&b.log) <= 1);

    while (log_is_busy(&b.log) && log_clock() - start < 10) {
        struct timespec pause = {.tv_nsec = 1000000 + (long)(log_due(&b.log) * 9e8)};

        nanosleep(&pause, NULL);
        (void)log_flush(&b.log); /* without a further line */
    }
    read_path(b.path, text, sizeof text);
    assert_int_equal(count(text, "repeated event=\"request refused\" times=40\n"), 1);
    assert_int_equal(count(text, "repeated event=other times=40\n"), 1);
    assert_int_equal(count(text, "repeated"), 2);
    assert_true(log_due(&b.log) < 0);

    for (int i = 0; i < 12; i++) /* a new second, and an end in the middle of it */
        log_line(&b.log, LOG_INFO, "request refused", LOG_I("n", i));
    log_release(&b.log);
    read_path(b.path, text, sizeof text);
    assert_int_equal(count(text, " request refused "), 20);
    assert_int_equal(count(text, "repeated event=\"request refused\" times=2\n"), 1);
    bench_close(&b);
}

/* More names than there is place for: they are written, all. */
static void many_names_at_once(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
                                        "k", "l", "m", "o", "p", "q", "r", "s", "t", "u"};
    static char text[65536];
    struct bench b;
    (void)state;

    bench_open(&b);
    assert_int_equal(log_open(&b.log, b.path, "", -1), 0);
    for (int i = 0; i < 12; i++) {
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            log_line(&b.log, LOG_INFO, names[k], ONE);
    }
    log_release(&b.log);
    read_path(b.path, text, sizeof text);
    assert_int_equal(count(text, " n=1\n"), 16 * 10 + 4 * 12);
    assert_int_equal(count(text, " times=2\n"), 16);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(journal_lines_have_a_priority),
        cmocka_unit_test(files_are_appended_and_opened_anew),
        cmocka_unit_test(a_full_fifo_does_not_block),
        cmocka_unit_test(syslog_gets_datagrams),
        cmocka_unit_test(syslog_daemons_come_and_go),
        cmocka_unit_test(syslog_losses_are_counted),
        cmocka_unit_test(repeats_are_summed_up),
        cmocka_unit_test(many_names_at_once),
    };

    (void)alarm(120); /* a test that hangs fails */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
