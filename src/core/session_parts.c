/* SPDX-License-Identifier: MIT */

/* What a session has only for a time, or only where its route wants it. */
#include <stdlib.h>

#include "core/session_impl.h"

const struct session_busy session_not_busy = {0};
const struct session_extra session_not_extra = {0};

struct session_extra *session_extra(struct session *s)
{
    if (s->extra == NULL)
        s->extra = calloc(1, sizeof *s->extra);
    return s->extra;
}

struct session_busy *session_busy(struct session *s)
{
    if (s->busy == NULL)
        s->busy = calloc(1, sizeof *s->busy);
    return s->busy;
}

static bool is_calm(const struct session_busy *b)
{
    return buf_len(&b->held) == 0 && buf_len(&b->in_message) == 0 && buf_len(&b->late_pong) == 0 &&
           buf_len(&b->out_message) == 0 && b->ping_at <= 0 && b->waiting_since <= 0 &&
           b->client_stall <= 0 && b->backend_stall <= 0;
}

static bool is_plain(const struct session *s)
{
    const struct session_extra *e = s->extra;

    return s->phase != SESSION_OPENING && e->record == NULL && e->rate == NULL &&
           e->deflate == NULL && e->reason == NULL && e->far == NULL && e->exit_how == 0 &&
           e->dropped == 0 && e->stalls[STATS_CLIENT] == 0 && e->stalls[STATS_BACKEND] == 0;
}

void session_trim(struct session *s)
{
    if (s->busy != NULL && is_calm(s->busy)) {
        free(s->busy);
        s->busy = NULL;
    }
    if (s->extra != NULL && is_plain(s)) {
        free(s->extra);
        s->extra = NULL;
    }
}

void session_count_dropped(struct session *s, size_t n)
{
    s->route->stats->dropped += n;
    if (n > 0 && session_extra(s) != NULL)
        s->extra->dropped += n;
}

void session_count_stall(struct session *s, enum stats_side side)
{
    s->route->stats->stalls[side]++;
    if (session_extra(s) != NULL)
        s->extra->stalls[side]++;
}

void session_drop_parts(struct session *s)
{
    if (s->busy != NULL) {
        buf_release(&s->busy->held);
        buf_release(&s->busy->in_message);
        buf_release(&s->busy->late_pong);
        buf_release(&s->busy->out_message);
    }
    if (s->extra != NULL) {
        free(s->extra->reason);
        free(s->extra->far);
    }
    free(s->busy);
    free(s->extra);
    s->busy = NULL;
    s->extra = NULL;
}
