/* SPDX-License-Identifier: MIT */
/* proto/handshake: what makes an opening handshake, at the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proto/handshake.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static void add(struct http_head *h, const char *name, const char *value)
{
    assert_true(h->count < COUNT(h->fields));
    h->fields[h->count++] = (struct http_field){slice_from(name), slice_from(value)};
}

/* A right one; key NULL: with that of RFC 6455. */
static struct http_head head_of(const char *key)
{
    struct http_head h = {.method = slice_from("GET"), .target = slice_from("/")};

    add(&h, "Upgrade", "websocket");
    add(&h, "Connection", "keep-alive, Upgrade");
    add(&h, "Sec-WebSocket-Version", "13");
    add(&h, "Sec-WebSocket-Key", key != NULL ? key : KEY);
    return h;
}

static int status_of(const struct http_head *h)
{
    char accept[HANDSHAKE_ACCEPT_SIZE];
    const char *why = NULL;
    int status = handshake_check(h, accept, &why);

    assert_int_equal(status != 0, why != NULL);
    return status;
}

static void the_answer_of_the_rfc(void **state)
{
    struct http_head h = head_of(NULL);
    char accept[HANDSHAKE_ACCEPT_SIZE];
    const char *why;

    (void)state;
    assert_int_equal(handshake_check(&h, accept, &why), 0);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/* 16 bytes are 128 bits: of the last of 22 letters only the first two bits may be set. */
static void last_letter_of_a_key(void **state)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char key[] = KEY;

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        key[21] = letters[i];
        struct http_head h = head_of(key);
        assert_int_equal(status_of(&h), i % 16 == 0 ? 0 : 400);
    }
}

/* Every place of a key takes all letters of base64 and nothing else. */
static void letters_of_a_key(void **state)
{
    (void)state;
    for (size_t at = 0; at < 21; at++) {
        for (int c = 1; c < 256; c++) {
            char key[] = KEY;
            bool right = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                         (c >= '0' && c <= '9') || c == '+' || c == '/';

            key[at] = (char)c;
            struct http_head h = head_of(key);
            assert_int_equal(status_of(&h), right ? 0 : 400);
        }
    }
}

static void length_of_a_key(void **state)
{
    static const char *const bad[] = {"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===",
                                      "dGhlIHNhbXBsZSBub25jZA=A", "dGhlIHNhbXBsZSBub25jZAA="};

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct http_head h = head_of(bad[i]);
        assert_int_equal(status_of(&h), 400);
    }
}

/* So many offers, in one field or in one each. */
static int status_of_offers(size_t n, bool apart)
{
    struct http_head h = head_of(NULL);
    char text[70][24], list[70 * 24] = "";

    for (size_t i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], "p%zu", i);
        if (apart)
            add(&h, "Sec-WebSocket-Protocol", text[i]);
        else
            strcat(strcat(list, i > 0 ? ", " : ""), text[i]);
    }
    if (!apart)
        add(&h, "Sec-WebSocket-Protocol", list);
    return status_of(&h);
}

static void offers_up_to_64(void **state)
{
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        assert_int_equal(status_of_offers(1, apart), 0);
        assert_int_equal(status_of_offers(64, apart), 0);
        assert_int_equal(status_of_offers(65, apart), 400);
    }
}

static void offers_up_to_256_bytes(void **state)
{
    char name[258];

    (void)state;
    memset(name, 'x', sizeof name);
    for (size_t n = 255; n <= 257; n++) {
        struct http_head h = head_of(NULL);

        h.fields[h.count++] =
            (struct http_field){slice_from("Sec-WebSocket-Protocol"), slice_of(name, n)};
        assert_int_equal(status_of(&h), n <= 256 ? 0 : 400);
    }
}

/* The first and the last offer are compared, too, and names are told apart by case. */
static void no_offer_twice(void **state)
{
    static const struct {
        const char *list;
        int status;
    } rows[] = {{"a, b, c", 0}, {"a, a", 400}, {"a, b, a", 400}, {"a, b, b", 400}, {"a, A", 0}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct http_head h = head_of(NULL);

        add(&h, "Sec-WebSocket-Protocol", rows[i].list);
        assert_int_equal(status_of(&h), rows[i].status);
    }
}

/* Extensions that we do not know are many or few without a difference; how many fit, the head's
 * limit says. */
static void many_extensions(void **state)
{
    (void)state;
    for (size_t n = 63; n <= 66; n++) {
        struct http_head h = head_of(NULL);
        char list[70 * 8] = "";

        for (size_t i = 0; i < n; i++)
            strcat(list, i > 0 ? ", x; y=1" : "x");
        add(&h, "Sec-WebSocket-Extensions", list);
        assert_int_equal(status_of(&h), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_of_the_rfc), cmocka_unit_test(last_letter_of_a_key),
        cmocka_unit_test(letters_of_a_key),      cmocka_unit_test(length_of_a_key),
        cmocka_unit_test(offers_up_to_64),       cmocka_unit_test(offers_up_to_256_bytes),
        cmocka_unit_test(no_offer_twice),        cmocka_unit_test(many_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
