/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_AUTH_AUTH_JOB_H
#define WSLUICE_CORE_AUTH_AUTH_JOB_H

/* Programs that judge: run to their end, each in its place of a queue; see core/auth/auth_queue.h.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "core/auth/auth_queue.h"

#define AUTH_JOB_OUTPUT_MAX \
    8192 /* bytes of stdout that are read; a program that writes more has failed */

struct auth_job;

/* What `done` is told instead of a status. */
#define AUTH_JOB_FAILED (-1)   /* could not be started, ran out of time or said too much */
#define AUTH_JOB_NO_PLACE (-2) /* has not run: there was no place for it in time */

struct auth_job_spec {
    const char *path;  /* to execute */
    char *const *argv; /* borrowed until the end of the job, as are path and envp */
    char *const *envp;
    struct slice input;       /* for its stdin, then closed; copied */
    bool may_gain;            /* by set-user-ID files and the like: without no_new_privs, unless we
                                 ourselves have it */
    double timeout;           /* seconds, from its start on */
    const union addr *client; /* on whose behalf; borrowed during the call */
    /* From the loop, once; the job is gone then. status as of waitpid, or one of the above. out is
     * what it wrote. */
    void (*done)(void *owner, int status, struct slice out);
    void *owner;
};

/* NULL when there is no room in the queue, or without memory. */
struct auth_job *auth_job_start(struct auth_queue *q, const struct auth_job_spec *spec);
void auth_job_cancel(struct auth_job *j); /* `done` is not called */

#endif
