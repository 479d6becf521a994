/* SPDX-License-Identifier: MIT */
#include "core/session/session_key.h"

#include <string.h>

#include "core/auth/auth.h"
#include "core/backend.h"
#include "core/core.h"
#include "core/template.h"

bool session_room(const struct route *route, const struct request *r, char out[SESSION_ROOM_MAX])
{
    const char *rest = route->settings.session_text;
    enum template_piece kind;
    struct slice piece;
    size_t n = 0;

    while ((kind = template_next(&rest, &piece)) != TEMPLATE_END) {
        if (kind == TEMPLATE_NAME)
            piece = r->match.captures[route_capture_find(route, piece)];
        if (n + piece.len + 1 > SESSION_ROOM_MAX)
            return false;
        memcpy(out + n, piece.p, piece.len);
        n += piece.len;
    }
    out[n] = '\0';
    return true;
}

static struct slice session_key_text_of(const char *text)
{
    return slice_from(text != NULL ? text : "");
}

/* Another program or service is another session: what was negotiated for one does not fit the
 * other. */
static bool target_mac(const struct worker *w, const struct target *t, uint8_t out[SECRET_MAC_SIZE])
{
    const struct slice place[] = {
        session_key_text_of(t->text),
        session_key_text_of(t->host),
        slice_of((const char *)&t->port, sizeof t->port),
        session_key_text_of(t->unix_path),
        session_key_text_of(t->token_file),
    };
    bool ok = secret_mac(core_of(w)->auth->key, place, sizeof place / sizeof place[0], out);

    for (char **word = t->argv; ok && word != NULL && *word != NULL; word++) {
        const struct slice more[] = {slice_of((const char *)out, SECRET_MAC_SIZE),
                                     slice_from(*word)};

        ok = secret_mac(core_of(w)->auth->key, more, 2, out);
    }
    return ok;
}

/* Two routes that a configuration tells apart have sessions apart, and so do two hosts that one
 * route has. A number in front keeps the kinds apart. */
#define ROUTE_TEXTS 8

static void route_texts(const struct route *route, const struct request *r,
                        const uint8_t target[SECRET_MAC_SIZE], struct slice out[ROUTE_TEXTS])
{
    static const char *const kinds[] = {
        [SESSION_OF_CONNECTION] = "0", [SESSION_OF_TOKEN] = "1", [SESSION_OF_USER] = "2",
        [SESSION_OF_ROOM] = "3",       [SESSION_SHARED] = "4",
    };
    bool many_hosts = route->host != NULL && route->host[0] == '*';

    out[0] = slice_from(kinds[route->settings.session]);
    out[1] = slice_from(route->path);
    out[2] = slice_from(route->host != NULL ? route->host : "");
    out[3] = slice_from(route->match_subprotocol != NULL ? route->match_subprotocol : "");
    out[4] = many_hosts ? request_host_name(r) : slice_of("", 0);
    out[5] = slice_from(route->backend->name);
    out[6] = slice_from(route->framing->name);
    out[7] = slice_of((const char *)target, SECRET_MAC_SIZE);
}

/* Who the visitor is, with the kind of authentication that says so. False when that has no name. */
static bool identity(const struct route *route, const struct request *r, struct slice out[2])
{
    out[0] = slice_from(route->auth != NULL ? route->auth->name : "");
    out[1] = slice_from(request_user(r));
    if (out[1].len == 0 && r->grant != NULL && r->grant->has_mac) {
        out[1] = slice_of((const char *)r->grant->mac, SECRET_MAC_SIZE);
        return false;
    }
    return out[1].len > 0;
}

enum session_keyed session_key(const struct worker *w, const struct route *route,
                               const struct request *r, uint8_t key[SECRET_MAC_SIZE])
{
    struct slice texts[ROUTE_TEXTS + 4];
    struct slice *more = texts + ROUTE_TEXTS;
    char room[SESSION_ROOM_MAX];
    uint8_t target[SECRET_MAC_SIZE];
    size_t n = ROUTE_TEXTS, count;

    if (route->settings.session == SESSION_OF_CONNECTION)
        return SESSION_KEY_NONE;
    if (!target_mac(w, &route->target, target))
        return SESSION_KEY_NO_MEMORY;
    route_texts(route, r, target, texts);
    switch ((enum session_whose)route->settings.session) {
    case SESSION_OF_CONNECTION:
        return SESSION_KEY_NONE;
    case SESSION_OF_TOKEN:
        if (r->session == NULL)
            return SESSION_KEY_NONE;
        (void)identity(route, r, more);
        more[2] = slice_from(r->session);
        more[3] = http_head_get(r->head, "Origin", &count);
        n += 4;
        break;
    case SESSION_OF_USER:
        if (!identity(route, r, more))
            return SESSION_KEY_NONE;
        n += 2;
        break;
    case SESSION_OF_ROOM:
        if (!session_room(route, r, room))
            return SESSION_KEY_NONE;
        more[0] = slice_from(room);
        n += 1;
        break;
    case SESSION_SHARED:
        break;
    }
    return secret_mac(core_of(w)->auth->key, texts, n, key) ? SESSION_KEYED : SESSION_KEY_NO_MEMORY;
}
