/* SPDX-License-Identifier: MIT */
#include "ctl/ctl_top.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl_http.h"
#include "ctl/ctl_show.h"

#define SCREEN_ON "\033[?1049h\033[?25l"
#define SCREEN_OFF "\033[?25h\033[?1049l"
#define HEAD_LINES 5
#define CONTROL_C 3

/* What was seen of a session, now or the time before. */
struct seen {
    uint64_t id;
    double messages, bytes;
    double message_rate, byte_rate;
    const json_t *row; /* borrowed; NULL in the past */
};

struct seen_list {
    struct seen *items;
    size_t count;
};

struct top {
    const char *address;
    double interval;
    bool is_terminal;
    unsigned short lines, columns; /* 0: no limit */
    struct seen_list before;
    double time_before, cpu_before; /* 0: nothing was seen yet */
    double in_before, out_before;   /* messages of all routes */
};

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- figures ---- */

static int by_id(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

/* The busiest first; among the idle the newest. */
static int by_rate(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;

    if (x->byte_rate < y->byte_rate || x->byte_rate > y->byte_rate)
        return x->byte_rate < y->byte_rate ? 1 : -1;
    return by_id(y, x);
}

static double both(const json_t *row, const char *in, const char *out)
{
    return ctl_show_number(row, in) + ctl_show_number(row, out);
}

/* Takes the sessions down, with what each did since the time before. False without memory. */
static bool take_down(const struct top *t, const json_t *rows, double elapsed,
                      struct seen_list *list)
{
    size_t i;
    const json_t *row;

    list->count = json_array_size(rows);
    list->items = calloc(list->count + 1, sizeof *list->items);
    if (list->items == NULL)
        return false;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        struct seen *s = &list->items[i];
        const struct seen *old;

        s->row = row;
        s->id = (uint64_t)json_integer_value(json_object_get(row, "id"));
        s->messages = both(row, "messages_in", "messages_out");
        s->bytes = both(row, "bytes_in", "bytes_out");
        old = t->before.count == 0 ? NULL
                                   : bsearch(s, t->before.items, t->before.count, sizeof *s, by_id);
        if (elapsed > 0 && old != NULL) {
            s->message_rate = (s->messages - old->messages) / elapsed;
            s->byte_rate = (s->bytes - old->bytes) / elapsed;
        }
    }
    return true;
}

static void remember(struct top *t, struct seen_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        list->items[i].row = NULL;
    qsort(list->items, list->count, sizeof list->items[0], by_id);
    free(t->before.items);
    t->before = *list;
}

static double sum_routes(const json_t *stats, const char *name)
{
    const json_t *rows = json_object_get(stats, "routes"), *row;
    double sum = 0;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)rows, i, row) sum += ctl_show_number(row, name);
    return sum;
}

static double rate(double value, double before, double elapsed)
{
    return elapsed > 0 ? (value - before) / elapsed : 0;
}

/* ---- drawing ---- */

/* One line, no wider than the terminal. */
static void put_line(FILE *f, const struct top *t, const char *line)
{
    int width = ctl_show_width(line);

    if (t->columns > 0 && width > t->columns)
        width = t->columns;
    fputs(t->is_terminal ? "\033[K" : "", f); /* first: behind the last column it would take that */
    ctl_show_text(f, line, width);
    fputc('\n', f);
}

static void put_head(FILE *f, struct top *t, const json_t *stats, double elapsed)
{
    const json_t *process = json_object_get(stats, "process");
    double in = sum_routes(stats, "messages_in"), out = sum_routes(stats, "messages_out");
    double cpu = ctl_show_number(process, "cpu_seconds");
    char line[512], a[CTL_NUMBER_MAX], b[CTL_NUMBER_MAX], c[CTL_NUMBER_MAX], d[CTL_NUMBER_MAX];

    snprintf(line, sizeof line, "wsluice %.40s  pid %.0f  up %s%s",
             ctl_show_string(stats, "version"), ctl_show_number(process, "pid"),
             ctl_show_age(ctl_show_number(stats, "uptime"), a),
             json_is_true(json_object_get(stats, "draining")) ? "  DRAINING" : "");
    put_line(f, t, line);
    snprintf(line, sizeof line, "sessions %.0f of %.0f  connections %.0f  programs %.0f",
             ctl_show_number(stats, "sessions"), ctl_show_number(stats, "max_sessions"),
             ctl_show_number(stats, "connections"), ctl_show_number(stats, "programs"));
    put_line(f, t, line);
    snprintf(line, sizeof line,
             "messages/s in %s out %s  cpu %.1f%%  memory %s  longest turn %s ms",
             ctl_show_size(rate(in, t->in_before, elapsed), a),
             ctl_show_size(rate(out, t->out_before, elapsed), b),
             100 * rate(cpu, t->cpu_before, elapsed),
             ctl_show_size(ctl_show_number(process, "resident_bytes"), c),
             ctl_show_ms(json_object_get(process, "longest_turn_ms"), d));
    put_line(f, t, line);
    put_line(f, t, "");
    t->in_before = in;
    t->out_before = out;
    t->cpu_before = cpu;
}

static void put_session(FILE *f, const struct top *t, const struct seen *s)
{
    const json_t *row = s->row;
    char age[CTL_NUMBER_MAX], messages[CTL_NUMBER_MAX], bytes[CTL_NUMBER_MAX];
    char to_client[CTL_NUMBER_MAX], to_backend[CTL_NUMBER_MAX], rtt[CTL_NUMBER_MAX];
    char *line = NULL;
    size_t size;
    FILE *l = open_memstream(&line, &size);

    if (l == NULL)
        return;
    fprintf(l, "%8llu ", (unsigned long long)s->id);
    ctl_show_text(l, ctl_show_string(row, "client"), 21);
    fprintf(l, " %7s %7s %7s %7s %7s %7s %-7s ", ctl_show_age(ctl_show_number(row, "age"), age),
            ctl_show_size(s->message_rate, messages), ctl_show_size(s->byte_rate, bytes),
            ctl_show_size(ctl_show_number(row, "queued_client"), to_client),
            ctl_show_size(ctl_show_number(row, "queued_backend"), to_backend),
            ctl_show_ms(json_object_get(row, "rtt_ms"), rtt), ctl_show_string(row, "state"));
    ctl_show_text(l, ctl_show_string(row, "path"), 0);
    if (ctl_show_string(row, "address")[0] != '\0') {
        fputs("  ", l);
        ctl_show_text(l, ctl_show_string(row, "address"), 0);
    }
    if (fclose(l) == 0)
        put_line(f, t, line);
    free(line);
}

static void put_sessions(FILE *f, const struct top *t, struct seen_list *list)
{
    size_t room = t->lines > HEAD_LINES + 1 ? (size_t)(t->lines - HEAD_LINES - 1) : list->count;

    put_line(
        f, t,
        "      ID CLIENT                    AGE   MSG/S BYTES/S QUE-CLI QUE-BCK  RTT ms STATE   "
        "PATH");
    qsort(list->items, list->count, sizeof list->items[0], by_rate);
    for (size_t i = 0; i < list->count && i < room; i++)
        put_session(f, t, &list->items[i]);
}

/* ---- asking ---- */

/* The JSON of a page; NULL with error. */
static json_t *ctl_top_ask(const struct top *t, const char *target, char error[CTL_ERROR_MAX])
{
    struct ctl_answer answer;
    json_t *value = NULL;

    if (ctl_http_ask(t->address, "GET", target, &answer, error)) {
        value = json_loadb(answer.body, answer.length, 0, NULL);
        if (value == NULL || answer.status != 200)
            snprintf(error, CTL_ERROR_MAX, "%.120s: it answers %d", t->address, answer.status);
        if (answer.status != 200) {
            json_decref(value);
            value = NULL;
        }
    }
    ctl_http_release(&answer);
    return value;
}

/* One look, onto standard output in one piece. False with error. */
static bool ctl_top_look(struct top *t, char error[CTL_ERROR_MAX])
{
    json_t *stats = ctl_top_ask(t, "/stats", error);
    json_t *sessions = stats != NULL ? ctl_top_ask(t, "/sessions", error) : NULL;
    double time = now(), elapsed = t->time_before > 0 ? time - t->time_before : 0;
    struct seen_list list = {0};
    char *text = NULL;
    size_t size;
    FILE *f = sessions != NULL ? open_memstream(&text, &size) : NULL;
    bool ok = f != NULL && take_down(t, json_object_get(sessions, "sessions"), elapsed, &list);

    if (ok) {
        fputs(t->is_terminal ? "\033[H" : "", f);
        put_head(f, t, stats, elapsed);
        put_sessions(f, t, &list);
        fputs(t->is_terminal ? "\033[J" : "", f);
        remember(t, &list);
        t->time_before = time;
    }
    if (f != NULL && fclose(f) == 0 && ok)
        fwrite(text, 1, size, stdout);
    fflush(stdout);
    free(text);
    json_decref(sessions);
    json_decref(stats);
    return ok;
}

/* ---- the terminal ---- */

static void measure(struct top *t)
{
    struct winsize size;

    if (t->is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        t->lines = size.ws_row;
        t->columns = size.ws_col;
    }
}

/* Waits for the next look. False: it is over. */
static bool await(struct top *t, int signals, double until)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    char key;

    for (;;) {
        double left = until - now();

        if (left <= 0)
            return true;
        if (poll(fds, 2, (int)(left * 1000) + 1) < 0 && errno != EINTR)
            return false;
        if (fds[0].revents != 0 &&
            (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q' || key == CONTROL_C))
            return false;
        if (fds[0].revents != 0) /* any other key: look now */
            return true;
        if (fds[1].revents != 0 && read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
            if (info.ssi_signo != SIGWINCH)
                return false;
            measure(t);
            fputs("\033[2J", stdout);
            return true;
        }
    }
}

static void live(struct top *t, int signals)
{
    char error[CTL_ERROR_MAX];
    double next = now();

    do {
        if (!ctl_top_look(t, error)) { /* it may come back: a restart, say */
            printf("\033[H\033[J%s\ntrying again; q ends\n", error);
            fflush(stdout);
            t->time_before = 0;
        }
        next += t->interval;
        if (next < now())
            next = now() + t->interval;
    } while (await(t, signals, next));
}

int ctl_top_run(const char *address, double interval)
{
    struct top t = {.address = address, .interval = interval};
    struct termios normal, raw;
    char error[CTL_ERROR_MAX];
    sigset_t signals;

    t.is_terminal =
        isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &normal) == 0;
    if (!t.is_terminal) {
        bool ok = ctl_top_look(&t, error);

        if (!ok)
            fprintf(stderr, "wsluice ctl: %s\n", error);
        free(t.before.items);
        return ok ? 0 : 1;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGWINCH);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC);
    raw = normal;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fputs(SCREEN_ON, stdout);
    measure(&t);
    live(&t, fd);
    fputs(SCREEN_OFF, stdout);
    fflush(stdout);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &normal);
    close(fd);
    free(t.before.items);
    return 0;
}
