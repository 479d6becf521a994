/* SPDX-License-Identifier: MIT */
/* io/child with a real worker and real programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/child/child.h"
#include "io/child/child_attr.h"
#include "io/worker.h"
#include "patience.h"

#define PATIENCE 60.0 /* seconds until a test gives up waiting for a fact */

/* ---- the bench: a worker, one program on it, and what came of it */

struct bench {
    struct worker w;
    struct child *child;
    int fds[3];
    enum child_failure why;
    int exits, status;
    ev_timer guard;
    char dir[64]; /* scratch */
    pid_t tester; /* the process the test runs in */
};

static int bench_open(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    log_init(&b->w.log, LOG_ERROR, LOG_TEXT);
    assert_int_equal(worker_init(&b->w), 0);
    patience_begin(&b->guard, PATIENCE);
    b->fds[0] = b->fds[1] = b->fds[2] = -1;
    b->tester = getpid();
    strcpy(b->dir, "/tmp/wsluice-test-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    *state = b;
    return 0;
}

static int bench_close(void **state)
{
    struct bench *b = *state;
    char command[128];

    if (getpid() != b->tester)
        _exit(1); /* an assertion failed in a process set apart */
    for (int i = 0; i < 3; i++)
        if (b->fds[i] >= 0)
            (void)close(b->fds[i]);
    ev_timer_stop(b->w.loop, &b->guard);
    child_kill_all(&b->w, 5);
    assert_int_equal(child_count(&b->w), 0);
    worker_release(&b->w);
    log_release(&b->w.log);
    (void)snprintf(command, sizeof command, "rm -rf %s", b->dir);
    assert_int_equal(system(command), 0);
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* no zombie, no process */
    free(b);
    return 0;
}

static void on_exited(void *owner, int status)
{
    struct bench *b = owner;

    b->exits++;
    b->status = status;
}

static const struct child_events events = {on_exited};

static char *const no_environment[] = {NULL};

/* Lists of constant texts in the type that execve wants for them, which changes none of them. */
static char *const *list(const char *const *texts)
{
    return (char *const *)(uintptr_t)texts;
}

static struct child_spec plain_spec(const char *const *argv)
{
    return (struct child_spec){.path = argv[0],
                               .argv = list(argv),
                               .envp = no_environment,
                               .stop_grace = 0.05,
                               .kill_grace = 0.1};
}

static void start(struct bench *b, const struct child_spec *spec)
{
    b->exits = 0;
    b->child = child_start(&b->w, spec, b->fds, &b->why, &events, b);
    if (!b->child)
        fail_msg("cannot start %s: %s", spec->path, strerror(errno));
    assert_int_equal(b->why, CHILD_OK);
}

static void start_shell(struct bench *b, const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct child_spec spec = plain_spec(argv);

    start(b, &spec);
}

static void close_end(int *fd)
{
    assert_int_equal(close(*fd), 0);
    *fd = -1;
}

/* Waits for the end and lets go. */
static int finish(struct bench *b)
{
    TURN_UNTIL(b, b->exits > 0);
    assert_int_equal(b->exits, 1);
    child_release(b->child);
    TURN_UNTIL(b, child_count(&b->w) == 0);
    for (int i = 0; i < 3; i++)
        if (b->fds[i] >= 0)
            close_end(&b->fds[i]);
    return b->status;
}

/* True when fd becomes readable in time; the loop does not turn. */
static bool wait_readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, (int)(PATIENCE * 1000)) == 1;
}

/* Everything up to the end of file, as text. */
static void read_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n;

    for (;;) {
        assert_true(wait_readable(fd));
        n = read(fd, out + len, size - 1 - len);
        assert_true(n >= 0);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    out[len] = '\0';
}

/* The next line of at most size - 1 bytes, byte by byte, without its end. */
static void read_line(int fd, char *out, size_t size)
{
    size_t len = 0;

    for (; len + 1 < size; len++) {
        assert_true(wait_readable(fd));
        assert_int_equal(read(fd, out + len, 1), 1);
        if (out[len] == '\n')
            break;
    }
    out[len] = '\0';
}

static void expect_line(int fd, const char *line)
{
    char got[256];

    read_line(fd, got, sizeof got);
    assert_string_equal(got, line);
}

static double now(void)
{
    struct timespec ts;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0U);

    assert_true(fd >= 0);
    return fd;
}

/* The process state letter of /proc/PID/stat. */
static char process_state(pid_t pid)
{
    char path[64], text[256] = "";
    char *at;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 'X';
    assert_true(read(fd, text, sizeof text - 1) > 0);
    (void)close(fd);
    at = strrchr(text, ')');
    return at ? at[2] : '?';
}

static void write_file(const char *dir, const char *name, const char *text, mode_t mode, char *path,
                       size_t size)
{
    int fd;

    (void)snprintf(path, size, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

/* ---- what a program gets and gives */

static void bytes_go_through(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/cat", NULL};
    struct child_spec spec = plain_spec(argv);
    char text[64];

    start(b, &spec);
    for (int i = 0; i < 3; i++) {
        assert_true(fcntl(b->fds[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(b->fds[i], F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(write(b->fds[0], "hello", 5), 5);
    close_end(&b->fds[0]);
    read_all(b->fds[1], text, sizeof text);
    assert_string_equal(text, "hello");
    read_all(b->fds[2], text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(finish(b), 0);
}

static void standard_error_has_three_ways(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/sh", "-c", "echo out; echo err >&2", NULL};
    struct child_spec spec = plain_spec(argv);
    char text[64];

    start(b, &spec);
    read_all(b->fds[1], text, sizeof text);
    assert_string_equal(text, "out\n");
    read_all(b->fds[2], text, sizeof text);
    assert_string_equal(text, "err\n");
    assert_int_equal(finish(b), 0);

    spec.stderr_to_stdout = true;
    start(b, &spec);
    assert_int_equal(b->fds[2], -1);
    read_all(b->fds[1], text, sizeof text);
    assert_string_equal(text, "out\nerr\n");
    assert_int_equal(finish(b), 0);

    spec.stderr_to_stdout = false;
    spec.stderr_discard = true;
    start(b, &spec);
    assert_int_equal(b->fds[2], -1);
    read_all(b->fds[1], text, sizeof text);
    assert_string_equal(text, "out\n");
    assert_int_equal(finish(b), 0);
}

static void program_sees_three_descriptors(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/ls", "-l", "/proc/self/fd", NULL};
    struct child_spec spec = plain_spec(argv);
    int below = fcntl(STDERR_FILENO, F_DUPFD, 3);  /* somebody forgot close-on-exec: */
    int above = fcntl(STDERR_FILENO, F_DUPFD, 50); /* on either side of the program's own three */
    char text[4096];
    int lines = 0;

    assert_true(below >= 3 && below < 40 && above >= 50);
    start(b, &spec);
    assert_true(b->fds[1] > below && b->fds[1] < above);
    read_all(b->fds[1], text, sizeof text);
    assert_int_equal(finish(b), 0);
    (void)close(below);
    (void)close(above);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        size_t len = strlen(line);

        if (!strstr(line, " -> "))
            continue; /* "total 0" */
        lines++;
        if (strstr(line, " 3 -> "))
            assert_string_equal(line + len - 3, "/fd"); /* the folder ls is reading */
        else
            assert_true(strstr(line, " 0 -> pipe:") || strstr(line, " 1 -> pipe:") ||
                        strstr(line, " 2 -> pipe:"));
    }
    assert_int_equal(lines, 4);
}

/* The program's ends block, as programs expect, although ours do not. */
static void program_has_blocking_pipes(void **state)
{
    struct bench *b = *state;
    char text[4096];

    start_shell(b, "for i in 0 1 2; do grep flags /proc/$$/fdinfo/$i; done");
    read_all(b->fds[1], text, sizeof text);
    assert_int_equal(finish(b), 0);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_false(strtoul(line + strlen("flags:"), NULL, 8) & (O_NONBLOCK | O_CLOEXEC));
}

static unsigned long long status_hex(const char *status, const char *name)
{
    const char *at = strstr(status, name);

    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 16);
}

static void do_nothing(int sig)
{
    (void)sig;
}

static void program_has_default_signals(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/cat", "/proc/self/status", NULL};
    struct child_spec spec = plain_spec(argv);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, handle = {.sa_handler = do_nothing},
                     before[3];
    sigset_t block, mask;
    char text[8192];

    assert_int_equal(sigaction(SIGPIPE, &ignore, &before[0]), 0);
    assert_int_equal(sigaction(SIGUSR1, &handle, &before[1]), 0);
    assert_int_equal(sigaction(SIGRTMAX, &ignore, &before[2]), 0);
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &block, &mask), 0);
    start(b, &spec);
    read_all(b->fds[1], text, sizeof text);
    assert_int_equal(finish(b), 0);
    assert_int_equal(status_hex(text, "SigBlk:"), 0);
    assert_int_equal(status_hex(text, "SigIgn:"), 0);
    assert_int_equal(status_hex(text, "SigCgt:"), 0);

    /* and in us nothing has changed */
    assert_int_equal(sigaction(SIGPIPE, &before[0], &ignore), 0);
    assert_int_equal(sigaction(SIGUSR1, &before[1], &handle), 0);
    assert_int_equal(sigaction(SIGRTMAX, &before[2], NULL), 0);
    assert_true(ignore.sa_handler == SIG_IGN && handle.sa_handler == do_nothing);
    assert_int_equal(sigprocmask(SIG_SETMASK, &mask, &block), 0);
    assert_true(sigismember(&block, SIGTERM) == 1 && sigismember(&block, SIGCHLD) == 0);
}

static void program_leads_group_and_session(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/cat", "/proc/self/stat", NULL};
    struct child_spec spec = plain_spec(argv);
    int pid, parent, group, session;
    char text[1024];

    start(b, &spec);
    read_all(b->fds[1], text, sizeof text);
    assert_int_equal(sscanf(text, "%d (cat) %*c %d %d %d", &pid, &parent, &group, &session), 4);
    assert_int_equal(pid, b->child->pid);
    assert_int_equal(parent, getpid());
    assert_int_equal(group, pid);
    assert_int_equal(session, pid);
    assert_int_equal(finish(b), 0);
}

static void program_has_what_was_specified(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"sh-by-another-name", "-c", "echo $0; pwd; ulimit -S -n; env | sort",
                          NULL};
    const char *envp[] = {"A=1", "PATH=/usr/bin:/bin", NULL};
    struct child_spec spec = plain_spec(argv);

    spec.path = "/bin/sh";
    spec.envp = list(envp);
    spec.cwd = b->dir;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &b->w.nofile_at_start), 0);
    b->w.nofile_at_start.rlim_cur = 77;
    start(b, &spec);
    expect_line(b->fds[1], "sh-by-another-name");
    expect_line(b->fds[1], b->dir);
    expect_line(b->fds[1], "77");
    expect_line(b->fds[1], "A=1");
    expect_line(b->fds[1], "PATH=/usr/bin:/bin");
    assert_int_equal(finish(b), 0);

    memset(&b->w.nofile_at_start, 0, sizeof b->w.nofile_at_start); /* not known: stays */
    start(b, &spec);
    expect_line(b->fds[1], "sh-by-another-name");
    expect_line(b->fds[1], b->dir);
    {
        struct rlimit ours;
        char text[32];

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &ours), 0);
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)ours.rlim_cur);
        expect_line(b->fds[1], text);
    }
    assert_int_equal(finish(b), 0);
}

static void exit_status_is_told(void **state)
{
    struct bench *b = *state;

    start_shell(b, "exit 3");
    assert_int_equal(WEXITSTATUS(finish(b)), 3);
    start_shell(b, "kill -SEGV $$");
    assert_int_equal(WTERMSIG(finish(b)), SIGSEGV);
}

/* ---- what cannot be started */

static void expect_failure(struct bench *b, const struct child_spec *spec, enum child_failure why,
                           int err)
{
    int before = count_fds();

    errno = 0;
    assert_null(child_start(&b->w, spec, b->fds, &b->why, &events, b));
    assert_int_equal(errno, err);
    assert_int_equal(b->why, why);
    assert_int_equal(count_fds(), before);
    assert_int_equal(child_count(&b->w), 0);
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void execution_errors_are_reported(void **state)
{
    struct bench *b = *state;
    char path[128];
    char *huge = malloc(1024 * 1024);
    const char *argv[] = {"x", huge, NULL};
    struct child_spec spec = plain_spec(argv);

    assert_non_null(huge);
    strcpy(huge, "small");
    spec.path = "/nonexistent/program";
    expect_failure(b, &spec, CHILD_NO_EXEC, ENOENT);
    spec.path = b->dir;
    expect_failure(b, &spec, CHILD_NO_EXEC, EACCES);
    spec.path = path;
    write_file(b->dir, "plain", "#!/bin/sh\n", 0644, path, sizeof path);
    expect_failure(b, &spec, CHILD_NO_EXEC, EACCES);
    write_file(b->dir, "no-format", "echo never run by a shell of ours\n", 0755, path, sizeof path);
    expect_failure(b, &spec, CHILD_NO_EXEC, ENOEXEC);
    write_file(b->dir, "no-interpreter", "#!/nonexistent/interpreter\n", 0755, path, sizeof path);
    expect_failure(b, &spec, CHILD_NO_EXEC, ENOENT);
    spec.path = "/bin/true";
    spec.cwd = "/nonexistent";
    expect_failure(b, &spec, CHILD_NO_EXEC, ENOENT);
    spec.cwd = NULL;
    memset(huge, 'x', 1024 * 1024 - 1);
    huge[1024 * 1024 - 1] = '\0';
    expect_failure(b, &spec, CHILD_NO_EXEC, E2BIG);
    free(huge);
}

static struct child_attr no_attr(void)
{
    return (struct child_attr){.umask = -1, .priority = CHILD_PRIORITY_OURS, .landlock = -1};
}

static void attributes_are_of_the_program_alone(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/sh", "-c", "umask; ulimit -S -n; ulimit -H -n; ulimit -c", NULL};
    struct child_spec spec = plain_spec(argv);
    struct child_attr attr = no_attr();
    mode_t ours = umask(0);
    struct rlimit before, after;

    (void)umask(ours);
    attr.umask = 0123;
    attr.limits[0] = (struct child_limit){RLIMIT_NOFILE, 20, 30};
    attr.limits[1] = (struct child_limit){RLIMIT_CORE, 0, 0};
    attr.limit_count = 2;
    spec.attr = &attr;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    start(b, &spec);
    expect_line(b->fds[1], "0123");
    expect_line(b->fds[1], "20");
    expect_line(b->fds[1], "30");
    expect_line(b->fds[1], "0");
    assert_int_equal(finish(b), 0);
    assert_int_equal(umask(ours), ours);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(before.rlim_cur, after.rlim_cur);
}

/* Each step that fails says its name, and nothing of the child stays. */
static void the_step_that_failed_is_told(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/true", NULL}, *step = NULL;
    struct child_spec spec = plain_spec(argv);
    struct child_attr attr = no_attr();

    spec.failed_step = &step;
    spec.attr = &attr;
    attr.limits[0] = (struct child_limit){RLIMIT_NOFILE, 20, UINT64_C(1) << 40};
    attr.limit_count = 1; /* above what the kernel lets anybody have */
    expect_failure(b, &spec, CHILD_NO_EXEC, EPERM);
    assert_string_equal(step, "rlimits: nofile");
    attr.limit_count = 0;
    attr.landlock = STDIN_FILENO; /* not a set of rules */
    attr.no_new_privs = true;
    assert_null(child_start(&b->w, &spec, b->fds, &b->why, &events, b));
    assert_string_equal(step, "read-paths and write-paths");
    attr.landlock = -1;
    spec.cwd = "/nonexistent";
    expect_failure(b, &spec, CHILD_NO_EXEC, ENOENT);
    assert_string_equal(step, "cwd");
    spec.cwd = NULL;
    spec.path = "/nonexistent";
    step = NULL;
    expect_failure(b, &spec, CHILD_NO_EXEC, ENOENT);
    assert_null(step); /* the program's own start */
    assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

static void no_descriptors_left(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/true", NULL};
    struct child_spec spec = plain_spec(argv);
    struct rlimit before, low;
    int used = dup(0), limit, failures = 0;

    assert_true(used >= 0); /* from here on all are free */
    (void)close(used);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    /* one more each time, until the program starts: every step of starting has failed then */
    for (limit = used;; limit++) {
        low = before;
        low.rlim_cur = (rlim_t)limit;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        b->child = child_start(&b->w, &spec, b->fds, &b->why, &events, b);
        if (b->child)
            break;
        assert_int_equal(errno, EMFILE);
        assert_int_equal(b->why, CHILD_NO_RESOURCES);
        failures++;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(dup(0) == used && close(used) == 0); /* nothing left behind */
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(failures >= 7); /* the ends of three pipes, the pidfd */
    assert_int_equal(finish(b), 0);
}

/* From here on system call number nr fails with err, in this process and its children. */
static void forbid(long nr, int err)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* Runs part in a process of its own, which may do itself harm. A failed assertion there fails the
 * test here. */
static void apart(struct bench *b, void (*part)(struct bench *b))
{
    int status;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(60);
        ev_loop_fork(b->w.loop);
        part(b);
        _exit(42);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void without_processes(struct bench *b)
{
    const char *argv[] = {"/bin/true", NULL};
    struct child_spec spec = plain_spec(argv);

    forbid(SYS_clone, EAGAIN);
    expect_failure(b, &spec, CHILD_NO_RESOURCES, EAGAIN);
    forbid(SYS_clone, ENOMEM); /* a later filter goes first */
    expect_failure(b, &spec, CHILD_NO_RESOURCES, ENOMEM);
}

static void no_process_to_be_had(void **state)
{
    apart(*state, without_processes);
}

static void without_standard_descriptors(struct bench *b)
{
    const char *argv[] = {"/bin/cat", NULL};
    struct child_spec spec = plain_spec(argv);
    char text[64];

    for (int fd = 0; fd < 3; fd++)
        (void)close(fd);
    for (int i = 0; i < 3; i++) {
        spec.stderr_to_stdout = i == 1;
        spec.stderr_discard = i == 2;
        start(b, &spec);
        assert_true(b->fds[0] > 2 && b->fds[1] > 2);
        assert_int_equal(write(b->fds[0], "hello", 5), 5);
        close_end(&b->fds[0]);
        read_all(b->fds[1], text, sizeof text);
        assert_string_equal(text, "hello");
        assert_int_equal(finish(b), 0);
    }
}

static void we_have_no_standard_descriptors(void **state)
{
    apart(*state, without_standard_descriptors);
}

static void programs_are_looked_up(void **state)
{
    struct bench *b = *state;
    char folders[256], path[128], *found;

    found = child_find("sh", "/nonexistent:/bin:/usr/bin");
    assert_string_equal(found, "/bin/sh");
    free(found);
    found = child_find("/bin/sh", "/nonexistent");
    assert_string_equal(found, "/bin/sh");
    free(found);
    write_file(b->dir, "sh", "", 0644, path, sizeof path);
    (void)snprintf(folders, sizeof folders, "%s:/bin", b->dir);
    found = child_find("sh", folders); /* one that cannot be executed does not hide another */
    assert_string_equal(found, "/bin/sh");
    free(found);
    assert_null(child_find("sh", b->dir));
    assert_int_equal(errno, EACCES);
    assert_null(child_find(path, NULL));
    assert_int_equal(errno, EACCES);
    assert_null(child_find("no-such-program", "/bin:/usr/bin"));
    assert_int_equal(errno, ENOENT);
    assert_null(child_find("", "/bin"));
    assert_int_equal(errno, ENOENT);
    assert_null(child_find("/bin/sh/", NULL));
    assert_int_equal(errno, ENOENT);

    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(chdir(b->dir), 0);
    found = child_find("sh", ":/bin"); /* nothing between two colons is the current folder */
    assert_string_equal(found, "./sh");
    free(found);
    assert_int_equal(chdir("/"), 0);
}

/* ---- the ladder */

static void a_good_program_ends_at_sigterm(void **state)
{
    struct bench *b = *state;
    double begun;

    start_shell(b, "echo ready; exec sleep 1000");
    expect_line(b->fds[1], "ready");
    ev_now_update(b->w.loop);
    begun = now();
    child_stop(b->child);
    child_stop(b->child);
    assert_int_equal(b->exits, 0);
    TURN_UNTIL(b, b->exits > 0);
    assert_true(now() - begun >= 0.045);
    assert_int_equal(WTERMSIG(b->status), SIGTERM);
    (void)finish(b);
}

static void a_program_that_heeds_its_input_gets_no_signal(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/cat", NULL};
    struct child_spec spec = plain_spec(argv);

    spec.stop_grace = PATIENCE * 2;
    start(b, &spec);
    child_stop(b->child);
    close_end(&b->fds[0]);
    assert_int_equal(finish(b), 0);
}

static void a_stubborn_program_is_killed(void **state)
{
    struct bench *b = *state;
    double begun;

    start_shell(b, "trap '' TERM HUP INT; echo ready; exec sleep 1000");
    expect_line(b->fds[1], "ready");
    ev_now_update(b->w.loop);
    begun = now();
    child_stop(b->child);
    TURN_UNTIL(b, b->exits > 0);
    assert_true(now() - begun >= 0.14);
    assert_int_equal(WTERMSIG(b->status), SIGKILL);
    (void)finish(b);
}

static void a_stopped_program_ends(void **state)
{
    struct bench *b = *state;
    struct timespec moment = {0, 1000000};

    /* SIGTERM is handled, so that it takes SIGCONT for it to be heard */
    start_shell(b, "trap 'exit 9' TERM; echo ready; while :; do kill -STOP $$; done");
    b->child->kill_grace = PATIENCE * 2;
    expect_line(b->fds[1], "ready");
    for (int i = 0; process_state(b->child->pid) != 'T'; i++) {
        assert_true(i < PATIENCE * 1000);
        (void)nanosleep(&moment, NULL);
    }
    child_stop(b->child);
    TURN_UNTIL(b, b->exits > 0);
    assert_true(WIFEXITED(b->status));
    assert_int_equal(WEXITSTATUS(b->status), 9);
    (void)finish(b);
}

static void a_kill_is_immediate(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/sleep", "1000", NULL};
    struct child_spec spec = plain_spec(argv);

    spec.stop_grace = spec.kill_grace = PATIENCE * 2;
    start(b, &spec);
    child_kill(b->child);
    assert_int_equal(WTERMSIG(finish(b)), SIGKILL);
}

static pid_t read_pid(int fd)
{
    char text[32];

    read_line(fd, text, sizeof text);
    return (pid_t)strtol(text, NULL, 10);
}

/* Starts a script that says "PID" of its grandchild, and returns a pidfd of that. */
static int start_family(struct bench *b, const char *script, pid_t *pid)
{
    start_shell(b, script);
    *pid = read_pid(b->fds[1]);
    assert_true(*pid > 1);
    return open_pidfd(*pid);
}

static void grandchildren_end_too(void **state)
{
    struct bench *b = *state;
    pid_t pid;
    int fd = start_family(b, "sleep 1000 & echo $!; exec sleep 1000", &pid);

    child_stop(b->child);
    assert_int_equal(WTERMSIG(finish(b)), SIGTERM);
    assert_true(wait_readable(fd));
    (void)close(fd);
}

/* The leader has left a grandchild, which ends at SIGTERM. */
static void grandchildren_end_after_the_leader(void **state)
{
    struct bench *b = *state;
    pid_t pid;
    int fd = start_family(b, "sleep 1000 & echo $!", &pid);

    TURN_UNTIL(b, b->exits > 0);
    assert_int_equal(b->status, 0);
    assert_false(process_state(pid) == 'X'); /* it may go on for as long as the owner likes */
    child_release(b->child);
    TURN_UNTIL(b, child_count(&b->w) == 0);
    assert_true(wait_readable(fd));
    (void)close(fd);
}

static void stubborn_grandchildren_are_killed(void **state)
{
    struct bench *b = *state;
    pid_t pid;
    int fd = start_family(b, "trap '' TERM; sleep 1000 & echo $!", &pid);
    double begun;

    TURN_UNTIL(b, b->exits > 0);
    ev_now_update(b->w.loop);
    begun = now();
    child_release(b->child);
    assert_int_equal(child_count(&b->w), 1);
    TURN_UNTIL(b, child_count(&b->w) == 0);
    assert_true(now() - begun >= 0.09);
    assert_true(wait_readable(fd));
    (void)close(fd);
}

static void released_before_its_end(void **state)
{
    struct bench *b = *state;
    pid_t pid;
    int fd = start_family(b, "trap '' TERM; sleep 1000 & echo $!; exec sleep 1000", &pid);

    child_release(b->child);
    assert_int_equal(child_count(&b->w), 1);
    TURN_UNTIL(b, child_count(&b->w) == 0);
    assert_int_equal(b->exits, 0);
    assert_true(wait_readable(fd));
    (void)close(fd);
}

static void released_inside_the_event(void *owner, int status)
{
    struct bench *b = owner;

    on_exited(owner, status);
    child_release(b->child);
}

static void release_in_the_callback(void **state)
{
    static const struct child_events releasing = {released_inside_the_event};
    struct bench *b = *state;
    const char *argv[] = {"/bin/true", NULL};
    struct child_spec spec = plain_spec(argv);
    int before = count_fds();

    b->child = child_start(&b->w, &spec, b->fds, &b->why, &releasing, b);
    assert_non_null(b->child);
    TURN_UNTIL(b, b->exits > 0);
    assert_int_equal(child_count(&b->w), 0);
    for (int i = 0; i < 3; i++)
        close_end(&b->fds[i]);
    assert_int_equal(count_fds(), before);
}

/* Kernels before 6.9 cannot signal a group by pidfd. */
static void without_group_pidfd(struct bench *b)
{
    void *state = b;

    forbid(SYS_pidfd_send_signal, EINVAL);
    grandchildren_end_after_the_leader(&state);
    for (int i = 0; i < 3; i++)
        close_end(&b->fds[i]);
    stubborn_grandchildren_are_killed(&state);
}

/* Kernels before 5.9 cannot close a range; and containers may not let us unshare anything. */
static void without_close_range(struct bench *b)
{
    void *state = b;

    forbid(SYS_close_range, ENOSYS);
    forbid(SYS_unshare, EPERM);
    bytes_go_through(&state);
}

static void older_kernels_will_do(void **state)
{
    apart(*state, without_group_pidfd);
    apart(*state, without_close_range);
}

/*
 * Where orphans become ours, as they do for process 1 of a container, they leave no zombies; and
 * that a group is gone is seen long before its grace is over. (Elsewhere that depends on how soon
 * process 1 reaps.)
 */
static void with_orphans(struct bench *b)
{
    void *state = b;
    pid_t pid;
    int fd;

    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    stubborn_grandchildren_are_killed(&state);
    for (int i = 0; i < 3; i++)
        close_end(&b->fds[i]);
    fd = start_family(b, "sleep 1000 & echo $!", &pid);
    b->child->kill_grace = PATIENCE * 2;
    TURN_UNTIL(b, b->exits > 0);
    child_release(b->child);
    TURN_UNTIL(b, child_count(&b->w) == 0); /* gives up before kill_grace */
    assert_true(wait_readable(fd));
    (void)close(fd);
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void orphans_are_reaped(void **state)
{
    apart(*state, with_orphans);
}

/* ---- many, and the end of all */

static void five_hundred_quick_ones(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/echo", "the last line", NULL};
    struct child_spec spec = plain_spec(argv);
    int before = count_fds(), fds[10][3];
    struct child *children[10];
    char text[64];

    for (int round = 0; round < 50; round++) {
        b->exits = 0;
        for (int i = 0; i < 10; i++) {
            children[i] = child_start(&b->w, &spec, fds[i], &b->why, &events, b);
            assert_non_null(children[i]);
        }
        TURN_UNTIL(b, b->exits == 10);
        for (int i = 0; i < 10; i++) {
            child_release(children[i]);
            read_all(fds[i][1], text, sizeof text);
            assert_string_equal(text, "the last line\n");
            for (int k = 0; k < 3; k++)
                close_end(&fds[i][k]);
        }
        TURN_UNTIL(b, child_count(&b->w) == 0);
        assert_int_equal(b->exits, 10);
    }
    assert_int_equal(count_fds(), before);
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* Their number is no business of the program's, nor of its start's: it sees its own three, and none
 * of its ends stays with us. */
static void many_descriptors(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/sh", "-c", "exec 2>&1; ls /proc/self/fd; exec cat", NULL};
    struct child_spec spec = plain_spec(argv);
    int first = dup(0), last = first, before;
    char text[128];

    while (last < 600)
        assert_true((last = dup(0)) > 0);
    before = count_fds();
    for (int i = 0; i < 3; i++) {
        spec.stderr_to_stdout = i == 1;
        start(b, &spec);
        assert_true(b->fds[0] > 600);
        assert_int_equal(write(b->fds[0], "hello", 5), 5);
        close_end(&b->fds[0]);
        read_all(b->fds[1], text, sizeof text);
        assert_string_equal(text, "0\n1\n2\n3\nhello"); /* ls has its folder open */
        assert_int_equal(finish(b), 0);
        assert_int_equal(count_fds(), before);
    }
    spec.path = "/nonexistent";
    expect_failure(b, &spec, CHILD_NO_EXEC, ENOENT);
    for (int fd = first; fd <= last; fd++)
        assert_int_equal(close(fd), 0);
}

struct stopped {
    struct child *child;
    int *exits, place, status;
};

static void on_stopped(void *owner, int status)
{
    struct stopped *s = owner;

    s->place = ++*s->exits;
    s->status = status;
}

/* They share a timer, and none waits for another's. */
static void each_has_its_own_time_on_the_ladder(void **state)
{
    static const struct child_events stopped_events = {on_stopped};
    static const double graces[3] = {PATIENCE * 2, 0.3, 0.02};
    const char *argv[] = {"/bin/sleep", "1000", NULL};
    struct child_spec spec = plain_spec(argv);
    struct bench *b = *state;
    struct stopped all[3];

    for (int i = 0; i < 3; i++) {
        all[i] = (struct stopped){.exits = &b->exits};
        spec.stop_grace = graces[i];
        all[i].child = child_start(&b->w, &spec, b->fds, &b->why, &stopped_events, &all[i]);
        assert_non_null(all[i].child);
        for (int k = 0; k < 3; k++)
            close_end(&b->fds[k]);
    }
    for (int i = 0; i < 3; i++)
        child_stop(all[i].child);
    TURN_UNTIL(b, b->exits == 2);
    assert_int_equal(all[2].place, 1);
    assert_int_equal(all[1].place, 2);
    assert_int_equal(WTERMSIG(all[1].status), SIGTERM);
    child_kill(all[0].child);
    TURN_UNTIL(b, b->exits == 3);
    assert_int_equal(WTERMSIG(all[0].status), SIGKILL);
    for (int i = 0; i < 3; i++)
        child_release(all[i].child);
    TURN_UNTIL(b, child_count(&b->w) == 0);
}

static void all_are_killed(void **state)
{
    struct bench *b = *state;
    const char *argv[] = {"/bin/sh", "-c", "trap '' TERM; echo ready; exec sleep 1000", NULL};
    struct child_spec spec = plain_spec(argv);
    int before = count_fds(), fds[10][3];
    struct child *children[10];
    double begun;

    for (int i = 0; i < 10; i++) {
        children[i] = child_start(&b->w, &spec, fds[i], &b->why, &events, b);
        assert_non_null(children[i]);
        expect_line(fds[i][1], "ready");
        if (i % 2)
            child_release(children[i]);
    }
    begun = now();
    child_kill_all(&b->w, PATIENCE);
    assert_true(now() - begun < PATIENCE);
    assert_int_equal(child_count(&b->w), 5); /* those that still have an owner */
    for (int i = 0; i < 10; i += 2) {
        assert_true(children[i]->is_reaped);
        assert_int_equal(WTERMSIG(children[i]->status), SIGKILL);
        child_release(children[i]);
    }
    assert_int_equal(child_count(&b->w), 0);
    assert_int_equal(b->exits, 0);
    for (int i = 0; i < 10; i++)
        for (int k = 0; k < 3; k++)
            close_end(&fds[i][k]);
    assert_int_equal(count_fds(), before);
}

/* Our own end by SIGKILL: the kernel ends the program. */
static void a_crash_takes_the_programs_along(void **state)
{
    struct bench *b = *state;
    int pipe_fds[2], fd;
    pid_t server, program = 0;

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    (void)fflush(NULL);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        (void)alarm(60);
        start_shell(b, "trap '' TERM HUP PIPE; exec sleep 1000");
        if (write(pipe_fds[1], &b->child->pid, sizeof(pid_t)) == sizeof(pid_t))
            for (;;)
                (void)pause();
        _exit(1);
    }
    (void)close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &program, sizeof program), sizeof program);
    (void)close(pipe_fds[0]);
    fd = open_pidfd(program);
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_int_equal(waitpid(server, NULL, 0), server);
    assert_true(wait_readable(fd));
    (void)close(fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(bytes_go_through),
        TEST(standard_error_has_three_ways),
        TEST(program_sees_three_descriptors),
        TEST(program_has_blocking_pipes),
        TEST(program_has_default_signals),
        TEST(program_leads_group_and_session),
        TEST(program_has_what_was_specified),
        TEST(exit_status_is_told),
        TEST(execution_errors_are_reported),
        TEST(attributes_are_of_the_program_alone),
        TEST(the_step_that_failed_is_told),
        TEST(no_descriptors_left),
        TEST(no_process_to_be_had),
        TEST(we_have_no_standard_descriptors),
        TEST(programs_are_looked_up),
        TEST(a_good_program_ends_at_sigterm),
        TEST(a_program_that_heeds_its_input_gets_no_signal),
        TEST(a_stubborn_program_is_killed),
        TEST(a_stopped_program_ends),
        TEST(a_kill_is_immediate),
        TEST(grandchildren_end_too),
        TEST(grandchildren_end_after_the_leader),
        TEST(stubborn_grandchildren_are_killed),
        TEST(released_before_its_end),
        TEST(release_in_the_callback),
        TEST(older_kernels_will_do),
        TEST(orphans_are_reaped),
        TEST(five_hundred_quick_ones),
        TEST(many_descriptors),
        TEST(each_has_its_own_time_on_the_ladder),
        TEST(all_are_killed),
        TEST(a_crash_takes_the_programs_along),
    };

    (void)alarm(300); /* a test that hangs fails */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
