/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_CONNECT_H
#define WSLUICE_IO_CONNECT_H

/*
 * Connecting to a service: a name is resolved, its addresses are raced (RFC 8305: a new attempt
 * every 250 ms, at once after a failure, the first to connect wins), all within one timeout, of
 * which the name may take three quarters. A Unix socket path is one attempt.
 */
#include <stdbool.h>

#include "base/addr.h"
#include "io/worker.h"

struct connect; /* one race under way; ends with its event or connect_cancel */

struct connect_spec {
    const char *host; /* a name or numeric address, for TCP; NULL for a Unix socket */
    uint16_t port;
    const char *unix_path; /* a leading '@' is the abstract namespace; used when host is NULL */
    ev_tstamp timeout;     /* seconds, for all of it */
};

/* What ended a race without a connection. */
enum connect_failure { CONNECT_REFUSED, CONNECT_TIMEOUT, CONNECT_NO_NAME, CONNECT_NO_RESOURCES };

struct connect_events {
    /* fd is connected, nonblocking, close-on-exec, TCP_NODELAY set; the owner's now. addr is the
     * server's (AF_UNIX: unnamed). */
    void (*connected)(void *owner, int fd, const union addr *addr);
    /* All attempts failed; `what` says how the last one did in words, e.g. "127.0.0.1:5900:
     * Connection refused", "nowhere.invalid: Domain name not found", "timed out after 5.0 s". Valid
     * during the call. */
    void (*failed)(void *owner, enum connect_failure why, const char *what);
};

/* Events come from the loop only, never from inside this call, exactly one, after which the connect
 * is gone. NULL without memory. */
struct connect *connect_start(struct worker *w, const struct connect_spec *spec,
                              const struct connect_events *events, void *owner);

/*
 * Has the system end a TCP connection, ETIMEDOUT for the most part, whose far side has vanished:
 * what was sent stays unacknowledged for so many seconds (TCP_USER_TIMEOUT), or nothing comes for
 * that long while it is asked for a sign of life from half of it on, every eighth of it (whole
 * seconds, at least one). A far side that answers, and has no room for what waits for it, is ended
 * after that time, too. 0: all stays as the system has it. For connected sockets: one that is
 * connecting would give up after that time. Other sockets than TCP's are left as they are.
 */
void connect_mind(int fd, ev_tstamp seconds);

/* Closes everything; no event follows. */
void connect_cancel(struct connect *c);

#endif
