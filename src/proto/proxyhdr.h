/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_PROXYHDR_H
#define WSLUICE_PROTO_PROXYHDR_H

/*
 * The PROXY protocol, versions 1 and 2 (haproxy's doc/proxy-protocol.txt): one header before
 * anything else on a connection that tells whom a proxy speaks for. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define PROXYHDR_MAX 4096       /* bytes of a header we accept, TLVs included */
#define PROXYHDR_WRITE_MAX 108  /* bytes of one we write (version 1 is the longer) */
#define PROXYHDR_UNIQUE_MAX 128 /* bytes of a unique id (section 2.2.5) */

enum proxyhdr_result { PROXYHDR_MORE, PROXYHDR_DONE, PROXYHDR_BAD };

/* What a header says. The slices point into the bytes given. */
struct proxyhdr {
    bool is_local; /* a health check of the proxy's own: its address is the client's */
    union addr source, destination; /* AF_UNSPEC when the proxy does not know */
    struct slice authority;         /* TLV: the server name the client asked for (SNI, Host) */
    struct slice unique_id;         /* TLV */
    bool tls;                       /* TLV: the client came over TLS */
    size_t length;                  /* of the header */
};

/* bytes[0 .. n) is all that has arrived. BAD comes as soon as the signature, command, family or
 * length is wrong; the rest is judged when it is whole. MORE: all n bytes belong to the header. */
enum proxyhdr_result proxyhdr_parse(const uint8_t *bytes, size_t n, struct proxyhdr *out);

/* Writes a header for a connection from source to destination. A source that is not internet's
 * becomes UNKNOWN / UNSPEC; a destination that is not, 0.0.0.0 or :: and port 0; of two families
 * the IPv4 address is mapped into IPv6. Returns its length. */
size_t proxyhdr_write(uint8_t out[PROXYHDR_WRITE_MAX], int version, const union addr *source,
                      const union addr *destination);

/* Makes of a header of version 2 one for a datagram. Receivers look for it in each of them: any may
 * be lost, so none can speak for the others. */
void proxyhdr_set_datagram(uint8_t *header);

#endif
