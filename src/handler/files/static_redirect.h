/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_FILES_STATIC_REDIRECT_H
#define WSLUICE_HANDLER_FILES_STATIC_REDIRECT_H

#include "core/stream.h"

/*
 * To the same path with a slash behind it, so that the page's own links work. The place is told
 * relative to where the client stands, as "sub/", since a proxy in front may have cut the begin of
 * the path off. What could be taken for a scheme is "./a:b/" (RFC 3986, section 4.2). Ends the
 * stream. more_fields: the operator's header lines, or NULL.
 */
void static_redirect(struct stream *s, const char *more_fields);

#endif
