/* SPDX-License-Identifier: MIT */
#include "server/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/secret_file.h"
#include "base/descriptors.h"
#include "base/memory.h"
#include "base/words.h"
#include "conf/habits.h"
#include "conf/options.h"
#include "core/admission/bans.h"
#include "core/admission/hostname.h"
#include "core/auth/auth.h"
#include "core/backend.h"
#include "core/program/attr.h"
#include "core/program/preamble.h"
#include "handler/files/terminal_page.h"
#include "io/resolve.h"
#include "server/admin.h"
#include "server/priv.h"
#include "server/trust.h"

/* Of the descriptor limit: listeners, log, resolver, connections without a session. */
#define RESERVED_DESCRIPTORS 64
#define LINE_MAX_LEN 1024

static void tidy_descriptors(void)
{
    int fd;

    do {
        /* not close-on-exec: it stands in for a standard descriptor */
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
    (void)syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
}

static void raise_descriptor_limit(struct worker *w)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    w->nofile_at_start = limit;
    descriptors_keep_reserve();
}

void prepare_process(struct worker *w)
{
    tidy_descriptors();
    raise_descriptor_limit(w);
    /* Messages put together come and go: without this the heap's end would go back to the kernel
     * and come again, page by page, for each large one. */
    (void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 16 << 20);
    memory_keep_reserve(&w->as_at_start);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error of write(2) */
    (void)signal(SIGCHLD,
                 SIG_DFL); /* inherited as ignored, the kernel would throw exit statuses away */
}

/* ---- a configuration ---- */

struct teller {
    void (*tell)(void *arg, const char *line);
    void *arg;
    size_t count;
    bool stays_root;
};

/* where: "FILE:LINE:COL", or NULL. */
static void fault_line(struct teller *f, const char *where, const char *what)
{
    char line[LINE_MAX_LEN];

    snprintf(line, sizeof line, "%s%s%s", where != NULL ? where : "", where != NULL ? ": " : "",
             what);
    f->count++;
    f->tell(f->arg, line);
}

static void fault_at(struct teller *f, const char *where, const char *what, const char *name,
                     const char *why)
{
    char line[LINE_MAX_LEN];

    snprintf(line, sizeof line, "%s %.300s: %s", what, name, why);
    fault_line(f, where, line);
}

static void prepare_fault(struct teller *f, const char *what, const char *name, const char *why)
{
    fault_at(f, NULL, what, name, why);
}

static uint64_t derive_max_sessions(const struct config *c)
{
    struct rlimit limit = {.rlim_cur = 1024};
    unsigned each = 1;

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (size_t i = 0; i < c->route_count; i++) {
        const struct backend_ops *b = c->routes[i].backend;

        unsigned files = config_record_dir(&c->routes[i].settings) != NULL;

        if (b != NULL && 1 + b->descriptors + files > each)
            each = 1 + b->descriptors + files;
    }
    if (limit.rlim_cur <= 2 * RESERVED_DESCRIPTORS)
        return limit.rlim_cur / 2 / each + 1;
    return (limit.rlim_cur - RESERVED_DESCRIPTORS) / each;
}

static void open_static(struct route *r, struct teller *f)
{
    char why[OPTION_ERROR_MAX];

    if (r->static_dir == NULL)
        return;
    r->static_fd = open(r->static_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->static_fd >= 0 && faccessat(AT_FDCWD, r->static_dir, R_OK | X_OK, AT_EACCESS) == 0)
        return;
    snprintf(why, sizeof why, "%s", strerror(errno));
    option_advise("static", r->static_dir, why);
    fault_at(f, r->where, "static", r->static_dir, why);
}

static bool client_cert_fits(const struct listen_spec *l, struct teller *f)
{
    if (l->client_cert == TLSCTX_CLIENT_OFF || l->client_ca != NULL)
        return true;
    prepare_fault(f, "client certificates for", l->text,
                  "say whose: client-ca FILE (--tls-client-ca FILE)");
    return false;
}

/* Some other listener can be redirected to. */
static bool any_tls(const struct config *c)
{
    for (size_t i = 0; i < c->listen_count; i++) {
        const struct listen_spec *l = &c->listen[i];

        if (l->unix_path == NULL && (l->cert_count > 0 || (c->tls.cert != NULL && !l->redirect)))
            return true;
    }
    return false;
}

struct tlsctx_spec prepare_tls_spec(const struct listen_spec *l)
{
    return (struct tlsctx_spec){l->certs, l->cert_count, l->client_cert, l->client_ca};
}

/* Certificates given for all listeners go to those without their own. Unix sockets stay plain: who
 * can reach them is on this machine. */
static void open_tls(struct config *c, struct listen_spec *l, struct teller *f)
{
    char error[TLSCTX_ERROR_MAX];

    if (l->cert_count == 0 && l->unix_path == NULL && !l->redirect && c->tls.cert != NULL &&
        c->tls.key != NULL) {
        l->certs = arena_alloc(&c->arena, sizeof *l->certs);
        if (l->certs == NULL) {
            prepare_fault(f, "listen", l->text, "out of memory");
            return;
        }
        *l->certs = c->tls;
        l->cert_count = 1;
    }
    if (l->cert_count == 0 && l->client_cert != TLSCTX_CLIENT_OFF)
        prepare_fault(f, "client certificates for", l->text,
                      "there is no TLS; give it a certificate and key");
    if (l->cert_count > 0 && client_cert_fits(l, f)) {
        const struct tlsctx_spec spec = prepare_tls_spec(l);

        l->tls = tlsctx_new(&spec, error);
        if (l->tls == NULL)
            prepare_fault(f, "TLS for", l->text, error);
    }
    if (l->redirect && (l->cert_count > 0 || !any_tls(c)))
        prepare_fault(f, "redirect-to-https", l->text,
                      l->cert_count > 0
                          ? "this listener has TLS itself; give the option to a plain one"
                          : "no listener has TLS; give one of them tls, with cert and key");
}

/* tls:// services of a route: settings and certificates once for all of its sessions. */
static void open_backend_tls(struct route *r, struct teller *f)
{
    const struct tlsclient_spec *s = &r->settings.tls;
    char error[TLSCLIENT_ERROR_MAX];

    if (r->backend == NULL || !r->backend->over_tls)
        return;
    if ((s->cert == NULL) != (s->key == NULL)) {
        fault_at(f, r->where, "TLS to", r->target.text, "backend-cert and backend-key go together");
        return;
    }
    r->tls = tlsclient_new(s, error);
    if (r->tls == NULL)
        fault_at(f, r->where, "TLS to", r->target.text, error);
}

static void free_bans(void *config)
{
    struct config *c = config;

    bans_free(c->bans);
    c->bans = NULL;
}

static void read_bans(struct config *c, struct teller *f)
{
    struct file_stamp stamp;
    char why[BANS_ERROR_MAX];

    if (c->ban_file == NULL)
        return;
    c->bans = bans_read(c->ban_file, &stamp, why);
    if (c->bans == NULL) {
        f->count++;
        f->tell(f->arg, why);
    } else if (!config_own(c, free_bans, c)) {
        prepare_fault(f, "ban-file", c->ban_file, "out of memory");
    }
}

static void prepare_trusted(struct config *c, struct teller *f)
{
    const char *wrong;

    c->trusted = arena_alloc(&c->arena, (c->trusted_texts.count + 1) * sizeof *c->trusted);
    for (size_t i = 0; i < c->trusted_texts.count && c->trusted != NULL; i++) {
        wrong = cidr_parse(slice_from(c->trusted_texts.items[i]), &c->trusted[i]);
        if (wrong != NULL)
            prepare_fault(f, "trusted-proxies", c->trusted_texts.items[i], wrong);
    }
    if (c->trusted == NULL)
        prepare_fault(f, "trusted-proxies", "", "out of memory");
    for (size_t i = 0; i < c->listen_count && c->trusted_texts.count == 0; i++) {
        if (!c->listen[i].accept_proxy || c->listen[i].text == NULL)
            continue;
        prepare_fault(f, "accept-proxy of", c->listen[i].text,
                      "say from whom: --trusted-proxies LIST");
        break;
    }
}

static void check_hosts(const struct config *c, struct teller *f)
{
    for (size_t i = 0; i < c->hosts.count; i++) {
        const char *wrong = hostname_judge(c->hosts.items[i]);

        if (wrong != NULL)
            prepare_fault(f, "host", c->hosts.items[i], wrong);
    }
}

/* Sessions that start hours later must find the directory usable. */
static void check_record(const struct route *r, struct teller *f)
{
    const char *dir = config_record_dir(&r->settings);
    int fd;

    if (dir == NULL)
        return;
    fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0)
        fault_at(f, r->where, "record", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void prepare_auth(struct route *r, struct teller *f)
{
    char why[AUTH_ERROR_MAX];

    if (!auth_settings_sound(r->config, r, why) || !auth_prepare(r, why))
        fault_at(f, r->where, "auth of", r->path, why);
}

/* Words of the client's are judged when it comes; the operator's here. */
static void prepare_preamble(struct route *r, struct teller *f)
{
    struct secret_file file = {.path = r->settings.preamble_secret};
    char why[PREAMBLE_ERROR_MAX > AUTH_ERROR_MAX ? PREAMBLE_ERROR_MAX : AUTH_ERROR_MAX];
    size_t len;

    if (!preamble_sound(r, why)) {
        fault_at(f, r->where, "preamble of", r->path, why);
        return;
    }
    if (file.path == NULL || !preamble_needs_secret(r))
        return;
    r->preamble_word = secret_file_read(&file, true, &len, why);
    if (r->preamble_word == NULL) {
        fault_at(f, r->where, "preamble-secret of", r->path, why);
        return;
    }
    struct slice word = slice_trim(slice_of(r->preamble_word, strcspn(r->preamble_word, "\n")));

    if (word.p + word.len + strspn(word.p + word.len, " \t\r\n") != r->preamble_word + len ||
        !preamble_is_word(word)) {
        fault_at(f, r->where, "preamble-secret", file.path,
                 "one word is needed, that does not begin with a colon");
        secret_file_free(r->preamble_word, len);
        r->preamble_word = NULL;
        return;
    }
    memmove(r->preamble_word, word.p, word.len);
    explicit_bzero(r->preamble_word + word.len, len - word.len);
}

static void check_page(const struct route *r, struct teller *f)
{
    if (r->settings.page == PAGE_TERMINAL && r->page == PAGE_TERMINAL && !terminal_page_is_there())
        fault_at(f, r->where, "page of", r->path,
                 "this wsluice was built without the terminal page; see `make terminal`");
}

static void prepare_program(struct route *r, struct teller *f)
{
    char why[ATTR_ERROR_MAX];

    attr_prepare_login(r);
    if (attr_prepare(r, f->stays_root, why))
        return;
    fault_line(f, r->where, why);
}

/* What every program does without the whole process gives up; else each program by itself. */
static void share_no_new_privs(struct config *c, struct teller *f)
{
    c->no_new_privs = c->settings.no_new_privs;
    for (size_t i = 0; i < c->route_count; i++) {
        if (attr_has_program(&c->routes[i]) && !c->routes[i].settings.no_new_privs)
            c->no_new_privs = false;
    }
    for (size_t i = 0; i < c->route_count && !c->no_new_privs; i++) {
        struct route *r = &c->routes[i];

        if (!attr_has_program(r) || !r->settings.no_new_privs)
            continue;
        if (attr_make(r) == NULL)
            prepare_fault(f, "no-new-privs", "", "out of memory");
        else
            r->attr->no_new_privs = true;
    }
}

/* A program and its arguments in one pair of quotes, or in one item of a list. */
static void tell_one_word(const char *words, bool command, char why[2 * HABIT_ADVICE_MAX])
{
    char list[HABIT_ADVICE_MAX];

    words_as_list(words, list, sizeof list);
    snprintf(why, 2 * HABIT_ADVICE_MAX,
             "no such program; a program and its arguments are words of their own: write %s%.255s",
             command ? "-- " : "", command ? words : list);
}

/* The COMMAND, or a program of a route: the first may be what other tools take instead of one. */
static void tell_unusable(const struct route *r, const char *wrong, struct teller *f)
{
    char words[HABIT_ADVICE_MAX] = "", advice[HABIT_ADVICE_MAX], why[2 * HABIT_ADVICE_MAX];
    char *const *argv = r->target.argv;
    bool command = r->where == NULL && argv != NULL && strcmp(r->target.text, argv[0]) == 0;
    size_t n = 0;

    for (size_t i = 0; argv != NULL && argv[i] != NULL && n < sizeof words; i++)
        n += (size_t)snprintf(words + n, sizeof words - n, "%s%s", i > 0 ? " " : "", argv[i]);
    snprintf(why, sizeof why, "%.255s", wrong);
    if (command && habits_find(HABIT_COMMAND, words, advice))
        snprintf(why, sizeof why, "no such program; %s", advice);
    else if (argv != NULL && argv[1] == NULL && strchr(argv[0], ' ') != NULL)
        tell_one_word(words, command, why);
    fault_at(f, r->where, "cannot use", r->target.text, why);
}

static void prepare_route(struct route *r, struct arena *arena, struct teller *f)
{
    const char *wrong = NULL;

    if (r->backend != NULL && r->backend->check != NULL)
        wrong = r->backend->check(&r->target, arena);
    if (wrong != NULL)
        tell_unusable(r, wrong, f);
    /* what is closed to us may be open to the program's user */
    if (r->settings.cwd != NULL && access(r->settings.cwd, X_OK) < 0 &&
        !(errno == EACCES && r->settings.run_as != NULL))
        fault_at(f, r->where, "cwd", r->settings.cwd, strerror(errno));
    prepare_program(r, f);
    check_page(r, f);
    check_record(r, f);
    if (r->path == NULL) /* told already; these name it, and what it captures */
        return;
    prepare_auth(r, f);
    prepare_preamble(r, f);
}

/* Of others than listeners and services. */
static void check_addresses(const struct config *c, struct teller *f)
{
    const char *wrong = c->dns_servers != NULL ? resolve_judge_servers(c->dns_servers) : NULL;

    if (wrong != NULL)
        prepare_fault(f, "dns-servers", c->dns_servers, wrong);
    if (strlen(c->syslog_socket) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        prepare_fault(f, "syslog-socket", c->syslog_socket, "the path is longer than 107 bytes");
    wrong = c->admin != NULL ? admin_judge(c->admin) : NULL;
    if (wrong != NULL)
        prepare_fault(f, "admin", c->admin, wrong);
}

/* With less than that, libev and vfork would meet the limit where nothing can be told. */
static void check_descriptors(struct teller *f)
{
    struct rlimit limit;
    char line[LINE_MAX_LEN];

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max >= DESCRIPTORS_LEAST)
        return;
    snprintf(line, sizeof line,
             "only %llu open files are allowed, at least %d are needed; raise the limit: ulimit "
             "-n, or LimitNOFILE= of a systemd unit",
             (unsigned long long)limit.rlim_max, DESCRIPTORS_LEAST);
    fault_line(f, NULL, line);
}

size_t prepare_limits(void (*tell)(void *arg, const char *line), void *arg)
{
    struct teller f = {.tell = tell, .arg = arg};

    check_descriptors(&f);
    return f.count;
}

size_t prepare_writable(const struct config *c, void (*tell)(void *arg, const char *line),
                        void *arg)
{
    struct teller f = {.tell = tell, .arg = arg};

    for (size_t i = 0; i < c->route_count; i++)
        check_record(&c->routes[i], &f);
    return f.count;
}

static void tell_untrusted(void *arg, const char *where, const char *what, const char *why)
{
    char line[LINE_MAX_LEN];

    snprintf(line, sizeof line, "%s: %s", what, why);
    fault_line(arg, where, line);
}

size_t prepare_config(struct config *c, void (*tell)(void *arg, const char *line), void *arg)
{
    struct teller f = {.tell = tell, .arg = arg, .stays_root = priv_stays_root(c)};
    char error[PRIV_ERROR_MAX];

    check_descriptors(&f);
    if (priv_check(c, error) < 0)
        fault_line(&f, NULL, error);
    trust_judge(c, priv_user(c), tell_untrusted, &f);
    share_no_new_privs(c, &f);
    prepare_trusted(c, &f);
    check_hosts(c, &f);
    read_bans(c, &f);
    if ((c->tls.cert == NULL) != (c->tls.key == NULL))
        prepare_fault(
            &f, "TLS", c->tls.cert != NULL ? c->tls.cert : c->tls.key,
            "certificate and key go together: --tls-cert FILE --tls-key FILE (the same file, if "
            "it has both)");
    /* who names authorities wants certificates to be asked for */
    if (c->client_ca != NULL && c->client_cert == TLSCTX_CLIENT_OFF)
        prepare_fault(&f, "tls-client-ca", c->client_ca,
                      "no certificates are asked for; say --tls-client-cert require, or optional");
    for (size_t i = 0; i < c->listen_count; i++) {
        if (c->listen[i].text != NULL) /* else told already */
            open_tls(c, &c->listen[i], &f);
    }
    for (size_t i = 0; i < c->route_count; i++) {
        open_static(&c->routes[i], &f);
        open_backend_tls(&c->routes[i], &f);
        prepare_route(&c->routes[i], &c->arena, &f);
    }
    check_addresses(c, &f);
    if (c->max_sessions == 0)
        c->max_sessions = derive_max_sessions(c);
    return f.count;
}
