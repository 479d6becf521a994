/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void interest(struct load *l, struct load_conn *c, bool out)
{
    struct epoll_event ev = {.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0u),
                             .data.u32 = c->id};

    if (c->want_out == out)
        return;
    c->want_out = out;
    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &ev) < 0)
        load_fail(l, "epoll_ctl: %s", strerror(errno));
}

void load_conn_drop(struct load *l, struct load_conn *c)
{
    if (c->fd < 0)
        return;
    load_tls_drop(c);
    (void)close(c->fd);
    c->fd = -1;
    l->alive--;
    if (c->state == LOAD_OPEN)
        l->open--;
    if (c->state == LOAD_CONNECTING || c->state == LOAD_TLS || c->state == LOAD_HANDSHAKE)
        l->opening--;
    if (l->opt.mode == LOAD_STORM)
        l->inflight--;
    c->state = LOAD_UNUSED;
    free(c->head);
    free(c->tail);
    c->head = NULL;
    c->tail = NULL;
    c->tail_len = 0;
    c->tail_off = 0;
}

/* In a storm the program's end may come with its last bytes; in a flood, when all were counted. */
static bool had_all(const struct load *l, const struct load_conn *c)
{
    return (l->opt.mode == LOAD_STORM && c->done > c->base) ||
           (l->opt.mode == LOAD_FLOOD && l->quota == 0);
}

void load_conn_over(struct load *l, struct load_conn *c, const char *what)
{
    if (!l->closing && c->state != LOAD_CLOSING && !had_all(l, c))
        load_fail(l, "connection %u: %s %s", c->id, what,
                  c->state == LOAD_OPEN ? "in the middle of the work" : "before it was open");
    load_conn_drop(l, c);
}

static ssize_t conn_send(struct load *l, struct load_conn *c, const uint8_t *p, size_t n)
{
    return c->ssl != NULL ? load_tls_send(l, c, p, n) : send(c->fd, p, n, MSG_NOSIGNAL);
}

static ssize_t conn_recv(struct load *l, struct load_conn *c)
{
    return c->ssl != NULL ? load_tls_recv(l, c, l->rx, LOAD_BUFFER)
                          : recv(c->fd, l->rx, LOAD_BUFFER, 0);
}

/* Keeps what the socket would not take. */
static void keep(struct load *l, struct load_conn *c, const uint8_t *p, size_t n)
{
    uint8_t *grown;

    if (c->tail_off > 0) {
        memmove(c->tail, c->tail + c->tail_off, c->tail_len - c->tail_off);
        c->tail_len -= c->tail_off;
        c->tail_off = 0;
    }
    grown = realloc(c->tail, c->tail_len + n);
    if (grown == NULL) {
        load_fail(l, "no memory");
        return;
    }
    c->tail = grown;
    memcpy(c->tail + c->tail_len, p, n);
    c->tail_len += n;
    interest(l, c, true);
}

void load_conn_put(struct load *l, struct load_conn *c, const uint8_t *p, size_t n)
{
    ssize_t sent = 0;

    if (c->tail_len == 0) {
        sent = conn_send(l, c, p, n);
        if (sent < 0 && errno != EAGAIN)
            return; /* broken: the read that follows tells */
        if (sent < 0)
            sent = 0;
    }
    if ((size_t)sent < n)
        keep(l, c, p + sent, n - (size_t)sent);
}

static void flush(struct load *l, struct load_conn *c)
{
    ssize_t n = conn_send(l, c, c->tail + c->tail_off, c->tail_len - c->tail_off);

    if (n < 0)
        return; /* EAGAIN, or broken: the read tells */
    c->tail_off += (size_t)n;
    if (c->tail_off < c->tail_len)
        return;
    free(c->tail);
    c->tail = NULL;
    c->tail_off = 0;
    c->tail_len = 0;
    interest(l, c, false);
}

static uint64_t may_start(const struct load *l, const struct load_conn *c)
{
    const struct load_options *o = &l->opt;
    uint64_t room;

    if (c->state != LOAD_OPEN || o->mode == LOAD_FLOOD)
        return 0;
    if (o->mode == LOAD_STORM)
        return o->expect == NULL && c->sent == c->done ? 1 : 0;
    if (!l->sending)
        return 0;
    room = o->rate > 0 ? c->due - c->sent : o->depth - (c->sent - c->done);
    return room < l->quota ? room : l->quota;
}

static size_t put_message(struct load *l, struct load_conn *c, uint8_t *out, uint64_t now)
{
    const uint8_t *p = pattern_message(&l->out, c->id, c->sent);

    if (l->opt.rate <= 0)
        c->stamps[c->sent & l->ring] = now;
    c->sent++;
    if (l->opt.mode != LOAD_STORM) {
        l->inflight++;
        l->quota--;
    }
    if (!l->opt.tcp)
        return load_ws_frame(l, out, l->opt.text ? 1 : 2, p, l->out.size);
    memcpy(out, p, l->out.size);
    return l->out.size;
}

void load_conn_pump(struct load *l, struct load_conn *c)
{
    while (c->fd >= 0 && c->tail_len == 0 && l->error[0] == '\0') {
        uint64_t n = may_start(l, c);
        uint64_t now = load_now();
        size_t used = 0;

        if (n == 0)
            return;
        for (; n > 0 && used + l->frame_max <= l->tx_cap; n--)
            used += put_message(l, c, l->tx + used, now);
        load_conn_put(l, c, l->tx, used);
    }
}

static void message_done(struct load *l, struct load_conn *c)
{
    bool storm = l->opt.mode == LOAD_STORM;

    c->off = 0;
    l->messages++;
    if (storm)
        load_hist_add(&l->latency, l->now - c->opened);
    else if (l->opt.mode != LOAD_FLOOD)
        load_hist_add(&l->latency, l->now - c->stamps[c->done & l->ring]);
    c->done++;
    if (storm)
        return;
    if (l->opt.mode == LOAD_FLOOD)
        l->quota -= l->quota > 0;
    else
        l->inflight--;
}

/* What a program says first, in a storm. */
static void check_expect(struct load *l, struct load_conn *c, const uint8_t *p, size_t n)
{
    size_t len = strlen(l->opt.expect);
    size_t take = n < len - c->off ? n : len - c->off;

    if (memcmp(p, l->opt.expect + c->off, take) != 0)
        load_fail(l, "connection %u: the program's first bytes are not `%s`", c->id, l->opt.expect);
    c->off += take;
    l->bytes += take;
    if (c->off == len)
        message_done(l, c);
}

static void check_message(struct load *l, struct load_conn *c, const uint8_t *p, size_t n)
{
    bool flood = l->opt.mode == LOAD_FLOOD;

    while (n > 0 && l->error[0] == '\0') {
        const uint8_t *want = pattern_message(&l->want, flood ? 0 : c->id, c->done);
        size_t take = l->want.size - c->off;

        if (take > n)
            take = n;
        if (!flood && c->done == c->sent)
            load_fail(l, "connection %u: more came back than was sent", c->id);
        else if (memcmp(p, want + c->off, take) != 0)
            load_fail(l, "connection %u: wrong bytes in message %llu, at or behind byte %zu", c->id,
                      (unsigned long long)c->done, c->off);
        else if ((c->off += take) == l->want.size)
            message_done(l, c);
        l->bytes += take;
        p += take;
        n -= take;
    }
}

void load_conn_check(struct load *l, struct load_conn *c, const uint8_t *p, size_t n)
{
    if (c->state != LOAD_OPEN || l->error[0] != '\0')
        return; /* closing: what is still on its way is of no interest */
    if (l->opt.expect != NULL)
        check_expect(l, c, p, n);
    else
        check_message(l, c, p, n);
}

void load_conn_finish(struct load *l, struct load_conn *c)
{
    static const uint8_t normal[] = {1000 >> 8, 1000 & 0xff};
    uint8_t frame[8];

    if (c->state != LOAD_OPEN || l->opt.tcp) {
        load_conn_drop(l, c);
        return;
    }
    l->open--;
    c->state = LOAD_CLOSING;
    load_conn_put(l, c, frame, load_ws_frame(l, frame, 8, normal, sizeof normal));
}

static void is_open(struct load *l, struct load_conn *c)
{
    l->opening--;
    l->open++;
    c->state = LOAD_OPEN;
    load_hist_add(&l->connect, load_now() - c->opened);
    load_conn_pump(l, c);
}

static void connected(struct load *l, struct load_conn *c)
{
    char request[1024];
    size_t n;

    if (l->opt.tcp) {
        is_open(l, c);
        return;
    }
    c->state = LOAD_HANDSHAKE;
    c->head = malloc(LOAD_HEAD_MAX + 1);
    n = load_ws_request(l, request, sizeof request);
    if (c->head == NULL || n == 0)
        load_fail(l, "no room for the request");
    else
        load_conn_put(l, c, (const uint8_t *)request, n);
}

static void read_head(struct load *l, struct load_conn *c, uint8_t *p, size_t n)
{
    size_t before = c->head_len;
    size_t take = n < LOAD_HEAD_MAX - before ? n : LOAD_HEAD_MAX - before;
    char *end;
    size_t used;

    memcpy(c->head + before, p, take);
    c->head_len += take;
    c->head[c->head_len] = '\0';
    end = strstr(c->head, "\r\n\r\n");
    if (end == NULL) {
        if (c->head_len == LOAD_HEAD_MAX)
            load_fail(l, "the response head is too long");
        return;
    }
    used = (size_t)(end - c->head) + 4 - before;
    if (!load_ws_response(l, c->head))
        return;
    free(c->head);
    c->head = NULL;
    is_open(l, c);
    if (used < n)
        load_ws_feed(l, c, p + used, n - used);
}

/* The end, clean or not. One that answers ours counts if the TLS handshake was all we wanted. */
static void ended(struct load *l, struct load_conn *c, ssize_t n)
{
    if (l->opt.handshake && c->state == LOAD_CLOSING && n == 0) {
        l->messages++;
        load_hist_add(&l->latency, load_now() - c->opened);
    } else if (l->opt.handshake) {
        load_fail(l, "connection %u: TLS handshake: %s", c->id,
                  n == 0 ? "the server hung up" : strerror(errno));
    }
    load_conn_over(l, c, n == 0 ? "the server hung up" : strerror(errno));
}

/* Reads once; false: nothing more is there. */
static bool read_once(struct load *l, struct load_conn *c)
{
    ssize_t n = conn_recv(l, c);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        ended(l, c, n);
        return false;
    }
    l->now = load_now();
    if (c->state == LOAD_HANDSHAKE)
        read_head(l, c, l->rx, (size_t)n);
    else if (l->opt.tcp)
        load_conn_check(l, c, l->rx, (size_t)n);
    else
        load_ws_feed(l, c, l->rx, (size_t)n);
    if (l->opt.mode == LOAD_STORM && c->state == LOAD_OPEN && c->done > c->base)
        load_conn_finish(l, c);
    else if (c->state == LOAD_OPEN)
        load_conn_pump(l, c);
    return c->ssl != NULL && load_tls_pending(c);
}

static void readable(struct load *l, struct load_conn *c)
{
    while (l->error[0] == '\0' && read_once(l, c))
        ;
}

/* The server's answer to our end proves that it took our part of the handshake. */
static void only_shaken(struct load *l, struct load_conn *c)
{
    l->opening--;
    c->state = LOAD_CLOSING;
    load_tls_close(c);
    (void)shutdown(c->fd, SHUT_WR); /* broken: the read tells */
}

static void shake(struct load *l, struct load_conn *c)
{
    ssize_t r = load_tls_shake(l, c);

    if (r < 0 && errno == EAGAIN)
        return; /* a hello or a Finished always fits into an empty socket */
    if (r <= 0) {
        ended(l, c, r);
        return;
    }
    if (l->opt.handshake)
        only_shaken(l, c);
    else
        connected(l, c);
    if (c->fd >= 0 && load_tls_pending(c))
        readable(l, c);
}

void load_conn_event(struct load *l, struct load_conn *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (c->state == LOAD_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
            load_fail(l, "connect: %s", strerror(error));
            return;
        }
        interest(l, c, false);
        if (!l->opt.tls) {
            connected(l, c);
        } else if (load_tls_start(l, c)) {
            c->state = LOAD_TLS;
            shake(l, c);
        }
        return;
    }
    if (c->state == LOAD_TLS) {
        shake(l, c);
        return;
    }
    if (c->tail_len > 0 && (events & EPOLLOUT)) {
        flush(l, c);
        load_conn_pump(l, c);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        readable(l, c);
}

/* Many connections from one address run out of ports, or into a server's limit per address. */
static bool bind_source(const struct load *l, const struct load_conn *c)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int on = 1;

    if (l->opt.sources == 0 || l->opt.addr.ss_family != AF_INET)
        return true;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + c->id % l->opt.sources);
    return setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
           bind(c->fd, (struct sockaddr *)&from, sizeof from) == 0;
}

bool load_conn_open(struct load *l, struct load_conn *c)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.u32 = c->id};
    int on = 1;

    c->fd = socket(l->opt.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        load_fail(l, "socket: %s", strerror(errno));
        return false;
    }
    l->alive++;
    l->opening++;
    if (l->opt.mode == LOAD_STORM)
        l->inflight++;
    c->state = LOAD_CONNECTING;
    c->want_out = true;
    c->head_len = 0;
    c->off = 0;
    c->base = c->done;
    c->ws = (struct load_ws){0};
    c->opened = load_now();
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on a unix socket */
    if (bind_source(l, c) && epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) == 0 &&
        (connect(c->fd, (struct sockaddr *)&l->opt.addr, l->opt.addr_len) == 0 ||
         errno == EINPROGRESS))
        return true;
    load_fail(l, "connect: %s", strerror(errno));
    return false;
}
