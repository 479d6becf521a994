/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_UDP_SOURCE_H
#define WSLUICE_BACKEND_UDP_SOURCE_H

/*
 * Which address of ours a UDP session speaks from. Servers tell their users apart by address: they
 * count, limit and ban by it. To a server on this machine, in 127.0.0.0/8, any address of that
 * network may be ours.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * Makes *out a host of 127.1.0.0 to 127.255.255.254, never that of `to`: the same for the same
 * number, different for any 16 million numbers in a row. 127.0.x.y is left alone, services of this
 * machine are there. False when `to` is not in 127.0.0.0/8.
 */
bool udp_source_of_number(const union addr *to, uint64_t number, union addr *out);

/* A number for a client: the same for all its sessions (of IPv6 for its /64), also after a restart;
 * by chance also that of some other client. */
uint64_t udp_source_number(const union addr *client);

#endif
