/* SPDX-License-Identifier: MIT */

/*
 * A message is framed, and without takeover compressed, once, however many get it. While all
 * members are looked at, nothing new is said: so what one of them was sent, from one number to
 * another, is what every other one is sent that stands at the same number and wants its messages in
 * the same form. A few such strings of frames are remembered until all had their turn.
 *
 * Who comes and gets what was said before, or keeps a window of its own (compression: takeover), is
 * sent its messages one by one, as is a hub's client that is to get what others are not.
 */
#include "core/session/session_kept.h"
#include "proto/tty.h"

#define FAN_LARGEST (1U << 20) /* bytes of a message; longer ones go one by one, and uncopied */
#define KIND_CHANNELS 1U
#define KIND_TTY 2U
#define KIND_WINDOW 4U /* times the bits of its window */

/* In which form the messages of a member are. */
static bool fan_kind(const struct member *m, uint32_t *kind)
{
    const struct client *c = m->client;
    uint8_t bits;

    if (!client_frames_alike(c, &bits))
        return false;
    *kind = (c->channels || m->session->channels ? KIND_CHANNELS : 0) |
            (c->tty != CLIENT_TTY_NOT ? KIND_TTY : 0) | KIND_WINDOW * bits;
    return true;
}

static struct fan *fan_find(struct fans *f, uint64_t from, uint64_t end, uint32_t kind)
{
    for (size_t i = 0; i < SESSION_FANS; i++) {
        struct fan *fan = &f->all[i];

        if (fan->from == from && fan->end == end && fan->kind == kind)
            return fan;
    }
    return NULL;
}

/* One message behind the others; false when it cannot be. */
static bool fan_add(struct fan *fan, struct member *m, uint64_t number)
{
    struct ring_message msg = ring_get(&session_kept(m->session)->ring, number);
    uint8_t opcode, *p;
    size_t n;

    if ((msg.channel & SESSION_ADDRESSED) || msg.len > FAN_LARGEST)
        return false;
    p = member_form(m, &msg, &opcode, &n);
    if (!client_frame(m->client, opcode, p, n, &fan->frames, &fan->packed))
        return false;
    fan->messages++;
    fan->payload += n;
    return true;
}

static struct fan *fan_make(struct fans *f, struct member *m, uint64_t end, uint32_t kind)
{
    struct fan *fan = &f->all[f->oldest++ % SESSION_FANS];

    buf_release(&fan->frames);
    *fan = (struct fan){.from = m->next, .until = m->next, .end = end, .kind = kind};
    while (fan->until < end && buf_len(&fan->frames) < SESSION_AT_ONCE &&
           fan_add(fan, m, fan->until))
        fan->until++;
    return fan;
}

bool fan_send(struct member *m, uint64_t end)
{
    struct fans *f = session_kept(m->session)->fans;
    struct fan *fan;
    uint32_t kind;

    if (f == NULL || m->next < m->live_from || !fan_kind(m, &kind))
        return false;
    fan = fan_find(f, m->next, end, kind);
    if (fan == NULL)
        fan = fan_make(f, m, end, kind);
    if (fan->until == fan->from)
        return false;
    client_send_frames(m->client, &fan->frames, fan->messages, fan->payload, &fan->packed);
    m->next = fan->until;
    return true;
}

void fans_release(struct fans *f)
{
    for (size_t i = 0; i < SESSION_FANS; i++)
        buf_release(&f->all[i].frames);
}
