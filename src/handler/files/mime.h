/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_FILES_MIME_H
#define WSLUICE_HANDLER_FILES_MIME_H

/* The Content-Type for a file's name, by what stands behind its last dot, letters without case.
 * Never NULL. */
const char *mime_of(const char *path);

#endif
