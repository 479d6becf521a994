/* SPDX-License-Identifier: MIT */

/*
 * Framing hub: the program knows each client by a number, hears who comes and leaves, and says whom
 * its lines are for (proto/hub.h, docs/sessions.md). What is not for all lies in the ring with its
 * addressees behind it:
 *
 *   text | numbers, 8 bytes each, ascending | struct tail
 *
 * Only those who are there when it is said are among them, so a newcomer gets what is for all, and
 * who comes later by a number that was guessed gets nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "core/session/session_kept.h"
#include "proto/hub.h"

#define LOG_EVERY 10.0 /* seconds between two lines about what cannot be understood */
#define LOG_LINE 80U   /* bytes of it that are logged */

struct tail {
    uint64_t newest; /* of all who were there */
    uint32_t count;  /* numbers before this */
    bool all_but;    /* it is for all but these */
};

static bool is_hub(const struct session *s)
{
    return session_framing(s)->addresses;
}

/* ---- to the program ---- */

static void write_to_program(struct session *s, const uint8_t *p, size_t n)
{
    if (session_record(s) != NULL)
        record_bytes(session_record(s), RECORD_IN, p, n);
    s->backend->ops->write(s->backend, p, n);
}

static bool takes_input(const struct session *s)
{
    return s->backend != NULL && s->client->input_open && s->state != SESSION_OPENING;
}

/* The host of "1.2.3.4:5" or "[::1]:5". */
static const char *hub_url_host(const char *address, char out[ADDR_TEXT_MAX])
{
    const char *colon = strrchr(address, ':');
    bool has_port =
        colon != NULL && colon[1] != 0 && colon[1 + strspn(colon + 1, "0123456789")] == 0;
    size_t n = has_port ? (size_t)(colon - address) : strlen(address);

    if (n > 1 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    }
    n = n < ADDR_TEXT_MAX ? n : ADDR_TEXT_MAX - 1;
    memcpy(out, address, n);
    out[n] = 0;
    return out;
}

bool hub_came(struct member *m)
{
    struct session *s = m->session;
    struct session_kept *k = session_kept(s);
    char address[ADDR_TEXT_MAX];
    const char *host = hub_url_host(m->client->origin, address), *user = client_user(m->client);
    uint8_t *line;
    size_t n;

    if (!is_hub(s) || !takes_input(s))
        return true;
    n = hub_write_came(NULL, m->number, host, user);
    line = malloc(n);
    if (line == NULL)
        return false;
    hub_write_came(line, m->number, host, user);
    m->in_table = true;
    HASH_ADD(by_number, k->numbers, number, sizeof m->number, m);
    if (!m->in_table) {
        free(line);
        return false;
    }
    m->announced = true;
    if (m->number > k->newest)
        k->newest = m->number;
    write_to_program(s, line, n);
    free(line);
    return true;
}

void hub_left(struct member *m)
{
    struct session *s = m->session;
    uint8_t line[HUB_ID_MAX + 4];

    if (!m->announced)
        return;
    HASH_DELETE(by_number, session_kept(s)->numbers, m);
    m->announced = false;
    if (takes_input(s))
        write_to_program(s, line, hub_write_left(line, m->number));
}

bool hub_input(struct member *m, const uint8_t *p, size_t n)
{
    struct session *s = m->session;
    size_t size;
    uint8_t *lines;

    if (!is_hub(s))
        return false;
    size = hub_write_lines(NULL, m->number, p, n);
    lines = m->announced ? malloc(size) : NULL;
    if (lines == NULL) {
        session_count_dropped(s, n);
        if (m->announced)
            client_no_memory(m->client);
        return true;
    }
    hub_write_lines(lines, m->number, p, n);
    session_client_events.input(&s->owner, lines, size);
    free(lines);
    return true;
}

bool hub_is_full(const struct session *s)
{
    return is_hub(s) && s->backend != NULL &&
           s->backend->ops->queued(s->backend) > SESSION_HUB_QUEUE;
}

/* ---- from the program ---- */

/* It is not worth more than a count, and a line now and then. */
static void note_unknown(struct session *s, const uint8_t *p, size_t n)
{
    struct session_kept *k = session_kept(s);
    double now = session_worker(s)->now;

    session_count_dropped(s, n);
    k->unknown++;
    if (k->unknown_due > now)
        return;
    k->unknown_due = now + LOG_EVERY;
    log_line(&session_worker(s)->log, LOG_WARN,
             "framing hub: a line that begins with no address was dropped",
             LOG_I("id", s->owner.id),
             LOG_S("line", slice_of((const char *)p, n < LOG_LINE ? n : LOG_LINE)),
             LOG_I("dropped", k->unknown));
}

static struct member *find_member(const struct session_kept *k, uint64_t number)
{
    struct member *m;

    HASH_FIND(by_number, k->numbers, &number, sizeof number, m);
    return m;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Those of ids that are there, ascending, each once, with room for a tail behind. NULL without
 * memory. */
static uint64_t *present(const struct session_kept *k, struct slice ids, size_t *count)
{
    size_t most = 1, n = 0;
    uint64_t *all, id;

    for (size_t i = 0; i < ids.len; i++)
        most += ids.p[i] == ',';
    all = malloc(most * sizeof *all + sizeof(struct tail));
    if (all == NULL)
        return NULL;
    while (hub_next_id(&ids, &id)) {
        if (find_member(k, id) != NULL)
            all[n++] = id;
    }
    qsort(all, n, sizeof *all, by_size);
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        if (*count == 0 || all[*count - 1] != all[i])
            all[(*count)++] = all[i];
    }
    return all;
}

/* They get what was said before, and nothing more. */
static void close_them(struct session_kept *k, const uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct member *m = find_member(k, ids[i]);

        client_stop_input(m->client);
        if (m->leave_at == 0)
            m->leave_at = k->ring.next;
    }
    k->pump_all = true;
}

static void say_to(struct session *s, uint8_t opcode, const struct hub_line *line, uint64_t *ids,
                   size_t count)
{
    const struct tail tail = {
        .newest = session_kept(s)->newest,
        .count = (uint32_t)count,
        .all_but = line->kind == HUB_ALL_BUT,
    };

    memcpy(ids + count, &tail, sizeof tail);
    session_kept_add(s, opcode, CHANNEL_OUTPUT | SESSION_ADDRESSED,
                     slice_of(line->text.p, line->text.len),
                     slice_of((const char *)ids, count * sizeof *ids + sizeof tail));
}

bool hub_say(struct session *s, uint8_t opcode, uint8_t channel, const uint8_t *p, size_t n)
{
    struct hub_line line;
    uint64_t *ids;
    size_t count;

    if (!is_hub(s) || channel != CHANNEL_OUTPUT)
        return false;
    line = hub_read(slice_of((const char *)p, n));
    if (line.kind == HUB_UNKNOWN) {
        note_unknown(s, p, n);
        return true;
    }
    if (line.kind == HUB_ALL) {
        session_kept_add(s, opcode, channel, line.text, slice_from(""));
        return true;
    }
    ids = present(session_kept(s), line.ids, &count);
    if (ids == NULL)
        session_close(s, WS_CODE_INTERNAL, "out of memory", CLOSED_BY_SERVER);
    else if (line.kind == HUB_CLOSE)
        close_them(session_kept(s), ids, count);
    else if (count > 0 || line.kind == HUB_ALL_BUT)
        say_to(s, opcode, &line, ids, count);
    else
        session_count_dropped(s, n);
    free(ids);
    return true;
}

/* ---- to the clients ---- */

bool hub_is_for(const struct member *m, struct ring_message *msg)
{
    const uint8_t *ids;
    struct tail tail;
    size_t low = 0, high;
    bool named = false;

    if (!(msg->channel & SESSION_ADDRESSED))
        return true;
    msg->channel &= (uint8_t)~SESSION_ADDRESSED;
    memcpy(&tail, msg->payload + msg->len - sizeof tail, sizeof tail);
    msg->len -= sizeof tail + tail.count * sizeof(uint64_t);
    ids = msg->payload + msg->len;
    for (high = tail.count; low < high && !named;) {
        size_t mid = low + (high - low) / 2;
        uint64_t id;

        memcpy(&id, ids + mid * sizeof id, sizeof id);
        named = id == m->number;
        if (id < m->number)
            low = mid + 1;
        else
            high = mid;
    }
    return tail.all_but ? !named && m->number <= tail.newest : named;
}
