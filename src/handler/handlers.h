/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_HANDLERS_H
#define WSLUICE_HANDLER_HANDLERS_H

/* The kinds of handlers there are; src/server/kinds.c lists them in their order of precedence. */
#include "core/handler.h"

extern const struct handler_ops handler_admin;    /* all that came by the admin address */
extern const struct handler_ops handler_ws;       /* a WebSocket: opens a session */
extern const struct handler_ops handler_static;   /* files below --static */
extern const struct handler_ops handler_terminal; /* page terminal: shows a program's terminal */
extern const struct handler_ops handler_console;  /* page console: to try a route by hand */
extern const struct handler_ops handler_hint; /* anything else on a WebSocket route: 426, or 405 */

#endif
