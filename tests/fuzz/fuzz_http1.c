/* SPDX-License-Identifier: MIT */
/*
 * proto/http1 and proto/handshake. Input: a byte that says how the rest is split and how long a
 * head may be, then the bytes of a client. Oracles:
 * - given whole, octet by octet, and in pieces of other sizes, each time at another place in
 * memory, the verdict, its reason and all that a head tells are the same;
 * - what a head tells lies inside it, in order, and it ends in an empty line within the limit;
 * - DONE once, what follows changes nothing; REFUSED has a status and a reason;
 * - a handshake is refused by a known status, or its key gives 28 letters; the subprotocol chosen
 * is a token that stands in the head; without Upgrade, or by HTTP/1.0, none is accepted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* One way of giving the bytes. The parser's slices point into `copy`. */
struct feeding {
    struct http1_parser parser;
    enum http1_result result;
    char *copy;
    size_t given; /* bytes, when the verdict was there */
};

static void feed(struct feeding *f, const uint8_t *data, size_t size, size_t piece, size_t max)
{
    f->copy = NULL;
    f->result = HTTP1_MORE;
    http1_init(&f->parser, max);
    for (size_t n = 0; n < size && f->result == HTTP1_MORE;) {
        char *moved;

        n = size - n < piece ? size : n + piece;
        moved = malloc(n); /* exactly, for ASan; and elsewhere, as a buffer that grew may be */
        must(moved != NULL);
        memcpy(moved, data, n);
        free(f->copy);
        f->copy = moved;
        f->given = n;
        f->result = http1_feed(&f->parser, f->copy, n);
    }
}

static void check_inside(const struct feeding *f, struct slice s)
{
    must(s.len == 0 || (s.p >= f->copy && s.p + s.len <= f->copy + f->parser.length));
}

static void check_done(const struct feeding *f, size_t max)
{
    const struct http_head *h = &f->parser.head;
    size_t end = f->parser.length;

    must(end >= 4 && end <= max && end <= f->given);
    must(memcmp(f->copy + end - 4, "\r\n\r\n", 4) == 0);
    must(memchr(f->copy, '\0', end) == NULL);
    must(h->method.len > 0 && h->target.len > 0 && h->count <= HTTP1_FIELDS_MAX);
    must(h->is_1_0 || h->host.len > 0);
    check_inside(f, h->method);
    check_inside(f, h->target);
    check_inside(f, h->host);
    for (size_t i = 0; i < h->count; i++) {
        must(h->fields[i].name.len > 0);
        check_inside(f, h->fields[i].name);
        check_inside(f, h->fields[i].value);
        must(i == 0 || h->fields[i].name.p > h->fields[i - 1].name.p);
    }
}

static bool same_head(const struct http_head *a, const struct http_head *b)
{
    if (!slice_eq(a->method, b->method) || !slice_eq(a->target, b->target) ||
        !slice_eq(a->host, b->host) || a->keep_alive != b->keep_alive || a->is_1_0 != b->is_1_0 ||
        a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!slice_eq(a->fields[i].name, b->fields[i].name) ||
            !slice_eq(a->fields[i].value, b->fields[i].value))
            return false;
    }
    return true;
}

/* What a client is told does not depend on how its bytes came. */
static void check_same(const struct feeding *a, const struct feeding *b)
{
    must(a->result == b->result);
    if (a->result == HTTP1_REFUSED)
        must(a->parser.status == b->parser.status && strcmp(a->parser.why, b->parser.why) == 0);
    if (a->result == HTTP1_DONE)
        must(a->parser.length == b->parser.length && same_head(&a->parser.head, &b->parser.head));
}

static void check_handshake(const struct http_head *h)
{
    static const int statuses[] = {400, 405, 426};
    char accept[HANDSHAKE_ACCEPT_SIZE];
    const char *why = NULL;
    bool known = false;
    int status = handshake_check(h, accept, &why);

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        known |= status == statuses[i];
    must(status == 0 || (known && why != NULL));
    must(handshake_refusal_fields(status) != NULL);
    if (status != 0)
        return;
    must(strlen(accept) == HANDSHAKE_ACCEPT_SIZE - 1 && accept[HANDSHAKE_ACCEPT_SIZE - 2] == '=');
    must(handshake_wanted(h) && !h->is_1_0 && slice_is(h->method, "GET"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct feeding whole, octets, pieces; /* a parser is some kilobytes */

    if (size < 2 || size > 4096)
        return 0;
    size_t piece = 2 + data[0] % 61, max = data[0] % 2 == 0 ? 512 : 32768;

    feed(&whole, data + 1, size - 1, size, max);
    feed(&octets, data + 1, size - 1, 1, max);
    feed(&pieces, data + 1, size - 1, piece, max);
    check_same(&whole, &octets);
    check_same(&whole, &pieces);
    if (whole.result == HTTP1_REFUSED)
        must(whole.parser.status >= 400 && whole.parser.status <= 505 && whole.parser.why != NULL);
    if (whole.result == HTTP1_DONE) {
        check_done(&whole, max);
        check_done(&octets, max);
        must(octets.given == octets.parser.length); /* as soon as it is there */
        check_handshake(&whole.parser.head);
    }
    must(whole.result != HTTP1_MORE || size - 1 < max);
    free(whole.copy);
    free(octets.copy);
    free(pieces.copy);
    return 0;
}
