/* SPDX-License-Identifier: MIT */
#include "pattern.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 64
#define STAMP 8
#define FILLER (BLOCK - STAMP)

/* Each filler is FILLER bytes of whole characters; a message cut short gets spaces for a cut
 * character. */
static const char fill_ascii[] = "The quick brown fox jumps over the lazy dog 0123456789 .";
static const char fill_json[] =
    "\",\"name\":\"Zo\xc3\xab M\xc3\xbcller\",\"x\":12.5,\"y\":3,\"k\":true},{\"id\":\"";
static const char fill_utf8[] =
    "\xd0\x96\xd1\x83\xd0\xba \xe6\xb0\xb4\xe9\x96\x80 \xf0\x9f\x8c\x8a\xf0\x9f\x8c\x8a "
    "\xce\xb1\xce\xb2\xce\xb3\xce\xb4 \xe2\x82\xac\xe2\x82\xac\xe2\x82\xac "
    "\xc3\xa4\xc3\xb6\xc3\xbc \xe6\x97\xa5\xe6\x9c\xac.";

_Static_assert(sizeof fill_ascii - 1 == FILLER, "filler");
_Static_assert(sizeof fill_json - 1 == FILLER, "filler");
_Static_assert(sizeof fill_utf8 - 1 == FILLER, "filler");

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Eight characters of '0' to 'o' in one go: six random bits each. */
static uint64_t stamp_of(uint64_t seed, uint64_t block)
{
    uint64_t v = mix(seed + block * 0x9e3779b97f4a7c15u);

    return (v & 0x3f3f3f3f3f3f3f3fu) + 0x3030303030303030u;
}

static void fill(uint8_t *p, enum pattern_kind kind, size_t size)
{
    static const char *const text[] = {
        [PATTERN_ASCII] = fill_ascii, [PATTERN_JSON] = fill_json, [PATTERN_UTF8] = fill_utf8};

    for (size_t i = 0; i < size; i++) {
        size_t at = i % BLOCK;

        if (kind == PATTERN_BINARY)
            p[i] = (uint8_t)(i * 7 + i / 256);
        else if (at >= STAMP)
            p[i] = (uint8_t)text[kind][at - STAMP];
    }
}

/* Replaces the character that the end of the message cuts, if any, by spaces. */
static void trim(uint8_t *p, size_t size)
{
    size_t lead = size;
    size_t need;

    if (size % BLOCK <= STAMP)
        return; /* ends behind a whole block or in a stamp: nothing is cut */
    while (lead > 0 && (p[lead - 1] & 0xc0) == 0x80)
        lead--;
    if (lead == 0 || p[lead - 1] < 0xc0)
        return;
    lead--;
    need = p[lead] >= 0xf0 ? 4 : p[lead] >= 0xe0 ? 3 : 2;
    if (lead + need > size)
        memset(p + lead, ' ', size - lead);
}

bool pattern_init(struct pattern *p, enum pattern_kind kind, size_t size, bool newline)
{
    *p = (struct pattern){.size = size, .stamped = newline ? size - 1 : size};
    p->bytes = calloc(1, size);
    if (p->bytes == NULL)
        return false;
    fill(p->bytes, kind, p->stamped);
    if (kind != PATTERN_BINARY)
        trim(p->bytes, p->stamped);
    if (newline)
        p->bytes[size - 1] = '\n';
    return true;
}

void pattern_free(struct pattern *p)
{
    free(p->bytes);
    p->bytes = NULL;
}

const uint8_t *pattern_message(struct pattern *p, uint64_t id, uint64_t k)
{
    uint64_t seed;

    if (p->fresh && p->id == id && p->k == k)
        return p->bytes;
    seed = mix(id * 0xd6e8feb86659fd93u + k);
    for (size_t at = 0, block = 0; at < p->stamped; at += BLOCK, block++) {
        uint64_t v = stamp_of(seed, block);
        size_t room = p->stamped - at;

        memcpy(p->bytes + at, &v, room < STAMP ? room : STAMP);
    }
    p->id = id;
    p->k = k;
    p->fresh = true;
    return p->bytes;
}

enum pattern_kind pattern_kind_of(const char *name)
{
    static const char *const names[] = {[PATTERN_ASCII] = "ascii",
                                        [PATTERN_JSON] = "json",
                                        [PATTERN_UTF8] = "utf8",
                                        [PATTERN_BINARY] = "binary"};
    unsigned kind = 0;

    while (kind < PATTERN_KINDS && strcmp(names[kind], name) != 0)
        kind++;
    return (enum pattern_kind)kind;
}
