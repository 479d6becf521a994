/* SPDX-License-Identifier: MIT */
#include "server/kinds.h"

#include "auth/auths.h"
#include "backend/backends.h"
#include "handler/handlers.h"
#include "http/front_h1.h"

const struct backend_ops *const backends[] = {&backend_exec, &backend_pty,  &backend_tcp,
                                              &backend_tls,  &backend_unix, &backend_token,
                                              &backend_udp,  &backend_echo, NULL};

const struct framing *const framings[] = {&framing_lines,
                                          &framing_crlf,
                                          &framing_stream,
                                          &framing_text,
                                          &framing_nul,
                                          &framing_len32,
                                          &framing_len32le,
                                          &framing_netstring,
                                          &framing_lsp,
                                          &framing_tagged,
                                          &framing_datagram,
                                          &framing_hub,
                                          NULL};

const struct front_ops *const fronts[] = {&front_h1, NULL};

const struct handler_ops *const handlers[] = {
    &handler_admin, &handler_ws, &handler_static, &handler_terminal, &handler_console,
    &handler_hint,  NULL};

/* In the order of enum auth_kind. */
const struct auth_ops *const auths[] = {&auth_basic, &auth_bearer, &auth_client_cert, &auth_hook,
                                        NULL};
