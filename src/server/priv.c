/* SPDX-License-Identifier: MIT */
#include "server/priv.h"

#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/account.h"
#include "core/program/attr.h"

#define SECUREBITS                                                   \
    (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | \
     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED)
#define AMBIENT_OFF (SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

#define BIT(cap) (UINT64_C(1) << (cap))
#define FOR_PROGRAMS (BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL))
#define FOR_PORTS BIT(CAP_NET_BIND_SERVICE)

#define FIRST_FREE_PORT "/proc/sys/net/ipv4/ip_unprivileged_port_start"

static int priv_fault(char error[PRIV_ERROR_MAX], const char *what, const char *why)
{
    snprintf(error, PRIV_ERROR_MAX, "%s: %s", what, why);
    return -1;
}

/* ---- who we will be ---- */

/* Without an account we stay who we are. */
static int find_account(const struct config *c, struct account *a, char error[PRIV_ERROR_MAX])
{
    char why[ACCOUNT_ERROR_MAX];

    *a = (struct account){.uid = geteuid(), .gid = getegid()};
    if (c->user == NULL)
        return 0;
    const struct account *found = account_find(c->accounts, c->user, why);
    if (found != NULL) {
        *a = *found;
        return 0;
    }
    snprintf(error, PRIV_ERROR_MAX, "--user %s", why);
    return -1;
}

int priv_check(const struct config *c, char error[PRIV_ERROR_MAX])
{
    struct account a;

    return find_account(c, &a, error);
}

bool priv_stays_root(const struct config *c)
{
    char error[PRIV_ERROR_MAX];
    struct account a;

    return geteuid() == 0 && find_account(c, &a, error) == 0 && a.uid == 0;
}

uid_t priv_user(const struct config *c)
{
    char error[PRIV_ERROR_MAX];
    struct account a;

    return find_account(c, &a, error) == 0 ? a.uid : geteuid();
}

static int cannot_become(const struct account *a, const char *why, char error[PRIV_ERROR_MAX])
{
    snprintf(error, PRIV_ERROR_MAX, "--user %s: %s", a->name, why);
    return -1;
}

static int become(const struct account *a, char error[PRIV_ERROR_MAX])
{
    if (setgroups(a->group_count, a->groups) < 0 || setresgid(a->gid, a->gid, a->gid) < 0 ||
        setresuid(a->uid, a->uid, a->uid) < 0)
        return cannot_become(a, strerror(errno), error);
    return 0;
}

/* ---- what is needed ---- */

/* The first route whose program is somebody else. */
static const struct route *other_user(const struct config *c, uid_t uid, gid_t gid)
{
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route *r = &c->routes[i];

        if (attr_has_program(r) && r->attr != NULL && r->attr->set_user &&
            (r->attr->uid != uid || r->attr->gid != gid))
            return r;
    }
    return NULL;
}

static unsigned first_free_port(void)
{
    FILE *f = fopen(FIRST_FREE_PORT, "re");
    unsigned port = 1024;

    if (f != NULL && fscanf(f, "%5u", &port) != 1)
        port = 1024;
    if (f != NULL)
        fclose(f);
    return port;
}

static bool is_low(const struct listen_spec *l, unsigned first_free)
{
    return l->unix_path == NULL && l->port > 0 && l->port < first_free;
}

static uint64_t needs(const struct config *c, const struct account *a)
{
    uint64_t caps = other_user(c, a->uid, a->gid) != NULL ? FOR_PROGRAMS : 0;
    unsigned first_free = first_free_port();

    for (size_t i = 0; i < c->listen_count && c->from_file; i++) {
        if (is_low(&c->listen[i], first_free))
            caps |= FOR_PORTS;
    }
    return caps;
}

static int lacks_user(const struct route *r, const char *why, char error[PRIV_ERROR_MAX])
{
    snprintf(error, PRIV_ERROR_MAX,
             "%.200s%srun-as %.64s: another user's programs take CAP_SETUID, CAP_SETGID and "
             "CAP_KILL; %s",
             r->where != NULL ? r->where : "", r->where != NULL ? ": " : "", r->settings.run_as,
             why);
    return -1;
}

/* ---- giving up ---- */

/* What we have; 0 also when that cannot be known. */
static uint64_t permitted(void)
{
    cap_t caps = cap_get_proc();
    cap_flag_value_t value;
    uint64_t all = 0;

    for (cap_value_t c = 0; caps != NULL && c <= cap_max_bits(); c++) {
        if (cap_get_flag(caps, c, CAP_PERMITTED, &value) == 0 && value == CAP_SET)
            all |= BIT(c);
    }
    cap_free(caps);
    return all;
}

/* The bounding set and securebits can only be changed with capabilities: before they go. A
 * successor gets what we keep as ambient capabilities (upgrade.c); where there are none, nobody
 * needs that. */
static int lock_down(uint64_t keep, char error[PRIV_ERROR_MAX])
{
    for (cap_value_t c = 0; c <= cap_max_bits(); c++) {
        if (!(keep & BIT(c)) && cap_get_bound(c) > 0 && cap_drop_bound(c) < 0)
            return priv_fault(error, "capabilities: bounding set", strerror(errno));
    }
    if (cap_set_secbits(SECUREBITS | (keep == 0 ? AMBIENT_OFF : 0)) < 0)
        return priv_fault(error, "capabilities: securebits", strerror(errno));
    return 0;
}

static int keep_only(uint64_t keep, char error[PRIV_ERROR_MAX])
{
    cap_t caps = cap_init();
    int rc = caps != NULL ? 0 : -1;

    for (cap_value_t c = 0; rc == 0 && c <= cap_max_bits(); c++) {
        if (keep & BIT(c))
            rc = cap_set_flag(caps, CAP_PERMITTED, 1, &c, CAP_SET);
    }
    if (rc == 0)
        rc = cap_set_proc(caps);
    cap_free(caps);
    return rc < 0 ? priv_fault(error, "capabilities: dropping", strerror(errno)) : 0;
}

/* What we are not and cannot become. 0, or -1. */
static int judge_wishes(const struct config *c, const struct account *a, uint64_t need,
                        char error[PRIV_ERROR_MAX])
{
    bool changes = a->uid != geteuid() || a->gid != getegid(); /* a successor is it already */
    uint64_t have = permitted();

    if (changes && !(have & BIT(CAP_SETUID)))
        return cannot_become(a, "only root can become somebody else; start as root, or without it",
                             error);
    if ((need & FOR_PROGRAMS) & ~have)
        return lacks_user(other_user(c, a->uid, a->gid),
                          "start as root with --user NAME, or give us these (AmbientCapabilities= "
                          "of a unit)",
                          error);
    return 0;
}

int priv_judge(const struct config *c, char error[PRIV_ERROR_MAX])
{
    struct account a;
    int rc = find_account(c, &a, error);

    if (rc == 0) /* root needs nothing of what others keep */
        rc = judge_wishes(c, &a, a.uid != 0 ? needs(c, &a) : 0, error);
    return rc;
}

bool priv_may_expose(bool user_given, const char *text, char error[PRIV_EXPOSE_ERROR_MAX])
{
    if (geteuid() != 0 || user_given)
        return true;
    snprintf(error, PRIV_EXPOSE_ERROR_MAX,
             "not serving %.160s as root, with programs as root: say --user NAME, or --user root "
             "to stay root",
             text);
    return false;
}

/* Not root any more, or never. */
static int priv_give_up(struct worker *w, const struct config *c, const struct account *a,
                        char error[PRIV_ERROR_MAX])
{
    bool changes = a->uid != geteuid() || a->gid != getegid(); /* a successor is it already */
    uint64_t have = permitted(), need = needs(c, a);

    if (judge_wishes(c, a, need, error) < 0)
        return -1;
    w->caps = need & have;
    if ((changes || (have & BIT(CAP_SETPCAP))) && lock_down(w->caps, error) < 0)
        return -1;
    if ((changes && become(a, error) < 0) || keep_only(w->caps, error) < 0)
        return -1;
    if (setresuid(0, 0, 0) == 0)
        return priv_fault(error, "--user", "root could be had again; not going on like this");
    return 0;
}

/* Nothing of ours passes to programs by inheritance, whoever we are. */
static void forget_inheritable(void)
{
    cap_t caps = cap_get_proc();

    if (caps != NULL && cap_clear_flag(caps, CAP_INHERITABLE) == 0)
        (void)cap_set_proc(caps);
    cap_free(caps);
    (void)cap_reset_ambient();
}

/* ---- the line about it ---- */

static const char *why_kept(uint64_t caps)
{
    if (geteuid() == 0)
        return "staying root";
    if (caps == (FOR_PROGRAMS | FOR_PORTS))
        return "programs of other users (run-as), ports below 1024 at a reload";
    if (caps == FOR_PORTS)
        return "ports below 1024 at a reload";
    return caps != 0 ? "programs of other users (run-as)" : "nothing needs any";
}

static void priv_tell(struct worker *w, const struct config *c)
{
    cap_t caps = cap_get_proc();
    char *text = caps != NULL ? cap_to_text(caps, NULL) : NULL;

    log_line(&w->log, LOG_INFO, "privileges", LOG_I("uid", getuid()), LOG_I("gid", getgid()),
             LOG_C("capabilities", text == NULL || strcmp(text, "=") == 0 ? "none" : text),
             LOG_C("why", why_kept(w->caps)),
             LOG_C("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "on" : "off"));
    if (c->user == NULL && geteuid() == 0)
        log_printf(&w->log, LOG_WARN,
                   "running as root, programs too; give an account with --user NAME");
    cap_free(text);
    cap_free(caps);
}

/* ---- all of it ---- */

int priv_drop(struct priv *p, struct worker *w, const struct config *c, char error[PRIV_ERROR_MAX])
{
    struct account a;
    int rc = find_account(c, &a, error);

    if (rc < 0)
        return -1;
    if (a.uid != 0)
        rc = priv_give_up(w, c, &a, error);
    else if (a.uid != geteuid() || a.gid != getegid())
        rc = become(&a, error);
    if (rc < 0)
        return -1;
    forget_inheritable();
    priv_apply(p, c);
    if (c->no_new_privs && !p->set_no_new_privs)
        return priv_fault(error, "no-new-privs", strerror(errno));
#ifndef WSLUICE_POISON /* the leak sanitizer looks at its own process by ptrace */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a change of the user may have set it anew */
#endif
    priv_tell(w, c);
    return 0;
}

void priv_apply(struct priv *p, const struct config *c)
{
    if (c->no_new_privs && !p->set_no_new_privs)
        p->set_no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static bool is_listening(const struct listeners *set, const char *text)
{
    const struct listener *l = set->first;

    while (l != NULL && strcmp(l->text, text) != 0)
        l = l->next;
    return l != NULL;
}

static int admits_ports(const struct worker *w, const struct config *c, const struct listeners *set,
                        char error[PRIV_ERROR_MAX])
{
    unsigned first_free = first_free_port();

    for (size_t i = 0; i < c->listen_count && !(w->caps & FOR_PORTS); i++) {
        const struct listen_spec *l = &c->listen[i];

        if (!is_low(l, first_free) || is_listening(set, l->text))
            continue;
        snprintf(error, PRIV_ERROR_MAX,
                 "listen %.200s: ports below %u take CAP_NET_BIND_SERVICE, which no port needed "
                 "at the start and we do not have; restart",
                 l->text, first_free);
        return -1;
    }
    return 0;
}

int priv_admits(const struct priv *p, const struct worker *w, const struct config *c,
                const struct listeners *set, char error[PRIV_ERROR_MAX])
{
    const struct route *r = other_user(c, geteuid(), getegid());

    for (size_t i = 0; i < c->route_count && p->set_no_new_privs; i++) {
        if (!attr_has_program(&c->routes[i]) || c->routes[i].settings.no_new_privs)
            continue;
        snprintf(error, PRIV_ERROR_MAX,
                 "%.200s: no-new-privs off: all programs were started with it on, which cannot be "
                 "undone; restart",
                 c->routes[i].where != NULL ? c->routes[i].where : c->routes[i].path);
        return -1;
    }
    if (geteuid() == 0)
        return 0;
    if (r != NULL && (w->caps & FOR_PROGRAMS) != FOR_PROGRAMS)
        return lacks_user(r, "no route needed them at the start and we do not have them; restart",
                          error);
    return admits_ports(w, c, set, error);
}

void priv_raise_bind(const struct worker *w, bool in_effect)
{
    if (w->caps & FOR_PORTS)
        (void)child_caps_set(w->caps, in_effect ? FOR_PORTS : 0, 0);
}
