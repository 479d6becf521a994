/* SPDX-License-Identifier: MIT */
#include "server/passed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PASSED 3 /* SD_LISTEN_FDS_START */

static int passed_add(struct passed *p, int fd, const char *name, size_t len, bool by_systemd)
{
    struct passed_socket *all = realloc(p->sockets, (p->count + 1) * sizeof *all);
    char *copy = strndup(name, len);

    if (all != NULL)
        p->sockets = all;
    if (all == NULL || copy == NULL) {
        free(copy);
        return -1;
    }
    all[p->count++] = (struct passed_socket){.fd = fd, .name = copy, .by_systemd = by_systemd};
    return 0;
}

static int read_systemd(struct passed *p)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    int n;

    if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != getpid())
        return 0;
    n = (int)strtol(count, NULL, 10);
    for (int i = 0; i < n; i++) {
        size_t len = names != NULL ? strcspn(names, ":") : 0;

        if (passed_add(p, FIRST_PASSED + i, names != NULL ? names : "", len, true) < 0)
            return -1;
        if (names != NULL)
            names = names[len] == ':' ? names + len + 1 : NULL;
    }
    return 0;
}

/* "FD=ADDRESS", one a line. */
static int read_predecessor(struct passed *p)
{
    const char *line = getenv("WSLUICE_PASSED");

    while (line != NULL && *line != '\0') {
        size_t len = strcspn(line, "\n");
        char *name;
        int fd = (int)strtol(line, &name, 10);

        if (*name != '=' || fd < FIRST_PASSED)
            break; /* not written by us */
        name++;
        if (passed_add(p, fd, name, (size_t)(line + len - name), false) < 0)
            return -1;
        line += len + (line[len] == '\n');
    }
    return 0;
}

int passed_read(struct passed *p)
{
    int rc = read_systemd(p) < 0 || read_predecessor(p) < 0 ? -1 : 0;

    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    (void)unsetenv("WSLUICE_PASSED");
    return rc;
}

struct passed_socket *passed_find(struct passed *p, const char *text)
{
    const char *name = strncmp(text, "systemd", 7) == 0 ? text + 7 : NULL;

    for (size_t i = 0; i < p->count; i++) {
        struct passed_socket *s = &p->sockets[i];
        bool fits = s->by_systemd && name != NULL &&
                    (*name == '\0' || (*name == ':' && strcmp(name + 1, s->name) == 0));

        if (!s->taken && (fits || (!s->by_systemd && strcmp(s->name, text) == 0)))
            return s;
    }
    return NULL;
}

void passed_release(struct passed *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (!p->sockets[i].taken)
            close(p->sockets[i].fd);
        free(p->sockets[i].name);
    }
    free(p->sockets);
    *p = (struct passed){0};
}
