/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/limits.h"
#include "core/session.h"
#include "io/accept.h"
#include "io/child.h"
#include "io/resolve.h"
#include "tables.h"

#define RESERVED_DESCRIPTORS \
    64                /* of the limit: listeners, logs, resolver, connections without a session */
#define KILL_WAIT 2.0 /* seconds to reap what was killed at the very end */

struct server {
    struct worker worker;
    struct sessions sessions;
    struct connections connections;
    struct listener *listeners;
    ev_signal terminate, interrupt, hangup, reopen;
    ev_timer drain_deadline;
    ev_prepare drained;
    bool draining;
};

static int complain(const char *what, const char *name, const char *why)
{
    fprintf(stderr, "wsluice: %s%s%s: %s\n", what, name != NULL ? " " : "",
            name != NULL ? name : "", why);
    return -1;
}

/* ---- before the loop ---- */

/* Descriptors 0 to 2 exist, so that no socket of ours takes their place; nothing else is passed on
 * to programs. */
static void tidy_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null",
                  O_RDWR); /* not close-on-exec: it stands in for a standard descriptor */
    } while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
    (void)syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
}

/* As many descriptors as the system lets us have; programs get the old limit back. */
static void raise_descriptor_limit(struct worker *w)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    w->nofile_at_start = limit;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t derive_max_sessions(const struct config *c)
{
    struct rlimit limit = {.rlim_cur = 1024};
    unsigned each = 1;

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (size_t i = 0; i < c->route_count; i++) {
        if (1 + c->routes[i].backend->descriptors > each)
            each = 1 + c->routes[i].backend->descriptors;
    }
    if (limit.rlim_cur <= 2 * RESERVED_DESCRIPTORS)
        return limit.rlim_cur / 2 / each + 1;
    return (limit.rlim_cur - RESERVED_DESCRIPTORS) / each;
}

static int open_static(struct config *c)
{
    if (c->static_dir == NULL)
        return 0;
    c->static_fd = open(c->static_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (c->static_fd < 0 || faccessat(AT_FDCWD, c->static_dir, R_OK | X_OK, AT_EACCESS) < 0)
        return complain("--static", c->static_dir, strerror(errno));
    return 0;
}

static int check_routes(struct config *c)
{
    for (size_t i = 0; i < c->route_count; i++) {
        struct route *r = &c->routes[i];
        const char *wrong =
            r->backend->check != NULL ? r->backend->check(&r->target, &c->arena) : NULL;

        if (wrong != NULL)
            return complain("cannot use", r->target.text, wrong);
        if (r->settings.cwd != NULL && access(r->settings.cwd, X_OK) < 0)
            return complain("--cwd", r->settings.cwd, strerror(errno));
    }
    return 0;
}

static void on_accepted(void *owner, int fd, const union addr *client)
{
    struct server *s = owner;
    const struct front_accepted a = {.fd = fd, .client = client};

    fronts[0]->open(&s->worker, &a);
}

static void on_admin_accepted(void *owner, int fd, const union addr *client)
{
    struct server *s = owner;
    const struct front_accepted a = {.fd = fd, .client = client, .admin = true};

    fronts[0]->open(&s->worker, &a);
}

static int open_listeners(struct server *s, const struct config *c)
{
    char error[LISTENER_ERROR_MAX];

    for (size_t i = 0; i < c->listen_count; i++) {
        const struct listen_spec *l = &c->listen[i];
        const struct listener_spec spec = {
            .text = l->text,
            .unix_path = l->unix_path,
            .unix_mode = l->unix_mode,
            .host = l->host,
            .port = l->port,
            .reuse_port = c->reuse_port,
        };
        struct listener *opened = listener_open(&s->worker, &spec, on_accepted, s, error);

        if (opened == NULL) {
            fprintf(stderr, "wsluice: %s\n", error);
            return -1;
        }
        opened->next = s->listeners;
        s->listeners = opened;
    }
    return 0;
}

static void close_listeners(struct server *s)
{
    struct listener *next;

    for (struct listener *l = s->listeners; l != NULL; l = next) {
        next = l->next;
        listener_close(l);
    }
    s->listeners = NULL;
}

/* ---- the end ---- */

static void end_now(struct server *s)
{
    sessions_drop(&s->worker);
    connections_drop(&s->connections);
    child_kill_all(&s->worker, KILL_WAIT);
    ev_break(s->worker.loop, EVBREAK_ALL);
}

/* Runs at the end of every turn while draining. */
static void on_drain_turn(struct ev_loop *loop, ev_prepare *watcher, int revents)
{
    struct server *s = watcher->data;
    (void)revents;

    if (s->sessions.count == 0 && s->connections.count == 0 && child_count(&s->worker) == 0)
        ev_break(loop, EVBREAK_ALL);
}

static void on_drain_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct server *s = timer->data;
    (void)loop;
    (void)revents;

    log_line(&s->worker.log, LOG_WARN, "drain-timeout is over, ending what is left",
             LOG_I("sessions", s->sessions.count), LOG_I("programs", child_count(&s->worker)));
    end_now(s);
}

static void on_terminate(struct ev_loop *loop, ev_signal *signal_, int revents)
{
    struct server *s = signal_->data;
    (void)revents;

    if (s->draining) {
        log_line(&s->worker.log, LOG_WARN, "told to stop again, ending now",
                 LOG_I("sessions", s->sessions.count));
        end_now(s);
        return;
    }
    s->draining = true;
    log_line(&s->worker.log, LOG_INFO, "stopping", LOG_I("sessions", s->sessions.count));
    close_listeners(s);
    connections_go_away(&s->connections);
    sessions_shut(&s->worker, "shutdown");
    ev_timer_set(&s->drain_deadline, s->worker.config->drain_timeout, 0);
    ev_timer_start(loop, &s->drain_deadline);
    ev_prepare_start(loop, &s->drained);
}

static void on_other_signal(struct ev_loop *loop, ev_signal *signal_, int revents)
{
    struct server *s = signal_->data;
    (void)loop;
    (void)revents;

    log_line(&s->worker.log, LOG_INFO, "signal ignored", LOG_I("signal", signal_->signum));
}

static void watch_signals(struct server *s)
{
    struct ev_loop *loop = s->worker.loop;

    ev_signal_init(&s->terminate, on_terminate, SIGTERM);
    ev_signal_init(&s->interrupt, on_terminate, SIGINT);
    ev_signal_init(&s->hangup, on_other_signal, SIGHUP);
    ev_signal_init(&s->reopen, on_other_signal, SIGUSR1);
    s->terminate.data = s->interrupt.data = s->hangup.data = s->reopen.data = s;
    ev_signal_start(loop, &s->terminate);
    ev_signal_start(loop, &s->interrupt);
    ev_signal_start(loop, &s->hangup);
    ev_signal_start(loop, &s->reopen);
    ev_timer_init(&s->drain_deadline, on_drain_deadline, 0, 0);
    ev_prepare_init(&s->drained, on_drain_turn);
    ev_set_priority(&s->drained, EV_MINPRI); /* after the worker's own end of the turn */
    s->drain_deadline.data = s->drained.data = s;
}

static void unwatch_signals(struct server *s)
{
    struct ev_loop *loop = s->worker.loop;

    ev_signal_stop(loop, &s->terminate);
    ev_signal_stop(loop, &s->interrupt);
    ev_signal_stop(loop, &s->hangup);
    ev_signal_stop(loop, &s->reopen);
    ev_timer_stop(loop, &s->drain_deadline);
    ev_prepare_stop(loop, &s->drained);
}

/* ---- all of it ---- */

static int server_open(struct server *s, struct config *c)
{
    struct worker *w = &s->worker;

    tidy_descriptors();
    raise_descriptor_limit(w);
    (void)signal(SIGPIPE, SIG_IGN);
    log_init(&w->log, (enum log_level)c->log_level, (enum log_format)c->log_format);
    w->config = c;
    w->sessions = &s->sessions;
    w->connections = &s->connections;
    w->dns_servers = c->dns_servers;
    w->limits = limits_new();
    if (w->limits == NULL || worker_init(w) < 0)
        return complain("cannot start", NULL, strerror(errno));
    watch_signals(s);
    if (c->max_sessions == 0)
        c->max_sessions = derive_max_sessions(c);
    if (open_static(c) < 0 || check_routes(c) < 0)
        return -1;
    return open_listeners(s, c);
}

static void server_close(struct server *s)
{
    struct worker *w = &s->worker;

    close_listeners(s);
    if (w->loop != NULL) {
        unwatch_signals(s);
        resolve_release(w);
        worker_release(w);
    }
    limits_free(w->limits);
    config_release(w->config);
    log_release(&w->log);
}

int server_run(struct config *c)
{
    struct server *s = calloc(1, sizeof *s);
    int rc;

    if (s == NULL) {
        config_release(c);
        return complain("cannot start", NULL, "out of memory") == 0 ? 0 : 1;
    }
    rc = server_open(s, c);
    if (rc == 0) {
        for (struct listener *l = s->listeners; l != NULL; l = l->next) {
            listener_start(l);
            log_printf(&s->worker.log, LOG_INFO, "listening on %s", l->url);
        }
        worker_run(&s->worker);
        log_printf(&s->worker.log, LOG_INFO, "stopped");
    }
    server_close(s);
    free(s);
    return rc == 0 ? 0 : 1;
}
