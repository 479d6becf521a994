/* SPDX-License-Identifier: MIT */
#include "core/session/session_info.h"

#include <stdio.h>
#include <string.h>

#include "core/auth/auth.h"
#include "core/core.h"
#include "core/session/session_kept.h"

#define USER "user:"
#define TOKEN "token:"

/* ---- looking ---- */

/* By what an operator knows it; no token is kept, and of its digest only as much as tells two
 * apart. */
static void show_key(const struct session *s, struct session_info *out)
{
    static const char *const whose[] = {
        [SESSION_OF_TOKEN] = "token",
        [SESSION_OF_USER] = "user",
        [SESSION_OF_ROOM] = "room",
        [SESSION_SHARED] = "shared",
    };
    const struct session_kept *k = session_kept(s);
    const char *name = k->room;

    out->whose = whose[session_settings(s)->session];
    if (session_settings(s)->session == SESSION_OF_USER)
        name = client_user(s->client);
    if (session_settings(s)->session == SESSION_OF_TOKEN)
        snprintf(out->key, sizeof out->key, "%02x%02x%02x%02x", k->key[0], k->key[1], k->key[2],
                 k->key[3]);
    else
        snprintf(out->key, sizeof out->key, "%s", name != NULL ? name : "");
}

/* Of a session that outlives its connections: what all its clients have done, and wait for. */
static void inspect_kept(const struct session *s, struct session_info *out)
{
    const struct session_kept *k = session_kept(s);
    const struct member *m;

    out->phase = k->code != 0                  ? "ending"
                 : s->state == SESSION_OPENING ? "opening"
                 : k->count == 0               ? "detached"
                                               : "open";
    show_key(s, out);
    out->clients = k->count;
    out->joined = k->joined;
    out->detached = k->count == 0 ? session_worker(s)->now - k->detached_since : -1;
    out->replay_bytes = ring_memory(&k->ring);
    LIST_FOREACH(m, &k->members, link)
    {
        out->messages_in += m->client->messages_in;
        out->messages_out += m->client->messages_out;
        out->bytes_in += m->client->bytes_in;
        out->bytes_out += m->client->bytes_out;
        out->queued_client += client_queued(m->client);
    }
}

void session_inspect(const struct session *s, struct session_info *out)
{
    static const char *const phases[] = {"opening", "open", "closing", "ending"};
    const struct client *c = s->client;
    char answer[DEFLATE_ANSWER_MAX];

    *out = (struct session_info){
        .id = s->owner.id,
        .phase = phases[c->state],
        .client = c->origin,
        .path = client_path(c),
        .subprotocol = client_subprotocol(c),
        .user = client_user(c),
        .route = session_route(s)->path,
        .backend = session_route(s)->backend->name,
        .age = session_worker(s)->now - s->opened_at,
        .idle = session_worker(s)->now - s->owner.last_data,
        .messages_in = c->messages_in,
        .messages_out = c->messages_out,
        .bytes_in = c->bytes_in,
        .bytes_out = c->bytes_out,
        .dropped = session_extra(s)->dropped + client_extra(c)->dropped,
        .stalls_client = session_extra(s)->stalls[STATS_CLIENT],
        .stalls_backend = session_extra(s)->stalls[STATS_BACKEND],
        .queued_client = client_queued(c),
        .client_paused = c->paused,
        .backend_paused = s->backend_paused,
        .rate_held = client_throttled(c),
        .rate_holds = client_throttled_count(c),
        .rtt_ms = client_rtt(c),
        .clients = 1,
        .detached = -1,
    };
    if (session_kept(s) != NULL)
        inspect_kept(s, out);
    (void)snprintf(out->compression, sizeof out->compression, "%s", client_compression(c, answer));
    client_compressed(c, &out->compressed_in, &out->compressed_out);
    if (s->backend != NULL && c->was_open) { /* before, there may be nothing to speak of */
        s->backend->ops->describe(s->backend, out->address, sizeof out->address);
        out->queued_backend = s->backend->ops->queued(s->backend);
        out->datagrams = s->backend->ops->dropped != NULL;
        if (out->datagrams)
            s->backend->ops->dropped(s->backend, &out->datagrams_dropped_in,
                                     &out->datagrams_dropped_out);
    }
}

size_t session_inspect_clients(const struct session *s, struct session_client_info *out,
                               size_t most)
{
    const struct session_kept *k = session_kept(s);
    const struct member *m;
    size_t n = 0;

    if (k == NULL)
        return 0;
    LIST_FOREACH(m, &k->members, link)
    {
        uint64_t next = m->next > k->ring.first ? m->next : k->ring.first;

        if (n == most)
            break;
        out[n++] = (struct session_client_info){
            .number = m->number,
            .client = m->client->origin,
            .user = client_user(m->client),
            .age = session_worker(s)->now - m->opened_at,
            .behind = ring_bytes_from(&k->ring, next),
            .queued = client_queued(m->client),
            .messages_in = m->client->messages_in,
            .messages_out = m->client->messages_out,
            .skipped = m->skipped,
            .rtt_ms = client_rtt(m->client),
        };
    }
    return n;
}

bool session_client_addr(const struct client *c, union addr *out)
{
    struct slice host;
    uint16_t port;

    *out = (union addr){.sa.sa_family = AF_UNIX};
    if (strcmp(c->origin, "unix") == 0)
        return true;
    return addr_split(slice_from(c->origin), &host, &port) == NULL &&
           addr_parse_host(host, port, out);
}

struct session *session_find(const struct worker *w, uint64_t id)
{
    struct session *s = LIST_FIRST(&core_of(w)->sessions->all);

    while (s != NULL && s->owner.id != id)
        s = LIST_NEXT(s, link);
    return s;
}

/* ---- choosing ---- */

static bool parse_id(struct slice text, uint64_t *id)
{
    *id = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || *id > UINT64_MAX / 10 - 9)
            return false;
        *id = *id * 10 + (uint64_t)(text.p[i] - '0');
    }
    return *id != 0;
}

/* "ID" or "ID/NUMBER" */
static bool parse_id_or_client(struct slice text, struct session_choice *c)
{
    struct slice number;

    text = slice_cut(text, '/', &number);
    return parse_id(text, &c->id) && (number.p == NULL || parse_id(number, &c->number));
}

static bool parse_client(struct slice text, struct session_choice *c)
{
    struct slice host;
    union addr addr;
    uint16_t port;

    if (slice_is(text, "unix")) {
        memcpy(c->client, "unix", sizeof "unix");
        c->with_port = true; /* it is all there is */
    } else if (addr_parse_host(text, 0, &addr)) {
        addr_format_host(&addr, c->client);
    } else if (addr_split(text, &host, &port) == NULL && host.len > 0 &&
               addr_parse_host(host, port, &addr)) {
        addr_format(&addr, c->client);
        c->with_port = true;
    } else {
        return false;
    }
    return true;
}

bool session_choice_parse(const struct worker *w, struct session_choice *c, struct slice text)
{
    *c = (struct session_choice){.by = CHOICE_ID};
    if (text.len == 0 || memchr(text.p, '\0', text.len) != NULL)
        return false;
    if (parse_id_or_client(text, c))
        return true;
    if (slice_starts(text, USER)) {
        c->by = CHOICE_USER;
        c->user = slice_of(text.p + strlen(USER), text.len - strlen(USER));
        return c->user.len > 0; /* "" is what all have whom nobody has asked */
    }
    if (slice_starts(text, TOKEN)) {
        text = slice_of(text.p + strlen(TOKEN), text.len - strlen(TOKEN));
        c->by = CHOICE_TOKEN;
        return text.len > 0 && secret_mac(core_of(w)->auth->key, &text, 1, c->mac);
    }
    c->by = CHOICE_CLIENT;
    return parse_client(text, c);
}

static bool has_token(const struct session *s, const uint8_t mac[SECRET_MAC_SIZE])
{
    const struct backend *b = s->backend;

    return b != NULL && b->ops->has_token != NULL && b->ops->has_token(b, mac);
}

static bool client_chosen(const struct client *chosen, const void *data)
{
    const struct session_choice *c = data;
    struct slice client = slice_from(chosen->origin);
    const char *colon = strrchr(chosen->origin, ':');

    if (c->with_port)
        return slice_is(client, c->client);
    if (colon == NULL)
        return false;
    client.len = (size_t)(colon - client.p);
    if (client.len >= 2 && client.p[0] == '[')
        client = slice_of(client.p + 1, client.len - 2);
    return slice_is(client, c->client);
}

static bool user_chosen(const struct client *chosen, const void *data)
{
    return slice_is(((const struct session_choice *)data)->user, client_user(chosen));
}

bool session_kick_member(struct session *s, uint64_t number, const char *reason)
{
    struct member *m;

    if (session_kept(s) == NULL)
        return false;
    LIST_FOREACH(m, &session_kept(s)->members, link)
    {
        if (m->number == number)
            break;
    }
    if (m == NULL)
        return false;
    if (session_is_private(s))
        session_kick(s, reason);
    else
        member_leave(m, WS_CODE_POLICY, reason);
    session_settle(s);
    return true;
}

size_t session_kick_chosen(struct session *s, const struct session_choice *c, const char *reason)
{
    switch (c->by) {
    case CHOICE_CLIENT:
        return session_kick_clients(s, client_chosen, c, reason);
    case CHOICE_USER:
        return session_kick_clients(s, user_chosen, c, reason);
    case CHOICE_ID:
    case CHOICE_TOKEN:
        break;
    }
    if (c->by == CHOICE_ID && c->number != 0)
        return s->owner.id == c->id && session_kick_member(s, c->number, reason) ? 1 : 0;
    if (c->by == CHOICE_ID ? s->owner.id != c->id : !has_token(s, c->mac))
        return 0;
    session_kick(s, reason);
    return 1;
}

/* ---- walking ---- */

void session_cursor_open(struct session_cursor *c, struct worker *w)
{
    c->worker = w;
    c->next = LIST_FIRST(&core_of(w)->sessions->all);
    c->other = core_of(w)->sessions->cursors;
    core_of(w)->sessions->cursors = c;
}

struct session *session_cursor_next(struct session_cursor *c)
{
    struct session *s = c->next;

    if (s != NULL)
        c->next = LIST_NEXT(s, link);
    return s;
}

void session_cursor_close(struct session_cursor *c)
{
    struct session_cursor **at = &core_of(c->worker)->sessions->cursors;

    while (*at != c)
        at = &(*at)->other;
    *at = c->other;
}

void sessions_leave_cursors(struct session *s)
{
    for (struct session_cursor *c = core_of(session_worker(s))->sessions->cursors; c != NULL;
         c = c->other) {
        if (c->next == s)
            c->next = LIST_NEXT(s, link);
    }
}
