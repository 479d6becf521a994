/* SPDX-License-Identifier: MIT */
#include "server/reaper.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/child/child.h"

/* Seconds from a child's end to the look, in which programs of ours are asked for by those that
 * watch them; and between looks, however many end. */
#define PAUSE 0.1
#define ONE_LOOK 1000 /* burials, so that a storm of orphans does not hold others up */

bool reaper_is_needed(void)
{
    int subreaper = 0;

    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper != 0);
}

void reaper_look(struct reaper *r)
{
    if (ev_is_active(&r->look))
        return;
    ev_timer_set(&r->look, PAUSE, 0);
    ev_timer_start(r->worker->loop, &r->look);
}

/* WNOWAIT tells of one that has ended and leaves it as it is. The kernel tells of the first in its
 * order only: one of ours in front of the others has to go by its own way first. */
static void reaper_on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct reaper *r = timer->data;
    siginfo_t info = {0};
    (void)loop;
    (void)revents;

    for (int n = 0; waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
         n++) {
        if (n == ONE_LOOK || info.si_pid == *r->spared || child_is_ours(r->worker, info.si_pid)) {
            reaper_look(r);
            return;
        }
        log_line(&r->worker->log, LOG_DEBUG, "an orphan has ended", LOG_I("pid", info.si_pid));
        (void)waitpid(info.si_pid, NULL, WNOHANG);
        info.si_pid = 0;
    }
}

void reaper_init(struct reaper *r, struct worker *w, const pid_t *spared)
{
    r->worker = w;
    r->spared = spared;
    ev_timer_init(&r->look, reaper_on_look, 0, 0);
    r->look.data = r;
}

void reaper_stop(struct reaper *r)
{
    if (r->worker != NULL)
        ev_timer_stop(r->worker->loop, &r->look);
}
