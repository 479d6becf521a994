/* SPDX-License-Identifier: MIT */
/*
 * What a request target leads to: the router, the doors and the files together, as they stand
 * behind a front. Input: the target of a GET. Oracles:
 * - a path that is taken is its own canonical form: who removes empty segments and dots, and takes
 *   escaped slashes for slashes, finds the same;
 * - a file is never shown unless the doors of the routes that have it were asked: those of the
 *   longest path of all, and of the longest one with files;
 * - what the router says of a path is all of it: the route's part, and what is below;
 * - who is not let in gets the same answer whether there is such a file or not.
 * test_target.c runs the same on targets of its own making.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backends.h"
#include "core/admission/admission.h"
#include "core/auth/auth.h"
#include "core/core.h"
#include "core/observe/stats.h"
#include "core/request.h"
#include "core/route.h"
#include "http/dispatch.h"
#include "proto/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TARGET_MAX 2048
#define ROUTES 7

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* ---- a tree whose files say their own names, and routes into it ---- */

static const char *const tree[] = {
    "index.html",
    "page",
    "private/index.html",
    "private/x",
    "private/deep/x",
    "private/open/x",
    "private/ws/x",
    "private/ws/index.html",
    "private%2Fx",
    "..x",
    "deep/private/x",
    "deep/private/ws/x",
    "deep/index.html",
    "u/bob/index.html",
    "u/bob/x",
    ".well-known/private",
};

static const struct {
    const char *path, *folder; /* of files, below the root; NULL: none, an echo */
    bool door;
} plan[ROUTES] = {
    {"/", "", false},
    {"/private", "/private", true},
    {"/private/open", "/private/open", false},
    {"/private/ws", NULL, false},
    {"/deep/private", NULL, true},
    {"/u/{who:.+}", NULL, true},
    {"/deep/index.html", NULL, true},
};

struct world {
    char root[64];
    struct core core;
    struct config *full, *bare; /* the same routes, to files and to empty folders */
    bool let_in;
    const struct route *asked[4]; /* whose doors, for this request */
    size_t asked_count;
};

/* An answer, and the stream it was given to. */
struct asking {
    struct stream stream;
    struct world *world;
    struct http1_parser parser;
    struct request request;
    int status;
    char body[64];
};

static struct world *the_world; /* for atexit alone; what is judged gets its own pointer */

static void make_file(const char *root, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/files/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
        *p = '\0';
        (void)mkdir(path, 0700);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, name, strlen(name)) == (ssize_t)strlen(name));
    close(fd);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void judge(struct auth_check *a);

static const struct auth_ops door = {.name = "door", .judge = judge};

/* Nothing but folders below `top`. */
static struct config *make_routes(const char *root, const char *top)
{
    struct config *c = config_new();
    char folder[128], why[ROUTE_ERROR_MAX];

    must(c != NULL);
    for (size_t i = 0; i < ROUTES; i++) {
        struct route *r = config_add_route(c);

        must(r != NULL && route_set_path(r, plan[i].path, why));
        if (plan[i].folder != NULL) {
            snprintf(folder, sizeof folder, "%s/%s%s", root, top, plan[i].folder);
            (void)mkdir(folder, 0700);
            r->static_dir = plan[i].folder;
            r->static_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
            must(r->static_fd >= 0);
        } else {
            r->backend = &backend_echo;
        }
        if (plan[i].door) {
            r->settings.auth = AUTH_HOOK;
            r->auth = &door;
        }
    }
    return c;
}

static void world_free(void)
{
    struct world *w = the_world;

    config_release(w->full);
    config_release(w->bare);
    admission_free(w->core.admission);
    stats_free(&w->core.worker);
    worker_release(&w->core.worker);
    (void)nftw(w->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    const char *tmp = getenv("TMPDIR");

    must(w != NULL);
    snprintf(w->root, sizeof w->root, "%.40s/target-XXXXXX", tmp != NULL ? tmp : "/tmp");
    must(mkdtemp(w->root) != NULL);
    for (size_t i = 0; i < sizeof tree / sizeof tree[0]; i++)
        make_file(w->root, tree[i]);
    log_init(&w->core.worker.log, LOG_ERROR, LOG_TEXT);
    must(worker_init(&w->core.worker) == 0);
    w->full = make_routes(w->root, "files");
    w->bare = make_routes(w->root, "none");
    w->core.config = w->full;
    w->core.admission = admission_new(&w->core.worker);
    w->core.stats = stats_new();
    must(w->core.admission != NULL && w->core.stats != NULL);
    the_world = w;
    must(atexit(world_free) == 0);
    return w;
}

/* ---- a request and its answer ---- */

static struct asking *asking_of(const struct stream *s)
{
    return (struct asking *)((uintptr_t)s - offsetof(struct asking, stream));
}

static void judge(struct auth_check *a)
{
    struct world *w = asking_of(a->stream)->world;

    must(w->asked_count < sizeof w->asked / sizeof w->asked[0]);
    w->asked[w->asked_count++] = a->route;
    if (w->let_in)
        auth_allow(a, auth_grant_new(slice_from("somebody"), NULL, 0), NULL);
    else
        auth_deny(a, 401, "no", AUTH_NOTHING, NULL);
}

static struct request *get_request(const struct stream *s)
{
    return &asking_of(s)->request;
}

static void respond(struct stream *s, const struct response *r)
{
    struct asking *a = asking_of(s);

    must(a->status == 0);
    a->status = r->status;
    snprintf(a->body, sizeof a->body, "%.*s", (int)r->body.len, r->body.p);
}

static size_t nothing_queued(const struct stream *s)
{
    (void)s;
    return 0;
}

static uint64_t nothing_delivered(const struct stream *s)
{
    (void)s;
    return 0;
}

static void end(struct stream *s)
{
    (void)s;
}

static const struct stream_ops ops = {.request = get_request,
                                      .respond = respond,
                                      .queued = nothing_queued,
                                      .delivered = nothing_delivered,
                                      .end = end,
                                      .abort = end};

/* Asks one of the configurations. False when the request was refused for itself; the request is
 * there until `finish`. */
static bool ask(struct world *w, struct config *c, struct asking *a, const char *head)
{
    const char *why;

    memset(a, 0, sizeof *a);
    a->world = w;
    a->stream.ops = &ops;
    a->stream.worker = &w->core.worker;
    w->core.config = c;
    w->asked_count = 0;
    http1_init(&a->parser, TARGET_MAX);
    if (http1_feed(&a->parser, head, strlen(head)) != HTTP1_DONE)
        return false;
    if (request_init(&a->request, &a->parser.head, &why) != 0) {
        request_release(&a->request);
        return false;
    }
    a->request.admission = ADMISSION_PASS;
    dispatch_request(&a->stream);
    must(a->status != 0);
    return true;
}

static void finish(struct asking *a)
{
    request_release(&a->request);
    ev_run(a->stream.worker->loop, EVRUN_NOWAIT);
}

/* ---- what is to be so ---- */

/* What a careless reader makes of a target: escapes undone, empty segments and dots removed. */
static void canonical(const char *target, char out[TARGET_MAX])
{
    char flat[TARGET_MAX];
    size_t n = 0, m = 0, seg;

    if (target[0] != '/')
        target = strchr(strstr(target, "//") + 2, '/');
    for (; *target != '\0' && *target != '?'; target++) {
        char hex[3] = {0}, *stop;

        if (*target == '%')
            memcpy(hex, target + 1, strnlen(target + 1, 2));
        flat[n] = (char)strtol(hex, &stop, 16);
        if (hex[0] == '\0' || stop != hex + 2)
            flat[n] = *target;
        else
            target += 2;
        n++;
    }
    flat[n] = '\0';
    for (const char *p = flat; *p == '/'; p += seg) {
        seg = strcspn(++p, "/");
        if (seg == 2 && p[0] == '.' && p[1] == '.') {
            while (m > 0 && out[--m] != '/')
                ;
        } else if (seg > 0 && !(seg == 1 && p[0] == '.')) {
            out[m++] = '/';
            memcpy(out + m, p, seg);
            m += seg;
        }
        if (p[seg] == '\0' && (seg == 0 || p[0] == '.') && (seg < 2 || strncmp(p, "..", seg) == 0))
            out[m++] = '/';
    }
    out[m] = '\0';
}

static bool is_captured(const char *segment, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)segment[i] < 0x20 || segment[i] == 0x7f)
            return false;
    }
    return n > 0 && n <= ROUTE_CAPTURE_LEN;
}

/* Of a path as planned: the capture stands for any one segment that may be captured. */
static bool is_below(const char *path, const char *of)
{
    if (of[1] == '\0')
        return true;
    for (; *of != '\0'; of++) {
        if (*of == '{') {
            size_t n = strcspn(path, "/");

            if (!is_captured(path, n))
                return false;
            path += n;
            of = strchr(of, '}');
        } else if (*path++ != *of) {
            return false;
        }
    }
    return *path == '\0' || *path == '/';
}

static size_t longest(const char *path, bool with_files)
{
    size_t best = 0;

    for (size_t i = 1; i < ROUTES; i++) {
        if (is_below(path, plan[i].path) && (!with_files || plan[i].folder != NULL) &&
            strlen(plan[i].path) > strlen(plan[best].path))
            best = i;
    }
    return best;
}

static bool was_asked(const struct world *w, size_t i)
{
    for (size_t k = 0; k < w->asked_count; k++) {
        if (w->asked[k] == &w->full->routes[i])
            return true;
    }
    return false;
}

static void check_file(const struct asking *a)
{
    const struct world *w = a->world;
    char path[sizeof a->body + 1];
    size_t route, files;

    snprintf(path, sizeof path, "/%s", a->body);
    route = longest(path, false);
    files = longest(path, true);
    must(!plan[route].door || was_asked(w, route));
    must(!plan[files].door || was_asked(w, files));
    must(a->request.match.files == &w->full->routes[files]);
    if (strncmp(path, a->request.path, sizeof path) != 0) { /* the index of a folder */
        strcat(strcpy(path, a->request.path), "index.html");
        must(strcmp(path + 1, a->body) == 0);
    }
}

static void check_match(const struct asking *a)
{
    const struct route_match *m = &a->request.match;
    const char *path = a->request.path;
    size_t route = longest(path, false);

    must(m->route == &a->world->core.config->routes[route]);
    must(m->prefix <= strlen(path) && (path[m->prefix] == '\0' || path[m->prefix] == '/'));
    must(m->files_prefix <= m->prefix);
    must(slice_is(slice_from(m->route->path), "/") || is_below(path, plan[route].path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = the_world != NULL ? the_world : world_new();
    char target[TARGET_MAX / 2], head[TARGET_MAX], form[TARGET_MAX];
    struct asking a;
    bool judged;
    int outside[2];

    if (size >= sizeof target || memchr(data, '\0', size) != NULL)
        return 0;
    memcpy(target, data, size);
    target[size] = '\0';
    if (strpbrk(target, " \r\n") != NULL) /* else it is more than a target */
        return 0;
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    w->let_in = true;
    if (!ask(w, w->full, &a, head))
        return 0;
    canonical(target, form);
    must(strcmp(form, a.request.path) == 0);
    check_match(&a);
    if (a.status == 200)
        check_file(&a);
    judged = w->asked_count > 0;
    finish(&a);
    w->let_in = false;
    for (int i = 0; i < 2; i++) {
        must(ask(w, i == 0 ? w->full : w->bare, &a, head));
        outside[i] = a.status;
        finish(&a);
    }
    must(!judged || (outside[0] == 401 && outside[1] == 401));
    return 0;
}
