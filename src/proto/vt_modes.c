/* SPDX-License-Identifier: MIT */
#include "proto/vt_modes.h"

#include <string.h>

#include "base/utf8.h"

/* Private modes that are on or off, each by itself; bits of vt_modes.changed in this order. */
static const struct private_mode {
    uint16_t number;
    bool is_on; /* in the beginning */
} private_modes[] = {
    {1, false},    /* cursor keys */
    {5, false},    /* dark on light */
    {12, false},   /* the cursor blinks */
    {25, true},    /* and is seen */
    {45, false},   /* backspace goes to the line before */
    {66, false},   /* keypad; also by ESC = */
    {1004, false}, /* focus is told */
    {1007, false}, /* the wheel is keys, on the alternate screen */
    {1034, false}, /* Meta sets the eighth bit */
    {1036, true},  /* or sends ESC in front */
    {1039, false}, /* so does Alt */
    {2004, false}, /* pastes are in brackets */
    {2031, false}, /* told when colours turn dark or light */
};

#define MODES (sizeof private_modes / sizeof *private_modes)

static uint32_t bit_of(uint16_t number)
{
    for (size_t i = 0; i < MODES; i++) {
        if (private_modes[i].number == number)
            return 1U << i;
    }
    return 0;
}

static bool is_on(const struct vt_modes *m, uint16_t number)
{
    uint32_t bit = bit_of(number);

    for (size_t i = 0; i < MODES; i++) {
        if (private_modes[i].number == number)
            return private_modes[i].is_on != ((m->changed & bit) != 0);
    }
    return false;
}

static void turn(struct vt_modes *m, uint16_t number, bool on)
{
    if (is_on(m, number) != on)
        m->changed ^= bit_of(number);
}

static bool is_alternate(uint16_t number)
{
    return number == 47 || number == 1047 || number == 1049;
}

static bool is_mouse(uint16_t number)
{
    return number == 9 || (number >= 1000 && number <= 1003);
}

static bool is_mouse_coding(uint16_t number)
{
    return number == 1005 || number == 1006 || number == 1015 || number == 1016;
}

/* ---- what a program sets ---- */

static void set_private(struct vt_modes *m, uint16_t number, bool on)
{
    if (number == 6)
        m->now.origin = on;
    else if (number == 7)
        m->wraps_not = !on;
    else if (is_mouse(number))
        m->mouse = on ? number : 0;
    else if (is_mouse_coding(number))
        m->mouse_coding = on ? number : 0;
    else if (number == 1048 && on)
        m->saved[m->alternate != 0] = m->now;
    else if (number == 1048)
        m->now = m->saved[m->alternate != 0];
    else
        turn(m, number, on);
}

static void show_alternate(struct vt_modes *m, uint16_t number)
{
    if (number == 1049)
        m->saved[0] = m->now;
    if (m->alternate == 0)
        m->alternate = number;
}

static void show_main(struct vt_modes *m, uint16_t number)
{
    m->alternate = 0;
    if (number == 1049)
        m->now = m->saved[0];
}

static void apply_private(struct vt_modes *m, const struct vt_seq *seq, bool on)
{
    for (size_t i = 0; i < seq->count; i++) {
        uint16_t number = seq->params[i].value;

        if (is_alternate(number) && on)
            show_alternate(m, number);
        else if (is_alternate(number))
            show_main(m, number);
        else
            set_private(m, number, on);
    }
}

static void apply_ansi(struct vt_modes *m, const struct vt_seq *seq, bool on)
{
    for (size_t i = 0; i < seq->count; i++) {
        if (seq->params[i].value == 4)
            m->insert = on;
        if (seq->params[i].value == 20)
            m->newline = on;
    }
}

static void set_region(struct vt_modes *m, const struct vt_seq *seq)
{
    m->top = vt_param_or(seq, 0, 1);
    m->bottom = vt_param_or(seq, 1, 0);
    if ((m->bottom != 0 && m->bottom <= m->top) || (m->top == 1 && m->bottom == 0))
        m->top = m->bottom = 0;
}

/* DECSTR: colours and the title stay. */
static void soft_reset(struct vt_modes *m)
{
    m->now = (struct vt_kept){0};
    m->insert = m->keypad = m->wraps_not = false;
    m->top = m->bottom = 0;
    turn(m, 1, false);
    turn(m, 25, true);
    turn(m, 66, false);
}

static void hard_reset(struct vt_modes *m)
{
    struct vt_modes before = *m;

    *m = (struct vt_modes){.title_len = before.title_len};
    memcpy(m->title, before.title, before.title_len);
}

static void apply_control(struct vt_modes *m, const struct vt_seq *seq)
{
    bool is_plain = seq->marker == 0 && seq->inter == 0;
    bool on = seq->final == 'h', is_mode = (on || seq->final == 'l') && seq->inter == 0;

    if (is_mode && seq->marker == '?')
        apply_private(m, seq, on);
    else if (is_mode && seq->marker == 0)
        apply_ansi(m, seq, on);
    else if (is_plain && seq->final == 'm')
        vt_sgr_apply(&m->now.sgr, seq);
    else if (is_plain && seq->final == 'r')
        set_region(m, seq);
    else if (is_plain && seq->final == 's')
        m->saved[m->alternate != 0] = m->now;
    else if (is_plain && seq->final == 'u')
        m->now = m->saved[m->alternate != 0];
    else if (seq->marker == 0 && seq->inter == ' ' && seq->final == 'q')
        m->cursor_style = (uint8_t)(vt_param_or(seq, 0, 0) % 7);
    else if (seq->marker == 0 && seq->inter == '!' && seq->final == 'p')
        soft_reset(m);
}

/* ESC ( B and its kind: which set G0 to G3 is. */
static void designate(struct vt_modes *m, const struct vt_seq *seq)
{
    static const char to[] = "()*+-./";
    const char *at = strchr(to, seq->inter);

    if (at != NULL)
        m->now.charsets[at - to < 4 ? at - to : at - to - 3] = seq->final == 'B' ? 0 : seq->final;
}

static void apply_escape(struct vt_modes *m, const struct vt_seq *seq)
{
    if (seq->inter != 0) {
        designate(m, seq);
        return;
    }
    switch (seq->final) {
    case '=':
    case '>':
        m->keypad = seq->final == '=';
        break;
    case '7':
        m->saved[m->alternate != 0] = m->now;
        break;
    case '8':
        m->now = m->saved[m->alternate != 0];
        break;
    case 'c':
        hard_reset(m);
        break;
    case 'n':
    case 'o':
        vt_modes_shift(m, seq->final == 'n' ? 2 : 3);
        break;
    default:
        break;
    }
}

/* ---- strings ---- */

/* It is written again: nothing that is not a character, and no control characters. */
static void set_title(struct vt_modes *m, struct slice text)
{
    const uint8_t *p = (const uint8_t *)text.p;
    uint32_t c;

    memset(m->title, 0, sizeof m->title);
    m->title_len = 0;
    for (size_t at = 0, n; at<text.len; at += n> 0 ? n : 1) {
        n = utf8_decode(p + at, text.len - at, &c);
        if (m->title_len + n > VT_TITLE_MAX)
            break;
        if (n == 0 || utf8_is_unprintable(c))
            continue;
        memcpy(m->title + m->title_len, p + at, n);
        m->title_len = (uint8_t)(m->title_len + n);
    }
}

/* Pairs of number and colour. */
static void set_palette(struct vt_modes *m, struct slice text)
{
    int number;
    uint8_t rgb[3];

    while ((number = vt_take_number(&text)) >= 0) {
        struct slice spec = slice_cut(text, ';', &text);

        if ((unsigned)number >= VT_COLOURS || !vt_read_colour(spec, rgb))
            continue;
        memcpy(m->palette[number], rgb, sizeof rgb);
        m->palette_set |= (uint16_t)(1U << number);
    }
}

/* 10, 11, 12: text, background, cursor; each further colour is for the next one. */
static void set_colours(struct vt_modes *m, size_t which, struct slice text)
{
    for (; which < 3 && text.len > 0; which++) {
        struct slice spec = slice_cut(text, ';', &text);

        if (vt_read_colour(spec, m->colours[which]))
            m->has_colour[which] = true;
    }
}

static void forget_colour(struct vt_modes *m, unsigned number)
{
    m->palette_set &= (uint16_t) ~(1U << number);
    memset(m->palette[number], 0, sizeof m->palette[number]);
}

/* Those that are named, or all. */
static void reset_palette(struct vt_modes *m, struct slice text)
{
    bool all = text.len == 0;
    int number;

    for (unsigned i = 0; all && i < VT_COLOURS; i++)
        forget_colour(m, i);
    while ((number = vt_take_number(&text)) >= 0) {
        if ((unsigned)number < VT_COLOURS)
            forget_colour(m, (unsigned)number);
    }
}

static void reset_colour(struct vt_modes *m, size_t which)
{
    m->has_colour[which] = false;
    memset(m->colours[which], 0, sizeof m->colours[which]);
}

static void apply_osc(struct vt_modes *m, struct slice text)
{
    int number = vt_take_number(&text);

    if (number == 0 || number == 2)
        set_title(m, text);
    else if (number == 4)
        set_palette(m, text);
    else if (number >= 10 && number <= 12)
        set_colours(m, (size_t)number - 10, text);
    else if (number == 104)
        reset_palette(m, text);
    else if (number >= 110 && number <= 112)
        reset_colour(m, (size_t)number - 110);
}

/* ---- outside ---- */

void vt_modes_apply(struct vt_modes *m, const struct vt_seq *seq)
{
    switch (seq->kind) {
    case VT_CONTROL:
        apply_control(m, seq);
        break;
    case VT_ESCAPE:
        apply_escape(m, seq);
        break;
    case VT_OSC:
        apply_osc(m, seq->text);
        break;
    case VT_DCS:
    case VT_STRING: /* pictures */
        break;
    }
}

void vt_modes_shift(struct vt_modes *m, uint8_t which)
{
    m->now.shift = which;
}

int vt_modes_private(const struct vt_modes *m, uint16_t number)
{
    bool on;

    if (number == 6)
        on = m->now.origin;
    else if (number == 7)
        on = !m->wraps_not;
    else if (is_alternate(number))
        on = m->alternate != 0;
    else if (is_mouse(number))
        on = m->mouse == number;
    else if (is_mouse_coding(number))
        on = m->mouse_coding == number;
    else if (bit_of(number) != 0)
        on = is_on(m, number);
    else
        return 0;
    return on ? 1 : 2;
}

int vt_modes_ansi(const struct vt_modes *m, uint16_t number)
{
    if (number != 4 && number != 20)
        return 0;
    return (number == 4 ? m->insert : m->newline) ? 1 : 2;
}

/* ---- writing ---- */

static void put_colours(struct vt_text *t, const struct vt_modes *m)
{
    for (unsigned i = 0; i < VT_COLOURS; i++) {
        const uint8_t *c = m->palette[i];

        if ((m->palette_set >> i & 1) != 0)
            vt_put(t, "\033]4;%u;#%02x%02x%02x\033\\", i, c[0], c[1], c[2]);
    }
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *c = m->colours[i];

        if (m->has_colour[i])
            vt_put(t, "\033]%u;#%02x%02x%02x\033\\", i + 10, c[0], c[1], c[2]);
    }
}

static void put_charsets(struct vt_text *t, const struct vt_kept *now)
{
    for (unsigned i = 0; i < 4; i++) {
        if (now->charsets[i] != 0)
            vt_put(t, "\033%c%c", "()*+"[i], now -> charsets[i]);
    }
    if (now->shift == 1)
        vt_put(t, "\016");
    else if (now->shift > 1)
        vt_put(t, "\033%c", now->shift == 2 ? 'n' : 'o');
}

static void put_modes(struct vt_text *t, const struct vt_modes *m)
{
    for (size_t i = 0; i < MODES; i++) {
        if ((m->changed >> i & 1) != 0 && private_modes[i].number != 25)
            vt_put(t, "\033[?%u%c", private_modes[i].number, private_modes[i].is_on ? 'l' : 'h');
    }
    if (m->wraps_not)
        vt_put(t, "\033[?7l");
    if (m->mouse != 0)
        vt_put(t, "\033[?%uh", m->mouse);
    if (m->mouse_coding != 0)
        vt_put(t, "\033[?%uh", m->mouse_coding);
    if (m->insert)
        vt_put(t, "\033[4h");
    if (m->newline)
        vt_put(t, "\033[20h");
    if (m->keypad)
        vt_put(t, "\033=");
    if (m->cursor_style != 0)
        vt_put(t, "\033[%u q", m->cursor_style);
}

size_t vt_modes_write(const struct vt_modes *m, char out[VT_MODES_TEXT_MAX])
{
    struct vt_text t = {.at = out, .size = VT_MODES_TEXT_MAX};
    char sgr[VT_SGR_TEXT_MAX];

    if (m->title_len > 0)
        vt_put(&t, "\033]2;%.*s\033\\", m->title_len, m->title);
    put_colours(&t, m);
    put_modes(&t, m);
    if (m->top != 0 || m->bottom != 0)
        vt_put(&t, m->bottom != 0 ? "\033[%u;%ur" : "\033[%ur", m->top > 0 ? m->top : 1, m->bottom);
    if (m->now.origin)
        vt_put(&t, "\033[?6h");
    put_charsets(&t, &m->now);
    (void)vt_sgr_write(&m->now.sgr, sgr);
    vt_put(&t, "\033[%sm", sgr);
    return t.used;
}
