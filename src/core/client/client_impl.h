/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_CLIENT_CLIENT_IMPL_H
#define WSLUICE_CORE_CLIENT_CLIENT_IMPL_H

/*
 * The inside of a client, for core/client/ only:
 *
 *   client.c           its beginning, its state, what its stream tells
 *   client_end.c       every way it ends
 *   client_in.c        what it sends: the walk over what was received
 *   client_message.c   what it sends: the data in it
 *   client_in.h        what these two share
 *   client_out.c       what it is sent
 *   client_tty.c       orders of terminal clients
 *   client_deflate.c   compression, both ways
 *   client_throttle.c  how much it may send in a time
 *   client_clock.c     heartbeat, stalls, the wait for its Close
 *   client_extra.c     what it has only for a time
 */
#include "core/client/client.h"

static inline struct worker *client_worker(const struct client *c)
{
    return c->owner->worker;
}

static inline const struct route *client_route(const struct client *c)
{
    return c->owner->route;
}

static inline const struct settings *client_settings(const struct client *c)
{
    return &c->owner->route->settings;
}

static inline struct client_throttle *client_throttle(const struct client *c)
{
    return client_extra(c)->throttle;
}

static inline struct client_deflate *client_deflate(const struct client *c)
{
    return client_extra(c)->deflate;
}

/* How messages become bytes here: the terminal protocol has its own way. */
static inline const struct framing *client_framing(const struct client *c)
{
    return c->tty != CLIENT_TTY_NOT ? &framing_stream : client_route(c)->framing;
}

/* client.c: the one place where the state changes. */
void client_become(struct client *c, enum client_state next);

/* client_extra.c */

/* Makes the extra if there is none. NULL without memory. It may be gone after client_trim. */
struct client_extra *client_need_extra(struct client *c);
/* Counts bytes of its own that go nowhere; without memory only for the route. */
void client_count_dropped(struct client *c, size_t n);

/* client_end.c: it broke the rules. OPEN or CLOSING to OVER: a Close, nothing more is read. */
void client_fail(struct client *c, uint16_t code, const char *reason);
/* Its Close came, and is answered with the same code. */
void client_answer_close(struct client *c, uint16_t code, const uint8_t *reason, size_t len);

/* client_in.c */
void client_input(struct client *c, uint8_t *p, size_t n);
/* Something was deferred, and its time has come: its turn by the rates, and nothing waits for the
 * backend. */
bool client_input_ready(const struct client *c);
/* Then: looks at it, from the loop. */
void client_input_go_on(struct client *c);
/* The client is gone: what was deferred goes nowhere. */
void client_input_drop(struct client *c);
void client_flush_pong(struct client *c);

/* client_out.c */
void client_send_control(struct client *c, uint8_t opcode, const void *p, size_t n);

/* client_tty.c: a message of a terminal client that is not input. NULL, or why it is to end. */
const char *client_tty_order(struct client *c, uint8_t command, struct slice rest);

/* client_clock.c */
void client_clock_start(struct client *c);
void client_clock_stop(struct client *c);
/* The state has become CLOSING. */
void client_clock_closing(struct client *c);
/* Keeps the stall clock: whether anything is queued now. */
void client_clock_stall(struct client *c, bool full);
void client_clock_pong(struct client *c, const uint8_t *payload, size_t n);

/* client_deflate.c: compression. Start, release, turn, return and pack may be called for every
 * client, and do nothing where no compression was agreed on; the others only where there is a
 * client_deflate(c). */

/* False without memory. */
bool client_deflate_start(struct client *c, const struct deflate_params *params);
void client_deflate_release(struct client *c);

enum client_deflate_step {
    DEFLATED_PIECE,   /* piece is set, and more of this frame follows */
    DEFLATED_LAST,    /* piece is set, and this frame is used up */
    DEFLATED_NOTHING, /* this frame is used up and gave nothing to hand on */
    DEFLATED_FAULT,   /* the client fails with piece->code and piece->why */
};
/* Inflates on in f, whose payload is unmasked and moves on. The piece is a frame that nothing
 * masks; its payload is writable, with WORKER_HEADROOM, until the next call. */
enum client_deflate_step client_deflate_next(struct client *c, struct ws_frame *f,
                                             struct ws_frame *piece);
/* A new turn: the client may have its share inflated again. */
void client_deflate_turn(struct client *c);
/* The share is used up, or something waits for the backend. */
bool client_deflate_must_wait(const struct client *c);
/* What is deferred begins with the unmasked rest of f. */
void client_deflate_leave(struct client *c, const struct ws_frame *f);
/* Whether what is deferred begins with a frame left there; then *f is that frame again, but for
 * where its payload is. */
bool client_deflate_return(struct client *c, struct ws_frame *f);
/* Makes the frame for a message; 0: it goes as it is. *frame is valid until the next call. */
size_t client_deflate_pack(struct client *c, uint8_t opcode, const uint8_t *p, size_t n,
                           const uint8_t **frame);
/* Makes that frame without counting it for c: into *sum, which client_deflate_count then counts for
 * each client that is sent it. */
size_t client_deflate_frame(struct client *c, uint8_t opcode, const uint8_t *p, size_t n,
                            const uint8_t **frame, struct stats_compressed *sum);
void client_deflate_count(struct client *c, const struct stats_compressed *packed);

/* client_throttle.c */
enum client_rated { RATE_PASS, RATE_HELD, RATE_OVER };

/* -1 without memory. Rates that are not limited cost nothing. */
int client_throttle_start(struct client *c);
void client_throttle_release(struct client *c);
/* May this piece of a message pass? It wants client_throttle(c). HELD: it took its place, is to be
 * deferred and found again first of all; client_throttle_until says for how long. OVER: the client
 * is to be closed. */
enum client_rated client_throttle_take(struct client *c, const struct ws_frame *f);
/* The rest is for any client. */

double client_throttle_until(const struct client *c); /* worker time; 0: nothing is HELD */
/* What was HELD comes back now: it passes. Or it never will. */
void client_throttle_return(struct client *c);
void client_throttle_drop(struct client *c);
/* Nothing is limited any more, because the end is near: what is HELD comes back soon. */
void client_throttle_lift(struct client *c);
/* By the timer, while something is HELD: when to look next, worker time; and the look whether the
 * client is still there, which may end it. */
double client_throttle_due(const struct client *c);
void client_throttle_look(struct client *c);

#endif
