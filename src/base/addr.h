/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_ADDR_H
#define WSLUICE_BASE_ADDR_H

/* Socket addresses as values, and the written forms of product addresses. */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/slice.h"

/* An internet address, or family AF_UNIX with no name (a client of a Unix socket), or AF_UNSPEC
 * (none). 28 bytes. */
union addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

#define ADDR_TEXT_MAX 64 /* "[ffff:...:255.255.255.255%4294967295]:65535" and its NUL */

socklen_t addr_len(const union addr *a);
uint16_t addr_port(const union addr *a);
void addr_set_port(union addr *a, uint16_t port);

/* "127.0.0.1:80", "[::1]:80", "unix". A v4-mapped address is written as IPv4. */
const char *addr_format(const union addr *a, char out[ADDR_TEXT_MAX]);
/* The address alone, without port and brackets: for REMOTE_ADDR. */
const char *addr_format_host(const union addr *a, char out[ADDR_TEXT_MAX]);

/* Numeric text, brackets allowed around IPv6, to an address with that port; false for anything else
 * (a name). */
bool addr_parse_host(struct slice host, uint16_t port, union addr *out);

/* ::ffff:a.b.c.d becomes a.b.c.d. */
void addr_unmap(union addr *a);

/* 127.0.0.0/8 or ::1. */
bool addr_is_loopback(const union addr *a);

/* The key limits count by: the address, of IPv6 its /64. 16 bytes. */
void addr_limit_key(const union addr *a, uint8_t key[16]);

/* Who has one /64 of IPv6 often has the /56 or /48 around it. Level 0 is addr_limit_key, 1 and 2
 * are these; of all other addresses every level is the same. */
#define ADDR_NETWORKS 3
void addr_network_key(const union addr *a, unsigned level, uint8_t key[16]);

/*
 * Cuts "HOST:PORT", "[V6]:PORT" or "PORT" (then host is empty). Port 0 to 65535. NULL when right,
 * else a constant text that says what is wrong.
 */
const char *addr_split(struct slice text, struct slice *host, uint16_t *port);

#endif
