/* SPDX-License-Identifier: MIT */
/* core/forwarded: who the client is when proxies in front tell, and who is not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/forwarded.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define TRUSTED_MAX 3

static const char *const trusted_texts[TRUSTED_MAX] = {"10.0.0.0/8", "fd00::/8", "unix"};

static union addr addr_of(const char *host)
{
    union addr a = {0};

    if (strcmp(host, "unix") == 0)
        a.sa.sa_family = AF_UNIX;
    else
        assert_true(addr_parse_host(slice_from(host), 999, &a));
    return a;
}

/* Cuts "Name: value\n..." into the fields of a head; the text must stay. */
static void fill_head(struct http_head *head, const char *text)
{
    struct slice value, line, rest = slice_from(text);

    memset(head, 0, sizeof *head);
    while (rest.len > 0) {
        assert_true(head->count < HTTP1_FIELDS_MAX);
        line = slice_cut(rest, '\n', &rest);
        head->fields[head->count].name = slice_cut(line, ':', &value);
        head->fields[head->count++].value = slice_trim(value);
    }
}

/* "ADDRESS HOST[+PORT] http(s)" after the headers were applied to a plain request of that peer. */
static const char *outcome(const char *peer, const char *fields, char *out, size_t size)
{
    struct cidr trusted[TRUSTED_MAX];
    struct http_head head;
    struct request r = {.head = &head, .host = slice_from("own")};
    char text[ADDR_TEXT_MAX], port[8] = "";

    for (size_t i = 0; i < TRUSTED_MAX; i++)
        assert_null(cidr_parse(slice_from(trusted_texts[i]), &trusted[i]));
    fill_head(&head, fields);
    r.client = addr_of(peer);
    /* as if the operator had named the header that the proxy writes */
    forwarded_apply(&r, trusted, TRUSTED_MAX,
                    strncmp(fields, "Forwarded:", 10) == 0 ? FORWARDED_RFC7239 : FORWARDED_X);
    if (r.host_port != 0)
        snprintf(port, sizeof port, "+%u", r.host_port);
    snprintf(out, size, "%s %.*s%s %s", addr_format(&r.client, text), (int)r.host.len, r.host.p,
             port, r.secure ? "https" : "http");
    return out;
}

struct row {
    const char *peer, *fields, *wanted;
};

static void check_rows(const struct row *rows, size_t n)
{
    char out[512];

    for (size_t i = 0; i < n; i++)
        if (strcmp(outcome(rows[i].peer, rows[i].fields, out, sizeof out), rows[i].wanted) != 0)
            fail_msg("%s, %s: \"%s\", wanted \"%s\"", rows[i].peer, rows[i].fields, out,
                     rows[i].wanted);
}

static void x_forwarded_for(void **state)
{
    static const struct row rows[] = {
        {"10.0.0.1", "", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1", "192.0.2.1:0 own http"},
        {"fd00::1", "X-Forwarded-For: 192.0.2.1", "192.0.2.1:0 own http"},
        {"unix", "X-Forwarded-For: 192.0.2.1", "192.0.2.1:0 own http"},
        {"10.0.0.1", "x-forwarded-FOR: 192.0.2.1", "192.0.2.1:0 own http"},
        /* the rightmost that is not trusted; what stands left of it may be a lie */
        {"10.0.0.1", "X-Forwarded-For: 6.6.6.6, 192.0.2.1", "192.0.2.1:0 own http"},
        {"10.0.0.1", "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.2, 10.0.0.3",
         "192.0.2.1:0 own http"},
        {"10.0.0.1", "X-Forwarded-For: 10.9.9.9, 192.0.2.1, 10.0.0.2", "192.0.2.1:0 own http"},
        {"10.0.0.1", "X-Forwarded-For: 10.0.0.4, 10.0.0.3", "10.0.0.4:0 own http"}, /* all */
        {"10.0.0.1", "X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 192.0.2.1",
         "192.0.2.1:0 own http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1\nOther: 6.6.6.6\nX-Forwarded-For: 10.0.0.2",
         "192.0.2.1:0 own http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1,,\t10.0.0.2 ,", "192.0.2.1:0 own http"},
        /* forms */
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1:1234", "192.0.2.1:1234 own http"},
        {"10.0.0.1", "X-Forwarded-For: 2001:db8::1", "[2001:db8::1]:0 own http"},
        {"10.0.0.1", "X-Forwarded-For: [2001:db8::1]", "[2001:db8::1]:0 own http"},
        {"10.0.0.1", "X-Forwarded-For: [2001:db8::1]:1234", "[2001:db8::1]:1234 own http"},
        {"10.0.0.1", "X-Forwarded-For: ::ffff:192.0.2.1", "192.0.2.1:0 own http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1:0 own http"},
        /* a hop that is no address ends what can be told: the client is the last that was */
        {"10.0.0.1", "X-Forwarded-For: unknown", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1, unknown", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2", "10.0.0.2:0 own http"},
        {"10.0.0.1", "X-Forwarded-For: 80", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: example.org", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: example.org:80", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.256", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1:65536", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: [2001:db8::1", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: ,", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: ", "10.0.0.1:999 own http"},
    };
    (void)state;

    check_rows(rows, COUNT(rows));
}

static void forwarded(void **state)
{
    static const struct row rows[] = {
        {"10.0.0.1", "Forwarded: for=192.0.2.1", "192.0.2.1:0 own http"},
        {"10.0.0.1", "Forwarded: For=192.0.2.1", "192.0.2.1:0 own http"},
        {"10.0.0.1", "Forwarded: for=\"192.0.2.1:1234\"", "192.0.2.1:1234 own http"},
        {"10.0.0.1", "Forwarded: for=\"[2001:db8::1]\"", "[2001:db8::1]:0 own http"},
        {"10.0.0.1", "Forwarded: for=\"[2001:db8::1]:1234\"", "[2001:db8::1]:1234 own http"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1;proto=https;host=chess.example",
         "192.0.2.1:0 chess.example https"},
        {"10.0.0.1",
         "Forwarded: by=10.0.0.1; HOST=\"chess.example:8443\" ; Proto=WSS;for=192.0.2.1",
         "192.0.2.1:0 chess.example:8443 https"},
        {"10.0.0.1", "Forwarded: for=6.6.6.6;host=evil;proto=https, for=192.0.2.1",
         "192.0.2.1:0 own http"},
        {"10.0.0.1", "Forwarded: for=6.6.6.6;host=evil\nForwarded: for=192.0.2.1;host=good",
         "192.0.2.1:0 good http"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1;host=far, for=10.0.0.2;host=near;proto=https",
         "192.0.2.1:0 far https"},
        {"10.0.0.1", "Forwarded: for=10.0.0.4, for=10.0.0.3", "10.0.0.4:0 own http"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1;proto=http", "192.0.2.1:0 own http"},
        /* a quote left open by somebody further away swallows nothing of what is nearer */
        {"10.0.0.1", "Forwarded: for=\"6.6.6.6, for=192.0.2.1;host=good", "192.0.2.1:0 good http"},
        {"10.0.0.1", "Forwarded: for=\"6.6.6.6;host=\"evil, for=192.0.2.1", "192.0.2.1:0 own http"},
        {"10.0.0.1", "Forwarded: for=\"", "10.0.0.1:999 own http"},
        /* what a proxy quotes is its client's word: it ends nothing, however it looks */
        {"10.0.0.1", "Forwarded: for=192.0.2.1;host=\"a, for=6.6.6.6;b=\";proto=https",
         "192.0.2.1:0 a, for=6.6.6.6;b= https"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1;host=\"a;for=6.6.6.6\"",
         "192.0.2.1:0 a;for=6.6.6.6 http"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1;host=\"a\\\", for=6.6.6.6;b=\\\"\"",
         "192.0.2.1:0 a\\\", for=6.6.6.6;b=\\\" http"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1;host=\"a\\\\\", for=10.0.0.2",
         "192.0.2.1:0 a\\\\ http"},
        {"10.0.0.1", "Forwarded: host=\", for=192.0.2.1;host=\"b, for=6.6.6.6\"",
         "192.0.2.1:0 b, for=6.6.6.6 http"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1;host=\"a;b\", for=10.0.0.2;host=near",
         "192.0.2.1:0 a;b http"},
        {"10.0.0.1", "Forwarded: \\\"", "10.0.0.1:999 own http"},
        /* no address: obfuscated, unknown, none */
        {"10.0.0.1", "Forwarded: for=unknown;host=good", "10.0.0.1:999 good http"},
        {"10.0.0.1", "Forwarded: for=_hidden", "10.0.0.1:999 own http"},
        {"10.0.0.1", "Forwarded: for=\"_hidden:80\"", "10.0.0.1:999 own http"},
        {"10.0.0.1", "Forwarded: for=192.0.2.1, for=_hidden, for=10.0.0.2", "10.0.0.2:0 own http"},
        {"10.0.0.1", "Forwarded: proto=https", "10.0.0.1:999 own https"},
        {"10.0.0.1", "Forwarded: for", "10.0.0.1:999 own http"},
        {"10.0.0.1", "Forwarded: =;=;;", "10.0.0.1:999 own http"},
        /* the header our proxy does not write is the client's own word */
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1\nForwarded: for=6.6.6.6;host=evil;proto=https",
         "192.0.2.1:0 own http"},
        {"10.0.0.1",
         "Forwarded: for=192.0.2.1\nX-Forwarded-Host: evil\nX-Forwarded-Proto: https\n"
         "X-Forwarded-For: 6.6.6.6",
         "192.0.2.1:0 own http"},
        {"10.0.0.1", "Forwarded: for=unknown\nX-Forwarded-For: 6.6.6.6", "10.0.0.1:999 own http"},
        {"10.0.0.1", "Forwarded: ,\nX-Forwarded-For: 6.6.6.6", "10.0.0.1:999 own http"},
    };
    (void)state;

    check_rows(rows, COUNT(rows));
}

static void proto_and_host(void **state)
{
    static const struct row rows[] = {
        {"10.0.0.1", "X-Forwarded-Proto: https", "10.0.0.1:999 own https"},
        {"10.0.0.1", "X-Forwarded-Proto: HTTPS", "10.0.0.1:999 own https"},
        {"10.0.0.1", "X-Forwarded-Proto: wss", "10.0.0.1:999 own https"},
        {"10.0.0.1", "X-Forwarded-Proto: http", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-Proto: httpss", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-Proto: https, http", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-Proto: http\nX-Forwarded-Proto: https", "10.0.0.1:999 own https"},
        {"10.0.0.1", "X-Forwarded-Proto: https\nX-Forwarded-Proto: http", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-Host: chess.example", "10.0.0.1:999 chess.example http"},
        {"10.0.0.1", "X-Forwarded-Host: evil, chess.example", "10.0.0.1:999 chess.example http"},
        {"10.0.0.1", "X-Forwarded-Host: evil\nX-Forwarded-Host: chess.example:81",
         "10.0.0.1:999 chess.example:81 http"},
        {"10.0.0.1", "X-Forwarded-Host: ", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Host: a\nX-Forwarded-Proto: https",
         "192.0.2.1:0 a https"},
        /* proxies that add, as Apache does: the farthest that is trusted was asked by the client */
        {"10.0.0.1",
         "X-Forwarded-For: 192.0.2.1, 10.0.0.2\nX-Forwarded-Host: public, inner\n"
         "X-Forwarded-Proto: https, http",
         "192.0.2.1:0 public https"},
        {"10.0.0.1",
         "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.2\nX-Forwarded-Host: evil, public, inner",
         "192.0.2.1:0 public http"},
        {"10.0.0.1",
         "X-Forwarded-For: 10.0.0.9, 192.0.2.1\nX-Forwarded-Host: evil\nX-Forwarded-Host: public",
         "192.0.2.1:0 public http"},
        {"10.0.0.1",
         "X-Forwarded-For: 192.0.2.1\nX-Forwarded-For: 10.0.0.3, 10.0.0.2\n"
         "X-Forwarded-Host: evil, public\nX-Forwarded-Host: a, b",
         "192.0.2.1:0 public http"},
        {"10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\nX-Forwarded-Host: a",
         "10.0.0.3:0 a http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1, 10.0.0.2\nX-Forwarded-Host: a,",
         "192.0.2.1:0 a http"},
        /* a port told apart, and what is none */
        {"10.0.0.1", "X-Forwarded-Host: a\nX-Forwarded-Port: 8443", "10.0.0.1:999 a+8443 http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Port: 1, 8443",
         "192.0.2.1:0 own+8443 http"},
        {"10.0.0.1", "X-Forwarded-For: 192.0.2.1, 10.0.0.2\nX-Forwarded-Port: 1, 8443, 80",
         "192.0.2.1:0 own+8443 http"},
        {"10.0.0.1", "X-Forwarded-Port: 65536", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-Port: 0", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-Port: 080000443", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-Port: 84x", "10.0.0.1:999 own http"},
        {"10.0.0.1", "X-Forwarded-Port: -1", "10.0.0.1:999 own http"},
        {"192.0.2.9", "X-Forwarded-Port: 8443", "192.0.2.9:999 own http"},
    };
    (void)state;

    check_rows(rows, COUNT(rows));
}

static void an_untrusted_peer_changes_nothing(void **state)
{
    static const char all[] = "Forwarded: for=6.6.6.6;host=evil;proto=https\n"
                              "X-Forwarded-For: 6.6.6.6\nX-Forwarded-Host: evil\n"
                              "X-Forwarded-Proto: https";
    static const char x[] = "X-Forwarded-For: 10.0.0.1\nX-Forwarded-Host: evil\n"
                            "X-Forwarded-Proto: https";
    static const struct row rows[] = {
        {"192.0.2.1", all, "192.0.2.1:999 own http"}, {"192.0.2.1", x, "192.0.2.1:999 own http"},
        {"11.0.0.1", all, "11.0.0.1:999 own http"},   {"::1", all, "[::1]:999 own http"},
        {"127.0.0.1", all, "127.0.0.1:999 own http"},
    };
    struct http_head head;
    struct request r = {.head = &head, .client = addr_of("10.0.0.1"), .host = slice_from("own")};
    (void)state;

    check_rows(rows, COUNT(rows));
    fill_head(&head, all); /* nobody is trusted by default */
    forwarded_apply(&r, NULL, 0, FORWARDED_X);
    assert_int_equal(addr_port(&r.client), 999);
    assert_true(slice_is(r.host, "own"));
    assert_false(r.secure);
}

/* A client can write as many hops as it likes in front: its own address stays the last. */
static void more_hops_than_are_looked_at(void **state)
{
    static const char *const forms[] = {"X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6"};
    static const char *const ends[] = {", 192.0.2.1, 10.0.0.2",
                                       ", for=192.0.2.1, for=10.0.0.2;host=near"};
    static const char *const wanted[] = {"192.0.2.1:0 own http", "192.0.2.1:0 near http"};
    char fields[4096], out[512];
    (void)state;

    for (size_t hops = 1; hops < 100; hops++) {
        for (size_t k = 0; k < 2; k++) {
            size_t n = (size_t)snprintf(fields, sizeof fields, "%s", forms[k]);

            for (size_t i = 1; i < hops; i++)
                n += (size_t)snprintf(fields + n, sizeof fields - n, ", %s6.6.6.6",
                                      k == 0 ? "" : "for=");
            /* and nobody falls back on what the proxy never wrote */
            snprintf(fields + n, sizeof fields - n, "%s%s", ends[k],
                     k == 0 ? "" : "\nX-Forwarded-For: 6.6.6.6\nX-Forwarded-Host: evil");
            assert_string_equal(outcome("10.0.0.1", fields, out, sizeof out), wanted[k]);
        }
    }
}

/* The walk ends after 32, at a proxy, however many trusted there are. */
static void an_endless_chain_of_proxies(void **state)
{
    char fields[4096] = "X-Forwarded-For: 192.0.2.1", out[512];
    size_t n = strlen(fields);
    (void)state;

    for (int i = 40; i > 0; i--)
        n += (size_t)snprintf(fields + n, sizeof fields - n, ", 10.0.1.%d", i);
    assert_string_equal(outcome("10.0.0.1", fields, out, sizeof out), "10.0.1.32:0 own http");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x_forwarded_for),
        cmocka_unit_test(forwarded),
        cmocka_unit_test(proto_and_host),
        cmocka_unit_test(an_untrusted_peer_changes_nothing),
        cmocka_unit_test(more_hops_than_are_looked_at),
        cmocka_unit_test(an_endless_chain_of_proxies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
