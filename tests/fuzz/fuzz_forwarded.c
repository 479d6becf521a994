/* SPDX-License-Identifier: MIT */
/*
 * core/forwarded. Input: f (Forwarded) or x (X-Forwarded-*), the peer's address, then a line for
 * each field; of x they are For, Proto, Host, Port, For, ... in turn. Oracles:
 * - of a peer that is not trusted nothing changes;
 * - what is found stands in the fields, or is what was there before;
 * - whatever anybody writes in front of what the trusted proxy has added, in the same field or an
 *   earlier one, does not change whom it names: it is read from the right;
 * - the client that is found is the last one that is not trusted, or one behind which nothing can
 *   be believed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/forwarded.h"

#define FIELDS 12
#define TRUSTED 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void trust(struct cidr trusted[TRUSTED])
{
    must(cidr_parse(slice_from("10.0.0.0/8"), &trusted[0]) == NULL);
    must(cidr_parse(slice_from("fd00::/8"), &trusted[1]) == NULL);
}

static void add(struct http_head *h, const char *name, struct slice value)
{
    h->fields[h->count++] = (struct http_field){slice_from(name), value};
}

static struct request apply(const struct http_head *h, const union addr *peer, bool rich)
{
    struct request r = {.head = h, .client = *peer, .host = slice_from("own")};
    struct cidr trusted[TRUSTED];

    trust(trusted);
    forwarded_apply(&r, trusted, TRUSTED, rich ? FORWARDED_RFC7239 : FORWARDED_X);
    return r;
}

static bool same_client(const struct request *a, const struct request *b)
{
    char one[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];

    return strcmp(addr_format(&a->client, one), addr_format(&b->client, other)) == 0;
}

static bool stands_in(const struct http_head *h, struct slice word)
{
    for (size_t i = 0; i < h->count; i++) {
        const struct slice v = h->fields[i].value;

        if (word.p >= v.p && word.p + word.len <= v.p + v.len)
            return true;
    }
    return false;
}

/* A client writes what it wants; the proxy that it reaches adds whom it sees. */
static void check_additions(const struct http_head *written, bool rich)
{
    const char *name = rich ? "Forwarded" : "X-Forwarded-For";
    struct http_head h = *written;
    union addr peer;

    must(addr_parse_host(slice_from("10.1.1.1"), 1, &peer));
    add(&h, name, slice_from(rich ? "for=192.0.2.77;host=seen;proto=https" : "192.0.2.77"));
    struct request r = apply(&h, &peer, rich);
    char text[ADDR_TEXT_MAX];
    must(strcmp(addr_format_host(&r.client, text), "192.0.2.77") == 0);
    if (rich)
        must(slice_is(r.host, "seen") && r.secure);
}

static void check_all(const struct http_head *h, const union addr *peer, bool rich)
{
    struct request r = apply(h, peer, rich), before = {.client = *peer};
    struct cidr trusted[TRUSTED];

    trust(trusted);
    if (!cidr_any_has(trusted, TRUSTED, peer)) {
        must(same_client(&r, &before) && !r.secure && !r.vouched && r.host_port == 0);
        must(slice_is(r.host, "own"));
    }
    must(slice_is(r.host, "own") || stands_in(h, r.host));
    check_additions(h, rich);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const x[] = {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
                                    "X-Forwarded-Port"};
    struct http_head h = {0};
    union addr peer;
    char *copy;

    if (size == 0)
        return 0;
    copy = malloc(size); /* exactly that much, for ASan */
    must(copy != NULL);
    memcpy(copy, data, size);
    bool rich = copy[0] == 'f';
    struct slice rest = slice_of(copy + 1, size - 1), line = slice_cut(rest, '\n', &rest);
    if (addr_parse_host(line, 1, &peer)) {
        while (rest.p != NULL && h.count < FIELDS) {
            line = slice_trim(slice_cut(rest, '\n', &rest));
            add(&h, rich ? "Forwarded" : x[h.count % 4], line);
        }
        check_all(&h, &peer, rich);
    }
    free(copy);
    return 0;
}
