/* SPDX-License-Identifier: MIT */
/* http/h1_early: what was sent behind the head is read again from the loop, once, before what
 * follows, when its reader reads, and whatever ends the connection before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/h1.h"

#define HEAD "GET / HTTP/1.1\r\n\r\n"

struct connection {
    struct h1 h;
    int far;
    char got[64];
    size_t len;
    int eof, closed;
};

static struct connection *of_io(struct io *io)
{
    return (struct connection *)h1_of_io(io);
}

static void on_data(struct io *io, uint8_t *p, size_t n)
{
    struct connection *c = of_io(io);

    assert_true(c->len + n < sizeof c->got);
    memcpy(c->got + c->len, p, n);
    c->len += n;
}

static void on_eof(struct io *io)
{
    of_io(io)->eof++;
}

static void on_closed(struct io *io, int err)
{
    (void)err;
    of_io(io)->closed++;
}

static const struct io_events events = {on_data, on_eof, NULL, NULL, on_closed, NULL};

static int begin(void **state)
{
    struct worker *w = calloc(1, sizeof *w);

    *state = w;
    return w != NULL ? worker_init(w) : -1;
}

static int end(void **state)
{
    worker_release(*state);
    free(*state);
    return 0;
}

/* A connection whose request was read with `behind` in the same read, and is answered now. */
static void answer(struct connection *c, struct worker *w, const char *behind)
{
    struct h1_request *req = calloc(1, sizeof *req);
    int fds[2];

    memset(c, 0, sizeof *c);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    c->far = fds[1];
    io_open(&c->h.io, w, &io_raw_socket, fds[0], &events);
    assert_non_null(req);
    assert_int_equal(buf_append(&req->bytes, HEAD, strlen(HEAD)), 0);
    assert_int_equal(buf_append(&req->bytes, behind, strlen(behind)), 0);
    req->parser.length = strlen(HEAD);
    h1_replay(&c->h, req);
}

static void turn(struct worker *w)
{
    ev_run(w->loop, EVRUN_NOWAIT);
}

static void says(struct connection *c, const char *text)
{
    assert_int_equal(write(c->far, text, strlen(text)), strlen(text));
}

static void has(const struct connection *c, const char *text)
{
    assert_int_equal(c->len, strlen(text));
    assert_memory_equal(c->got, text, c->len);
}

static void leave(struct connection *c)
{
    io_close(&c->h.io);
    close(c->far);
}

static void it_comes_from_the_loop_before_all_else(void **state)
{
    struct worker *w = *state;
    struct connection c;

    answer(&c, w, "early, ");
    says(&c, "late");
    io_read_start(&c.h.io);
    has(&c, "");
    turn(w);
    turn(w);
    has(&c, "early, late");
    leave(&c);
}

static void without_any_nothing_stands_before_the_socket(void **state)
{
    struct worker *w = *state;
    struct connection c;

    answer(&c, w, "");
    assert_ptr_equal(c.h.io.link, &io_raw_socket);
    leave(&c);
}

static void it_waits_for_a_reader_that_has_stopped(void **state)
{
    struct worker *w = *state;
    struct connection c;

    answer(&c, w, "early");
    io_read_start(&c.h.io);
    io_read_stop(&c.h.io);
    turn(w);
    turn(w);
    has(&c, "");
    io_read_start(&c.h.io);
    turn(w);
    has(&c, "early");
    leave(&c);
}

static void an_end_comes_behind_it(void **state)
{
    struct worker *w = *state;
    struct connection c;

    answer(&c, w, "early");
    assert_int_equal(shutdown(c.far, SHUT_RDWR), 0);
    io_report_hangup(&c.h.io); /* as found while the reader had stopped */
    assert_int_equal(c.closed, 0);
    io_read_start(&c.h.io);
    turn(w);
    turn(w);
    has(&c, "early");
    assert_int_equal(c.eof, 1);
    leave(&c);
}

static void a_close_before_it_frees_it(void **state)
{
    struct worker *w = *state;
    struct connection c;

    answer(&c, w, "early");
    io_read_start(&c.h.io);
    leave(&c); /* leaks are seen by the sanitized build */
    turn(w);
    has(&c, "");
}

static void writing_does_not_wait_for_it(void **state)
{
    struct worker *w = *state;
    struct connection c;
    char got[8];

    answer(&c, w, "early");
    assert_int_equal(io_write(&c.h.io, "hello", 5), 0);
    io_finish(&c.h.io);
    assert_int_equal(read(c.far, got, sizeof got), 5);
    assert_int_equal(read(c.far, got, sizeof got), 0);
    io_read_start(&c.h.io);
    turn(w);
    has(&c, "early");
    leave(&c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_comes_from_the_loop_before_all_else),
        TEST(without_any_nothing_stands_before_the_socket),
        TEST(it_waits_for_a_reader_that_has_stopped),
        TEST(an_end_comes_behind_it),
        TEST(a_close_before_it_frees_it),
        TEST(writing_does_not_wait_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
