/* SPDX-License-Identifier: MIT */
#include "backend/exec_stderr.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/utf8.h"

static struct worker *exec_stderr_worker_of(const struct exec_stderr *e)
{
    return e->readable.data;
}

/* Lines of one read that go up together; not used for the log. */
struct batch {
    size_t count;
    struct slice lines[BACKEND_LINES];
};

static void exec_stderr_tell(struct exec_stderr *e, struct batch *b)
{
    if (b->count > 0)
        e->backend->events->lines(e->backend->owner, b->lines, b->count);
    b->count = 0;
}

static void put_piece(struct exec_stderr *e, struct batch *b, const uint8_t *p, size_t n)
{
    struct slice piece = slice_of((const char *)p, n);

    if (e->to_log) {
        log_line(&exec_stderr_worker_of(e)->log, LOG_INFO, "stderr", LOG_I("id", e->session),
                 LOG_I("pid", e->pid), LOG_S("text", piece));
        return;
    }
    if (b->count == BACKEND_LINES)
        exec_stderr_tell(e, b);
    b->lines[b->count++] = piece;
}

/* All of e->line but its last `rest` bytes. */
static void flush_line(struct exec_stderr *e, struct batch *b, size_t rest)
{
    size_t n = buf_len(&e->line) - rest;

    if (n == 0)
        return;
    put_piece(e, b, buf_data(&e->line), n);
    exec_stderr_tell(e, b); /* while the bytes are there */
    buf_consume(&e->line, n);
}

static void exec_stderr_take(struct exec_stderr *e, const uint8_t *p, size_t n)
{
    struct batch b;

    b.count = 0;
    while (n > 0) {
        const uint8_t *newline = memchr(p, '\n', n);
        size_t have = buf_len(&e->line);
        size_t len = newline != NULL ? (size_t)(newline - p) : n;
        bool too_long = have + len > BACKEND_STDERR_PIECE;
        bool whole = newline != NULL && !too_long;

        if (too_long)
            len = BACKEND_STDERR_PIECE - have;
        if (have == 0 && (whole || too_long)) {
            len -= too_long ? utf8_tail(p, len) : 0;
            put_piece(e, &b, p, len);
        } else if (buf_append(&e->line, p, len) < 0 || whole) {
            flush_line(e, &b, 0);
        } else if (too_long) { /* cut between characters */
            flush_line(e, &b, utf8_tail(buf_data(&e->line), buf_len(&e->line)));
        }
        p += len + whole;
        n -= len + whole;
    }
    exec_stderr_tell(e, &b);
}

/* The unterminated rest. */
static void take_tail(struct exec_stderr *e)
{
    struct batch b;

    b.count = 0;
    flush_line(e, &b, 0);
}

static void close_pipe(struct exec_stderr *e)
{
    ev_io_stop(exec_stderr_worker_of(e)->loop, &e->readable);
    close(e->readable.fd);
    e->readable.fd = -1;
}

/* Returns how many bytes came; 0 when there is nothing more now, or ever. */
static size_t read_once(struct exec_stderr *e)
{
    uint8_t *p = exec_stderr_worker_of(e)->rx + WORKER_HEADROOM;
    ssize_t n = e->readable.fd < 0 ? 0 : read(e->readable.fd, p, WORKER_RX_SIZE);

    if (n > 0) {
        exec_stderr_take(e, p, (size_t)n);
        return (size_t)n;
    }
    if (n == 0 && e->readable.fd >= 0) {
        take_tail(e);
        close_pipe(e);
    }
    return 0;
}

static void exec_stderr_on_readable(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct exec_stderr *e =
        (struct exec_stderr *)((char *)watcher - offsetof(struct exec_stderr, readable));
    (void)loop;

    if (!(revents & EV_ERROR)) {
        (void)read_once(e);
        return;
    }
    /* epoll refused it, so nothing more would come: better a program that learns of it when it
     * writes than one that stops for good once the pipe is full */
    worker_no_memory(exec_stderr_worker_of(e), "what a program writes to its standard error");
    exec_stderr_drain(e);
    if (e->readable.fd >= 0)
        close_pipe(e);
}

void exec_stderr_init(struct exec_stderr *e)
{
    ev_io_init(&e->readable, exec_stderr_on_readable, -1, EV_READ);
}

void exec_stderr_open(struct exec_stderr *e, struct worker *w, int fd, uint64_t session, pid_t pid,
                      const struct backend *to)
{
    e->to_log = to == NULL;
    if (e->to_log)
        e->session = session;
    else
        e->backend = to;
    e->pid = pid;
    ev_io_set(&e->readable, fd, EV_READ);
    e->readable.data = w;
    if (e->to_log)
        ev_io_start(w->loop, &e->readable);
}

void exec_stderr_pause(struct exec_stderr *e, bool paused)
{
    if (e->readable.fd < 0 || e->to_log)
        return;
    if (paused)
        ev_io_stop(exec_stderr_worker_of(e)->loop, &e->readable);
    else
        ev_io_start(exec_stderr_worker_of(e)->loop, &e->readable);
}

void exec_stderr_drain(struct exec_stderr *e)
{
    int left = 0;
    size_t n;

    if (e->readable.fd < 0)
        return;
    (void)ioctl(e->readable.fd, FIONREAD, &left);
    for (; left > 0 && (n = read_once(e)) > 0; left -= (int)n)
        ;
    take_tail(e);
}

void exec_stderr_close(struct exec_stderr *e)
{
    if (e->readable.fd >= 0) {
        if (e->to_log)
            take_tail(e);
        close_pipe(e);
    }
    buf_release(&e->line);
}
