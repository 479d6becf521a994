/* SPDX-License-Identifier: MIT */
/* For tests/tools/mutants: notes which places of the program are reached, in a file that all its
 * processes share. Linked into a program that is compiled with -fsanitize-coverage=trace-pc, whose
 * calls come here. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PLACES (8U << 20) /* bytes of code at most */

extern const char __executable_start[];
void __sanitizer_cov_trace_pc(void);

static uint8_t *places;

__attribute__((constructor(101))) static void begin(void)
{
    const char *path = getenv("REACH_FILE");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, PLACES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    places = map != MAP_FAILED ? map : NULL;
}

/* The place is where it is called from. */
void __sanitizer_cov_trace_pc(void)
{
    uintptr_t at = (uintptr_t)__builtin_return_address(0) - (uintptr_t)__executable_start;

    if (places != NULL && at < PLACES)
        places[at] = 1;
}
