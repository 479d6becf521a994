/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_EXEC_STDERR_H
#define WSLUICE_BACKEND_EXEC_STDERR_H

/*
 * A program's stderr, line by line; a line longer than BACKEND_STDERR_PIECE goes in pieces, cut
 * between characters. In our log: then it is always read, so the program never blocks on it. Or to
 * the session (`stderr: message`): then it is paused like the program's output.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "core/backend.h"
#include "io/worker.h"

struct exec_stderr {
    ev_io readable;  /* its fd is -1 while there is none, its data the worker */
    struct buf line; /* unfinished */
    union {
        const struct backend *backend; /* to its session */
        uint64_t session;              /* to the log: of whom the lines speak */
    };
    pid_t pid;
    bool to_log;
};

/* Not open: all but opening it does nothing. */
void exec_stderr_init(struct exec_stderr *e);
/* Takes fd (nonblocking). `to`: whose `lines` event gets them, and reading starts paused; NULL: the
 * log. */
void exec_stderr_open(struct exec_stderr *e, struct worker *w, int fd, uint64_t session, pid_t pid,
                      const struct backend *to);
/* Of no effect for the log. */
void exec_stderr_pause(struct exec_stderr *e, bool paused);
/* Reads what lies there now, for the last words of a program that has ended. */
void exec_stderr_drain(struct exec_stderr *e);
/* No event follows. May be called twice. */
void exec_stderr_close(struct exec_stderr *e);

#endif
