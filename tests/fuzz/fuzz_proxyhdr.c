/* SPDX-License-Identifier: MIT */
/*
 * proto/proxyhdr. Input: the bytes of a peer. Oracles:
 * - read in growing pieces, the header is MORE until it is what the whole is, at the same length;
 * - once BAD it stays so, once DONE what follows changes nothing;
 * - what it says lies inside it, addresses are never mapped, and at most PROXYHDR_MAX bytes are it;
 * - addresses it tells, written by either version, are read as the same; by version 2, all it
 * tells.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proxyhdr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

#define TEXTS 5

static struct slice *text_of(struct proxyhdr *h, int i)
{
    struct slice *const all[TEXTS] = {&h->authority, &h->alpn, &h->unique_id, &h->tls_version,
                                      &h->tls_cn};

    return all[i];
}

static void check_text(struct slice text, const char *begin, const char *end)
{
    must(text.len <= PROXYHDR_TEXT_MAX);
    must(text.len == 0 || (text.p > begin && text.p + text.len <= end));
    for (size_t i = 0; i < text.len; i++)
        must((unsigned char)text.p[i] >= 0x20 && text.p[i] != 0x7f);
}

/* Of a copy of exactly this size, for ASan. Slices become offsets into data. */
static enum proxyhdr_result parse(const uint8_t *data, size_t n, struct proxyhdr *h)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    enum proxyhdr_result result;

    must(copy != NULL);
    if (n > 0)
        memcpy(copy, data, n);
    result = proxyhdr_parse(copy, n, h);
    if (result == PROXYHDR_DONE) {
        const char *begin = (const char *)copy, *end = begin + h->length;

        must(h->length > 0 && h->length <= n && h->length <= PROXYHDR_MAX);
        must(h->unique_id.len <= PROXYHDR_UNIQUE_MAX);
        for (int i = 0; i < TEXTS; i++)
            check_text(*text_of(h, i), begin, end);
    }
    for (int i = 0; i < TEXTS; i++) {
        struct slice *text = text_of(h, i);

        if (text->p != NULL)
            text->p = (const char *)data + (text->p - (char *)copy);
    }
    free(copy);
    return result;
}

static bool addr_same(const union addr *a, const union addr *b)
{
    char s[ADDR_TEXT_MAX], t[ADDR_TEXT_MAX];

    return a->sa.sa_family == b->sa.sa_family && strcmp(addr_format(a, s), addr_format(b, t)) == 0;
}

/* All but the length. */
static bool tells_same(const struct proxyhdr *a, const struct proxyhdr *b)
{
    return a->tls == b->tls && a->tls_cert == b->tls_cert && a->tls_verified == b->tls_verified &&
           a->datagram == b->datagram && addr_same(&a->source, &b->source) &&
           addr_same(&a->destination, &b->destination) && slice_eq(a->authority, b->authority) &&
           slice_eq(a->alpn, b->alpn) && slice_eq(a->unique_id, b->unique_id) &&
           slice_eq(a->tls_version, b->tls_version) && slice_eq(a->tls_cn, b->tls_cn);
}

static bool same(const struct proxyhdr *a, const struct proxyhdr *b)
{
    return a->length == b->length && a->is_local == b->is_local && tells_same(a, b);
}

static void check_written(const struct proxyhdr *h, int version)
{
    uint8_t out[PROXYHDR_WRITE_MAX];
    struct proxyhdr again;
    size_t n = proxyhdr_write(out, version, h);

    must(n > 0 && n <= sizeof out);
    must(parse(out, n, &again) == PROXYHDR_DONE && again.length == n && !again.is_local);
    must(addr_same(&again.source, &h->source) && addr_same(&again.destination, &h->destination));
    must(version == 1 || tells_same(&again, h));
}

static void check_done(const struct proxyhdr *h)
{
    const union addr *both[] = {&h->source, &h->destination};

    must(h->source.sa.sa_family != AF_UNSPEC || h->destination.sa.sa_family == AF_UNSPEC);
    for (int i = 0; i < 2; i++) {
        sa_family_t family = both[i]->sa.sa_family;

        must(family == AF_UNSPEC || family == AF_INET || family == AF_INET6);
        must(family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&both[i]->v6.sin6_addr));
    }
    must(!h->is_local || h->source.sa.sa_family == AF_UNSPEC);
    check_written(h, 1);
    check_written(h, 2);
}

/* The next length to cut at: all at the front and around the end, elsewhere every 61st. */
static size_t next_cut(size_t n, size_t end)
{
    size_t next = n + 61 - n % 61;

    if (n < 130 || n + 2 >= end)
        return n + 1;
    return next + 2 < end ? next : end - 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxyhdr whole, part;
    enum proxyhdr_result result = parse(data, size, &whole), got = PROXYHDR_MORE;
    size_t most = size < PROXYHDR_MAX + 8 ? size : PROXYHDR_MAX + 8;
    size_t end = result == PROXYHDR_DONE ? whole.length : most;

    if (result == PROXYHDR_DONE)
        check_done(&whole);
    must(result != PROXYHDR_MORE || size < PROXYHDR_MAX);
    for (size_t n = 0; n <= most; n = next_cut(n, end)) {
        enum proxyhdr_result before = got;

        got = parse(data, n, &part);
        must(before == PROXYHDR_MORE || got == before);
        must(got == PROXYHDR_MORE || got == result);
        must(got != PROXYHDR_DONE || same(&part, &whole));
        if (result == PROXYHDR_DONE)
            must((got == PROXYHDR_MORE) == (n < whole.length));
    }
    must(got == result);
    return 0;
}
