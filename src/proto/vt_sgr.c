/* SPDX-License-Identifier: MIT */
#include "proto/vt_sgr.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/percent.h"

void vt_put(struct vt_text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->at + t->used, t->size - t->used, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < t->size - t->used)
        t->used += (size_t)n;
}

/* ---- reading ---- */

/* What stands behind 38, 48 or 58, at `at`: "5;n", "2;r;g;b", or with colons, where a colour space
 * may stand before red. Returns how many parameters it takes. */
static size_t sgr_read_colour(const struct vt_seq *seq, size_t at, struct vt_colour *out)
{
    const struct vt_param *p = seq->params + at;
    size_t left = seq->count - at, subs = 0, first = 1;

    while (subs < left && p[subs].is_sub)
        subs++;
    if (left >= 2 && p[0].value == 5) {
        *out = (struct vt_colour){VT_COLOUR_256, {(uint8_t)p[1].value, 0, 0}};
        return subs > 0 ? subs : 2;
    }
    if (subs >= 5)
        first = 2;
    if (left >= first + 3 && p[0].value == 2) {
        *out = (struct vt_colour){.kind = VT_COLOUR_RGB};
        for (size_t i = 0; i < 3; i++)
            out->v[i] = (uint8_t)p[first + i].value;
        return subs > 0 ? subs : 4;
    }
    return subs > 0 ? subs : left; /* unknown: terminals give up, too */
}

static const struct attribute {
    uint8_t on, off, flag;
} attributes[] = {
    {1, 22, VT_BOLD},   {2, 22, VT_DIM},    {3, 23, VT_ITALIC},
    {5, 25, VT_BLINK},  {6, 25, VT_BLINK},  {7, 27, VT_INVERSE},
    {8, 28, VT_HIDDEN}, {9, 29, VT_STRIKE}, {53, 55, VT_OVERLINE},
};

#define ATTRIBUTES (sizeof attributes / sizeof *attributes)

static void apply_attribute(struct vt_sgr *sgr, unsigned value)
{
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        if (attributes[i].on == value)
            sgr->flags |= attributes[i].flag;
        if (attributes[i].off == value)
            sgr->flags &= (uint8_t)~attributes[i].flag;
    }
    if (value == 0)
        *sgr = (struct vt_sgr){0};
    else if (value == 4 || value == 21)
        sgr->underline = value == 4 ? 1 : 2;
    else if (value == 24)
        sgr->underline = 0;
}

static void apply_plain_colour(struct vt_sgr *sgr, unsigned value)
{
    bool is_bg = (value >= 40 && value <= 49) || value >= 100;
    struct vt_colour *to = is_bg ? &sgr->bg : &sgr->fg;
    unsigned n = value >= 90 ? value % 10 + 8 : value % 10;

    if (value == 59)
        sgr->line = (struct vt_colour){0};
    else if (value == 39 || value == 49)
        *to = (struct vt_colour){0};
    else if ((value >= 30 && value <= 47) || (value >= 90 && value <= 107))
        *to = (struct vt_colour){VT_COLOUR_16, {(uint8_t)n, 0, 0}};
}

void vt_sgr_apply(struct vt_sgr *sgr, const struct vt_seq *seq)
{
    if (seq->count == 0)
        *sgr = (struct vt_sgr){0};
    for (size_t i = 0; i < seq->count; i++) {
        unsigned value = seq->params[i].value;

        if (seq->params[i].is_sub)
            continue;
        if (value == 38)
            i += sgr_read_colour(seq, i + 1, &sgr->fg);
        else if (value == 48)
            i += sgr_read_colour(seq, i + 1, &sgr->bg);
        else if (value == 58)
            i += sgr_read_colour(seq, i + 1, &sgr->line);
        else if (value == 4 && i + 1 < seq->count && seq->params[i + 1].is_sub)
            sgr->underline = (uint8_t)(seq->params[i + 1].value % 6);
        else if (value < 30 || value == 53 || value == 55)
            apply_attribute(sgr, value);
        else if (value < 108)
            apply_plain_colour(sgr, value);
    }
}

/* ---- writing ---- */

/* base: 30, 40, or 50 for that of the line below. */
static void sgr_put_colour(struct vt_text *t, unsigned base, const struct vt_colour *c)
{
    switch ((enum vt_colour_kind)c->kind) {
    case VT_COLOUR_DEFAULT:
        break;
    case VT_COLOUR_16:
        vt_put(t, ";%u", base + (c->v[0] < 8 ? c->v[0] : 52U + c->v[0]));
        break;
    case VT_COLOUR_256:
        vt_put(t, ";%u;5;%u", base + 8, c->v[0]);
        break;
    case VT_COLOUR_RGB:
        vt_put(t, ";%u;2;%u;%u;%u", base + 8, c->v[0], c->v[1], c->v[2]);
        break;
    }
}

size_t vt_sgr_write(const struct vt_sgr *sgr, char out[VT_SGR_TEXT_MAX])
{
    struct vt_text t = {.at = out, .size = VT_SGR_TEXT_MAX};

    vt_put(&t, "0");
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        if ((sgr->flags & attributes[i].flag) != 0 && attributes[i].on != 6)
            vt_put(&t, ";%u", attributes[i].on);
    }
    if (sgr->underline == 1)
        vt_put(&t, ";4");
    else if (sgr->underline > 1)
        vt_put(&t, ";4:%u", sgr->underline);
    sgr_put_colour(&t, 30, &sgr->fg);
    sgr_put_colour(&t, 40, &sgr->bg);
    sgr_put_colour(&t, 50, &sgr->line);
    return t.used;
}

/* ---- colours in words ---- */

/* 1 to 4 digits, scaled to 8 bits. */
static bool read_part(struct slice s, uint8_t *out)
{
    static const unsigned most[] = {0, 15, 255, 4095, 65535};
    unsigned value = 0;

    if (s.len < 1 || s.len > 4)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int digit = hex_digit(s.p[i]);

        if (digit < 0)
            return false;
        value = value * 16 + (unsigned)digit;
    }
    *out = (uint8_t)((value * 255 + most[s.len] / 2) / most[s.len]);
    return true;
}

bool vt_read_colour(struct slice text, uint8_t rgb[3])
{
    uint8_t read[3];
    size_t each = text.len > 0 ? (text.len - 1) / 3 : 0;

    if (text.len > 1 && text.p[0] == '#' && each * 3 + 1 == text.len) {
        for (size_t i = 0; i < 3; i++) {
            if (!read_part(slice_of(text.p + 1 + i * each, each), &read[i]))
                return false;
        }
    } else if (slice_starts(text, "rgb:")) {
        struct slice rest = slice_of(text.p + 4, text.len - 4);

        for (size_t i = 0; i < 3; i++) {
            if (!read_part(slice_cut(rest, '/', &rest), &read[i]))
                return false;
        }
        if (rest.len > 0)
            return false;
    } else {
        return false;
    }
    memcpy(rgb, read, sizeof read);
    return true;
}
