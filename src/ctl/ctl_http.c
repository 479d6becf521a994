/* SPDX-License-Identifier: MIT */
#include "ctl/ctl_http.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/addr.h"

#define PATIENCE 20 /* seconds without a byte */
#define UNIX "unix:"
#define HTTP "http://"

static bool ctl_http_fail(char error[CTL_ERROR_MAX], const char *address, const char *why)
{
    snprintf(error, CTL_ERROR_MAX, "%.120s: %s", address, why);
    return false;
}

static void limit_time(int fd)
{
    const struct timeval patience = {.tv_sec = PATIENCE};

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static int ctl_http_connect_unix(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof sun.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sun.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    limit_time(fd);
    if (connect(fd, (const struct sockaddr *)&sun, sizeof sun) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

static int ctl_http_connect_inet(const char *address, const char **wrong)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    struct slice text = slice_from(address), host;
    char name[256] = "127.0.0.1", service[8];
    uint16_t port;
    int fd = -1;

    if (strncmp(address, HTTP, strlen(HTTP)) == 0)
        text = slice_cut(slice_from(address + strlen(HTTP)), '/', &host);
    *wrong = addr_split(text, &host, &port);
    if (*wrong != NULL)
        return -1;
    if (host.len > 0 && host.len < sizeof name)
        snprintf(name, sizeof name, "%.*s", (int)host.len, host.p);
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(name, service, &hints, &list) != 0) {
        *wrong = "the name does not resolve";
        return -1;
    }
    for (const struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next) {
        fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        limit_time(fd);
        if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
            int err = errno;

            close(fd);
            errno = err;
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static int ctl_http_connect(const char *address, char error[CTL_ERROR_MAX])
{
    const char *wrong = NULL;
    int fd;

    if (strncmp(address, UNIX, strlen(UNIX)) == 0)
        fd = ctl_http_connect_unix(address + strlen(UNIX));
    else if (address[0] == '/')
        fd = ctl_http_connect_unix(address);
    else
        fd = ctl_http_connect_inet(address, &wrong);
    if (fd < 0)
        ctl_http_fail(error, address,
                      wrong != NULL     ? wrong
                      : errno == ENOENT ? "there is no such socket; does wsluice run with --admin?"
                      : errno == EACCES ? "permission denied; the socket is its owner's alone"
                      : errno == EAGAIN ? "timed out"
                                        : strerror(errno));
    return fd;
}

static bool ctl_http_send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* All there is until the far side ends; malloc'd and NUL-terminated, NULL with errno. */
static char *ctl_http_read_all(int fd, size_t *length)
{
    size_t room = 65536, n = 0;
    char *text = malloc(room + 1);

    while (text != NULL) {
        ssize_t got = read(fd, text + n, room - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        n += (size_t)got;
        if (got == 0) {
            text[n] = '\0';
            *length = n;
            return text;
        }
        if (n == room) {
            char *larger = realloc(text, 2 * room + 1);

            if (larger == NULL)
                break;
            text = larger;
            room *= 2;
        }
    }
    free(text);
    return NULL;
}

/* The chunks put together at their own beginning. False when the last one is missing. */
static bool join_chunks(char *body, size_t length, size_t *joined)
{
    char *in = body, *out = body, *end = body + length, *line_end;

    while (in < end) {
        unsigned long size = strtoul(in, &line_end, 16);

        if (line_end == in || end - line_end < 2 || memcmp(line_end, "\r\n", 2) != 0)
            return false;
        in = line_end + 2;
        if (size == 0) {
            *joined = (size_t)(out - body);
            *out = '\0';
            return true;
        }
        if (size > (size_t)(end - in) || (size_t)(end - in) - size < 2)
            return false;
        memmove(out, in, size);
        out += size;
        in += size + 2;
    }
    return false;
}

/* The value of a field in a head whose lines end in CR LF; NULL: none. */
static const char *find_field(const char *head, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " ");
    }
    return NULL;
}

/* Cuts what was received into status and body; text becomes the answer's. */
static bool ctl_http_parse(char *text, size_t length, struct ctl_answer *answer)
{
    char *body = strstr(text, "\r\n\r\n");
    const char *value;
    bool whole = false;

    answer->body = text;
    if (sscanf(text, "HTTP/1.1 %3d", &answer->status) != 1 || body == NULL)
        return false;
    body[2] = '\0';
    body += 4;
    answer->length = length - (size_t)(body - text);
    if ((value = find_field(text, "Content-Length")) != NULL)
        whole = strtoull(value, NULL, 10) == answer->length;
    else if ((value = find_field(text, "Transfer-Encoding")) != NULL)
        whole = join_chunks(body, answer->length, &answer->length);
    memmove(text, body, answer->length + 1);
    return whole;
}

bool ctl_http_ask(const char *address, const char *method, const char *target,
                  struct ctl_answer *answer, char error[CTL_ERROR_MAX])
{
    int fd = ctl_http_connect(address, error);
    size_t length = 0;
    char *request, *text = NULL;

    *answer = (struct ctl_answer){0};
    if (fd < 0)
        return false;
    int n = asprintf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                     method, target);
    if (n < 0) {
        close(fd);
        return ctl_http_fail(error, address, "out of memory");
    }
    if (ctl_http_send_all(fd, request, (size_t)n))
        text = ctl_http_read_all(fd, &length);
    int err = errno;
    free(request);
    close(fd);
    if (text == NULL)
        return ctl_http_fail(error, address, err == EAGAIN ? "no answer in time" : strerror(err));
    if (!ctl_http_parse(text, length, answer))
        return ctl_http_fail(error, address,
                             length == 0 ? "it closed the connection without an answer"
                                         : "what answers there is not a wsluice, or was cut short");
    return true;
}

void ctl_http_release(struct ctl_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}

void ctl_http_escape(char *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:";

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            *out++ = *text;
        else
            out += sprintf(out, "%%%02X", (unsigned char)*text);
    }
    *out = '\0';
}
