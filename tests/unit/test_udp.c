/* SPDX-License-Identifier: MIT */
/* backend/udp_queue: the oldest go first. backend/udp_source: whose address is whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "backend/udp_queue.h"
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
