/* SPDX-License-Identifier: MIT */

/* The line a session leaves at its end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/session_impl.h"

void session_log_stderr(const struct session *s, const uint8_t *p, size_t n)
{
    struct slice rest = slice_of((const char *)p, n), line;

    while (rest.p != NULL && rest.len > 0) {
        line = slice_cut(rest, '\n', &rest);
        for (size_t len; line.len > 0; line.p += len, line.len -= len) {
            len = line.len < BACKEND_STDERR_PIECE ? line.len : BACKEND_STDERR_PIECE;
            log_line(&s->worker->log, LOG_INFO, "stderr", LOG_I("id", s->id),
                     LOG_S("text", slice_of(line.p, len)));
        }
    }
}

int session_log_start(struct session *s, struct slice subprotocol)
{
    const struct request *r = s->stream->request;
    bool with_query = s->route->config->log_query && r->query.p != NULL;
    struct slice query = with_query ? r->query : slice_of("", 0);
    char client[ADDR_TEXT_MAX];
    int n = asprintf(&s->origin_text, "%s%c%s%s%.*s%c%.*s%c%s%c%.*s%c%.*s",
                     addr_format(&r->client, client), '\0', r->path, with_query ? "?" : "",
                     (int)query.len, query.p, '\0', (int)subprotocol.len, subprotocol.p, '\0',
                     request_user(r), '\0', (int)r->client_verify.len, r->client_verify.p, '\0',
                     (int)r->client_dn.len, r->client_dn.p);

    if (n < 0)
        s->origin_text = NULL;
    return n < 0 ? -1 : 0;
}

static const char *next_text(const char *text)
{
    return text + strlen(text) + 1;
}

const char *session_log_subprotocol(const struct session *s)
{
    return next_text(next_text(s->origin_text));
}

const char *session_log_user(const struct session *s)
{
    return next_text(session_log_subprotocol(s));
}

void session_log_record(struct session *s)
{
    const struct framing *framing = s->route->framing;
    bool as_cast = framing->is_terminal_text && s->opcode_out == WS_TEXT;
    const struct record_facts facts = {
        .id = s->id,
        .client = s->origin_text,
        .route = s->route->path,
        .path = next_text(s->origin_text),
        .framing = framing->name,
        .subprotocol = session_log_subprotocol(s),
        .format = as_cast ? RECORD_CAST : RECORD_JSONL,
        .plain_newlines = true,
    };

    s->record = record_new(s->worker, &s->route->settings, &facts);
}

static int compare_floats(const void *a, const void *b)
{
    const float *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

double session_log_rtt(const struct session *s)
{
    float sorted[SESSION_RTTS];
    size_t n = s->rtt_count < SESSION_RTTS ? s->rtt_count : SESSION_RTTS;

    if (n == 0)
        return -1;
    memcpy(sorted, s->rtt, n * sizeof sorted[0]);
    qsort(sorted, n, sizeof sorted[0], compare_floats);
    return (double)sorted[n / 2];
}

/* "" where no rate is limited. */
static const char *describe_holds(const struct session *s, char *out, size_t size)
{
    out[0] = '\0';
    if (s->rate != NULL)
        snprintf(out, size, "%u", session_rate_count(s));
    return out;
}

static const char *describe_exit(const struct session *s, char *out, size_t size)
{
    out[0] = '\0';
    if (s->exit_how == BACKEND_EXITED)
        snprintf(out, size, "%d", s->exit_number);
    else if (s->exit_how == BACKEND_SIGNALED)
        snprintf(out, size, "signal %d", s->exit_number);
    return out;
}

void session_log_end(struct session *s)
{
    static const char *const closers[] = {"nobody", "client", "backend", "server"};
    char exit_text[24], holds[16];
    double rtt = session_log_rtt(s);
    const char *verify = next_text(session_log_user(s));
    const struct log_field f[] = {
        LOG_I("id", s->id),
        LOG_C("client", s->origin_text),
        LOG_C("user", session_log_user(s)),
        LOG_C("client_verify", verify),
        LOG_C("client_dn", next_text(verify)),
        LOG_C("path", next_text(s->origin_text)),
        LOG_C("route", s->route->path),
        LOG_C("backend", s->route->backend->name),
        LOG_C("address", s->backend_text),
        LOG_C("subprotocol", session_log_subprotocol(s)),
        LOG_F("duration", s->worker->now - s->opened_at),
        LOG_I("messages_in", s->messages_in),
        LOG_I("bytes_in", s->bytes_in),
        LOG_I("messages_out", s->messages_out),
        LOG_I("bytes_out", s->bytes_out),
        LOG_I("dropped", s->dropped),
        LOG_I("stalls_client", s->stalls_client),
        LOG_I("stalls_backend", s->stalls_backend),
        LOG_C("rate_holds", describe_holds(s, holds, sizeof holds)),
        LOG_I("code", s->code),
        LOG_C("closed_by", closers[s->closer]),
        LOG_C("reason", s->reason),
        LOG_C("exit", describe_exit(s, exit_text, sizeof exit_text)),
        LOG_F("rtt_ms", rtt),
    };
    size_t n = sizeof f / sizeof f[0];

    if (s->was_open) /* a refusal has a line of its own */
        log_fields(&s->worker->log, LOG_INFO, "session closed", f, rtt < 0 ? n - 1 : n);
    free(s->origin_text);
    free(s->reason);
    free(s->backend_text);
    free(s->opening);
}
