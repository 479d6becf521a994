/* SPDX-License-Identifier: MIT */
/*
 * lsp: the base protocol of language servers, both ways: "Content-Length: 5\r\n\r\nhello".
 *
 * From the backend other header lines are skipped (Content-Type), names are taken in any case, and
 * a line may end in "\n" alone, as of programs that print it. A line that is no header is refused
 * at its first wrong byte: that is a program which also prints something else.
 */
#include "proto/framing.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/ws.h"

#define HEADER_MAX 4096 /* bytes of all header lines */
#define NAME "content-length"
#define NAME_LEN (sizeof NAME - 1)
#define OTHER_NAME 0xFF /* of `last`: this line has another name */

enum step {
    STEP_LINE,     /* the beginning of a line; in `used` bytes of header so far */
    STEP_NAME,     /* `last` letters are those of NAME */
    STEP_SKIP,     /* the rest of a line that does not matter */
    STEP_BLANK,    /* before the number */
    STEP_DIGITS,   /* in it */
    STEP_REST,     /* behind it */
    STEP_EMPTY_CR, /* the empty line's \r was there */
    STEP_BODY,
    STEP_MASK = 0x0F,
    HAVE_LENGTH = 0x10, /* beside the step */
};

static size_t lsp_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    (void)opcode;
    return (size_t)snprintf((char *)out, FRAMING_PREFIX_MAX, "Content-Length: %" PRIu64 "\r\n\r\n",
                            len);
}

static const char *go(struct framing_state *st, enum step step)
{
    st->step = (uint8_t)((st->step & HAVE_LENGTH) | step);
    return NULL;
}

static const char *end_of_header(struct framing_state *st)
{
    return st->step & HAVE_LENGTH ? go(st, STEP_BODY) : "a header without Content-Length";
}

static bool in_name(uint8_t c)
{
    uint8_t small = c | 0x20; /* of a letter */

    return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static const char *read_name(struct framing_state *st, uint8_t c)
{
    bool capital = c >= 'A' && c <= 'Z';

    if (!in_name(c) && (c != ':' || (st->step & STEP_MASK) == STEP_LINE))
        return "a line that is no header; does the program print something else, too?";
    if (c == ':' && st->last != NAME_LEN)
        return go(st, STEP_SKIP);
    if (c == ':' && st->step & HAVE_LENGTH)
        return "Content-Length stands there twice";
    if (c == ':')
        return go(st, STEP_BLANK);
    if (st->last < NAME_LEN && (capital ? c | 0x20 : c) == NAME[st->last])
        st->last++;
    else
        st->last = OTHER_NAME;
    return go(st, STEP_NAME);
}

static const char *lsp_read_number(struct framing_state *st, uint8_t c)
{
    enum step step = st->step & STEP_MASK;

    if (step != STEP_REST && c >= '0' && c <= '9') {
        st->left = framing_add_digit(st->left, c);
        return go(st, STEP_DIGITS);
    }
    if (step == STEP_BLANK && (c == ' ' || c == '\t'))
        return NULL;
    if (step != STEP_BLANK && c == '\n') {
        st->step = HAVE_LENGTH;
        return go(st, STEP_LINE);
    }
    if (step != STEP_BLANK && (c == ' ' || c == '\t' || c == '\r'))
        return go(st, STEP_REST);
    return "Content-Length is no number";
}

static const char *read_header(struct framing_state *st, uint8_t c)
{
    switch (st->step & STEP_MASK) {
    case STEP_LINE:
        st->last = 0;
        if (c == '\n')
            return end_of_header(st);
        return c == '\r' ? go(st, STEP_EMPTY_CR) : read_name(st, c);
    case STEP_NAME:
        return read_name(st, c);
    case STEP_SKIP:
        return c == '\n' ? go(st, STEP_LINE) : NULL;
    case STEP_EMPTY_CR:
        return c == '\n' ? end_of_header(st) : "no newline behind a carriage return";
    default:
        return lsp_read_number(st, c);
    }
}

static bool lsp_cut(struct framing_state *st, const uint8_t *p, size_t n, struct framing_cut *cut)
{
    size_t at = 0;

    *cut = (struct framing_cut){0};
    while (at < n && (st->step & STEP_MASK) != STEP_BODY) {
        cut->why =
            ++st->used > HEADER_MAX ? "a header of over 4096 bytes" : read_header(st, p[at++]);
        if (cut->why != NULL)
            return false;
    }
    if ((st->step & STEP_MASK) != STEP_BODY) {
        cut->skip = at;
        cut->size = st->left;
        return true;
    }
    cut->end = framing_take_body(st, at, n, cut);
    if (cut->end)
        *st = (struct framing_state){0};
    return true;
}

const struct framing framing_lsp = {
    .name = "lsp",
    .assembles = true,
    .opcode_out = WS_TEXT,
    .prefix = lsp_prefix,
    .cut = lsp_cut,
};
