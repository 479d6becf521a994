/* SPDX-License-Identifier: MIT */
/*
 * core/client and core/session: the two machines of a session, driven through all their states by a
 * made-up stream and a made-up backend, without a socket. Events come in random orders, as a loop
 * may tell them; the made-up halves check what they are called with, and after each event the rules
 * of docs/architecture.md are checked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/admission/limits.h"
#include "core/client/deflate_pool.h"
#include "core/core.h"
#include "core/request.h"
#include "core/session/session_impl.h"
#include "core/session/session_info.h"
#include "proto/tty.h"

#define ROUNDS 200000U
#define EVENTS_MAX 40U /* of one round */
#define MESSAGE_MAX 4096U

static uint64_t random_state;

/* xorshift64*: the same numbers everywhere, so that a round can be told by its number. */
static unsigned pick(unsigned n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (unsigned)((random_state * 2685821657736338717ULL) >> 33) % n;
}

/* ---- the made-up stream ---- */

struct fake_stream {
    struct stream s;
    struct http_head head;
    struct request request;
    bool answered, upgraded, paused, gone, hung_up, closed_sent;
    size_t queued;
    uint64_t delivered;
    double last_rx, last_tx;
};

static struct fake_stream *fake_of(const struct stream *s)
{
    return (struct fake_stream *)(uintptr_t)s;
}

static struct request *fake_request(const struct stream *s)
{
    return fake_of(s)->upgraded ? NULL : &fake_of(s)->request;
}

static void fake_respond(struct stream *s, const struct response *r)
{
    assert_true(r->status >= 400);
    assert_false(fake_of(s)->answered);
    fake_of(s)->answered = true;
}

static void fake_upgrade(struct stream *s, const char *accept, struct slice subprotocol,
                         const char *extensions)
{
    struct fake_stream *f = fake_of(s);

    (void)accept;
    (void)subprotocol;
    (void)extensions;
    assert_false(f->answered);
    f->answered = f->upgraded = true;
}

/* Whole frames only, and nothing behind a Close. */
static void check_frames(struct fake_stream *f, const uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t header, len;

        assert_true(n >= 2);
        assert_true((p[1] & 0x80) == 0);
        header = p[1] < 126 ? 2 : p[1] == 126 ? 4 : 10;
        assert_true(n >= header);
        len = p[1];
        if (header > 2) {
            len = 0;
            for (size_t i = 2; i < header; i++)
                len = len << 8 | p[i];
        }
        assert_true(n >= header + len);
        assert_false(f->closed_sent);
        f->closed_sent = (p[0] & 0x0f) == WS_CLOSE;
        p += header + len;
        n -= header + len;
    }
}

static void fake_write(struct stream *s, const void *p, size_t n)
{
    struct fake_stream *f = fake_of(s);

    assert_true(f->upgraded);
    assert_false(f->gone);
    check_frames(f, p, n);
    f->last_tx = s->worker->now;
    if (f->queued > 0 || pick(4) == 0)
        f->queued += n;
    else
        f->delivered += n;
}

static size_t fake_queued(const struct stream *s)
{
    assert_false(fake_of(s)->gone);
    return fake_of(s)->queued;
}

static void fake_pause(struct stream *s, bool paused)
{
    assert_true(fake_of(s)->upgraded);
    assert_int_not_equal(fake_of(s)->paused, paused);
    fake_of(s)->paused = paused;
}

static void fake_stay_live(struct stream *s)
{
    (void)s;
}

static uint64_t fake_delivered(const struct stream *s)
{
    return fake_of(s)->delivered;
}

static double fake_last_rx(const struct stream *s)
{
    return fake_of(s)->last_rx;
}

static double fake_last_tx(const struct stream *s)
{
    return fake_of(s)->last_tx;
}

static bool fake_peer_finished(const struct stream *s)
{
    return fake_of(s)->hung_up;
}

static void fake_end(struct stream *s)
{
    struct fake_stream *f = fake_of(s);

    assert_true(f->answered);
    assert_false(f->gone);
    assert_false(ev_is_active(&s->timer));
    f->gone = true;
}

static void fake_abort(struct stream *s)
{
    assert_false(fake_of(s)->gone);
    assert_false(ev_is_active(&s->timer));
    fake_of(s)->gone = true;
}

static const struct stream_ops fake_stream_ops = {
    .request = fake_request,
    .respond = fake_respond,
    .upgrade = fake_upgrade,
    .write = fake_write,
    .queued = fake_queued,
    .pause = fake_pause,
    .stay_live = fake_stay_live,
    .delivered = fake_delivered,
    .pending = fake_queued,
    .last_rx = fake_last_rx,
    .last_tx = fake_last_tx,
    .peer_finished = fake_peer_finished,
    .end = fake_end,
    .abort = fake_abort,
};

/* ---- the made-up backend; there is one at a time ---- */

struct fake_backend {
    struct backend b;
    bool exists, opened, finished, stopped, paused, said_eof, over;
    size_t queued;
    uint64_t delivered;
};

static struct fake_backend far;
static bool out_of_memory; /* the next backend cannot be made */

static struct fake_backend *far_of(const struct backend *b)
{
    assert_ptr_equal(b, &far.b);
    assert_true(far.exists);
    return &far;
}

static struct backend *far_open(const struct backend_open *o)
{
    if (out_of_memory)
        return NULL;
    far = (struct fake_backend){
        .b = {o->route->backend, o->events, o->owner},
        .exists = true,
    };
    return &far.b;
}

static void far_write(struct backend *b, const void *p, size_t n)
{
    struct fake_backend *f = far_of(b);

    (void)p;
    assert_true(n > 0);
    assert_true(f->opened);
    assert_false(f->finished);
    if (f->queued > 0 || pick(3) == 0)
        f->queued += n;
    else
        f->delivered += n;
}

static size_t far_queued(const struct backend *b)
{
    return far_of(b)->queued;
}

static uint64_t far_delivered(const struct backend *b)
{
    return far_of(b)->delivered;
}

static void far_pause(struct backend *b, bool paused)
{
    assert_int_not_equal(far_of(b)->paused, paused);
    far_of(b)->paused = paused;
}

static void far_resize(struct backend *b, uint16_t columns, uint16_t rows)
{
    (void)columns;
    (void)rows;
    assert_true(far_of(b)->opened);
}

static void far_finish(struct backend *b)
{
    far_of(b)->finished = true;
}

static void far_stop(struct backend *b)
{
    assert_false(far_of(b)->stopped);
    assert_true(far_of(b)->finished);
    far_of(b)->stopped = true;
}

static void far_close(struct backend *b)
{
    far_of(b)->exists = false;
}

static void far_describe(const struct backend *b, char *out, size_t size)
{
    (void)far_of(b);
    (void)snprintf(out, size, "made up");
}

#define FAR_OPS                                                                             \
    .open = far_open, .write = far_write, .queued = far_queued, .delivered = far_delivered, \
    .lost = far_delivered, .pause = far_pause, .finish = far_finish, .stop = far_stop,      \
    .close = far_close, .describe = far_describe

static const struct backend_ops far_program = {
    .name = "program", .reports_exit = true, .has_stderr = true, FAR_OPS};
static const struct backend_ops far_service = {.name = "service", FAR_OPS};
static const struct backend_ops far_terminal = {
    .name = "terminal", .reports_exit = true, .is_terminal = true, .resize = far_resize, FAR_OPS};
static const struct backend_ops far_echo = {.name = "echo", .loopback = true};

static size_t echo_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    return ws_write_header(out, opcode, len);
}

static const struct framing far_echo_framing = {
    .name = "message", .assembles = true, .opcode_out = WS_BINARY, .prefix = echo_prefix};

/* ---- a world of one session ---- */

struct world {
    union {
        struct worker w;
        struct core core;
    };
    struct config *config;
    struct route *route;
    char *argv[2], path[2];
    struct fake_stream stream;
    bool deflate;
    bool seen[CLIENT_OVER + 1][SESSION_ENDED + 1];
};

struct variant {
    const struct backend_ops *backend;
    const struct framing *framing;
    int stderr_mode;
    bool tty;
};

static const struct variant variants[] = {
    {&far_program, &framing_lines, STDERR_LOG, false},
    {&far_program, &framing_lines, STDERR_MESSAGE, false},
    {&far_program, &framing_stream, STDERR_LOG, false},
    {&far_program, &framing_text, STDERR_LOG, false},
    {&far_program, &framing_tagged, STDERR_MERGE, false},
    {&far_service, &framing_stream, STDERR_LOG, false},
    {&far_service, &framing_len32, STDERR_LOG, false},
    {&far_service, &framing_netstring, STDERR_LOG, false},
    {&far_terminal, &framing_stream, STDERR_LOG, false},
    {&far_terminal, &framing_stream, STDERR_LOG, true},
    {&far_echo, &far_echo_framing, STDERR_LOG, false},
};
#define VARIANTS (sizeof variants / sizeof variants[0])

static void set_up_route(struct world *t, const struct variant *v)
{
    struct route *r = t->route;

    r->backend = v->backend;
    r->framing = v->framing;
    r->settings = (struct settings){
        .stderr_mode = v->stderr_mode,
        .errors = pick(2) ? ERRORS_CLOSE : ERRORS_HTTP,
        .invalid_utf8 = (int)pick(3),
        .partial_lines = pick(3) ? 0 : 0.1,
        .eof_on_empty = pick(3) == 0,
        .read_only = pick(8) == 0,
        .max_message = MESSAGE_MAX,
        .ping = pick(3) ? 25 : 0,
        .pong_timeout = 20,
        .idle_timeout = pick(3) ? 0 : 60,
        .stall_timeout = 60,
        .close_timeout = 2,
        .stop_grace = 5,
        .compression = COMPRESSION_ON,
        .compression_level = 1,
        .over_rate = pick(2) ? OVER_RATE_HOLD : OVER_RATE_CLOSE,
    };
    if (pick(3) == 0)
        r->settings.message_rate = (struct rate){.amount = 4, .period = 1, .burst = 4};
}

static void world_open(struct world *t)
{
    *t = (struct world){.argv = {strdup("true"), NULL}, .path = "/"};
    t->w.log = (struct log){.fd = -1, .level = LOG_ERROR};
    assert_int_equal(worker_init(&t->w), 0);
    t->core.limits = limits_new();
    t->core.stats = stats_new();
    t->core.sessions = calloc(1, sizeof *t->core.sessions);
    assert_non_null(t->core.sessions);
    t->config = config_new();
    assert_non_null(t->config);
    t->config->handshake_timeout = 10;
    t->config->max_sessions = 10;
    t->route = config_add_route(t->config);
    assert_non_null(t->route);
    t->route->path = "/";
    t->route->static_fd = -1;
    t->route->target.argv = t->argv;
    t->route->backend = &far_program;
    stats_apply(&t->w, t->config);
}

static void world_close(struct world *t)
{
    assert_int_equal(t->config->references, 1);
    free(t->argv[0]);
    t->route->target.argv = NULL;
    config_release(t->config);
    deflate_pool_free(&t->w);
    free(t->core.sessions);
    stats_free(&t->w);
    limits_free(t->core.limits);
    worker_release(&t->w);
}

static struct session *the_session(struct world *t)
{
    return LIST_FIRST(&t->core.sessions->all);
}

static void begin(struct world *t)
{
    const struct variant *v = &variants[pick(VARIANTS)];
    struct fake_stream *f = &t->stream;
    struct session_open o = {
        .stream = &f->s, .route = t->route, .accept = (char[HANDSHAKE_ACCEPT_SIZE]){"accept"}};
    const char *why;

    set_up_route(t, v);
    t->deflate = pick(4) == 0 && v->framing != &framing_tagged;
    *f = (struct fake_stream){.s = {.ops = &fake_stream_ops, .worker = &t->w}};
    f->head.method = slice_from("GET");
    f->request = (struct request){.head = &f->head, .path = t->path};
    assert_true(addr_parse_host(slice_from("127.0.0.1"), 1, &f->request.client));
    f->last_rx = f->last_tx = t->w.now;
    ev_init(&f->s.timer, NULL);
    far = (struct fake_backend){0};
    out_of_memory = pick(100) == 0;
    o.deflate = (struct deflate_params){.agreed = t->deflate, .server_bits = 15, .client_bits = 15};
    o.subprotocol = slice_from(v->tty ? TTY_SUBPROTOCOL : "");
    assert_int_equal(
        limits_admit(t->core.limits, t->config, t->route, &f->request.client, &o.ticket, &why), 0);
    session_start(&o);
}

/* ---- what the loop may tell ---- */

static size_t put_client_frame(uint8_t *out, uint8_t first, const void *p, size_t n)
{
    out[0] = first;
    out[1] = (uint8_t)(0x80 | n);
    memcpy(out + 2, "\x11\x22\x33\x44", 4);
    for (size_t i = 0; i < n; i++)
        out[6 + i] = ((const uint8_t *)p)[i] ^ (uint8_t)(0x11 * (1 + i % 4));
    return 6 + n;
}

static size_t put_some_frame(uint8_t *at, bool deflate)
{
    static const struct {
        uint8_t first;
        const char *text;
        size_t n;
    } frames[] = {
        {0x81, "hello", 5},
        {0x82, "\x00\xff\x01", 3},
        {0x81, "", 0},
        {0x01, "be", 2},   /* the beginning of a message */
        {0x00, "mid", 3},  /* its middle; alone it breaks the protocol */
        {0x80, "end", 3},  /* its end */
        {0x81, "\xff", 1}, /* no UTF-8 */
        {0x89, "ping", 4},
        {0x8a, "pong", 4},
        {0x88, "\x03\xe8", 2},
        {0x88, "\x03", 1}, /* a malformed Close */
        {0x83, "?", 1},    /* an unknown opcode */
        {0x82, "{\"columns\":80,\"rows\":24}", 24},
        {0x82, "0typed", 6},
        {0x82, "1{\"columns\":90,\"rows\":30}", 25},
        {0x82, "2", 1},
        {0x82, "3", 1},
    };
    unsigned i = pick(sizeof frames / sizeof frames[0]);

    if (i >= 3 && i <= 6 && pick(3)) /* most sessions should live for a while */
        i = 0;
    if (i >= 9 && i <= 11 && pick(4))
        i = 1;
    if (deflate && pick(3) == 0) /* "hello", compressed */
        return put_client_frame(at, 0xc1, "\xcaH\xcd\xc9\xc9\x07\x00", 7);
    return put_client_frame(at, frames[i].first, frames[i].text, frames[i].n);
}

static void tell_client_data(struct world *t)
{
    struct fake_stream *f = &t->stream;
    uint8_t *at = t->w.rx + WORKER_HEADROOM;
    size_t n = 0;
    unsigned frames = 1 + pick(4);

    if (!f->upgraded || f->gone || f->paused)
        return;
    for (unsigned i = 0; i < frames; i++)
        n += put_some_frame(at + n, t->deflate);
    f->last_rx = t->w.now;
    if (pick(3) == 0) /* cut anywhere: the rest comes when it may */
        n = 1 + pick((unsigned)n);
    f->s.events->data(stream_owner(&f->s), at, n);
}

static void tell_client_drained(struct world *t)
{
    struct fake_stream *f = &t->stream;

    if (f->gone || f->queued == 0)
        return;
    f->delivered += f->queued;
    f->queued = 0;
    f->s.events->drained(stream_owner(&f->s));
}

static void tell_client_closed(struct world *t)
{
    struct fake_stream *f = &t->stream;

    if (f->gone)
        return;
    f->s.events->closed(stream_owner(&f->s), pick(2) ? 0 : 104);
    assert_true(f->gone);
}

static void tell_client_hung_up(struct world *t)
{
    struct fake_stream *f = &t->stream;

    if (f->gone || f->hung_up)
        return;
    f->hung_up = true;
    if (!f->upgraded)
        f->s.events->hung_up(stream_owner(&f->s));
}

static bool far_lives(void)
{
    return far.exists && far.opened && !far.over;
}

static void tell_opened(struct world *t)
{
    (void)t;
    if (!far.exists || far.opened || far.over)
        return;
    far.opened = true;
    far.b.events->opened(far.b.owner);
}

static void tell_failed(struct world *t)
{
    static const int statuses[] = {400, 403, 502, 503, 504};

    (void)t;
    if (!far.exists || far.opened || far.over)
        return;
    far.over = true;
    far.b.events->failed(far.b.owner, statuses[pick(5)], "made up");
    assert_false(far.exists);
}

static void tell_far_data(struct world *t)
{
    static const struct {
        const char *text;
        size_t n;
    } pieces[] = {
        {"line\n", 5},           {"one\ntwo\nthr", 11}, {"ee\n", 3},        {"\xff\xfe\n", 3},
        {"\xe2\x82", 2},         {"\xac", 1},           {"\0\0\0\3abc", 7}, {"\0\0\0\5ab", 6},
        {"3:abc,", 6},           {"1e 2\nhi", 7},       {"1x 1\n1", 6},     {"t 5\nhello", 9},
        {"\xff\xff\xff\xff", 4},
    };
    unsigned i = pick(sizeof pieces / sizeof pieces[0]);
    uint8_t *at = t->w.rx + WORKER_HEADROOM;

    if (!far_lives() || far.paused || far.said_eof)
        return;
    memcpy(at, pieces[i].text, pieces[i].n);
    far.b.events->data(far.b.owner, at, pieces[i].n);
}

static void tell_far_lines(struct world *t)
{
    const struct slice lines[] = {slice_from("one"), slice_from("")};

    if (far_lives() && t->route->settings.stderr_mode == STDERR_MESSAGE && !far.paused)
        far.b.events->lines(far.b.owner, lines, 2);
}

static void tell_far_eof(struct world *t)
{
    (void)t;
    if (!far_lives() || far.said_eof)
        return;
    far.said_eof = true;
    far.b.events->eof(far.b.owner);
}

static void tell_far_drained(struct world *t)
{
    (void)t;
    if (!far_lives() || far.queued == 0)
        return;
    far.delivered += far.queued;
    far.queued = 0;
    far.b.events->drained(far.b.owner);
}

static void tell_far_ended(struct world *t)
{
    struct backend_end end = {.number = (int)pick(2), .why = "made up"};

    (void)t;
    if (!far_lives())
        return;
    switch (pick(4)) {
    case 0:
        end.how = BACKEND_EXITED;
        break;
    case 1:
        end.how = BACKEND_BROKE;
        break;
    case 2:
        end.how = BACKEND_SIGNALED;
        end.number = 9;
        break;
    default:
        end.how = BACKEND_CLEAN;
        break;
    }
    far.over = true;
    far.b.events->ended(far.b.owner, &end);
    assert_false(far.exists);
}

static void tell_timer(struct world *t)
{
    static const double leaps[] = {0, 0.05, 1, 1.5, 3, 30, 100};
    ev_timer *timer = &t->stream.s.timer;

    t->w.now += leaps[pick(7)];
    if (t->stream.gone || !ev_is_active(timer))
        return;
    ev_timer_stop(t->w.loop, timer); /* as libev does before it calls */
    ev_cb(timer)(t->w.loop, timer, EV_TIMER);
}

static void tell_kick(struct world *t)
{
    if (the_session(t) != NULL && pick(6) == 0)
        session_kick(the_session(t), "kicked");
}

static void tell_shut(struct world *t)
{
    if (pick(10) == 0)
        sessions_shut(&t->w, "stopped", pick(2));
}

static void (*const tell[])(struct world *t) = {
    tell_client_data,    tell_client_data, tell_client_data,    tell_client_drained,
    tell_client_drained, tell_far_data,    tell_far_data,       tell_far_data,
    tell_far_drained,    tell_far_drained, tell_timer,          tell_timer,
    tell_far_eof,        tell_far_ended,   tell_far_lines,      tell_kick,
    tell_client_closed,  tell_shut,        tell_client_hung_up, tell_opened,
    tell_opened,         tell_opened,      tell_failed,
};
#define TELLERS (sizeof tell / sizeof tell[0])

/* ---- what holds after each of them ---- */

static void check_queues(const struct session *s)
{
    const struct client_extra *e = client_extra(s->client);

    assert_true(buf_len(&e->held) <= WS_HELD_MAX + WORKER_RX_SIZE);
    assert_true(buf_len(&e->in_message) <= MESSAGE_MAX + FRAMING_PREFIX_MAX + FRAMING_SUFFIX_MAX);
    assert_true(buf_len(&e->late_pong) <= 2 + WS_CONTROL_MAX);
    assert_true(buf_len(&session_extra(s)->out_message) <= MESSAGE_MAX + CLIENT_PLACE);
}

static void check_session(struct world *t, const struct session *s)
{
    const struct client *c = s->client;
    bool open = c->state == CLIENT_OPEN || c->state == CLIENT_CLOSING;

    assert_false(c->state == CLIENT_OVER && s->state == SESSION_OVER); /* it would have ended */
    assert_int_equal(c->state == CLIENT_OVER, t->stream.gone);
    assert_int_equal(c->state == CLIENT_OVER, c->stream == NULL);
    assert_int_equal(c->state == CLIENT_OPENING, !t->stream.answered);
    assert_int_equal(s->state == SESSION_OVER || s->echoes, s->backend == NULL);
    assert_int_equal(s->backend != NULL, far.exists);
    if (c->state == CLIENT_OVER || (c->state == CLIENT_CLOSING && c->closer != CLOSED_BY_BACKEND))
        assert_true(s->state >= SESSION_STOPPING || s->echoes);
    if (far.exists)
        assert_int_equal(s->state == SESSION_STOPPING, far.stopped);
    if (far.exists && far.stopped) /* it can write its last words */
        assert_false(far.paused);
    if (far.stopped && open) /* the client's Close is awaited, whatever waits for the backend */
        assert_true(!t->stream.paused || c->deferred);
    if (far.exists && s->state != SESSION_STOPPING)
        assert_int_equal(far.paused, client_holds(c));
    if (open)
        assert_int_equal(t->stream.paused, session_blocked(s) || c->deferred);
    if (open) /* else nothing would ever look at it again */
        assert_true(!c->deferred || session_blocked(s) || ev_is_active(&t->stream.s.timer));
    if (s->state == SESSION_EXITING)
        assert_true(ev_is_active(&t->stream.s.timer));
    check_queues(s);
    t->seen[c->state][s->state] = true;
}

static void check_world(struct world *t)
{
    const struct session *s = the_session(t);

    if (s != NULL) {
        check_session(t, s);
        return;
    }
    assert_true(t->stream.gone);
    assert_false(far.exists);
    assert_int_equal(t->route->stats->active, 0);
}

/* Both sides leave: nothing may be left. */
static void finish(struct world *t)
{
    if (the_session(t) != NULL)
        tell_client_closed(t);
    check_world(t);
    if (far.exists && !far.opened)
        fail_msg("a backend that is still being opened outlived its client");
    tell_far_ended(t);
    assert_null(the_session(t));
    assert_int_equal(t->core.sessions->count, 0);
    check_world(t);
    ev_run(t->w.loop, EVRUN_NOWAIT); /* the end of a turn */
}

static void one_round(struct world *t, unsigned number)
{
    unsigned events;

    random_state = 0x9e3779b97f4a7c15ULL * (number + 1);
    events = 1 + pick(EVENTS_MAX);
    begin(t);
    check_world(t);
    for (unsigned i = 0; i < events && the_session(t) != NULL; i++) {
        tell[pick(TELLERS)](t);
        check_world(t);
    }
    finish(t);
}

/* Which states of client and session go together between two events. */
static const bool together[CLIENT_OVER + 1][SESSION_ENDED + 1] = {
    [CLIENT_OPENING] = {[SESSION_OPENING] = true},
    [CLIENT_OPEN] = {[SESSION_RUNNING] = true, [SESSION_EXITING] = true},
    [CLIENT_CLOSING] = {[SESSION_RUNNING] = true, /* the echo */
                        [SESSION_LISTENING] = true,
                        [SESSION_STOPPING] = true,
                        [SESSION_OVER] = true},
    [CLIENT_OVER] = {[SESSION_STOPPING] = true},
};

static void test_events_in_random_orders(void **state)
{
    struct world t;

    (void)state;
    world_open(&t);
    for (unsigned i = 0; i < ROUNDS; i++)
        one_round(&t, i);
    for (int c = 0; c <= CLIENT_OVER; c++) {
        for (int s = 0; s <= SESSION_ENDED; s++) {
            if (t.seen[c][s] != together[c][s])
                fail_msg("client state %d with session state %d: %s", c, s,
                         t.seen[c][s] ? "should not be" : "never came about");
        }
    }
    world_close(&t);
}

/* Each state has a way out, no state comes twice, and the last ones have none. */
static void test_no_way_back(void **state)
{
    (void)state;
    for (int from = 0; from <= CLIENT_OVER; from++) {
        bool out = false;

        for (int to = 0; to <= CLIENT_OVER; to++) {
            if (to <= from)
                assert_false(client_may_become((enum client_state)from, (enum client_state)to));
            out |= client_may_become((enum client_state)from, (enum client_state)to);
        }
        assert_int_equal(out, from != CLIENT_OVER);
    }
    for (int from = 0; from <= SESSION_ENDED; from++) {
        bool out = false;

        for (int to = 0; to <= SESSION_ENDED; to++) {
            if (to <= from)
                assert_false(session_may_become((enum session_state)from, (enum session_state)to));
            out |= session_may_become((enum session_state)from, (enum session_state)to);
        }
        assert_int_equal(out, from != SESSION_ENDED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_way_back),
        cmocka_unit_test(test_events_in_random_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
