/* SPDX-License-Identifier: MIT */
/* The cookie of a page that was let in: its text, whom it lets pass, and when no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/auths.h"
#include "core/auth/auth_cookie.h"
#include "proto/cookie.h"

#define NOW 1000.0

/* ---- text */

static void is_read_as_it_is_written(void **state)
{
    (void)state;

    for (size_t len = 1; len <= COOKIE_WHO_MAX; len++) {
        struct cookie c = {.until = len % 2 ? len : COOKIE_UNTIL_MAX, .who_len = len}, again;
        char text[COOKIE_TEXT_MAX];

        memset(c.who, (int)len, len);
        memset(c.mac, (int)(255 - len), sizeof c.mac);
        size_t n = cookie_write(&c, text);
        assert_true(n < sizeof text && strlen(text) == n);
        assert_true(cookie_read(slice_from(text), &again));
        assert_memory_equal(&again, &c, sizeof c);
    }
}

#define MAC "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void other_texts_are_none(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "1.YQ",
        "1.YQ.",
        ".YQ." MAC,
        "1.." MAC,
        "01.YQ." MAC,
        "+1.YQ." MAC,
        "-1.YQ." MAC,
        " 1.YQ." MAC,
        "12345678901.YQ." MAC,
        "1.YR." MAC, /* bits that mean nothing */
        "1.YQ==." MAC,
        "1.Y." MAC,
        "1.Y+." MAC,
        "1.YQ." MAC "A",
        "1.YQ.B" MAC,
        "1.YQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
        "1.YQ." MAC ".",
        "1.YQ." MAC " ",
        "\"1.YQ." MAC "\"",
    };
    char text[1024];
    struct cookie c;
    (void)state;

    assert_true(cookie_read(slice_from("1.YQ." MAC), &c));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (cookie_read(slice_from(bad[i]), &c))
            fail_msg("%s", bad[i]);
    }
    int n = sprintf(text, "1.");
    memset(text + n, 'A', 344); /* 258 bytes */
    strcpy(text + n + 344, "." MAC);
    assert_false(cookie_read(slice_from(text), &c));
    assert_false(cookie_read(slice_of("1.Y\0." MAC, 6 + sizeof MAC), &c));
}

/* ---- taking it out */

static void take(const char *before, const char *after, const char *values, size_t n)
{
    struct http_head head = {.count = 3};
    char *text = strdup(before), out[64];

    head.fields[0] = (struct http_field){slice_from("Host"), slice_from("x")};
    head.fields[1] = (struct http_field){slice_from("cookie"), slice_from(text)};
    head.fields[2] = (struct http_field){slice_from("Accept"), slice_from("wsluice_auth=no")};
    assert_int_equal(cookie_take(&head, "wsluice_auth", out, sizeof out), n);
    assert_memory_equal(out, values, n);
    assert_int_equal(head.count, after == NULL ? 2 : 3);
    assert_true(slice_is(head.fields[head.count - 1].value, "wsluice_auth=no"));
    if (after != NULL && !slice_is(head.fields[1].value, after))
        fail_msg("%s: %.*s", before, (int)head.fields[1].value.len, head.fields[1].value.p);
    for (size_t i = after != NULL ? strlen(after) : 0; i < strlen(before) && n > 0; i++)
        assert_true(strstr(text, "wsluice_auth=") == NULL);
    free(text);
}

static void is_taken_out(void **state)
{
    (void)state;

    take("a=b", "a=b", "", 0);
    take("wsluice_auth=x", NULL, "x", 2);
    take("wsluice_auth=", NULL, "", 1);
    take("a=b; wsluice_auth=x; c=d", "a=b; c=d", "x", 2);
    take("wsluice_auth=x; c=d", "c=d", "x", 2);
    take("a=b; wsluice_auth=x", "a=b", "x", 2);
    take("wsluice_auth=x; wsluice_auth=y", NULL, "x\0y", 4);
    take("  wsluice_auth = x ;a", "a", "x", 2);
    take("wsluice_authx=x; xwsluice_auth=y", "wsluice_authx=x; xwsluice_auth=y", "", 0);
    take(";wsluice_auth=x; ;a;", "a", "x", 2);
    take("a;;b", "a;;b", "", 0);
    take("wsluice_auth", "wsluice_auth", "", 0);
    take("a=wsluice_auth=x", "a=wsluice_auth=x", "", 0);
    take("wsluice_auth=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         NULL, "", 0);
}

/* ---- whom it lets pass */

struct bench {
    struct auth auth;
    struct config *c;
    struct request r;
    uint8_t credential[SECRET_MAC_SIZE];
};

static struct route *add(struct bench *b, const char *path, const char *file,
                         const struct auth_ops *ops)
{
    struct route *r = config_add_route(b->c);

    assert_non_null(r);
    r->path = path;
    r->settings.auth_file = file;
    r->settings.auth_realm = "wsluice";
    r->settings.auth_cache = 60;
    r->auth = ops;
    return r;
}

static struct route *route(struct bench *b, const char *path)
{
    for (size_t i = 0; i < b->c->route_count; i++) {
        if (strcmp(b->c->routes[i].path, path) == 0)
            return &b->c->routes[i];
    }
    fail_msg("no route %s", path);
    return NULL;
}

static int bench_open(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    b->c = config_new();
    memset(b->auth.key, 7, sizeof b->auth.key);
    memset(b->credential, 9, sizeof b->credential);
    add(b, "/app", "users", &auth_basic);
    add(b, "/app/ws", "users", &auth_basic);
    add(b, "/application", "users", &auth_basic);
    add(b, "/app/other", "others", &auth_basic);
    add(b, "/app/token", "users", &auth_bearer);
    add(b, "/b/{name:[a-z]+}/x", "users", &auth_basic);
    *state = b;
    return 0;
}

static int bench_close(void **state)
{
    struct bench *b = *state;

    for (size_t i = 0; i < b->c->route_count; i++)
        b->c->routes[i].auth = NULL; /* nothing was prepared */
    config_release(b->c);
    free(b->r.cookies);
    free(b);
    return 0;
}

/* Makes one and puts it into the request, as the browser would. */
static const char *make(struct bench *b, const char *path, const char *who, char line[])
{
    struct auth_claim claim = {.who = slice_from(who)};
    const char *value, *end;

    memcpy(claim.credential, b->credential, sizeof claim.credential);
    assert_true(auth_cookie_make(&b->auth, route(b, path), &b->r, &claim, NOW, line));
    value = strchr(line, '=') + 1;
    end = strchr(value, ';');
    free(b->r.cookies);
    b->r.cookies = strndup(value, (size_t)(end - value));
    b->r.cookies_len = (size_t)(end - value) + 1;
    return end;
}

static bool passes(struct bench *b, const char *path, double now)
{
    struct cookie c;

    for (size_t at = 0; auth_cookie_next(&b->r, now, &at, &c);) {
        if (auth_cookie_holds(&b->auth, route(b, path), &c, b->credential))
            return true;
    }
    return false;
}

static void holds_for_its_realm(void **state)
{
    struct bench *b = *state;
    char line[AUTH_COOKIE_LINE_MAX];

    assert_string_equal(make(b, "/app", "alice", line),
                        "; Path=/app; Max-Age=3600; HttpOnly; SameSite=Strict\r\n"
                        "Cache-Control: private\r\n");
    assert_true(passes(b, "/app", NOW));
    assert_true(passes(b, "/app/ws", NOW)); /* below, and the same file */
    assert_false(passes(b, "/application", NOW));
    assert_false(passes(b, "/app/other", NOW)); /* another file */
    assert_false(passes(b, "/app/token", NOW)); /* another kind */
    assert_non_null(strstr(make(b, "/app/ws", "alice", line), "; Path=/app; "));
    assert_non_null(strstr(make(b, "/b/{name:[a-z]+}/x", "alice", line), "; Path=/b; "));
    b->r.secure = true;
    assert_non_null(strstr(make(b, "/app", "alice", line), "; Secure\r\n"));
}

static void hosts_and_realms_are_kept_apart(void **state)
{
    struct bench *b = *state;
    char line[AUTH_COOKIE_LINE_MAX];

    (void)make(b, "/app", "alice", line);
    route(b, "/app/ws")->settings.auth_realm = "another";
    assert_false(passes(b, "/app/ws", NOW));
    route(b, "/app/ws")->settings.auth_realm = "wsluice";
    route(b, "/app/ws")->host = "other.example";
    assert_false(passes(b, "/app/ws", NOW));
}

static void is_over_in_time(void **state)
{
    struct bench *b = *state;
    char line[AUTH_COOKIE_LINE_MAX];

    (void)make(b, "/app", "alice", line);
    assert_true(passes(b, "/app", NOW + AUTH_COOKIE_LIFE - 1));
    assert_false(passes(b, "/app", NOW + AUTH_COOKIE_LIFE));
}

static void is_void_when_the_credential_changes(void **state)
{
    struct bench *b = *state;
    char line[AUTH_COOKIE_LINE_MAX];

    (void)make(b, "/app", "alice", line);
    b->credential[31] ^= 1;
    assert_false(passes(b, "/app", NOW));
    b->credential[31] ^= 1;
    assert_true(passes(b, "/app", NOW));
    b->auth.key[0] ^= 1; /* another process */
    assert_false(passes(b, "/app", NOW));
}

/* Any letter of it changed; another user's name or a later time put in. */
static void cannot_be_forged(void **state)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    struct bench *b = *state;
    char line[AUTH_COOKIE_LINE_MAX];
    struct cookie c;

    (void)make(b, "/app", "alice", line);
    for (char *p = b->r.cookies; *p != '\0'; p++) {
        char right = *p;

        for (const char *other = letters; *other != '\0'; other++) {
            *p = *other;
            assert_int_equal(passes(b, "/app", NOW), *other == right);
        }
        *p = right;
    }
    assert_true(cookie_read(slice_from(b->r.cookies), &c));
    memcpy(c.who, "admin", 5);
    assert_false(auth_cookie_holds(&b->auth, route(b, "/app"), &c, b->credential));
    memcpy(c.who, "alice", 5);
    assert_true(auth_cookie_holds(&b->auth, route(b, "/app"), &c, b->credential));
    c.until++;
    assert_false(auth_cookie_holds(&b->auth, route(b, "/app"), &c, b->credential));
}

static void where_it_is_not_wanted(void **state)
{
    static const char *any[] = {"https://example.org", "any"};
    struct bench *b = *state;
    struct route *r = route(b, "/app");

    assert_true(auth_cookie_wanted(r));
    r->settings.origins = (struct text_list){any, 1};
    assert_true(auth_cookie_wanted(r));
    r->settings.origins.count = 2;
    assert_false(auth_cookie_wanted(r));
    r->settings.origins.count = 0;
    r->settings.auth_cache = 0;
    assert_false(auth_cookie_wanted(r));
    r->settings.auth_cache = 60;
    r->auth = &auth_hook; /* judges by more than who it is */
    assert_false(auth_cookie_wanted(r));
    r->auth = NULL;
    assert_false(auth_cookie_wanted(r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read_as_it_is_written),
        cmocka_unit_test(other_texts_are_none),
        cmocka_unit_test(is_taken_out),
        cmocka_unit_test_setup_teardown(holds_for_its_realm, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(hosts_and_realms_are_kept_apart, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(is_over_in_time, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(is_void_when_the_credential_changes, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(cannot_be_forged, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(where_it_is_not_wanted, bench_open, bench_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
