/* SPDX-License-Identifier: MIT */
/* text: as stream, but in text frames, so chunks for the client are cut between characters. */
#include "proto/framing.h"
#include "proto/ws.h"

const struct framing framing_text = {
    .name = "text",
    .is_terminal_text = true,
    .opcode_out = WS_TEXT,
};
