/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_UDP_FLOW_H
#define WSLUICE_BACKEND_UDP_FLOW_H

/*
 * The inside of a UDP backend, for be_udp.c (how it begins and ends) and udp_flow.c (what flows,
 * and what is dropped).
 */
#include "backend/udp_queue.h"
#include "core/backend.h"
#include "core/observe/stats.h"
#include "core/rate.h"

struct resolve;

/* The addresses of a service that were not tried yet, while it has said nothing. Owned by the
 * backend, from malloc. */
struct udp_others {
    struct udp_queue sent; /* copies of what it was sent: the next address gets them, too */
    size_t n, next;
    union addr addrs[];
};

struct be_udp {
    struct backend base;
    struct worker *worker;
    const struct route *route;
    struct stats_route *stats;
    struct resolve *question; /* while the name is being looked up */
    ev_timer timer;           /* opens it, or is connect-timeout; after stop: ends it */
    ev_io io;
    int fd;    /* -1: not open, or over */
    int error; /* ends it, to be told from the loop */
    bool held; /* the client is behind */
    bool ended;
    bool has_begun; /* the client's first message was seen */
    bool told_in, told_out;
    struct rate_bucket sent; /* udp-rate: datagrams to the service */
    double refused_at;       /* the first ICMP error since the last datagram; 0: none */
    uint64_t id, received, sent_bytes;
    uint64_t dropped[STATS_SIDES]; /* datagrams for that side, but for those the queues dropped */
    uint64_t dropped_bytes;
    struct udp_queue to_client, to_server;
    struct udp_others *others; /* NULL: none, or none any more */
    union addr addr, own;
    uint64_t source;     /* the number of our address */
    struct iovec header; /* PROXY, before each datagram to the server; none: iov_len 0 */
    struct reap reap;
};

/* Of the backend's operations: datagrams of the client, as the framing has them. Nothing calls back
 * from here: what goes wrong is noted in u->error and told from the loop. */
void udp_flow_write(struct be_udp *u, const uint8_t *p, size_t n);

/* Nobody is at the address: speaks to the next one, which gets all that was sent so far. False:
 * there is none, and all is as it was. May be called from inside a call of the session's. */
bool udp_next_address(struct be_udp *u);
/* The service is found, or cannot be any more. */
void udp_forget_others(struct be_udp *u);

/* From the loop. The last two hand datagrams to the session, which may end it meanwhile. */
void udp_flow_writable(struct be_udp *u);
void udp_flow_readable(struct be_udp *u);
void udp_flow_drain(struct be_udp *u); /* the client takes more: what waits for it goes first */

/* Has the loop call soon, for an error or what waits for the client. */
void udp_flow_wake(struct be_udp *u);

#endif
