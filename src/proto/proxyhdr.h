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
#define PROXYHDR_TEXT_MAX 255   /* bytes of a text in a TLV that is kept or written */
#define PROXYHDR_UNIQUE_MAX 128 /* bytes of a unique id (section 2.2.5) */
/* bytes of one we write: addresses, four texts and the id, each behind its type and length, the
 * fixed part of the TLS facts */
#define PROXYHDR_WRITE_MAX \
    (16 + 36 + 4 * (3 + PROXYHDR_TEXT_MAX) + (3 + PROXYHDR_UNIQUE_MAX) + (3 + 5))

enum proxyhdr_result { PROXYHDR_MORE, PROXYHDR_DONE, PROXYHDR_BAD };

/*
 * What a header says. The slices point into the bytes given, or are the caller's; they are empty
 * where nothing is told. Of what is read, texts with control bytes or longer than the above are not
 * kept. Version 1 tells the addresses only.
 */
struct proxyhdr {
    bool is_local;     /* a health check of the proxy's own: its address is the client's */
    bool datagram;     /* UDP; only where the addresses are known */
    bool tls;          /* the client came over TLS; else nothing else of TLS is told */
    bool tls_cert;     /* and has shown a certificate */
    bool tls_verified; /* and that was good */
    union addr source, destination; /* AF_UNSPEC when the proxy does not know */
    struct slice authority;         /* the server name the client asked for (SNI, Host) */
    struct slice alpn;
    struct slice unique_id;
    struct slice tls_version; /* "TLSv1.3" */
    struct slice tls_cn;      /* of the certificate's subject, verified or not */
    size_t length;            /* of the header */
};

/* bytes[0 .. n) is all that has arrived. BAD comes as soon as the signature, command, family or
 * length is wrong; the rest is judged when it is whole: the structure of the TLVs, and the checksum
 * where there is one (section 2.2.3). MORE: all n bytes belong to the header. */
enum proxyhdr_result proxyhdr_parse(const uint8_t *bytes, size_t n, struct proxyhdr *out);

/* It says more than who is connected: there were TLVs that were understood. */
bool proxyhdr_is_rich(const struct proxyhdr *h);

/* Writes the header that says what h says, but for is_local and length. A source that is not
 * internet's becomes UNKNOWN / UNSPEC; a destination that is not, 0.0.0.0 or :: and port 0; of two
 * families the IPv4 address is mapped into IPv6. Texts too long for the above are left out. Returns
 * its length. */
size_t proxyhdr_write(uint8_t out[PROXYHDR_WRITE_MAX], int version, const struct proxyhdr *h);

#endif
