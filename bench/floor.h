/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

/*
 * What the floors share. A floor is the least a program of its kind can do: no parsing, no limits,
 * no log, no timers. Errors that cannot happen in a benchmark end the program with a line that says
 * so.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FLOOR_BUFFER (1 << 16)

/* Bytes that a descriptor would not take yet. All zeroes at the start; owns its memory. */
struct floor_tail {
    uint8_t *bytes;
    size_t off;
    size_t len; /* of the bytes, off included; 0: nothing waits */
};

/* Prints `NAME: what: errno's text` and exits 1. */
_Noreturn void floor_die(const char *what);

/* The number in s, or exits 2. */
long floor_number(const char *s, long min, long max);

/*
 * Listens on 127.0.0.1:port (0: any), ignores SIGPIPE, raises the limit of descriptors, and says
 * `listening on tcp://127.0.0.1:PORT/` on stderr. Returns the descriptor, non-blocking if asked.
 */
int floor_listen(long port, bool nonblocking);

/* Begins a connection to 127.0.0.1:port. Non-blocking: it may still be on its way. */
int floor_connect(long port, bool nonblocking);

/* The next connection with TCP_NODELAY, or -1 when none waits. */
int floor_accept(int listener, bool nonblocking);

/*
 * Writes n bytes; what the descriptor does not take is kept in *t. Returns -1 when the connection
 * is broken, 0 when all went out, 1 when something waits.
 */
int floor_write(int fd, struct floor_tail *t, const uint8_t *p, size_t n);

/* The same for what waits already. */
int floor_flush(int fd, struct floor_tail *t);
void floor_tail_free(struct floor_tail *t);

/*
 * vfork and exec with pipes at stdin and stdout. *in is our end to write (in NULL: the child's
 * stdin is ours), *out our end to read. Returns the pid; an exec that fails shows as exit status
 * 127.
 */
pid_t floor_spawn(char **argv, int *in, int *out);

#endif
