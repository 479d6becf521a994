/* SPDX-License-Identifier: MIT */
#include "io/listen_name.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"

#define HOST_MAX 256 /* bytes of a name, with its NUL */

/* ---- names */

struct answer {
    int rc; /* of getaddrinfo */
    struct listen_addresses found;
};

static void question(const void *host, void *answer)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct answer *a = answer;
    struct addrinfo *list;

    a->rc = getaddrinfo(host, "0", &hints, &list); /* a port, so that "*" is all addresses */
    if (a->rc != 0)
        return;
    for (const struct addrinfo *ai = list; ai != NULL && a->found.n < LISTEN_ADDRESSES;
         ai = ai->ai_next) {
        if (ai->ai_addrlen <= sizeof(union addr))
            memcpy(&a->found.addrs[a->found.n++], ai->ai_addr, ai->ai_addrlen);
    }
    freeaddrinfo(list);
}

/* "Name does not resolve", or why it could not be asked for. */
static bool ask_for(const struct listener_spec *spec, const char *host, struct answer *a,
                    char why[LISTEN_WHY_MAX])
{
    if (!ask_within(spec->ask, question, host, a, sizeof *a)) {
        snprintf(why, LISTEN_WHY_MAX, "\"%.40s\": %s", host, ask_error(errno));
        return false;
    }
    if (a->rc != 0)
        snprintf(why, LISTEN_WHY_MAX,
                 "\"%.80s\" does not resolve (%s); write an address of this machine", host,
                 gai_strerror(a->rc));
    return a->rc == 0;
}

bool listen_name_find(const struct listener_spec *spec, struct listen_addresses *found,
                      char why[LISTEN_WHY_MAX])
{
    struct slice host = spec->host.len > 0 ? spec->host : slice_from("127.0.0.1");
    char name[HOST_MAX];
    struct answer a;

    found->n = 1;
    if (addr_parse_host(host, spec->port, &found->addrs[0]))
        return true;
    if (host.len >= sizeof name) {
        snprintf(why, LISTEN_WHY_MAX, "the host name is too long");
        return false;
    }
    snprintf(name, sizeof name, "%.*s", (int)host.len, host.p);
    if (!ask_for(spec, name, &a, why))
        return false;
    *found = a.found;
    for (size_t i = 0; i < found->n; i++)
        addr_set_port(&found->addrs[i], spec->port);
    return true;
}

/* ---- whether they would do */

const char *listen_advice(int err)
{
    switch (err) {
    case EADDRINUSE:
        return "the port is in use; stop what listens there, choose another, or port 0 for any "
               "free one";
    case EACCES:
        return "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "no such address on this machine; see `ip address`";
    default:
        return strerror(err);
    }
}

/* 0, or the errno of a bind to that address, at any port. A low port is tried itself: whoever has
 * it has the right to it. */
static int try_address(union addr *a)
{
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0, on = 1;
    bool low = addr_port(a) > 0 && addr_port(a) < IPPORT_RESERVED;

    if (fd < 0)
        return errno;
    if (a->sa.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (!low)
        addr_set_port(a, 0);
    if (bind(fd, &a->sa, addr_len(a)) < 0)
        err = errno == EADDRINUSE ? 0 : errno; /* in use now need not be in use then */
    close(fd);
    return err;
}

static bool judge_inet(const struct listener_spec *spec, bool *exposed,
                       char error[LISTENER_ERROR_MAX])
{
    struct listen_addresses found;
    char why[LISTEN_WHY_MAX];
    union addr a = {0};
    int err = EADDRNOTAVAIL;

    if (!listen_name_find(spec, &found, why)) {
        snprintf(error, LISTENER_ERROR_MAX, LISTEN_FAULT, spec->text, why);
        return false;
    }
    for (size_t i = 0; i < found.n && err != 0; i++) {
        a = found.addrs[i];
        err = try_address(&a);
    }
    addr_unmap(&a);
    *exposed = err == 0 && !addr_is_loopback(&a);
    if (err != 0)
        snprintf(error, LISTENER_ERROR_MAX, LISTEN_FAULT, spec->text, listen_advice(err));
    return err == 0;
}

/* A socket that is there may be a server's that will be gone by then, or was. */
static bool judge_unix(const struct listener_spec *spec, char error[LISTENER_ERROR_MAX])
{
    const char *why = NULL, *path = spec->unix_path;
    int err = file_may_be_made(path);
    struct stat st;

    if (strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        why = "the path is longer than 107 bytes";
    else if (err != 0)
        why = strerror(err);
    else if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        why = LISTEN_TAKEN;
    if (why != NULL)
        snprintf(error, LISTENER_ERROR_MAX, LISTEN_FAULT, spec->text, why);
    return why == NULL;
}

bool listener_judge(const struct listener_spec *spec, bool *exposed, char error[LISTENER_ERROR_MAX])
{
    *exposed = false;
    return spec->unix_path != NULL ? judge_unix(spec, error) : judge_inet(spec, exposed, error);
}
