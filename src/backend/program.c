/* SPDX-License-Identifier: MIT */
#include "backend/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/exec_args.h"
#include "backend/exec_terminal.h"
#include "base/words.h"

#define HELD_OPEN 1.0 /* seconds that a pipe may outlive the program */
/* And seconds that a program may live without its terminal, which is looked at so often. */
#define AWAY_MAX 1.0
#define AWAY_FIRST_LOOK 0.01
#define AWAY_LAST_LOOK 0.05 /* at least half of it */
/* How often in a stop-grace we look whether the program still takes its input, and how seldom at
 * most, in seconds. */
#define INPUT_LOOKS 8
#define INPUT_LOOK 0.25

static void check_ended(struct program *p)
{
    struct backend_end end = {.how = BACKEND_EXITED};
    char why[64];
    uint64_t most;

    if (!p->exited || !p->eof || p->ended)
        return;
    p->ended = true;
    end.number = WEXITSTATUS(p->status);
    if (WIFSIGNALED(p->status)) {
        end.how = BACKEND_SIGNALED;
        end.number = WTERMSIG(p->status);
    }
    if (p->child != NULL && (most = child_ran_out(p->child)) > 0) {
        bool whole = most % (1 << 20) == 0;

        snprintf(why, sizeof why, "out of memory at %ju%c", (uintmax_t)(most >> (whole ? 20 : 10)),
                 whole ? 'M' : 'K');
        end.why = why;
    }
    exec_stderr_drain(&p->err);
    p->base.events->ended(p->base.owner, &end);
}

static struct program *program_of_io(struct io *io)
{
    return (struct program *)((char *)io - offsetof(struct program, io));
}

static void program_on_data(struct io *io, uint8_t *data, size_t n)
{
    struct program *p = program_of_io(io);

    if (p->exited && p->edge != NULL)
        p->edge->owed -= n < p->edge->owed ? n : p->edge->owed;
    p->base.events->data(p->base.owner, data, n);
}

void program_output_over(struct program *p)
{
    if (p->eof)
        return;
    p->eof = true;
    if (p->edge != NULL)
        ev_timer_stop(p->worker->loop, &p->edge->later);
    p->base.events->eof(p->base.owner);
    check_ended(p);
}

static void program_on_eof(struct io *io)
{
    program_output_over(program_of_io(io));
}

static void program_on_closed(struct io *io, int err)
{
    (void)err;
    program_output_over(program_of_io(io));
}

static void program_on_drained(struct io *io)
{
    struct program *p = program_of_io(io);

    p->base.events->drained(p->base.owner);
}

/* Bytes on their way to it are lost in the middle: what would follow is worth nothing. */
static void tell_torn(struct program *p, int err)
{
    const struct backend_end end = {.how = BACKEND_BROKE, .why = strerror(err)};

    if (p->ended)
        return;
    p->ended = true;
    p->base.events->ended(p->base.owner, &end);
}

/* The program has closed its stdin: what it did not read is lost, and counted; its output goes on.
 * Where it was our memory that failed, the client hears of it: the program cannot. */
static void program_on_broken(struct io *io, int err, size_t lost)
{
    program_of_io(io)->lost += lost;
    if (err == ENOMEM)
        tell_torn(program_of_io(io), err);
    else
        program_on_drained(io);
}

static bool is_terminal(const struct program *p)
{
    return p->io.link == &terminal_link || p->io.link == &terminal_output_link;
}

static void on_away(struct io *io);

static const struct io_events io_events = {program_on_data,   program_on_eof,    program_on_drained,
                                           program_on_broken, program_on_closed, on_away};

static void on_later(struct ev_loop *loop, ev_timer *timer, int revents);

static int make_edge(struct program *p)
{
    p->edge = calloc(1, sizeof *p->edge);
    if (p->edge == NULL)
        return -1;
    p->edge->input = -1;
    ev_timer_init(&p->edge->later, on_later, 0, 0);
    p->edge->later.data = p;
    return 0;
}

static void drop_edge(struct program *p)
{
    if (p->edge == NULL)
        return;
    ev_clear_pending(p->worker->loop, &p->edge->later);
    ev_timer_stop(p->worker->loop, &p->edge->later);
    if (p->edge->input >= 0)
        close(p->edge->input);
    free(p->edge);
    p->edge = NULL;
}

static void program_look_in(struct program *p, double seconds)
{
    ev_timer *later = &p->edge->later;

    ev_timer_stop(p->worker->loop, later);
    ev_timer_set(later, seconds, 0);
    ev_timer_start(p->worker->loop, later);
}

static void wait_for_output(struct program *p)
{
    program_look_in(p, HELD_OPEN);
}

/* ---- its terminal: whether it comes back to it ---- */

/* Now it is an end, as soon as the loop looks. */
static void stay_away(struct program *p)
{
    p->io.may_return = false;
    if (p->io.away)
        io_return(&p->io);
}

/* It has closed its terminal, or was hung up by another: nearly always because it is about to exit,
 * but it may open it again. */
static void on_away(struct io *io)
{
    struct program *p = program_of_io(io);

    if (p->stopped || (p->edge == NULL && make_edge(p) < 0)) {
        stay_away(p);
        return;
    }
    p->edge->away_until = worker_time(p->worker) + AWAY_MAX;
    p->edge->away_look = AWAY_FIRST_LOOK;
    program_look_in(p, AWAY_FIRST_LOOK);
}

/* A second is over: as when a program closes its output on a pipe, and its status does not follow.
 */
static void leave_terminal(struct program *p)
{
    static const struct backend_end alive = {.how = BACKEND_CLEAN};

    p->ended = true;
    exec_stderr_drain(&p->err);
    p->base.events->ended(p->base.owner, &alive);
}

/* Output is a sign of life, too: then the second begins anew. While the client is slow it is not
 * asked for; but what was typed cannot wait for that, or nothing more of the client is read, its
 * order to go on included. */
static void look_at_terminal(struct program *p)
{
    int master = io_fd(&p->io);

    if (!terminal_is_away(master) || (!p->paused && terminal_has_output(master))) {
        drop_edge(p);
        io_return(&p->io);
    } else if (worker_time(p->worker) >= p->edge->away_until && p->paused &&
               io_queued(&p->io) > 0) {
        drop_edge(p);
        stay_away(p);
    } else if (p->paused || worker_time(p->worker) < p->edge->away_until) {
        p->edge->away_look *= 2 * p->edge->away_look < AWAY_LAST_LOOK ? 2 : 1;
        program_look_in(p, p->edge->away_look);
    } else {
        leave_terminal(p);
    }
}

/* ---- its input: how much of it the program has not read ---- */

static size_t in_pipe(int fd)
{
    int n = 0;

    return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

/* Before our end of the pipe goes, if there is anything to see. Without memory, a descriptor or
 * /proc the grace counts from the end of the input. */
static void keep_sight_of_input(struct program *p)
{
    int fd = p->io.is_open && !p->io.link->transport->two_way ? io_write_fd(&p->io) : -1;
    char path[32];

    if (fd < 0 || (in_pipe(fd) == 0 && io_queued(&p->io) == 0))
        return;
    if (p->edge == NULL && make_edge(p) < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (p->edge->input < 0)
        p->edge->input = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static void look_at_input(struct program *p)
{
    size_t left = in_pipe(p->edge->input);
    uint64_t taken = p->io.sent - left;
    double grace = child_stop_grace(p->child);

    if (taken != p->edge->taken)
        child_stop_later(p->child);
    p->edge->taken = taken;
    if (grace > 0 && (left > 0 || io_queued(&p->io) > 0))
        program_look_in(p, grace < INPUT_LOOKS * INPUT_LOOK ? grace / INPUT_LOOKS : INPUT_LOOK);
}

static void program_on_exited(void *owner, int status)
{
    struct program *p = owner;
    int left = 0;

    p->exited = true;
    p->status = status;
    stay_away(p);
    if (p->eof) {
        check_ended(p);
        return;
    }
    if (p->edge == NULL && make_edge(p) < 0) { /* without memory nothing is waited for */
        program_output_over(p);
        return;
    }
    (void)ioctl(io_fd(&p->io), FIONREAD, &left);
    p->edge->owed = (uint64_t)(left > 0 ? left : 0);
    if (is_terminal(p))
        p->edge->owed += TERMINAL_HIDDEN;
    wait_for_output(p);
}

static const struct child_events child_events = {program_on_exited};

/* Before it was answered a client can be told by a status, afterwards by its Close. */
static void program_tell_failed(struct program *p)
{
    char why[160], reason[96];
    const char *step = p->edge->failed_step;

    snprintf(reason, sizeof reason, "%s%s%s", step != NULL ? step : "", step != NULL ? ": " : "",
             strerror(p->edge->failure));
    snprintf(why, sizeof why, "the program could not be started: %s", reason);
    log_line(&p->worker->log, LOG_WARN, "cannot start the program",
             LOG_C("route", p->edge->route->path), LOG_C("program", p->edge->route->target.argv[0]),
             LOG_C("reason", reason));
    const struct backend_end end = {.how = BACKEND_BROKE, .why = why};

    p->ended = true;
    if (p->opened)
        p->base.events->ended(p->base.owner, &end);
    else
        p->base.events->failed(p->base.owner, p->edge->short_of_resources ? 503 : 502, why);
}

void program_pause(struct backend *b, bool paused)
{
    struct program *p = program_of(b);

    p->paused = paused;
    if (paused)
        io_read_stop(&p->io);
    else
        io_read_start(&p->io);
    exec_stderr_pause(&p->err, paused);
}

static void tell_start(struct program *p)
{
    static const struct backend_end nothing_ran = {.how = BACKEND_CLEAN};

    if (p->ended)
        return;
    if (p->edge != NULL && p->edge->failure != 0) {
        program_tell_failed(p);
        return;
    }
    if (p->child != NULL && !p->paused)
        program_pause(&p->base, false);
    if (!p->opened) {
        p->opened = true;
        p->base.events->opened(p->base.owner);
    } else if (p->stopped && p->child == NULL) {
        p->ended = true;
        p->base.events->ended(p->base.owner, &nothing_ran);
    }
}

/* What the program wrote is still on its way: the client is slow. */
static bool is_owed(const struct program *p)
{
    struct pollfd fd = {.fd = io_fd(&p->io), .events = POLLIN};

    if (p->edge->owed == 0)
        return false;
    return p->paused || poll(&fd, 1, 0) > 0;
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct program *p = timer->data;
    (void)loop;

    if (revents & EV_CUSTOM) {
        if (p->child != NULL && !ev_is_active(timer))
            drop_edge(p); /* it runs: what is told now was the beginning's last */
        tell_start(p);
    } else if (p->io.away) {
        look_at_terminal(p);
    } else if (!p->exited) {
        look_at_input(p);
    } else if (is_owed(p)) {
        wait_for_output(p);
    } else {
        program_output_over(p);
    }
}

/* Words separated by blanks; no quotes, no shell: what needs more is a script, or a list in the
 * configuration file. */
const char *program_parse(struct target *t, const char *rest, struct arena *arena)
{
    size_t count = 0, max = strlen(rest) / 2 + 2;
    struct slice left = slice_from(rest), word;
    enum words_kind kind = words_judge(rest);

    if (kind != WORDS_PLAIN)
        return kind == WORDS_QUOTED ? "no shell reads these words, so quotes would stay in them"
                                    : "no shell reads these words, and one is an operator of it";
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

/* Why there is no such program; err is what child_find left in errno. */
static const char *why_not_found(const char *name, int err, struct arena *arena)
{
    static const char folder[] = "a folder; to serve its files write --static %s";
    static const char script[] = "it is not executable; run chmod +x %s, or write its interpreter "
                                 "before it";
    struct stat st;
    bool there = stat(name, &st) == 0, is_folder = there && S_ISDIR(st.st_mode);
    size_t size = sizeof script + strlen(name);
    char *why = NULL;

    if (is_folder || (there && err == EACCES))
        why = arena_alloc(arena, size);
    if (why != NULL) {
        snprintf(why, size, is_folder ? folder : script, name);
        return why;
    }
    if (strncmp(name, "~/", 2) == 0)
        return "no shell reads this, so ~ means nothing; write the whole path";
    return err == ENOENT ? "no such program; write its path, or check PATH" : strerror(err);
}

const char *program_check(struct target *t, struct arena *arena)
{
    const char *path = getenv("PATH");
    char *found = child_find(t->argv[0], path != NULL ? path : EXEC_DEFAULT_PATH);

    if (found == NULL)
        return why_not_found(t->argv[0], errno, arena);
    t->program = arena_dup(arena, slice_from(found));
    free(found);
    return t->program == NULL ? "out of memory" : NULL;
}

struct program *program_new(size_t size, const struct backend_ops *ops,
                            const struct backend_open *o)
{
    struct program *p = calloc(1, size);

    if (p == NULL)
        return NULL;
    p->base = (struct backend){ops, o->events, o->owner};
    p->worker = o->worker;
    exec_stderr_init(&p->err);
    if (make_edge(p) < 0) {
        free(p);
        return NULL;
    }
    p->edge->route = o->route;
    return p;
}

void program_soon(struct program *p)
{
    ev_feed_event(p->worker->loop, &p->edge->later, EV_CUSTOM);
}

int program_prepare(struct program_start *s, const struct backend_open *o,
                    enum child_standard standard)
{
    bool templated = o->route->target.templated;

    s->argv = templated ? exec_args_expand(&o->request->match) : NULL;
    if ((!templated || s->argv != NULL) && exec_env_build(&s->env, o, environ) == 0 &&
        exec_terminal_env(&s->env, o->route, standard) == 0)
        return 0;
    free(s->argv);
    s->argv = NULL;
    return -1;
}

void program_start_release(struct program_start *s)
{
    exec_env_release(&s->env);
    free(s->argv);
    s->argv = NULL;
}

void program_run(struct program *p, const struct program_start *s, uint64_t id,
                 enum child_standard standard, const struct terminal_size *size)
{
    const struct settings *set = &p->edge->route->settings;
    enum child_failure why = CHILD_NO_RESOURCES;
    int fds[3];
    const struct child_spec spec = {
        .path = p->edge->route->target.program,
        .argv = s->argv != NULL ? s->argv : p->edge->route->target.argv,
        .envp = s->env.vars,
        .cwd = set->cwd,
        .attr = p->edge->route->attr,
        .failed_step = &p->edge->failed_step,
        .standard = standard,
        .size = *size,
        .stderr_to_stdout = set->stderr_mode == STDERR_MERGE,
        .stderr_discard = set->stderr_mode == STDERR_DISCARD,
        .stop_grace = set->stop_grace,
        .kill_grace = set->kill_grace,
    };

    p->child = child_start(p->worker, &spec, fds, &why, &child_events, p);
    if (p->child == NULL) {
        program_fail(p, errno, why == CHILD_NO_RESOURCES);
        return;
    }
    if (standard == CHILD_ON_TERMINAL)
        io_open(&p->io, p->worker, &terminal_link, fds[1], &io_events);
    else
        io_open_pipes(&p->pipes, p->worker,
                      standard == CHILD_ON_PIPES ? &io_raw_pipe : &terminal_output_link, fds[1],
                      fds[0], &io_events);
    p->io.may_return = standard != CHILD_ON_PIPES;
    if (fds[2] >= 0)
        exec_stderr_open(&p->err, p->worker, fds[2], id, p->child->pid,
                         set->stderr_mode == STDERR_MESSAGE ? &p->base : NULL);
}

void program_fail(struct program *p, int err, bool short_of_resources)
{
    p->edge->failure = err;
    p->edge->short_of_resources = short_of_resources;
}

void program_write(struct backend *b, const void *data, size_t n)
{
    program_of(b)->lost += io_write(&program_of(b)->io, data, n);
}

size_t program_queued(const struct backend *b)
{
    return io_queued(&program_of_const(b)->io);
}

uint64_t program_delivered(const struct backend *b)
{
    return program_of_const(b)->io.sent;
}

uint64_t program_lost(const struct backend *b)
{
    const struct program *p = program_of_const(b);

    return p->lost + io_queued(&p->io);
}

void program_finish(struct backend *b)
{
    keep_sight_of_input(program_of(b));
    io_finish(&program_of(b)->io);
}

void program_signal(struct backend *b, int number)
{
    struct program *p = program_of(b);

    if (p->child != NULL && !p->stopped)
        child_signal(p->child, number);
}

void program_stop(struct backend *b)
{
    struct program *p = program_of(b);

    p->stopped = true;
    if (p->child == NULL) {
        program_soon(p);
        return;
    }
    child_stop(p->child);
    stay_away(p);
    if (p->edge != NULL && p->edge->input >= 0 && !p->exited)
        look_at_input(p);
}

static void program_release(struct reap *r)
{
    free((char *)r - offsetof(struct program, reap));
}

void program_close(struct backend *b)
{
    struct program *p = program_of(b);

    p->ended = true;
    drop_edge(p);
    io_close(&p->io);
    exec_stderr_close(&p->err);
    if (p->child != NULL)
        child_release(p->child);
    p->reap.release = program_release;
    worker_reap(p->worker, &p->reap);
}

void program_describe(const struct backend *b, char *out, size_t size)
{
    const struct program *p = program_of_const(b);

    if (p->child != NULL)
        snprintf(out, size, "pid %d", (int)p->child->pid);
    else
        snprintf(out, size, "not started");
}
