/* SPDX-License-Identifier: MIT */
/*
 * proto/deflate_offer. Input: a byte for what the route allows, then a Sec-WebSocket-Extensions
 * field a line. Oracles: what is agreed on is within what the route allows and what zlib can; a
 * field that breaks the grammar is no offer; the answer keeps to the grammar, and is an offer that
 * would be agreed on again with the same parameters.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/deflate_offer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void add(struct http_head *h, struct slice value)
{
    if (h->count < HTTP1_FIELDS_MAX)
        h->fields[h->count++] =
            (struct http_field){slice_from("Sec-WebSocket-Extensions"), slice_trim(value)};
}

static bool in_range(uint8_t bits)
{
    return bits >= DEFLATE_BITS_MIN && bits <= DEFLATE_BITS_MAX;
}

static void check_answer(const struct deflate_params *p, const struct deflate_policy *policy)
{
    static struct http_head answered;
    struct deflate_params again = {0};
    char answer[DEFLATE_ANSWER_MAX];

    answered.count = 0;
    add(&answered, slice_from(deflate_offer_answer(p, answer)));
    must(strlen(answer) < DEFLATE_ANSWER_MAX);
    must(deflate_offer_valid(&answered));
    deflate_offer_choose(&answered, policy, &again);
    must(again.agreed);
    must(again.server_bits <= p->server_bits);
    must(!again.server_takeover || p->server_takeover);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head head;
    struct deflate_params p = {0};
    struct deflate_policy policy;
    struct slice rest, line;

    if (size == 0)
        return 0;
    policy.takeover = data[0] & 1;
    policy.window = (uint8_t)(DEFLATE_BITS_MIN + (data[0] >> 1) % 7);
    head.count = 0;
    for (rest = slice_of((const char *)data + 1, size - 1); rest.p != NULL;) {
        line = slice_cut(rest, '\n', &rest);
        add(&head, line);
    }
    deflate_offer_choose(&head, &policy, &p);
    if (!p.agreed)
        return 0;
    must(deflate_offer_valid(&head) || head.count > 1);
    must(in_range(p.server_bits) && in_range(p.client_bits));
    must(policy.takeover || (!p.server_takeover && !p.client_takeover));
    must(!p.server_takeover || p.server_bits <= policy.window);
    check_answer(&p, &policy);
    return 0;
}
