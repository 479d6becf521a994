/* SPDX-License-Identifier: MIT */

/*
 * echo: what the client sends comes back, message by message, with its type: to test a link, and
 * conformance. There is nothing to open and no bytes come here: the session turns messages around
 * by itself (backend_ops.loopback), with a framing whose prefix is a frame header.
 */
#include "backend/backends.h"
#include "proto/ws.h"

static size_t echo_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    return ws_write_header(out, opcode, len);
}

static const struct framing framing_echo = {
    .name = "message",
    .assembles = true,
    .opcode_out = WS_BINARY,
    .prefix = echo_prefix,
};

static const char *echo_parse(struct target *t, const char *rest, struct arena *arena)
{
    (void)t;
    (void)arena;
    return rest[0] == '\0' ? NULL : "nothing may follow";
}

const struct backend_ops backend_echo = {
    .name = "echo",
    .prefix = "echo:",
    .scheme_help = "echo:",
    .framing = &framing_echo,
    .loopback = true,
    .any_subprotocol = true,
    .parse = echo_parse,
};
