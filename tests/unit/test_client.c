/* SPDX-License-Identifier: MIT */
/* core/client: what one WebSocket is answered, frame by frame, with a made-up stream and owner.
 * (What it does in all orders of events is asked by test_session.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend.h"
#include "core/client/client_impl.h"
#include "core/core.h"
#include "core/request.h"
#include "proto/framing.h"
#include "proto/tty.h"

struct bench {
    struct stream stream;
    struct client_owner owner;
    union {
        struct worker w;
        struct core core;
    };
    struct config *config;
    struct route *route;
    struct request request;
    char *argv[2];
    struct client *client;
    size_t queued; /* what waits for the client */
    unsigned writes;
    char sent[16384]; /* to it: "[a:text]" for each frame, a its opcode in hex */
    char input[16384];
    unsigned columns, rows;
};

static struct bench *bench_of(const struct stream *s)
{
    return (struct bench *)(uintptr_t)s;
}

static struct bench *owner_bench(const struct client_owner *o)
{
    return (struct bench *)((char *)(uintptr_t)o - offsetof(struct bench, owner));
}

/* ---- the made-up stream ---- */

static struct request *fake_request(const struct stream *s)
{
    return &bench_of(s)->request;
}

static void fake_upgrade(struct stream *s, const char *accept, struct slice subprotocol,
                         const char *extensions)
{
    (void)s;
    (void)accept;
    (void)subprotocol;
    (void)extensions;
}

static void fake_write(struct stream *s, const void *data, size_t n)
{
    struct bench *b = bench_of(s);
    const uint8_t *p = data, *end = p + n;

    b->writes++;
    while (p < end) {
        size_t len = p[1] & 0x7f, header = 2, at = strlen(b->sent);

        if (len == 126) {
            len = (size_t)(p[2] << 8 | p[3]);
            header = 4;
        }
        assert_true(end - p >= (ptrdiff_t)(header + len));
        (void)snprintf(b->sent + at, sizeof b->sent - at, "[%x:%.*s]", p[0] & 0x0fU, (int)len,
                       (const char *)p + header);
        p += header + len;
    }
}

static size_t fake_queued(const struct stream *s)
{
    return bench_of(s)->queued;
}

static void fake_pause(struct stream *s, bool paused)
{
    (void)s;
    (void)paused;
}

static uint64_t fake_delivered(const struct stream *s)
{
    (void)s;
    return 0;
}

static double fake_now(const struct stream *s)
{
    return s->worker->now;
}

static bool fake_peer_finished(const struct stream *s)
{
    (void)s;
    return false;
}

static void fake_end(struct stream *s)
{
    ev_timer_stop(s->worker->loop, &s->timer);
}

static const struct stream_ops stream_ops = {
    .request = fake_request,
    .upgrade = fake_upgrade,
    .write = fake_write,
    .queued = fake_queued,
    .pause = fake_pause,
    .delivered = fake_delivered,
    .pending = fake_queued,
    .last_rx = fake_now,
    .last_tx = fake_now,
    .peer_finished = fake_peer_finished,
    .end = fake_end,
    .abort = fake_end,
};

/* ---- the made-up owner ---- */

static void on_input(struct client_owner *o, const uint8_t *p, size_t n)
{
    char *input = owner_bench(o)->input;
    size_t at = strlen(input);

    assert_true(at + n < sizeof owner_bench(o)->input);
    memcpy(input + at, p, n);
}

static void on_message(struct client_owner *o, bool text, bool last, const uint8_t *p, size_t n)
{
    (void)o;
    (void)text;
    (void)last;
    (void)p;
    (void)n;
}

static void on_nothing(struct client_owner *o)
{
    (void)o;
}

static void on_resize(struct client_owner *o, uint16_t columns, uint16_t rows)
{
    owner_bench(o)->columns = columns;
    owner_bench(o)->rows = rows;
}

static bool on_signal(struct client_owner *o, int number)
{
    (void)o;
    (void)number;
    return false;
}

static bool on_blocked(const struct client_owner *o)
{
    (void)o;
    return false;
}

static const struct client_events events = {
    .input = on_input,
    .message = on_message,
    .farewell = on_nothing,
    .finish = on_nothing,
    .resize = on_resize,
    .signal = on_signal,
    .blocked = on_blocked,
    .timer = on_nothing,
    .settle = on_nothing,
};

static const struct backend_ops far = {.name = "made up"};

/* ---- the bench ---- */

static int begin(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    b->w.log = (struct log){.fd = -1, .level = LOG_ERROR};
    assert_int_equal(worker_init(&b->w), 0);
    b->core.stats = stats_new();
    b->config = config_new();
    assert_non_null(b->config);
    b->route = config_add_route(b->config);
    assert_non_null(b->route);
    b->argv[0] = strdup("true");
    b->route->path = "/";
    b->route->static_fd = -1;
    b->route->target.argv = b->argv;
    b->route->backend = &far;
    b->route->framing = &framing_stream;
    b->route->settings = (struct settings){.max_message = 65536, .close_timeout = 2};
    stats_apply(&b->w, b->config);
    b->stream = (struct stream){.ops = &stream_ops, .worker = &b->w};
    ev_init(&b->stream.timer, NULL);
    b->owner = (struct client_owner){.events = &events, .worker = &b->w, .route = b->route};
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;

    client_lose(b->client, "the test is over");
    client_release(b->client);
    free(b->client);
    free(b->argv[0]);
    b->route->target.argv = NULL;
    config_release(b->config);
    stats_free(&b->w);
    worker_release(&b->w);
    free(b);
    return 0;
}

/* The client, open. */
static void open_client(struct bench *b, bool speaks_tty, bool echoes)
{
    char accept[HANDSHAKE_ACCEPT_SIZE] = "accept";
    const struct client_open o = {
        .owner = &b->owner,
        .stream = &b->stream,
        .accept = accept,
        .framing = b->route->framing,
        .speaks_tty = speaks_tty,
        .echoes = echoes,
    };

    b->client = calloc(1, sizeof *b->client + 64); /* of an origin, all empty */
    assert_non_null(b->client);
    assert_int_equal(client_init(b->client, &o), 0);
    client_begin(b->client);
    assert_int_equal(b->client->state, CLIENT_OPEN);
}

static size_t put(uint8_t *to, uint8_t first, const char *p, size_t n)
{
    size_t header = n < 126 ? 2 : 4;

    to[0] = first;
    to[1] = (uint8_t)(0x80 | (n < 126 ? n : 126));
    if (header == 4) {
        to[2] = (uint8_t)(n >> 8);
        to[3] = (uint8_t)n;
    }
    memset(to + header, 0, 4); /* a key that changes nothing */
    memcpy(to + header + 4, p, n);
    return header + 4 + n;
}

static uint8_t *rx(struct bench *b)
{
    return b->w.rx + WORKER_HEADROOM;
}

static void tell(struct bench *b, size_t n)
{
    b->stream.events->data(stream_owner(&b->stream), rx(b), n);
}

static void tell_frame(struct bench *b, uint8_t first, const char *p, size_t n)
{
    tell(b, put(rx(b), first, p, n));
}

/* ---- pings ---- */

/* However many stand in one read; and they leave in one write. */
static void each_ping_of_a_read_is_answered(void **state)
{
    struct bench *b = *state;
    char want[16384] = "", text[126];
    size_t n = 0;

    open_client(b, false, false);
    for (int i = 0; i < 100; i++) {
        size_t len = (size_t)snprintf(text, sizeof text, "%0*d", 1 + i, i);

        n += put(rx(b) + n, 0x89, text, len);
        (void)snprintf(want + strlen(want), sizeof want - strlen(want), "[a:%s]", text);
    }
    tell(b, n);
    assert_string_equal(b->sent, want);
    assert_int_equal(b->writes, 1);
}

/* RFC 6455, section 5.5.3: one answer, to the last. */
static void of_late_pongs_the_last_is_kept(void **state)
{
    struct bench *b = *state;

    open_client(b, false, false);
    b->queued = 1;
    tell(b, put(rx(b), 0x89, "first", 5));
    tell(b, put(rx(b), 0x89, "second", 6));
    tell(b, put(rx(b), 0x89, "3", 1));
    assert_string_equal(b->sent, "");
    b->queued = 0;
    b->stream.events->drained(b->client);
    assert_string_equal(b->sent, "[a:3]");
    b->stream.events->drained(b->client);
    assert_string_equal(b->sent, "[a:3]"); /* once */
}

static void no_pong_goes_behind_a_close(void **state)
{
    struct bench *b = *state;

    open_client(b, false, false);
    b->queued = 1;
    tell_frame(b, 0x89, "late", 4);
    client_close(b->client, WS_CODE_NORMAL, "", CLOSED_BY_SERVER);
    b->queued = 0;
    b->stream.events->drained(b->client);
    tell_frame(b, 0x89, "later", 5);
    assert_non_null(strstr(b->sent, "[8:"));
    assert_null(strstr(b->sent, "[a:"));
}

static size_t echo_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    return ws_write_header(out, opcode, len);
}

static const struct framing echo_framing = {
    .name = "message", .assembles = true, .opcode_out = WS_BINARY, .prefix = echo_prefix};

/* The echo answers in the order that it was asked in. */
static void an_echo_keeps_pongs_in_their_place(void **state)
{
    struct bench *b = *state;
    size_t n = 0;

    b->route->framing = &echo_framing;
    open_client(b, false, true);
    n += put(rx(b) + n, 0x89, "1", 1);
    n += put(rx(b) + n, 0x82, "said", 4);
    n += put(rx(b) + n, 0x89, "2", 1);
    tell(b, n);
    assert_string_equal(b->sent, "[a:1][2:said][a:2]");
}

/* A reason may have 123 bytes; of a longer one the rest is left out. */
static void long_reasons_are_cut(void **state)
{
    struct bench *b = *state;
    char reason[200];

    open_client(b, false, false);
    memset(reason, 'r', sizeof reason);
    reason[sizeof reason - 1] = '\0';
    client_close(b->client, WS_CODE_POLICY, reason, CLOSED_BY_SERVER);
    assert_memory_equal(b->sent, "[8:\x03\xf0rrr", 8);
    assert_int_equal(strlen(b->sent), 3 + WS_CONTROL_MAX + 1);
}

/* ---- the terminal protocol ---- */

/* A JSON order of n bytes behind its letter. */
static void order(char *to, const char *letter, size_t n)
{
    int used = snprintf(to, n + 1, "%s{\"columns\":90,\"rows\":30,\"x\":\"", letter);

    memset(to + used, 'x', n - (size_t)used);
    memcpy(to + n - 2, "\"}", 2);
}

/* The limit is what an order says behind its letter; the first message has none. */
static void check_order(struct bench *b, const char *letter, size_t n, bool in_pieces, bool good)
{
    static char text[TTY_ORDER_MAX + 8];
    size_t first = in_pieces ? n / 2 : 0;

    b->columns = 0;
    order(text, letter, n);
    if (in_pieces)
        tell_frame(b, 0x02, text, first);
    tell_frame(b, in_pieces ? 0x80 : 0x82, text + first, n - first);
    assert_int_equal(b->client->state == CLIENT_OPEN, good);
    assert_int_equal(b->columns, good ? 90 : 0);
    if (!good)
        assert_int_equal(b->client->code, WS_CODE_TOO_BIG);
}

static void the_first_order_may_have_4096_bytes(void **state)
{
    struct bench *b = *state;

    open_client(b, true, false);
    check_order(b, "", TTY_ORDER_MAX, false, true);
}

static void a_first_order_of_4097_bytes_is_too_big(void **state)
{
    struct bench *b = *state;

    open_client(b, true, false);
    check_order(b, "", TTY_ORDER_MAX + 1, false, false);
}

static void later_orders_have_the_same_limit(void **state)
{
    struct bench *b = *state;

    open_client(b, true, false);
    tell_frame(b, 0x82, "{}", 2);
    for (int in_pieces = 0; in_pieces < 2; in_pieces++)
        check_order(b, "1", 1 + TTY_ORDER_MAX, in_pieces, true);
    check_order(b, "1", 1 + TTY_ORDER_MAX + 1, true, false);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(each_ping_of_a_read_is_answered),
        TEST(of_late_pongs_the_last_is_kept),
        TEST(no_pong_goes_behind_a_close),
        TEST(an_echo_keeps_pongs_in_their_place),
        TEST(long_reasons_are_cut),
        TEST(the_first_order_may_have_4096_bytes),
        TEST(a_first_order_of_4097_bytes_is_too_big),
        TEST(later_orders_have_the_same_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
