/* SPDX-License-Identifier: MIT */
/*
 * proto/tty. Input: the JSON of an order. Oracles:
 * - a size that is read is of an object, and within bounds;
 * - one that is refused says why, in words that fit a Close;
 * - written as JSON again, a size is read as the same.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/tty.h"
#include "proto/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_again(const struct tty_size *size)
{
    struct tty_size again;
    char text[64];

    snprintf(text, sizeof text, "{\"columns\": %u, \"rows\": %u}", size->columns, size->rows);
    must(tty_is_object(slice_from(text)) && tty_read_size(slice_from(text), &again) == NULL);
    must(again.columns == size->columns && again.rows == size->rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    struct tty_size read = {0};
    struct slice json;
    const char *wrong;

    must(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    json = slice_of(copy, size);
    wrong = tty_read_size(json, &read);
    if (wrong == NULL) {
        must(tty_is_object(json));
        must(read.columns <= TTY_SIZE_MAX && read.rows <= TTY_SIZE_MAX);
        check_again(&read);
    } else {
        must(strlen(wrong) <= WS_REASON_MAX);
    }
    free(copy);
    return 0;
}
