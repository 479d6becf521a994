/* SPDX-License-Identifier: MIT */

/*
 * hook: a program, or an HTTP server, says who may pass. Answers that were good are remembered for
 * auth-cache, by all of the request that it is likely to judge by.
 *
 * A program finds the request in its environment, as programs of sessions do, the Authorization
 * field in WSLUICE_AUTH; exit status 0 lets the request pass. Of what it writes, lines
 * `user NAME` and `env NAME=VALUE` count.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/auths.h"
#include "auth/hook_http.h"
#include "auth/hook_output.h"
#include "backend/exec_env.h"
#include "core/auth/auth_job.h"
#include "core/core.h"
#include "core/request.h"
#include "io/child/child.h"

#define TIMEOUT 5.0 /* seconds */
#define FACTS 16    /* texts of a digest besides those of lists, at most */

/* r->auth_data */
struct hook {
    bool is_http;
    struct hook_url url;
    char *program; /* looked up */
    char **argv;
};

struct asking {
    struct auth_job *job; /* one of these */
    struct hook_http *http;
    struct exec_env env;
    enum auth_attempt attempt; /* what it is, if it is denied */
    uint8_t mac[SECRET_MAC_SIZE];
};

/* ---- before the start */

static void hook_release(struct route *r)
{
    struct hook *h = r->auth_data;

    free(h->program);
    free(h->argv);
    free(h);
    r->auth_data = NULL;
}

static const char *auth_hook_prepare_program(struct hook *h, const struct text_list *words)
{
    h->program = child_find(words->items[0], getenv("PATH"));
    if (h->program == NULL)
        return "no such program";
    h->argv = calloc(words->count + 1, sizeof *h->argv);
    if (h->argv == NULL)
        return "out of memory";
    for (size_t i = 0; i < words->count; i++)
        h->argv[i] = (char *)(uintptr_t)words->items[i]; /* char * by its use, never written to */
    return NULL;
}

static bool hook_prepare(struct route *r, char why[AUTH_ERROR_MAX])
{
    const struct text_list *words = &r->settings.auth_hook;
    struct hook *h = calloc(1, sizeof *h);
    const char *wrong;

    if (h == NULL || words->count == 0) {
        free(h);
        snprintf(why, AUTH_ERROR_MAX,
                 "auth: hook needs auth-hook, a program or an http:// address");
        return false;
    }
    h->is_http = strstr(words->items[0], "://") != NULL;
    if (h->is_http && words->count > 1)
        wrong = "an address stands alone";
    else if (h->is_http)
        wrong = hook_url_parse(&h->url, words->items[0]);
    else
        wrong = auth_hook_prepare_program(h, words);
    r->auth_data = h;
    if (wrong == NULL)
        return true;
    snprintf(why, AUTH_ERROR_MAX, "auth-hook %.200s: %s", words->items[0], wrong);
    hook_release(r);
    return false;
}

/* ---- a request */

static struct slice auth_hook_field(const struct request *r, const char *name)
{
    return http_head_get(r->head, name, NULL);
}

/* Lists stand with their length in front, or what ends one could begin the next. */
static size_t put_list(struct slice *texts, const struct text_list *list)
{
    texts[0] = slice_of((const char *)&list->count, sizeof list->count);
    for (size_t i = 0; i < list->count; i++)
        texts[1 + i] = slice_from(list->items[i]);
    return 1 + list->count;
}

/* All header fields count: who knows which of them holds a key. But for the key of the handshake,
 * and the length says how many. */
static size_t put_fields(struct slice *texts, const struct http_head *h)
{
    size_t n = 0;

    texts[n++] = slice_of((const char *)&h->count, sizeof h->count);
    for (size_t i = 0; i < h->count; i++) {
        if (slice_eq_nocase(h->fields[i].name, slice_from("Sec-WebSocket-Key")))
            continue;
        texts[n++] = h->fields[i].name;
        texts[n++] = h->fields[i].value;
    }
    return n;
}

static size_t put_facts(struct slice *texts, const struct auth_check *a,
                        char addresses[2][ADDR_TEXT_MAX])
{
    const struct request *r = stream_request(a->stream);
    struct proxyhdr facts;
    size_t n = 0;

    texts[n++] = slice_from("hook");
    texts[n++] = slice_from(a->route->path);
    texts[n++] = r->host;
    texts[n++] = r->head->method;
    texts[n++] = r->target;
    texts[n++] = slice_from(addr_format_host(&r->client, addresses[0]));
    texts[n++] = slice_from(addr_format(&r->server, addresses[1]));
    texts[n++] = slice_from(r->secure ? "secure" : "");
    texts[n++] = request_client_verdict(r);
    texts[n++] = r->client_dn;
    request_introduce(r, "", &facts); /* no ids in it: they differ each time */
    texts[n++] = facts.tls_version;
    texts[n++] = facts.tls_cn;
    texts[n++] = r->proxied != NULL ? r->proxied->authority : slice_of(NULL, 0);
    texts[n++] = r->proxied != NULL ? r->proxied->alpn : slice_of(NULL, 0);
    texts[n++] = slice_from(request_user(r));
    return n;
}

/*
 * Everything that a hook is told and may judge by, but for what differs each time without meaning
 * anything (ids, the client's port). That is also what the operator gives it, which a reload may
 * change, and whom another route's `auth` has found before: by a token that is not to be seen any
 * more.
 */
static bool make_mac(const struct auth_check *a, uint8_t mac[SECRET_MAC_SIZE])
{
    const struct request *r = stream_request(a->stream);
    const struct settings *s = &a->route->settings;
    const struct text_list *lists[] = {&s->auth_hook, &s->env, &s->pass_env};
    size_t max = FACTS + 2 * r->head->count + 1, n = 0;
    char addresses[2][ADDR_TEXT_MAX];
    struct slice *texts;
    bool ok;

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        max += lists[i]->count + 1;
    max += r->grant != NULL ? r->grant->env_count : 0;
    texts = calloc(max, sizeof *texts);
    if (texts == NULL)
        return false;
    n += put_facts(texts, a, addresses);
    n += put_fields(texts + n, r->head);
    for (size_t i = 0; r->grant != NULL && i < r->grant->env_count; i++)
        texts[n++] = slice_from(r->grant->env[i]);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        n += put_list(texts + n, lists[i]);
    ok = secret_mac(core_of(a->stream->worker)->auth->key, texts, n, mac);
    free(texts);
    return ok;
}

static void free_asking(struct auth_check *a)
{
    struct asking *k = a->job;

    for (size_t i = 0; i < k->env.count; i++)
        secret_wipe(slice_from(k->env.vars[i]));
    exec_env_release(&k->env);
    free(k);
    a->job = NULL;
}

static void auth_hook_allow(struct auth_check *a, struct auth_grant *grant)
{
    struct asking *k = a->job;
    struct worker *w = a->stream->worker;
    double keep = a->route->settings.auth_cache;

    if (grant != NULL && keep > 0 && k->mac[0] != 0)
        auth_cache_add(&core_of(w)->auth->cache, k->mac, grant, w->clock + keep);
    free_asking(a);
    auth_allow(a, grant, NULL);
}

static void deny(struct auth_check *a, int status, const char *why)
{
    struct asking *k = a->job;
    enum auth_attempt attempt = status != 503 ? k->attempt : AUTH_NOTHING;

    free_asking(a);
    auth_deny(a, status, why, attempt, NULL);
}

static const char too_many[] = "too many requests are being judged, try again later";

static void on_program(void *owner, int status, struct slice out)
{
    struct auth_check *a = owner;

    if (status == AUTH_JOB_NO_PLACE)
        deny(a, 503, too_many);
    else if (status < 0 || !WIFEXITED(status))
        deny(a, 503, "the auth-hook gave no answer, try again later");
    else if (WEXITSTATUS(status) != 0)
        deny(a, 401, "the auth-hook denied it");
    else
        auth_hook_allow(a, hook_output_grant(out));
}

static void on_http(void *owner, int status, struct slice user)
{
    struct auth_check *a = owner;

    if (status == 200 || status == 204)
        auth_hook_allow(a, auth_grant_new(user, NULL, 0));
    else if (status == HOOK_HTTP_NO_PLACE)
        deny(a, 503, too_many);
    else if (status == 401 || status == 403)
        deny(a, status, "the auth-hook denied it");
    else
        deny(a, 503, "the auth-hook gave no answer, try again later");
}

/* The Authorization field, which programs of sessions never get. */
static int make_env(struct auth_check *a, struct asking *k)
{
    const struct request *r = stream_request(a->stream);
    const struct backend_open like = {
        .worker = a->stream->worker, .route = a->route, .request = r, .unique = ""};

    return exec_env_build(&k->env, &like, environ) < 0 ||
                   exec_env_add(&k->env, "WSLUICE_AUTH", auth_hook_field(r, "Authorization")) < 0
               ? -1
               : 0;
}

static void auth_hook_ask(struct auth_check *a, struct asking *k)
{
    const struct hook *h = a->route->auth_data;
    struct worker *w = a->stream->worker;

    if (h->is_http) {
        k->http = hook_http_start(core_of(w)->auth->servers, &h->url, stream_request(a->stream),
                                  TIMEOUT, on_http, a);
        return;
    }
    if (make_env(a, k) < 0)
        return;
    const struct auth_job_spec spec = {.path = h->program,
                                       .argv = h->argv,
                                       .envp = k->env.vars,
                                       .may_gain = !a->route->settings.no_new_privs,
                                       .timeout = TIMEOUT,
                                       .client = &stream_request(a->stream)->client,
                                       .done = on_program,
                                       .owner = a};
    k->job = auth_job_start(core_of(w)->auth->hooks, &spec);
}

/* A browser sends cookies and queries before anybody has asked it for credentials. */
static enum auth_attempt attempt_of(const struct request *r)
{
    if (auth_hook_field(r, "Authorization").len > 0)
        return AUTH_GUESS;
    return auth_hook_field(r, "Cookie").p != NULL || r->query.p != NULL ? AUTH_PERHAPS : AUTH_EMPTY;
}

static void hook_judge(struct auth_check *a)
{
    struct worker *w = a->stream->worker;
    const struct request *r = stream_request(a->stream);
    const struct auth_grant *known = NULL;
    uint8_t mac[SECRET_MAC_SIZE] = {0};
    struct asking *k;

    if (a->route->settings.auth_cache > 0 && make_mac(a, mac)) {
        mac[0] |= 1; /* all zeroes: not to be remembered */
        known = auth_cache_find(&core_of(w)->auth->cache, mac, w->clock);
    }
    if (known != NULL) {
        auth_allow(a, auth_grant_copy(known), NULL);
        return;
    }
    if (auth_throttled(a))
        return;
    k = calloc(1, sizeof *k);
    if (k != NULL) {
        memcpy(k->mac, mac, sizeof k->mac);
        k->attempt = attempt_of(r);
        a->job = k;
        auth_hook_ask(a, k);
        if (k->job != NULL || k->http != NULL)
            return;
        free_asking(a);
    }
    auth_deny(a, 503, too_many, AUTH_NOTHING, NULL);
}

static void hook_cancel(struct auth_check *a)
{
    struct asking *k = a->job;

    if (k == NULL)
        return;
    if (k->job != NULL)
        auth_job_cancel(k->job);
    if (k->http != NULL)
        hook_http_cancel(k->http);
    free_asking(a);
}

const struct auth_ops auth_hook = {
    .name = "hook",
    .prepare = hook_prepare,
    .release = hook_release,
    .judge = hook_judge,
    .cancel = hook_cancel,
    .challenge = "Basic",
    .challenge_more = ", charset=\"UTF-8\"",
};
