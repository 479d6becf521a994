/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/session/session_kept.h"

static struct sender *sender_known(const struct session_kept *k, const char *id)
{
    struct sender *s;

    LIST_FOREACH(s, &k->senders, link)
    {
        if (strcmp(s->id, id) == 0)
            return s;
    }
    return NULL;
}

static void sender_drop_unused(struct session_kept *k)
{
    struct sender *s, *oldest = NULL;

    LIST_FOREACH(s, &k->senders, link)
    {
        if (s->member == NULL)
            oldest = s;
    }
    if (oldest == NULL)
        return;
    LIST_REMOVE(oldest, link);
    free(oldest);
    k->sender_count--;
}

struct sender *sender_find(struct session_kept *k, const char *id)
{
    struct sender *s = sender_known(k, id);

    if (s != NULL) {
        LIST_REMOVE(s, link);
    } else {
        if (k->sender_count >= SESSION_SENDERS_MAX)
            sender_drop_unused(k);
        s = calloc(1, sizeof *s);
        if (s == NULL)
            return NULL;
        strncpy(s->id, id, sizeof s->id - 1);
        k->sender_count++;
    }
    LIST_INSERT_HEAD(&k->senders, s, link);
    return s;
}

void senders_release(struct session_kept *k)
{
    struct sender *s;

    while ((s = LIST_FIRST(&k->senders)) != NULL) {
        LIST_REMOVE(s, link);
        free(s);
    }
    k->sender_count = 0;
}
