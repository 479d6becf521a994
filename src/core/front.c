/* SPDX-License-Identifier: MIT */
#include "core/front.h"

void connections_add(struct connections *all, struct front_conn *c)
{
    c->next = all->first;
    c->prev = &all->first;
    if (all->first != NULL)
        all->first->prev = &c->next;
    all->first = c;
    all->count++;
}

void connections_remove(struct connections *all, struct front_conn *c)
{
    if (c->next != NULL)
        c->next->prev = c->prev;
    *c->prev = c->next;
    all->count--;
}

void connections_go_away(struct connections *all)
{
    struct front_conn *next;

    for (struct front_conn *c = all->first; c != NULL; c = next) {
        next = c->next;
        all->front->go_away(c);
    }
}

void connections_drop(struct connections *all)
{
    struct front_conn *next;

    for (struct front_conn *c = all->first; c != NULL; c = next) {
        next = c->next;
        all->front->drop(c);
    }
}
