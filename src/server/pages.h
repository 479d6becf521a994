/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_PAGES_H
#define WSLUICE_SERVER_PAGES_H

/* Where a browser finds a page, for who starts us by hand. */
#include "server/listeners.h"

/*
 * Logs "open http://..." of the page with the shortest path: the index.html, or else the first
 * *.html, of a folder, or the terminal or the console of a route. At the first listener that a
 * browser can reach, as seen from this machine. Nothing where there is no page.
 */
void pages_tell(const struct listeners *set, const struct config *c);

#endif
