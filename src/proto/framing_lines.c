/* SPDX-License-Identifier: MIT */
/*
 * lines: a message is a line. To the program: the text and "\n" (a newline inside is kept, so it
 * reads two lines). To the client: a line without its "\n" or "\r\n"; any other "\r" is text.
 * crlf: the same, with "\r\n" to the backend, as protocols of the internet want it.
 * hub: lines whose first word says whom they are for or from, which the session reads and writes
 * (proto/hub.h).
 */
#include "proto/framing.h"

#include <string.h>

#include "proto/ws.h"

static size_t lines_suffix(uint8_t out[FRAMING_SUFFIX_MAX], uint64_t len, uint8_t opcode)
{
    (void)len;
    (void)opcode;
    out[0] = '\n';
    return 1;
}

static size_t crlf_suffix(uint8_t out[FRAMING_SUFFIX_MAX], uint64_t len, uint8_t opcode)
{
    (void)len;
    (void)opcode;
    out[0] = '\r';
    out[1] = '\n';
    return 2;
}

static bool lines_cut(struct framing_state *st, const uint8_t *p, size_t n, struct framing_cut *cut)
{
    const uint8_t *nl = memchr(p, '\n', n);

    *cut = (struct framing_cut){0};
    if (!nl) {
        cut->body = n;
        st->last = p[n - 1];
        cut->chop = st->last == '\r';
        return true;
    }
    cut->end = true;
    cut->body = (size_t)(nl - p);
    cut->drop = 1;
    if (cut->body > 0 && nl[-1] == '\r') {
        cut->body--;
        cut->drop++;
    } else if (cut->body == 0 && st->last == '\r') {
        cut->chop = 1; /* given as body before we knew that "\n" follows */
    }
    st->last = 0;
    return true;
}

const struct framing framing_lines = {
    .name = "lines",
    .assembles = true,
    .is_terminal_text = true,
    .by_mark = true,
    .opcode_out = WS_TEXT,
    .suffix = lines_suffix,
    .cut = lines_cut,
};

const struct framing framing_crlf = {
    .name = "crlf",
    .assembles = true,
    .is_terminal_text = true,
    .by_mark = true,
    .opcode_out = WS_TEXT,
    .suffix = crlf_suffix,
    .cut = lines_cut,
};

const struct framing framing_hub = {
    .name = "hub",
    .assembles = true,
    .by_mark = true,
    .addresses = true,
    .opcode_out = WS_TEXT,
    .suffix = lines_suffix,
    .cut = lines_cut,
};
