/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "core/admission/admission.h"
#include "core/admission/limits.h"
#include "core/admission/waiting.h"
#include "core/auth/auth.h"
#include "core/client/deflate_pool.h"
#include "core/control.h"
#include "core/core.h"
#include "core/observe/stats.h"
#include "core/program/attr.h"
#include "core/session/banned.h"
#include "core/session/session.h"
#include "io/child/cgroup.h"
#include "io/child/child.h"
#include "io/resolve.h"
#include "server/admin.h"
#include "server/kinds.h"
#include "server/listeners.h"
#include "server/notify.h"
#include "server/pages.h"
#include "server/prepare.h"
#include "server/priv.h"
#include "server/reaper.h"
#include "server/renew.h"
#include "server/signals.h"
#include "server/successor.h"
#include "server/upgrade.h"

#define KILL_WAIT 2.0  /* seconds to reap what was killed at the very end */
#define ASKING 1.0     /* seconds that a reload may wait for names and accounts, in all */
#define PACE 0.1       /* seconds between two batches of Close 1001 while draining */
#define PACE_BATCH 100 /* sessions of a batch, at least */

struct server {
    struct core core;
    struct sessions sessions;
    struct connections connections;
    struct listeners listeners;
    struct passed passed;
    struct notify notify;
    struct upgrade upgrade;
    struct renew renew;
    struct banned_walk banned;
    struct priv priv;
    bool user_given; /* who we are was said at the start; later it cannot be */
    const struct server_loader *loader;
    struct control control;
    char *told; /* what a reload by the admin door has to say is also written here */
    size_t told_size;
    struct signals signals;
    struct reaper reaper;
    ev_timer drain_step; /* first the delay before it begins, then the paced closing */
    ev_timer drain_deadline;
    ev_prepare drained;
    size_t drain_batch;
    bool handed_over;
};

/* ---- the end ---- */

static void end_now(struct server *s)
{
    sessions_drop(&s->core.worker);
    connections_drop(&s->connections);
    child_kill_all(&s->core.worker, KILL_WAIT);
    ev_break(s->core.worker.loop, EVBREAK_ALL);
}

/* Runs at the end of every turn while draining. */
static void on_drain_turn(struct ev_loop *loop, ev_prepare *watcher, int revents)
{
    struct server *s = watcher->data;
    (void)revents;

    if (s->sessions.count == 0 && s->connections.count == 0 && child_count(&s->core.worker) == 0)
        ev_break(loop, EVBREAK_ALL);
}

static void on_drain_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct server *s = timer->data;
    (void)loop;
    (void)revents;

    log_line(&s->core.worker.log, LOG_WARN, "drain-timeout is over, ending what is left",
             LOG_I("sessions", s->sessions.count), LOG_I("programs", child_count(&s->core.worker)));
    end_now(s);
}

/* Clients that are told to go come back somewhere else at once: not all in the same moment. */
static size_t drain_batch(const struct server *s)
{
    double steps = s->core.config->drain_timeout / 2 / PACE;
    size_t batch = (size_t)((double)s->sessions.count / (steps < 1 ? 1 : steps)) + 1;

    return batch < PACE_BATCH ? PACE_BATCH : batch;
}

static void on_drain_step(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct server *s = timer->data;
    (void)revents;

    if (s->drain_batch == 0) {
        listeners_close(&s->listeners);
        s->drain_batch = drain_batch(s);
        ev_prepare_start(loop, &s->drained);
    }
    /* To the end: requests that were on their way still become sessions. */
    connections_go_away(&s->connections);
    (void)sessions_shut(&s->core.worker, "shutdown", s->drain_batch);
}

/* Readiness turns false first; after drain-delay nothing new is accepted and clients are told to
 * go. With a successor there is nothing to wait for: it serves the same sockets. */
static void drain(struct server *s)
{
    const struct config *c = s->core.config;
    double delay = s->handed_over ? 0 : c->drain_delay;

    if (s->core.draining)
        return;
    upgrade_cancel(&s->upgrade);
    s->core.draining = true;
    log_line(&s->core.worker.log, LOG_INFO, "stopping", LOG_I("sessions", s->sessions.count));
    /* silent when a successor serves: the service as a whole goes on */
    notify_send(&s->notify, "STOPPING=1\nSTATUS=draining %zu sessions", s->sessions.count);
    ev_timer_set(&s->drain_deadline, delay + c->drain_timeout, 0);
    ev_timer_start(s->core.worker.loop, &s->drain_deadline);
    ev_timer_set(&s->drain_step, delay, PACE);
    ev_timer_start(s->core.worker.loop, &s->drain_step);
}

static void on_terminate(void *server)
{
    struct server *s = server;

    if (s->core.draining) {
        log_line(&s->core.worker.log, LOG_WARN, "told to stop again, ending now",
                 LOG_I("sessions", s->sessions.count));
        end_now(s);
        return;
    }
    drain(s);
}

/* ---- reload and succession ---- */

static void log_fault(void *arg, const char *line)
{
    struct server *s = arg;

    log_printf(&s->core.worker.log, LOG_ERROR, "%s", line);
    if (s->told == NULL)
        return;
    int n = snprintf(s->told, s->told_size, "%s\n", line);
    n = n < (int)s->told_size ? n : (int)s->told_size - 1;
    s->told += n;
    s->told_size -= (size_t)n;
}

static void announce_ready(struct server *s)
{
    notify_send(&s->notify, "READY=1\nSTATUS=serving %zu routes", s->core.config->route_count);
}

static void on_admin_accepted(struct listener *l, int fd, const union addr *client)
{
    struct server *s = l->owner;
    const struct front_accepted a = {.fd = fd, .client = client, .admin = true};

    fronts[0]->open(&s->core.worker, &a);
}

/* What a configuration listens on and we do not yet. */
struct opened {
    struct listener *listeners, *admin;
};

/* Root serves other machines only when told to. */
static bool may_serve(const struct server *s, const struct opened *o, char error[PRIV_ERROR_MAX])
{
    const struct listener *l = listeners_exposed(&s->listeners, o->listeners);

    return l == NULL || priv_may_expose(s->user_given, l->text, error);
}

/* Opens all of it, or nothing: 0, or the exit status that server_run has for it, with error. */
static int open_all(struct server *s, const struct config *c, struct opened *o,
                    char error[PRIV_ERROR_MAX])
{
    int status = 0;

    *o = (struct opened){0};
    priv_raise_bind(&s->core.worker, true);
    if (listeners_open(&s->listeners, c, &s->passed, &o->listeners, error) < 0)
        status = 1;
    priv_raise_bind(&s->core.worker, false);
    if (status == 0 && !may_serve(s, o, error))
        status = 2;
    if (status == 0 && admin_open(&s->core.worker, c, &s->passed, s->listeners.admin,
                                  on_admin_accepted, s, &o->admin, error) < 0)
        status = 1;
    if (status != 0)
        listeners_abandon(o->listeners);
    return status;
}

static void adopt_all(struct server *s, const struct config *c, const struct opened *o)
{
    admin_adopt(&s->core.worker, c, &s->listeners.admin, o->admin);
    listeners_adopt(&s->listeners, o->listeners);
}

static void warn_about(struct log *log, const struct config *c)
{
    if (attr_leaves_truncation(c))
        log_printf(log, LOG_WARN,
                   "read-paths, write-paths: this kernel cannot keep programs from shortening "
                   "(truncate) files elsewhere; Linux 6.2 can");
}

/* Puts a prepared configuration in force. False when its listeners cannot be had: nothing has
 * changed then. */
static bool swap(struct server *s, struct config *c)
{
    char error[PRIV_ERROR_MAX];
    struct config *old = s->core.config;
    struct opened opened;

    struct cgroups *groups = s->core.worker.cgroups;

    if ((groups != NULL && !cgroups_enable(groups, attr_controllers(c), error)) ||
        priv_admits(&s->priv, &s->core.worker, c, &s->listeners, error) < 0 ||
        open_all(s, c, &opened, error) != 0) {
        log_fault(s, error);
        return false;
    }
    adopt_all(s, c, &opened);
    priv_apply(&s->priv, c);
    warn_about(&s->core.worker.log, c);
    stats_apply(&s->core.worker, c);
    s->core.config = c;
    s->core.worker.dns_servers = c->dns_servers;
    admission_apply(s->core.admission, c);
    renew_apply(&s->renew);
    s->core.worker.log.level = (enum log_level)c->log_level;
    s->core.worker.log.format = (enum log_format)c->log_format;
    config_release(old);
    return true;
}

/* True when the new configuration is in force. */
static bool reload(struct server *s)
{
    rlim_t reserve = descriptors_open_reserve();
    struct config *c;
    bool ok;

    notify_send(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(worker_clock() * 1e6));
    c = s->loader->load(s->loader->arg, log_fault, s);
    if (c != NULL)
        c->accounts->ask = (struct ask_limit){.is_limited = true, .left = ASKING};
    ok = c != NULL && prepare_config(c, log_fault, s) == 0 && swap(s, c);
    if (ok)
        log_line(&s->core.worker.log, LOG_INFO, "reloaded", LOG_I("routes", c->route_count));
    else
        log_printf(&s->core.worker.log, LOG_ERROR,
                   "not reloaded: the old configuration stays in force");
    if (!ok && c != NULL)
        config_release(c);
    descriptors_close_reserve(reserve);
    stats_reloaded(&s->core.worker, ok);
    announce_ready(s);
    return ok;
}

static int reload_by_order(void *server, char *message, size_t size)
{
    struct server *s = server;

    if (s->core.draining) {
        snprintf(message, size, "draining: nothing is reloaded any more");
        return -1;
    }
    s->told = message;
    s->told_size = size;
    bool ok = reload(s);
    s->told = NULL;
    return ok ? 0 : -1;
}

static void drain_by_order(void *server)
{
    drain(server);
}

static void on_hangup(void *server)
{
    struct server *s = server;

    if (!s->core.draining)
        (void)reload(s);
}

static void on_reopen(void *server)
{
    struct server *s = server;
    rlim_t reserve = descriptors_open_reserve();

    log_reopen(&s->core.worker.log);
    descriptors_close_reserve(reserve);
}

static void on_succeed(void *server)
{
    struct server *s = server;
    rlim_t reserve = descriptors_open_reserve();

    if (!s->core.draining)
        upgrade_start(&s->upgrade, &s->listeners);
    descriptors_close_reserve(reserve);
}

static void on_successor_serves(void *owner, pid_t successor)
{
    struct server *s = owner;

    notify_send(&s->notify, "MAINPID=%d", (int)successor);
    notify_close(&s->notify);
    s->handed_over = true;
    admin_close(&s->listeners.admin); /* orders are for the one that stays */
    drain(s);
}

/* ---- all of it ---- */

static void on_accepted(struct listener *l, int fd, const union addr *client)
{
    struct server *s = l->owner;
    const struct listen_spec *spec = l->spec;
    const struct front_accepted a = {
        .fd = fd,
        .client = client,
        .tls = spec->tls,
        .proxied = spec->accept_proxy,
        .redirect = spec->redirect ? listeners_tls_port(&s->listeners) : 0,
    };

    fronts[0]->open(&s->core.worker, &a);
}

static void on_child_ended(void *server)
{
    struct server *s = server;

    reaper_look(&s->reaper);
}

/* The first is for those to whom orphans come. */
static const struct signals_row orders[] = {
    {SIGCHLD, on_child_ended, false},
    {SIGTERM, on_terminate, false},
    {SIGINT, on_terminate, false},
    {SIGHUP, on_hangup, true},
    {SIGUSR1, on_reopen, false},
    {SIGUSR2, on_succeed, true},
    {0},
};

/* -1 with errno. */
static int watch_signals(struct server *s)
{
    ev_timer_init(&s->drain_deadline, on_drain_deadline, 0, 0);
    ev_timer_init(&s->drain_step, on_drain_step, 0, 0);
    ev_prepare_init(&s->drained, on_drain_turn);
    ev_set_priority(&s->drained, EV_MINPRI); /* after the worker's own end of the turn */
    s->drain_step.data = s->drain_deadline.data = s->drained.data = s;
    reaper_init(&s->reaper, &s->core.worker, &s->upgrade.successor);
    return signals_open(&s->signals, &s->core.worker, reaper_is_needed() ? orders : orders + 1, s);
}

static void unwatch_signals(struct server *s)
{
    struct ev_loop *loop = s->core.worker.loop;

    signals_close(&s->signals);
    reaper_stop(&s->reaper);
    ev_timer_stop(loop, &s->drain_step);
    ev_timer_stop(loop, &s->drain_deadline);
    ev_prepare_stop(loop, &s->drained);
}

static void server_complain(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "wsluice: %s\n", line);
}

static int open_log(struct server *s, const struct config *c)
{
    char line[512];
    int have = successor_log(c->log_to);

    if (log_open(&s->core.worker.log, c->log_to, c->syslog_socket, have) == 0)
        return 0;
    snprintf(line, sizeof line, "log-to %.300s: %s", c->log_to, strerror(errno));
    server_complain(NULL, line);
    return -1;
}

/* What needs nothing of the world but memory. False with errno. */
static bool make_parts(struct server *s, struct config *c)
{
    struct worker *w = &s->core.worker;

    s->core.config = c;
    s->user_given = c->user != NULL;
    s->core.sessions = &s->sessions;
    s->connections.front = fronts[0];
    s->core.connections = &s->connections;
    s->core.limits = limits_new();
    s->core.stats = stats_new();
    s->core.admission = admission_new(w);
    s->core.waiting = waiting_new();
    w->make_room = waiting_make_room;
    s->core.auth = auth_new(w);
    s->control = (struct control){reload_by_order, drain_by_order, s};
    s->core.control = &s->control;
    s->notify.fd = -1;
    return s->core.limits != NULL && s->core.stats != NULL && s->core.admission != NULL &&
           s->core.auth != NULL && s->core.waiting != NULL;
}

/* Before we become who we will be, and after it. False with a complaint. */
static bool open_cgroups(struct worker *w, const struct config *c)
{
    char error[CGROUPS_ERROR_MAX];

    if (c->cgroup != NULL)
        w->cgroups = cgroups_open(c->cgroup, priv_user(c), error);
    if (c->cgroup == NULL)
        return true;
    if (w->cgroups != NULL && cgroups_enable(w->cgroups, attr_controllers(c), error))
        return true;
    server_complain(NULL, error);
    return false;
}

static bool try_cgroups(struct worker *w, const struct config *c)
{
    char error[CGROUPS_ERROR_MAX];

    if (w->cgroups == NULL)
        return true;
    if (!cgroups_try(w->cgroups, error)) {
        server_complain(NULL, error);
        return false;
    }
    log_line(&w->log, LOG_INFO, "programs have control groups", LOG_C("cgroup", c->cgroup));
    return true;
}

/* 0, or the exit status. */
static int server_open(struct server *s, struct config *c)
{
    struct worker *w = &s->core.worker;
    char error[PRIV_ERROR_MAX];
    struct opened opened;
    bool made = make_parts(s, c);
    int status;

    if (prepare_limits(server_complain, NULL) > 0 || (made && open_log(s, c) < 0))
        return 1;
    if (!made || passed_read(&s->passed) < 0 || worker_init(w) < 0 || watch_signals(s) < 0) {
        server_complain(NULL, strerror(errno));
        return 1;
    }
    w->dns_servers = c->dns_servers;
    upgrade_init(&s->upgrade, w, s->loader->argv, on_successor_serves, s);
    s->listeners = (struct listeners){.worker = w, .accepted = on_accepted, .owner = s};
    if (prepare_config(c, server_complain, NULL) > 0)
        return 1;
    stats_apply(w, c);
    status = priv_judge(c, error) < 0 ? 1 : open_all(s, c, &opened, error);
    if (status != 0) {
        server_complain(NULL, error);
        return status;
    }
    adopt_all(s, c, &opened);
    if (!open_cgroups(w, c))
        return 1;
    if (priv_drop(&s->priv, w, c, error) < 0) {
        server_complain(NULL, error);
        return 1;
    }
    warn_about(&w->log, c);
    if (prepare_writable(c, server_complain, NULL) > 0 || !try_cgroups(w, c))
        return 1;
    banned_init(&s->banned, w);
    admission_apply(s->core.admission, c);
    renew_init(&s->renew, w);
    renew_apply(&s->renew);
    notify_open(&s->notify, w->loop);
    successor_ready(&s->passed);
    passed_release(&s->passed);
    listeners_own(&s->listeners);
    pages_tell(&s->listeners, c);
    announce_ready(s);
    return 0;
}

static void server_close(struct server *s)
{
    struct worker *w = &s->core.worker;

    listeners_close(&s->listeners);
    admin_close(&s->listeners.admin);
    passed_release(&s->passed);
    notify_close(&s->notify);
    if (s->banned.worker != NULL)
        banned_release(&s->banned);
    admission_free(s->core.admission);
    if (w->loop != NULL) {
        upgrade_release(&s->upgrade);
        unwatch_signals(s);
        renew_release(&s->renew);
        connections_drop(&s->connections);
        stats_free(w);
        resolve_release(w);
        worker_release(w);
    }
    cgroups_close(w->cgroups);
    stats_free(w);
    limits_free(s->core.limits);
    auth_free(s->core.auth);
    waiting_free(s->core.waiting);
    deflate_pool_free(w);
    config_release(s->core.config);
    log_release(&w->log);
}

int server_run(struct config *c, const struct server_loader *loader)
{
    struct server *s = calloc(1, sizeof *s);
    int rc;

    if (s == NULL) {
        server_complain(NULL, "out of memory");
        config_release(c);
        return 1;
    }
    s->loader = loader;
    prepare_process(&s->core.worker);
    log_init(&s->core.worker.log, (enum log_level)c->log_level, (enum log_format)c->log_format);
    rc = server_open(s, c);
    if (rc == 0) {
        worker_run(&s->core.worker);
        log_printf(&s->core.worker.log, LOG_INFO, "stopped");
    }
    server_close(s);
    free(s);
    return rc;
}
