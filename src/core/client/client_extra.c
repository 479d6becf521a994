/* SPDX-License-Identifier: MIT */

/* What a client has only for a time, or only where its route wants it. */
#include <stdlib.h>

#include "core/client/client_impl.h"

const struct client_extra client_no_extra = {0};

struct client_extra *client_need_extra(struct client *c)
{
    if (c->extra == NULL)
        c->extra = calloc(1, sizeof *c->extra);
    return c->extra;
}

static bool client_extra_is_empty(const struct client_extra *e)
{
    return e->throttle == NULL && e->deflate == NULL && buf_len(&e->held) == 0 &&
           buf_len(&e->in_message) == 0 && buf_len(&e->late_pong) == 0 && e->ping_at <= 0 &&
           e->tty_due <= 0 && e->closing_since <= 0 && e->stall_since <= 0 && e->reason == NULL &&
           e->dropped == 0;
}

void client_trim(struct client *c)
{
    if (c->extra == NULL || c->state == CLIENT_OPENING || !client_extra_is_empty(c->extra))
        return;
    free(c->extra);
    c->extra = NULL;
}

void client_count_dropped(struct client *c, size_t n)
{
    client_route(c)->stats->dropped += n;
    if (n > 0 && client_need_extra(c) != NULL)
        c->extra->dropped += n;
}
