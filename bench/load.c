/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000u
#define OPENING_MAX 64 /* connections being opened at once, so that no listen queue overflows */
#define EVENTS 256
#define OPEN_LOOP_RING 4096 /* messages on their way on one connection in the open loop */

uint64_t load_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

void load_fail(struct load *l, const char *format, ...)
{
    va_list ap;

    if (l->error[0] != '\0')
        return;
    va_start(ap, format);
    (void)vsnprintf(l->error, sizeof l->error, format, ap); /* cut if too long */
    va_end(ap);
}

/* When message number n of the open loop is due. */
static uint64_t due_at(const struct load *l, uint64_t n)
{
    return l->start + (uint64_t)((double)n / l->opt.rate * SECOND);
}

/*
 * Open loop: a message's clock starts when it was due, whether or not it could be sent then, so
 * that a server that stalls does not hide the wait of those that would have come meanwhile.
 */
static void schedule(struct load *l)
{
    uint64_t now = load_now();

    while (l->sending && due_at(l, l->slot) <= now) {
        struct load_conn *c = &l->conns[l->slot % l->opt.conns];

        if (c->due - c->done > l->ring)
            return; /* the ring is full: goes on, with the old clock, when something came back */
        c->stamps[c->due & l->ring] = due_at(l, l->slot);
        c->due++;
        l->slot++;
        load_conn_pump(l, c);
    }
}

/* Opens connections in free slots, from *next on, a few at a time. */
static void open_some(struct load *l, uint32_t *next)
{
    for (; *next < l->opt.conns && l->opening < OPENING_MAX; (*next)++) {
        if (l->conns[*next].fd < 0 && !load_conn_open(l, &l->conns[*next]))
            return;
    }
}

static void refill_storm(struct load *l)
{
    for (uint32_t i = 0; l->sending && l->quota > 0 && i < l->opt.conns; i++) {
        if (l->conns[i].fd >= 0)
            continue;
        l->quota--;
        if (!load_conn_open(l, &l->conns[i]))
            return;
    }
}

/* Waits for events, not longer than until, and serves them. */
static void turn(struct load *l, uint64_t until)
{
    struct epoll_event events[EVENTS];
    uint64_t now = load_now();
    struct timespec wait;
    int n;

    if (l->opt.rate > 0 && l->sending && due_at(l, l->slot) < until)
        until = due_at(l, l->slot);
    until = until > now ? until - now : 0;
    wait = (struct timespec){.tv_sec = (time_t)(until / SECOND), .tv_nsec = (long)(until % SECOND)};
    n = epoll_pwait2(l->epoll, events, EVENTS, &wait, NULL);
    if (n < 0 && errno != EINTR)
        load_fail(l, "epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < n; i++)
        load_conn_event(l, &l->conns[events[i].data.u32], events[i].events);
    if (l->opt.mode == LOAD_STORM)
        refill_storm(l);
    if (l->opt.rate > 0)
        schedule(l);
}

static void open_all(struct load *l)
{
    uint64_t deadline = load_now() + 30ull * SECOND;
    uint32_t next = 0;

    while (l->error[0] == '\0' && l->open < l->opt.conns) {
        open_some(l, &next);
        turn(l, deadline);
        if (load_now() >= deadline)
            load_fail(l, "only %u of %u connections opened in 30 s", l->open, l->opt.conns);
    }
}

/* Everything begun must end: what was sent comes back, or this run is void. */
static void drain(struct load *l)
{
    uint64_t deadline = load_now() + 10ull * SECOND;

    while (l->error[0] == '\0' && l->inflight > 0 && load_now() < deadline)
        turn(l, deadline);
    if (l->inflight > 0)
        load_fail(l, "%llu %s missing after 10 s", (unsigned long long)l->inflight,
                  l->opt.mode == LOAD_STORM ? "ends of connections" : "messages");
}

/* Works for so long, or until quota messages (storm: connections) were begun and are over. Returns
 * the seconds. */
static double work(struct load *l, double seconds, uint64_t quota)
{
    uint64_t end;

    if (l->opt.mode != LOAD_FLOOD)
        l->quota = quota;
    l->sending = true;
    l->slot = 0;
    l->start = load_now();
    end = l->start + (uint64_t)(seconds * SECOND);
    if (l->opt.mode == LOAD_STORM)
        refill_storm(l);
    for (uint32_t i = 0; l->opt.mode != LOAD_STORM && i < l->opt.conns; i++)
        load_conn_pump(l, &l->conns[i]);
    while (l->error[0] == '\0' && load_now() < end && (l->quota > 0 || l->inflight > 0))
        turn(l, end);
    l->sending = false;
    drain(l);
    return (double)(load_now() - l->start) / SECOND;
}

/* Sits there until the time is over; the sessions must survive it. */
static double hold(struct load *l)
{
    uint64_t start = load_now();
    uint64_t end = start + (uint64_t)(l->opt.seconds * SECOND);

    while (l->error[0] == '\0' && load_now() < end)
        turn(l, end);
    return (double)(load_now() - start) / SECOND;
}

/* A flood with a count goes by all that came since the connection: the first may come with the 101.
 */
static void clear_counts(struct load *l)
{
    if (l->opt.mode == LOAD_FLOOD && l->opt.count > 0)
        return;
    l->messages = 0;
    l->bytes = 0;
    l->pings = 0;
    load_hist_clear(&l->latency);
    if (l->opt.mode == LOAD_STORM)
        load_hist_clear(&l->connect);
}

static void cpu(double out[2])
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u); /* cannot fail */
    out[0] = (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6;
    out[1] = (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
}

/*
 * Tells the one who started us that the window begins or ends, and waits for a line: it reads the
 * server's CPU time now, and we leave the server alone meanwhile.
 */
static void sync_with_runner(struct load *l, const char *event)
{
    char line[16];

    if (!l->opt.sync || l->error[0] != '\0')
        return;
    load_report_event(event);
    if (fgets(line, sizeof line, stdin) == NULL)
        load_fail(l, "nobody answered the event `%s`", event);
}

static void run(struct load *l)
{
    const struct load_options *o = &l->opt;
    double before[2];
    double after[2];
    double seconds;

    l->quota = o->count > 0 ? o->count : UINT64_MAX;
    if (o->mode != LOAD_STORM)
        open_all(l);
    if (l->error[0] != '\0') {
        load_report_result(l, 0, 0, 0);
        return;
    }
    if (o->mode == LOAD_IDLE && o->touch)
        (void)work(l, 10, o->conns); /* seconds are of no interest here and below */
    else if (o->mode != LOAD_IDLE && o->warmup > 0)
        (void)work(l, o->warmup, UINT64_MAX);
    clear_counts(l);
    sync_with_runner(l, "start");
    cpu(before);
    seconds =
        o->mode == LOAD_IDLE ? hold(l) : work(l, o->seconds, o->count ? o->count : UINT64_MAX);
    cpu(after);
    if (o->count > 0 && o->mode != LOAD_IDLE && l->messages < o->count)
        load_fail(l, "%llu of %llu messages in time", (unsigned long long)l->messages,
                  (unsigned long long)o->count);
    sync_with_runner(l, "end");
    load_report_result(l, seconds, after[0] - before[0], after[1] - before[1]);
}

static void close_all(struct load *l)
{
    uint64_t deadline = load_now() + 3ull * SECOND;

    l->closing = true;
    for (uint32_t i = 0; i < l->opt.conns; i++)
        load_conn_finish(l, &l->conns[i]);
    while (l->alive > 0 && load_now() < deadline && l->error[0] == '\0')
        turn(l, deadline);
    for (uint32_t i = 0; i < l->opt.conns; i++)
        load_conn_drop(l, &l->conns[i]);
}

static void raise_limit(struct load *l)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r); /* what counts is the limit below */
    if (l->opt.conns + 16 > r.rlim_max)
        load_fail(l, "the system allows %llu descriptors only", (unsigned long long)r.rlim_max);
}

static uint64_t ring_for(const struct load_options *o)
{
    uint64_t n = o->rate > 0 ? OPEN_LOOP_RING : 1;

    while (n < o->depth)
        n *= 2;
    return n;
}

static bool allocate(struct load *l)
{
    const struct load_options *o = &l->opt;
    size_t extra = o->tcp && o->pad ? load_ws_frame_max(o->size) - o->size : 0;
    size_t size = o->size + extra;
    uint64_t ring = ring_for(o);
    bool ok = pattern_init(&l->out, o->kind, size, o->newline) &&
              pattern_init(&l->want, o->kind, size, o->newline);

    l->frame_max = load_ws_frame_max(size);
    l->tx_cap = l->frame_max > LOAD_BUFFER ? l->frame_max : LOAD_BUFFER;
    l->tx = malloc(l->tx_cap);
    l->rx = malloc(LOAD_BUFFER);
    l->conns = calloc(o->conns, sizeof *l->conns);
    ok = ok && l->tx != NULL && l->rx != NULL && l->conns != NULL;
    for (uint32_t i = 0; ok && i < o->conns; i++) {
        l->conns[i].fd = -1;
        l->conns[i].id = i;
        l->conns[i].stamps = calloc(ring, sizeof *l->conns[i].stamps);
        ok = l->conns[i].stamps != NULL;
    }
    l->ring = ring - 1;
    return ok && (!o->tls || load_tls_init(l));
}

static void release(struct load *l)
{
    for (uint32_t i = 0; i < l->opt.conns; i++)
        free(l->conns[i].stamps);
    free(l->conns);
    free(l->rx);
    free(l->tx);
    pattern_free(&l->out);
    pattern_free(&l->want);
    load_tls_free(l);
    (void)close(l->epoll);
    free(l);
}

int main(int argc, char **argv)
{
    struct load *l = calloc(1, sizeof *l);
    bool failed;

    if (l == NULL)
        return 1;
    load_args_parse(&l->opt, argc, argv);
    /* A backstop, should one of the deadlines above have a hole: the signal ends us. */
    (void)alarm((unsigned)(l->opt.seconds + l->opt.warmup) + 90);
    l->key = load_now() | 1;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0 || !allocate(l)) {
        fprintf(stderr, "load: no memory, descriptors or TLS\n");
        return 1;
    }
    raise_limit(l);
    run(l);
    close_all(l);
    failed = l->error[0] != '\0' || ferror(stdout);
    if (failed)
        fprintf(stderr, "load: %s\n", l->error[0] != '\0' ? l->error : "cannot write the result");
    release(l);
    return failed ? 1 : 0;
}
