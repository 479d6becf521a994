/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_EXEC_STDERR_H
#define WSLUICE_BACKEND_EXEC_STDERR_H

/*
 * A program's stderr in our log, line by line. It is always read, so the program never blocks on
 * it; a line longer than EXEC_STDERR_PIECE is logged in pieces.
 */
#include <sys/types.h>

#include "io/worker.h"

#define EXEC_STDERR_PIECE 4096U

struct exec_stderr;

/* Takes fd (nonblocking). NULL without memory: then fd is closed and the program's stderr is lost.
 */
struct exec_stderr *exec_stderr_open(struct worker *w, int fd, uint64_t session, pid_t pid);
/* Reads what lies there now, for the last words of a program that has ended. */
void exec_stderr_drain(struct exec_stderr *e);
void exec_stderr_close(struct exec_stderr *e);

#endif
