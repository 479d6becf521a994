/* SPDX-License-Identifier: MIT */
#include "base/log_out.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log_syslog.h"

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

void log_out_dropped(struct log *l, uint64_t lines)
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
    log_out_dropped(l, lines);
    ring_free(l);
}

/* The first line of the ring, newline included. It may lie around the end. */
static size_t ring_line(const struct log *l, struct iovec v[2])
{
    size_t first = l->len < LOG_RING_SIZE - l->head ? l->len : LOG_RING_SIZE - l->head;
    const char *end = memchr(l->ring + l->head, '\n', first);

    v[0] = (struct iovec){l->ring + l->head, first};
    v[1] = (struct iovec){l->ring, 0};
    if (end != NULL) {
        v[0].iov_len = (size_t)(end + 1 - (l->ring + l->head));
    } else {
        end = memchr(l->ring, '\n', l->len - first);
        v[1].iov_len = end != NULL ? (size_t)(end + 1 - l->ring) : l->len - first;
    }
    return v[0].iov_len + v[1].iov_len;
}

static void ring_send(struct log *l)
{
    struct iovec v[2];

    while (l->len > 0) {
        size_t n = ring_line(l, v);

        if (!log_syslog_send(l, v))
            return;
        l->head = (l->head + n) % LOG_RING_SIZE;
        l->len -= n;
    }
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

bool log_out_put(struct log *l, const char *p, size_t n)
{
    struct iovec v[2] = {{(void *)(uintptr_t)p, n}, {NULL, 0}}; /* only read from */
    size_t done = 0;

    if (n > LOG_RING_SIZE)
        return false;
    if (l->target == LOG_TO_SYSLOG)
        return (l->len == 0 && log_syslog_send(l, v)) || ring_put(l, p, n);
    if (l->len == 0 && !write_some(l, p, n, &done))
        return false;
    return done == n || ring_put(l, p + done, n - done);
}

void log_out_flush(struct log *l)
{
    if (l->len > 0 && l->target == LOG_TO_SYSLOG)
        ring_send(l);
    else if (l->len > 0)
        ring_write(l);
}

void log_out_release(struct log *l)
{
    ring_free(l);
}
