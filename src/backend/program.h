/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_PROGRAM_H
#define WSLUICE_BACKEND_PROGRAM_H

/*
 * What exec and pty share: a program per session. It is the struct of exec and the beginning of
 * that of pty, and most of their operations.
 *
 * Three things end apart, in any order: its output, the process (its exit status), its stderr.
 * `ended` is told when output and process are both over. A grandchild that holds the output open
 * gets a second after the process's end, and as long as it takes to deliver what was on its way at
 * that moment: every byte the program itself wrote.
 *
 * stop-grace counts from the last byte that it took of its input: what lies in the pipe behind our
 * end of it, which is closed by then, is seen through a second descriptor of that pipe.
 */
#include "backend/exec_env.h"
#include "backend/exec_stderr.h"
#include "core/backend.h"
#include "io/child/child.h"
#include "io/io.h"

/*
 * What only the beginning and the end of a program need; while it runs there is none. At the
 * beginning `later` is fed an event, to tell opened or failed from the loop; while nobody holds its
 * terminal it is the timer of the looks at that, once it is stopped that of the looks at its input,
 * and after the exit that of the wait for the output's end.
 */
struct program_edge {
    ev_timer later;
    const struct route *route;
    bool short_of_resources;
    int failure; /* errno of the start */
    union {
        const char *failed_step; /* what could not be done for it, in words; NULL: it was execve
                                    that failed. See child.h */
        uint64_t owed;           /* exited: bytes still to be read of what the program wrote */
    };
    double away_until; /* nobody holds its terminal: how long that may last; worker time */
    double away_look;  /* and seconds to the next look */
    int input; /* to see what lies in the pipe of its input, never to read it; -1: not needed */
    uint64_t taken; /* bytes of its input that it had read at the last look */
};

struct program {
    struct backend base;
    struct worker *worker;
    union {
        struct io_pipes pipes; /* its output to read, its input to write */
        struct io io;          /* of these; a terminal that is both has nothing else */
    };
    union {
        struct {
            struct child *child;       /* NULL: not started, or could not be */
            struct program_edge *edge; /* NULL: it runs, or has ended and nothing is waited for */
        };
        struct reap reap; /* closed */
    };
    struct exec_stderr err; /* where that is a pipe of ours */
    uint64_t lost;          /* bytes from the client that it did not take */
    int status;             /* wait status */
    bool opened : 1;        /* was told; the program may be started later */
    bool paused : 1;        /* its output is not read */
    bool stopped : 1;       /* the session is over */
    bool exited : 1, eof : 1, ended : 1;
};

_Static_assert(sizeof(struct program) <= 248, "a program grows every idle session that has one");

/* Words and environment of one start, for as long as they are needed. */
struct program_start {
    struct exec_env env;
    char **argv; /* expanded; NULL: those of the route */
};

static inline struct program *program_of(struct backend *b)
{
    return (struct program *)b;
}

static inline const struct program *program_of_const(const struct backend *b)
{
    return (const struct program *)b;
}

/* A program, or what begins with one, of that size; all else in it is zero. NULL without memory. */
struct program *program_new(size_t size, const struct backend_ops *ops,
                            const struct backend_open *o);
/* -1 without memory (then nothing is kept). */
int program_prepare(struct program_start *s, const struct backend_open *o,
                    enum child_standard standard);
void program_start_release(struct program_start *s);
/* Starts it: sets p->child, or what program_fail sets. id is that of the session, for what is
 * logged of stderr. */
void program_run(struct program *p, const struct program_start *s, uint64_t id,
                 enum child_standard standard, const struct terminal_size *size);
/* It could not be started, err: errno. Nothing is told yet. */
void program_fail(struct program *p, int err, bool short_of_resources);
/* What came of it is told from the loop: opened or failed, and when that was told already only a
 * failure. Not for one that runs and was told of. */
void program_soon(struct program *p);

/* From the loop: no output will come. */
void program_output_over(struct program *p);

/* Operations of backend_ops. */
const char *program_parse(struct target *t, const char *rest, struct arena *arena);
const char *program_check(struct target *t, struct arena *arena);
void program_write(struct backend *b, const void *p, size_t n);
size_t program_queued(const struct backend *b);
uint64_t program_delivered(const struct backend *b);
uint64_t program_lost(const struct backend *b);
void program_pause(struct backend *b, bool paused);
void program_finish(struct backend *b);
void program_signal(struct backend *b, int number);
void program_stop(struct backend *b);
void program_close(struct backend *b);
void program_describe(const struct backend *b, char *out, size_t size);

#endif
