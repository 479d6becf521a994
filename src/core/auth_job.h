/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_AUTH_JOB_H
#define WSLUICE_CORE_AUTH_JOB_H

/* Programs that judge: run to their end, a few at once, the others queued up to a limit. */
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "io/worker.h"

#define AUTH_JOB_OUTPUT_MAX \
    8192 /* bytes of stdout that are read; a program that writes more has failed */

struct auth_jobs;
struct auth_job;

struct auth_job_spec {
    const char *path;  /* to execute */
    char *const *argv; /* borrowed until the end of the job, as are path and envp */
    char *const *envp;
    struct slice input; /* for its stdin, then closed; copied */
    bool may_gain;      /* by set-user-ID files and the like: without no_new_privs, unless we
                           ourselves have it */
    double timeout;     /* seconds, the time in the queue included */
    /* From the loop, once; the job is gone then. status as of waitpid, or -1: it could not be
     * started, ran out of time or said too much. out is what it wrote. */
    void (*done)(void *owner, int status, struct slice out);
    void *owner;
};

/* At most `running` at once, `waiting` more in the queue. NULL without memory. */
struct auth_jobs *auth_jobs_new(struct worker *w, unsigned running, unsigned waiting);
void auth_jobs_free(struct auth_jobs *all); /* there is none left */

/* NULL when the queue is full, or without memory. */
struct auth_job *auth_job_start(struct auth_jobs *all, const struct auth_job_spec *spec);
void auth_job_cancel(struct auth_job *j); /* `done` is not called */

#endif
