/* SPDX-License-Identifier: MIT */
#include "proto/proxyhdr.h"

#include <arpa/inet.h>
#include <stdio.h>

#define V1_MAX 107 /* CR LF included, section 2.1 */
#define V2_FIXED 16
#define V2_LOCAL 0x20 /* version and command */
#define V2_PROXY 0x21
#define V2_STREAM 0x1 /* transport */
#define V2_DGRAM 0x2
#define CLIENT_SSL 0x01       /* bits of the client in TLV_SSL */
#define CLIENT_CERT_CONN 0x02 /* shown on this connection */
#define CLIENT_CERT_SESS 0x04 /* or earlier in its TLS session */
#define SSL_FIXED 5           /* those bits, and four bytes of verdict: 0 is good */

/* Types of TLVs (section 2.2), and of those within TLV_SSL. */
enum {
    TLV_ALPN = 0x01,
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_UNIQUE_ID = 0x05,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CN = 0x22,
};

static const uint8_t v2_signature[12] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                         0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};

static unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* ---- version 1: "PROXY TCP4 1.2.3.4 5.6.7.8 1234 80\r\n" */

static bool proxyhdr_parse_port(struct slice text, uint16_t *port)
{
    unsigned n = 0;

    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.p[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (unsigned)(text.p[i] - '0');
    }
    *port = (uint16_t)n;
    return n <= UINT16_MAX;
}

/* Bare, as the protocol has it: no brackets, no scope. */
static bool parse_host(struct slice text, uint16_t port, union addr *out)
{
    return text.len > 0 && text.p[0] != '[' && memchr(text.p, '%', text.len) == NULL &&
           addr_parse_host(text, port, out);
}

static bool parse_v1_line(struct slice line, struct proxyhdr *out)
{
    struct slice rest, word = slice_cut(line, ' ', &rest);
    struct slice family = slice_cut(rest, ' ', &rest);
    uint16_t source_port, destination_port;
    sa_family_t wanted = slice_is(family, "TCP4") ? AF_INET : AF_INET6;

    if (!slice_is(word, "PROXY"))
        return false;
    if (slice_is(family, "UNKNOWN"))
        return true; /* whatever follows is to be ignored */
    if (wanted == AF_INET6 && !slice_is(family, "TCP6"))
        return false;
    struct slice source = slice_cut(rest, ' ', &rest);
    struct slice destination = slice_cut(rest, ' ', &rest);
    struct slice port = slice_cut(rest, ' ', &rest);

    return proxyhdr_parse_port(port, &source_port) &&
           proxyhdr_parse_port(rest, &destination_port) &&
           parse_host(source, source_port, &out->source) &&
           parse_host(destination, destination_port, &out->destination) &&
           out->source.sa.sa_family == wanted && out->destination.sa.sa_family == wanted;
}

static bool begins_v1(const uint8_t *p, size_t n)
{
    static const char *const starts[] = {"PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN"};

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        size_t len = strlen(starts[i]);

        if (memcmp(p, starts[i], n < len ? n : len) == 0)
            return true;
    }
    return false;
}

static enum proxyhdr_result parse_v1(const uint8_t *p, size_t n, struct proxyhdr *out)
{
    size_t max = n < V1_MAX ? n : V1_MAX;
    const uint8_t *end = memchr(p, '\n', max);

    if (!begins_v1(p, n))
        return PROXYHDR_BAD;
    if (end == NULL)
        return max < V1_MAX ? PROXYHDR_MORE : PROXYHDR_BAD;
    if (end == p || end[-1] != '\r' ||
        !parse_v1_line(slice_of((const char *)p, (size_t)(end - p) - 1), out))
        return PROXYHDR_BAD;
    out->length = (size_t)(end - p) + 1;
    return PROXYHDR_DONE;
}

/* ---- version 2 */

/* The header, while its TLVs are read. */
struct tlvs {
    struct proxyhdr *out;
    const uint8_t *header;
    size_t len; /* of all of it */
};

/* Such texts become variables, log fields and lines: nothing in them may look like the end of one.
 */
static struct slice proxyhdr_text_of(const uint8_t *value, size_t n, size_t max)
{
    for (size_t i = 0; i < n; i++) {
        if (value[i] < 0x20 || value[i] == 0x7f)
            return slice_of(NULL, 0);
    }
    return n > 0 && n <= max ? slice_of((const char *)value, n) : slice_of(NULL, 0);
}

/* Castagnoli's, of the header with zeroes in the place of the checksum itself. */
static bool crc_right(const struct tlvs *t, const uint8_t *value)
{
    uint32_t crc = ~0U, wanted = (uint32_t)be16(value) << 16 | be16(value + 2);

    for (size_t i = 0; i < t->len; i++) {
        const uint8_t *p = t->header + i;

        crc ^= p >= value && p < value + 4 ? 0 : *p;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82F63B78U & (0U - (crc & 1)));
    }
    return ~crc == wanted;
}

static bool take_tlvs(const struct tlvs *t, const uint8_t *p, size_t n,
                      bool (*take)(const struct tlvs *t, uint8_t type, const uint8_t *p, size_t n));

static bool take_ssl_tlv(const struct tlvs *t, uint8_t type, const uint8_t *value, size_t n)
{
    if (type == TLV_SSL_VERSION)
        t->out->tls_version = proxyhdr_text_of(value, n, PROXYHDR_TEXT_MAX);
    else if (type == TLV_SSL_CN)
        t->out->tls_cn = proxyhdr_text_of(value, n, PROXYHDR_TEXT_MAX);
    return true;
}

static bool take_ssl(const struct tlvs *t, const uint8_t *value, size_t n)
{
    struct proxyhdr *out = t->out;

    if (n < SSL_FIXED || (value[0] & CLIENT_SSL) == 0)
        return true;
    out->tls = true;
    out->tls_cert = (value[0] & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) != 0;
    out->tls_verified = out->tls_cert && be16(value + 1) == 0 && be16(value + 3) == 0;
    return take_tlvs(t, value + SSL_FIXED, n - SSL_FIXED, take_ssl_tlv);
}

static bool take_tlv(const struct tlvs *t, uint8_t type, const uint8_t *value, size_t n)
{
    switch (type) {
    case TLV_ALPN:
        t->out->alpn = proxyhdr_text_of(value, n, PROXYHDR_TEXT_MAX);
        return true;
    case TLV_AUTHORITY:
        t->out->authority = proxyhdr_text_of(value, n, PROXYHDR_TEXT_MAX);
        return true;
    case TLV_UNIQUE_ID:
        t->out->unique_id = proxyhdr_text_of(value, n, PROXYHDR_UNIQUE_MAX);
        return true;
    case TLV_CRC32C:
        return n == 4 && crc_right(t, value);
    case TLV_SSL:
        return take_ssl(t, value, n);
    default:
        return true;
    }
}

static bool take_tlvs(const struct tlvs *t, const uint8_t *p, size_t n,
                      bool (*take)(const struct tlvs *t, uint8_t type, const uint8_t *p, size_t n))
{
    while (n > 0) {
        if (n < 3 || n - 3 < be16(p + 1))
            return false;
        size_t len = be16(p + 1);

        if (!take(t, p[0], p + 3, len))
            return false;
        p += 3 + len;
        n -= 3 + len;
    }
    return true;
}

static void take_v4(struct proxyhdr *out, const uint8_t *p)
{
    out->source.v4.sin_family = out->destination.v4.sin_family = AF_INET;
    memcpy(&out->source.v4.sin_addr, p, 4);
    memcpy(&out->destination.v4.sin_addr, p + 4, 4);
    memcpy(&out->source.v4.sin_port, p + 8, 2);
    memcpy(&out->destination.v4.sin_port, p + 10, 2);
}

static void take_v6(struct proxyhdr *out, const uint8_t *p)
{
    out->source.v6.sin6_family = out->destination.v6.sin6_family = AF_INET6;
    memcpy(&out->source.v6.sin6_addr, p, 16);
    memcpy(&out->destination.v6.sin6_addr, p + 16, 16);
    memcpy(&out->source.v6.sin6_port, p + 32, 2);
    memcpy(&out->destination.v6.sin6_port, p + 34, 2);
}

static bool begins_v2(const uint8_t *p, size_t n)
{
    if (memcmp(p, v2_signature, n < sizeof v2_signature ? n : sizeof v2_signature) != 0)
        return false;
    if (n > 12 && p[12] != V2_LOCAL && p[12] != V2_PROXY)
        return false;
    /* of a LOCAL one the family is to be ignored too */
    return n <= 13 || p[12] == V2_LOCAL || (p[13] >> 4 <= 3 && (p[13] & 0x0F) <= 2);
}

static enum proxyhdr_result parse_v2(const uint8_t *p, size_t n, struct proxyhdr *out)
{
    static const struct {
        uint8_t family;
        size_t size;
        void (*take)(struct proxyhdr *out, const uint8_t *p);
    } kinds[] = {{0x0, 0, NULL}, {0x1, 12, take_v4}, {0x2, 36, take_v6}, {0x3, 216, NULL}};

    if (!begins_v2(p, n))
        return PROXYHDR_BAD;
    if (n < V2_FIXED)
        return PROXYHDR_MORE;
    size_t len = be16(p + 14);
    bool is_local = p[12] == V2_LOCAL;
    uint8_t family = is_local ? 0 : p[13] >> 4;

    if (V2_FIXED + len > PROXYHDR_MAX || len < kinds[family].size)
        return PROXYHDR_BAD;
    if (n < V2_FIXED + len)
        return PROXYHDR_MORE;
    out->length = V2_FIXED + len;
    out->is_local = is_local;
    if (is_local)
        return PROXYHDR_DONE; /* the rest is to be ignored */
    if (kinds[family].take != NULL) {
        kinds[family].take(out, p + V2_FIXED);
        out->datagram = (p[13] & 0x0F) == V2_DGRAM;
    }
    const struct tlvs t = {out, p, out->length};
    return take_tlvs(&t, p + V2_FIXED + kinds[family].size, len - kinds[family].size, take_tlv)
               ? PROXYHDR_DONE
               : PROXYHDR_BAD;
}

enum proxyhdr_result proxyhdr_parse(const uint8_t *bytes, size_t n, struct proxyhdr *out)
{
    enum proxyhdr_result result;

    memset(out, 0, sizeof *out);
    if (n == 0)
        return PROXYHDR_MORE;
    result = bytes[0] == 'P' ? parse_v1(bytes, n, out) : parse_v2(bytes, n, out);
    if (result == PROXYHDR_DONE) {
        addr_unmap(&out->source);
        addr_unmap(&out->destination);
    }
    return result;
}

bool proxyhdr_is_rich(const struct proxyhdr *h)
{
    return h->tls || h->authority.len > 0 || h->alpn.len > 0 || h->unique_id.len > 0;
}

/* ---- writing */

static bool is_inet(const union addr *a)
{
    return a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6;
}

static void map_v4(union addr *a)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = a->v4.sin_port};

    if (a->sa.sa_family != AF_INET)
        return;
    v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(v6.sin6_addr.s6_addr + 12, &a->v4.sin_addr, 4);
    a->v6 = v6;
}

/* Makes both one family, so that a client that is known is told of whatever it came to. False when
 * it is not known. */
static bool make_alike(union addr *s, union addr *d)
{
    addr_unmap(s);
    addr_unmap(d);
    if (!is_inet(s))
        return false;
    if (!is_inet(d)) {
        memset(d, 0, sizeof *d);
        d->sa.sa_family = s->sa.sa_family;
    }
    if (s->sa.sa_family != d->sa.sa_family) {
        map_v4(s);
        map_v4(d);
    }
    return true;
}

static size_t write_v1(uint8_t *out, const union addr *s, const union addr *d, bool known)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    bool v4 = s->sa.sa_family == AF_INET;
    int n;

    if (!known) {
        memcpy(out, "PROXY UNKNOWN\r\n", 15);
        return 15;
    }
    (void)inet_ntop(s->sa.sa_family, v4 ? (const void *)&s->v4.sin_addr : &s->v6.sin6_addr, source,
                    sizeof source); /* not addr_format_host: no scopes here, and mapped as it is */
    (void)inet_ntop(d->sa.sa_family, v4 ? (const void *)&d->v4.sin_addr : &d->v6.sin6_addr,
                    destination, sizeof destination);
    n = snprintf((char *)out, V1_MAX + 1, "PROXY %s %s %s %u %u\r\n", v4 ? "TCP4" : "TCP6", source,
                 destination, addr_port(s), addr_port(d));
    return n > 0 && n <= V1_MAX ? (size_t)n : 0;
}

/* Behind what is there; a text that is empty or too long is left out. Returns the new end. */
static uint8_t *put_tlv(uint8_t *p, uint8_t type, struct slice text, size_t max)
{
    if (text.len == 0 || text.len > max)
        return p;
    p[0] = type;
    p[1] = (uint8_t)(text.len >> 8);
    p[2] = (uint8_t)text.len;
    memcpy(p + 3, text.p, text.len);
    return p + 3 + text.len;
}

static uint8_t *put_ssl(uint8_t *p, const struct proxyhdr *h)
{
    uint8_t *end = p + 3 + SSL_FIXED;

    if (!h->tls)
        return p;
    end = put_tlv(end, TLV_SSL_VERSION, h->tls_version, PROXYHDR_TEXT_MAX);
    end = put_tlv(end, TLV_SSL_CN, h->tls_cn, PROXYHDR_TEXT_MAX);
    size_t len = (size_t)(end - p) - 3;

    p[0] = TLV_SSL;
    p[1] = (uint8_t)(len >> 8);
    p[2] = (uint8_t)len;
    p[3] = (uint8_t)(CLIENT_SSL | (h->tls_cert ? CLIENT_CERT_CONN | CLIENT_CERT_SESS : 0));
    memset(p + 4, 0, 4);
    p[7] = !h->tls_verified;
    return end;
}

static uint8_t *put_addresses(uint8_t *p, const union addr *s, const union addr *d)
{
    if (s->sa.sa_family == AF_INET) {
        memcpy(p, &s->v4.sin_addr, 4);
        memcpy(p + 4, &d->v4.sin_addr, 4);
        memcpy(p + 8, &s->v4.sin_port, 2);
        memcpy(p + 10, &d->v4.sin_port, 2);
        return p + 12;
    }
    memcpy(p, &s->v6.sin6_addr, 16);
    memcpy(p + 16, &d->v6.sin6_addr, 16);
    memcpy(p + 32, &s->v6.sin6_port, 2);
    memcpy(p + 34, &d->v6.sin6_port, 2);
    return p + 36;
}

static size_t write_v2(uint8_t *out, const struct proxyhdr *h, const union addr *s,
                       const union addr *d, bool known)
{
    uint8_t *p = out + V2_FIXED;
    uint8_t family = s->sa.sa_family == AF_INET ? 0x10 : 0x20;

    if (known)
        p = put_addresses(p, s, d);
    p = put_tlv(p, TLV_ALPN, h->alpn, PROXYHDR_TEXT_MAX);
    p = put_tlv(p, TLV_AUTHORITY, h->authority, PROXYHDR_TEXT_MAX);
    p = put_tlv(p, TLV_UNIQUE_ID, h->unique_id, PROXYHDR_UNIQUE_MAX);
    p = put_ssl(p, h);
    size_t len = (size_t)(p - out) - V2_FIXED;

    memcpy(out, v2_signature, sizeof v2_signature);
    out[12] = V2_PROXY;
    out[13] = (uint8_t)(known ? family | (h->datagram ? V2_DGRAM : V2_STREAM) : 0);
    out[14] = (uint8_t)(len >> 8);
    out[15] = (uint8_t)len;
    return V2_FIXED + len;
}

size_t proxyhdr_write(uint8_t out[PROXYHDR_WRITE_MAX], int version, const struct proxyhdr *h)
{
    union addr s = h->source, d = h->destination;
    bool known = make_alike(&s, &d);

    return version == 1 ? write_v1(out, &s, &d, known) : write_v2(out, h, &s, &d, known);
}
