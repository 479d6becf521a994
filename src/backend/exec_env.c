/* SPDX-License-Identifier: MIT */
#include "backend/exec_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grant.h"

#define SERVER_SOFTWARE "wsluice/" WSLUICE_VERSION

static bool value_ok(struct slice v)
{
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.p[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return v.len < 4 || memcmp(v.p, "() {", 4) != 0;
}

/* The place of a variable of that name; e->count when there is none. */
static size_t exec_env_find(const struct exec_env *e, const char *name, size_t len)
{
    for (size_t i = 0; i < e->count; i++) {
        const char *var = e->vars[i];

        /* the first byte tells most of them apart, and this is the inmost loop of every start */
        if (var[0] == name[0] && strncmp(var, name, len) == 0 && var[len] == '=')
            return i;
    }
    return e->count;
}

/* Takes "NAME=VALUE" over, in place of an earlier one of that name. NULL stands for memory that was
 * not there. */
static void exec_env_put(struct exec_env *e, char *var)
{
    if (var != NULL && e->count + 1 >= e->cap) {
        size_t cap = e->cap == 0 ? 64 : e->cap * 2;
        char **vars = realloc(e->vars, cap * sizeof *vars);

        if (vars == NULL) {
            free(var);
            var = NULL;
        } else {
            e->vars = vars;
            e->cap = cap;
        }
    }
    if (var == NULL) {
        e->failed = true;
        return;
    }
    size_t at = exec_env_find(e, var, strcspn(var, "="));
    if (at == e->count)
        e->vars[++e->count] = NULL;
    else
        free(e->vars[at]);
    e->vars[at] = var;
}

static void exec_env_set(struct exec_env *e, const char *name, struct slice value)
{
    size_t n = strlen(name);

    if (!value_ok(value))
        return;
    char *var = malloc(n + value.len + 2);
    if (var != NULL) {
        memcpy(var, name, n);
        var[n] = '=';
        if (value.len > 0)
            memcpy(var + n + 1, value.p, value.len);
        var[n + 1 + value.len] = '\0';
    }
    exec_env_put(e, var);
}

static void exec_env_set_text(struct exec_env *e, const char *name, const char *value)
{
    exec_env_set(e, name, slice_from(value));
}

static void exec_env_set_number(struct exec_env *e, const char *name, unsigned value)
{
    char text[16];

    snprintf(text, sizeof text, "%u", value);
    exec_env_set_text(e, name, text);
}

/* var is "NAME=VALUE" of that name. */
static bool is_called(const char *var, const char *name)
{
    while (*name != '\0' && *var == *name) {
        var++;
        name++;
    }
    return *name == '\0' && *var == '=';
}

static bool passes(const struct text_list *more, const char *var)
{
    static const char *const always[] = {"PATH", "LANG", "TZ"};

    if (strncmp(var, "LC_", 3) == 0)
        return true;
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        if (is_called(var, always[i]))
            return true;
    }
    for (size_t i = 0; i < more->count; i++) {
        if (is_called(var, more->items[i]))
            return true;
    }
    return false;
}

static void inherit(struct exec_env *e, const struct settings *set_, char *const *ours)
{
    exec_env_set_text(e, "PATH", EXEC_DEFAULT_PATH);
    for (; *ours != NULL; ours++) {
        if (passes(&set_->pass_env, *ours))
            exec_env_put(e, strdup(*ours));
    }
}

static void set_some(struct exec_env *e, const char *name, struct slice value)
{
    if (value.len > 0)
        exec_env_set(e, name, value);
}

/* Of the client's TLS, ours or that of a proxy in front, named as by Apache's mod_ssl; and what
 * that proxy says beyond. */
static void put_tls(struct exec_env *e, const struct request *r)
{
    const struct proxyhdr *p = r->proxied;
    struct proxyhdr facts;

    request_introduce(r, "", &facts);
    if (r->secure)
        exec_env_set_text(e, "HTTPS", "on");
    set_some(e, "SSL_PROTOCOL", facts.tls_version);
    set_some(e, "SSL_CLIENT_VERIFY", request_client_verdict(r));
    set_some(e, "SSL_CLIENT_S_DN", r->client_dn);
    if (facts.tls_verified)
        set_some(e, "SSL_CLIENT_S_DN_CN", facts.tls_cn);
    if (p == NULL)
        return;
    set_some(e, "WSLUICE_PROXY_AUTHORITY", p->authority);
    set_some(e, "WSLUICE_PROXY_ALPN", p->alpn);
    set_some(e, "WSLUICE_PROXY_UNIQUE_ID", p->unique_id);
}

/* What is said of the one client whose program it is. */
static void put_client(struct exec_env *e, const struct backend_open *o)
{
    const struct request *r = o->request;
    size_t script = r->match.prefix;
    char text[ADDR_TEXT_MAX];

    exec_env_set_text(e, "GATEWAY_INTERFACE", "CGI/1.1");
    exec_env_set_text(e, "SERVER_PROTOCOL", "HTTP/1.1");
    exec_env_set(e, "SERVER_NAME", request_host_name(r));
    exec_env_set_number(e, "SERVER_PORT", addr_port(&r->server));
    exec_env_set(e, "REQUEST_METHOD", r->head->method);
    exec_env_set(e, "REQUEST_URI", r->target);
    exec_env_set(e, "SCRIPT_NAME", slice_of(r->path, script));
    exec_env_set(e, "PATH_INFO", slice_from(r->path + script));
    exec_env_set(e, "QUERY_STRING", r->query);
    exec_env_set_text(e, "REMOTE_ADDR", addr_format_host(&r->client, text));
    if (addr_port(&r->client) != 0) /* a proxy may know the address only */
        exec_env_set_number(e, "REMOTE_PORT", addr_port(&r->client));
    if (request_user(r)[0] != '\0')
        exec_env_set_text(e, "REMOTE_USER", request_user(r));
    put_tls(e, r);
    exec_env_set(e, "WSLUICE_SUBPROTOCOL", o->subprotocol);
}

static void put_cgi(struct exec_env *e, const struct backend_open *o)
{
    if (!o->request->is_nobodys)
        put_client(e, o);
    exec_env_set_text(e, "SERVER_SOFTWARE", SERVER_SOFTWARE);
    exec_env_set_text(e, "UNIQUE_ID", o->unique);
    exec_env_set_text(e, "WSLUICE_ROUTE", o->route->path);
}

/* WSLUICE_CAPTURE_NAME of {name} */
static void put_captures(struct exec_env *e, const struct route_match *m)
{
    char var[sizeof "WSLUICE_CAPTURE_" + ROUTE_NAME_MAX];
    const struct route_segment *seg;

    for (size_t i = 0; (seg = route_capture(m->route, i)) != NULL; i++) {
        size_t n = (size_t)sprintf(var, "WSLUICE_CAPTURE_");

        for (size_t k = 0; k < seg->text.len; k++) {
            char c = seg->text.p[k];

            var[n++] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        }
        var[n] = '\0';
        exec_env_set(e, var, m->captures[i]);
    }
}

#define NAME_MAX_LEN 128

/*
 * HTTP_X_FORWARDED_FOR of X-Forwarded-For. False for a name that has no place in an environment.
 * X_Forwarded_For is one of these: it would pass for the other, which a proxy in front sets or
 * removes. So no two names give one variable.
 */
static bool header_name(char out[NAME_MAX_LEN], struct slice name)
{
    static const char *const never[] = {"Proxy", "Authorization", "Proxy-Authorization"};
    size_t n = 5;

    if (name.len == 0 || name.len > NAME_MAX_LEN - 6)
        return false;
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (slice_eq_nocase(name, slice_from(never[i])))
            return false;
    }
    memcpy(out, "HTTP_", 5);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];

        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        else if (c == '-')
            c = '_';
        else if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

static void exec_env_put_header(struct exec_env *e, const struct http_head *h, size_t i)
{
    char var[NAME_MAX_LEN];
    struct slice value = h->fields[i].value;

    if (!header_name(var, h->fields[i].name) || !value_ok(value))
        return;
    size_t at = exec_env_find(e, var, strlen(var));
    if (at == e->count) {
        exec_env_set(e, var, value);
        return;
    }
    if (value.len == 0)
        return;
    char *joined;
    const char *between = strcmp(var, "HTTP_COOKIE") == 0 ? "; " : ", "; /* RFC 6265, 4.2.1 */
    if (e->vars[at][strlen(var) + 1] == '\0')
        between = ""; /* nothing stands there yet */
    if (asprintf(&joined, "%s%s%.*s", e->vars[at], between, (int)value.len, value.p) < 0)
        joined = NULL;
    exec_env_put(e, joined);
}

int exec_env_build(struct exec_env *e, const struct backend_open *o, char *const *ours)
{
    const struct settings *set_ = &o->route->settings;
    const struct http_head *h = o->request->head;

    memset(e, 0, sizeof *e);
    inherit(e, set_, ours);
    put_cgi(e, o);
    put_captures(e, &o->request->match);
    for (size_t i = 0; i < h->count; i++)
        exec_env_put_header(e, h, i);
    for (size_t i = 0; o->request->grant != NULL && i < o->request->grant->env_count; i++)
        exec_env_put(e, strdup(o->request->grant->env[i]));
    for (size_t i = 0; i < set_->env.count; i++)
        exec_env_put(e, strdup(set_->env.items[i]));
    if (e->failed) {
        exec_env_release(e);
        return -1;
    }
    return 0;
}

int exec_env_add(struct exec_env *e, const char *name, struct slice value)
{
    if (value.p != NULL)
        exec_env_set(e, name, value);
    if (!e->failed)
        return 0;
    exec_env_release(e);
    return -1;
}

int exec_env_default(struct exec_env *e, const char *name, const char *value)
{
    if (exec_env_find(e, name, strlen(name)) < e->count)
        return 0;
    return exec_env_add(e, name, slice_from(value));
}

bool exec_env_says(const struct exec_env *e, const char *name)
{
    size_t n = strlen(name), at = exec_env_find(e, name, n);

    return at < e->count && e->vars[at][n + 1] != '\0';
}

void exec_env_release(struct exec_env *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->vars[i]);
    free(e->vars);
    memset(e, 0, sizeof *e);
}
