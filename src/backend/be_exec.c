/* SPDX-License-Identifier: MIT */

/*
 * exec: a program per session on three pipes.
 *
 * Three things end apart, in any order: its output (EOF on stdout), the process (its exit status),
 * its stderr. `ended` is told when output and process are both over. A grandchild that holds stdout
 * open gets a second after the process's end, and as long as it takes to deliver what lay in the
 * pipe at that moment: every byte the program itself wrote.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/exec_args.h"
#include "backend/exec_env.h"
#include "backend/exec_stderr.h"
#include "io/child.h"
#include "io/io.h"

#define HELD_OPEN 1.0 /* seconds that a pipe may outlive the program */

struct be_exec {
    struct backend base;
    struct worker *worker;
    const struct route *route;
    struct child *child;     /* NULL: could not be started */
    struct io io;            /* stdout to read, stdin to write */
    ev_io writer;            /* of the io: stdin is a descriptor of its own */
    struct exec_stderr *err; /* NULL: not a pipe of ours */
    ev_timer later;          /* first: tells opened or failed; after the exit: HELD_OPEN */
    union {
        uint64_t owed; /* io.received at which all is read that the program wrote */
        const char
            *failed_step; /* of the start, before the program's own; NULL: that. See child.h */
    };
    int status;  /* wait status */
    int failure; /* errno of the start */
    bool short_of_resources;
    bool exited, eof, ended;
    struct reap reap;
};

static struct be_exec *exec_of(struct backend *b)
{
    return (struct be_exec *)b;
}

static const struct be_exec *exec_of_const(const struct backend *b)
{
    return (const struct be_exec *)b;
}

static void exec_check_ended(struct be_exec *x)
{
    struct backend_end end = {.how = BACKEND_EXITED};

    if (!x->exited || !x->eof || x->ended)
        return;
    x->ended = true;
    end.number = WEXITSTATUS(x->status);
    if (WIFSIGNALED(x->status)) {
        end.how = BACKEND_SIGNALED;
        end.number = WTERMSIG(x->status);
    }
    if (x->err != NULL)
        exec_stderr_drain(x->err);
    x->base.events->ended(x->base.owner, &end);
}

static void on_data(void *owner, uint8_t *p, size_t n)
{
    struct be_exec *x = owner;

    x->base.events->data(x->base.owner, p, n);
}

static void exec_output_over(struct be_exec *x)
{
    if (x->eof)
        return;
    x->eof = true;
    ev_timer_stop(x->worker->loop, &x->later);
    x->base.events->eof(x->base.owner);
    exec_check_ended(x);
}

static void on_eof(void *owner)
{
    exec_output_over(owner);
}

static void on_closed(void *owner, int err)
{
    (void)err;
    exec_output_over(owner);
}

static void on_drained(void *owner)
{
    struct be_exec *x = owner;

    x->base.events->drained(x->base.owner);
}

/* The program has closed its stdin: what it did not read is lost, and counted; its output goes on.
 */
static void on_broken(void *owner, int err)
{
    (void)err;
    on_drained(owner);
}

static const struct io_events exec_io_events = {on_data, on_eof, on_drained, on_broken, on_closed};

static void start_later(struct be_exec *x, double seconds)
{
    ev_timer_stop(x->worker->loop, &x->later);
    ev_timer_set(&x->later, seconds, 0);
    ev_timer_start(x->worker->loop, &x->later);
}

static void on_exited(void *owner, int status)
{
    struct be_exec *x = owner;
    int left = 0;

    x->exited = true;
    x->status = status;
    if (x->eof) {
        exec_check_ended(x);
        return;
    }
    (void)ioctl(x->io.rfd, FIONREAD, &left);
    x->owed = x->io.received + (uint64_t)(left > 0 ? left : 0);
    start_later(x, HELD_OPEN);
}

static const struct child_events exec_child_events = {on_exited};

static void exec_pause(struct backend *b, bool paused)
{
    struct be_exec *x = exec_of(b);

    if (paused)
        io_read_stop(&x->io);
    else
        io_read_start(&x->io);
    if (x->err != NULL)
        exec_stderr_pause(x->err, paused);
}

static void tell_start(struct be_exec *x)
{
    char why[160], reason[96];
    const char *step;

    if (x->child != NULL) {
        exec_pause(&x->base, false);
        x->base.events->opened(x->base.owner);
        return;
    }
    step = x->failed_step;
    snprintf(reason, sizeof reason, "%s%s%s", step != NULL ? step : "", step != NULL ? ": " : "",
             strerror(x->failure));
    snprintf(why, sizeof why, "the program could not be started: %s", reason);
    log_line(&x->worker->log, LOG_WARN, "cannot start the program", LOG_C("route", x->route->path),
             LOG_C("program", x->route->target.argv[0]), LOG_C("reason", reason));
    x->base.events->failed(x->base.owner, x->short_of_resources ? 503 : 502, why);
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct be_exec *x = timer->data;
    (void)loop;

    if (revents & EV_CUSTOM)
        tell_start(x);
    else if (x->io.received <
             x->owed) /* the client is slow; what the program wrote is still on its way */
        start_later(x, HELD_OPEN);
    else
        exec_output_over(x);
}

/* Words separated by blanks; no quotes, no shell: what needs more is a script, or a list in the
 * configuration file. */
static const char *exec_parse(struct target *t, const char *rest, struct arena *arena)
{
    size_t count = 0, max = strlen(rest) / 2 + 2;
    struct slice left = slice_from(rest), word;

    t->argv = arena_alloc(arena, max * sizeof *t->argv);
    while (t->argv != NULL && left.p != NULL) {
        word = slice_cut(left, ' ', &left);
        if (word.len > 0 && (t->argv[count++] = arena_dup(arena, word)) == NULL)
            return "out of memory";
    }
    if (t->argv == NULL)
        return "out of memory";
    return count == 0 ? "a program is needed" : NULL;
}

static const char *exec_check(struct target *t, struct arena *arena)
{
    const char *path = getenv("PATH");
    char *found = child_find(t->argv[0], path != NULL ? path : EXEC_DEFAULT_PATH);

    if (found == NULL)
        return errno == ENOENT ? "no such program; write its path, or check PATH" : strerror(errno);
    t->program = arena_dup(arena, slice_from(found));
    free(found);
    return t->program == NULL ? "out of memory" : NULL;
}

static void exec_start_child(struct be_exec *x, const struct backend_open *o)
{
    const struct settings *set = &o->route->settings;
    enum child_failure why = CHILD_NO_RESOURCES;
    struct exec_env env;
    char **expanded = NULL;
    int fds[3];

    if (o->route->target.templated)
        expanded = exec_args_expand(&o->request->match);
    if ((o->route->target.templated && expanded == NULL) || exec_env_build(&env, o, environ) < 0) {
        free(expanded);
        x->failure = ENOMEM;
        x->short_of_resources = true;
        return;
    }
    const struct child_spec spec = {
        .path = o->route->target.program,
        .argv = expanded != NULL ? expanded : o->route->target.argv,
        .envp = env.vars,
        .cwd = set->cwd,
        .rules = o->route->rules,
        .failed_step = &x->failed_step,
        .stderr_to_stdout = set->stderr_mode == STDERR_MERGE,
        .stderr_discard = set->stderr_mode == STDERR_DISCARD,
        .stop_grace = set->stop_grace,
        .kill_grace = set->kill_grace,
    };
    x->child = child_start(o->worker, &spec, fds, &why, &exec_child_events, x);
    x->failure = errno;
    x->short_of_resources = why == CHILD_NO_RESOURCES;
    exec_env_release(&env);
    free(expanded);
    if (x->child == NULL)
        return;
    io_open(&x->io, o->worker, &io_raw_pipe, fds[1], fds[0], &x->writer, &exec_io_events, x);
    if (fds[2] >= 0)
        x->err = exec_stderr_open(o->worker, fds[2], o->id, x->child->pid,
                                  set->stderr_mode == STDERR_MESSAGE ? &x->base : NULL);
}

static struct backend *exec_open(const struct backend_open *o)
{
    struct be_exec *x = calloc(1, sizeof *x);

    if (x == NULL)
        return NULL;
    x->base = (struct backend){&backend_exec, o->events, o->owner};
    x->worker = o->worker;
    x->route = o->route;
    ev_timer_init(&x->later, on_later, 0, 0);
    x->later.data = x;
    exec_start_child(x, o);
    ev_feed_event(o->worker->loop, &x->later, EV_CUSTOM);
    return &x->base;
}

static void exec_write(struct backend *b, const void *p, size_t n)
{
    io_write(&exec_of(b)->io, p, n);
}

static size_t exec_queued(const struct backend *b)
{
    return io_queued(&exec_of_const(b)->io);
}

static uint64_t exec_delivered(const struct backend *b)
{
    return exec_of_const(b)->io.sent;
}

static uint64_t exec_lost(const struct backend *b)
{
    const struct be_exec *x = exec_of_const(b);

    return x->io.lost + io_queued(&x->io);
}

static void exec_finish(struct backend *b)
{
    io_finish(&exec_of(b)->io);
}

static void exec_stop(struct backend *b)
{
    child_stop(exec_of(b)->child);
}

static void exec_release(struct reap *r)
{
    free((char *)r - offsetof(struct be_exec, reap));
}

static void exec_close(struct backend *b)
{
    struct be_exec *x = exec_of(b);

    x->ended = true;
    ev_clear_pending(x->worker->loop, &x->later);
    ev_timer_stop(x->worker->loop, &x->later);
    io_close(&x->io);
    if (x->err != NULL)
        exec_stderr_close(x->err);
    if (x->child != NULL)
        child_release(x->child);
    x->child = NULL;
    x->reap.release = exec_release;
    worker_reap(x->worker, &x->reap);
}

static void exec_describe(const struct backend *b, char *out, size_t size)
{
    snprintf(out, size, "pid %d", (int)exec_of_const(b)->child->pid);
}

static const struct option_row exec_rows[] = {
    {"exec", 0, OPTION_ARGV, IN_TARGET, offsetof(struct target, argv), RELOAD_NEW, "[WORD...]",
     NULL, NULL, 0, 0,
     "a program for each session and its arguments, no shell; {name} in an argument stands for "
     "what "
     "the path captured"},
};

const struct backend_ops backend_exec = {
    .name = "exec",
    .prefix = "exec:",
    .scheme_help = "exec:PROGRAM ARG...",
    .framing = &framing_lines,
    .reports_exit = true,
    .has_stderr = true,
    .runs_programs = true,
    .descriptors = 4,
    .rows = exec_rows,
    .rows_count = sizeof exec_rows / sizeof exec_rows[0],
    .key = "exec",
    .parse = exec_parse,
    .prepare = exec_args_prepare,
    .check = exec_check,
    .open = exec_open,
    .write = exec_write,
    .queued = exec_queued,
    .delivered = exec_delivered,
    .lost = exec_lost,
    .pause = exec_pause,
    .finish = exec_finish,
    .stop = exec_stop,
    .close = exec_close,
    .describe = exec_describe,
};
