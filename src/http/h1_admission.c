/* SPDX-License-Identifier: MIT */

/*
 * Who may come in, asked as soon as it is known who it is. A client of our own is judged when it
 * connects: before a TLS handshake, which is what costs, a refusal is a close; in plain HTTP its
 * first request is answered, and tells. Of a trusted proxy's connections the client behind is
 * judged: by a PROXY header's address as if it had connected itself; else, also where that names a
 * further proxy, request by request, where only those that open a WebSocket count as connections.
 */
#include "core/admission/admission.h"
#include "core/core.h"
#include "http/h1.h"
#include "proto/handshake.h"

enum admission_verdict h1_admission_accept(struct worker *w, const struct front_accepted *a)
{
    if (a->admin)
        return ADMISSION_PASS;
    if (admission_is_proxy(core_of(w)->admission, a->client))
        return ADMISSION_UNKNOWN;
    return admission_admit(core_of(w)->admission, a->client);
}

bool h1_admission_answers(enum admission_verdict v, bool tls)
{
    return v <= ADMISSION_PASS || (v != ADMISSION_BANNED && !tls);
}

bool h1_admission_proxied(struct h1 *h)
{
    const union addr *client = &h->asker->client;
    struct admission *g = core_of(h->stream.worker)->admission;
    enum admission_verdict v =
        admission_is_proxy(g, client) ? ADMISSION_UNKNOWN : admission_admit(g, client);

    h->asker->admission = (uint8_t)v;
    return v <= ADMISSION_PASS || !h->asker->tls;
}

enum admission_verdict h1_admission_request(const struct h1 *h, const struct request *r)
{
    const struct h1_asker *a = h->asker;
    struct worker *w = h->stream.worker;

    if (a->admin || a->admission > ADMISSION_PASS)
        return (enum admission_verdict)a->admission;
    if (a->admission == ADMISSION_UNKNOWN && admission_is_proxy(core_of(w)->admission, &r->client))
        return ADMISSION_PASS; /* its own word: a health check */
    if (a->admission == ADMISSION_UNKNOWN && handshake_wanted(r->head))
        return admission_admit(core_of(w)->admission, &r->client);
    return admission_refuse_banned(core_of(w)->admission,
                                   &r->client); /* it may have been banned since it came */
}
