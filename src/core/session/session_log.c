/* SPDX-License-Identifier: MIT */

/* The line a session leaves at its end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/program/preamble.h"
#include "core/session/session_impl.h"
#include "proto/tty.h"

void session_log_stderr(const struct session *s, const uint8_t *p, size_t n)
{
    struct slice rest = slice_of((const char *)p, n), line;

    while (rest.p != NULL && rest.len > 0) {
        line = slice_cut(rest, '\n', &rest);
        for (size_t len; line.len > 0; line.p += len, line.len -= len) {
            len = line.len < BACKEND_STDERR_PIECE ? line.len : BACKEND_STDERR_PIECE;
            log_line(&session_worker(s)->log, LOG_INFO, "stderr", LOG_I("id", s->owner.id),
                     LOG_S("text", slice_of(line.p, len)));
        }
    }
}

#define MORE_FIELDS 6

struct more {
    const char *name;
    struct slice value;
};

/* The session's own UNIQUE_ID where the service is told it, so that both logs can be joined, and
 * what a proxy has said. Returns how many. */
static size_t more_fields(const struct session_open *o, const char *unique,
                          struct more out[MORE_FIELDS])
{
    const struct request *r = stream_request(o->stream);
    const struct proxyhdr *p = r->proxied;
    size_t n = 0;

    if (preamble_tells_unique(o->route))
        out[n++] = (struct more){"unique_id", slice_from(unique)};
    if (p == NULL)
        return n;
    out[n++] = (struct more){"proxy_unique_id", p->unique_id};
    out[n++] = (struct more){"proxy_authority", p->authority};
    out[n++] = (struct more){"proxy_alpn", p->alpn};
    out[n++] = (struct more){"proxy_tls", p->tls_version};
    out[n++] = (struct more){"proxy_client_cn", p->tls_cn};
    return n;
}

/* Behind the n bytes of text: pairs of name and value, then an empty name. NULL without memory, and
 * text is freed. */
static char *append_more(char *text, size_t *n, const struct more *more, size_t count)
{
    size_t size = *n + 1, at = *n;
    char *longer;

    for (size_t i = 0; i < count; i++)
        size += strlen(more[i].name) + more[i].value.len + 2;
    longer = realloc(text, size);
    if (longer == NULL) {
        free(text);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (more[i].value.len == 0)
            continue;
        at += (size_t)sprintf(longer + at, "%s", more[i].name) + 1;
        memcpy(longer + at, more[i].value.p, more[i].value.len);
        at += more[i].value.len;
        longer[at++] = '\0';
    }
    longer[at++] = '\0';
    *n = at;
    return longer;
}

char *session_log_origin(const struct session_open *o, const char *unique, size_t *size)
{
    const struct request *r = stream_request(o->stream);
    bool with_query = o->route->config->log_query && r->query.p != NULL;
    struct slice query = with_query ? r->query : slice_of("", 0);
    struct slice verdict = request_client_verdict(r);
    struct more more[MORE_FIELDS];
    size_t count = more_fields(o, unique, more);
    char client[ADDR_TEXT_MAX], *text;
    int n =
        asprintf(&text, "%s%c%s%s%.*s%c%.*s%c%s%c%.*s%c%.*s%c", addr_format(&r->client, client),
                 '\0', r->path, with_query ? "?" : "", (int)query.len, query.p, '\0',
                 (int)o->subprotocol.len, o->subprotocol.p, '\0', request_user(r), '\0',
                 (int)verdict.len, verdict.p, '\0', (int)r->client_dn.len, r->client_dn.p, '\0');

    if (n < 0)
        return NULL;
    *size = (size_t)n;
    return append_more(text, size, more, count);
}

static const char *session_log_next_text(const char *text)
{
    return text + strlen(text) + 1;
}

void session_log_record(struct session *s)
{
    const struct framing *framing = session_framing(s);
    bool on_terminal = session_route(s)->backend->is_terminal;
    bool as_cast = on_terminal || (framing->is_terminal_text && s->opcode_out == WS_TEXT);
    const struct record_facts facts = {
        .id = s->owner.id,
        .client = s->client->origin,
        .route = session_route(s)->path,
        .path = client_path(s->client),
        .framing = s->client->tty != CLIENT_TTY_NOT ? TTY_SUBPROTOCOL : framing->name,
        .subprotocol = client_subprotocol(s->client),
        .format = as_cast ? RECORD_CAST : RECORD_JSONL,
        .plain_newlines = !on_terminal,
    };

    if (session_need_extra(s) != NULL)
        s->extra->record = record_new(session_worker(s), session_settings(s), &facts);
}

void session_log_backend(struct session *s, const struct backend *b)
{
    struct session_extra *extra = session_need_extra(s);
    struct session_far *far = extra != NULL ? calloc(1, sizeof *far) : NULL;

    if (far == NULL)
        return;
    extra->far = far;
    b->ops->describe(b, far->text, sizeof far->text);
    if (b->ops->dropped != NULL) {
        far->datagrams = true;
        b->ops->dropped(b, &far->dropped_in, &far->dropped_out);
    }
}

static const char *describe_exit(const struct session_extra *extra, char *out, size_t size)
{
    out[0] = '\0';
    if (extra->exit_how == BACKEND_EXITED)
        snprintf(out, size, "%d", extra->exit_number);
    else if (extra->exit_how == BACKEND_SIGNALED)
        snprintf(out, size, "signal %d", extra->exit_number);
    return out;
}

#define LOG_FIELDS \
    22 /* in every line; four more, and MORE_FIELDS, when there is something to say */

void session_log_end(struct session *s)
{
    static const char *const closers[] = {"nobody", "client", "backend", "server"};
    const struct session_extra *extra = session_extra(s);
    const struct session_far *far = extra->far;
    char exit_text[24];
    double rtt = client_rtt(s->client);
    const char *verify = session_log_next_text(client_user(s->client));
    struct log_field f[LOG_FIELDS + 4 + MORE_FIELDS] = {
        LOG_I("id", s->owner.id),
        LOG_C("client", s->client->origin),
        LOG_C("user", client_user(s->client)),
        LOG_C("client_verify", verify),
        LOG_C("client_dn", session_log_next_text(verify)),
        LOG_C("path", client_path(s->client)),
        LOG_C("route", session_route(s)->path),
        LOG_C("backend", session_route(s)->backend->name),
        LOG_C("address", far != NULL ? far->text : NULL),
        LOG_C("subprotocol", client_subprotocol(s->client)),
        LOG_F("duration", session_worker(s)->now - s->opened_at),
        LOG_I("messages_in", s->client->messages_in),
        LOG_I("bytes_in", s->client->bytes_in),
        LOG_I("messages_out", s->client->messages_out),
        LOG_I("bytes_out", s->client->bytes_out),
        LOG_I("dropped", extra->dropped + client_extra(s->client)->dropped),
        LOG_I("stalls_client", extra->stalls[STATS_CLIENT]),
        LOG_I("stalls_backend", extra->stalls[STATS_BACKEND]),
        LOG_I("code", s->client->code),
        LOG_C("closed_by", closers[s->client->closer]),
        LOG_C("reason", client_extra(s->client)->reason),
        LOG_C("exit", describe_exit(extra, exit_text, sizeof exit_text)),
    };
    size_t n = LOG_FIELDS;

    if (rtt >= 0)
        f[n++] = LOG_F("rtt_ms", rtt);
    if (client_extra(s->client)->throttle != NULL)
        f[n++] = LOG_I("rate_holds", client_throttled_count(s->client));
    if (far != NULL && far->datagrams) {
        f[n++] = LOG_I("datagrams_dropped_in", far->dropped_in);
        f[n++] = LOG_I("datagrams_dropped_out", far->dropped_out);
    }
    for (const char *name = session_log_next_text(session_log_next_text(verify)); *name != '\0';
         name = session_log_next_text(session_log_next_text(name)))
        f[n++] = LOG_C(name, session_log_next_text(name));
    if (s->client->was_open) /* a refusal has a line of its own */
        log_fields(&session_worker(s)->log, LOG_INFO, "session closed", f, n);
}
