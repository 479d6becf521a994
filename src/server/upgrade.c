/* SPDX-License-Identifier: MIT */
#include "server/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"
#include "server/admin.h"
#include "server/successor.h"

/* Its pipe is closed, so it has ended, is about to, or is no successor; seconds. */
#define END_WAIT 1.0

/* ---- what it says ---- */

static void upgrade_watch(struct upgrade *u, int fd, double patience)
{
    struct ev_loop *loop = u->worker->loop;

    ev_io_set(&u->ready, fd, EV_READ);
    ev_io_start(loop, &u->ready);
    ev_unref(loop);
    ev_timer_set(&u->late, patience, 0);
    ev_timer_start(loop, &u->late);
}

static void upgrade_stop_waiting(struct upgrade *u)
{
    int fd = u->ready.fd;

    ev_io_stop(u->worker->loop, &u->ready);
    ev_ref(u->worker->loop);
    ev_timer_stop(u->worker->loop, &u->late);
    close(fd);
}

/* With all that it has started: a child of a script, say, would keep our sockets and serve nobody.
 * While it is not reaped, its number is its group's. */
static void kill_successor(struct upgrade *u)
{
    if (kill(-u->successor, SIGKILL) != 0)
        (void)kill(u->successor, SIGKILL);
    (void)waitpid(u->successor, NULL, 0);
    u->successor = 0;
}

static void upgrade_give_up(struct upgrade *u, const char *reason)
{
    log_line(&u->worker->log, LOG_ERROR, "the successor did not start; this process goes on",
             LOG_I("pid", u->successor), LOG_C("reason", reason));
    kill_successor(u);
}

/* It has ended: how. */
static void give_up_ended(struct upgrade *u)
{
    siginfo_t info = {0};
    char reason[96] = "it has ended";

    if (waitid(P_PID, (id_t)u->successor, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid != 0) {
        const char *name = info.si_code != CLD_EXITED ? sigabbrev_np(info.si_status) : NULL;

        if (info.si_code == CLD_EXITED)
            snprintf(reason, sizeof reason, "exit status %d", info.si_status);
        else
            snprintf(reason, sizeof reason, "signal %s%s", name != NULL ? "SIG" : "",
                     name != NULL ? name : "");
    }
    upgrade_give_up(u, reason);
}

static void upgrade_on_ended(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct upgrade *u = watcher->data;
    (void)loop;
    (void)revents;

    upgrade_stop_waiting(u);
    give_up_ended(u);
}

/* The pipe is closed before the process can be waited for. */
static void await_end(struct upgrade *u)
{
    int pidfd = (int)syscall(SYS_pidfd_open, u->successor, 0);

    if (pidfd < 0) {
        give_up_ended(u);
        return;
    }
    ev_set_cb(&u->ready, upgrade_on_ended);
    upgrade_watch(u, pidfd, END_WAIT);
}

/* Which of our listeners it serves: the files of the others are ours to remove. */
static void upgrade_hand_over(const struct listeners *set, const char *word)
{
    const char *taken = word[1] == ':' ? word + 2 : NULL;
    char number[16];

    for (struct listener *l = set->first; l != NULL; l = l->next) {
        snprintf(number, sizeof number, " %d ", l->fd);
        l->handed_over = l->offered && (taken == NULL || strstr(taken, number) != NULL);
    }
    if (set->admin == NULL)
        return;
    snprintf(number, sizeof number, " %d ", set->admin->fd);
    set->admin->handed_over =
        set->admin->offered && (taken == NULL || strstr(taken, number) != NULL);
}

static void upgrade_on_ready(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct upgrade *u = watcher->data;
    char word[SUCCESSOR_WORD_MAX + 2], reason[128];
    ssize_t n = read(watcher->fd, word, SUCCESSOR_WORD_MAX);
    (void)loop;
    (void)revents;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    upgrade_stop_waiting(u);
    memcpy(word + (n > 0 ? n : 0), " ", 2); /* a blank behind the last number, too */
    if (n > 0 && word[0] == '1') {
        log_line(&u->worker->log, LOG_INFO, "the successor serves", LOG_I("pid", u->successor));
        upgrade_hand_over(u->set, word);
        u->done(u->owner, u->successor);
    } else if (n > 0 && word[0] == 'E') {
        snprintf(reason, sizeof reason, "cannot execute it: %s",
                 strerror((int)strtol(word + 1, NULL, 10)));
        upgrade_give_up(u, reason);
    } else {
        await_end(u);
    }
}

/* It hangs. The sockets it has from us are closed by its death; here they were never given up. */
static void upgrade_on_late(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct upgrade *u = timer->data;
    (void)loop;
    (void)revents;

    upgrade_stop_waiting(u);
    if (u->ready.cb == upgrade_on_ended) {
        upgrade_give_up(u, "it lives and has let go of its predecessor");
        return;
    }
    log_line(&u->worker->log, LOG_ERROR,
             "the successor does not serve within upgrade-timeout and was killed; this process "
             "goes on",
             LOG_I("pid", u->successor));
    kill_successor(u);
}

/* ---- its start ---- */

void upgrade_init(struct upgrade *u, struct worker *w, char **argv, void (*done)(void *, pid_t),
                  void *owner)
{
    u->worker = w;
    u->argv = argv;
    u->program = successor_program(argv[0]);
    u->done = done;
    u->owner = owner;
    ev_init(&u->ready, upgrade_on_ready);
    ev_timer_init(&u->late, upgrade_on_late, 0, 0);
    u->ready.data = u->late.data = u;
}

/* "FD=ADDRESS" lines for all listeners; malloc'd, NULL without memory. */
static char *describe_sockets(const struct listeners *set)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (f == NULL)
        return NULL;
    for (const struct listener *l = set->first; l != NULL; l = l->next)
        fprintf(f, "%d=%s\n", l->fd, l->text);
    if (set->admin != NULL)
        fprintf(f, "%d=" ADMIN_PASSED "%s\n", set->admin->fd, set->admin->text);
    return fclose(f) == 0 ? text : NULL;
}

static void offer(struct listener *l)
{
    if (l != NULL)
        l->offered = true;
}

void upgrade_start(struct upgrade *u, const struct listeners *set)
{
    char *sockets = describe_sockets(set);
    int ends[2] = {-1, -1};

    if (u->successor != 0) {
        log_printf(&u->worker->log, LOG_WARN, "a successor is being started already");
    } else if (sockets == NULL || u->program == NULL || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ||
               (u->successor = fork()) < 0) {
        log_line(&u->worker->log, LOG_ERROR, "cannot start a successor",
                 LOG_C("reason", strerror(errno)));
        u->successor = 0;
        if (ends[0] >= 0)
            close(ends[0]);
    } else if (u->successor == 0) {
        successor_become(u->worker, u->program, u->argv, set, sockets, ends[1]);
    } else {
        (void)setpgid(u->successor, 0); /* it does so, too: whoever comes first */
        log_line(&u->worker->log, LOG_INFO, "starting a successor", LOG_I("pid", u->successor),
                 LOG_C("program", u->program));
        for (struct listener *l = set->first; l != NULL; l = l->next)
            offer(l);
        offer(set->admin);
        u->set = set;
        ev_set_cb(&u->ready, upgrade_on_ready);
        upgrade_watch(u, ends[0], core_of(u->worker)->config->upgrade_timeout);
    }
    if (ends[1] >= 0)
        close(ends[1]);
    free(sockets);
}

void upgrade_cancel(struct upgrade *u)
{
    if (!ev_is_active(&u->ready))
        return;
    log_line(&u->worker->log, LOG_WARN, "told to stop: the successor that was starting is ended",
             LOG_I("pid", u->successor));
    upgrade_stop_waiting(u);
    kill_successor(u);
}

void upgrade_release(struct upgrade *u)
{
    if (ev_is_active(&u->ready))
        upgrade_stop_waiting(u);
    free(u->program);
}
