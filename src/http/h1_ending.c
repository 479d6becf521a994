/* SPDX-License-Identifier: MIT */

/*
 * What has been written leaves, for as long as it moves. Then a client that may ask again is read
 * again; else the connection ends politely: FIN, and reading on until the client's FIN.
 */
#include "core/config.h"
#include "core/core.h"
#include "http/h1.h"

#define LINGER 2.0 /* seconds a connection may take to end politely, while nothing moves */
#define LINGER_BYTES (1U << 20) /* of input thrown away meanwhile */
#define ABOUT 0.01              /* seconds; timers and stamps are exact to a millisecond or two */

static const struct io_events io_events_ending;

void h1_set_deadline(struct h1 *h, double seconds,
                     void (*on_deadline)(struct ev_loop *loop, ev_timer *timer, int revents))
{
    struct ev_loop *loop = h->stream.worker->loop;

    ev_timer_stop(loop, &h->stream.timer);
    if (seconds <= 0)
        return;
    ev_timer_init(&h->stream.timer, on_deadline, seconds, 0);
    h->stream.timer.data = h;
    ev_timer_start(loop, &h->stream.timer);
}

/* An answer also gets stall-timeout for a pause of its reader; a WebSocket's end has had its time
 * before. */
static double h1_patience(const struct h1 *h)
{
    double stall = core_of(h->stream.worker)->config->settings.stall_timeout;

    return h->answered && stall > LINGER ? stall : LINGER;
}

/* The queue moved since the last look, or has stood still for less than is granted. */
static bool h1_may_go_on(struct h1 *h)
{
    if (h->stream.worker->now - io_last_tx(&h->io) < LINGER - ABOUT)
        h->quiet = 0;
    else
        h->quiet++;
    return h->quiet * LINGER < h1_patience(h);
}

static void h1_on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct h1 *h = timer->data;
    (void)loop;
    (void)revents;

    if (io_queued(&h->io) > 0 && h1_may_go_on(h))
        h1_set_deadline(h, LINGER, h1_on_look);
    else
        h1_close(h);
}

/* What is queued may take as long as it moves. */
static void h1_be_patient(struct h1 *h, bool answered)
{
    h->answered = answered;
    h->quiet = 0;
    h1_set_deadline(h, LINGER, h1_on_look);
}

/* Flush, FIN, and read on until the client's FIN: closing with unread input would send RST, which
 * destroys what it has not read yet (RFC 9112, section 9.6). */
void h1_linger(struct h1 *h)
{
    bool answered = h->state == H1_HANDLING;

    h1_drop_asker(h);
    h->state = H1_ENDING;
    h->io.events = &io_events_ending;
    h->stream.events = NULL;
    h1_be_patient(h, answered);
    io_finish(&h->io);
    io_read_start(&h->io);
}

void h1_answered(struct h1 *h)
{
    if (io_queued(&h->io) == 0) {
        h1_await_head(h);
        return;
    }
    h1_drop_request(h);
    h->state = H1_ANSWERED;
    h->stream.events = NULL;
    h1_be_patient(h, true);
}

static void h1_on_discard(struct io *io, uint8_t *p, size_t n)
{
    struct h1 *h = h1_of_io(io);
    (void)p;

    h->discarded += (uint32_t)n;
    if (h->discarded > LINGER_BYTES)
        h1_close(h);
}

static void h1_on_ended(struct io *io, int err)
{
    struct h1 *h = h1_of_io(io);

    /* A client that has only ended its own side may still be reading what is queued. */
    if (err == 0 && io_queued(&h->io) > 0)
        return;
    h1_close(h);
}

static void h1_on_ending_broken(struct io *io, int err, size_t lost)
{
    (void)lost;
    h1_on_ended(io, err);
}

static void h1_on_ending_eof(struct io *io)
{
    h1_on_ended(io, 0);
}

static void h1_on_ending_drained(struct io *io)
{
    struct h1 *h = h1_of_io(io);

    if (h->io.read_ended)
        h1_close(h);
}

static const struct io_events io_events_ending = {
    h1_on_discard, h1_on_ending_eof, h1_on_ending_drained, h1_on_ending_broken, h1_on_ended, NULL};
