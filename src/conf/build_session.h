/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CONF_BUILD_SESSION_H
#define WSLUICE_CONF_BUILD_SESSION_H

/* Whose a route's sessions are, and what that rules out (docs/sessions.md). */
#include "conf/build.h"

/* Reads r->settings.session of session_text; the route's path, backend and all its settings are
 * there. False with what is wrong. */
bool build_session(struct route *r, char why[BUILD_ERROR_MAX]);

#endif
