/* SPDX-License-Identifier: MIT */
#include "core/program/preamble.h"

#include <stdio.h>
#include <string.h>

#include "core/template.h"

#define VALUE_MAX (ADDR_TEXT_MAX + 1)

/* A value may be written to text, or stand elsewhere. */
typedef struct slice (*value_of)(const struct backend_open *o, char text[VALUE_MAX]);

/* A Unix socket has none. ":" in front would begin the last word of a line of IRC. */
static struct slice address_text(const union addr *a, char text[VALUE_MAX])
{
    if (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6)
        return slice_from("0.0.0.0");
    addr_format_host(a, text + 1);
    text[0] = '0';
    return slice_from(text[1] == ':' ? text : text + 1);
}

static struct slice port_text(const union addr *a, char text[VALUE_MAX])
{
    snprintf(text, VALUE_MAX, "%u", addr_port(a));
    return slice_from(text);
}

static struct slice client_address(const struct backend_open *o, char text[VALUE_MAX])
{
    return address_text(&o->request->client, text);
}

static struct slice client_port(const struct backend_open *o, char text[VALUE_MAX])
{
    return port_text(&o->request->client, text);
}

static struct slice local_address(const struct backend_open *o, char text[VALUE_MAX])
{
    return address_text(&o->request->server, text);
}

static struct slice local_port(const struct backend_open *o, char text[VALUE_MAX])
{
    return port_text(&o->request->server, text);
}

static struct slice host(const struct backend_open *o, char text[VALUE_MAX])
{
    (void)text;
    return request_host_name(o->request);
}

static struct slice user(const struct backend_open *o, char text[VALUE_MAX])
{
    (void)text;
    return slice_from(request_user(o->request));
}

static struct slice unique_id(const struct backend_open *o, char text[VALUE_MAX])
{
    (void)text;
    return slice_from(o->unique);
}

static struct slice secret(const struct backend_open *o, char text[VALUE_MAX])
{
    (void)text;
    return slice_from(o->route->preamble_word);
}

static const struct {
    const char *name;
    value_of get;
} values[] = {
    {"client_address", client_address},
    {"client_port", client_port},
    {"local_address", local_address},
    {"local_port", local_port},
    {"host", host},
    {"user", user},
    {"unique_id", unique_id},
    {"secret", secret},
};

#define VALUES (sizeof values / sizeof values[0])

/* VALUES: none of ours. */
static size_t preamble_find(struct slice name)
{
    size_t i = 0;

    while (i < VALUES && !slice_is(name, values[i].name))
        i++;
    return i;
}

static bool has(const char *template, const char *name)
{
    enum template_piece kind;
    struct slice piece;

    while ((kind = template_next(&template, &piece)) != TEMPLATE_END) {
        if (kind == TEMPLATE_NAME && slice_is(piece, name))
            return true;
    }
    return false;
}

bool preamble_is_word(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c <= ' ' || c == 0x7f)
            return false;
    }
    return text.len > 0 && text.p[0] != ':';
}

/* ---- at load */

static bool name_known(const struct route *r, struct slice name, char why[PREAMBLE_ERROR_MAX])
{
    bool captured = route_capture_find(r, name) >= 0;
    bool ours = preamble_find(name) < VALUES;
    int n;

    if (captured != ours)
        return true;
    if (ours) {
        snprintf(why, PREAMBLE_ERROR_MAX,
                 "{%.*s} is a name of ours; call what the path captures something else",
                 (int)name.len, name.p);
        return false;
    }
    n = snprintf(why, PREAMBLE_ERROR_MAX,
                 "{%.*s}: no such value; there is what the path captures, and", (int)name.len,
                 name.p);
    for (size_t i = 0; i < VALUES && n < PREAMBLE_ERROR_MAX; i++)
        n += snprintf(why + n, (size_t)(PREAMBLE_ERROR_MAX - n), " {%s}", values[i].name);
    return false;
}

static bool preamble_fail(char why[PREAMBLE_ERROR_MAX], const char *what)
{
    snprintf(why, PREAMBLE_ERROR_MAX, "%s", what);
    return false;
}

static bool preamble_takes(const struct route *r)
{
    return r->backend != NULL && r->backend->takes_preamble;
}

bool preamble_needs_secret(const struct route *r)
{
    return preamble_takes(r) && r->settings.preamble != NULL && has(r->settings.preamble, "secret");
}

/* What is set for r itself is for r; what is set for all, for at least one of them. */
static bool in_use(const struct route *r, bool own, bool (*used)(const struct route *r))
{
    const struct config *c = r->config;

    for (size_t i = 0; i < c->route_count && !own; i++) {
        if (used(&c->routes[i]))
            return true;
    }
    return used(r);
}

bool preamble_sound(const struct route *r, char why[PREAMBLE_ERROR_MAX])
{
    const struct settings *s = &r->settings, *all = &r->config->settings;
    const char *rest = s->preamble;
    enum template_piece kind;
    struct slice piece;

    if (rest != NULL && !in_use(r, rest != all->preamble, preamble_takes))
        return preamble_fail(why,
                             "only services on stream sockets are told anything: tcp://, tls://, "
                             "unix: or token-file:");
    if (s->preamble_secret != NULL &&
        !in_use(r, s->preamble_secret != all->preamble_secret, preamble_needs_secret))
        return preamble_fail(why, "preamble-secret is set, but there is no {secret} in a preamble");
    if (rest == NULL || !preamble_takes(r))
        return true;
    if (strchr(rest, '\n') == NULL && strstr(rest, "\\n") != NULL)
        return preamble_fail(
            why, "\\n is a backslash and a letter here, not the end of a line: in a file write "
                 "it between double quotes, in a shell as $'...\\n'");
    while ((kind = template_next(&rest, &piece)) != TEMPLATE_END) {
        if (kind == TEMPLATE_NAME && !name_known(r, piece, why))
            return false;
    }
    if (has(s->preamble, "user") && s->auth == AUTH_NONE)
        return preamble_fail(why, "{user} is known only where somebody is asked: see auth");
    if (preamble_needs_secret(r) && s->preamble_secret == NULL)
        return preamble_fail(why, "{secret} comes from a file: preamble-secret FILE");
    return true;
}

bool preamble_tells_unique(const struct route *r)
{
    const struct settings *s = &r->settings;

    if (!preamble_takes(r))
        return false;
    return s->send_proxy == 2 || (s->preamble != NULL && has(s->preamble, "unique_id"));
}

/* ---- for a session */

static struct slice get(const struct backend_open *o, struct slice name, char text[VALUE_MAX])
{
    size_t i = preamble_find(name);
    int capture;

    if (i < VALUES)
        return values[i].get(o, text);
    capture = route_capture_find(o->route, name);
    return capture >= 0 ? o->request->match.captures[capture] : slice_of(NULL, 0);
}

enum preamble_result preamble_expand(const struct backend_open *o, struct buf *out,
                                     struct slice *name)
{
    const char *rest = o->route->settings.preamble;
    enum template_piece kind;
    char text[VALUE_MAX];
    struct slice piece;

    while (rest != NULL && (kind = template_next(&rest, &piece)) != TEMPLATE_END) {
        if (kind == TEMPLATE_NAME) {
            *name = piece;
            piece = get(o, piece, text);
            if (!preamble_is_word(piece))
                return PREAMBLE_NO_WORD;
        }
        if (buf_append(out, piece.p, piece.len) < 0)
            return PREAMBLE_NO_MEMORY;
    }
    return PREAMBLE_MADE;
}
