/* SPDX-License-Identifier: MIT */
#include "io/tls/tickets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

void tickets_release(struct tickets *t)
{
    OPENSSL_cleanse(t, sizeof *t);
}

void tickets_expire(struct tickets *t, double now)
{
    /* The newest key was last used when the next one was due, at the latest: then it becomes old,
     * whether or not somebody came to make the next one. */
    double age = now - t->made_at;
    size_t due = age < TICKETS_LIFE                  ? 0
                 : age < TICKETS_KEYS * TICKETS_LIFE ? (size_t)(age / TICKETS_LIFE)
                                                     : TICKETS_KEYS;

    while (t->count > 0 && t->count + due > TICKETS_KEYS)
        OPENSSL_cleanse(&t->keys[--t->count], sizeof t->keys[0]);
}

const struct ticket_key *tickets_newest(struct tickets *t, double now)
{
    struct ticket_key *first = &t->keys[0];

    tickets_expire(t, now);
    if (t->count > 0 && now - t->made_at < TICKETS_LIFE)
        return first;
    /* one place at least is free: the newest has just become old */
    memmove(first + 1, first, t->count * sizeof *first);
    if (RAND_bytes(first->name, sizeof first->name) != 1 ||
        RAND_priv_bytes(first->aes, sizeof first->aes) != 1 ||
        RAND_priv_bytes(first->hmac, sizeof first->hmac) != 1) {
        tickets_release(t);
        return NULL;
    }
    t->count++;
    t->made_at = now;
    return first;
}

const struct ticket_key *tickets_find(struct tickets *t, const unsigned char *name, double now,
                                      bool *is_old)
{
    tickets_expire(t, now);
    for (size_t i = 0; i < t->count; i++) {
        if (memcmp(t->keys[i].name, name, TICKETS_NAME_SIZE) == 0) {
            *is_old = i > 0 || now - t->made_at >= TICKETS_LIFE;
            return &t->keys[i];
        }
    }
    return NULL;
}
