/* SPDX-License-Identifier: MIT */

/* exec: a program per session on three pipes, or its output on a terminal so that it does not keep
 * it to itself (`unbuffer`). */
#include <errno.h>

#include "backend/backends.h"
#include "backend/exec_args.h"
#include "backend/program.h"

static void exec_start(struct program *p, const struct backend_open *o)
{
    static const struct terminal_size size = {TERMINAL_COLUMNS, TERMINAL_ROWS};
    enum child_standard standard =
        o->route->settings.unbuffer ? CHILD_OUTPUT_ON_TERMINAL : CHILD_ON_PIPES;
    struct program_start start;

    if (program_prepare(&start, o, standard) < 0) {
        program_fail(p, ENOMEM, true);
        return;
    }
    program_run(p, &start, o->id, standard, &size);
    program_start_release(&start);
}

static struct backend *exec_open(const struct backend_open *o)
{
    struct program *p = program_new(sizeof *p, &backend_exec, o);

    if (p == NULL)
        return NULL;
    exec_start(p, o);
    program_soon(p);
    return &p->base;
}

static const struct option_row exec_rows[] = {
    {.name = "exec",
     .type = OPTION_ARGV,
     .place = IN_TARGET,
     .offset = offsetof(struct target, argv),
     .reload = RELOAD_NEW,
     .value = "[WORD...]",
     .help = "a program for each session and its arguments, no shell; {name} in an argument stands "
             "for what the path captured"},
};

const struct backend_ops backend_exec = {
    .name = "exec",
    .prefix = "exec:",
    .scheme_help = "exec:PROGRAM ARG...",
    .framing = &framing_lines,
    .reports_exit = true,
    .has_stderr = true,
    .runs_programs = true,
    .any_subprotocol = true,
    .descriptors = 4,
    .rows = exec_rows,
    .rows_count = sizeof exec_rows / sizeof exec_rows[0],
    .key = "exec",
    .parse = program_parse,
    .prepare = exec_args_prepare,
    .check = program_check,
    .open = exec_open,
    .write = program_write,
    .queued = program_queued,
    .delivered = program_delivered,
    .lost = program_lost,
    .pause = program_pause,
    .signal = program_signal,
    .finish = program_finish,
    .stop = program_stop,
    .close = program_close,
    .describe = program_describe,
};
