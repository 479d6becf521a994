/* SPDX-License-Identifier: MIT */
#include "conf/build_session.h"

#include <stdio.h>
#include <string.h>

#include "core/admission/origin.h"
#include "core/backend.h"
#include "core/route.h"
#include "core/template.h"

static const struct whose {
    const char *name;
    enum session_whose whose;
} words[] = {
    {"connection", SESSION_OF_CONNECTION},
    {"token", SESSION_OF_TOKEN},
    {"user", SESSION_OF_USER},
    {"shared", SESSION_SHARED},
};
#define WORDS (sizeof words / sizeof words[0])

/* Which captures a room's name has, a bit for each; -1 with why. */
static int captures_of(const struct route *r, char why[BUILD_ERROR_MAX])
{
    const char *rest = r->settings.session_text;
    enum template_piece kind;
    struct slice piece;
    int seen = 0;

    while ((kind = template_next(&rest, &piece)) != TEMPLATE_END) {
        int n = kind == TEMPLATE_NAME ? route_capture_find(r, piece) : 0;

        if (kind == TEMPLATE_NAME && n < 0) {
            snprintf(why, BUILD_ERROR_MAX, "{%.*s}: the path captures nothing of that name",
                     (int)piece.len, piece.p);
            return -1;
        }
        if (kind == TEMPLATE_NAME)
            seen |= 1 << n;
    }
    return seen;
}

static bool read_whose(struct route *r, char why[BUILD_ERROR_MAX])
{
    const char *text = r->settings.session_text;
    int seen;

    for (size_t i = 0; i < WORDS; i++) {
        if (strcmp(text, words[i].name) == 0) {
            r->settings.session = (int)words[i].whose;
            return true;
        }
    }
    seen = captures_of(r, why);
    if (seen < 0)
        return false;
    if (seen == 0) {
        snprintf(why, BUILD_ERROR_MAX,
                 "\"%.100s\": there are connection, token, user, shared, and rooms, '{name}' of a "
                 "capture in the path",
                 text);
        return false;
    }
    r->settings.session = SESSION_OF_ROOM;
    return true;
}

/* Everybody in a room must mean the same by its name. */
static bool all_captured(const struct route *r)
{
    char ignored[BUILD_ERROR_MAX];
    int seen = r->settings.session == SESSION_OF_ROOM ? captures_of(r, ignored) : 0;

    return seen == (1 << r->capture_count) - 1;
}

static const char *rules_out(const struct route *r)
{
    const struct settings *s = &r->settings;
    bool many = s->session == SESSION_OF_ROOM || s->session == SESSION_SHARED;
    const struct {
        bool is;
        const char *why;
    } faults[] = {
        {r->framing->addresses && !many,
         "framing hub speaks with many clients: it is for session shared, and for rooms"},
        {r->backend->loopback, "the echo keeps nothing: there is no session to come back to"},
        {r->framing->datagrams, "a datagram is too old to be replayed: not with udp://"},
        {r->config->reuse_port, "not with reuse-port: a client may come back to another process"},
        {s->session == SESSION_OF_USER && s->auth == AUTH_NONE,
         "user wants to know who that is: it needs auth"},
        {s->session == SESSION_OF_USER && origin_any(&s->origins),
         "user with origin: any would give every website the session of its visitors"},
        {many && !all_captured(r),
         "what is captured beside the room's name would be that of whoever came first: use all "
         "captures of the path in it"},
        {many && s->preamble != NULL,
         "a preamble speaks of one client, and this session belongs to many"},
        {many && s->send_proxy != 0,
         "proxy-protocol speaks of one client, and this session belongs to many"},
        {many && s->eof_on_empty,
         "eof-on-empty would let one client end the input of all: not for rooms and shared"},
        {many && r->backend->takes_token,
         "a client's token chooses the service, and this session belongs to many"},
        {r->framing->addresses && r->backend->is_terminal,
         "framing hub speaks in lines, which a terminal would echo: not with pty"},
        {r->framing->addresses && s->partial_lines > 0,
         "framing hub cannot tell whom half a line is for: not with partial-lines"},
        {r->framing->addresses && s->frames == FRAMES_BINARY,
         "framing hub is of text: frames cannot be binary"},
    };

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (faults[i].is)
            return faults[i].why;
    }
    return NULL;
}

bool build_session(struct route *r, char why[BUILD_ERROR_MAX])
{
    const char *wrong;

    if (r->settings.session_text == NULL || r->backend == NULL || r->framing == NULL ||
        r->path == NULL)
        return true;
    if (!read_whose(r, why))
        return false;
    wrong =
        r->settings.session != SESSION_OF_CONNECTION || r->framing->addresses ? rules_out(r) : NULL;
    if (wrong != NULL)
        snprintf(why, BUILD_ERROR_MAX, "%s", wrong);
    return wrong == NULL;
}
