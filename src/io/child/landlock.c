/* SPDX-License-Identifier: MIT */
#include "io/child/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Names that older headers than the kernel do not have. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define SCOPE_SIGNAL (1ULL << 1)

/* The kernel's landlock_ruleset_attr, as headers have it since Linux 6.12. */
struct ruleset {
    uint64_t files, network, scopes;
};

#define READ_RIGHTS \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_RIGHTS                                                                               \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER |      \
     LANDLOCK_ACCESS_FS_TRUNCATE)
/* Those that mean something for what is not a folder. */
#define FILE_RIGHTS                                                                              \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
     LANDLOCK_ACCESS_FS_TRUNCATE)

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi > 0 ? (int)abi : 0;
}

/* What this kernel knows. */
static uint64_t known_rights(void)
{
    int abi = landlock_abi();
    uint64_t unknown = abi >= LANDLOCK_ABI_TRUNCATE ? 0 : LANDLOCK_ACCESS_FS_TRUNCATE;

    if (abi < 2) /* without it nothing is moved from folder to folder at all */
        unknown |= LANDLOCK_ACCESS_FS_REFER;
    return ~unknown;
}

int landlock_new(struct landlock *l, bool limit_read, bool limit_write)
{
    bool holds_signals = landlock_abi() >= LANDLOCK_ABI_SIGNALS;
    struct ruleset rules = {.scopes = holds_signals ? SCOPE_SIGNAL : 0};

    l->limited = (limit_read ? READ_RIGHTS : 0) | (limit_write ? WRITE_RIGHTS : 0);
    l->limited &= known_rights();
    rules.files = l->limited;
    l->fd = (int)syscall(SYS_landlock_create_ruleset, &rules,
                         holds_signals ? sizeof rules : sizeof rules.files, 0);
    return l->fd < 0 ? -1 : 0;
}

int landlock_allow(const struct landlock *l, const char *path, bool write)
{
    struct landlock_path_beneath_attr attr = {0};
    struct stat st;
    int rc = -1, saved;

    attr.allowed_access = (READ_RIGHTS | (write ? WRITE_RIGHTS : 0)) & l->limited;
    attr.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (attr.parent_fd < 0)
        return -1;
    if (fstat(attr.parent_fd, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            attr.allowed_access &= FILE_RIGHTS;
        rc = attr.allowed_access == 0
                 ? 0 /* nothing of it is limited */
                 : (int)syscall(SYS_landlock_add_rule, l->fd, LANDLOCK_RULE_PATH_BENEATH, &attr, 0);
    }
    saved = errno;
    close(attr.parent_fd);
    errno = saved;
    return rc;
}

int landlock_enter(int fd)
{
    return (int)syscall(SYS_landlock_restrict_self, fd, 0);
}
