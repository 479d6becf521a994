/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_CLIENT_DEFLATE_POOL_H
#define WSLUICE_CORE_CLIENT_DEFLATE_POOL_H

/*
 * What the sessions of a worker share for compression, made at first use: zlib's streams and two
 * buffers. Sessions without context takeover own nothing between messages.
 */
#include <stddef.h>
#include <stdint.h>

#include "io/worker.h"
#include "proto/deflate.h"

/* A reader that remembers nothing, for any window; the borrower's until it is given back. One that
 * came back waits for the next, so there are as many as messages are under way. NULL without
 * memory.
 */
struct deflate_reader *deflate_pool_borrow(struct worker *w);
void deflate_pool_return(struct worker *w, struct deflate_reader *r);

/* A writer that remembers nothing, for one message. The pool's. NULL without memory. */
struct deflate_writer *deflate_pool_writer(struct worker *w, unsigned bits, int level);

/* Bytes at *deflate_pool_plain, with WORKER_HEADROOM before and WORKER_TAILROOM behind them. */
#define DEFLATE_POOL_PLAIN 65536U
/* Where messages are inflated to. NULL without memory. */
uint8_t *deflate_pool_plain(struct worker *w);

/* Where frames are made: at least so many bytes, valid until the next call. NULL without memory. */
uint8_t *deflate_pool_packed(struct worker *w, size_t size);

void deflate_pool_free(struct worker *w);

#endif
