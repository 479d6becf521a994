/* SPDX-License-Identifier: MIT */

/* What a session has only for a time, or only where its route wants it. */
#include <stdlib.h>

#include "core/session/session_impl.h"

const struct session_extra session_no_extra = {0};

struct session_extra *session_need_extra(struct session *s)
{
    if (s->extra == NULL)
        s->extra = calloc(1, sizeof *s->extra);
    return s->extra;
}

static bool session_extra_is_empty(const struct session_extra *e)
{
    return e->kept == NULL && e->record == NULL && e->far == NULL && e->exit_how == 0 &&
           e->dropped == 0 && e->stalls[STATS_CLIENT] == 0 && e->stalls[STATS_BACKEND] == 0 &&
           buf_len(&e->out_message) == 0 && e->exiting_since <= 0 && e->stall_since <= 0;
}

void session_trim(struct session *s)
{
    client_trim(s->client);
    if (s->extra == NULL || s->state == SESSION_OPENING || !session_extra_is_empty(s->extra))
        return;
    free(s->extra);
    s->extra = NULL;
}

void session_note_dropped(struct session *s, uint64_t n)
{
    if (n > 0 && session_need_extra(s) != NULL)
        s->extra->dropped += n;
}

void session_count_dropped(struct session *s, size_t n)
{
    session_route(s)->stats->dropped += n;
    session_note_dropped(s, n);
}

void session_count_stall(struct session *s, enum stats_side side)
{
    session_route(s)->stats->stalls[side]++;
    if (session_need_extra(s) != NULL)
        s->extra->stalls[side]++;
}

void session_drop_extra(struct session *s)
{
    if (s->extra == NULL)
        return;
    buf_release(&s->extra->out_message);
    free(s->extra->far);
    free(s->extra);
    s->extra = NULL;
}
