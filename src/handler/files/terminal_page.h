/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_FILES_TERMINAL_PAGE_H
#define WSLUICE_HANDLER_FILES_TERMINAL_PAGE_H

/*
 * The terminal page (contrib/terminal/www), part of this program: what contrib/terminal/embed has
 * found of it when the program was built. Read-only data, as it is and compressed.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* The index says to its script whether the route's sessions outlive a connection: there are two. */
#define TERMINAL_INDEX "index.html"
#define TERMINAL_INDEX_KEPT "index.html of kept sessions"

struct terminal_file {
    const char *name; /* below the page: "index.html", "vendor/xterm.mjs" */
    const char *etag; /* of its content, without quotes */
    const char *begin, *end, *gzip, *gzip_end;
};

/* NULL: the page has no such file. The empty name is its index. */
const struct terminal_file *terminal_file_find(const char *name);

/* Whether the page was there when the program was built. */
bool terminal_page_is_there(void);

#endif
