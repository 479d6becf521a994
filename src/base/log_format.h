/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_LOG_FORMAT_H
#define WSLUICE_BASE_LOG_FORMAT_H

/* How a line of the log is written; inside of base/log. */
#include <time.h>

#include "base/log.h"

/* What does not fit is only counted, so that the caller can come again with more. */
struct log_text {
    char *p;
    size_t cap, len;
};

/* Everything one line is made of. The time is taken once, so that a second attempt has the same
 * length. */
struct log_format_line {
    enum log_level level;
    enum log_format format;
    enum log_style style;
    bool break_first; /* ends what was torn before */
    struct timespec now;
    const char *msg;
    const struct log_field *fields;
    size_t n;
};

/* Appends the line with its newline, the only one in it. */
void log_format_put(struct log_text *t, const struct log_format_line *line);

#endif
