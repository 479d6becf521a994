/* SPDX-License-Identifier: MIT */
/*
 * Loaded into a daemon under test (LD_PRELOAD) where a test wants facts that no clock and no /proc
 * can tell: bytes that the allocator has given out, turns of the loop, and a monotonic clock that
 * stands still until the test moves it. So a test judges the program and not how fast the machine
 * is, and src/ needs no hooks. What is known is in a file that both sides map; TEST_INSIDE names
 * it. lib/inside.py is the other side.
 *
 * The sanitizer brings an allocator of its own, so for its build (-DSANITIZED) bytes are counted by
 * its hooks.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct inside {
    _Atomic int64_t live;   /* bytes that are allocated now */
    _Atomic int64_t peak;   /* the most since the test set it back */
    _Atomic int64_t calls;  /* of functions that allocate */
    _Atomic int64_t turns;  /* calls of epoll_wait */
    _Atomic int64_t frozen; /* not 0: the monotonic clock is `now` */
    _Atomic int64_t now;    /* nanoseconds */
    _Atomic int64_t
        ahead; /* while it is not frozen: nanoseconds that it is ahead of the true one */
    _Atomic int64_t
        idle; /* the value of `now` up to which everything is done and nothing is ready */
    _Atomic int64_t pid;     /* of the process that counts: the first one */
    _Atomic int64_t nodelay; /* sockets that TCP_NODELAY was set on */
    _Atomic int64_t
        halts; /* not 0: what the clock has jumped is time that the daemon stood still */
};

static struct inside unused, *in = &unused;
static int64_t last_seen; /* what the monotonic clock has said last: timeouts are from there */

__attribute__((constructor)) static void inside_open(void);

static int64_t nanoseconds(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/* ---- the allocator */

static void given(const void *p, size_t size)
{
    int64_t now;

    if (p == NULL)
        return;
    now = atomic_fetch_add(&in->live, (int64_t)size) + (int64_t)size;
    in->calls++;
    if (now > in->peak)
        in->peak = now;
}

static void taken(size_t size)
{
    in->live -= (int64_t)size;
}

#ifdef SANITIZED
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t),
                                              void (*)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *p);

static void on_malloc(const volatile void *p, size_t size)
{
    given((const void *)(uintptr_t)p, size);
}

static void on_free(const volatile void *p)
{
    if (p != NULL)
        taken(__sanitizer_get_allocated_size(p));
}
#else
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

void *malloc(size_t n)
{
    void *p = __libc_malloc(n);

    given(p, malloc_usable_size(p));
    return p;
}

void *calloc(size_t n, size_t size)
{
    void *p = __libc_calloc(n, size);

    given(p, malloc_usable_size(p));
    return p;
}

void *realloc(void *old, size_t n)
{
    size_t before = malloc_usable_size(old);
    void *p = __libc_realloc(old, n);

    if (p != NULL || n == 0)
        taken(before);
    given(p, malloc_usable_size(p));
    return p;
}

void *aligned_alloc(size_t align, size_t n)
{
    void *p = __libc_memalign(align, n);

    given(p, malloc_usable_size(p));
    return p;
}

int posix_memalign(void **where, size_t align, size_t n)
{
    void *p = aligned_alloc(align, n);

    if (p == NULL)
        return ENOMEM;
    *where = p;
    return 0;
}

void free(void *p)
{
    taken(malloc_usable_size(p));
    __libc_free(p);
}
#endif

/* ---- what nobody outside can ask a socket */

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    static int (*real)(int, int, int, const void *, socklen_t);

    if (real == NULL)
        real = (int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT, "setsockopt");
    if (level == IPPROTO_TCP && name == TCP_NODELAY && *(const int *)value != 0)
        in->nodelay++;
    return real(fd, level, name, value, size);
}

/* ---- a name server or directory that does not answer */

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **list)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    while (node != NULL && strcmp(node, "unanswered.example") == 0)
        (void)pause();
    if (real == NULL)
        real = (int (*)(const char *, const char *, const struct addrinfo *,
                        struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, list);
}

/* ---- the clock */

int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    int64_t now;

    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
        return real(id, t);
    if (real(id, t) < 0)
        return -1;
    now = in->frozen ? in->now : nanoseconds(t) + in->ahead;
    *t = (struct timespec){.tv_sec = now / 1000000000, .tv_nsec = now % 1000000000};
    if (id == CLOCK_MONOTONIC)
        last_seen = nanoseconds(t);
    return 0;
}

static int64_t monotonic(void)
{
    int64_t seen = last_seen, now;
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    now = nanoseconds(&t);
    last_seen = seen; /* the caller of epoll_wait has not seen this one */
    return now;
}

/* Waits in short pieces, because the test may move the clock meanwhile. */
int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    static int (*real)(int, struct epoll_event *, int, int);
    int64_t due = last_seen + (int64_t)timeout * 1000000;
    int n;

    if (real == NULL)
        real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
    in->turns++;
    n = real(fd, events, max, 0);
    if (in == &unused && timeout != 0 && n == 0)
        return real(fd, events, max, timeout);
    if (timeout == 0) { /* maybe the rest of a timer that is less than a millisecond */
        if (n == 0 && in->frozen)
            in->now += 1000;
        return n;
    }
    while (n == 0) {
        int64_t now = monotonic();

        if (timeout > 0 && now >= due)
            break;
        in->idle = now;
        n = real(fd, events, max, 2);
    }
    return n;
}

/* libev's. By it a daemon sees that it was stopped for a while (src/io/standstill.c), and a clock
 * that a test has moved far ahead would look like that, which not many want. */
void ev_set_loop_release_cb(void *loop, void (*release)(void *), void (*acquire)(void *));

void ev_set_loop_release_cb(void *loop, void (*release)(void *), void (*acquire)(void *))
{
    static void (*real)(void *, void (*)(void *), void (*)(void *));

    if (real == NULL)
        real = (void (*)(void *, void (*)(void *), void (*)(void *)))dlsym(
            RTLD_NEXT, "ev_set_loop_release_cb");
    if (in == &unused || in->halts)
        real(loop, release, acquire);
}

static void inside_open(void)
{
    const char *path = getenv("TEST_INSIDE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    struct inside *found;

    /* what the daemon starts has no use for it, and a shell could not load that of the sanitizer */
    (void)unsetenv("LD_PRELOAD");
    (void)unsetenv("TEST_INSIDE");
    if (fd < 0)
        return;
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (found == MAP_FAILED)
        return;
    if (found->pid !=
        0) /* started by one that is watched: it has the true clock, and is not counted */
        return;
    found->pid = getpid();
    found->live = unused.live;
    found->peak = unused.peak;
    in = found;
#ifdef SANITIZED
    (void)__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
#endif
}
