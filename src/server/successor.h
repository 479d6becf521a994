/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_SUCCESSOR_H
#define WSLUICE_SERVER_SUCCESSOR_H

/*
 * What passes from a process to the one that takes its place (upgrade.h): listening sockets
 * (WSLUICE_PASSED, read by passed.c), the log's file, the process group to come back to, the path
 * of the program, and, the other way on a pipe (WSLUICE_READY), the word that it serves.
 *
 * On that pipe stands "1" and, behind a colon, the descriptors of those listening sockets that were
 * taken, a blank before each: "1: 5 7"; "1" alone stands for all. Or "E" and the errno of an execve
 * that failed.
 */
#include "server/listeners.h"
#include "server/passed.h"

#define SUCCESSOR_WORD_MAX 4096 /* bytes on the pipe, at most: a pipe takes these whole */

/* In the child of fork: becomes the successor, never returns. word: the pipe, to write. sockets:
 * the value of WSLUICE_PASSED. Memory is out of reach of other processes of our user from its first
 * instruction on, where the system lets us (see successor.c). */
_Noreturn void successor_become(const struct worker *w, const char *program, char *const *argv,
                                const struct listeners *set, const char *sockets, int word);

/* The rest is for the successor itself. */

/* The path of our program file; malloc'd, NULL without memory. */
char *successor_program(const char *argv0);

/* The predecessor's log file of that path, which we may not be able to open any more, being
 * somebody else; -1: none. The caller's to close. What is not asked for by successor_ready is
 * closed there. */
int successor_log(const char *path);

/* We serve: back into the predecessor's process group, and the word to it. p: which sockets were
 * taken. Without a predecessor it does nothing. */
void successor_ready(const struct passed *p);

#endif
