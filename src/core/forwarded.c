/* SPDX-License-Identifier: MIT */
#include "core/forwarded.h"

#define HOPS_MAX 32 /* elements looked at: the last, since anybody can write more in front */

/* One hop, as its proxy described it. */
struct hop {
    struct slice node, proto, host;
};

/* The elements of all fields of a name, the last one first. */
struct walk {
    const struct http_head *head;
    const char *name;
    size_t fields;     /* of the head, that are still to come */
    struct slice rest; /* of the one before these */
};

static bool is_escaped(struct slice s, size_t at)
{
    size_t n = 0;

    while (n < at && s.p[at - 1 - n] == '\\')
        n++;
    return n % 2 == 1;
}

/*
 * What stands behind the last sep; in *rest, what stands before it, as slice_cut leaves it. Not
 * inside quotes, where a proxy may repeat what its client said. They are read from the right, too:
 * those of our proxy are whole, whatever the client has left open in front of them.
 */
static struct slice cut_last(struct slice s, char sep, struct slice *rest)
{
    bool quoted = false;

    for (size_t i = s.len; i > 0; i--) {
        if (s.p[i - 1] == '"' && !is_escaped(s, i - 1)) {
            quoted = !quoted;
        } else if (s.p[i - 1] == sep && !quoted) {
            *rest = slice_of(s.p, i - 1);
            return slice_of(s.p + i, s.len - i);
        }
    }
    *rest = slice_of(NULL, 0);
    return s;
}

static bool next_element(struct walk *w, struct slice *element)
{
    for (;;) {
        while (w->rest.p != NULL) {
            *element = slice_trim(cut_last(w->rest, ',', &w->rest));
            if (element->len > 0)
                return true;
        }
        do {
            if (w->fields == 0)
                return false;
            w->fields--;
        } while (!slice_eq_nocase(w->head->fields[w->fields].name, slice_from(w->name)));
        w->rest = w->head->fields[w->fields].value;
    }
}

static struct slice unquote(struct slice s)
{
    return s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"' ? slice_of(s.p + 1, s.len - 2) : s;
}

/* for=192.0.2.43;proto=https;host=example.org */
static struct hop parse_element(struct slice element)
{
    struct hop h = {0};

    while (element.p != NULL) {
        struct slice value, pair = cut_last(element, ';', &element);
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

/* What a hop says of the request it passed on. */
static void apply_told(struct request *r, struct slice proto, struct slice host)
{
    if (proto.len > 0)
        r->secure = slice_eq_nocase(proto, slice_from("https")) ||
                    slice_eq_nocase(proto, slice_from("wss"));
    if (host.len > 0)
        r->host = host;
    r->vouched = r->vouched || proto.len > 0 || host.len > 0;
}

/*
 * What the farthest trusted proxy says in a list that each may have added to: of `hops` that are
 * trusted it wrote the hops-th from the right, or if others do not add, but set it, the first.
 */
static struct slice forwarded_told(const struct http_head *head, const char *name, size_t hops)
{
    struct walk w = {.head = head, .name = name, .fields = head->count};
    struct slice element, found = {NULL, 0};

    for (size_t i = 0; i < hops && next_element(&w, &element); i++)
        found = element;
    return found;
}

/* The port of a host that is told without one. */
static void apply_port(struct request *r, struct slice text)
{
    struct slice rest = text;
    unsigned n = 0;

    for (; rest.len > 0 && rest.len <= 5 && rest.p[0] >= '0' && rest.p[0] <= '9'; rest.len--)
        n = n * 10 + (unsigned)(*rest.p++ - '0');
    if (text.len > 0 && rest.len == 0 && n > 0 && n <= UINT16_MAX)
        r->host_port = (uint16_t)n;
}

static void apply_x(struct request *r, size_t hops)
{
    apply_told(r, forwarded_told(r->head, "X-Forwarded-Proto", hops),
               forwarded_told(r->head, "X-Forwarded-Host", hops));
    apply_port(r, forwarded_told(r->head, "X-Forwarded-Port", hops));
}

void forwarded_apply(struct request *r, const struct cidr *trusted, size_t count,
                     enum forwarded_header header)
{
    bool rich = header == FORWARDED_RFC7239;
    struct walk w = {
        .head = r->head,
        .name = rich ? "Forwarded" : "X-Forwarded-For",
        .fields = r->head->count,
    };
    struct slice element;
    union addr addr;
    size_t hops = 0;

    if (!cidr_any_has(trusted, count, &r->client))
        return;
    /* From the nearest hop on: each was written by the one before, which must be trusted to tell.
     */
    while (hops < HOPS_MAX && next_element(&w, &element)) {
        struct hop h = rich ? parse_element(element) : (struct hop){.node = element};

        hops++;
        r->vouched = true;
        if (rich)
            apply_told(r, h.proto, h.host);
        if (!parse_node(h.node, &addr))
            break;
        addr_unmap(&addr);
        r->client = addr;
        if (!cidr_any_has(trusted, count, &addr))
            break;
    }
    if (!rich)
        apply_x(r, hops > 0 ? hops : 1);
}
