/* SPDX-License-Identifier: MIT */
#include "base/cidr.h"

#include <stdio.h>
#include <string.h>

static const uint8_t *addr_bytes(const union addr *a, size_t *n)
{
    *n = a->sa.sa_family == AF_INET ? 4 : 16;
    return a->sa.sa_family == AF_INET ? (const uint8_t *)&a->v4.sin_addr : a->v6.sin6_addr.s6_addr;
}

/* The first `bits` bits are the same. */
static bool same_prefix(const uint8_t *a, const uint8_t *b, size_t bits)
{
    size_t whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) & (0xff00U >> rest) & 0xffU) == 0;
}

static bool parse_bits(struct slice text, size_t max, uint8_t *bits)
{
    unsigned n = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (unsigned)(text.p[i] - '0');
        if (n > max)
            return false;
    }
    *bits = (uint8_t)n;
    return text.len > 0;
}

const char *cidr_parse(struct slice text, struct cidr *out)
{
    struct slice bits, host = slice_cut(text, '/', &bits);
    union addr a;
    size_t n;

    memset(out, 0, sizeof *out);
    if (slice_is(text, "unix")) {
        out->family = AF_UNIX;
        return NULL;
    }
    if (memchr(text.p, '%', text.len) != NULL || !addr_parse_host(host, 0, &a))
        return "not an address; write 10.0.0.0/8, ::1 or unix";
    const uint8_t *bytes = addr_bytes(&a, &n);
    out->family = a.sa.sa_family;
    out->bits = (uint8_t)(n * 8);
    if (bits.p != NULL && !parse_bits(bits, n * 8, &out->bits))
        return "the prefix length is out of range";
    /* addresses are compared as IPv4, so this would never match */
    if (out->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr))
        return "write it as IPv4, without ::ffff:";
    memcpy(out->bytes, bytes, n);
    for (size_t bit = out->bits; bit < n * 8; bit++) {
        if (out->bytes[bit / 8] & (0x80U >> (bit % 8)))
            return "bits are set behind the prefix; did you mean a single address, or another "
                   "length?";
    }
    return NULL;
}

bool cidr_has(const struct cidr *c, const union addr *a)
{
    size_t n;

    if (c->family != a->sa.sa_family)
        return false;
    if (c->family == AF_UNIX)
        return true;
    return same_prefix(c->bytes, addr_bytes(a, &n), c->bits);
}

bool cidr_any_has(const struct cidr *list, size_t n, const union addr *a)
{
    for (size_t i = 0; i < n; i++) {
        if (cidr_has(&list[i], a))
            return true;
    }
    return false;
}

void cidr_first(const struct cidr *c, union addr *a)
{
    memset(a, 0, sizeof *a);
    a->sa.sa_family = c->family;
    if (c->family == AF_INET)
        memcpy(&a->v4.sin_addr, c->bytes, 4);
    else if (c->family == AF_INET6)
        memcpy(a->v6.sin6_addr.s6_addr, c->bytes, 16);
}

const char *cidr_format(const struct cidr *c, char out[CIDR_TEXT_MAX])
{
    union addr a;
    size_t n;

    cidr_first(c, &a);
    addr_format_host(&a, out);
    if (c->family != AF_UNIX && c->bits < (c->family == AF_INET ? 32 : 128)) {
        n = strlen(out);
        snprintf(out + n, CIDR_TEXT_MAX - n, "/%u", c->bits);
    }
    return out;
}
