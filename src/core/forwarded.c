/* SPDX-License-Identifier: MIT */
#include "core/forwarded.h"

#define HOPS_MAX 32 /* elements looked at: the last, since anybody can write more in front */

/* One hop, as its proxy described it. */
struct hop {
    struct slice node, proto, host;
};

static struct slice unquote(struct slice s)
{
    return s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"' ? slice_of(s.p + 1, s.len - 2) : s;
}

/* for=192.0.2.43;proto=https;host=example.org */
static struct hop parse_element(struct slice element)
{
    struct hop h = {0};

    while (element.p != NULL) {
        struct slice value, pair = slice_cut(element, ';', &element);
        struct slice name = slice_trim(slice_cut(pair, '=', &value));

        value = unquote(slice_trim(value));
        if (slice_eq_nocase(name, slice_from("for")))
            h.node = value;
        else if (slice_eq_nocase(name, slice_from("proto")))
            h.proto = value;
        else if (slice_eq_nocase(name, slice_from("host")))
            h.host = value;
    }
    return h;
}

/* The elements of all fields of that name, in order: element i is in hops[i % HOPS_MAX] unless a
 * later one has taken its place. Returns how many there are. */
static size_t collect(const struct http_head *head, const char *name, struct hop hops[HOPS_MAX],
                      bool rich)
{
    size_t n = 0;

    for (size_t i = 0; i < head->count; i++) {
        struct slice item, list = head->fields[i].value;

        if (!slice_eq_nocase(head->fields[i].name, slice_from(name)))
            continue;
        while (slice_next_item(&list, &item)) {
            hops[n++ % HOPS_MAX] = rich ? parse_element(item) : (struct hop){.node = item};
        }
    }
    return n;
}

/* "1.2.3.4", "1.2.3.4:5", "[::1]:5", "::1"; not names, "unknown" or "_hidden". */
static bool parse_node(struct slice node, union addr *out)
{
    struct slice host;
    uint16_t port;

    if (addr_parse_host(node, 0, out))
        return true;
    return addr_split(node, &host, &port) == NULL && host.len > 0 &&
           addr_parse_host(host, port, out);
}

static void apply_nearest(struct request *r, struct slice proto, struct slice host)
{
    if (proto.len > 0)
        r->secure = slice_eq_nocase(proto, slice_from("https")) ||
                    slice_eq_nocase(proto, slice_from("wss"));
    if (host.len > 0)
        r->host = host;
}

static struct slice last_of(const struct http_head *head, const char *name)
{
    struct slice item, last = {NULL, 0}, list = http_head_get(head, name, NULL);

    while (slice_next_item(&list, &item))
        last = item;
    return last;
}

void forwarded_apply(struct request *r, const struct cidr *trusted, size_t count,
                     enum forwarded_header header)
{
    bool rich = header == FORWARDED_RFC7239;
    struct hop hops[HOPS_MAX] = {0};
    union addr addr;
    size_t n;

    if (!cidr_any_has(trusted, count, &r->client))
        return;
    n = collect(r->head, rich ? "Forwarded" : "X-Forwarded-For", hops, rich);
    if (rich && n > 0)
        apply_nearest(r, hops[(n - 1) % HOPS_MAX].proto, hops[(n - 1) % HOPS_MAX].host);
    else if (!rich)
        apply_nearest(r, last_of(r->head, "X-Forwarded-Proto"),
                      last_of(r->head, "X-Forwarded-Host"));
    /* From the nearest hop on: each was written by the one before, which must be trusted to tell.
     */
    for (size_t i = n; i > 0 && n - i < HOPS_MAX; i--) {
        if (!parse_node(hops[(i - 1) % HOPS_MAX].node, &addr))
            break;
        addr_unmap(&addr);
        r->client = addr;
        if (!cidr_any_has(trusted, count, &addr))
            break;
    }
}
