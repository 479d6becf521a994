/* SPDX-License-Identifier: MIT */
/* stream: bytes are passed on as they come, both ways; message borders mean nothing. */
#include "proto/framing.h"
#include "proto/ws.h"

const struct framing framing_stream = {
    .name = "stream",
    .opcode_out = WS_BINARY,
};
