/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FLOOR_WS_H
#define BENCH_FLOOR_WS_H

/*
 * The least WebSocket that can echo: it believes everything it reads. In one pass, in place: an
 * answer is never longer than its question, for a server's header lacks the mask.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOOR_WS_ROOM                                                          \
    160 /* room before the bytes read: for the handshake's answer, or a header \
         */

/* All zeroes at the start. */
struct floor_ws {
    uint64_t left; /* payload still to come */
    uint8_t head[14];
    uint8_t have;
    uint8_t key[4]; /* rotated to the next byte */
    bool upgraded;
    bool over;          /* a close frame was answered */
    char request[1024]; /* until upgraded */
    size_t request_len;
};

/*
 * Takes the n bytes that stand at buffer + FLOOR_WS_ROOM and writes the answer at buffer. Returns
 * its length, 0 to n + FLOOR_WS_ROOM.
 */
size_t floor_ws_turn(struct floor_ws *w, uint8_t *buffer, size_t n);

#endif
