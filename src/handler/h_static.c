/* SPDX-License-Identifier: MIT */

/*
 * Files below a route's `static` on plain GET and HEAD: what follows the route's own path is looked
 * for in its directory. The kernel itself keeps every step of a path beneath
 * that directory (openat2, RESOLVE_BENEATH), symlinks and renames in the middle of it included, so
 * there is no check here that could be outrun.
 *
 * A body leaves in pieces: the next one is read when the one before has left, so a file of any size
 * takes no memory of ours, and one piece a turn, so that it starves nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "handler/handlers.h"
#include "handler/mime.h"
#include "proto/handshake.h"

#define PIECE (64U * 1024U) /* bytes of a file read at once */
#define OPEN_TRIES 16       /* openat2 gives up with EAGAIN while somebody renames in the tree */
#define FIELDS_SIZE \
    1536 /* header lines of ours in an answer; a front's head has 2048 bytes in all */

_Static_assert(PIECE <= WORKER_TX_SIZE, "a piece is read into the worker's buffer");

/*
 * A file on its way to a client. Ends with the last byte, or with the connection. The stream's
 * timer is its own meanwhile: with nothing queued it sends the next piece, next turn; else it looks
 * for a stall.
 */
struct body {
    struct stream *stream;
    int fd;
    uint64_t left;      /* bytes not yet read */
    double stall;       /* seconds a client may take nothing */
    uint64_t delivered; /* when the timer was set */
    struct reap reap;
};

static void body_go_on(struct body *b);

/* ---- finding a file ---- */

/* A segment with a leading dot is nobody's page (.git, .htpasswd), but for RFC 8615's. */
static bool is_hidden(const char *path)
{
    for (const char *dot = strstr(path, "/."); dot != NULL; dot = strstr(dot + 1, "/.")) {
        if (strncmp(dot, "/.well-known", 12) != 0 || (dot[12] != '/' && dot[12] != '\0'))
            return true;
    }
    return false;
}

/* Opens root/path with suffix added to it. -1 with errno. O_NONBLOCK: a FIFO would wait for its
 * writer. */
static int open_beneath(int root, const char *path, const char *suffix)
{
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    char name[PATH_MAX];
    long fd = -1;
    int n = snprintf(name, sizeof name, ".%s%s", path, suffix);

    errno = ENAMETOOLONG;
    if (n < 0 || (size_t)n >= sizeof name)
        return -1;
    for (int tries = 0; fd < 0 && tries < OPEN_TRIES; tries++) {
        fd = syscall(SYS_openat2, root, name, &how, sizeof how);
        if (fd < 0 && errno != EAGAIN && errno != EINTR)
            break;
    }
    return (int)fd;
}

/* The regular file, or the directory, that a path names, "" the root; for "PATH/" the index in it.
 * -1 with errno. */
static int find_file(int root, const char *path, struct stat *st)
{
    bool is_folder = path[0] != '\0' && path[strlen(path) - 1] == '/';
    int fd = -1;

    errno = ENOENT;
    if (!is_hidden(path))
        fd = open_beneath(root, path, is_folder ? "index.html" : "");
    if (fd < 0 || (fstat(fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

/* There is something to show under this path. */
static bool has_page(int root, const char *path)
{
    struct stat st = {0};
    int fd = find_file(root, path, &st);

    if (fd >= 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        fd = open_beneath(root, path, "/index.html");
    }
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* ---- answers without a body of a file ---- */

static void refuse(struct stream *s, int status, const char *fields, const char *why)
{
    handler_log(s, status, why);
    stream_refuse(s, status, fields, why);
}

static void refuse_errno(struct stream *s, int err)
{
    switch (err) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        refuse(s, 503, "Retry-After: 1\r\n", "too busy to open a file");
        break;
    case ENOSYS:
        refuse(s, 500, NULL, "files need openat2, which this kernel or its sandbox does not have");
        break;
    default: /* one text for all: a client need not learn what is there and hidden */
        handler_log(s, 404, strerror(err));
        stream_refuse(s, 404, NULL, "there is no such file");
    }
}

/* Adds text to a header line at out, all but plain characters and those in `keep` as %XX. Returns
 * its new end, NULL when it does not fit or had not fitted before. */
static char *add_escaped(char *out, const char *end, struct slice text, const char *keep)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (size_t i = 0; i < text.len && out != NULL; i++) {
        char c = text.p[i];
        bool as_is = c != '\0' && (strchr(plain, c) != NULL || strchr(keep, c) != NULL);
        int n = snprintf(out, (size_t)(end - out), as_is ? "%c" : "%%%02X", (unsigned char)c);

        out = n > 0 && n < end - out ? out + n : NULL;
    }
    return out;
}

/*
 * To the same path with a slash behind it, so that the page's own links work. It has one leading
 * slash only: "//name/" would be another host.
 */
static void redirect(struct stream *s)
{
    const struct request *r = stream_request(s);
    char fields[FIELDS_SIZE];
    const char *end = fields + sizeof fields;
    struct slice path = slice_from(r->path);
    char *out = add_escaped(fields + sprintf(fields, "Location: "), end, path, "/!$&'()*+,;=:@");
    const struct response answer = {.status = 301,
                                    .fields = fields,
                                    .body = slice_from("see Location\n"),
                                    .head_only = slice_is(r->head->method, "HEAD")};

    out = add_escaped(out, end, slice_from("/"), "/");
    if (r->query.p != NULL)
        out = add_escaped(add_escaped(out, end, slice_from("?"), "?"), end, r->query,
                          "/!$&'()*+,;=:@?%");
    if (out == NULL || end - out < 3) {
        refuse(s, 414, NULL, "the path is too long");
        return;
    }
    memcpy(out, "\r\n", 3);
    handler_log(s, 301, NULL);
    stream_respond(s, &answer);
    stream_end(s);
}

/* ---- what the client has already (RFC 9110, section 13) ---- */

struct validators {
    char etag[64];
    char modified[64]; /* empty: the time cannot be said */
};

static void validators_make(struct validators *v, const struct stat *st)
{
    struct tm tm;

    snprintf(v->etag, sizeof v->etag, "\"%llx.%lx-%llx\"", (unsigned long long)st->st_mtim.tv_sec,
             (unsigned long)st->st_mtim.tv_nsec, (unsigned long long)st->st_size);
    if (gmtime_r(&st->st_mtim.tv_sec, &tm) == NULL ||
        strftime(v->modified, sizeof v->modified, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        v->modified[0] = '\0';
}

static bool etags_have(struct slice list, const char *etag)
{
    struct slice item;

    while (slice_next_item(&list, &item)) {
        if (slice_starts(item, "W/"))
            item = slice_of(item.p + 2, item.len - 2);
        if (slice_is(item, "*") || slice_is(item, etag))
            return true;
    }
    return false;
}

/* If-None-Match decides where it stands. A date must be the one we gave: what else it may mean is
 * not worth parsing it. */
static bool client_has(const struct http_head *head, const struct validators *v)
{
    bool asked = false;
    size_t dates;
    struct slice date = http_head_get(head, "If-Modified-Since", &dates);

    for (size_t i = 0; i < head->count; i++) {
        if (!slice_eq_nocase(head->fields[i].name, slice_from("If-None-Match")))
            continue;
        asked = true;
        if (etags_have(head->fields[i].value, v->etag))
            return true;
    }
    return !asked && dates == 1 && date.len > 0 && slice_is(date, v->modified);
}

/* ---- sending a body ---- */

static void body_release(struct reap *r)
{
    free((char *)r - offsetof(struct body, reap));
}

static void body_close(struct body *b)
{
    struct stream *s = b->stream;

    ev_timer_stop(s->worker->loop, &s->timer);
    close(b->fd);
    b->fd = -1;
    stream_take(s, NULL, NULL);
    b->reap.release = body_release;
    worker_reap(s->worker, &b->reap);
}

static void body_abort(struct body *b, const char *why)
{
    struct stream *s = b->stream;
    char client[ADDR_TEXT_MAX];

    log_line(&s->worker->log, LOG_INFO, "file cut short", LOG_I("missing", b->left),
             LOG_C("reason", why),
             LOG_C("path", stream_request(s) != NULL ? stream_request(s)->path : NULL),
             LOG_C("client", stream_request(s) != NULL
                                 ? addr_format(&stream_request(s)->client, client)
                                 : NULL));
    body_close(b);
    stream_abort(s);
}

/* At most `room` bytes of the file, as many as it said to have; 0 when they are not there any more,
 * -1 with errno. */
static ssize_t body_read(struct body *b, void *p, size_t room)
{
    ssize_t n;

    if (b->left < room)
        room = (size_t)b->left;
    do {
        n = read(b->fd, p, room);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        b->left -= (uint64_t)n;
    return n;
}

static void body_send_piece(struct body *b)
{
    uint8_t *p = b->stream->worker->tx;
    ssize_t n = body_read(b, p, PIECE);

    if (n <= 0) {
        body_abort(b, n == 0 ? "the file has become shorter" : strerror(errno));
        return;
    }
    stream_write(b->stream, p, (size_t)n);
    body_go_on(b);
}

static void body_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct body *b = timer->data;
    (void)loop;
    (void)revents;

    if (stream_queued(b->stream) == 0)
        body_send_piece(b);
    else if (stream_delivered(b->stream) == b->delivered)
        body_abort(b, "the client takes nothing");
    else
        body_go_on(b);
}

/* Decides what comes next; the one place that ends a body well. */
static void body_go_on(struct body *b)
{
    struct stream *s = b->stream;
    bool queued = stream_queued(s) > 0;

    if (!queued && b->left == 0) {
        body_close(b);
        stream_end(s);
        return;
    }
    ev_timer_stop(s->worker->loop, &s->timer);
    b->delivered = stream_delivered(s);
    ev_timer_set(&s->timer, queued ? b->stall : 0, 0);
    ev_timer_start(s->worker->loop, &s->timer);
}

static void body_on_drained(void *owner)
{
    body_go_on(owner);
}

static void body_on_closed(void *owner, int err)
{
    struct body *b = owner;
    struct stream *s = b->stream;
    (void)err;

    body_close(b);
    stream_abort(s);
}

static const struct stream_events body_events = {.drained = body_on_drained,
                                                 .closed = body_on_closed};

/* Takes the stream over. The first piece goes with the head. */
static void body_start(struct stream *s, struct response *answer, int fd, double stall)
{
    struct body *b = calloc(1, sizeof *b);
    ssize_t n;

    if (b == NULL) {
        close(fd);
        refuse_errno(s, ENOMEM);
        return;
    }
    b->stream = s;
    b->fd = fd;
    b->left = answer->length;
    b->stall = stall;
    ev_timer_init(&s->timer, body_on_timer, 0, 0);
    stream_take(s, &body_events, b);
    n = body_read(b, s->worker->tx, PIECE);
    if (n < 0 || (n == 0 && b->left > 0)) {
        int err = n < 0 ? errno : EIO;

        body_close(b);
        refuse_errno(s, err);
        return;
    }
    answer->body = slice_of((const char *)s->worker->tx, (size_t)n);
    handler_log(s, answer->status, NULL);
    stream_respond(s, answer);
    body_go_on(b);
}

/* ---- the handler ---- */

/* What is asked for below the directory. */
static const char *path_below(const struct request *r)
{
    return r->path + r->match.files_prefix;
}

/* A path where only a route could answer is left to who speaks for it: the console, or the hint
 * that WebSocket is spoken there. A route with files of its own shows them, so without the console
 * a missing file is just that. */
static bool static_wants(const struct config *c, const struct route *route, const struct request *r)
{
    const struct route *files = r->match.files;
    (void)c;

    if (files == NULL || handshake_wanted(r->head))
        return false;
    if (route->backend == NULL || (files == route && !route->settings.console))
        return true;
    return has_page(files->static_fd, path_below(r));
}

static bool is_origin(const char *text)
{
    return strstr(text, "://") != NULL &&
           text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                             "-._:/[]")] == '\0';
}

/*
 * Whose pages may show ours in a frame: those that may open WebSockets here, and our own. Others
 * could put a terminal, say, beneath their own page, and have its visitor type into it. Origins
 * that do not fit are left out.
 */
static void add_frames(char *out, const char *end, const struct text_list *origins)
{
    for (size_t i = 0; i < origins->count; i++) {
        if (strcmp(origins->items[i], "any") == 0)
            return;
    }
    out += sprintf(out, "Content-Security-Policy: frame-ancestors 'self'");
    for (size_t i = 0; i < origins->count; i++) {
        const char *origin = origins->items[i];

        if (is_origin(origin) && (size_t)(end - out) > strlen(origin) + 4)
            out += sprintf(out, " %s", origin);
    }
    memcpy(out, "\r\n", 3);
}

static void answer_file(struct stream *s, int fd, const struct stat *st)
{
    const struct http_head *head = stream_request(s)->head;
    struct validators v;
    char fields[FIELDS_SIZE];
    struct response answer = {
        .status = 200,
        .content_type = mime_of(stream_request(s)->path[strlen(stream_request(s)->path) - 1] == '/'
                                    ? ".html"
                                    : stream_request(s)->path),
        .fields = fields,
        .length = (uint64_t)st->st_size,
        .head_only = slice_is(head->method, "HEAD"),
    };
    int n;

    validators_make(&v, st);
    n = snprintf(fields, sizeof fields, "ETag: %s\r\nCache-Control: no-cache\r\n%s%s%s", v.etag,
                 v.modified[0] != '\0' ? "Last-Modified: " : "", v.modified,
                 v.modified[0] != '\0' ? "\r\n" : "");
    add_frames(fields + n, fields + sizeof fields,
               &stream_request(s)->match.files->settings.origins);
    if (client_has(head, &v)) {
        answer.status = 304;
        answer.head_only = true;
    }
    if (!answer.head_only) {
        body_start(s, &answer, fd, stream_request(s)->match.files->settings.stall_timeout);
        return;
    }
    close(fd);
    handler_log(s, answer.status, NULL);
    stream_respond(s, &answer);
    stream_end(s);
}

static void static_handle(struct stream *s, const struct config *c, const struct route *route)
{
    const struct request *r = stream_request(s);
    struct stat st = {0};
    int fd;
    (void)c;
    (void)route;

    if (!slice_is(r->head->method, "GET") && !slice_is(r->head->method, "HEAD")) {
        refuse(s, 405, handshake_refusal_fields(405), "files are only read here");
        return;
    }
    fd = find_file(r->match.files->static_fd, path_below(r), &st);
    if (fd < 0) {
        refuse_errno(s, errno);
    } else if (S_ISREG(st.st_mode)) {
        answer_file(s, fd, &st);
    } else {
        close(fd);
        if (r->path[strlen(r->path) - 1] == '/') /* a directory named index.html */
            refuse_errno(s, ENOENT);
        else
            redirect(s);
    }
}

const struct handler_ops handler_static = {"static", static_wants, static_handle};
