/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/child/child.h"

#define GENERATIONS_MAX 64 /* that we look up */

/* Parent and session of a process. False when there is none. */
static bool child_below_look_up(pid_t pid, pid_t *parent, pid_t *session)
{
    char path[32], text[512];
    const char *p;
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    p = strrchr(text, ')'); /* a name may hold anything */
    return p != NULL && sscanf(p, ") %*c %d %*d %d", parent, session) == 2;
}

static bool is_in(const struct child *list, pid_t pid)
{
    while (list != NULL && list->pid != pid)
        list = list->next;
    return list != NULL;
}

bool child_is_ours(const struct worker *w, pid_t pid)
{
    return is_in(w->children, pid) || is_in(w->stopping, pid);
}

/* A program leads a session, and is our child: so either tells whose it is, also when its leader or
 * its parent has ended. */
bool child_is_below(const struct worker *w, pid_t pid)
{
    pid_t self = getpid(), parent = 0, session = 0;

    for (int i = 0; i < GENERATIONS_MAX && pid > 1 && pid != self; i++) {
        if (child_is_ours(w, pid))
            return true;
        if (!child_below_look_up(pid, &parent, &session))
            return false;
        if (child_is_ours(w, session))
            return true;
        pid = parent;
    }
    return false;
}
