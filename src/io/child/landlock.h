/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_CHILD_LANDLOCK_H
#define WSLUICE_IO_CHILD_LANDLOCK_H

/*
 * Which files a process reaches, by the kernel's Landlock (landlock(7)): raw system calls, as libc
 * has none. A set of rules is a descriptor (close-on-exec); a process that enters it cannot leave,
 * nor can what it starts.
 */
#include <stdbool.h>
#include <stdint.h>

struct landlock {
    int fd;
    uint64_t limited; /* rights that only the rules give */
};

/* The version of the kernel's interface; 0: there is none, or it is not enabled. */
int landlock_abi(void);

#define LANDLOCK_ABI_TRUNCATE 3 /* from here on (Linux 6.2) truncate(2) is held, too */

/* From here on (Linux 6.12) a process that has entered rules signals only itself and what it has
 * started since, not others that entered the same. */
#define LANDLOCK_ABI_SIGNALS 6

/* Rules that allow nothing yet, their descriptor the caller's. What is not limited stays free. 0,
 * or -1 with errno. */
int landlock_new(struct landlock *l, bool limit_read, bool limit_write);

/* Allows to read and execute path and all below it, and with `write` also to write, make and remove
 * there. A link is followed now, once. 0, or -1 with errno. */
int landlock_allow(const struct landlock *l, const char *path, bool write);

/* This process and its children keep to the rules from now on. It must not be able to gain
 * privileges (no_new_privs). For between vfork and execve as well. 0, or -1 with errno. */
int landlock_enter(int fd);

#endif
