/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_ADMIN_ADMIN_ORDER_H
#define WSLUICE_HANDLER_ADMIN_ADMIN_ORDER_H

/* What all orders of the admin door share. */
#include "core/request.h"
#include "core/stream.h"

#define ADMIN_VALUE_MAX 256 /* of a parameter, with its NUL */

/* The parameter's value, "" when there is none. False: it is there and cannot be read. */
bool admin_order_parameter(const struct request *r, const char *name, char out[ADMIN_VALUE_MAX]);
/* 400 */
void admin_order_bad(struct stream *s, const char *why);
/* Every order leaves a line. */
void admin_order_log(struct stream *s, const char *order, const char *what, uint64_t count);

#endif
