/* SPDX-License-Identifier: MIT */
#include "io/datagram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A slot holds any datagram, so none is cut off; a page of each is touched in everyday use, and the
 * system gives no memory for the rest. */
#define SLOT 65536U
#define SEND_BATCH 64U

static int bind_host(int fd, const union addr *from)
{
    union addr a = *from;
    int on = 1;

    addr_set_port(&a, 0);
    /* the port is chosen by connect, which then may use one for several servers */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, &a.sa, addr_len(&a));
}

int datagram_open(struct worker *w, const union addr *to, const union addr *from, union addr *own)
{
    socklen_t len = sizeof *own;
    int fd, saved;

    if (w->datagrams == NULL && (w->datagrams = malloc((size_t)DATAGRAM_BATCH * SLOT)) == NULL)
        return -1;
    fd = worker_socket(w, to->sa.sa_family, SOCK_DGRAM);
    if (fd < 0)
        return -1;
    memset(own, 0, sizeof *own);
    if ((from == NULL || bind_host(fd, from) == 0) && connect(fd, &to->sa, addr_len(to)) == 0 &&
        getsockname(fd, &own->sa, &len) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

size_t datagram_receive(struct worker *w, int fd, struct iovec out[DATAGRAM_BATCH], int *err)
{
    struct mmsghdr all[DATAGRAM_BATCH];
    int n;

    memset(all, 0, sizeof all);
    for (size_t i = 0; i < DATAGRAM_BATCH; i++) {
        out[i].iov_base = w->datagrams + i * SLOT + DATAGRAM_ROOM;
        out[i].iov_len = SLOT - DATAGRAM_ROOM;
        all[i].msg_hdr.msg_iov = &out[i];
        all[i].msg_hdr.msg_iovlen = 1;
    }
    n = recvmmsg(fd, all, DATAGRAM_BATCH, MSG_DONTWAIT, NULL);
    *err = n < 0 ? errno : 0;
    for (int i = 0; i < n; i++) {
        out[i].iov_len = all[i].msg_len;
        if (all[i].msg_hdr.msg_flags & MSG_TRUNC)
            out[i].iov_base = NULL;
    }
    return n < 0 ? 0 : (size_t)n;
}

/* One call's worth. */
static int datagram_send_some(int fd, const struct iovec *head, const struct iovec *all, size_t n)
{
    struct mmsghdr out[SEND_BATCH];
    struct iovec parts[SEND_BATCH][2];
    int sent;

    n = n < SEND_BATCH ? n : SEND_BATCH;
    memset(out, 0, n * sizeof out[0]);
    for (size_t i = 0; i < n; i++) {
        parts[i][0] = *head;
        parts[i][1] = all[i];
        out[i].msg_hdr.msg_iov = head->iov_len > 0 ? parts[i] : &parts[i][1];
        out[i].msg_hdr.msg_iovlen = head->iov_len > 0 ? 2 : 1;
    }
    do {
        sent = sendmmsg(fd, out, (unsigned)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

size_t datagram_send(int fd, const struct iovec *head, const struct iovec *all, size_t n, int *err)
{
    size_t done = 0;

    *err = 0;
    while (done < n) {
        int sent = datagram_send_some(fd, head, all + done, n - done);

        if (sent < 0) {
            *err = errno;
            break;
        }
        done += (size_t)sent;
    }
    return done;
}

bool datagram_is_unreachable(int err)
{
    return err == ECONNREFUSED || err == EHOSTUNREACH || err == ENETUNREACH || err == EHOSTDOWN ||
           err == ENETDOWN || err == ENOPROTOOPT || err == EPROTO;
}
