/* SPDX-License-Identifier: MIT */
#include "server/trust.h"

#include <stdlib.h>
#include <string.h>

#include "base/trusted_file.h"
#include "io/child/child.h"

struct judge {
    uid_t user;
    void (*tell)(void *arg, const char *where, const char *what, const char *why);
    void *arg;
};

static void trust_judge_file(const struct judge *j, const char *where, const char *what,
                             const char *file)
{
    char why[TRUSTED_FILE_ERROR_MAX];

    if (file != NULL && !trusted_file_judge(file, j->user, why))
        j->tell(j->arg, where, what, why);
}

static void judge_pair(const struct judge *j, const struct tlsctx_cert *pair)
{
    trust_judge_file(j, NULL, "tls-cert", pair->cert);
    trust_judge_file(j, NULL, "tls-key", pair->key);
    trust_judge_file(j, NULL, "tls-ocsp", pair->ocsp);
}

/* A hook at an address has no file. */
static void judge_hook(const struct judge *j, const struct route *r)
{
    const struct text_list *words = &r->settings.auth_hook;
    char *program = NULL;

    if (words->count > 0 && strstr(words->items[0], "://") == NULL)
        program = child_find(words->items[0], getenv("PATH"));
    trust_judge_file(j, r->where, "auth-hook", program);
    free(program);
}

/* What all routes have from the top is told with the first. */
static bool is_first(const struct config *c, size_t n, const char *file)
{
    for (size_t i = 0; i < n; i++) {
        if (c->routes[i].settings.auth_file == file)
            return false;
    }
    return true;
}

static void judge_route(const struct judge *j, const struct config *c, size_t n)
{
    const struct route *r = &c->routes[n];
    const struct settings *s = &r->settings;

    if (is_first(c, n, s->auth_file))
        trust_judge_file(j, r->where, "auth-file", s->auth_file);
    judge_hook(j, r);
    trust_judge_file(j, r->where, "preamble-secret", s->preamble_secret);
    trust_judge_file(j, r->where, "backend-ca", s->tls.ca);
    trust_judge_file(j, r->where, "backend-cert", s->tls.cert);
    trust_judge_file(j, r->where, "backend-key", s->tls.key);
    trust_judge_file(j, r->where, "token-file", r->target.token_file);
}

void trust_judge(const struct config *c, uid_t user,
                 void (*tell)(void *arg, const char *where, const char *what, const char *why),
                 void *arg)
{
    const struct judge j = {user, tell, arg};

    judge_pair(&j, &c->tls);
    trust_judge_file(&j, NULL, "tls-client-ca", c->client_ca);
    trust_judge_file(&j, NULL, "ban-file", c->ban_file);
    for (size_t i = 0; i < c->listen_count; i++) {
        const struct listen_spec *l = &c->listen[i];

        for (size_t k = 0; k < l->cert_count; k++)
            judge_pair(&j, &l->certs[k]);
        if (l->client_ca != c->client_ca)
            trust_judge_file(&j, NULL, "client-ca", l->client_ca);
    }
    for (size_t i = 0; i < c->route_count; i++)
        judge_route(&j, c, i);
}
