/* SPDX-License-Identifier: MIT */
#include "base/log_syslog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Daemons cut longer messages, and a datagram has to fit into the socket's buffer. */
#define MESSAGE_MAX 32768U

bool log_syslog_connect(struct log *l)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd;

    l->again_at = log_clock() + LOG_SYSLOG_AGAIN;
    if (l->path == NULL || strlen(l->path) >= sizeof to.sun_path)
        return false;
    memcpy(to.sun_path, l->path, strlen(l->path) + 1);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return false;
    }
    if (l->fd >= 0)
        close(l->fd);
    l->fd = fd;
    l->again_at = 0;
    return true;
}

static ssize_t send_once(const struct log *l, const struct iovec v[2])
{
    struct iovec cut[2] = {v[0], v[1]};
    struct msghdr m = {.msg_iov = cut, .msg_iovlen = 2};

    cut[cut[1].iov_len > 0].iov_len--; /* the newline */
    if (cut[0].iov_len > MESSAGE_MAX)
        cut[0].iov_len = MESSAGE_MAX;
    if (cut[1].iov_len > MESSAGE_MAX - cut[0].iov_len)
        cut[1].iov_len = MESSAGE_MAX - cut[0].iov_len;
    return sendmsg(l->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool log_syslog_send(struct log *l, const struct iovec v[2])
{
    if (l->again_at > 0 && (log_clock() < l->again_at || !log_syslog_connect(l)))
        return false;
    if (send_once(l, v) >= 0)
        return true;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS ||
        errno == ENOMEM)
        return false;
    return log_syslog_connect(l) && send_once(l, v) >= 0;
}
