/* SPDX-License-Identifier: MIT */
#include "auth/hook_http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "core/grant.h"
#include "io/connect.h"
#include "io/io.h"
#include "proto/secret.h"

#define HOST_MAX_LEN 253
#define ANSWER_MAX (16U * 1024U) /* bytes of a head */

struct hook_http {
    struct worker *worker;
    struct auth_place place;
    double timeout;
    uint16_t port;
    struct connect *connecting;
    struct io io;
    bool has_io;
    struct buf query, answer;
    char host[HOST_MAX_LEN + 1];
    ev_timer timer;
    void (*done)(void *owner, int status, struct slice user);
    void *owner;
    struct reap reap;
};

const char *hook_url_parse(struct hook_url *u, const char *text)
{
    static const char scheme[] = "http://";
    struct slice rest, authority;
    size_t n;

    if (strncmp(text, scheme, sizeof scheme - 1) != 0)
        return "an address is http://HOST:PORT/PATH";
    text += sizeof scheme - 1;
    n = strcspn(text, "/");
    authority = slice_of(text, n);
    rest = slice_from(text + n);
    u->path = rest.len > 0 ? rest : slice_from("/");
    if (addr_split(authority, &u->host, &u->port) != NULL || u->host.len == 0 || u->port == 0 ||
        u->host.len > HOST_MAX_LEN)
        return "an address is http://HOST:PORT/PATH";
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~')
            return "an address has no blanks";
    }
    return NULL;
}

static void hook_http_release(struct reap *r)
{
    free((char *)r - offsetof(struct hook_http, reap));
}

static void hook_http_forget(struct buf *b)
{
    secret_wipe(slice_of((const char *)buf_data(b), buf_len(b)));
    buf_release(b);
}

void hook_http_cancel(struct hook_http *h)
{
    if (h->connecting != NULL)
        connect_cancel(h->connecting);
    h->connecting = NULL;
    if (h->has_io)
        io_close(&h->io);
    h->has_io = false;
    ev_timer_stop(h->worker->loop, &h->timer);
    hook_http_forget(&h->query);
    buf_release(&h->answer);
    h->reap.release = hook_http_release;
    worker_reap(h->worker, &h->reap);
    auth_queue_leave(&h->place);
}

static void hook_http_finish(struct hook_http *h, int status, struct slice user)
{
    char *name = slice_dup(user);
    void (*done)(void *, int, struct slice) = h->done;
    void *owner = h->owner;

    hook_http_cancel(h);
    done(owner, name != NULL ? status : 0, slice_from(name));
    free(name);
}

/* The value of X-User, if there is one. */
static struct slice hook_http_find_user(struct slice head)
{
    struct slice line, value, name;

    while (head.p != NULL) {
        line = slice_cut(head, '\n', &head);
        name = slice_cut(line, ':', &value);
        if (value.p == NULL || !slice_eq_nocase(name, slice_from("X-User")))
            continue;
        if (value.len > 0 && value.p[value.len - 1] == '\r')
            value.len--;
        return slice_trim(value);
    }
    return slice_of("", 0);
}

static int read_status(struct slice head)
{
    const char *p = head.p + 8; /* HTTP/1.x */

    if (head.len < 12 || !slice_starts(head, "HTTP/1.") || p[0] != ' ')
        return 0;
    for (int i = 1; i <= 3; i++) {
        if (p[i] < '0' || p[i] > '9')
            return 0;
    }
    return (p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0');
}

static void hook_http_look(struct hook_http *h, bool is_all)
{
    const char *text = (const char *)buf_data(&h->answer), *end;
    size_t len = buf_len(&h->answer);

    end = len > 0 ? memmem(text, len, "\r\n\r\n", 4) : NULL;
    if (end != NULL) {
        struct slice head = slice_of(text, (size_t)(end - text));
        struct slice user = hook_http_find_user(head);

        hook_http_finish(h, auth_grant_is_name(user) ? read_status(head) : 0, user);
    } else if (is_all || len > ANSWER_MAX) {
        hook_http_finish(h, 0, slice_of("", 0));
    }
}

static struct hook_http *hook_http_of_io(struct io *io)
{
    return (struct hook_http *)((char *)io - offsetof(struct hook_http, io));
}

static void hook_http_on_data(struct io *io, uint8_t *p, size_t n)
{
    struct hook_http *h = hook_http_of_io(io);
    bool failed = buf_append(&h->answer, p, n) < 0;

    hook_http_look(h, failed);
}

static void hook_http_on_eof(struct io *io)
{
    hook_http_look(hook_http_of_io(io), true);
}

static void hook_http_on_drained(struct io *io)
{
    (void)io;
}

static void hook_http_on_broken(struct io *io, int err, size_t lost)
{
    (void)lost;
    (void)io;
    (void)err;
}

static void hook_http_on_closed(struct io *io, int err)
{
    (void)err;
    hook_http_look(hook_http_of_io(io), true);
}

static const struct io_events events = {hook_http_on_data,    hook_http_on_eof,
                                        hook_http_on_drained, hook_http_on_broken,
                                        hook_http_on_closed,  NULL};

static void hook_http_on_connected(void *owner, int fd, const union addr *addr)
{
    struct hook_http *h = owner;
    (void)addr;

    h->connecting = NULL;
    h->has_io = true;
    io_open(&h->io, h->worker, &io_raw_socket, fd, &events);
    (void)io_write(&h->io, buf_data(&h->query), buf_len(&h->query));
    hook_http_forget(&h->query);
    io_read_start(&h->io);
}

static void hook_http_on_failed(void *owner, enum connect_failure why, const char *what)
{
    struct hook_http *h = owner;
    (void)why;

    h->connecting = NULL;
    log_line(&h->worker->log, LOG_WARN, "cannot reach the auth-hook", LOG_C("reason", what));
    hook_http_finish(h, 0, slice_of("", 0));
}

static const struct connect_events connect_events = {hook_http_on_connected, hook_http_on_failed};

static void hook_http_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;

    hook_http_finish(timer->data, 0, slice_of("", 0));
}

/* ---- the question */

static bool hook_http_add(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool hook_http_add(struct buf *b, const char *fmt, ...)
{
    char *line;
    va_list args;
    int n;

    va_start(args, fmt);
    n = vasprintf(&line, fmt, args);
    va_end(args);
    if (n < 0)
        return false;
    bool ok = buf_append(b, line, (size_t)n) == 0;
    secret_wipe(slice_of(line, (size_t)n));
    free(line);
    return ok;
}

static bool add_field(struct buf *b, const char *name, struct slice value)
{
    return value.p == NULL || (hook_http_add(b, "%s: ", name) &&
                               buf_append(b, value.p, value.len) == 0 && hook_http_add(b, "\r\n"));
}

static bool make_query(struct buf *b, const struct hook_url *u, const struct request *r)
{
    static const char *const passed[] = {"Authorization", "Cookie", "Origin", "User-Agent"};
    const struct http_head *h = r->head;
    bool v6 = memchr(u->host.p, ':', u->host.len) != NULL;
    char client[ADDR_TEXT_MAX];
    bool ok = hook_http_add(b, "GET %.*s HTTP/1.1\r\nHost: %s%.*s%s:%u\r\nConnection: close\r\n",
                            (int)u->path.len, u->path.p, v6 ? "[" : "", (int)u->host.len, u->host.p,
                            v6 ? "]" : "", u->port) &&
              add_field(b, "X-Original-Method", h->method) &&
              add_field(b, "X-Original-URI", r->target) &&
              add_field(b, "X-Forwarded-Host", r->host) &&
              hook_http_add(b, "X-Forwarded-Proto: %s\r\nX-Forwarded-For: %s\r\n",
                            r->secure ? "https" : "http", addr_format_host(&r->client, client));

    for (size_t i = 0; ok && i < h->count; i++) {
        for (size_t k = 0; ok && k < sizeof passed / sizeof passed[0]; k++) {
            if (slice_eq_nocase(h->fields[i].name, slice_from(passed[k])))
                ok = add_field(b, passed[k], h->fields[i].value);
        }
    }
    return ok && hook_http_add(b, "\r\n");
}

static struct hook_http *hook_http_of_place(struct auth_place *p)
{
    return (struct hook_http *)((char *)p - offsetof(struct hook_http, place));
}

static void hook_http_on_refused(struct auth_place *p)
{
    hook_http_finish(hook_http_of_place(p), HOOK_HTTP_NO_PLACE, slice_of("", 0));
}

static void hook_http_run(struct auth_place *p)
{
    struct hook_http *h = hook_http_of_place(p);
    const struct connect_spec spec = {.host = h->host, .port = h->port, .timeout = h->timeout};

    h->connecting = connect_start(h->worker, &spec, &connect_events, h);
    ev_timer_set(&h->timer, h->connecting != NULL ? h->timeout : 0, 0);
    ev_timer_start(h->worker->loop, &h->timer);
}

struct hook_http *hook_http_start(struct auth_queue *q, const struct hook_url *url,
                                  const struct request *r, double timeout,
                                  void (*done)(void *owner, int status, struct slice user),
                                  void *owner)
{
    struct hook_http *h = calloc(1, sizeof *h);

    if (h == NULL)
        return NULL;
    h->worker = auth_queue_worker(q);
    h->done = done;
    h->owner = owner;
    h->timeout = timeout;
    h->port = url->port;
    memcpy(h->host, url->host.p, url->host.len);
    ev_timer_init(&h->timer, hook_http_on_timer, 0, 0);
    h->timer.data = h;
    if (make_query(&h->query, url, r) &&
        auth_queue_enter(q, &h->place, &r->client, hook_http_run, hook_http_on_refused))
        return h;
    hook_http_forget(&h->query);
    free(h);
    return NULL;
}
