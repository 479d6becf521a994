/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_DATAGRAM_H
#define WSLUICE_IO_DATAGRAM_H

/*
 * Connected UDP sockets: many datagrams by one system call, each direction. One address of ours is
 * one port of ours, so nothing of another sender arrives.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "io/worker.h"

#define DATAGRAM_BATCH 16U /* received by one call */
#define DATAGRAM_ROOM 4U   /* writable bytes in front of each that was received */

/* A socket that is connected to `to`, nonblocking, close-on-exec, bound to the host of `from` and
 * any port (NULL: as the system likes). own becomes our address. -1 with errno. */
int datagram_open(struct worker *w, const union addr *to, const union addr *from, union addr *own);

/*
 * Receives what lies there, at most DATAGRAM_BATCH, into memory of the worker, good until the next
 * call for any socket. Returns how many; 0 with *err (EAGAIN: none; see datagram_is_unreachable).
 * One that did not fit, which takes an IPv6 jumbogram, has iov_base NULL and its length.
 */
size_t datagram_receive(struct worker *w, int fd, struct iovec out[DATAGRAM_BATCH], int *err);

/* Sends n datagrams, before each the bytes of *head (iov_len 0: nothing). Returns how many left;
 * fewer than n: *err says what became of the next (EAGAIN: later; EMSGSIZE: too long). */
size_t datagram_send(int fd, const struct iovec *head, const struct iovec *all, size_t n, int *err);

/* Told by ICMP, or by our own routes: nobody is there, or no way to it. Such an error may be an
 * earlier datagram's; the one at hand was not sent then. */
bool datagram_is_unreachable(int err);

#endif
