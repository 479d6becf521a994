/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_PATH_H
#define WSLUICE_PROTO_PATH_H

/*
 * The one form of a request's path. It is made once, from what was sent; routes are matched, doors
 * are judged and files are opened by it and by nothing else. So no path is read in one way by who
 * asks for a password and in another by who opens the file.
 */
#include <stdbool.h>

#include "base/slice.h"

/*
 * Undoes the escapes of raw, which begins with '/', into out (raw.len + 1 bytes, NUL-terminated).
 * False with a constant text for what could be read in two ways: escapes that are broken or hide
 * NUL or a slash; segments that are empty, but for the last one; "." and ".." (RFC 3986, section
 * 5.2.4 would remove them), escaped or not.
 */
bool path_make(char *out, struct slice raw, const char **why);

#endif
