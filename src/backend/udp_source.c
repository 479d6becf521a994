/* SPDX-License-Identifier: MIT */
#include "backend/udp_source.h"

#include <arpa/inet.h>
#include <string.h>

#define FIRST 0x7f010000U
#define LAST 0x7ffffffeU /* the one behind it is the network's broadcast */

bool udp_source_of_number(const union addr *to, uint64_t number, union addr *out)
{
    uint32_t server, host, count = LAST - FIRST + 1;

    if (to->sa.sa_family != AF_INET || !addr_is_loopback(to))
        return false;
    server = ntohl(to->v4.sin_addr.s_addr);
    count -= server >= FIRST && server <= LAST;
    host = FIRST + (uint32_t)(number % count);
    host += server >= FIRST && host >= server;
    memset(out, 0, sizeof *out);
    out->v4.sin_family = AF_INET;
    out->v4.sin_addr.s_addr = htonl(host);
    return true;
}

/* FNV-1a. Who looks for another client of the same number finds one; it is no secret. */
uint64_t udp_source_number(const union addr *client)
{
    uint64_t hash = 0xcbf29ce484222325U;
    uint8_t key[16];

    addr_limit_key(client, key);
    for (size_t i = 0; i < sizeof key; i++)
        hash = (hash ^ key[i]) * 0x100000001b3U;
    return hash ^ hash >> 32;
}
