/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_ACCEPT_H
#define WSLUICE_IO_ACCEPT_H

/*
 * Listening sockets. Out of descriptors or memory, connections that have asked for nothing make
 * room (see core/admission/waiting.h). Where there are none, a listener pauses for a quarter of a
 * second instead of spinning; clients wait in the kernel's queue meanwhile. One log line a second
 * tells of it.
 */
#include <ev.h>
#include <stdbool.h>

#include "base/addr.h"
#include "base/ask.h"
#include "io/worker.h"

struct listener_spec {
    const char *text;      /* as the operator wrote it, for messages */
    const char *unix_path; /* NULL: internet */
    unsigned unix_mode;
    struct slice host;     /* name or address; empty: 127.0.0.1 */
    struct ask_limit *ask; /* how long a name may be asked for; NULL: as long as it takes */
    uint16_t port;
    bool secure;     /* TLS: for the name in the log only */
    bool reuse_port; /* several processes on one port */
    int inherited;   /* a socket that listens already, ours from now on; 0: bind a new one */
};

/* A new connection; fd (nonblocking, close-on-exec) is the callee's. */
struct listener;

typedef void (*listener_accepted)(struct listener *l, int fd, const union addr *client);

struct listener {
    struct worker *worker;
    struct listener *next; /* the owner's list */
    listener_accepted accepted;
    void *owner;
    char *text;         /* of the spec; owned */
    const void *spec;   /* the owner's: what of the configuration in force it stands for */
    const void *wanted; /* the owner's, while it compares configurations: as spec, of the next */
    bool uses_reserve;  /* the owner's: of the operator, so its connections get the last descriptors
                         */
    bool crowded;       /* paused with nothing but these left */
    bool handed_over;   /* another process serves it, now or still: its file stays */
    bool offered;       /* a successor was started with it */
    int fd;
    union addr addr; /* bound, with the real port */
    ev_io readable;
    ev_timer resume;
    double last_complaint;
    uint64_t failures; /* since the last complaint */
    char *unix_path;   /* to remove at the end, if it is still ours */
    uint64_t unix_dev, unix_ino;
    char url[160]; /* "ws://127.0.0.1:8080/", "ws+unix:/run/x.sock" */
};

#define LISTENER_ERROR_MAX 320

/*
 * Binds and listens; connections are not taken before listener_start. Of a name with several
 * addresses the first that can be bound is taken. A stale Unix socket (nobody answers there) is
 * replaced; a living one is not touched. NULL with a message that says what to do in error.
 */
struct listener *listener_open(struct worker *w, const struct listener_spec *spec,
                               listener_accepted accepted, void *owner,
                               char error[LISTENER_ERROR_MAX]);
/* What listener_open would say of an address, without taking its port or file: false with error.
 * *exposed: it is neither loopback nor a file. In listen_name.c. */
bool listener_judge(const struct listener_spec *spec, bool *exposed,
                    char error[LISTENER_ERROR_MAX]);
void listener_start(struct listener *l);

/* The listening socket fd is bound to what spec asks for, however that is written. Looks names up,
 * like listener_open. Port 0 asks for a port of its own: never. */
bool listener_fits(int fd, const struct listener_spec *spec);

/* Other permissions for the file of a Unix socket of ours. -1 with errno: also when another file is
 * there by now. */
int listener_set_mode(const struct listener *l, unsigned mode);

/* Stops, closes, removes the Unix socket's file if it is still this one, frees. */
void listener_close(struct listener *l);

#endif
