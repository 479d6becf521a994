/* SPDX-License-Identifier: MIT */

/*
 * A program behind a server: writes lines that `load --mode flood` can check, as fast as they are
 * read.
 *
 *   prog_lines SIZE [COUNT]     SIZE bytes a line without its newline; COUNT 0 or none: without end
 */
#include "pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536

static int write_all(const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, p, n);

        if (done < 0 && errno != EINTR)
            return -1;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

static int run(struct pattern *line, uint8_t *chunk, unsigned long long count)
{
    size_t used = 0;

    for (unsigned long long k = 0; count == 0 || k < count; k++) {
        if (used + line->size + 1 > CHUNK) {
            if (write_all(chunk, used) < 0)
                return 0; /* nobody reads any more */
            used = 0;
        }
        memcpy(chunk + used, pattern_message(line, 0, k), line->size);
        used += line->size;
        chunk[used++] = '\n';
    }
    (void)write_all(chunk, used); /* as above */
    return 0;
}

int main(int argc, char **argv)
{
    long size = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    unsigned long long count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint8_t *chunk = malloc(CHUNK);
    struct pattern line;
    int result;

    if (size < 1 || size >= CHUNK) {
        fprintf(stderr, "Usage: prog_lines SIZE [COUNT]\n");
        free(chunk);
        return 2;
    }
    if (chunk == NULL || !pattern_init(&line, PATTERN_ASCII, (size_t)size, false))
        return 1;
    result = run(&line, chunk, count);
    pattern_free(&line);
    free(chunk);
    return result;
}
