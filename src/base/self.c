/* SPDX-License-Identifier: MIT */
#include "base/self.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS_A_STEP 1000

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void self_read(struct self *s)
{
    struct rusage usage;
    struct rlimit limit;
    unsigned long size = 0, resident = 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");

    *s = (struct self){0};
    if (f != NULL) {
        if (fscanf(f, "%lu %lu", &size, &resident) == 2) {
            s->virtual_ = size * page;
            s->resident = resident * page;
        }
        (void)fclose(f);
    }
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        s->cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        s->max_fds = limit.rlim_cur;
}

bool self_fds_step(struct self_fds *f)
{
    struct stat st;
    const struct dirent *entry;

    if (f->dir == NULL) {
        if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0) {
            f->count = (uint64_t)st.st_size;
            return true;
        }
        f->dir = opendir("/proc/self/fd");
        if (f->dir == NULL)
            return true;
    }
    for (int i = 0; i < FDS_A_STEP; i++) {
        entry = readdir(f->dir);
        if (entry == NULL) {
            self_fds_release(f);
            f->count -= f->count > 0; /* the one we read with */
            return true;
        }
        f->count += entry->d_name[0] != '.';
    }
    return false;
}

void self_fds_release(struct self_fds *f)
{
    if (f->dir != NULL)
        closedir(f->dir);
    f->dir = NULL;
}
