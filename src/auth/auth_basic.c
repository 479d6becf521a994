/* SPDX-License-Identifier: MIT */

/*
 * basic (RFC 7617): a name and a password, which a process of its own checks. Who passed is
 * remembered for auth-cache; who failed is not. For a name that is unknown the password is checked
 * against somebody else's hash, so that the time taken tells nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "auth/auths.h"
#include "auth/htpasswd.h"
#include "auth/secret_file.h"
#include "auth/verify.h"
#include "base/utf8.h"
#include "core/auth/auth_cookie.h"
#include "core/auth/auth_job.h"
#include "core/core.h"
#include "core/request.h"

#define CREDENTIALS_MAX (HTPASSWD_USER_MAX + 1 + VERIFY_PASSWORD_MAX)

/* r->auth_data */
struct passwords {
    struct secret_file file;
    char *text;
    size_t len;
    struct htpasswd all;
};

/* A password that is being checked. */
struct checking {
    struct auth_job *job;
    bool known; /* the name */
    uint8_t mac[SECRET_MAC_SIZE];
    uint8_t credential[SECRET_MAC_SIZE]; /* of the hash it is checked against */
    char user[HTPASSWD_USER_MAX + 1];
};

/* ---- the file */

/* Leaves what there is when the new text is no good. */
static bool basic_load(struct passwords *p, char why[AUTH_ERROR_MAX])
{
    char wrong[HTPASSWD_ERROR_MAX];
    struct htpasswd all;
    size_t len;
    char *text = secret_file_read(&p->file, false, &len, why);

    if (text == NULL)
        return false;
    if (!htpasswd_parse(&all, text, wrong)) {
        snprintf(why, AUTH_ERROR_MAX, "%.200s:%.250s", p->file.path, wrong);
        secret_file_free(text, len);
        return false;
    }
    htpasswd_release(&p->all);
    secret_file_free(p->text, p->len);
    p->all = all;
    p->text = text;
    p->len = len;
    return true;
}

static void free_passwords(struct passwords *p)
{
    htpasswd_release(&p->all);
    secret_file_free(p->text, p->len);
    free(p);
}

static bool basic_prepare(struct route *r, char why[AUTH_ERROR_MAX])
{
    struct passwords *p;

    if (r->settings.auth_file == NULL) {
        snprintf(why, AUTH_ERROR_MAX,
                 "auth: basic needs auth-file, as wsluice passwd or htpasswd -B makes it");
        return false;
    }
    p = calloc(1, sizeof *p);
    if (p == NULL) {
        snprintf(why, AUTH_ERROR_MAX, "out of memory");
        return false;
    }
    p->file.path = r->settings.auth_file;
    if (!basic_load(p, why)) {
        free_passwords(p);
        return false;
    }
    r->auth_data = p;
    return true;
}

static void basic_release(struct route *r)
{
    free_passwords(r->auth_data);
    r->auth_data = NULL;
}

static void basic_look_again(struct passwords *p, struct worker *w)
{
    char why[AUTH_ERROR_MAX];

    if (!secret_file_changed(&p->file, w->clock))
        return;
    if (basic_load(p, why))
        log_line(&w->log, LOG_INFO, "passwords read again", LOG_C("file", p->file.path),
                 LOG_I("users", p->all.count));
    else
        log_line(&w->log, LOG_ERROR, "passwords not read again, the old ones hold",
                 LOG_C("reason", why));
}

/* ---- a request */

/* "user:password" of the request's Authorization into out; its length, 0 without one or when
 * nothing stands in it, -1 for a wrong one. */
static int read_credentials(const struct request *r, char out[CREDENTIALS_MAX])
{
    size_t count;
    struct slice rest, value = http_head_get(r->head, "Authorization", &count);
    struct slice scheme = slice_cut(value, ' ', &rest);

    bool is_basic = slice_eq_nocase(scheme, slice_from("Basic"));
    bool says_nothing = value.len == 0 || (is_basic && slice_trim(rest).len == 0);

    if (count == 0 || (count == 1 && says_nothing))
        return 0;
    if (count > 1 || !is_basic)
        return -1;
    int n = secret_base64(slice_trim(rest), out, CREDENTIALS_MAX);
    if (n == 1 && out[0] == ':') /* a dialog that was closed without a word; nobody has no name */
        return 0;
    if (n <= 0 || !utf8_valid((const uint8_t *)out, (size_t)n) ||
        memchr(out, ':', (size_t)n) == NULL)
        return -1;
    for (int i = 0; i < n; i++) {
        if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
            return -1;
    }
    return n;
}

/* A hash for a name that is not there: always the same for the same name. */
static const char *any_hash(const struct passwords *p, const struct auth *auth, struct slice user)
{
    uint8_t mac[SECRET_MAC_SIZE];

    if (p->all.count == 0 || !secret_mac(auth->key, &user, 1, mac))
        return "$2b$10$abcdefghijklmnopqrstuu4T826PRnz0Hu6YlprUuxkZxOOj5Fw5S";
    return p->all.users[(size_t)(mac[0] | mac[1] << 8 | mac[2] << 16) % p->all.count].hash;
}

/* What a cookie is bound to: the line of the user as it is now. */
static bool digest_hash(const struct auth *auth, const char *hash, uint8_t mac[SECRET_MAC_SIZE])
{
    const struct slice texts[] = {slice_from("hash"), slice_from(hash)};

    return secret_mac(auth->key, texts, 2, mac);
}

static struct auth_claim claim_of(struct slice user, const uint8_t credential[SECRET_MAC_SIZE])
{
    struct auth_claim claim = {.who = user};

    memcpy(claim.credential, credential, sizeof claim.credential);
    return claim;
}

static bool basic_by_cookie(struct auth_check *a, struct slice who,
                            uint8_t credential[SECRET_MAC_SIZE], struct auth_grant **grant)
{
    const struct passwords *p = a->route->auth_data;
    const struct auth *auth = core_of(a->stream->worker)->auth;
    const char *hash = htpasswd_find(&p->all, who);

    if (!digest_hash(auth, hash != NULL ? hash : any_hash(p, auth, who), credential)) {
        memset(credential, 0, SECRET_MAC_SIZE);
        return false;
    }
    *grant = auth_grant_new(who, NULL, 0);
    return hash != NULL;
}

static const char too_many[] = "too many passwords are being checked, try again later";

static void on_verified(void *owner, int status, struct slice out)
{
    struct auth_check *a = owner;
    struct checking *c = a->job;
    struct worker *w = a->stream->worker;
    bool ran = status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) <= 1;
    bool waited_in_vain = status == AUTH_JOB_NO_PLACE;
    bool ok = ran && WEXITSTATUS(status) == 0 && c->known;
    struct auth_grant *grant = ok ? auth_grant_new(slice_from(c->user), NULL, 0) : NULL;
    double keep = a->route->settings.auth_cache;
    (void)out;

    if (grant != NULL && keep > 0)
        auth_cache_add(&core_of(w)->auth->cache, c->mac, grant, w->clock + keep);
    a->job = NULL;
    const struct auth_claim claim = claim_of(slice_from(c->user), c->credential);
    if (ok)
        auth_allow(a, grant, &claim);
    else if (ran)
        auth_deny(a, 401, "wrong name or password", AUTH_GUESS, c->known ? c->user : NULL);
    else
        auth_deny(a, 503,
                  waited_in_vain ? too_many : "the password cannot be checked now, try again later",
                  AUTH_NOTHING, NULL);
    free(c);
}

static void verify(struct auth_check *a, struct slice user, struct slice password, const char *hash,
                   const uint8_t *mac, const uint8_t *credential)
{
    struct auth *auth = core_of(a->stream->worker)->auth;
    struct checking *c = calloc(1, sizeof *c);

    if (c != NULL) {
        c->known = hash != NULL;
        memcpy(c->mac, mac, sizeof c->mac);
        memcpy(c->credential, credential, sizeof c->credential);
        memcpy(c->user, user.p, user.len < sizeof c->user ? user.len : 0);
        if (hash == NULL)
            hash = any_hash(a->route->auth_data, auth, user);
        c->job = verify_start(auth->verify, &stream_request(a->stream)->client, password, hash,
                              on_verified, a);
    }
    if (c == NULL || c->job == NULL) {
        free(c);
        auth_deny(a, 503, too_many, AUTH_NOTHING, NULL);
        return;
    }
    a->job = c;
}

static void judge_credentials(struct auth_check *a, struct slice all)
{
    struct worker *w = a->stream->worker;
    struct passwords *p = a->route->auth_data;
    struct slice password, user = slice_cut(all, ':', &password);
    const char *hash = htpasswd_find(&p->all, user);
    const struct slice texts[] = {slice_from("basic"), user, password, slice_from(hash)};
    const struct auth_grant *known = NULL;
    uint8_t mac[SECRET_MAC_SIZE], credential[SECRET_MAC_SIZE] = {0};

    if (user.len > HTPASSWD_USER_MAX || password.len > VERIFY_PASSWORD_MAX) {
        auth_deny(a, 401, "wrong name or password", AUTH_GUESS, NULL);
        return;
    }
    if (auth_throttled(a))
        return;
    if (!secret_mac(core_of(w)->auth->key, texts, 4, mac) ||
        (hash != NULL && !digest_hash(core_of(w)->auth, hash, credential))) {
        auth_deny(a, 503, "out of memory, try again later", AUTH_NOTHING, NULL);
        return;
    }
    if (hash != NULL && a->route->settings.auth_cache > 0)
        known = auth_cache_find(&core_of(w)->auth->cache, mac, w->clock);
    const struct auth_claim claim = claim_of(user, credential);
    if (known != NULL)
        auth_allow(a, auth_grant_copy(known), &claim);
    else
        verify(a, user, password, hash, mac, credential);
}

static void basic_judge(struct auth_check *a)
{
    char all[CREDENTIALS_MAX];
    int n;

    basic_look_again(a->route->auth_data, a->stream->worker);
    n = read_credentials(stream_request(a->stream), all);
    if (n > 0)
        judge_credentials(a, slice_of(all, (size_t)n));
    else if (n == 0 && auth_by_cookie(a))
        return; /* nothing was read */
    else if (n == 0)
        auth_deny(a, 401, "a name and a password are needed", AUTH_NOTHING, NULL);
    else
        auth_deny(a, 401, "these are no Basic credentials", AUTH_GUESS, NULL);
    explicit_bzero(all, sizeof all);
}

static void basic_cancel(struct auth_check *a)
{
    struct checking *c = a->job;

    if (c == NULL)
        return;
    auth_job_cancel(c->job);
    free(c);
    a->job = NULL;
}

const struct auth_ops auth_basic = {
    .name = "basic",
    .prepare = basic_prepare,
    .release = basic_release,
    .judge = basic_judge,
    .cancel = basic_cancel,
    .by_cookie = basic_by_cookie,
    .challenge = "Basic",
    .challenge_more = ", charset=\"UTF-8\"",
};
