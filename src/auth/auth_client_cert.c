/* SPDX-License-Identifier: MIT */

/* client-cert: whoever has shown a certificate that the TLS of the listener has verified. Its
 * subject is the user. */
#include <stdio.h>

#include "auth/auths.h"
#include "core/request.h"

static bool cert_prepare(struct route *r, char why[AUTH_ERROR_MAX])
{
    const struct config *c = r->config;

    for (size_t i = 0; i < c->listen_count; i++) {
        if (c->listen[i].tls != NULL && c->listen[i].client_cert != TLSCTX_CLIENT_OFF)
            return true;
    }
    snprintf(why, AUTH_ERROR_MAX,
             "auth: client-cert needs a TLS listener that asks for certificates: client-cert: "
             "optional or require, and client-ca");
    return false;
}

static void cert_judge(struct auth_check *a)
{
    const struct request *r = stream_request(a->stream);

    if (slice_is(r->client_verify, "SUCCESS"))
        auth_allow(a, auth_grant_new(r->client_dn, NULL, 0), NULL);
    else
        auth_deny(a, 403, "a client certificate is needed", AUTH_NOTHING, NULL);
}

const struct auth_ops auth_client_cert = {
    .name = "client-cert",
    .prepare = cert_prepare,
    .judge = cert_judge,
};
