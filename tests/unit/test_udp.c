/* SPDX-License-Identifier: MIT */
/* backend/udp_queue: the oldest go first. backend/udp_source: whose address is whose.
 * backend/udp_flow: a socket that takes nothing for a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/udp_flow.h"
#include "backend/udp_source.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void add(struct udp_queue *q, double now, const char *text)
{
    udp_queue_add(q, now, text, strlen(text));
}

/* All that is there at that time, '|' behind each. */
static void check(struct udp_queue *q, double now, const char *want)
{
    char got[256];
    struct iovec d;
    size_t n = 0;

    while (udp_queue_first(q, now, &d)) {
        memcpy(got + n, d.iov_base, d.iov_len);
        n += d.iov_len;
        got[n++] = '|';
        udp_queue_pop(q);
    }
    got[n] = '\0';
    assert_string_equal(got, want);
    assert_int_equal(q->count, 0);
    assert_null(q->entries.block); /* empty: it owns nothing */
}

static void in_order_with_their_borders(void **state)
{
    struct udp_queue q = {.max = 10, .age = 1};
    (void)state;

    add(&q, 0, "one");
    add(&q, 0, "");
    add(&q, 0, "three");
    check(&q, 0, "one||three|");
    assert_int_equal(q.dropped, 0);
}

static void too_many(void **state)
{
    struct udp_queue q = {.max = 3, .age = 1};
    (void)state;

    for (char text[] = "a"; text[0] <= 'e'; text[0]++)
        add(&q, 0, text);
    assert_int_equal(q.count, 3);
    check(&q, 0, "c|d|e|");
    assert_int_equal(q.dropped, 2);
    assert_int_equal(q.dropped_bytes, 2);
}

static void too_old(void **state)
{
    struct udp_queue q = {.max = 10, .age = 0.5};
    (void)state;

    add(&q, 10.0, "old");
    add(&q, 10.4, "young");
    add(&q, 10.6, "new"); /* that drops the old one already */
    assert_int_equal(q.count, 2);
    check(&q, 10.95, "new|");
    assert_int_equal(q.dropped, 2);
    assert_int_equal(q.dropped_bytes, 8);
}

static void too_many_bytes(void **state)
{
    struct udp_queue q = {.max = 65536, .age = 1};
    uint8_t *datagram = calloc(1, UDP_QUEUE_BYTES + 1);
    struct iovec d;
    (void)state;

    assert_non_null(datagram);
    for (int i = 0; i < 20; i++) {
        datagram[0] = (uint8_t)i;
        udp_queue_add(&q, 0, datagram, 65507);
        assert_true(buf_len(&q.entries) <= UDP_QUEUE_BYTES);
    }
    assert_int_equal(q.count, 4);
    assert_true(udp_queue_first(&q, 0, &d));
    assert_int_equal(*(uint8_t *)d.iov_base, 17 - 1);
    udp_queue_add(&q, 0, datagram, UDP_QUEUE_BYTES + 1); /* one always fits */
    assert_int_equal(q.count, 1);
    assert_int_equal(q.dropped, 20);
    udp_queue_release(&q);
    assert_int_equal(q.dropped, 21);
    assert_null(q.entries.block);
    udp_queue_release(&q);
    free(datagram);
}

static union addr addr_of(const char *host)
{
    union addr a = {0};

    assert_true(addr_parse_host(slice_from(host), 27015, &a));
    return a;
}

static uint32_t source_of(const char *to, uint64_t number)
{
    union addr server = addr_of(to), own;

    assert_true(udp_source_of_number(&server, number, &own));
    assert_int_equal(own.sa.sa_family, AF_INET);
    assert_int_equal(own.v4.sin_port, 0);
    return ntohl(own.v4.sin_addr.s_addr);
}

static void sources_differ_and_are_never_taken(void **state)
{
    static const char *const servers[] = {"127.1.0.5"};
    static uint8_t seen[1 << 21];
    (void)state;

    for (size_t i = 0; i < COUNT(servers); i++) {
        union addr server = addr_of(servers[i]);
        uint32_t taken = ntohl(server.v4.sin_addr.s_addr);
        uint32_t count = 0x7ffffffe - 0x7f010000 + 1 - (taken >= 0x7f010000);

        memset(seen, 0, sizeof seen);
        for (uint64_t n = 1000; n < 1000 + (uint64_t)count; n++) {
            uint32_t host = source_of(servers[i], n), low = host & 0xffffff;

            if (host < 0x7f010000 || host > 0x7ffffffe || host == taken ||
                (seen[low >> 3] & 1 << (low & 7)))
                fail_msg("%s: number %llu has %x", servers[i], (unsigned long long)n, host);
            seen[low >> 3] |= (uint8_t)(1 << (low & 7));
        }
    }
    assert_int_equal(source_of("127.1.0.0", 0), 0x7f010001);
    assert_int_equal(source_of("127.255.255.254", 0xfeffff - 1), 0x7f010000); /* around */
}

static void sources_for_this_machine_only(void **state)
{
    static const char *const servers[] = {"192.0.2.1", "126.255.255.255", "128.0.0.1", "::1"};
    union addr own;
    (void)state;

    for (size_t i = 0; i < COUNT(servers); i++) {
        union addr server = addr_of(servers[i]);

        assert_false(udp_source_of_number(&server, 1, &own));
    }
}

static void a_client_keeps_its_number(void **state)
{
    static const char *const others[] = {"192.0.2.2", "192.0.3.1", "2001:db8::1",
                                         "2001:db8:0:1::1"};
    union addr client = addr_of("192.0.2.1"), same = addr_of("::ffff:192.0.2.1");
    union addr near = addr_of("2001:db8::2:3"), own = addr_of("2001:db8::1");
    (void)state;

    addr_set_port(&same, 1);
    assert_int_equal(udp_source_number(&client), udp_source_number(&same));
    assert_int_equal(udp_source_number(&near), udp_source_number(&own)); /* one /64 */
    for (size_t i = 0; i < COUNT(others); i++) {
        union addr other = addr_of(others[i]);

        assert_int_not_equal(source_of("127.0.0.1", udp_source_number(&client)),
                             source_of("127.0.0.1", udp_source_number(&other)));
    }
}

static void on_event(struct ev_loop *loop, ev_io *io, int revents)
{
    struct be_udp *u = io->data;
    (void)loop;

    if (revents & EV_WRITE)
        udp_flow_writable(u);
}

/* A message of 4 bytes, as the framing has it. */
static void write_number(struct be_udp *u, uint32_t number)
{
    uint8_t record[] = {0, 0, 0, 4, 0, 0, 0, 0};

    memcpy(record + 4, &number, 4);
    udp_flow_write(u, record, sizeof record);
}

/* How many lie there; *last becomes the last one's number. They are in order. */
static uint32_t read_numbers(int fd, uint32_t *last)
{
    uint32_t number, n = 0;

    for (; recv(fd, &number, sizeof number, MSG_DONTWAIT) == sizeof number; n++) {
        assert_true(n == 0 || number > *last);
        *last = number;
    }
    return n;
}

/* A datagram socket of Unix has room for a few datagrams only, then it says EAGAIN, as one of UDP
 * does when the network takes nothing. */
static void server_side_is_full(void **state)
{
    struct worker w = {0};
    struct config config = {0};
    struct route route = {.config = &config, .settings = {.max_message = 1000}};
    struct stats_route stats = {0};
    struct be_udp u = {.worker = &w, .route = &route, .stats = &stats};
    uint32_t sent = 0, first, second, last = 0;
    int fds[2];
    (void)state;

    assert_int_equal(worker_init(&w), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
    u.fd = fds[0];
    u.to_server = (struct udp_queue){.max = 5, .age = 1000};
    ev_io_init(&u.io, on_event, u.fd, EV_READ);
    u.io.data = &u;
    ev_io_start(w.loop, &u.io);

    while (u.to_server.dropped < 3 && sent < 100000)
        write_number(&u, ++sent);
    assert_int_equal(u.to_server.count, 5); /* the newest wait */
    assert_int_equal(stats.datagrams_dropped[STATS_BACKEND][STATS_DROP_QUEUE], 3);
    first = read_numbers(fds[1], &last);
    assert_int_equal(last, first);
    assert_int_equal(sent, first + 3 + 5);

    for (int i = 0; u.to_server.count > 0 && i < 100; i++)
        ev_run(w.loop, EVRUN_ONCE);
    second = read_numbers(fds[1], &last);
    assert_int_equal(second, 5);
    assert_int_equal(last, sent);
    assert_int_equal(u.sent_bytes, 4 * (first + second));

    write_number(&u, ++sent); /* at once again */
    assert_int_equal(read_numbers(fds[1], &last), 1);
    ev_run(w.loop, EVRUN_NOWAIT);
    assert_false(u.io.events & EV_WRITE);
    ev_io_stop(w.loop, &u.io);
    close(fds[0]);
    close(fds[1]);
    worker_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_with_their_borders),
        cmocka_unit_test(too_many),
        cmocka_unit_test(too_old),
        cmocka_unit_test(too_many_bytes),
        cmocka_unit_test(sources_differ_and_are_never_taken),
        cmocka_unit_test(sources_for_this_machine_only),
        cmocka_unit_test(a_client_keeps_its_number),
        cmocka_unit_test(server_side_is_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
