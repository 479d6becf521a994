/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SESSION_SESSION_SCREEN_H
#define WSLUICE_CORE_SESSION_SESSION_SCREEN_H

/*
 * The terminal of a session that outlives its connections: what its program asks it, what it shows
 * to who comes, how large it is. For core/session/ only; session_kept.screen, which is NULL where
 * the backend is no terminal, or its bytes are cut into messages.
 *
 * What it shows is not known until it has to be: a picture (proto/vt_screen.h) takes memory and
 * time. Until then all that was said is in the ring.
 */
#include "proto/vt_query.h"
#include "proto/vt_scan.h"
#include "proto/vt_screen.h"

struct member;
struct session;

struct kept_screen {
    struct vt_scan scan;
    struct vt_screen *picture; /* NULL: not yet, or never */
    bool has_none;             /* it is too large, or there was no memory: never */
    bool has_begun;            /* somebody has told a size, or nobody will */
    uint16_t columns, rows;
    uint64_t typed;            /* grows with each message that is typed */
    const struct member *last; /* whose size it has */
    uint8_t colours[3][3];     /* of text, background and cursor, as pages have them */
};

/* At the beginning. False without memory. */
bool screen_begin(struct session *s);
void screen_release(struct session *s);
/* Bytes of the picture. */
size_t screen_memory(const struct session *s);

/* What is said next goes into the ring with this length: the picture follows it. */
void screen_follow(struct session *s, const uint8_t *p, size_t n);
/* Answers what the program has asked. */
void screen_answer(struct session *s, const struct vt_seq *question);

/* Number of the message that who comes is sent first. */
uint64_t screen_first(struct session *s);
/* m has come, and does not count: what it gets first is a picture. */
void screen_came(struct member *m);
/* Sends the picture; from then on m gets what follows. False: not yet. */
bool screen_show(struct member *m);
/* It was too slow, and begins again with a picture of now. */
void screen_show_again(struct member *m);
/* m has typed, has another size, is gone: the terminal's size is that of who typed last. */
void screen_typed(struct member *m);
void screen_sized(struct member *m, uint16_t columns, uint16_t rows);
void screen_left(struct member *m);

#endif
