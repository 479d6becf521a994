/* SPDX-License-Identifier: MIT */
#include "core/subprotocol.h"

#include <stdio.h>
#include <string.h>

#include "core/backend.h"
#include "core/request.h"
#include "proto/channel.h"
#include "proto/handshake.h"
#include "proto/tty.h"
#include "proto/ws.h"

/* ---- choosing ---- */

/* Secrets, and what stands for a session of ours, are never the answer. */
static bool subprotocol_is_ours(struct slice offer)
{
    return slice_starts(offer, "bearer.") || slice_starts(offer, "session.wsluice.");
}

static struct slice first_meaningless(const struct http_head *head, const struct route *r)
{
    struct handshake_offers o = {.head = head};
    struct slice offer;

    while (handshake_next_offer(&o, &offer)) {
        bool is_tty = slice_is(offer, TTY_SUBPROTOCOL) && r->backend->runs_programs;

        if (!subprotocol_is_ours(offer) && !is_tty && !slice_is(offer, CHANNEL_SUBPROTOCOL))
            return offer;
    }
    return slice_of("", 0);
}

bool subprotocol_has_channels(const struct route *r)
{
    return r->signals != 0 && r->backend->signal != NULL;
}

static struct slice choose_by_route(const struct http_head *head, const struct route *r)
{
    static const char *const usual[] = {"binary", TTY_SUBPROTOCOL};
    static const char *const channels = CHANNEL_SUBPROTOCOL;
    const struct text_list *list = &r->settings.subprotocols;
    struct slice chosen;

    if (r->match_subprotocol != NULL && handshake_choose(head, &r->match_subprotocol, 1, &chosen))
        return chosen;
    if (list->count > 0)
        return handshake_choose(head, list->items, list->count, &chosen) ? chosen : slice_of("", 0);
    if (subprotocol_has_channels(r) && handshake_choose(head, &channels, 1, &chosen))
        return chosen;
    if (handshake_choose(head, usual, r->backend->is_terminal ? 2 : 1, &chosen))
        return chosen;
    return r->backend->any_subprotocol ? first_meaningless(head, r) : slice_of("", 0);
}

/* A token for a session is offered beside a name, since a browser wants one of its offers chosen.
 */
struct slice subprotocol_choose(const struct http_head *head, const struct route *r)
{
    static const char *const beside = REQUEST_SESSION_BESIDE;
    struct slice chosen = choose_by_route(head, r);

    if (chosen.len == 0 && r->settings.session != SESSION_OF_CONNECTION &&
        !handshake_choose(head, &beside, 1, &chosen))
        return slice_of("", 0);
    return chosen;
}

/* ---- what is known of some ---- */

static const struct {
    const char *name, *framings; /* NULL: any */
    uint8_t opcode;
    const char *wants;
} known[] = {
    {"text.ircv3.net", "lines crlf", WS_TEXT, "one line a message, in text frames: framing lines"},
    {"binary.ircv3.net", "lines crlf", WS_BINARY,
     "one line a message, in binary frames: framing lines, frames binary"},
    {"mcp", "lines", WS_TEXT, "one line a message, in text frames: framing lines"},
    {"mqtt", "stream", WS_BINARY, "bytes in binary frames: framing stream"},
    {"mqttv3.1", "stream", WS_BINARY, "bytes in binary frames: framing stream"},
    {"amqp", "stream", WS_BINARY, "bytes in binary frames: framing stream"},
    {"binary", NULL, WS_BINARY, "binary frames: framing stream, or frames binary"},
};

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = words; (p = strstr(p, word)) != NULL; p += n) {
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    }
    return false;
}

static uint8_t frames_of(const struct route *r)
{
    if (r->settings.frames == FRAMES_OF_FRAMING)
        return r->framing->opcode_out;
    return r->settings.frames == FRAMES_TEXT ? WS_TEXT : WS_BINARY;
}

const char *subprotocol_misfit(const struct route *r, struct slice name)
{
    if (r->backend->loopback || r->framing->typed || r->framing->datagrams)
        return NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!slice_is(name, known[i].name))
            continue;
        if (frames_of(r) == known[i].opcode &&
            (known[i].framings == NULL || has_word(known[i].framings, r->framing->name)))
            return NULL;
        return known[i].wants;
    }
    return NULL;
}

/* ---- telling ---- */

#define TOLD_WHOLE 32 /* bytes of an offer; longer ones may be a token, and are cut */
#define TOLD_BEGIN 8

/* How much of it may be told; the rest is "...". */
static size_t tellable(struct slice offer)
{
    if (slice_starts(offer, "bearer."))
        return strlen("bearer.");
    if (slice_starts(offer, "session.wsluice."))
        return strlen("session.wsluice.");
    return offer.len <= TOLD_WHOLE ? offer.len : TOLD_BEGIN;
}

const char *subprotocol_tell(const struct http_head *head, char out[SUBPROTOCOL_TOLD_MAX])
{
    struct handshake_offers o = {.head = head};
    struct slice offer;
    size_t n = 0;

    out[0] = '\0';
    while (n < SUBPROTOCOL_TOLD_MAX - 1 && handshake_next_offer(&o, &offer)) {
        size_t whole = tellable(offer);

        n += (size_t)snprintf(out + n, SUBPROTOCOL_TOLD_MAX - n, "%s%.*s%s", n > 0 ? ", " : "",
                              (int)whole, offer.p, whole < offer.len ? "..." : "");
    }
    return out;
}
