/* SPDX-License-Identifier: MIT */
#include "core/auth/auth_job.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "io/child/child.h"
#include "io/child/child_attr.h"
#include "io/io.h"
#include "proto/secret.h"

#define HELD_OPEN 0.25 /* seconds that the pipe may outlive the program */

struct auth_job {
    struct worker *worker;
    struct auth_job_spec spec;
    struct auth_place place;
    char *input;
    struct child *child; /* NULL: waits, or has ended */
    struct io_pipes pipes;
    ev_timer timer;
    struct buf out;
    bool has_io, eof, exited;
    int status;
    struct reap reap;
};

static void forget_input(struct auth_job *j)
{
    if (j->input == NULL)
        return;
    secret_wipe(slice_of(j->input, j->spec.input.len));
    free(j->input);
    j->input = NULL;
}

static void job_release(struct reap *r)
{
    free((char *)r - offsetof(struct auth_job, reap));
}

/* Everything of it ends but its memory, which stays to the end of the turn. */
static void job_let_go(struct auth_job *j)
{
    ev_timer_stop(j->worker->loop, &j->timer);
    forget_input(j);
    if (j->has_io)
        io_close(&j->pipes.io);
    j->has_io = false;
    if (j->child != NULL)
        child_release(j->child);
    j->child = NULL;
    buf_release(&j->out);
    j->reap.release = job_release;
    worker_reap(j->worker, &j->reap);
    auth_queue_leave(&j->place);
}

static void job_finish(struct auth_job *j, int status)
{
    void (*done)(void *, int, struct slice) = j->spec.done;
    void *owner = j->spec.owner;
    struct buf out = j->out;

    j->out = (struct buf){0};
    job_let_go(j);
    done(owner, status, slice_of((const char *)buf_data(&out), buf_len(&out)));
    buf_release(&out);
}

static void check_done(struct auth_job *j)
{
    if (j->exited && j->eof)
        job_finish(j, j->status);
}

static struct auth_job *job_of_io(struct io *io)
{
    return (struct auth_job *)((char *)io - offsetof(struct auth_job, pipes.io));
}

static void job_on_data(struct io *io, uint8_t *p, size_t n)
{
    struct auth_job *j = job_of_io(io);

    if (buf_len(&j->out) + n > AUTH_JOB_OUTPUT_MAX || buf_append(&j->out, p, n) < 0) {
        if (j->child != NULL)
            child_kill(j->child);
        job_finish(j, AUTH_JOB_FAILED);
    }
}

static void job_on_eof(struct io *io)
{
    struct auth_job *j = job_of_io(io);

    j->eof = true;
    check_done(j);
}

static void job_on_drained(struct io *io)
{
    (void)io;
}

static void job_on_broken(struct io *io, int err, size_t lost)
{
    (void)lost;
    (void)io;
    (void)err;
}

static void job_on_closed(struct io *io, int err)
{
    (void)err;
    job_on_eof(io);
}

static const struct io_events events = {job_on_data,   job_on_eof,    job_on_drained,
                                        job_on_broken, job_on_closed, NULL};

static void job_set_timer(struct auth_job *j, double seconds)
{
    ev_timer_stop(j->worker->loop, &j->timer);
    ev_timer_set(&j->timer, seconds, 0);
    ev_timer_start(j->worker->loop, &j->timer);
}

static void job_on_exited(void *owner, int status)
{
    struct auth_job *j = owner;

    j->exited = true;
    j->status = status;
    if (!j->eof) { /* what it wrote may still lie in the pipe; or a child of its own holds that */
        job_set_timer(j, HELD_OPEN);
    }
    check_done(j);
}

static const struct child_events child_events = {job_on_exited};

/* Also when it cannot be started: told from the loop, where the timer brings it. */
static void job_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct auth_job *j = timer->data;
    (void)loop;
    (void)revents;

    if (j->child != NULL && !j->exited)
        child_kill(j->child);
    job_finish(j, j->exited ? j->status : AUTH_JOB_FAILED);
}

static struct auth_job *job_of_place(struct auth_place *p)
{
    return (struct auth_job *)((char *)p - offsetof(struct auth_job, place));
}

static void job_on_refused(struct auth_place *p)
{
    job_finish(job_of_place(p), AUTH_JOB_NO_PLACE);
}

static void job_run(struct auth_place *p)
{
    static const struct child_attr gains_nothing = {
        .umask = -1, .priority = CHILD_PRIORITY_OURS, .no_new_privs = true, .landlock = -1};
    struct auth_job *j = job_of_place(p);
    struct worker *w = j->worker;
    const struct child_spec spec = {.path = j->spec.path,
                                    .attr = j->spec.may_gain ? NULL : &gains_nothing,
                                    .argv = j->spec.argv,
                                    .envp = j->spec.envp,
                                    .stderr_discard = true,
                                    .kill_grace = 1};
    enum child_failure why;
    int fds[3];

    j->child = child_start(w, &spec, fds, &why, &child_events, j);
    if (j->child == NULL) {
        forget_input(j);
        job_set_timer(j, 0);
        return;
    }
    j->has_io = true;
    job_set_timer(j, j->spec.timeout);
    io_open_pipes(&j->pipes, w, &io_raw_pipe, fds[1], fds[0], &events);
    io_read_start(&j->pipes.io);
    if (j->spec.input.len > 0) /* a pipe takes that much at once */
        (void)io_write(&j->pipes.io, j->input, j->spec.input.len);
    io_finish(&j->pipes.io);
    forget_input(j);
}

/* With a copy of its input; NULL without memory. */
static struct auth_job *make_job(struct worker *w, const struct auth_job_spec *spec)
{
    struct auth_job *j = calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    j->input = malloc(spec->input.len + 1);
    if (j->input == NULL) {
        free(j);
        return NULL;
    }
    j->worker = w;
    j->spec = *spec;
    j->spec.client = NULL;
    if (spec->input.len > 0)
        memcpy(j->input, spec->input.p, spec->input.len);
    ev_timer_init(&j->timer, job_on_timer, 0, 0);
    j->timer.data = j;
    return j;
}

struct auth_job *auth_job_start(struct auth_queue *q, const struct auth_job_spec *spec)
{
    struct auth_job *j = make_job(auth_queue_worker(q), spec);

    if (j == NULL)
        return NULL;
    if (auth_queue_enter(q, &j->place, spec->client, job_run, job_on_refused))
        return j;
    forget_input(j);
    free(j);
    return NULL;
}

void auth_job_cancel(struct auth_job *j)
{
    if (j->child != NULL && !j->exited)
        child_kill(j->child);
    job_let_go(j);
}
