/* SPDX-License-Identifier: MIT */
#include "proto/vt_scan.h"

#include <string.h>

#include "base/utf8.h"
#include "proto/vt_query.h"

enum {
    BEL = 0x07,
    ENQ = 0x05,
    SO = 0x0E,
    SI = 0x0F,
    CAN = 0x18,
    SUB = 0x1A,
    ESC = 0x1B,
    C1 = 0xC2
};

enum {
    TEXT,       /* nothing is unfinished */
    CHARACTER,  /* hold is the beginning of one */
    ESCAPE,     /* ESC, or intermediates behind it */
    CONTROL,    /* behind CSI */
    STRING,     /* behind OSC, DCS, SOS, PM, APC */
    STRING_ESC, /* and ESC in it, which may begin its end */
    STRING_C1,  /* likewise C2 */
};

/* What vt_scan does next. */
enum step {
    STEP_NEXT,
    STEP_AGAIN, /* the same byte */
    STEP_ASKS,
    STEP_ASKED, /* likewise, and the same byte */
    STEP_TOLD,
    STEP_TOLD_AGAIN,
};

static void scan_emit(struct vt_pass *pass, uint8_t b)
{
    pass->out[pass->used++] = b;
}

/* What is held comes out. */
static void scan_release(struct vt_scan *s, struct vt_pass *pass)
{
    memcpy(pass->out + pass->used, s->hold, s->held);
    pass->used += s->held;
    s->held = 0;
}

/* What is held goes, but for control characters in a sequence: terminals have obeyed them. */
static void scan_drop(struct vt_scan *s, struct vt_pass *pass)
{
    for (size_t i = 1; s->state < STRING && i < s->held; i++) {
        uint8_t b = s->hold[i];

        if (b < 0x20 && b != CAN && b != SUB && b != ESC)
            scan_emit(pass, b);
    }
    s->held = 0;
}

static void scan_release_sequence(struct vt_scan *s, struct vt_pass *pass)
{
    if (s->tells)
        scan_drop(s, pass);
    else
        scan_release(s, pass);
}

static void scan_begin(struct vt_scan *s, uint8_t state, uint8_t b)
{
    s->state = state;
    s->is_passing = false;
    s->hold[0] = b;
    s->held = 1;
}

static void scan_rest(struct vt_scan *s)
{
    s->state = TEXT;
    s->is_passing = false;
}

/* A title is kept as far as it goes. */
static void begin_to_pass(struct vt_scan *s, struct vt_pass *pass)
{
    struct vt_seq seq;

    if (s->string == ']' && s->state >= STRING) {
        vt_seq_read(&seq, s->hold, s->held);
        vt_modes_apply(&s->modes, &seq);
    }
    scan_release_sequence(s, pass);
    s->is_passing = true;
}

/* One more byte of what is unfinished. */
static void scan_hold(struct vt_scan *s, struct vt_pass *pass, uint8_t b)
{
    if (!s->is_passing && s->held == VT_HOLD)
        begin_to_pass(s, pass);
    if (!s->is_passing)
        s->hold[s->held++] = b;
    else if (!s->tells)
        scan_emit(pass, b);
}

/* It is broken off: what there was of it comes out as it is. */
static void break_off(struct vt_scan *s, struct vt_pass *pass)
{
    scan_release_sequence(s, pass);
    scan_rest(s);
}

/* What is held is a whole sequence. */
static enum step scan_whole(struct vt_scan *s, struct vt_pass *pass)
{
    bool passed = s->is_passing, asks;

    if (passed) {
        scan_rest(s);
        return STEP_NEXT;
    }
    vt_seq_read(&pass->seq, s->hold, s->held);
    asks = vt_is_query(&pass->seq);
    if (!asks && !s->tells)
        vt_modes_apply(&s->modes, &pass->seq);
    if (asks)
        scan_drop(s, pass);
    else
        scan_release_sequence(s, pass);
    scan_rest(s);
    return asks ? STEP_ASKS : s->tells ? STEP_TOLD : STEP_NEXT;
}

static bool is_c1(uint8_t b)
{
    return b >= 0x80 && b <= 0x9F;
}

static uint8_t state_behind(char letter)
{
    if (letter == '[')
        return CONTROL;
    return letter != 0 && strchr("]PX^_", letter) != NULL ? STRING : TEXT;
}

/* The letter behind ESC has come, or the second byte of a C1 character. */
static enum step introduced(struct vt_scan *s, struct vt_pass *pass, char letter)
{
    s->state = state_behind(letter);
    s->string = letter;
    return s->state == TEXT ? scan_whole(s, pass) : STEP_NEXT;
}

/* ---- a byte, by state ---- */

static enum step in_text(struct vt_scan *s, struct vt_pass *pass, uint8_t b)
{
    if (b == ESC) {
        scan_begin(s, ESCAPE, b);
    } else if (b == C1) {
        scan_begin(s, CHARACTER, b);
    } else if (b == ENQ) {
        pass->seq = (struct vt_seq){.kind = VT_ESCAPE, .final = (char)b};
        return STEP_ASKS;
    } else {
        if ((b == SO || b == SI) && !s->tells)
            vt_modes_shift(&s->modes, b == SO);
        scan_emit(pass, b);
    }
    return STEP_NEXT;
}

static enum step in_character(struct vt_scan *s, struct vt_pass *pass, uint8_t b)
{
    if ((b & 0xC0) != 0x80) {
        scan_release(s, pass);
        scan_rest(s);
        return STEP_AGAIN;
    }
    s->hold[s->held++] = b;
    if (s->hold[0] == C1 && is_c1(b))
        return introduced(s, pass, (char)(b - 0x40));
    if (utf8_tail(s->hold, s->held) == 0) {
        scan_release(s, pass);
        scan_rest(s);
    }
    return STEP_NEXT;
}

/* What holds in every sequence that is no string. True: b was that. */
static bool in_any(struct vt_scan *s, struct vt_pass *pass, uint8_t b, enum step *step)
{
    *step = STEP_NEXT;
    if (b == CAN || b == SUB) {
        scan_hold(s, pass, b);
        break_off(s, pass);
    } else if (b == ESC) {
        break_off(s, pass);
        scan_begin(s, ESCAPE, b);
    } else if (b >= 0x80) {
        break_off(s, pass);
        *step = STEP_AGAIN;
    } else if (b < 0x20 || b == 0x7F) {
        scan_hold(s, pass, b);
    } else {
        return false;
    }
    return true;
}

static enum step in_escape(struct vt_scan *s, struct vt_pass *pass, uint8_t b)
{
    bool is_first = true;
    enum step step;

    if (in_any(s, pass, b, &step))
        return step;
    for (size_t i = 1; i < s->held; i++)
        is_first = is_first && (s->hold[i] < 0x20 || s->hold[i] == 0x7F);
    scan_hold(s, pass, b);
    if (b <= 0x2F)
        return STEP_NEXT;
    return is_first ? introduced(s, pass, (char)b) : scan_whole(s, pass);
}

static enum step in_control(struct vt_scan *s, struct vt_pass *pass, uint8_t b)
{
    enum step step;

    if (in_any(s, pass, b, &step))
        return step;
    scan_hold(s, pass, b);
    return b >= 0x40 ? scan_whole(s, pass) : STEP_NEXT;
}

/* What may begin its end stands in hold alone when the rest has passed. */
static void scan_hold_alone(struct vt_scan *s, struct vt_pass *pass, uint8_t b)
{
    if (s->is_passing)
        s->held = 0;
    else if (s->held == VT_HOLD)
        begin_to_pass(s, pass);
    s->hold[s->held++] = b;
}

static enum step in_string(struct vt_scan *s, struct vt_pass *pass, uint8_t b)
{
    if (b == CAN || b == SUB) {
        scan_hold(s, pass, b);
        break_off(s, pass);
    } else if (b == BEL && s->string == ']') {
        scan_hold(s, pass, b);
        return scan_whole(s, pass);
    } else if (b == ESC || b == C1) {
        scan_hold_alone(s, pass, b);
        s->state = b == ESC ? STRING_ESC : STRING_C1;
    } else {
        scan_hold(s, pass, b);
    }
    return STEP_NEXT;
}

/* The string has ended before its last byte, `first`, which begins something else. */
static enum step ended_before(struct vt_scan *s, struct vt_pass *pass, uint8_t state, uint8_t first)
{
    enum step step;

    s->held--;
    step = scan_whole(s, pass);
    scan_begin(s, state, first);
    return step == STEP_ASKS ? STEP_ASKED : step == STEP_TOLD ? STEP_TOLD_AGAIN : STEP_AGAIN;
}

/* A string that passes goes on, or ends: its last byte comes out now. */
static void pass_last(struct vt_scan *s, struct vt_pass *pass)
{
    if (s->is_passing && s->tells)
        s->held = 0;
    else if (s->is_passing)
        scan_release(s, pass);
}

static enum step in_string_esc(struct vt_scan *s, struct vt_pass *pass, uint8_t b)
{
    if (b != '\\')
        return ended_before(s, pass, ESCAPE, ESC);
    pass_last(s, pass);
    scan_hold(s, pass, b);
    return scan_whole(s, pass);
}

static enum step in_string_c1(struct vt_scan *s, struct vt_pass *pass, uint8_t b)
{
    if (is_c1(b) && b != 0x9C)
        return ended_before(s, pass, CHARACTER, C1);
    pass_last(s, pass);
    s->state = STRING;
    if (b != 0x9C)
        return STEP_AGAIN;
    scan_hold(s, pass, b);
    return scan_whole(s, pass);
}

/* Text that needs no look, at once. */
static void scan_text(struct vt_scan *s, struct vt_pass *pass)
{
    size_t n = 0, tail = 0;

    while (n < pass->n && pass->p[n] != ESC && pass->p[n] != ENQ && pass->p[n] != SO &&
           pass->p[n] != SI && pass->p[n] != C1)
        n++;
    if (n == pass->n)
        tail = utf8_tail(pass->p, n);
    memcpy(pass->out + pass->used, pass->p, n - tail);
    pass->used += n - tail;
    if (tail > 0) {
        memcpy(s->hold, pass->p + n - tail, tail);
        s->held = (uint16_t)tail;
        s->state = CHARACTER;
    }
    pass->p += n;
    pass->n -= n;
}

enum vt_what vt_scan(struct vt_scan *s, struct vt_pass *pass)
{
    static enum step (*const in[])(struct vt_scan *, struct vt_pass *, uint8_t) = {
        in_text, in_character, in_escape, in_control, in_string, in_string_esc, in_string_c1,
    };
    static const uint8_t says[] = {
        [STEP_ASKS] = VT_ASKS,
        [STEP_ASKED] = VT_ASKS,
        [STEP_TOLD] = VT_TOLD,
        [STEP_TOLD_AGAIN] = VT_TOLD,
    };
    enum step step;

    for (;;) {
        if (s->state == TEXT)
            scan_text(s, pass);
        if (pass->n == 0)
            return VT_ALL;
        step = in[s->state](s, pass, *pass->p);
        if (step == STEP_NEXT || step == STEP_ASKS || step == STEP_TOLD) {
            pass->p++;
            pass->n--;
        }
        if (says[step] != VT_ALL)
            return says[step];
    }
}

size_t vt_scan_end(struct vt_scan *s, uint8_t out[VT_HOLD])
{
    struct vt_pass pass = {.out = out};

    scan_release(s, &pass);
    scan_rest(s);
    return pass.used;
}

size_t vt_shield(const struct vt_scan *s, char out[VT_SHIELD_MAX])
{
    struct vt_text t = {.at = out, .size = VT_SHIELD_MAX};

    if (!s->is_passing)
        return 0;
    vt_put(&t, "%s", s->state == CONTROL ? "\033[!0" : s->string == ']' ? "\033]x;" : "\033^");
    return t.used;
}
