/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_OBSERVE_REQUEST_LOG_H
#define WSLUICE_CORE_OBSERVE_REQUEST_LOG_H

#include "core/stream.h"

/* One line about a request that did not become a session, while the stream still has its request. A
 * status of 400 and above is also counted as a refusal. why is told in the line; NULL: nothing. */
void request_log(const struct stream *s, int status, const char *why);

#endif
