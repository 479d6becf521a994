/* SPDX-License-Identifier: MIT */
#include "proto/vt_query.h"

#include <string.h>

#define ENQ 0x05

struct ask {
    const struct vt_seq *seq;
    const struct vt_modes *modes;
    const struct vt_facts *facts;
    struct vt_text *out;
};

/* ---- CONTROL ---- */

/* Parameters that make a sequence a question. */
enum wants {
    ANY,
    NOTHING, /* none, or one that is 0 */
    IS,      /* the first is `value` */
    READS    /* the second is 1 or 4 */
};

static void answer_attributes(const struct ask *a)
{
    vt_put(a->out, "\033[?1;2c"); /* a VT100 with the advanced video option */
}

static void answer_version_number(const struct ask *a)
{
    vt_put(a->out, "\033[>0;276;0c"); /* as xterm.js, which programs know by it */
}

static void answer_unit(const struct ask *a)
{
    vt_put(a->out, "\033P!|00000000\033\\");
}

static void answer_name(const struct ask *a)
{
    vt_put(a->out, "\033P>|%s\033\\", a->facts->version);
}

static void answer_well(const struct ask *a)
{
    vt_put(a->out, "\033[0n");
}

static void answer_place(const struct ask *a)
{
    unsigned row = a->facts->row, top = a->modes->top > 0 ? a->modes->top : 1;

    if (row == 0)
        return;
    if (a->modes->now.origin)
        row = row >= top ? row - top + 1 : 1;
    vt_put(a->out, "\033[%s%u;%uR", a->seq->marker == '?' ? "?" : "", row, a->facts->column);
}

static void answer_private_mode(const struct ask *a)
{
    uint16_t number = vt_param_or(a->seq, 0, 0);

    vt_put(a->out, "\033[?%u;%d$y", number, vt_modes_private(a->modes, number));
}

static void answer_ansi_mode(const struct ask *a)
{
    uint16_t number = vt_param_or(a->seq, 0, 0);

    vt_put(a->out, "\033[%u;%d$y", number, vt_modes_ansi(a->modes, number));
}

static void answer_parameters(const struct ask *a)
{
    vt_put(a->out, "\033[%u;1;1;128;128;1;0x", vt_param_or(a->seq, 0, 0) + 2U);
}

/* Titles are never told: whoever can write to a terminal could have it type what they wrote. */
static void answer_window(const struct ask *a)
{
    const struct vt_facts *f = a->facts;

    switch (a->seq->params[0].value) {
    case 11:
        vt_put(a->out, "\033[1t");
        break;
    case 13:
        vt_put(a->out, "\033[3;0;0t");
        break;
    case 18:
    case 19:
        vt_put(a->out, "\033[%u;%u;%ut", a->seq->params[0].value - 10U, f->rows, f->columns);
        break;
    case 20:
    case 21:
        vt_put(a->out, "\033]%c\033\\", a->seq->params[0].value == 20 ? 'L' : 'l');
        break;
    default: /* pixels, which are not the same everywhere */
        break;
    }
}

static const struct control {
    char marker, inter, final;
    enum wants wants;
    uint16_t value; /* of IS */
    void (*answer)(const struct ask *a);
} controls[] = {
    {0, 0, 'c', NOTHING, 0, answer_attributes},       /* DA1 */
    {'>', 0, 'c', NOTHING, 0, answer_version_number}, /* DA2 */
    {'=', 0, 'c', NOTHING, 0, answer_unit},           /* DA3 */
    {0, 0, 'n', IS, 5, answer_well},                  /* DSR */
    {0, 0, 'n', IS, 6, answer_place},                 /* CPR */
    {'?', 0, 'n', IS, 6, answer_place},               /* DECXCPR */
    {'?', 0, 'n', ANY, 0, NULL},                      /* printers, locators, dark or light */
    {'>', 0, 'q', NOTHING, 0, answer_name},           /* XTVERSION */
    {'?', '$', 'p', ANY, 0, answer_private_mode},     /* DECRQM */
    {0, '$', 'p', ANY, 0, answer_ansi_mode},          /* DECRQM */
    {0, 0, 't', IS, 11, answer_window},               /* XTWINOPS */
    {0, 0, 't', IS, 13, answer_window},
    {0, 0, 't', IS, 14, NULL},
    {0, 0, 't', IS, 15, NULL},
    {0, 0, 't', IS, 16, NULL},
    {0, 0, 't', IS, 18, answer_window},
    {0, 0, 't', IS, 19, answer_window},
    {0, 0, 't', IS, 20, answer_window},
    {0, 0, 't', IS, 21, answer_window},
    {0, 0, 'x', NOTHING, 0, answer_parameters}, /* DECREQTPARM */
    {0, 0, 'x', IS, 1, answer_parameters},
    {'?', 0, 'u', ANY, 0, NULL},   /* keyboard of kitty: there is none */
    {'?', 0, 'm', ANY, 0, NULL},   /* XTQMODKEYS */
    {'?', 0, 'S', READS, 0, NULL}, /* XTSMGRAPHICS */
    {0, '*', 'y', ANY, 0, NULL},   /* DECRQCRA */
    {0, '$', 'w', ANY, 0, NULL},   /* DECRQPSR */
    {0, '$', 'u', ANY, 0, NULL},   /* DECRQTSR */
    {0, '&', 'u', ANY, 0, NULL},   /* DECRQUPSS */
    {0, '"', 'v', ANY, 0, NULL},   /* DECRQDE */
};

static bool wants(const struct control *row, const struct vt_seq *seq)
{
    uint16_t first = vt_param_or(seq, 0, 0), second = vt_param_or(seq, 1, 0);

    switch (row->wants) {
    case ANY:
        return true;
    case NOTHING:
        return first == 0 && seq->count <= 1;
    case IS:
        return first == row->value;
    case READS:
        return second == 1 || second == 4;
    }
    return false;
}

static const struct control *find_control(const struct vt_seq *seq)
{
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        const struct control *row = &controls[i];

        if (row->marker == seq->marker && row->inter == seq->inter && row->final == seq->final &&
            wants(row, seq))
            return row;
    }
    return NULL;
}

/* ---- OSC ---- */

/* One of the words between semicolons is a question mark. */
static bool has_question_mark(struct slice text)
{
    while (text.len > 0) {
        if (slice_is(slice_cut(text, ';', &text), "?"))
            return true;
    }
    return false;
}

static bool osc_asks(struct slice text)
{
    int number = vt_take_number(&text);

    if (number == 4 || number == 5 || (number >= 10 && number <= 19) || number == 50 ||
        number == 52)
        return has_question_mark(text);
    return number == 1337 && slice_starts(text, "Report");
}

static const char *answer_end(const struct ask *a)
{
    return a->seq->by_bell ? "\a" : "\033\\";
}

/* As programs expect it: 16 bits each. */
static void answer_colour(const struct ask *a, const char *before, int number, const uint8_t c[3])
{
    vt_put(a->out, "\033]%s%d;rgb:%02x%02x/%02x%02x/%02x%02x%s", before, number, c[0], c[0], c[1],
           c[1], c[2], c[2], answer_end(a));
}

/* The palette of xterm: 16, a cube of 6, a ramp of grey. */
static void palette_colour(const struct vt_modes *m, unsigned n, uint8_t rgb[3])
{
    static const uint8_t first[16][3] = {
        {0x2e, 0x34, 0x36}, {0xcc, 0x00, 0x00}, {0x4e, 0x9a, 0x06}, {0xc4, 0xa0, 0x00},
        {0x34, 0x65, 0xa4}, {0x75, 0x50, 0x7b}, {0x06, 0x98, 0x9a}, {0xd3, 0xd7, 0xcf},
        {0x55, 0x57, 0x53}, {0xef, 0x29, 0x29}, {0x8a, 0xe2, 0x34}, {0xfc, 0xe9, 0x4f},
        {0x72, 0x9f, 0xcf}, {0xad, 0x7f, 0xa8}, {0x34, 0xe2, 0xe2}, {0xee, 0xee, 0xec},
    };
    static const uint8_t steps[6] = {0, 95, 135, 175, 215, 255};

    if (n < 16) {
        memcpy(rgb, (m->palette_set >> n & 1) != 0 ? m->palette[n] : first[n], 3);
    } else if (n < 232) {
        rgb[0] = steps[(n - 16) / 36];
        rgb[1] = steps[(n - 16) / 6 % 6];
        rgb[2] = steps[(n - 16) % 6];
    } else {
        memset(rgb, (int)(8 + 10 * (n - 232)), 3);
    }
}

static void answer_palette(const struct ask *a, struct slice text)
{
    int number;
    uint8_t rgb[3];

    while ((number = vt_take_number(&text)) >= 0) {
        if (!slice_is(slice_cut(text, ';', &text), "?") || number > 255)
            continue;
        palette_colour(a->modes, (unsigned)number, rgb);
        answer_colour(a, "4;", number, rgb);
    }
}

static void answer_osc(const struct ask *a)
{
    struct slice text = a->seq->text;
    int number = vt_take_number(&text);

    if (number == 4)
        answer_palette(a, text);
    for (; number >= 10 && number <= 12 && text.len > 0; number++) {
        size_t which = (size_t)number - 10;

        if (slice_is(slice_cut(text, ';', &text), "?"))
            answer_colour(a, "", number,
                          a->modes->has_colour[which] ? a->modes->colours[which]
                                                      : a->facts->colours[which]);
    }
}

/* ---- DCS ---- */

static bool dcs_asks(const struct vt_seq *seq)
{
    return seq->final == 'q' && (seq->inter == '$' || seq->inter == '+');
}

/* DECRQSS */
static void answer_setting(const struct ask *a)
{
    const struct vt_modes *m = a->modes;
    char sgr[VT_SGR_TEXT_MAX];

    if (slice_is(a->seq->text, "m")) {
        (void)vt_sgr_write(&m->now.sgr, sgr);
        vt_put(a->out, "\033P1$r%sm\033\\", sgr);
    } else if (slice_is(a->seq->text, "r")) {
        vt_put(a->out, "\033P1$r%u;%ur\033\\", m->top > 0 ? m->top : 1,
               m->bottom > 0 ? m->bottom : a->facts->rows);
    } else if (slice_is(a->seq->text, " q")) {
        vt_put(a->out, "\033P1$r%u q\033\\", m->cursor_style > 0 ? m->cursor_style : 1);
    } else if (slice_is(a->seq->text, "\"p")) {
        vt_put(a->out, "\033P1$r61;1\"p\033\\");
    } else if (slice_is(a->seq->text, "\"q")) {
        vt_put(a->out, "\033P1$r0\"q\033\\");
    } else {
        vt_put(a->out, "\033P0$r\033\\");
    }
}

/* XTGETTCAP: names and values in hexadecimal. */
static const struct capability {
    const char *name, *value;
} capabilities[] = {
    {"544E", "787465726D2D323536636F6C6F72"},     /* TN: xterm-256color */
    {"6E616D65", "787465726D2D323536636F6C6F72"}, /* name */
    {"436F", "323536"},                           /* Co: 256 */
    {"636F6C6F7273", "323536"},                   /* colors */
    {"524742", "38"},                             /* RGB: 8 bits */
};

static void answer_capability(const struct ask *a, struct slice name)
{
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
        const struct capability *c = &capabilities[i];

        if (slice_eq_nocase(name, slice_from(c->name))) {
            vt_put(a->out, "\033P1+r%s=%s\033\\", c->name, c->value);
            return;
        }
    }
    for (size_t i = 0; i < name.len; i++) {
        if (strchr("0123456789abcdefABCDEF", name.p[i]) == NULL || name.p[i] == 0)
            name.len = 0; /* what is not hexadecimal is not repeated */
    }
    vt_put(a->out, "\033P0+r%.*s\033\\", (int)name.len, name.p);
}

static void answer_dcs(const struct ask *a)
{
    struct slice rest = a->seq->text;

    if (a->seq->inter == '$')
        answer_setting(a);
    while (a->seq->inter == '+' && rest.len > 0)
        answer_capability(a, slice_cut(rest, ';', &rest));
}

/* ---- outside ---- */

/* Of kitty's pictures: "a=q" among what stands before the first semicolon. */
static bool string_asks(const struct vt_seq *seq)
{
    struct slice rest, words = slice_cut(seq->text, ';', &rest);

    if (seq->final != '_' || words.len == 0 || words.p[0] != 'G')
        return false;
    words = slice_of(words.p + 1, words.len - 1);
    while (words.len > 0) {
        if (slice_is(slice_cut(words, ',', &words), "a=q"))
            return true;
    }
    return false;
}

bool vt_is_query(const struct vt_seq *seq)
{
    switch (seq->kind) {
    case VT_CONTROL:
        return find_control(seq) != NULL;
    case VT_ESCAPE:
        return seq->inter == 0 && (seq->final == 'Z' || seq->final == ENQ);
    case VT_OSC:
        return osc_asks(seq->text);
    case VT_DCS:
        return dcs_asks(seq);
    case VT_STRING:
        return string_asks(seq);
    }
    return false;
}

bool vt_asks_place(const struct vt_seq *seq)
{
    const struct control *row = seq->kind == VT_CONTROL ? find_control(seq) : NULL;

    return row != NULL && row->answer == answer_place;
}

size_t vt_answer(const struct vt_seq *seq, const struct vt_modes *modes,
                 const struct vt_facts *facts, char out[VT_ANSWER_MAX])
{
    struct vt_text text = {.at = out, .size = VT_ANSWER_MAX};
    const struct ask a = {seq, modes, facts, &text};
    const struct control *row;

    if (seq->kind == VT_CONTROL) {
        row = find_control(seq);
        if (row != NULL && row->answer != NULL)
            row->answer(&a);
    } else if (seq->kind == VT_ESCAPE && seq->final == 'Z') {
        answer_attributes(&a);
    } else if (seq->kind == VT_OSC) {
        answer_osc(&a);
    } else if (seq->kind == VT_DCS) {
        answer_dcs(&a);
    }
    return text.used;
}
