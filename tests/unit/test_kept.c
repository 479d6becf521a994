/* SPDX-License-Identifier: MIT */
/*
 * core/session: sessions that outlive their connections, driven in random orders by made-up pages
 * and a made-up backend, without a socket: pages come, resume, take over, are slow, leave, and the
 * backend writes more than is kept, holds back, ends. What is checked with each byte that a page
 * or the backend gets: messages to a page have consecutive numbers, from where it asked for, and
 * each gap is told; messages of a page come once and in order; nothing follows a Close or an end;
 * and when all have gone, so has all that was kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/admission/limits.h"
#include "core/auth/auth.h"
#include "core/client/deflate_pool.h"
#include "core/core.h"
#include "core/request.h"
#include "core/session/session_kept.h"

#define ROUNDS 10000U
#define EVENTS_MAX 120U /* of one round */
#define PAGES 60U       /* connections in one round */
#define FARS 20U        /* and backends */
#define SENDERS 3U      /* pages that count */
#define REPLAY 2048U

static uint64_t random_state;

/* xorshift64*: the same numbers everywhere, so that a round can be told by its number. */
static unsigned pick(unsigned n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (unsigned)((random_state * 2685821657736338717ULL) >> 33) % n;
}

struct far;

/* One connection. */
struct visitor {
    struct stream s;
    struct http_head head;
    struct request request;
    char path[2], sender[2], asks_for[REQUEST_OF_SIZE];
    struct world *t;
    unsigned number; /* from 1 on */
    bool answered, upgraded, paused, gone, closed_sent;
    bool pongs;  /* it answers pings, as pages do */
    bool counts; /* it has a sender: channels both ways */
    size_t queued;
    uint64_t delivered;
    uint16_t code;  /* of the Close that it got */
    struct far *of; /* the backend of the session that it came to */
    uint64_t next;  /* number of the message that has to come next; 0: any */
    uint64_t got;   /* and of the last one that came */
    uint64_t has;   /* the same, but of what is not on its way any more */
    bool is_behind;
    bool lied;
    uint64_t known_got; /* what the session has known it to have */
    bool leaves;        /* it has sent a Close, in order */
    unsigned said;      /* its own messages */
    bool about;         /* the first message of one that counts has come */
    uint8_t out[2048];  /* what it has sent and nobody has read */
    size_t out_len;
    uint8_t late[2048]; /* pongs that it sends once it has got what is on its way */
    size_t late_len;
};

/* One backend: the life of one session. */
struct far {
    struct backend b;
    bool exists, opened, finished, stopped, paused, said_eof, over;
    bool ended_well; /* by itself, and nobody else has ended the session before */
    size_t queued;
    uint64_t delivered, said;
    unsigned heard[PAGES + 1]; /* messages of each page */
    uint64_t kept_from;        /* of its session while nobody is there: the oldest message */
    double detached_since;
    char id[REQUEST_OF_SIZE]; /* of its session */
    uint64_t of_sender[SENDERS];
};

struct world {
    union {
        struct worker w;
        struct core core;
    };
    struct config *config;
    struct route *route;
    char *argv[2];
    struct visitor pages[PAGES];
    struct far fars[FARS];
    unsigned page_count, far_count;
    /* that it came about */
    unsigned resumed, refused, taken_over, gaps, skips, counted, told_late;
};

static struct world *the_world; /* of the backend's operations, which know no owner of ours */

/* ---- made-up pages ---- */

static struct visitor *page_of(const struct stream *s)
{
    return (struct visitor *)(uintptr_t)s;
}

static struct request *page_request(const struct stream *s)
{
    return page_of(s)->upgraded ? NULL : &page_of(s)->request;
}

static void page_respond(struct stream *s, const struct response *r)
{
    assert_true(r->status >= 400);
    assert_false(page_of(s)->answered);
    page_of(s)->answered = true;
}

static void page_upgrade(struct stream *s, const char *accept, struct slice subprotocol,
                         const char *extensions)
{
    (void)accept;
    (void)subprotocol;
    (void)extensions;
    assert_false(page_of(s)->answered);
    page_of(s)->answered = page_of(s)->upgraded = true;
}

static void put_frame(uint8_t *out, size_t *len, size_t size, uint8_t first, const void *data,
                      size_t n)
{
    uint8_t *to = out + *len;

    if (*len + n + 6 > size)
        return;
    to[0] = first;
    to[1] = (uint8_t)(0x80 | n);
    memset(to + 2, 0, 4); /* a key that changes nothing */
    memcpy(to + 6, data, n);
    *len += n + 6;
}

static void page_send(struct visitor *p, uint8_t first, const void *data, size_t n)
{
    put_frame(p->out, &p->out_len, sizeof p->out, first, data, n);
}

/* All that was on its way has come. */
static void page_catches_up(struct visitor *p)
{
    p->delivered += p->queued;
    p->queued = 0;
    p->has = p->got;
    if (p->out_len + p->late_len <= sizeof p->out) {
        memcpy(p->out + p->out_len, p->late, p->late_len);
        p->out_len += p->late_len;
    }
    p->late_len = 0;
}

/* "mGENERATION.NUMBER" and a filling. */
static void take_output(struct visitor *p, const char *text)
{
    unsigned generation;
    uint64_t number;

    assert_int_equal(sscanf(text, "m%u.%" SCNu64, &generation, &number), 2);
    assert_in_range(generation, 1, p->t->far_count);
    assert_ptr_equal(p->of, &p->t->fars[generation - 1]); /* never of another session */
    assert_in_range(number, 1, p->of->said);
    if (p->next != 0 && number != p->next) {
        assert_true(number > p->next); /* nothing comes twice */
        assert_true(p->t->route->settings.session == SESSION_SHARED);
        assert_false(p->counts); /* that is told of a gap */
        p->t->gaps++;
    }
    p->got = number;
    p->next = number + 1;
}

static uint64_t *count_of(struct visitor *p, struct far *f)
{
    return &f->of_sender[p->sender[0] - 'a'];
}

/* What one that counts is told about its session. */
static void take_about(struct visitor *p, const char *text)
{
    uint64_t next, got;
    char word[8];

    if (sscanf(text,
               "{\"session\":\"%7[a-z]\",\"id\":\"%*[0-9a-f]\",\"next\":%" SCNu64
               ",\"got\":%" SCNu64 "}",
               word, &next, &got) == 3) {
        assert_false(p->about);
        p->about = true;
        if (p->next != 0)
            assert_int_equal(next, p->next);
        p->next = next;
        assert_int_equal(got, *count_of(p, p->of));
        p->t->told_late += got > 0 && p->said == 0;
        return;
    }
    assert_true(p->about); /* that is the first word */
    if (sscanf(text, "{\"skipped\":%" SCNu64 "}", &next) == 1) {
        assert_int_equal(p->t->route->settings.session, SESSION_SHARED);
        p->next += next;
        p->t->skips++;
        return;
    }
    assert_int_equal(sscanf(text, "{\"got\":%" SCNu64 "}", &got), 1);
    assert_int_equal(got, *count_of(p, p->of));
    p->t->counted++;
}

static void take_frame(struct visitor *p, uint8_t opcode, const uint8_t *payload, size_t n)
{
    char text[512];

    assert_false(p->closed_sent);
    assert_true(n < sizeof text);
    memcpy(text, payload, n);
    text[n] = '\0';
    switch (opcode) {
    case WS_TEXT:
        if (p->counts && text[0] == CHANNEL_ABOUT) {
            take_about(p, text + 1);
        } else {
            assert_int_equal(text[0], p->counts ? CHANNEL_OUTPUT : 'm');
            assert_int_equal(p->about, p->counts);
            take_output(p, text + p->counts);
        }
        break;
    case WS_PING:
        if (p->pongs)
            put_frame(p->late, &p->late_len, sizeof p->late, 0x8a, payload, n);
        break;
    case WS_CLOSE:
        assert_true(n >= 2);
        p->closed_sent = true;
        p->code = (uint16_t)(payload[0] << 8 | payload[1]);
        if (p->of->ended_well && p->code == WS_CODE_NORMAL && !p->leaves && p->next != 0)
            assert_int_equal(p->next, p->of->said + 1); /* behind all that was said */
        break;
    default:
        assert_int_equal(opcode, WS_PONG);
    }
}

static void page_write(struct stream *s, const void *data, size_t n)
{
    struct visitor *p = page_of(s);
    const uint8_t *at = data;

    assert_true(p->upgraded);
    assert_false(p->gone);
    p->is_behind = p->queued > 0 || pick(3) == 0;
    p->queued += n;
    while (n > 0) {
        size_t header = (at[1] & 0x7f) == 126 ? 4 : 2;
        size_t len = header == 4 ? (size_t)(at[2] << 8 | at[3]) : at[1];

        assert_true(n >= header + len); /* whole frames */
        take_frame(p, at[0] & 0x0f, at + header, len);
        at += header + len;
        n -= header + len;
    }
    if (!p->is_behind) /* its system takes it at once */
        page_catches_up(p);
}

static size_t page_queued(const struct stream *s)
{
    assert_false(page_of(s)->gone);
    return page_of(s)->queued;
}

static void page_pause(struct stream *s, bool paused)
{
    assert_true(page_of(s)->upgraded);
    assert_int_not_equal(page_of(s)->paused, paused);
    page_of(s)->paused = paused;
}

static void page_stay_live(struct stream *s)
{
    (void)s;
}

static uint64_t page_delivered(const struct stream *s)
{
    return page_of(s)->delivered;
}

static double page_now(const struct stream *s)
{
    return s->worker->now;
}

static bool page_peer_finished(const struct stream *s)
{
    (void)s;
    return false;
}

static void page_end(struct stream *s)
{
    assert_true(page_of(s)->answered);
    assert_false(page_of(s)->gone);
    assert_false(ev_is_active(&s->timer));
    page_of(s)->gone = true;
}

static void page_abort(struct stream *s)
{
    assert_false(page_of(s)->gone);
    assert_false(ev_is_active(&s->timer));
    page_of(s)->gone = true;
}

static const struct stream_ops page_ops = {
    .request = page_request,
    .respond = page_respond,
    .upgrade = page_upgrade,
    .write = page_write,
    .queued = page_queued,
    .pause = page_pause,
    .stay_live = page_stay_live,
    .delivered = page_delivered,
    .pending = page_queued,
    .last_rx = page_now,
    .last_tx = page_now,
    .peer_finished = page_peer_finished,
    .end = page_end,
    .abort = page_abort,
};

/* ---- made-up backends ---- */

static struct far *far_of(const struct backend *b)
{
    struct far *f = (struct far *)(uintptr_t)b;

    assert_true(f->exists);
    return f;
}

static struct backend *far_open(const struct backend_open *o)
{
    struct far *f = &the_world->fars[the_world->far_count];

    if (the_world->far_count == FARS)
        return NULL;
    the_world->far_count++;
    *f = (struct far){.b = {o->route->backend, o->events, o->owner}, .exists = true};
    return &f->b;
}

/* Whole lines: "pPAGE.NUMBER". */
static void far_write(struct backend *b, const void *data, size_t n)
{
    struct far *f = far_of(b);
    const char *p = data, *end = p + n;

    assert_true(f->opened);
    assert_false(f->finished);
    assert_true(n > 0 && end[-1] == '\n');
    if (f->queued > 0 || pick(3) == 0)
        f->queued += n;
    else
        f->delivered += n;
    while (p < end) {
        unsigned page, number;

        assert_int_equal(sscanf(p, "p%u.%u\n", &page, &number), 2);
        assert_in_range(page, 1, the_world->page_count);
        assert_int_equal(number, ++f->heard[page]); /* each, once, in order */
        if (the_world->pages[page - 1].counts)
            ++*count_of(&the_world->pages[page - 1], f);
        p = strchr(p, '\n') + 1;
    }
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

static const struct backend_ops far_program = {
    .name = "program",
    .reports_exit = true,
    .open = far_open,
    .write = far_write,
    .queued = far_queued,
    .delivered = far_delivered,
    .lost = far_delivered,
    .pause = far_pause,
    .finish = far_finish,
    .stop = far_stop,
    .close = far_close,
    .describe = far_describe,
};

/* ---- the world ---- */

static void set_up_route(struct world *t)
{
    static const enum session_whose whose[] = {SESSION_OF_TOKEN, SESSION_SHARED};

    t->route->settings = (struct settings){
        .session = (int)whose[pick(2)],
        .join = (int)pick(3),
        .replay = REPLAY,
        .detach = 20,
        .errors = pick(2) ? ERRORS_CLOSE : ERRORS_HTTP,
        .max_message = 4096,
        .ping = pick(3) ? 25 : 0,
        .pong_timeout = 20,
        .idle_timeout = pick(4) ? 0 : 60,
        .stall_timeout = 60,
        .close_timeout = 2,
        .stop_grace = 5,
        .over_rate = OVER_RATE_HOLD,
    };
}

static void world_open(struct world *t)
{
    t->w.log = (struct log){.fd = -1, .level = LOG_ERROR};
    assert_int_equal(worker_init(&t->w), 0);
    t->core.limits = limits_new();
    t->core.stats = stats_new();
    t->core.auth = auth_new(&t->w);
    t->core.sessions = calloc(1, sizeof *t->core.sessions);
    assert_true(t->core.limits != NULL && t->core.auth != NULL && t->core.sessions != NULL);
    t->config = config_new();
    assert_non_null(t->config);
    t->config->handshake_timeout = 10;
    t->config->max_sessions = 12;
    t->config->max_per_address = 6;
    t->config->max_replay = 1 << 20;
    t->route = config_add_route(t->config);
    assert_non_null(t->route);
    t->argv[0] = strdup("true");
    t->route->path = "/";
    t->route->static_fd = -1;
    t->route->target.argv = t->argv;
    t->route->backend = &far_program;
    t->route->framing = &framing_lines;
    stats_apply(&t->w, t->config);
    the_world = t;
}

static void world_close(struct world *t)
{
    assert_int_equal(t->config->references, 1);
    free(t->argv[0]);
    t->route->target.argv = NULL;
    config_release(t->config);
    deflate_pool_free(&t->w);
    free(t->core.sessions);
    auth_free(t->core.auth);
    stats_free(&t->w);
    limits_free(t->core.limits);
    worker_release(&t->w);
}

static struct visitor *some_page(struct world *t)
{
    return t->page_count > 0 ? &t->pages[pick(t->page_count)] : NULL;
}

static struct far *some_far(struct world *t)
{
    struct far *f = t->far_count > 0 ? &t->fars[pick(t->far_count)] : NULL;

    return f != NULL && f->exists && !f->over ? f : NULL;
}

static struct session_kept *the_kept(struct world *t)
{
    return t->core.sessions->by_key;
}

/* ---- what may happen ---- */

static void make_page(struct world *t, struct visitor *p)
{
    *p = (struct visitor){.s = {.ops = &page_ops, .worker = &t->w}, .t = t, .path = "/"};
    p->number = t->page_count;
    p->pongs = pick(4) != 0;
    p->counts = pick(2);
    p->head.method = slice_from("GET");
    p->request = (struct request){.head = &p->head, .path = p->path, .match.route = t->route};
    assert_true(addr_parse_host(slice_from("127.0.0.1"), 1, &p->request.client));
    p->request.session =
        t->route->settings.session == SESSION_OF_TOKEN ? (char *)(uintptr_t) "token" : NULL;
    ev_init(&p->s.timer, NULL);
    if (p->counts) {
        p->sender[0] = (char)('a' + pick(SENDERS));
        p->request.sender = p->sender;
    }
}

/* Where it was: behind the last message that some page of the same session has got, or one that
 * was never said. */
static void ask_for_a_place(struct world *t, struct visitor *p)
{
    const struct visitor *before = &t->pages[pick(t->page_count)];

    if (before == p || pick(3) == 0)
        return;
    p->request.has_got = true;
    p->request.got = pick(10) ? before->has : pick(100);
    if (before->of != NULL && pick(3)) { /* of the session that it was in, which may have ended */
        memcpy(p->asks_for, before->of->id, sizeof p->asks_for);
        p->request.of = p->asks_for;
    }
}

/* The backend of the session that a newcomer comes to, which may be over, or is to be made. */
static struct far *far_to_come(struct world *t)
{
    struct session_kept *k = the_kept(t);

    for (unsigned i = 0; k != NULL && i < t->far_count; i++) {
        if (t->fars[i].b.owner == k->session)
            return &t->fars[i];
    }
    return &t->fars[t->far_count];
}

/* Whether that is the session that it means. */
static bool is_of(const struct session_kept *k, const struct visitor *p)
{
    if (k == NULL)
        return false;
    return p->request.of != NULL ? strcmp(p->request.of, k->id) == 0
                                 : session_is_private(k->session);
}

/* Whether what it asks for is there, as the session knows it. */
static bool has_place(struct world *t, const struct visitor *p)
{
    const struct session_kept *k = the_kept(t);

    return is_of(k, p) && p->request.got + 1 >= k->ring.first && p->request.got < k->ring.next;
}

static void tell_comes(struct world *t)
{
    struct visitor *p = &t->pages[t->page_count];
    struct session_open o = {
        .stream = &p->s, .route = t->route, .accept = (char[HANDSHAKE_ACCEPT_SIZE]){"accept"}};
    bool was_there, place, asked, same;
    uint64_t got;
    const char *why;

    if (t->page_count == PAGES)
        return;
    t->page_count++;
    make_page(t, p);
    ask_for_a_place(t, p);
    if (session_admit(&t->w, t->config, t->route, &p->request, &o.ticket, &why) != 0) {
        p->gone = true;
        return;
    }
    was_there = the_kept(t) != NULL;
    place = has_place(t, p);
    same = is_of(the_kept(t), p);
    asked = p->request.has_got;
    got = p->request.got;
    p->next = asked ? got + 1 : 0;
    p->of = far_to_come(t);
    session_start(&o);
    if (p->code == SESSION_NOT_THERE)
        assert_true(asked && !same);
    if (p->code == SESSION_GAP && p->gone) /* else it was too slow afterwards */
        assert_true(asked && was_there && same && !place);
    if (asked && !place)
        assert_true(p->gone);
    t->refused += p->gone;
    t->resumed += asked && !p->gone;
}

static void tell_page_says(struct world *t)
{
    struct visitor *p = some_page(t);
    char text[64];

    if (p == NULL || p->gone || !p->upgraded || p->out_len > sizeof p->out / 2)
        return;
    (void)snprintf(text, sizeof text, "%sp%u.%u", p->counts ? "\1" : "", p->number, ++p->said);
    if (p->counts)
        text[0] = CHANNEL_INPUT;
    page_send(p, 0x81, text, strlen(text + 1) + 1);
}

static void tell_page_has_got(struct world *t)
{
    struct visitor *p = some_page(t);
    uint64_t got;
    char text[64];

    if (p == NULL || p->gone || !p->upgraded || !p->counts)
        return;
    got = pick(8) ? p->has : pick(2) ? p->has / 2 : p->has + 100; /* now, long ago, a lie */
    p->lied |= got > p->has;
    (void)snprintf(text, sizeof text, "%c{\"got\":%" PRIu64 "}", CHANNEL_ABOUT, got);
    page_send(p, 0x81, text, strlen(text));
}

static void tell_page_closes(struct world *t)
{
    struct visitor *p = some_page(t);

    if (p == NULL || p->gone || !p->upgraded || p->leaves || pick(3))
        return;
    p->leaves = true;
    page_send(p, 0x88, pick(2) ? "\x03\xe8" : "\x03\xe9", 2); /* 1000, 1001 */
}

/* What it has sent is read, cut anywhere. */
static void tell_page_data(struct world *t)
{
    struct visitor *p = some_page(t);
    uint8_t *at = t->w.rx + WORKER_HEADROOM;
    const struct session_kept *kept;
    const struct member *m;
    bool farewell;
    size_t n;

    if (p == NULL || !p->upgraded || p->gone || p->paused || p->out_len == 0)
        return;
    n = pick(3) ? p->out_len : 1 + pick((unsigned)p->out_len);
    memcpy(at, p->out, n);
    p->out_len -= n;
    memmove(p->out, p->out + n, p->out_len);
    m = (struct member *)((struct client *)stream_owner(&p->s))->owner;
    farewell = p->leaves && p->out_len == 0 && at[n - 1] == 0xe8 && m->attached &&
               m->client->state == CLIENT_OPEN && session_is_private(m->session);
    kept = session_kept(m->session);
    p->s.events->data(stream_owner(&p->s), at, n);
    if (farewell && m->client->closer == CLOSED_BY_CLIENT)
        assert_true(kept->code != 0); /* the visitor has ended it; memory stays for this turn */
}

static void drain_page(struct visitor *p)
{
    if (p->gone || p->queued == 0)
        return;
    page_catches_up(p);
    p->s.events->drained(stream_owner(&p->s));
}

static void tell_page_drained(struct world *t)
{
    if (t->page_count > 0)
        drain_page(some_page(t));
}

static void close_page(struct visitor *p)
{
    if (p->gone)
        return;
    p->s.events->closed(stream_owner(&p->s), pick(2) ? 0 : 104);
    assert_true(p->gone);
}

static void tell_page_closed(struct world *t)
{
    if (t->page_count > 0 && pick(2))
        close_page(some_page(t));
}

static void tell_opened(struct world *t)
{
    struct far *f = some_far(t);

    if (f == NULL || f->opened)
        return;
    f->opened = true;
    f->b.events->opened(f->b.owner);
}

static void tell_failed(struct world *t)
{
    struct far *f = some_far(t);

    if (f == NULL || f->opened || pick(4))
        return;
    f->over = true;
    f->b.events->failed(f->b.owner, 502, "made up");
    assert_false(f->exists);
}

/* Up to a few hundred bytes a message: the ring holds some ten of them. */
static void tell_far_data(struct world *t)
{
    struct far *f = some_far(t);
    uint8_t *at = t->w.rx + WORKER_HEADROOM;
    size_t n = 0;

    if (f == NULL || !f->opened || f->paused || f->said_eof)
        return;
    for (unsigned i = 1 + pick(8); i > 0; i--) {
        n += (size_t)sprintf((char *)at + n, "m%u.%" PRIu64 ".%0*d\n", (unsigned)(f - t->fars) + 1,
                             ++f->said, 1 + (int)pick(300), 0);
    }
    f->b.events->data(f->b.owner, at, n);
}

static void tell_far_drained(struct world *t)
{
    struct far *f = some_far(t);

    if (f == NULL || !f->opened || f->queued == 0)
        return;
    f->delivered += f->queued;
    f->queued = 0;
    f->b.events->drained(f->b.owner);
}

static void tell_far_eof(struct world *t)
{
    struct far *f = some_far(t);

    if (f == NULL || !f->opened || f->said_eof || pick(8))
        return;
    f->said_eof = true;
    f->b.events->eof(f->b.owner);
}

static void end_far(struct far *f)
{
    const struct backend_end end = {.how = pick(2) ? BACKEND_EXITED : BACKEND_CLEAN};

    const struct session *s = f->b.owner;

    f->over = true;
    f->ended_well = end.how == BACKEND_EXITED && session_kept(s)->code == 0;
    f->b.events->ended(f->b.owner, &end);
    assert_false(f->exists);
}

static void tell_far_ended(struct world *t)
{
    struct far *f = some_far(t);

    if (f != NULL && f->opened && (f->stopped || pick(8) == 0))
        end_far(f);
}

/* As libev does before it calls. */
static void fire(struct world *t, ev_timer *timer)
{
    ev_timer_stop(t->w.loop, timer);
    ev_cb(timer)(t->w.loop, timer, EV_TIMER);
}

static void fire_all(struct world *t)
{
    struct session *s, *next;

    for (unsigned i = 0; i < t->page_count; i++) {
        if (!t->pages[i].gone && ev_is_active(&t->pages[i].s.timer))
            fire(t, &t->pages[i].s.timer);
    }
    for (s = LIST_FIRST(&t->core.sessions->all); s != NULL; s = next) {
        next = LIST_NEXT(s, link);
        if (session_kept(s) != NULL && ev_is_active(&session_kept(s)->timer))
            fire(t, &session_kept(s)->timer);
    }
}

static void tell_timers(struct world *t)
{
    static const double leaps[] = {0, 0.05, 1, 1.5, 3, 10, 30};

    t->w.now += leaps[pick(7)];
    fire_all(t);
}

static void tell_kick(struct world *t)
{
    struct session *s = LIST_FIRST(&t->core.sessions->all);

    if (s != NULL && pick(20) == 0)
        session_kick(s, "kicked");
}

static void tell_shut(struct world *t)
{
    if (pick(40) == 0)
        sessions_shut(&t->w, "stopped", pick(2));
}

static void (*const tell[])(struct world *t) = {
    tell_comes,        tell_comes,        tell_page_says,   tell_page_says,   tell_page_says,
    tell_page_data,    tell_page_data,    tell_page_data,   tell_page_data,   tell_page_data,
    tell_page_drained, tell_page_drained, tell_page_closed, tell_page_closes, tell_page_has_got,
    tell_opened,       tell_opened,       tell_opened,      tell_failed,      tell_far_data,
    tell_far_data,     tell_far_data,     tell_far_data,    tell_far_drained, tell_far_drained,
    tell_far_eof,      tell_far_ended,    tell_timers,      tell_timers,      tell_kick,
    tell_shut,
};
#define TELLERS (sizeof tell / sizeof tell[0])

/* ---- what holds after each of them ---- */

static struct visitor *visitor_of(const struct member *m)
{
    return page_of(m->client->stream);
}

static void check_member(const struct session *s, const struct member *m)
{
    const struct session_kept *k = session_kept(s);
    struct visitor *p = visitor_of(m);
    const struct member *other;

    assert_true(m->attached);
    assert_int_not_equal(m->client->state, CLIENT_OVER);
    assert_in_range(m->next, 1, k->ring.next);
    assert_true(m->got < m->next);
    assert_true(m->got >= p->known_got); /* an old word of it means nothing */
    p->known_got = m->got;
    if (m->client->state == CLIENT_OPEN) {
        assert_int_equal(p->paused, k->blocked || m->client->deferred);
        assert_true(m->got <= p->has || p->lied || m->got + 1 == k->ring.first || p->has == 0 ||
                    p->request.has_got);
    }
    /* it is not known to have that; where it is alone */
    if (session_is_private(s) && !m->silent && session_settings(s)->join != JOIN_WRITE)
        assert_true(k->ring.first <= m->got + 1);
    if (m->sender == NULL)
        return;
    assert_ptr_equal(m->sender->member, m);
    LIST_FOREACH(other, &k->members, link)
    {
        assert_true(other == m || other->sender != m->sender); /* one page, one connection */
    }
}

static struct far *far_of_session(struct world *t, const struct session *s)
{
    for (unsigned i = t->far_count; i-- > 0;) {
        if (t->fars[i].b.owner == s)
            return &t->fars[i];
    }
    return NULL;
}

/* While nobody is there. */
static void check_detached(const struct session *s, struct far *f)
{
    const struct session_kept *k = session_kept(s);

    if (k->code != 0 || f == NULL)
        return;
    if (k->count == 0 && f->detached_since > 0 && session_is_private(s))
        assert_int_equal(k->ring.first, f->kept_from); /* it may all be asked for */
    f->kept_from = k->ring.first;
    f->detached_since = k->count == 0 ? k->detached_since : 0;
    assert_int_equal(s->ticket != NULL, k->count == 0);
}

static void check_end(struct world *t, const struct session *s, const struct far *f)
{
    const struct session_kept *k = session_kept(s);
    const char *reason = client_extra(s->client)->reason;

    assert_false(k->in_table && k->code != 0 && k->told); /* who comes now begins anew */
    if (reason != NULL && strcmp(reason, "nobody came back") == 0 && f != NULL)
        assert_true(f->detached_since > 0 &&
                    t->w.now - f->detached_since >= t->route->settings.detach);
}

static void check_kept(struct world *t, const struct session *s)
{
    const struct session_kept *k = session_kept(s);
    struct far *f = far_of_session(t, s);
    const struct member *m;
    const struct sender *sender;
    size_t count = 0, ready = 0;

    LIST_FOREACH(m, &k->members, link)
    {
        check_member(s, m);
        count++;
        ready += m->ready;
    }
    LIST_FOREACH(m, &k->leaving, link)
    {
        assert_false(m->attached || m->ready);
        assert_int_not_equal(m->client->state, CLIENT_OVER);
    }
    LIST_FOREACH(sender, &k->senders, link)
    {
        assert_true(sender->member == NULL || sender->member->attached);
    }
    assert_int_equal(k->count, count);
    assert_int_equal(k->ready, ready);
    assert_true((k->count == 0) == (k->detached_since > 0));
    if (session_is_private(s) && session_settings(s)->join != JOIN_WRITE)
        assert_true(k->count <= 1);
    if (f != NULL)
        memcpy(f->id, k->id, sizeof f->id);
    check_detached(s, f);
    check_end(t, s, f);
    if (k->code != 0 || s->backend == NULL || s->state != SESSION_RUNNING)
        return;
    assert_int_equal(far_of(s->backend)->paused, s->backend_paused);
    if (!session_is_private(s))
        assert_int_equal(s->backend_paused, count > 0 && ready == 0);
}

static void check_world(struct world *t)
{
    const struct session *s;
    size_t count = 0, memory = 0, tabled = 0;

    LIST_FOREACH(s, &t->core.sessions->all, link)
    {
        assert_non_null(session_kept(s));
        check_kept(t, s);
        count++;
        memory += ring_memory(&session_kept(s)->ring);
        tabled += session_kept(s)->in_table;
    }
    assert_int_equal(t->core.sessions->count, count);
    assert_int_equal(t->core.sessions->replay_memory, memory);
    assert_true(tabled <= 1); /* all pages mean the same session */
    assert_int_equal(HASH_COUNT(t->core.sessions->by_key), tabled);
}

/* Who takes all that it is sent gets all that was said, whatever has happened before. */
static void check_all_arrives(struct world *t)
{
    bool moved = true;

    for (unsigned turn = 0; moved; turn++) {
        assert_true(turn < 100);
        moved = false;
        for (unsigned i = 0; i < t->page_count; i++) {
            moved |= !t->pages[i].gone && t->pages[i].queued > 0;
            drain_page(&t->pages[i]);
        }
    }
    for (unsigned i = 0; i < t->page_count; i++) {
        const struct visitor *p = &t->pages[i];

        if (!p->gone && p->upgraded && !p->closed_sent && p->of->said > 0)
            assert_int_equal(p->next, p->of->said + 1);
    }
}

/* All pages leave, all backends end when they are told to, and time goes by: nothing is left. */
static void finish(struct world *t)
{
    for (unsigned i = 0; i < t->page_count; i++)
        close_page(&t->pages[i]);
    for (unsigned turn = 0; turn < 8 && t->core.sessions->count > 0; turn++) {
        check_world(t);
        for (unsigned i = 0; i < t->far_count; i++) {
            struct far *f = &t->fars[i];

            if (f->exists && !f->over && !f->opened) {
                f->opened = true;
                f->b.events->opened(f->b.owner);
            }
            if (f->exists && !f->over && f->stopped)
                end_far(f);
        }
        t->w.now += 31;
        fire_all(t);
    }
    check_world(t);
    assert_int_equal(t->core.sessions->count, 0);
    for (unsigned i = 0; i < t->far_count; i++)
        assert_false(t->fars[i].exists);
    assert_int_equal(t->route->stats->active, 0);
    ev_run(t->w.loop, EVRUN_NOWAIT); /* the end of a turn: memory goes */
}

static void one_round(struct world *t, unsigned number)
{
    unsigned events;

    random_state = 0x9e3779b97f4a7c15ULL * (number + 1);
    events = 1 + pick(EVENTS_MAX);
    t->page_count = t->far_count = 0;
    set_up_route(t);
    for (unsigned i = 0; i < events; i++) {
        tell[pick(TELLERS)](t);
        check_world(t);
    }
    check_all_arrives(t);
    check_world(t);
    if (pick(8) == 0)
        sessions_drop(&t->w);
    for (unsigned i = 0; i < t->page_count; i++)
        t->taken_over += t->pages[i].code == SESSION_TAKEN_OVER;
    finish(t);
}

static void test_pages_in_random_orders(void **state)
{
    struct world *t = calloc(1, sizeof *t);

    (void)state;
    assert_non_null(t);
    world_open(t);
    for (unsigned i = 0; i < ROUNDS; i++)
        one_round(t, i);
    /* all of it came about */
    assert_true(t->resumed > 0 && t->refused > 0 && t->taken_over > 0 && t->gaps > 0 &&
                t->skips > 0 && t->counted > 0 && t->told_late > 0);
    world_close(t);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_in_random_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
