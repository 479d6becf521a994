/* SPDX-License-Identifier: MIT */
#include "base/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

socklen_t addr_len(const union addr *a)
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return sizeof a->v4;
    case AF_INET6:
        return sizeof a->v6;
    case AF_UNIX:
        return sizeof a->sa.sa_family; /* unnamed */
    default:
        return 0;
    }
}

uint16_t addr_port(const union addr *a)
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return ntohs(a->v4.sin_port);
    case AF_INET6:
        return ntohs(a->v6.sin6_port);
    default:
        return 0;
    }
}

void addr_set_port(union addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET)
        a->v4.sin_port = htons(port);
    else if (a->sa.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
}

void addr_unmap(union addr *a)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        return;
    v4.sin_port = a->v6.sin6_port;
    memcpy(&v4.sin_addr, &a->v6.sin6_addr.s6_addr[12], sizeof v4.sin_addr);
    memset(a, 0, sizeof *a);
    a->v4 = v4;
}

const char *addr_format_host(const union addr *a, char out[ADDR_TEXT_MAX])
{
    union addr plain = *a;

    addr_unmap(&plain);
    switch (plain.sa.sa_family) {
    case AF_INET:
        (void)inet_ntop(AF_INET, &plain.v4.sin_addr, out, ADDR_TEXT_MAX); /* large enough */
        break;
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &plain.v6.sin6_addr, out, ADDR_TEXT_MAX);
        if (plain.v6.sin6_scope_id != 0) {
            size_t n = strlen(out);

            (void)snprintf(out + n, ADDR_TEXT_MAX - n, "%%%u", plain.v6.sin6_scope_id);
        }
        break;
    case AF_UNIX:
        (void)snprintf(out, ADDR_TEXT_MAX, "unix");
        break;
    default:
        (void)snprintf(out, ADDR_TEXT_MAX, "unknown");
        break;
    }
    return out;
}

const char *addr_format(const union addr *a, char out[ADDR_TEXT_MAX])
{
    char host[ADDR_TEXT_MAX];
    bool is_v6 = a->sa.sa_family == AF_INET6;

    (void)addr_format_host(a, host);
    if (!is_v6 && a->sa.sa_family != AF_INET)
        (void)snprintf(out, ADDR_TEXT_MAX, "%.*s", ADDR_TEXT_MAX - 1, host);
    else if (is_v6 && !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        (void)snprintf(out, ADDR_TEXT_MAX, "[%.54s]:%u", host, addr_port(a));
    else
        (void)snprintf(out, ADDR_TEXT_MAX, "%.15s:%u", host, addr_port(a));
    return out;
}

/* "%3" or "%eth0" behind an IPv6 address; 0 when it names no interface. */
static uint32_t scope_number(const char *text)
{
    uint64_t number = 0;

    if (*text == '\0')
        return 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9')
            return if_nametoindex(text);
        number = number * 10 + (uint64_t)(*p - '0');
        if (number > UINT32_MAX)
            return 0;
    }
    return (uint32_t)number;
}

static bool parse_v6(char *text, struct sockaddr_in6 *v6)
{
    char *scope = strchr(text, '%');

    if (scope) {
        *scope++ = '\0';
        v6->sin6_scope_id = scope_number(scope);
        if (v6->sin6_scope_id == 0)
            return false;
    }
    v6->sin6_family = AF_INET6;
    return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

bool addr_parse_host(struct slice host, uint16_t port, union addr *out)
{
    char text[ADDR_TEXT_MAX];
    bool bracketed = host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';
    union addr a;

    if (bracketed)
        host = slice_of(host.p + 1, host.len - 2);
    if (host.len == 0 || host.len >= sizeof text || memchr(host.p, '\0', host.len))
        return false;
    memcpy(text, host.p, host.len);
    text[host.len] = '\0';

    memset(&a, 0, sizeof a);
    if (!bracketed && inet_pton(AF_INET, text, &a.v4.sin_addr) == 1)
        a.v4.sin_family = AF_INET;
    else if (!parse_v6(text, &a.v6))
        return false;
    addr_set_port(&a, port);
    *out = a;
    return true;
}

bool addr_is_loopback(const union addr *a)
{
    union addr plain = *a;

    addr_unmap(&plain);
    if (plain.sa.sa_family == AF_INET)
        return ntohl(plain.v4.sin_addr.s_addr) >> 24 == 127;
    return plain.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&plain.v6.sin6_addr);
}

void addr_limit_key(const union addr *a, uint8_t key[16])
{
    union addr plain = *a;

    addr_unmap(&plain);
    memset(key, 0, 16);
    if (plain.sa.sa_family == AF_INET) {
        key[10] = key[11] = 0xff; /* as v4-mapped: no global /64 begins with these zeroes */
        memcpy(key + 12, &plain.v4.sin_addr, 4);
    } else if (plain.sa.sa_family == AF_INET6) {
        memcpy(key, &plain.v6.sin6_addr, 8);
    } else {
        memset(key, 0xff,
               16); /* all clients of Unix sockets are one; a multicast prefix, nobody's address */
    }
}

void addr_network_key(const union addr *a, unsigned level, uint8_t key[16])
{
    union addr plain = *a;

    addr_unmap(&plain);
    addr_limit_key(&plain, key);
    if (plain.sa.sa_family == AF_INET6)
        memset(key + 8 - level, 0, level);
}

static const char *addr_parse_port(struct slice text, uint16_t *port)
{
    uint32_t number = 0;

    if (text.len == 0)
        return "the port is missing";
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return "the port is not a number";
        number = number * 10 + (uint32_t)(text.p[i] - '0');
        if (number > UINT16_MAX)
            return "the port is larger than 65535";
    }
    *port = (uint16_t)number;
    return NULL;
}

/* "[V6]:PORT" */
static const char *split_bracketed(struct slice text, struct slice *host, uint16_t *port)
{
    struct slice rest;
    struct slice inner = slice_cut(slice_of(text.p + 1, text.len - 1), ']', &rest);
    union addr ignored;

    if (!rest.p)
        return "the closing bracket is missing";
    if (!memchr(inner.p, ':', inner.len) || !addr_parse_host(inner, 0, &ignored))
        return "what stands in brackets is not an IPv6 address";
    if (rest.len == 0)
        return "the port is missing";
    if (rest.p[0] != ':')
        return "between the bracket and the port belongs a colon";
    *host = inner;
    return addr_parse_port(slice_of(rest.p + 1, rest.len - 1), port);
}

const char *addr_split(struct slice text, struct slice *host, uint16_t *port)
{
    struct slice rest, first;

    if (text.len == 0)
        return "the address is empty";
    if (memchr(text.p, '\0', text.len))
        return "the address has a zero byte";
    if (text.p[0] == '[')
        return split_bracketed(text, host, port);
    first = slice_cut(text, ':', &rest);
    if (!rest.p) {
        *host = slice_of(NULL, 0);
        /* "127.0.0.1" is a host, "8080x" a port that went wrong */
        return text.p[0] >= '0' && text.p[0] <= '9' && memchr(text.p, '.', text.len) == NULL
                   ? addr_parse_port(text, port)
                   : "the port is missing";
    }
    if (first.len == 0 && !(rest.len > 0 && memchr(rest.p, ':', rest.len)))
        return "the host is missing";
    if (rest.len > 0 && memchr(rest.p, ':', rest.len))
        return "an IPv6 address belongs in brackets, as in [::1]:80";
    *host = first;
    return addr_parse_port(rest, port);
}
