/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_CHILD_TERMINAL_H
#define WSLUICE_IO_CHILD_TERMINAL_H

/*
 * A pseudo terminal (pty(7)): the master is ours, the slave is the program's. What is written to
 * the master arrives as if typed. The end of output is EIO at the master, once nobody holds the
 * slave any more and all is read; the transports of the links below make
 * an ordinary end of it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/io.h"

struct terminal_size {
    uint16_t columns, rows;
};

#define TERMINAL_COLUMNS 80 /* where nobody has said a size */
#define TERMINAL_ROWS 24

/* Bytes that may be on their way from slave to master beyond what FIONREAD tells: the kernel's own
 * buffer before the line discipline (8 KiB and the last block). */
#define TERMINAL_HIDDEN 16384U

enum terminal_mode {
    TERMINAL_LOGIN, /* as a login terminal: echo, lines to edit, signals by keys; UTF-8 */
    TERMINAL_OUTPUT /* takes output and changes nothing in it */
};

/* Both close-on-exec, the master nonblocking. Does not become anybody's controlling terminal. 0, or
 * -1 with errno and nothing left open. */
int terminal_open(enum terminal_mode mode, const struct terminal_size *size, int *master,
                  int *slave);

/* The foreground program gets SIGWINCH when it is another size. */
void terminal_resize(int master, const struct terminal_size *size);

/* The byte that means end of input when it is typed, -1: none does, because the program wants every
 * byte itself. */
int terminal_eof_byte(int master);

/* SIGHUP to the foreground program, as when the line is cut; closing the master afterwards tells
 * the session's leader. Returns the program's process group, 0 without one. */
pid_t terminal_hang_up(int master);

/* Nobody holds the slave, or all who do were hung up. The program may open it again: a shell's
 * "exec <&- >&- 2>&-", or login(1), which hangs up all others. */
bool terminal_is_away(int master);
/* There is something to read: also of who has opened it for a moment only. */
bool terminal_has_output(int master);

extern const struct io_link terminal_link;        /* the master is both directions */
extern const struct io_link terminal_output_link; /* reads the master, writes a pipe */

#endif
