/* SPDX-License-Identifier: MIT */
#include "tables.h"

#include "backend/backends.h"
#include "front/front_h1.h"
#include "handler/handlers.h"

const struct backend_ops *const backends[] = {&backend_exec, &backend_tcp,  &backend_tls,
                                              &backend_unix, &backend_echo, NULL};

const struct framing *const framings[] = {&framing_lines, &framing_stream, &framing_text, NULL};

const struct front_ops *const fronts[] = {&front_h1, NULL};

const struct handler_ops *const handlers[] = {&handler_admin,   &handler_ws,   &handler_static,
                                              &handler_console, &handler_hint, NULL};
