/* SPDX-License-Identifier: MIT */
#include "priv.h"

#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SECUREBITS                                                                           \
    (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                         \
     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | \
     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

struct account {
    char name[64]; /* for initgroups; empty for a bare number */
    uid_t uid;
    gid_t gid;
};

static int fault(char error[PRIV_ERROR_MAX], const char *what, const char *name, const char *why)
{
    snprintf(error, PRIV_ERROR_MAX, "%s %.100s: %s", what, name, why);
    return -1;
}

static bool is_number(const char *text, unsigned long *out)
{
    char *end;

    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && *out < (uid_t)-1;
}

static int find_group(struct account *a, const char *name, char error[PRIV_ERROR_MAX])
{
    const struct group *gr;
    unsigned long number;

    if (is_number(name, &number)) {
        a->gid = (gid_t)number;
        return 0;
    }
    gr = getgrnam(name);
    if (gr == NULL)
        return fault(error, "--user: group", name, "no such group; create it, or name another");
    a->gid = gr->gr_gid;
    return 0;
}

static int find_account(struct account *a, const char *user, char error[PRIV_ERROR_MAX])
{
    const char *colon = strchr(user, ':');
    size_t n = colon != NULL ? (size_t)(colon - user) : strlen(user);
    const struct passwd *pw;
    unsigned long number;

    if (n == 0 || n >= sizeof a->name)
        return fault(error, "--user", user, "write NAME or NAME:GROUP");
    memset(a, 0, sizeof *a);
    memcpy(a->name, user, n);
    pw = getpwnam(a->name);
    if (pw == NULL && is_number(a->name, &number)) {
        pw = getpwuid((uid_t)number);
        if (pw == NULL && colon == NULL)
            return fault(error, "--user", user, "a number without an account needs a group, too");
        a->uid = (uid_t)number;
        a->name[0] = '\0';
    } else if (pw == NULL) {
        return fault(error, "--user", a->name, "no such account; create it, or name another");
    }
    if (pw != NULL) {
        a->uid = pw->pw_uid;
        a->gid = pw->pw_gid;
        snprintf(a->name, sizeof a->name, "%s", pw->pw_name);
    }
    return colon != NULL ? find_group(a, colon + 1, error) : 0;
}

int priv_check(const char *user, char error[PRIV_ERROR_MAX])
{
    struct account a;

    return find_account(&a, user, error);
}

static int become(const struct account *a, char error[PRIV_ERROR_MAX])
{
    if ((a->name[0] != '\0' ? initgroups(a->name, a->gid) : setgroups(0, NULL)) < 0 ||
        setresgid(a->gid, a->gid, a->gid) < 0 || setresuid(a->uid, a->uid, a->uid) < 0)
        return fault(error, "--user", a->name, strerror(errno));
    return 0;
}

/* The bounding set and securebits can only be changed with capabilities: before they go. */
static int lock_down(char error[PRIV_ERROR_MAX])
{
    for (cap_value_t c = 0; c <= cap_max_bits(); c++) {
        if (cap_get_bound(c) > 0 && cap_drop_bound(c) < 0)
            return fault(error, "capabilities", "bounding set", strerror(errno));
    }
    if (cap_set_secbits(SECUREBITS) < 0)
        return fault(error, "capabilities", "securebits", strerror(errno));
    return 0;
}

static int drop_capabilities(char error[PRIV_ERROR_MAX])
{
    cap_t none = cap_init();
    int rc = none != NULL ? cap_set_proc(none) : -1;

    if (rc < 0)
        (void)fault(error, "capabilities", "dropping", strerror(errno));
    cap_free(none);
    return rc;
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

static void tell(struct log *log, const char *user, bool no_new_privs)
{
    cap_t caps = cap_get_proc();
    char *text = caps != NULL ? cap_to_text(caps, NULL) : NULL;

    log_line(log, LOG_INFO, "privileges", LOG_I("uid", getuid()), LOG_I("gid", getgid()),
             LOG_C("capabilities", text == NULL || strcmp(text, "=") == 0 ? "none" : text),
             LOG_C("no_new_privs", no_new_privs ? "on" : "off"));
    if (user == NULL && geteuid() == 0)
        log_printf(log, LOG_WARN,
                   "running as root, programs too; give an account with --user NAME");
    cap_free(text);
    cap_free(caps);
}

int priv_drop(struct log *log, const char *user, bool no_new_privs, char error[PRIV_ERROR_MAX])
{
    struct account a;

    if (user != NULL) {
        if (find_account(&a, user, error) < 0)
            return -1;
        /* A successor is started as the account already. */
        if (a.uid != geteuid() || a.gid != getegid()) {
            if (lock_down(error) < 0 || become(&a, error) < 0)
                return -1;
        }
        if (drop_capabilities(error) < 0)
            return -1;
        if (a.uid != 0 && setresuid(0, 0, 0) == 0)
            return fault(error, "--user", user, "root could be had again; not going on like this");
    }
    forget_inheritable();
    if (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fault(error, "no-new-privs", "on", strerror(errno));
#ifndef WSLUICE_POISON /* the leak sanitizer looks at its own process by ptrace */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* memory may hold keys */
#endif
    tell(log, user, no_new_privs);
    return 0;
}
