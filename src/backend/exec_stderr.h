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

#include "core/backend.h"
#include "io/worker.h"

struct exec_stderr;

/* Takes fd (nonblocking). `to`: whose `lines` event gets them, and reading starts paused; NULL: the
 * log. NULL without memory: then fd is closed and the program's stderr is lost. */
struct exec_stderr *exec_stderr_open(struct worker *w, int fd, uint64_t session, pid_t pid,
                                     const struct backend *to);
/* Of no effect for the log. */
void exec_stderr_pause(struct exec_stderr *e, bool paused);
/* Reads what lies there now, for the last words of a program that has ended. */
void exec_stderr_drain(struct exec_stderr *e);
/* No event follows. */
void exec_stderr_close(struct exec_stderr *e);

#endif
