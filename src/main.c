/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "auth/passwd.h"
#include "auth/verify.h"
#include "cli/completion.h"
#include "cli/example.h"
#include "conf/cli.h"
#include "conf/dump.h"
#include "conf/reload.h"
#include "core/program/attr.h"
#include "ctl/ctl.h"
#include "io/child/cgroup.h"
#include "server/admin.h"
#include "server/kinds.h"
#include "server/listeners.h"
#include "server/prepare.h"
#include "server/priv.h"
#include "server/server.h"
#include "version.h"

static const struct conf_kinds kinds = {backends, framings};

struct arguments {
    int argc;
    char **argv;
    struct config started_with; /* what a reload cannot change; see conf/reload.h */
};

/* Reads everything again; what stands on the command line cannot have changed. */
static struct config *load_again(void *arg, void (*tell)(void *tell_arg, const char *line),
                                 void *tell_arg)
{
    const struct arguments *a = arg;
    struct faults faults = {0};
    struct command_line cli;
    struct config *c = config_new();

    if (c == NULL) {
        tell(tell_arg, "out of memory");
        return NULL;
    }
    /* Also without a file: what the command line names, certificates above all, may be new. */
    if (cli_parse(a->argc, a->argv, c, &cli, &kinds, &faults) == CLI_OK) {
        reload_compare(&a->started_with, c, tell, tell_arg);
        return c;
    }
    faults_tell(&faults, tell, tell_arg);
    faults_release(&faults);
    config_release(c);
    return NULL;
}

static void add_fault(void *arg, const char *line)
{
    faults_add(arg, NULL, "%s", line);
}

/* Of what was printed on standard output. */
static int main_written(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "wsluice: cannot write to standard output: %s\n", strerror(errno));
    return 1;
}

/* --check: also looks at the world, but takes no address. Says what it found; the exit status. */
/* What a start meets by itself. */
static void check_targets(const struct config *c, struct faults *faults)
{
    char error[LISTENER_ERROR_MAX], why[CGROUPS_ERROR_MAX];
    int err = log_judge(c->log_to);

    if (err != 0)
        faults_add(faults, NULL, "log-to %.300s: %s", c->log_to, strerror(err));
    (void)listeners_judge(c, add_fault, faults);
    if (c->admin != NULL && !admin_usable(c->admin, error))
        add_fault(faults, error);
    if (c->cgroup != NULL && !cgroups_judge(c->cgroup, attr_controllers(c), why))
        add_fault(faults, why);
}

static int check(struct config *c, const struct command_line *cli, struct faults *faults)
{
    const char *name = cli->file != NULL ? cli->file : "the command line";

    char error[PRIV_ERROR_MAX];

    if (prepare_config(c, add_fault, faults) == 0 && priv_judge(c, error) < 0)
        add_fault(faults, error);
    check_targets(c, faults);
    faults_print(faults, stderr, cli->file != NULL ? "" : "wsluice: ");
    if (faults->count > 0)
        return 1;
    printf("%s: ok (%zu route%s)\n", name, c->route_count, c->route_count == 1 ? "" : "s");
    return main_written();
}

/* What only prints. False when there is nothing of the kind to do. */
static bool print_only(const struct config *c, const struct command_line *cli)
{
    if (cli->help)
        cli_print_help();
    else if (cli->help_all)
        cli_print_help_all();
    else if (cli->version)
        version_print();
    else if (cli->help_config)
        schema_print_help(&kinds, stdout);
    else if (cli->dump_schema)
        schema_print_json(&kinds, stdout);
    else if (cli->completion != 0)
        completion_print((enum completion_shell)cli->completion, stdout);
    else if (cli->dump_config)
        dump_config(c, &kinds, stdout);
    else
        return false;
    return true;
}

/* Takes the reference of c. */
static int main_run(int argc, char **argv, struct config *c)
{
    struct arguments arguments = {.argc = argc, .argv = argv};
    const struct server_loader loader = {.load = load_again, .arg = &arguments, .argv = argv};
    int status = 1;

    if (reload_keep(&arguments.started_with, c)) {
        status = server_run(c, &loader);
    } else {
        fprintf(stderr, "wsluice: out of memory\n");
        config_release(c);
    }
    arena_release(&arguments.started_with.arena);
    return status;
}

static int serve(int argc, char **argv)
{
    struct faults faults = {0};
    struct command_line cli = {0};
    struct config *c = config_new();
    enum cli_result result = CLI_USAGE;
    int status;

    if (c != NULL)
        result = cli_parse(argc, argv, c, &cli, &kinds, &faults);
    else
        faults_add(&faults, NULL, "out of memory");
    if (result == CLI_OK && print_only(c, &cli))
        status = main_written();
    else if (result != CLI_USAGE && cli.check)
        status = check(c, &cli, &faults);
    else if (result == CLI_OK)
        return main_run(argc, argv, c);
    else
        status = (int)result;
    if (result == CLI_USAGE || (result == CLI_BAD_FILE && !cli.check))
        faults_print(&faults, stderr, result == CLI_USAGE ? "wsluice: " : "");
    faults_release(&faults);
    if (c != NULL)
        config_release(c);
    return status;
}

/*
 * Memory will hold keys and passwords: no process of our user traces us, or reads our memory by
 * /proc, and no core is written. The C library calls this before it starts the libraries, where it
 * knows such lists. Earlier can only be who executes us, see successor.c, or a file with mode 0711.
 */
static void keep_to_ourselves(void)
{
#ifndef WSLUICE_POISON /* the leak sanitizer looks at its own process by ptrace */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

__attribute__((section(".preinit_array"),
               used)) static void (*const before_all)(void) = keep_to_ourselves;

int main(int argc, char **argv)
{
    keep_to_ourselves();
    if (argc > 1 && strcmp(argv[1], VERIFY_WORD) == 0)
        return verify_main();
    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return ctl_run(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], PASSWD_WORD) == 0)
        return passwd_run(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "example") == 0)
        return example_run(argc - 1, argv + 1);
    return serve(argc, argv);
}
