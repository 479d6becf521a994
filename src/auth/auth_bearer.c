/* SPDX-License-Identifier: MIT */

/*
 * bearer (RFC 6750): a token from a file of tokens. Page script cannot set header fields of a
 * WebSocket, so besides Authorization it may stand in the subprotocol `bearer.TOKEN`, the cookie
 * wsluice_token, or the query, ?token=TOKEN; the first of these that is there counts. Of the file
 * only digests are kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auths.h"
#include "auth/secret_file.h"
#include "auth/tokens.h"
#include "core/auth/auth_cookie.h"
#include "core/core.h"
#include "core/request.h"

#define OFFER "bearer."
#define COOKIE AUTH_TOKEN_COOKIE "="

/* r->auth_data */
struct bearer {
    struct secret_file file;
    struct tokens tokens;
};

/* ---- the file */

static bool bearer_load(struct bearer *b, char why[AUTH_ERROR_MAX])
{
    char wrong[TOKENS_ERROR_MAX];
    struct tokens tokens;
    size_t len;
    char *text = secret_file_read(&b->file, true, &len, why);

    if (text == NULL)
        return false;
    bool ok = tokens_parse(&tokens, text, wrong);
    secret_file_free(text, len);
    if (!ok) {
        snprintf(why, AUTH_ERROR_MAX, "%.200s:%.250s", b->file.path, wrong);
        return false;
    }
    tokens_release(&b->tokens);
    b->tokens = tokens;
    return true;
}

static void bearer_release(struct route *r)
{
    struct bearer *b = r->auth_data;

    tokens_release(&b->tokens);
    free(b);
    r->auth_data = NULL;
}

static bool bearer_prepare(struct route *r, char why[AUTH_ERROR_MAX])
{
    struct bearer *b;

    if (r->settings.auth_file == NULL) {
        snprintf(why, AUTH_ERROR_MAX, "auth: bearer needs auth-file, a file with a token a line");
        return false;
    }
    b = calloc(1, sizeof *b);
    if (b == NULL) {
        snprintf(why, AUTH_ERROR_MAX, "out of memory");
        return false;
    }
    b->file.path = r->settings.auth_file;
    r->auth_data = b;
    if (bearer_load(b, why))
        return true;
    bearer_release(r);
    return false;
}

static void bearer_look_again(struct bearer *b, struct worker *w)
{
    char why[AUTH_ERROR_MAX];

    if (!secret_file_changed(&b->file, w->clock))
        return;
    if (bearer_load(b, why))
        log_line(&w->log, LOG_INFO, "tokens read again", LOG_C("file", b->file.path),
                 LOG_I("tokens", b->tokens.count));
    else
        log_line(&w->log, LOG_ERROR, "tokens not read again, the old ones hold",
                 LOG_C("reason", why));
}

/* ---- where a token may stand. Each: false when it does not stand there */

static bool in_authorization(const struct request *r, struct slice *token)
{
    size_t count;
    struct slice value = http_head_get(r->head, "Authorization", &count);
    struct slice scheme = slice_cut(value, ' ', token);

    if (count == 0)
        return false;
    *token = slice_trim(*token);
    if (count > 1 || (scheme.len > 0 && !slice_eq_nocase(scheme, slice_from("Bearer"))))
        *token = slice_of(" ", 1); /* nobody's token, and a wrong attempt */
    return true;
}

/* The next field of that name from *i on. */
static struct http_field *next_field(const struct request *r, const char *name, size_t *i)
{
    for (; *i < r->head->count; ++*i) {
        const struct http_field *f = &r->head->fields[*i];

        if (slice_eq_nocase(f->name, slice_from(name)))
            return (struct http_field *)(uintptr_t)f; /* the front's own, see forget */
    }
    return NULL;
}

static bool in_offers(const struct request *r, struct slice *token)
{
    struct slice rest;
    const struct http_field *f;

    for (size_t i = 0; (f = next_field(r, "Sec-WebSocket-Protocol", &i)) != NULL; i++) {
        rest = f->value;
        while (slice_next_item(&rest, token)) {
            if (slice_starts(*token, OFFER)) {
                *token = slice_of(token->p + strlen(OFFER), token->len - strlen(OFFER));
                return true;
            }
        }
    }
    return false;
}

static bool in_cookies(const struct request *r, struct slice *token)
{
    struct slice rest;
    const struct http_field *f;

    for (size_t i = 0; (f = next_field(r, "Cookie", &i)) != NULL; i++) {
        rest = f->value;
        while (rest.p != NULL) {
            *token = slice_trim(slice_cut(rest, ';', &rest));
            if (slice_starts(*token, COOKIE)) {
                *token = slice_of(token->p + strlen(COOKIE), token->len - strlen(COOKIE));
                return true;
            }
        }
    }
    return false;
}

static bool in_query(const struct request *r, struct slice *token)
{
    *token = slice_from(r->token);
    return r->token != NULL;
}

static struct auth_grant *bearer_grant(const struct token *t)
{
    struct auth_grant *g = auth_grant_new(slice_from(t->name), NULL, 0);

    if (g != NULL && t->name[0] == '\0') {
        g->has_mac = true;
        memcpy(g->mac, t->mac, sizeof g->mac);
    }
    return g;
}

/* A token names itself in a cookie by a digest under the key of this process. */
static bool bearer_by_cookie(struct auth_check *a, struct slice who,
                             uint8_t credential[SECRET_MAC_SIZE], struct auth_grant **grant)
{
    struct bearer *b = a->route->auth_data;
    const struct token *t =
        tokens_by_handle(&b->tokens, core_of(a->stream->worker)->auth->key, who);

    memset(credential, 0, SECRET_MAC_SIZE);
    if (t == NULL)
        return false;
    memcpy(credential, t->mac, SECRET_MAC_SIZE);
    *grant = bearer_grant(t);
    return true;
}

static void bearer_allow(struct auth_check *a, const struct token *t)
{
    uint8_t handle[TOKENS_HANDLE_SIZE];
    struct auth_claim claim = {.who = slice_of((const char *)handle, sizeof handle)};

    if (!tokens_handle(t, core_of(a->stream->worker)->auth->key, handle))
        claim.who.len = 0;
    memcpy(claim.credential, t->mac, sizeof claim.credential);
    auth_allow(a, bearer_grant(t), &claim);
}

static void bearer_judge(struct auth_check *a)
{
    const struct request *r = stream_request(a->stream);
    struct bearer *b = a->route->auth_data;
    struct slice token = {NULL, 0};
    const struct token *found;

    bearer_look_again(b, a->stream->worker);
    if ((!in_authorization(r, &token) && !in_offers(r, &token) && !in_cookies(r, &token) &&
         !in_query(r, &token)) ||
        token.len == 0) {
        if (!auth_by_cookie(a))
            auth_deny(a, 401, "a token is needed", AUTH_NOTHING, NULL);
        return;
    }
    if (auth_throttled(a))
        return;
    found = tokens_find(&b->tokens, token);
    if (found != NULL)
        bearer_allow(a, found);
    else
        auth_deny(a, 401, "this token is not known", AUTH_GUESS, NULL);
}

/* ---- taking it out of the request */

static void bearer_forget(struct request *r)
{
    struct http_field *f;

    for (size_t i = 0; (f = next_field(r, "Sec-WebSocket-Protocol", &i)) != NULL; i++)
        http_field_cut(f, ',', OFFER);
}

const struct auth_ops auth_bearer = {
    .name = "bearer",
    .takes_token = true,
    .prepare = bearer_prepare,
    .release = bearer_release,
    .judge = bearer_judge,
    .by_cookie = bearer_by_cookie,
    .challenge = "Bearer",
    .challenge_more = "",
    .forget = bearer_forget,
};
