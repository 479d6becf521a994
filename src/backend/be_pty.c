/* SPDX-License-Identifier: MIT */

/*
 * pty: a program per session on a terminal of its own, which controls its session: keys make
 * signals, shells have job control, the size can change. Its stderr is on the terminal, too.
 *
 * Clients that speak the terminal protocol (core/client/client_tty.c) tell the size in their first
 * message; the program is started then, so that it never sees another. For all others it is started
 * at once, with 80 columns and 24 rows.
 *
 * The end of a session is a hang-up, as when a modem lost its line: SIGHUP to the foreground
 * program, the master closed, which is SIGHUP to the shell; then the ladder.
 */
#include <errno.h>
#include <stdlib.h>

#include "backend/backends.h"
#include "backend/exec_args.h"
#include "backend/program.h"
#include "proto/tty.h"

struct be_pty {
    struct program p;
    struct program_start *start; /* until the size is known */
    struct terminal_size size;
    ev_timer turn;      /* never started: what has to be done in the loop */
    bool line_open;     /* the last byte typed ended no line */
    bool finish_wanted; /* end of input is to be typed */
};

static struct be_pty *pty_of(struct backend *b)
{
    return (struct be_pty *)b;
}

/* Clients read it as JSON: better said now. */
static const char *pty_prepare(struct route *r, struct arena *arena)
{
    const char *preferences = r->settings.tty_preferences;

    if (preferences != NULL && !tty_is_object(slice_from(preferences)))
        return "tty-preferences is a JSON object, such as {\"fontSize\": 16}";
    return exec_args_prepare(r, arena);
}

static void pty_start(struct be_pty *t)
{
    struct program_start *start = t->start;

    t->start = NULL;
    program_run(&t->p, start, 0, CHILD_ON_TERMINAL, &t->size);
    program_start_release(start);
    free(start);
}

/* Two of them where a line is open: the first one hands the line to the program. */
static void type_eof(struct be_pty *t)
{
    int byte = terminal_eof_byte(io_fd(&t->p.io));
    const uint8_t typed[2] = {(uint8_t)byte, (uint8_t)byte};

    if (byte >= 0)
        t->p.lost += io_write(&t->p.io, typed, t->line_open ? 2 : 1);
}

static void on_turn(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct be_pty *t = timer->data;
    (void)loop;
    (void)revents;

    if (t->p.stopped && t->p.child != NULL)
        program_output_over(&t->p);
    else if (t->finish_wanted && t->p.io.is_open)
        type_eof(t);
}

static void turn_soon(struct be_pty *t)
{
    ev_feed_event(t->p.worker->loop, &t->turn, EV_CUSTOM);
}

static void pty_begin(struct be_pty *t, const struct backend_open *o)
{
    t->start = calloc(1, sizeof *t->start);
    if (t->start == NULL || program_prepare(t->start, o, CHILD_ON_TERMINAL) < 0) {
        free(t->start);
        t->start = NULL;
        program_fail(&t->p, ENOMEM, true);
    } else if (!o->size_follows) {
        pty_start(t);
    }
}

static struct backend *pty_open(const struct backend_open *o)
{
    struct be_pty *t = (struct be_pty *)program_new(sizeof *t, &backend_pty, o);

    if (t == NULL)
        return NULL;
    ev_timer_init(&t->turn, on_turn, 0, 0);
    t->turn.data = t;
    t->size = (struct terminal_size){TERMINAL_COLUMNS, TERMINAL_ROWS};
    pty_begin(t, o);
    program_soon(&t->p);
    return &t->p.base;
}

static void pty_write(struct backend *b, const void *p, size_t n)
{
    const uint8_t *bytes = p;

    pty_of(b)->line_open = bytes[n - 1] != '\n' && bytes[n - 1] != '\r';
    program_write(b, p, n);
}

static void pty_resize(struct backend *b, uint16_t columns, uint16_t rows)
{
    struct be_pty *t = pty_of(b);

    t->size.columns = columns > 0 ? columns : t->size.columns;
    t->size.rows = rows > 0 ? rows : t->size.rows;
    if (t->start != NULL) {
        pty_start(t);
        program_soon(&t->p);
    } else if (t->p.io.is_open) {
        terminal_resize(io_fd(&t->p.io), &t->size);
    }
}

/* Whether the session is only at the end of its input, or over (`stop`), is not known yet. */
static void pty_finish(struct backend *b)
{
    pty_of(b)->finish_wanted = true;
    turn_soon(pty_of(b));
}

static void pty_stop(struct backend *b)
{
    struct program *p = &pty_of(b)->p;

    if (p->io.is_open) {
        if (p->child != NULL)
            child_hang_up(p->child, io_fd(&p->io));
        io_close(&p->io);
    }
    program_stop(b);
    turn_soon(pty_of(b));
}

static void pty_close(struct backend *b)
{
    struct be_pty *t = pty_of(b);

    ev_clear_pending(t->p.worker->loop, &t->turn);
    if (t->start != NULL) {
        program_start_release(t->start);
        free(t->start);
        t->start = NULL;
    }
    program_close(b);
}

static const struct option_row pty_rows[] = {
    {.name = "pty",
     .type = OPTION_ARGV,
     .place = IN_TARGET,
     .offset = offsetof(struct target, argv),
     .reload = RELOAD_NEW,
     .value = "[WORD...]",
     .help = "a program for each session, on a terminal; its arguments as those of exec"},
};

const struct backend_ops backend_pty = {
    .name = "pty",
    .prefix = "pty:",
    .scheme_help = "pty:PROGRAM ARG...",
    .framing = &framing_stream,
    .is_terminal = true,
    .reports_exit = true,
    .runs_programs = true,
    .any_subprotocol = true,
    .descriptors = 3,
    .rows = pty_rows,
    .rows_count = sizeof pty_rows / sizeof pty_rows[0],
    .key = "pty",
    .parse = program_parse,
    .prepare = pty_prepare,
    .check = program_check,
    .open = pty_open,
    .write = pty_write,
    .queued = program_queued,
    .delivered = program_delivered,
    .lost = program_lost,
    .pause = program_pause,
    .resize = pty_resize,
    .finish = pty_finish,
    .stop = pty_stop,
    .close = pty_close,
    .describe = program_describe,
};
