/* SPDX-License-Identifier: MIT */
#include "conf/build.h"

#include <stdio.h>
#include <string.h>

#include "base/words.h"
#include "conf/build_attr.h"
#include "conf/build_headers.h"
#include "conf/build_session.h"
#include "conf/habits.h"
#include "core/admission/origin.h"
#include "core/backend.h"
#include "core/route.h"
#include "proto/handshake.h"
#include "proto/tty.h"

#define UNIX_PATH_LONGEST 107 /* bytes of a Unix socket's path: sun_path without its NUL */

static bool build_is_systemd(const char *text)
{
    return strcmp(text, "systemd") == 0 || strncmp(text, "systemd:", 8) == 0;
}

void build_listener_defaults(struct listen_spec *l, const struct config *c)
{
    l->unix_mode = c->unix_mode;
    l->reuse_port = c->reuse_port;
    l->accept_proxy = c->accept_proxy;
    l->client_ca = c->client_ca;
    l->client_cert = c->client_cert;
}

/* Of a Unix socket; successors are told of it in a line of its own. */
static const char *judge_unix_path(const char *path)
{
    if (path[0] == '\0')
        return "a path is needed";
    if (strlen(path) > UNIX_PATH_LONGEST)
        return "the path is longer than 107 bytes";
    for (const char *p = path; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return "a control character is in the path";
    }
    return NULL;
}

bool build_listener(struct listen_spec *l, char why[BUILD_ERROR_MAX])
{
    const char *wrong = NULL, *text = l->text;
    char advice[HABIT_ADVICE_MAX];

    if (strncmp(text, "unix:", 5) == 0) {
        l->unix_path = text + 5;
        wrong = judge_unix_path(l->unix_path);
    } else if (!build_is_systemd(text)) {
        /* of systemd: whether such a socket was passed to us is seen when it is opened */
        wrong = addr_split(slice_from(text), &l->host, &l->port);
        if (wrong == NULL && l->host.len > 0 && l->host.p[0] == '[')
            l->host = slice_of(l->host.p + 1, l->host.len - 2);
    }
    if (wrong == NULL)
        return true;
    snprintf(why, BUILD_ERROR_MAX, "%.200s: %s; %s", text, wrong,
             habits_find(HABIT_LISTEN, text, advice)
                 ? advice
                 : "write PORT, HOST:PORT, [V6]:PORT, unix:PATH or systemd[:NAME]");
    return false;
}

/* Both name the same place, as far as can be told without looking names up. */
static bool same_place(const struct listen_spec *a, const struct listen_spec *b)
{
    const struct slice loopback = slice_from("127.0.0.1");
    struct slice host_a = a->host.len > 0 ? a->host : loopback;
    struct slice host_b = b->host.len > 0 ? b->host : loopback;
    union addr addr_a, addr_b;
    char text_a[ADDR_TEXT_MAX], text_b[ADDR_TEXT_MAX];

    if (strcmp(a->text, b->text) == 0)
        return true;
    if (a->unix_path != NULL || b->unix_path != NULL || a->port == 0 || a->port != b->port)
        return false;
    if (!addr_parse_host(host_a, a->port, &addr_a) || !addr_parse_host(host_b, b->port, &addr_b))
        return slice_eq_nocase(host_a, host_b);
    return strcmp(addr_format(&addr_a, text_a), addr_format(&addr_b, text_b)) == 0;
}

bool build_listener_again(const struct listen_spec *all, size_t n, bool in_file)
{
    const struct listen_spec *l = &all[n];

    if (!in_file && l->unix_path == NULL && l->port == 0 && !build_is_systemd(l->text))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (all[i].text != NULL && same_place(&all[i], l))
            return true;
    }
    return false;
}

/* ---- routes, in steps ---- */

struct building {
    struct config *config;
    struct route *route;
    const struct conf_kinds *kinds;
    const char *given_path; /* as written */
    const char *key;        /* set by a step that stands for several */
    char why[BUILD_ERROR_MAX];
};

static bool step_path(struct building *b)
{
    char why[ROUTE_ERROR_MAX];

    if (route_set_path(b->route, b->given_path, why))
        return true;
    b->route->path = NULL;
    snprintf(b->why, sizeof b->why, "%.150s: %s", b->given_path, why);
    return false;
}

static bool step_host(struct building *b)
{
    char why[ROUTE_ERROR_MAX];

    if (b->route->host == NULL || route_set_host(b->route, b->route->host, why))
        return true;
    snprintf(b->why, sizeof b->why, "%.150s: %s", b->route->host, why);
    return false;
}

/* "exec:PROGRAM ARG..., pty:PROGRAM ARG..., tcp://HOST:PORT, tls://HOST:PORT, unix:PATH or echo:"
 */
static void list_schemes(const struct conf_kinds *kinds, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; kinds->backends[i] != NULL && n < size; i++) {
        const char *between = i == 0 ? "" : kinds->backends[i + 1] == NULL ? " or " : ", ";

        n += (size_t)snprintf(out + n, size - n, "%s%s", between, kinds->backends[i]->scheme_help);
    }
}

static const struct backend_ops *find_backend(const char *address, const struct conf_kinds *kinds)
{
    for (size_t i = 0; kinds->backends[i] != NULL; i++) {
        const char *prefix = kinds->backends[i]->prefix;

        if (strncmp(address, prefix, strlen(prefix)) == 0)
            return kinds->backends[i];
    }
    return NULL;
}

/* Words that were written for a shell: a list says the same, and so does a COMMAND, which a shell
 * did read. */
static void tell_words(struct building *b, const char *wrong)
{
    const struct backend_ops *kind = b->route->backend;
    const char *address = b->route->target.text, *line = address + strlen(kind->prefix);
    char list[160];

    words_as_list(line, list, sizeof list);
    snprintf(b->why, sizeof b->why,
             "%.120s: %s; write %s: %s in a file, or for the path / alone %s-- %.100s", address,
             wrong, kind->key, list, strcmp(kind->key, "pty") == 0 ? "--pty " : "",
             words_judge(line) == WORDS_SHELL ? "sh -c '...'" : line);
}

static void tell_target(struct building *b, const char *wrong)
{
    const struct backend_ops *kind = b->route->backend;
    const char *address = b->route->target.text;
    char schemes[300], advice[HABIT_ADVICE_MAX];

    if (habits_find(HABIT_TARGET, address, advice)) {
        snprintf(b->why, sizeof b->why, "%.150s: %s; %s", address, wrong, advice);
    } else if (kind == NULL) {
        list_schemes(b->kinds, schemes, sizeof schemes);
        snprintf(b->why, sizeof b->why, "%.150s: %s; write %s", address, wrong, schemes);
    } else if (kind->runs_programs && words_judge(address + strlen(kind->prefix)) != WORDS_PLAIN) {
        tell_words(b, wrong);
    } else {
        snprintf(b->why, sizeof b->why, "%.150s: %s; write %s", address, wrong, kind->scheme_help);
    }
}

static bool step_target(struct building *b)
{
    struct route *r = b->route;
    const char *address = r->target.text, *wrong;

    if (r->backend != NULL || address == NULL)
        return true;
    r->backend = find_backend(address, b->kinds);
    wrong = r->backend == NULL ? "unknown kind of address"
                               : r->backend->parse(&r->target, address + strlen(r->backend->prefix),
                                                   &b->config->arena);
    if (wrong == NULL)
        return true;
    tell_target(b, wrong);
    r->backend = NULL;
    return false;
}

static bool step_prepare(struct building *b)
{
    struct route *r = b->route;
    const char *wrong;

    if (r->path == NULL || r->backend == NULL || r->backend->prepare == NULL)
        return true;
    wrong = r->backend->prepare(r, &b->config->arena);
    if (wrong != NULL)
        snprintf(b->why, sizeof b->why, "%.300s", wrong);
    return wrong == NULL;
}

/* What a framing rules out. */
static bool suits_framing(struct building *b)
{
    const struct route *r = b->route;
    const struct framing *f = r->framing;

    if (f->typed && r->settings.frames != FRAMES_OF_FRAMING) {
        snprintf(b->why, sizeof b->why,
                 "%s: each message says its own type there, so frames cannot be text or binary",
                 f->name);
        return false;
    }
    if (f->cut != NULL && !f->by_mark && r->backend->has_stderr &&
        r->settings.stderr_mode == STDERR_MERGE) {
        snprintf(b->why, sizeof b->why,
                 "%s: what a program says on stderr would break its messages there, so stderr "
                 "cannot be merge; there are: log, discard, message",
                 f->name);
        return false;
    }
    return true;
}

static bool step_framing(struct building *b)
{
    struct route *r = b->route;
    const struct framing *const *all = b->kinds->framings;
    const char *name = r->settings.framing_name;
    size_t i = 0;

    r->framing = r->backend != NULL ? r->backend->framing : NULL;
    if (name == NULL)
        return true;
    while (all[i] != NULL && strcmp(all[i]->name, name) != 0)
        i++;
    if (all[i] != NULL && r->framing != NULL && all[i]->datagrams != r->framing->datagrams) {
        snprintf(b->why, sizeof b->why,
                 r->framing->datagrams
                     ? "%.60s: datagrams have one framing only; leave it out, or write %s here"
                     : "%.60s: this is for udp:// only; leave it out, or write %s here",
                 name, r->framing->name);
        return false;
    }
    if (all[i] != NULL) {
        if (r->backend == NULL || r->backend->loopback)
            return true;
        r->framing = all[i];
        return suits_framing(b);
    }
    int n = snprintf(b->why, sizeof b->why, "%.60s: no such framing; there are:", name);
    for (i = 0; all[i] != NULL && n > 0 && n < BUILD_ERROR_MAX; i++)
        n += snprintf(b->why + n, sizeof b->why - (size_t)n, " %s", all[i]->name);
    return false;
}

static bool build_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool step_program(struct building *b)
{
    b->key = build_attr(b->route, b->why);
    return b->key == NULL;
}

static bool step_headers(struct building *b)
{
    return build_headers(b->route, b->why);
}

static bool step_session(struct building *b)
{
    return build_session(b->route, b->why);
}

/* ---- lists of words, of which a wrong one would only never be met ---- */

static const char *judge_subprotocol(const char *name)
{
    return handshake_is_token(slice_from(name)) ? NULL : "this is no name of a subprotocol";
}

static const char *judge_variable(const char *name)
{
    return strchr(name, '=') == NULL ? NULL : "a name only; values are for env";
}

static bool step_words(struct building *b)
{
    const struct settings *s = &b->route->settings;
    const struct list {
        const char *key;
        const struct text_list *words;
        const char *(*judge)(const char *word);
    } lists[] = {
        {"origin", &s->origins, origin_judge},
        {"subprotocol", &s->subprotocols, judge_subprotocol},
        {"pass-env", &s->pass_env, judge_variable},
    };

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t k = 0; k < lists[i].words->count; k++) {
            const char *word = lists[i].words->items[k], *wrong = lists[i].judge(word);

            if (wrong == NULL)
                continue;
            b->key = lists[i].key;
            snprintf(b->why, sizeof b->why, "\"%.150s\": %s", word, wrong);
            return false;
        }
    }
    return true;
}

static bool step_twins(struct building *b)
{
    const struct route *r = b->route;

    if (r->path == NULL)
        return true;
    for (const struct route *other = b->config->routes; other < r; other++) {
        if (!build_same(other->path, r->path) || !build_same(other->host, r->host) ||
            !build_same(other->match_subprotocol, r->match_subprotocol))
            continue;
        if (other->where != NULL)
            snprintf(b->why, sizeof b->why, "%.150s: the route at %.300s has this path already",
                     r->path, other->where);
        else
            snprintf(b->why, sizeof b->why,
                     "two backends for the path %.150s; give each its own path with "
                     "--route PATH=ADDR",
                     r->path);
        return false;
    }
    return true;
}

/* Clients of a terminal may say its size, as the page does. */
static bool takes_tty(const struct route *r)
{
    const struct text_list *list = &r->settings.subprotocols;

    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], TTY_SUBPROTOCOL) == 0)
            return true;
    }
    return list->count == 0;
}

static bool step_page(struct building *b)
{
    struct route *r = b->route;
    bool fits = r->backend != NULL && r->backend->is_terminal && takes_tty(r);
    enum page page = (enum page)r->settings.page;

    if (page == PAGE_TERMINAL && r->backend != NULL && !fits) {
        snprintf(b->why, sizeof b->why,
                 "terminal: this page is for programs on a terminal (pty), with the subprotocol "
                 "tty; there are: auto, console, off");
        return false;
    }
    if (page == PAGE_AUTO && r->settings.console)
        page = PAGE_CONSOLE;
    else if (page == PAGE_AUTO)
        page = fits && r->static_dir == NULL ? PAGE_TERMINAL : PAGE_OFF;
    r->page = r->backend != NULL ? page : PAGE_OFF;
    return true;
}

bool build_route(struct config *c, struct route *r, const struct conf_kinds *kinds, build_tell tell,
                 void *owner)
{
    static const struct step {
        const char *key;
        bool (*run)(struct building *b);
    } steps[] = {
        {"path", step_path},       {"host", step_host},       {"to", step_target},
        {NULL, step_prepare},      {"framing", step_framing}, {NULL, step_program},
        {NULL, step_words},        {"path", step_twins},      {"headers", step_headers},
        {"session", step_session}, {"page", step_page},
    };
    struct building b = {.config = c, .route = r, .kinds = kinds, .given_path = r->path};
    bool ok = true;

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const char *key = steps[i].key;

        b.key = NULL;
        if (steps[i].run(&b))
            continue;
        ok = false;
        if (key == NULL && b.key != NULL)
            key = b.key;
        else if (key == NULL)
            key = r->backend->key != NULL ? r->backend->key : "to";
        tell(owner, key, b.why);
    }
    return ok;
}
