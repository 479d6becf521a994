/* SPDX-License-Identifier: MIT */
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin.h"
#include "io/child_rules.h"

static char *own_program(const char *argv0)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

    if (n <= 0)
        return strdup(argv0);
    path[n] = '\0';
    return strdup(path);
}

static void stop_waiting(struct upgrade *u)
{
    int fd = u->ready.fd;

    ev_io_stop(u->worker->loop, &u->ready);
    ev_ref(u->worker->loop);
    ev_timer_stop(u->worker->loop, &u->late);
    close(fd);
}

static void kill_successor(struct upgrade *u)
{
    (void)kill(u->successor, SIGKILL);
    (void)waitpid(u->successor, NULL, 0);
    u->successor = 0;
}

static void on_ready(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct upgrade *u = watcher->data;
    char byte;
    ssize_t n = read(watcher->fd, &byte, 1);
    (void)loop;
    (void)revents;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    stop_waiting(u);
    if (n == 1) {
        log_line(&u->worker->log, LOG_INFO, "the successor serves", LOG_I("pid", u->successor));
        u->done(u->owner, u->successor);
        return;
    }
    log_line(&u->worker->log, LOG_ERROR, "the successor did not start; this process goes on",
             LOG_I("pid", u->successor));
    /* Its pipe is closed, so it has ended or is no successor: it must not hold us in waitpid. */
    kill_successor(u);
}

/* It hangs. The sockets it has from us are closed by its death; here they were never given up. */
static void on_late(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct upgrade *u = timer->data;
    (void)loop;
    (void)revents;

    stop_waiting(u);
    log_line(&u->worker->log, LOG_ERROR,
             "the successor does not serve within upgrade-timeout and was killed; this process "
             "goes on",
             LOG_I("pid", u->successor));
    kill_successor(u);
}

void upgrade_init(struct upgrade *u, struct worker *w, char **argv, void (*done)(void *, pid_t),
                  void *owner)
{
    u->worker = w;
    u->argv = argv;
    u->program = own_program(argv[0]);
    u->done = done;
    u->owner = owner;
    ev_init(&u->ready, on_ready);
    ev_timer_init(&u->late, on_late, 0, 0);
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

/* What we kept for a need, the successor needs, too: execve leaves nothing else to who is not root.
 */
static void pass_capabilities_on(uint64_t caps)
{
    if (caps == 0 || child_caps_set(caps, caps, caps) != 0)
        return; /* it will say what it lacks */
    for (unsigned long cap = 0; cap < 64; cap++) {
        if (caps >> cap & 1)
            (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    }
}

/* In the child of fork: never returns. */
static void become_successor(const struct upgrade *u, const struct listeners *set,
                             const char *sockets, int pipe_fd)
{
    const struct rlimit *limit = &u->worker->nofile_at_start;
    char number[16];
    sigset_t none;

    for (const struct listener *l = set->first; l != NULL; l = l->next)
        (void)fcntl(l->fd, F_SETFD, 0);
    if (set->admin != NULL)
        (void)fcntl(set->admin->fd, F_SETFD, 0);
    (void)fcntl(pipe_fd, F_SETFD, 0);
    snprintf(number, sizeof number, "%d", pipe_fd);
    (void)setenv("WSLUICE_PASSED", sockets, 1);
    (void)setenv("WSLUICE_READY", number, 1);
    if (getenv("WATCHDOG_PID") != NULL) { /* the service manager's watchdog is its to feed now */
        snprintf(number, sizeof number, "%d", (int)getpid());
        (void)setenv("WATCHDOG_PID", number, 1);
    }
    if (limit->rlim_max != 0)
        (void)setrlimit(RLIMIT_NOFILE, limit);
    pass_capabilities_on(u->worker->caps);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    execv(u->program, u->argv);
    _exit(127);
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
        become_successor(u, set, sockets, ends[1]);
    } else {
        log_line(&u->worker->log, LOG_INFO, "starting a successor", LOG_I("pid", u->successor),
                 LOG_C("program", u->program));
        ev_io_set(&u->ready, ends[0], EV_READ);
        ev_io_start(u->worker->loop, &u->ready);
        ev_unref(u->worker->loop);
        ev_timer_set(&u->late, u->worker->config->upgrade_timeout, 0);
        ev_timer_start(u->worker->loop, &u->late);
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
    stop_waiting(u);
    kill_successor(u);
}

void upgrade_tell_ready(void)
{
    const char *number = getenv("WSLUICE_READY");
    int fd = number != NULL ? (int)strtol(number, NULL, 10) : -1;

    (void)unsetenv("WSLUICE_READY");
    if (fd <= STDERR_FILENO)
        return;
    (void)!write(fd, "1", 1); /* a predecessor that is gone needs no word */
    close(fd);
}

void upgrade_release(struct upgrade *u)
{
    if (ev_is_active(&u->ready))
        stop_waiting(u);
    free(u->program);
}
