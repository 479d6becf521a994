/* SPDX-License-Identifier: MIT */

/*
 * Who may come in, asked as soon as it is known who it is. A client of our own is judged when it
 * connects: before a TLS handshake, which is what costs, a refusal is a close; in plain HTTP its
 * first request is answered, and tells. Of a trusted proxy's connections the client behind is
 * judged: by a PROXY header's address as if it had connected itself; else, also where that names a
 * further proxy, request by request, where only those that open a WebSocket count as connections.
 */
#include "core/admission/gate.h"
#include "http/h1.h"
#include "proto/handshake.h"

enum gate_verdict h1_gate_accept(struct worker *w, const struct front_accepted *a)
{
    if (a->admin)
        return GATE_PASS;
    if (gate_is_proxy(w->gate, a->client))
        return GATE_UNKNOWN;
    return gate_enter(w->gate, a->client);
}

bool h1_gate_answers(enum gate_verdict v, bool tls)
{
    return v <= GATE_PASS || (v != GATE_BANNED && !tls);
}

bool h1_gate_proxied(struct h1 *h)
{
    const union addr *client = &h->asker->client;
    struct gate *g = h->stream.worker->gate;
    enum gate_verdict v = gate_is_proxy(g, client) ? GATE_UNKNOWN : gate_enter(g, client);

    h->asker->gate = (uint8_t)v;
    return v <= GATE_PASS || !h->asker->tls;
}

enum gate_verdict h1_gate_request(const struct h1 *h, const struct request *r)
{
    const struct h1_asker *a = h->asker;
    struct worker *w = h->stream.worker;

    if (a->admin || a->gate > GATE_PASS)
        return (enum gate_verdict)a->gate;
    if (a->gate == GATE_UNKNOWN && gate_is_proxy(w->gate, &r->client))
        return GATE_PASS; /* its own word: a health check */
    if (a->gate == GATE_UNKNOWN && handshake_wanted(r->head))
        return gate_enter(w->gate, &r->client);
    return gate_look(w->gate, &r->client); /* it may have been banned since it came */
}
