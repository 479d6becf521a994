/* SPDX-License-Identifier: MIT */
#include "proto/vt_seq.h"

/* The byte that says what it is, as the letter behind ESC; returns where it goes on behind that.
 * Control characters may stand before the letter. */
static size_t read_letter(const uint8_t *p, size_t n, char *letter)
{
    size_t at = 1;

    *letter = 0;
    if (p[0] != 0x1B) { /* C1, which is C2 and one byte more */
        if (n >= 2)
            *letter = (char)(p[1] - 0x40);
        return n >= 2 ? 2 : n;
    }
    while (at < n && (p[at] < 0x20 || p[at] == 0x7F))
        at++;
    if (at < n)
        *letter = (char)p[at++];
    return at;
}

static bool is_vt_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void read_params(struct vt_seq *seq, struct slice body)
{
    struct vt_param *now = NULL;
    bool is_sub = false;

    for (size_t i = 0; i < body.len; i++) {
        uint8_t c = (uint8_t)body.p[i];

        if (!is_vt_digit(c) && c != ';' && c != ':')
            continue;
        if (now == NULL) {
            if (seq->count == VT_PARAMS)
                return;
            now = &seq->params[seq->count++];
            *now = (struct vt_param){.is_sub = is_sub};
        }
        if (is_vt_digit(c)) {
            unsigned value = now->value * 10U + (c - '0');

            now->value = (uint16_t)(value > UINT16_MAX ? UINT16_MAX : value);
        } else {
            is_sub = c == ':';
            now = NULL;
        }
    }
    if (now == NULL && seq->count > 0 && seq->count < VT_PARAMS) /* "1;" has two */
        seq->params[seq->count++] = (struct vt_param){.is_sub = is_sub};
}

/* Marker, parameters, intermediates and final byte; returns how many bytes these are. */
static size_t read_control(struct vt_seq *seq, const uint8_t *p, size_t n)
{
    size_t at;

    for (at = 0; at < n && (p[at] < 0x40 || p[at] == 0x7F); at++) {
        if (p[at] >= '<' && p[at] <= '?' && seq->marker == 0)
            seq->marker = (char)p[at];
        else if (p[at] >= 0x20 && p[at] <= 0x2F)
            seq->inter = (char)p[at];
    }
    read_params(seq, slice_of((const char *)p, at));
    if (at < n)
        seq->final = (char)p[at++];
    return at;
}

/* Without what ends it: BEL, ESC \ or C2 9C. */
static struct slice read_string(struct vt_seq *seq, const uint8_t *p, size_t n)
{
    seq->by_bell = n > 0 && p[n - 1] == 0x07 && seq->kind == VT_OSC;
    if (seq->by_bell)
        n--;
    else if (n >= 2 &&
             ((p[n - 2] == 0x1B && p[n - 1] == '\\') || (p[n - 2] == 0xC2 && p[n - 1] == 0x9C)))
        n -= 2;
    return slice_of((const char *)p, n);
}

static void read_escape(struct vt_seq *seq, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] >= 0x20 && p[i] <= 0x2F)
            seq->inter = (char)p[i];
        else if (p[i] > 0x2F && p[i] < 0x7F)
            seq->final = (char)p[i];
    }
}

void vt_seq_read(struct vt_seq *seq, const uint8_t *p, size_t n)
{
    char letter;
    size_t at = read_letter(p, n, &letter);

    *seq = (struct vt_seq){.kind = VT_ESCAPE, .final = letter};
    switch (letter) {
    case '[':
        seq->kind = VT_CONTROL;
        seq->final = 0;
        read_control(seq, p + at, n - at);
        break;
    case ']':
        seq->kind = VT_OSC;
        seq->text = read_string(seq, p + at, n - at);
        break;
    case 'P':
        seq->kind = VT_DCS;
        seq->final = 0;
        seq->text = read_string(seq, p + at, n - at);
        at = read_control(seq, (const uint8_t *)seq->text.p, seq->text.len);
        seq->text = slice_of(seq->text.p + at, seq->text.len - at);
        break;
    case 'X':
    case '^':
    case '_':
        seq->kind = VT_STRING;
        seq->text = read_string(seq, p + at, n - at);
        break;
    default:
        if (p[0] == 0x1B)
            read_escape(seq, p + 1, n - 1);
    }
}

uint16_t vt_param_or(const struct vt_seq *seq, size_t at, uint16_t missing)
{
    return at < seq->count && seq->params[at].value > 0 ? seq->params[at].value : missing;
}

int vt_take_number(struct slice *text)
{
    size_t n = 0;
    int value = 0;

    while (n < text->len && is_vt_digit((uint8_t)text->p[n]) && value < 100000)
        value = value * 10 + (text->p[n++] - '0');
    if (n == 0 || (n < text->len && text->p[n] != ';'))
        return -1;
    if (n < text->len)
        n++;
    *text = slice_of(text->p + n, text->len - n);
    return value;
}
