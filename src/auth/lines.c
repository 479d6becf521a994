/* SPDX-License-Identifier: MIT */
#include "auth/lines.h"

#include <stdio.h>
#include <string.h>

size_t lines_count(const char *text)
{
    size_t n = 1;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

bool lines_each(char *text, const char *(*take)(void *owner, char *line), void *owner, char *why,
                size_t size)
{
    size_t number = 1;

    for (char *line = text, *next; line != NULL; line = next, number++) {
        char *end = strchrnul(line, '\n');
        const char *wrong;

        next = *end == '\n' ? end + 1 : NULL;
        if (end > line && end[-1] == '\r')
            end--;
        *end = '\0';
        wrong = take(owner, line);
        if (wrong != NULL) {
            snprintf(why, size, "%zu: %s", number, wrong);
            return false;
        }
    }
    return true;
}
