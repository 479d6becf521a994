/* SPDX-License-Identifier: MIT */
/* core/hostname and core/origin: by which names a request is for us, and whose pages may come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/admission/hostname.h"
#include "core/admission/origin.h"
#include "proto/authority.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void kinds_of_names(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "192.0.2.7", "[::1]",    "[2001:db8::1]",
                                            "127.1",     "1",         "0x7f.0x1", "127.0.0.1."};
    static const char *const local[] = {"localhost", "LocalHost", "localhost.", "a.localhost",
                                        "A.b.localhost."};
    static const char *const names[] = {
        "example.org", "1.example", "127.0.0.1.example", "xlocalhost", "localhost.example",
        ".localhost",  "0x7g",      "1.0x1.a",           "-1",         "."};
    (void)state;

    for (size_t i = 0; i < COUNT(addresses); i++)
        if (!authority_is_address(slice_from(addresses[i])))
            fail_msg("%s", addresses[i]);
    for (size_t i = 0; i < COUNT(local); i++)
        if (!authority_is_localhost(slice_from(local[i])))
            fail_msg("%s", local[i]);
    for (size_t i = 0; i < COUNT(names); i++)
        if (authority_is_address(slice_from(names[i])) ||
            authority_is_localhost(slice_from(names[i])))
            fail_msg("%s", names[i]);
}

/* ---- who is asked for ---- */

struct ask {
    const char *server, *host; /* address and port of ours; Host */
    const char *hosts, *route_host, *origin;
    const char *told;    /* by a trusted proxy: its Host; "": it says other things */
    const char *upgrade; /* NULL: a plain GET */
    bool tls, good;
};

static const struct ask asks[] = {
    /* loopback and nothing named */
    {"127.0.0.1:8080", "127.0.0.1:8080", .good = true},
    {"127.0.0.1:8080", "localhost:8080", .good = true},
    {"127.0.0.1:8080", "app.localhost:8080", .good = true},
    {"127.0.0.1:8080", "LOCALHOST.:8080", .good = true},
    {"127.0.0.1:8080", "192.0.2.1:8080", .good = true},
    {"127.0.0.1:8080", "127.1:8080", .good = true},
    {"[::1]:8080", "[::1]:8080", .good = true},
    {"127.0.0.1:8080", "rebound.example:8080", .good = false},
    {"127.0.0.1:8080", "rebound.example:8080", .upgrade = "websocket"},
    {"127.9.9.9:8080", "rebound.example.:8080", .good = false},
    {"[::1]:8080", "rebound.example:8080", .good = false},
    {"[::ffff:127.0.0.1]:8080", "rebound.example:8080", .good = false},
    {"127.0.0.1:8080", "localhost.rebound.example:8080", .good = false},
    {"127.0.0.1:8080", "127.0.0.1.rebound.example:8080", .good = false},
    {"127.0.0.1:80", "rebound.example", .good = false},
    {"127.0.0.1:80", "rebound.example:80", .good = false},
    {"127.0.0.1:443", "rebound.example", .good = false},
    {"127.0.0.1:8080", "rebound.example:08080", .good = false},
    /* a proxy in front, that listens at another port */
    {"127.0.0.1:8080", "chess.example", .good = true},
    {"127.0.0.1:8080", "chess.example:8443", .good = true},
    {"127.0.0.1:8080", "chess.example:80", .good = true},
    /* other addresses, Unix sockets, TLS, HTTP/1.0 */
    {"192.0.2.1:8080", "rebound.example:8080", .good = true},
    {"unix", "rebound.example", .good = true},
    {"127.0.0.1:8443", "dev.example:8443", .tls = true, .good = true},
    {"127.0.0.1:8080", "", .good = true},
    /* named */
    {"127.0.0.1:8080", "box.example:8080", .hosts = "box.example", .good = true},
    {"127.0.0.1:8080", "BOX.example.:8080", .hosts = "box.example", .good = true},
    {"127.0.0.1:8080", "a.box.example:8080", .hosts = "*.box.example", .good = true},
    {"127.0.0.1:8080", "box.example:8080", .hosts = "*.box.example"},
    {"127.0.0.1:8080", "rebound.example:8080", .hosts = "any", .good = true},
    {"127.0.0.1:8080", "localhost:8080", .hosts = "box.example", .good = true},
    {"192.0.2.1:8080", "rebound.example:8080", .hosts = "box.example"},
    {"192.0.2.1:8080", "rebound.example", .hosts = "box.example"},
    {"192.0.2.1:8080", "192.0.2.1:8080", .hosts = "box.example", .good = true},
    {"unix", "rebound.example", .hosts = "box.example"},
    {"127.0.0.1:8443", "rebound.example:8443", .hosts = "box.example", .tls = true},
    {"127.0.0.1:8080", "box.example:8080", .route_host = "box.example", .good = true},
    {"127.0.0.1:8080", "box.example:8080", .origin = "https://box.example", .good = true},
    {"127.0.0.1:8080", "box.example:8080", .origin = "https://box.example:8443", .good = true},
    {"127.0.0.1:8080", "a.example.org:8080", .origin = "https://*.example.org", .good = true},
    {"127.0.0.1:8080", "rebound.example:8080", .origin = "https://box.example"},
    {"127.0.0.1:8080", "rebound.example:8080", .origin = "any", .good = true},
    /* the list of origins decides about WebSockets alone */
    {"127.0.0.1:8080", "rebound.example:8080", .origin = "https://box.example",
     .upgrade = "websocket", .good = true},
    /* a trusted proxy */
    {"127.0.0.1:8080", "inner.example:8080", .told = "chess.example", .good = true},
    {"127.0.0.1:8080", "inner.example:8080", .told = "", .good = true},
    {"127.0.0.1:8081", "inner.example:8080", .told = "chess.example", .hosts = "chess.example",
     .good = true},
    {"127.0.0.1:8081", "inner.example:8080", .told = "evil.example", .hosts = "chess.example"},
    /* script can send the fields of a proxy with its requests for files, but not another Host */
    {"127.0.0.1:8080", "rebound.example:8080", .told = "chess.example", .hosts = "chess.example"},
};

static void set_server(union addr *a, const char *text)
{
    struct slice host;
    uint16_t port;

    memset(a, 0, sizeof *a);
    a->sa.sa_family = AF_UNIX;
    if (strcmp(text, "unix") == 0)
        return;
    assert_null(addr_split(slice_from(text), &host, &port));
    assert_true(addr_parse_host(host, port, a));
}

static bool is_answered(const struct ask *a)
{
    struct text_list origins = {&(const char *){a->origin}, a->origin != NULL};
    struct config c = {.hosts = {&(const char *){a->hosts}, a->hosts != NULL}};
    struct route route = {.host = a->route_host, .settings = {.origins = origins}};
    struct http_head head = {.host = slice_from(a->host)};
    struct request r = {.head = &head, .host = head.host, .match = {.route = &route}};

    if (a->upgrade != NULL)
        head.fields[head.count++] =
            (struct http_field){slice_from("Upgrade"), slice_from(a->upgrade)};
    if (a->told != NULL)
        r.vouched = true;
    if (a->told != NULL && a->told[0] != '\0')
        r.host = slice_from(a->told);
    if (a->tls)
        r.tls_version = slice_from("TLSv1.3");
    set_server(&r.server, a->server);
    return hostname_refusal(&c, &r) == NULL;
}

static void who_is_asked_for(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(asks); i++)
        if (is_answered(&asks[i]) != asks[i].good)
            fail_msg("row %zu: %s at %s", i, asks[i].host, asks[i].server);
}

static void names_as_written(void **state)
{
    static const char *const good[] = {"any",           "box",       "example.org",
                                       "*.example.org", "192.0.2.1", "[::1]"};
    static const char *const bad[] = {
        "", "example.org:80", "*", "*.", "a.*.org", "http://example.org", "example.org.", "a b"};
    (void)state;

    for (size_t i = 0; i < COUNT(good); i++)
        assert_null(hostname_judge(good[i]));
    for (size_t i = 0; i < COUNT(bad); i++)
        if (hostname_judge(bad[i]) == NULL)
            fail_msg("%s", bad[i]);
}

/* ---- origins ---- */

static void origins_by_pattern(void **state)
{
    static const struct {
        const char *item, *origin;
        bool good;
    } rows[] = {
        {"https://*.example.org", "https://a.example.org", true},
        {"https://*.example.org", "HTTPS://A.b.Example.org", true},
        {"https://*.example.org", "https://example.org", false},
        {"https://*.example.org", "https://.example.org", false},
        {"https://*.example.org", "http://a.example.org", false},
        {"https://*.example.org", "https://a.example.org:8443", false},
        {"https://*.example.org:8443", "https://a.example.org:8443", true},
        {"https://*.example.org:8443", "https://a.example.org", false},
        {"https://*.example.org", "https://aexample.org", false},
        {"https://*.example.org", "https://a.example.org.evil.example", false},
        {"https://*.example.org", "https://evil.example/.example.org", false},
        {"https://*.example.org", "https://evil.example?.example.org", false},
        {"https://*.example.org", "https://evil.example#.example.org", false},
        {"https://*.example.org", "https://evil@a.example.org", false},
        {"https://*.example.org", "https://a.example.org,https://evil.example", false},
        {"https://*.example.org", "*.example.org", false},
        {"https://*.example.org", "null", false},
        {"https://*.example.org", "https://*.example.org", false},
        {"https://*.example.org", "", false},
        {"https://example.org", "https://EXAMPLE.org", true},
        {"null", "null", true},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct text_list list = {&(const char *){rows[i].item}, 1};

        assert_null(origin_judge(rows[i].item));
        if (origin_listed(&list, slice_from(rows[i].origin)) != rows[i].good)
            fail_msg("%s, %s", rows[i].item, rows[i].origin);
    }
}

static void origins_as_written(void **state)
{
    static const char *const bad[] = {"https://*",
                                      "https://*.org",
                                      "https://*.",
                                      "https://*..org",
                                      "https://*.org.",
                                      "https://a.*.org.uk",
                                      "*",
                                      "*.example.org",
                                      "https://*example.org",
                                      "https://*.*.example.org",
                                      "https://example.org/",
                                      "://x"};
    (void)state;

    for (size_t i = 0; i < COUNT(bad); i++)
        if (origin_judge(bad[i]) == NULL)
            fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_of_names),     cmocka_unit_test(who_is_asked_for),
        cmocka_unit_test(names_as_written),   cmocka_unit_test(origins_by_pattern),
        cmocka_unit_test(origins_as_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
