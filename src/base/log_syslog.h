/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_LOG_SYSLOG_H
#define WSLUICE_BASE_LOG_SYSLOG_H

/*
 * The socket of a syslog daemon, without libc's syslog(), which waits. A daemon that restarts makes
 * a new socket: we connect again, at most once in LOG_SYSLOG_AGAIN seconds. Inside of base/log.
 */
#include <sys/uio.h>

#include "base/log.h"

#define LOG_SYSLOG_AGAIN 1.0

/* Sends one line as a datagram, without its newline. False: not now. */
bool log_syslog_send(struct log *l, const struct iovec v[2]);

/* Connects to l->path anew. False when nobody is there. */
bool log_syslog_connect(struct log *l);

#endif
