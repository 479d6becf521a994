/* SPDX-License-Identifier: MIT */
#include "io/child/child_attr.h"

#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "io/child/landlock.h"

/* Names of the calls that take 32-bit ids, and 64-bit times, everywhere. */
#ifdef SYS_setresuid32
#define CALL_SETRESUID SYS_setresuid32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETGROUPS SYS_setgroups32
#else
#define CALL_SETRESUID SYS_setresuid
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETGROUPS SYS_setgroups
#endif
#ifdef SYS_timer_settime64
#define CALL_TIMER_SETTIME SYS_timer_settime64
#else
#define CALL_TIMER_SETTIME SYS_timer_settime
#endif

#define CHANGED_USER_WAIT 1 /* seconds */

const struct child_limit *child_attr_limit(const struct child_attr *r, int resource)
{
    for (size_t i = 0; i < r->limit_count; i++) {
        if (r->limits[i].resource == resource)
            return &r->limits[i];
    }
    return NULL;
}

bool child_attr_changes_user(const struct child_attr *r)
{
    return r != NULL && r->set_user && (r->uid != geteuid() || r->gid != getegid());
}

int child_caps_set(uint64_t permitted, uint64_t effective, uint64_t inheritable)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
    };

    return (int)syscall(SYS_capset, &header, data);
}

static int child_set_limits(const struct child_attr *r)
{
    for (size_t i = 0; i < r->limit_count; i++) {
        const uint64_t limit[2] = {r->limits[i].soft, r->limits[i].hard};

        if (r->limits[i].resource != RLIMIT_NOFILE &&
            syscall(SYS_prlimit64, 0, r->limits[i].resource, limit, NULL) != 0)
            return -1;
    }
    return 0;
}

/*
 * From the change of the user to execve any process of that user may stop this one, and with it us,
 * who wait for its execve. A timer that kills ends that; execve takes the timer away.
 */
static int bound_the_wait(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    const struct itimerspec when = {.it_value.tv_sec = CHANGED_USER_WAIT};
    int timer;

    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0)
        return -1;
    return (int)syscall(CALL_TIMER_SETTIME, timer, 0, &when, NULL);
}

int child_attr_become(const struct child_attr *r, uint64_t raise)
{
    if (bound_the_wait() != 0 || (raise != 0 && child_caps_set(raise, raise, 0) != 0) ||
        syscall(CALL_SETGROUPS, r->group_count, r->groups) != 0 ||
        syscall(CALL_SETRESGID, r->gid, r->gid, r->gid) != 0 ||
        syscall(CALL_SETRESUID, r->uid, r->uid, r->uid) != 0)
        return -1;
    /* The kernel does it for root that becomes somebody else; securebits may have told it not to.
     */
    return r->uid != 0 || raise != 0 ? child_caps_set(0, 0, 0) : 0;
}

int child_attr_apply(const struct child_attr *r, const char *volatile *step)
{
    *step = "umask";
    if (r->umask >= 0)
        (void)syscall(SYS_umask, r->umask);
    *step = "nice";
    if (r->priority != CHILD_PRIORITY_OURS &&
        syscall(SYS_setpriority, PRIO_PROCESS, 0, r->priority) != 0)
        return -1;
    *step = "rlimits";
    if (child_set_limits(r) != 0)
        return -1;
    *step = "no-new-privs";
    if (r->no_new_privs && syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    *step = "read-paths and write-paths";
    return r->landlock >= 0 ? landlock_enter(r->landlock) : 0;
}
