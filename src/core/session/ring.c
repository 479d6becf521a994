/* SPDX-License-Identifier: MIT */
#include "core/session/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_SMALLEST 16U
#define LARGEST (1U << 30) /* bytes */

/* In front of each message; at a multiple of its size. */
struct ring_head {
    uint64_t before;
    uint32_t len;
    uint8_t opcode, channel;
};

static uint32_t footprint(size_t n)
{
    size_t all = sizeof(struct ring_head) + RING_PLACE + n;

    return (uint32_t)((all + 15) / 16 * 16);
}

static struct ring_head *head_at(const struct ring *r, uint32_t at)
{
    return (struct ring_head *)(void *)(r->bytes + at);
}

static uint32_t offset_of(const struct ring *r, uint64_t number)
{
    assert(number >= r->first && number < r->next);
    return r->index[number & (r->index_size - 1)];
}

void ring_init(struct ring *r, size_t limit)
{
    *r = (struct ring){.limit = limit, .first = 1, .next = 1};
}

void ring_release(struct ring *r)
{
    free(r->bytes);
    free(r->index);
    *r = (struct ring){.limit = r->limit, .first = r->next, .next = r->next, .total = r->total};
}

struct ring_message ring_get(const struct ring *r, uint64_t number)
{
    struct ring_head *h = head_at(r, offset_of(r, number));

    return (struct ring_message){
        .payload = (uint8_t *)(h + 1) + RING_PLACE,
        .len = h->len,
        .opcode = h->opcode,
        .channel = h->channel,
        .before = h->before,
    };
}

uint64_t ring_bytes_from(const struct ring *r, uint64_t number)
{
    return number >= r->next ? 0 : r->total - head_at(r, offset_of(r, number))->before;
}

size_t ring_memory(const struct ring *r)
{
    return r->size + r->index_size * sizeof *r->index;
}

static void ring_drop_oldest(struct ring *r)
{
    r->first++;
    r->dropped++;
    if (r->first == r->next)
        r->head = r->tail = 0;
    else
        r->head = offset_of(r, r->first);
}

/* Where `need` bytes fit in one piece; UINT32_MAX: nowhere. */
static uint32_t find_place(const struct ring *r, uint32_t need)
{
    bool empty = r->first == r->next, wrapped = !empty && r->tail <= r->head;

    if (wrapped)
        return r->head - r->tail >= need ? r->tail : UINT32_MAX;
    if (r->size - r->tail >= need)
        return r->tail;
    return r->head >= need ? 0 : UINT32_MAX;
}

/* Moves all messages into a block of this size, one behind the other. */
static bool ring_resize(struct ring *r, size_t size)
{
    uint8_t *bytes = size <= LARGEST ? malloc(size) : NULL;
    uint32_t at = 0;

    if (bytes == NULL)
        return false;
    for (uint64_t n = r->first; n < r->next; n++) {
        const struct ring_head *h = head_at(r, offset_of(r, n));
        uint32_t all = footprint(h->len);

        memcpy(bytes + at, h, all);
        r->index[n & (r->index_size - 1)] = at;
        at += all;
    }
    free(r->bytes);
    r->bytes = bytes;
    r->size = (uint32_t)size;
    r->head = 0;
    r->tail = at;
    return true;
}

static bool resize_index(struct ring *r, uint32_t size)
{
    uint32_t *index = malloc(size * sizeof *index);
    if (index == NULL)
        return false;
    for (uint64_t n = r->first; n < r->next; n++)
        index[n & (size - 1)] = offset_of(r, n);
    free(r->index);
    r->index = index;
    r->index_size = size;
    return true;
}

static bool grow_index(struct ring *r)
{
    if (r->next - r->first < r->index_size)
        return true;
    return resize_index(r, r->index_size == 0 ? INDEX_SMALLEST : r->index_size * 2);
}

static uint64_t bytes_held(const struct ring *r)
{
    return ring_bytes_from(r, r->first);
}

/* The next size that could do: doubled, but not beyond what limit and message want. */
static size_t larger(const struct ring *r, uint32_t need)
{
    size_t size = r->size == 0 ? RING_SMALLEST : (size_t)r->size * 2;

    while (size < need)
        size *= 2;
    return size;
}

/* Room for `need` bytes: by growing while the limit is not reached, then by pushing messages out,
 * then by growing all the same. */
static uint32_t make_place(struct ring *r, uint32_t need, uint64_t keep)
{
    uint32_t at;

    while (r->first < r->next && r->first < keep && bytes_held(r) + need > r->limit)
        ring_drop_oldest(r);
    if (r->size > 2 * r->limit && bytes_held(r) + need <= r->limit)
        (void)ring_resize(r, r->limit); /* what made it grow is gone */
    while ((at = find_place(r, need)) == UINT32_MAX) {
        if (r->size < r->limit || r->first == r->next || r->first >= keep) {
            if (!ring_resize(r, larger(r, need)))
                return UINT32_MAX;
        } else {
            ring_drop_oldest(r);
        }
    }
    return at;
}

void ring_trim(struct ring *r, uint64_t keep)
{
    while (r->first < r->next && r->first < keep && bytes_held(r) > r->limit)
        ring_drop_oldest(r);
    if (r->size > r->limit && bytes_held(r) <= r->limit)
        (void)ring_resize(r, r->limit);
    if (r->index_size > INDEX_SMALLEST && r->next - r->first < r->index_size / 4)
        (void)resize_index(r, r->index_size / 2);
}

uint8_t *ring_add(struct ring *r, uint8_t opcode, uint8_t channel, size_t n, uint64_t keep)
{
    uint32_t at;
    struct ring_head *h;

    if (n > LARGEST / 2 || !grow_index(r))
        return NULL;
    at = make_place(r, footprint(n), keep);
    if (at == UINT32_MAX)
        return NULL;
    if (r->first == r->next)
        r->head = at;
    h = head_at(r, at);
    *h = (struct ring_head){
        .before = r->total, .len = (uint32_t)n, .opcode = opcode, .channel = channel};
    memset(h + 1, 0, RING_PLACE);
    r->index[r->next & (r->index_size - 1)] = at;
    r->tail = at + footprint(n);
    r->next++;
    r->total += footprint(n);
    return (uint8_t *)(h + 1) + RING_PLACE;
}
