/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_LOG_OUT_H
#define WSLUICE_BASE_LOG_OUT_H

/* Where lines go without waiting: the descriptor, else the ring; inside of base/log. */
#include "base/log.h"

/* A line with its newline. False when it is lost. */
bool log_out_put(struct log *l, const char *p, size_t n);
/* Writes from the ring what is taken now. */
void log_out_flush(struct log *l);
void log_out_dropped(struct log *l, uint64_t lines);
void log_out_release(struct log *l);

#endif
