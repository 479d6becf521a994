/* SPDX-License-Identifier: MIT */
/* base/cidr: which texts are networks, and who is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/cidr.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static union addr addr_of(const char *host)
{
    union addr a = {0};

    if (strcmp(host, "unix") == 0)
        a.sa.sa_family = AF_UNIX;
    else if (strcmp(host, "none") != 0)
        assert_true(addr_parse_host(slice_from(host), 12345, &a));
    return a;
}

static void networks_and_who_is_in(void **state)
{
    static const struct {
        const char *network, *in[4], *out[6];
    } rows[] = {
        {"0.0.0.0/0", {"0.0.0.0", "255.255.255.255", "127.0.0.1"}, {"::", "unix", "none"}},
        {"::/0", {"::", "::1", "ffff::"}, {"127.0.0.1", "0.0.0.0", "unix", "none"}},
        {"10.0.0.0/8", {"10.0.0.0", "10.255.255.255"}, {"9.255.255.255", "11.0.0.0", "::a00:0"}},
        {"10.0.0.1", {"10.0.0.1"}, {"10.0.0.0", "10.0.0.2", "11.0.0.1"}},
        {"10.0.0.1/32", {"10.0.0.1"}, {"10.0.0.0", "10.0.0.3", "138.0.0.1"}},
        {"10.0.0.2/31", {"10.0.0.2", "10.0.0.3"}, {"10.0.0.1", "10.0.0.4"}},
        {"192.168.128.0/17", {"192.168.128.0", "192.168.255.255"}, {"192.168.127.255"}},
        {"172.16.0.0/12", {"172.16.0.0", "172.31.255.255"}, {"172.15.255.255", "172.32.0.0"}},
        {"128.0.0.0/1", {"128.0.0.0", "255.0.0.1"}, {"127.255.255.255", "0.0.0.0"}},
        {"192.0.0.0/9", {"192.127.255.255"}, {"192.128.0.0", "191.0.0.0"}},
        {"::1", {"::1"}, {"::", "::2", "127.0.0.1", "0.0.0.1"}},
        {"::1/128", {"::1"}, {"::", "::3", "8000::1"}},
        {"[::1]", {"::1"}, {"::2"}},
        {"2001:db8::/32", {"2001:db8::", "2001:db8:ffff::1"}, {"2001:db7::", "2001:db9::"}},
        {"2001:db8::/127", {"2001:db8::", "2001:db8::1"}, {"2001:db8::2"}},
        {"2001:db8:0:80::/57", {"2001:db8:0:ff:1::"}, {"2001:db8:0:7f::", "2001:db8:0:100::"}},
        {"fc00::/7", {"fc00::", "fdff::1"}, {"fe00::", "fbff::"}},
        {"8000::/1", {"8000::", "ffff::"}, {"7fff::", "::"}},
        {"unix", {"unix"}, {"127.0.0.1", "::1", "none"}},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cidr c;
        const char *wrong = cidr_parse(slice_from(rows[i].network), &c);

        if (wrong != NULL)
            fail_msg("%s: %s", rows[i].network, wrong);
        for (size_t k = 0; k < COUNT(rows[i].in) && rows[i].in[k] != NULL; k++) {
            union addr a = addr_of(rows[i].in[k]);

            if (!cidr_has(&c, &a))
                fail_msg("%s is not in %s", rows[i].in[k], rows[i].network);
        }
        for (size_t k = 0; k < COUNT(rows[i].out) && rows[i].out[k] != NULL; k++) {
            union addr a = addr_of(rows[i].out[k]);

            if (cidr_has(&c, &a))
                fail_msg("%s is in %s", rows[i].out[k], rows[i].network);
        }
    }
}

/* All lengths: the last bit of the prefix counts, the first behind it does not. */
static void every_length(void **state)
{
    (void)state;

    for (unsigned v6 = 0; v6 < 2; v6++) {
        for (unsigned bits = 0; bits <= (v6 ? 128U : 32U); bits++) {
            struct cidr c = {.family = v6 ? AF_INET6 : AF_INET, .bits = (uint8_t)bits};
            union addr a = {.sa.sa_family = c.family};
            uint8_t *bytes = v6 ? a.v6.sin6_addr.s6_addr : (uint8_t *)&a.v4.sin_addr;

            assert_true(cidr_has(&c, &a));
            if (bits > 0) {
                bytes[(bits - 1) / 8] ^= (uint8_t)(0x80U >> (bits - 1) % 8);
                assert_false(cidr_has(&c, &a));
                bytes[(bits - 1) / 8] = 0;
            }
            if (bits < (v6 ? 128U : 32U)) {
                bytes[bits / 8] ^= (uint8_t)(0x80U >> bits % 8);
                assert_true(cidr_has(&c, &a));
            }
        }
    }
}

static void what_is_not_a_network(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "not an address"},
        {"/", "not an address"},
        {"/8", "not an address"},
        {"any", "not an address"},
        {"localhost", "not an address"},
        {"Unix", "not an address"},
        {"unix/0", "not an address"},
        {"unix:/run/x", "not an address"},
        {" 10.0.0.0/8", "not an address"},
        {"10.0.0/8", "not an address"},
        {"10.0.0.0.0/8", "not an address"},
        {"010.0.0.0/8", "not an address"},
        {"10.0.0.256", "not an address"},
        {"10.0.0.1:80", "not an address"},
        {"[10.0.0.1]", "not an address"},
        {"::1%lo", "not an address"},
        {"fe80::%1/64", "not an address"},
        {"fe80::/64%1", "not an address"},
        {"10.0.0.0/", "out of range"},
        {"10.0.0.0/33", "out of range"},
        {"10.0.0.0/256", "out of range"},
        {"10.0.0.0/264", "out of range"},
        {"10.0.0.0/4294967304", "out of range"},
        {"10.0.0.0/18446744073709551624", "out of range"},
        {"10.0.0.0/-8", "out of range"},
        {"10.0.0.0/+8", "out of range"},
        {"10.0.0.0/8 ", "out of range"},
        {"10.0.0.0/8/8", "out of range"},
        {"10.0.0.0/255.0.0.0", "out of range"},
        {"::/129", "out of range"},
        {"::/1000", "out of range"},
        {"10.0.0.1/8", "behind the prefix"},
        {"10.0.0.1/31", "behind the prefix"},
        {"0.0.0.1/0", "behind the prefix"},
        {"128.0.0.0/0", "behind the prefix"},
        {"192.168.64.0/17", "behind the prefix"},
        {"::1/127", "behind the prefix"},
        {"2001:db8::1/32", "behind the prefix"},
        {"8000::/0", "behind the prefix"},
        {"::ffff:10.0.0.1", "as IPv4"},
        {"::ffff:10.0.0.0/104", "as IPv4"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cidr c;
        const char *wrong = cidr_parse(slice_from(rows[i].text), &c);

        if (wrong == NULL || strstr(wrong, rows[i].why) == NULL)
            fail_msg("\"%s\": %s", rows[i].text, wrong != NULL ? wrong : "accepted");
    }
}

static void a_list(void **state)
{
    struct cidr list[3];
    union addr a = addr_of("10.1.2.3"), b = addr_of("::1"), u = addr_of("unix"),
               other = addr_of("11.0.0.1");
    (void)state;

    assert_null(cidr_parse(slice_from("192.0.2.0/24"), &list[0]));
    assert_null(cidr_parse(slice_from("::1"), &list[1]));
    assert_null(cidr_parse(slice_from("10.0.0.0/8"), &list[2]));
    assert_true(cidr_any_has(list, 3, &a));
    assert_true(cidr_any_has(list, 3, &b));
    assert_false(cidr_any_has(list, 3, &u));
    assert_false(cidr_any_has(list, 3, &other));
    assert_false(cidr_any_has(list, 2, &a));
    assert_false(cidr_any_has(list, 0, &a));
    assert_false(cidr_any_has(NULL, 0, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_and_who_is_in),
        cmocka_unit_test(every_length),
        cmocka_unit_test(what_is_not_a_network),
        cmocka_unit_test(a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
