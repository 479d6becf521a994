/* SPDX-License-Identifier: MIT */

/* The life of a client: its beginning, its state, and what its stream tells. */
#include "core/client/client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/client/client_impl.h"

/* ---- its state ---- */

bool client_may_become(enum client_state from, enum client_state to)
{
    static const uint8_t next[] = {
        [CLIENT_OPENING] = 1U << CLIENT_OPEN | 1U << CLIENT_OVER,
        [CLIENT_OPEN] = 1U << CLIENT_CLOSING | 1U << CLIENT_OVER,
        [CLIENT_CLOSING] = 1U << CLIENT_OVER,
        [CLIENT_OVER] = 0,
    };

    return (next[from] >> to & 1U) != 0;
}

void client_become(struct client *c, enum client_state next)
{
    assert(client_may_become(c->state, next));
    c->state = next;
}

/* ---- what its stream tells; each ends in settle ---- */

static void client_settles(struct client *c)
{
    c->owner->events->settle(c->owner);
}

static void on_client_data(void *owner, uint8_t *p, size_t n)
{
    struct client *c = owner;

    client_input(c, p, n);
    client_settles(c);
}

static void on_client_drained(void *owner)
{
    struct client *c = owner;

    client_flush_pong(c);
    client_settles(c);
}

static void on_client_closed(void *owner, int err)
{
    struct client *c = owner;

    client_lose(c, err == 0 ? "the client left without a Close" : strerror(err));
    client_settles(c);
}

/* Before the 101 no client has sent its Close: whoever ends its side then has given up (RFC 6455,
 * section 4.1: it would have to wait for our answer before anything else). What it sent too early
 * is not worth a service. */
static void on_client_hung_up(void *owner)
{
    struct client *c = owner;

    if (c->state == CLIENT_OPENING)
        client_lose(c, "the client left while the service was being opened");
    client_settles(c);
}

static const struct stream_events client_stream_events = {
    .data = on_client_data,
    .drained = on_client_drained,
    .closed = on_client_closed,
    .hung_up = on_client_hung_up,
};

/* ---- beginning ---- */

static uint32_t message_limit(const struct client_open *o)
{
    return o->framing->assembles || o->assembles ? (uint32_t)o->owner->route->settings.max_message
                                                 : 0;
}

int client_init(struct client *c, const struct client_open *o)
{
    c->owner = o->owner;
    c->code = WS_CODE_ABNORMAL;
    c->input_open = true;
    c->echoes = o->echoes;
    c->assembles = o->framing->assembles || o->assembles;
    c->channels = o->speaks_channels;
    c->tty = o->speaks_tty ? CLIENT_TTY_BEGINS : CLIENT_TTY_NOT;
    ws_reader_init(&c->reader, message_limit(o), 0);
    if (client_need_extra(c) == NULL || client_throttle_start(c) < 0 ||
        !client_deflate_start(c, &o->deflate)) {
        client_release(c);
        return -1;
    }
    memcpy(c->extra->accept, o->accept, sizeof c->extra->accept);
    c->extra->subprotocol = slice_from(client_subprotocol(c));
    c->stream = o->stream;
    stream_take(c->stream, &client_stream_events, c);
    return 0;
}

void client_begin(struct client *c)
{
    char extensions[DEFLATE_ANSWER_MAX];
    const struct framing *framing = client_route(c)->framing;

    client_become(c, CLIENT_OPEN);
    c->was_open = true;
    stats_opened(client_route(c)->stats);
    client_clock_start(c);
    if (c->tty == CLIENT_TTY_BEGINS)
        c->extra->tty_due = client_worker(c)->now + client_route(c)->config->handshake_timeout;
    if (framing != NULL && framing->datagrams)
        stream_stay_live(c->stream);
    stream_upgrade(c->stream, c->extra->accept, c->extra->subprotocol,
                   client_compression(c, extensions));
    client_trim(c);
}

/* ---- back-pressure ---- */

size_t client_queued(const struct client *c)
{
    return c->stream != NULL ? stream_queued(c->stream) : 0;
}

bool client_holds(const struct client *c)
{
    return c->state == CLIENT_OPEN && (client_queued(c) > 0 || c->asked_pause);
}

bool client_settle(struct client *c, bool blocked)
{
    bool hold = blocked || c->deferred, turned = blocked && !c->blocked;

    if (c->state == CLIENT_OVER || c->state == CLIENT_OPENING)
        return false;
    c->blocked = blocked;
    if (hold != c->paused) {
        c->paused = hold;
        stream_pause(c->stream, hold);
    }
    client_clock_stall(c, c->state == CLIENT_OPEN && client_queued(c) > 0);
    if (client_input_ready(c))
        client_hurry(c, 0);
    return turned;
}

/* ---- what it is ---- */

static const char *client_next_text(const char *text)
{
    return text + strlen(text) + 1;
}

const char *client_path(const struct client *c)
{
    return client_next_text(c->origin);
}

const char *client_subprotocol(const struct client *c)
{
    return client_next_text(client_path(c));
}

const char *client_user(const struct client *c)
{
    return client_next_text(client_subprotocol(c));
}
