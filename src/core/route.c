/* SPDX-License-Identifier: MIT */
#include "core/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/request.h"
#include "proto/authority.h"
#include "proto/handshake.h"

/* ---- reading ---- */

static bool route_wrong(char why[ROUTE_ERROR_MAX], const char *text)
{
    snprintf(why, ROUTE_ERROR_MAX, "%s", text);
    return false;
}

static bool is_capture_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool letter = c >= 'a' && c <= 'z';

        if (!letter && (i == 0 || (c != '_' && (c < '0' || c > '9'))))
            return false;
    }
    return name.len > 0 && name.len <= ROUTE_NAME_MAX;
}

/* Of "2,5}". */
static unsigned long largest_count(const char *p)
{
    unsigned long first = strtoul(p, NULL, 10), second;

    p += strcspn(p, ",}");
    second = *p == ',' ? strtoul(p + 1, NULL, 10) : 0;
    return first > second ? first : second;
}

/* Bytes of "[...]" at p: "]" is itself at its begin, and inside of "[:alpha:]". */
static size_t set_length(const char *p)
{
    size_t n = 1 + (p[1] == '^');

    if (p[n] == ']')
        n++;
    for (; p[n] != '\0' && p[n] != ']'; n++) {
        if (p[n] == '[' && p[n + 1] != '\0' && strchr(":.=", p[n + 1]) != NULL) {
            const char end[] = {p[n + 1], ']', '\0'}, *close = strstr(p + n + 2, end);

            if (close != NULL)
                n = (size_t)(close - p) + 1;
        }
    }
    return p[n] == ']' ? n + 1 : n;
}

/* One character of a pattern, outside of sets. before: the one before it. NULL, or what is wrong.
 */
static const char *judge_character(const char *p, char before, int *depth)
{
    if (*p == '(')
        ++*depth;
    if (*p == ')' && --*depth < 0)
        return "unmatched )"; /* glibc would take it as itself, and the anchors would be lost */
    if (*p == '\\' && p[1] >= '0' && p[1] <= '9')
        return "back references are not possible";
    if (*p == '{' && (before == '\0' || strchr("(){}*+?|^", before) != NULL))
        return "a count stands only behind a character or a set of characters";
    if (*p == '{' && largest_count(p + 1) > ROUTE_COUNT_MAX)
        return "a count is at most 255";
    return NULL;
}

/*
 * Keeps out what would undo the anchors, and what lets a short pattern grow without measure: back
 * references, large counts, counts of groups and of counts.
 */
static const char *judge_pattern(const char *p)
{
    const char *wrong = NULL;
    char before = '\0';
    int depth = 0;

    if (strlen(p) > ROUTE_PATTERN_MAX)
        return "longer than 128 bytes";
    while (*p != '\0' && wrong == NULL) {
        wrong = judge_character(p, before, &depth);
        before = *p;
        if (*p == '[')
            p += set_length(p);
        else
            p += *p == '\\' && p[1] != '\0' ? 2 : 1;
    }
    return wrong;
}

/* The pattern has a choice outside of groups and sets: what it begins with is not all it means. */
static bool has_choice(const char *p)
{
    int depth = 0;

    while (*p != '\0') {
        depth += (*p == '(') - (*p == ')');
        if (*p == '|' && depth == 0)
            return true;
        if (*p == '[')
            p += set_length(p);
        else
            p += *p == '\\' && p[1] != '\0' ? 2 : 1;
    }
    return false;
}

/* Which of ROUTE_OPTIONS a pattern begins with, as it is, behind a backslash, or alone in a set
 * ("[+]"); 0: none. */
static char option_of(const char *p)
{
    char c = p[0] == '\\' || p[0] == '[' ? p[1] : p[0];

    if (c == '\0' || strchr(ROUTE_OPTIONS, c) == NULL || has_choice(p))
        return '\0';
    return p[0] != '[' || p[2] == ']' ? c : '\0';
}

static void free_pattern(void *segment)
{
    struct route_segment *seg = segment;

    regfree(&seg->pattern);
}

static bool compile(struct config *c, struct route_segment *seg, const char *pattern,
                    char why[ROUTE_ERROR_MAX])
{
    char anchored[ROUTE_PATTERN_MAX + 8], reason[128];
    const char *bad = pattern[0] == '\0' ? "empty" : judge_pattern(pattern);
    int err;

    if (bad == NULL) {
        snprintf(anchored, sizeof anchored, "^(%s)$", pattern);
        err = regcomp(&seg->pattern, anchored, REG_EXTENDED | REG_NOSUB);
        seg->option = option_of(pattern);
        if (err == 0)
            return config_own(c, free_pattern, seg) || route_wrong(why, "out of memory");
        regerror(err, NULL, reason, sizeof reason);
        bad = reason;
    }
    snprintf(why, ROUTE_ERROR_MAX, "the pattern of {%.*s:%.130s}: %s", (int)seg->text.len,
             seg->text.p, pattern, bad);
    return false;
}

/* text is "{name:pattern}". */
static bool read_capture(struct route *r, struct route_segment *seg, struct slice text,
                         char why[ROUTE_ERROR_MAX])
{
    struct slice pattern, name = slice_cut(slice_of(text.p + 1, text.len - 2), ':', &pattern);

    if (!is_capture_name(name) || pattern.p == NULL) {
        snprintf(why, ROUTE_ERROR_MAX,
                 "%.*s: a capture is {name:pattern}, its name of lower-case letters, digits and _",
                 text.len < 100 ? (int)text.len : 100, text.p);
        return false;
    }
    if (route_capture_find(r, name) >= 0) {
        snprintf(why, ROUTE_ERROR_MAX, "two captures have the name %.*s", (int)name.len, name.p);
        return false;
    }
    if (r->capture_count == ROUTE_CAPTURES_MAX)
        return route_wrong(why, "more than 8 captures");
    char *copy = arena_dup(&r->config->arena, pattern);
    if (copy == NULL)
        return route_wrong(why, "out of memory");
    seg->text = name;
    seg->is_capture = true;
    r->capture_count++;
    return compile(r->config, seg, copy, why);
}

static bool read_fixed(struct route *r, struct route_segment *seg, struct slice text,
                       char why[ROUTE_ERROR_MAX])
{
    if (text.len == 0)
        return route_wrong(why, "two slashes side by side");
    if (slice_is(text, ".") || slice_is(text, ".."))
        return route_wrong(why, "no request has a segment . or ..");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c < 0x20 || c == 0x7f || strchr("?#%", c) != NULL)
            return route_wrong(why, "a path has no ?, # or %, and is written without escapes");
        if (c == '{' || c == '}')
            return route_wrong(why, "a capture is a whole segment: /{name:pattern}/");
    }
    seg->text = text;
    r->literals |= 1U << (31 - (seg - r->segments));
    return true;
}

/* Bytes up to the next slash that is not inside braces; those of a pattern come in pairs. */
static size_t segment_length(const char *p)
{
    size_t n, depth = 0;

    for (n = 0; p[n] != '\0' && (p[n] != '/' || depth > 0); n++) {
        if (p[n] == '{')
            depth++;
        else if (p[n] == '}' && depth > 0)
            depth--;
    }
    return n;
}

bool route_set_path(struct route *r, const char *path, char why[ROUTE_ERROR_MAX])
{
    size_t n = strlen(path), slashes = 0;

    if (path[0] != '/')
        return route_wrong(why, "a path begins with /");
    for (const char *p = path; *p != '\0'; p++)
        slashes += *p == '/';
    while (n > 1 && path[n - 1] == '/')
        n--;
    r->path = arena_dup(&r->config->arena, slice_of(path, n));
    r->segments = arena_alloc(&r->config->arena, slashes * sizeof *r->segments);
    if (r->path == NULL || r->segments == NULL)
        return route_wrong(why, "out of memory");
    for (const char *p = r->path + 1; n > 1; p++) {
        struct slice text = slice_of(p, segment_length(p));
        bool braces = text.len >= 2 && text.p[0] == '{' && text.p[text.len - 1] == '}';

        if (r->segment_count == ROUTE_SEGMENTS_MAX)
            return route_wrong(why, "more than 32 segments");
        struct route_segment *seg = &r->segments[r->segment_count++];
        if (!(braces ? read_capture : read_fixed)(r, seg, text, why))
            return false;
        p += text.len;
        if (*p == '\0')
            break;
    }
    return true;
}

bool route_set_host(struct route *r, const char *host, char why[ROUTE_ERROR_MAX])
{
    bool all_below = strncmp(host, "*.", 2) == 0;
    const char *name = all_below ? host + 2 : host;
    char *copy = arena_dup(&r->config->arena, slice_from(host));
    struct slice alone;
    uint16_t port;

    if (copy == NULL)
        return route_wrong(why, "out of memory");
    if (!authority_split(slice_from(name), &alone, &port) || alone.len != strlen(name) ||
        strchr(name, '*') != NULL || name[strlen(name) - 1] == '.')
        return route_wrong(why, "a host is a name or an address without a port: example.org, or "
                                "*.example.org for all below it");
    for (char *p = copy; *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    }
    r->host = copy;
    return true;
}

struct route_segment *route_capture(const struct route *r, size_t n)
{
    for (unsigned i = 0; i < r->segment_count; i++) {
        if (r->segments[i].is_capture && n-- == 0)
            return &r->segments[i];
    }
    return NULL;
}

int route_capture_find(const struct route *r, struct slice name)
{
    const struct route_segment *seg;

    for (size_t i = 0; (seg = route_capture(r, i)) != NULL; i++) {
        if (slice_eq(seg->text, name))
            return (int)i;
    }
    return -1;
}

/* ---- finding ---- */

static bool has_host(const struct route *r, struct slice host)
{
    return r->host == NULL || authority_has(slice_from(r->host), host);
}

static bool capture_has(const struct route_segment *seg, struct slice text)
{
    char copy[ROUTE_CAPTURE_LEN + 1];

    if (text.len == 0 || text.len > ROUTE_CAPTURE_LEN)
        return false;
    if (seg->no_option && text.p[0] != seg->option && strchr(ROUTE_OPTIONS, text.p[0]) != NULL)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
    }
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    return regexec(&seg->pattern, copy, 0, NULL, 0) == 0;
}

static bool has_path(const struct route *r, const char *path, struct route_match *m)
{
    const char *p = path;
    size_t captures = 0;

    for (unsigned i = 0; i < r->segment_count; i++) {
        const struct route_segment *seg = &r->segments[i];

        if (*p != '/')
            return false;
        struct slice text = slice_of(p + 1, strcspn(p + 1, "/"));
        if (!(seg->is_capture ? capture_has(seg, text) : slice_eq(seg->text, text)))
            return false;
        if (seg->is_capture)
            m->captures[captures++] = text;
        p = text.p + text.len;
    }
    m->prefix = (size_t)(p - path);
    return true;
}

#define NOT_OFFERED SIZE_MAX
#define ALL_OFFERS (SIZE_MAX - 1) /* also none */

/* Which of the client's offers, in its order, the route is for. */
static size_t offer_of(const struct route *r, const struct http_head *head)
{
    struct handshake_offers o = {.head = head};
    struct slice offer;

    if (r->match_subprotocol == NULL)
        return ALL_OFFERS;
    for (size_t i = 0; handshake_next_offer(&o, &offer); i++) {
        if (slice_is(offer, r->match_subprotocol))
            return i;
    }
    return NOT_OFFERED;
}

static size_t host_rank(const struct route *r)
{
    if (r->host == NULL)
        return 0;
    return r->host[0] == '*' ? strlen(r->host) : SIZE_MAX;
}

/* a is to be preferred to b, if both match; offer: see offer_of. */
static bool is_better(const struct route *a, size_t offer_a, const struct route *b, size_t offer_b)
{
    size_t host_a = host_rank(a), host_b = host_rank(b);

    if (host_a != host_b)
        return host_a > host_b;
    if (a->segment_count != b->segment_count)
        return a->segment_count > b->segment_count;
    if (a->literals != b->literals)
        return a->literals > b->literals;
    return offer_a < offer_b;
}

static bool same_host(const struct route *a, const struct route *b)
{
    return a->host == b->host ||
           (a->host != NULL && b->host != NULL && strcmp(a->host, b->host) == 0);
}

/* A route of programs and services lets the files of a shorter path through, of the same host. */
static void find_files(const struct config *c, const struct request *r, struct route_match *m,
                       size_t chosen)
{
    struct route_match found;
    size_t best = NOT_OFFERED;

    if (m->route->static_dir != NULL) {
        m->files = m->route;
        m->files_prefix = m->prefix;
        return;
    }
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route *next = &c->routes[i];
        size_t offer = next->static_dir != NULL ? offer_of(next, r->head) : NOT_OFFERED;

        if (offer != NOT_OFFERED && same_host(next, m->route) &&
            is_better(m->route, chosen, next, offer) &&
            (m->files == NULL || is_better(next, offer, m->files, best)) &&
            has_path(next, r->path, &found)) {
            m->files = next;
            best = offer;
            m->files_prefix = found.prefix;
        }
    }
}

void route_find(const struct config *c, const struct request *r, struct route_match *m)
{
    struct route_match found = {0};
    struct slice host = r->host;
    size_t chosen = NOT_OFFERED;
    uint16_t port;

    *m = found;
    if (!authority_split(r->host, &host, &port))
        host = r->host;
    host = authority_plain(host);
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route *next = &c->routes[i];

        size_t offer = offer_of(next, r->head);

        if (offer != NOT_OFFERED &&
            (m->route == NULL || is_better(next, offer, m->route, chosen)) &&
            has_host(next, host) && has_path(next, r->path, &found)) {
            found.route = next;
            *m = found;
            chosen = offer;
        }
    }
    if (m->route != NULL)
        find_files(c, r, m, chosen);
}
