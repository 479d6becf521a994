/* SPDX-License-Identifier: MIT */

/* What sequences do to a screen. Modes have followed them already (vt_modes.c). */
#include "proto/vt_screen_impl.h"

#include <string.h>

/* ---- the cursor ---- */

/* Rows that it may go to by itself: those of the region while it is in there. */
static size_t region_begin(const struct vt_screen *s)
{
    return s->at.row >= vt_top(s) ? vt_top(s) : 0;
}

static size_t region_end(const struct vt_screen *s)
{
    return s->at.row < vt_bottom(s) ? vt_bottom(s) - 1 : s->rows - 1U;
}

static void go_up(struct vt_screen *s, size_t column, size_t n)
{
    vt_go(s, column, s->at.row >= region_begin(s) + n ? s->at.row - n : region_begin(s));
}

static void go_down(struct vt_screen *s, size_t column, size_t n)
{
    vt_go(s, column, s->at.row + n <= region_end(s) ? s->at.row + n : region_end(s));
}

static void go_back(struct vt_screen *s, size_t n)
{
    vt_go(s, s->at.column >= n ? s->at.column - n : 0, s->at.row);
}

/* With origin mode rows count from the top of the region, and end with it. */
static void go_to(struct vt_screen *s, size_t column, size_t row)
{
    if (s->scan.modes.now.origin) {
        row += vt_top(s);
        row = row < vt_bottom(s) ? row : vt_bottom(s) - 1;
    }
    vt_go(s, column, row);
}

static void go_home(struct vt_screen *s)
{
    go_to(s, 0, 0);
}

static void tab_back(struct vt_screen *s, size_t n)
{
    size_t at = s->at.column;

    for (; n > 0 && at > 0; n--) {
        at--;
        while (at > 0 && !vt_is_tab(s, at))
            at--;
    }
    vt_go(s, at, s->at.row);
}

static void set_tab(struct vt_screen *s, bool on)
{
    uint8_t bit = (uint8_t)(1U << s->at.column % 8), *byte = &s->tabs[s->at.column / 8];

    *byte = (uint8_t)(on ? *byte | bit : *byte & ~bit);
}

static void save_place(struct vt_screen *s)
{
    s->saved[s->is_alternate] = s->at;
}

static void restore_place(struct vt_screen *s)
{
    struct vt_place to = s->saved[s->is_alternate];

    vt_go(s, to.column, to.row);
    s->at.wraps = to.wraps;
}

/* ---- lines and cells ---- */

/* Where erasing to the end begins: behind the last column there is nothing left. */
static size_t rest_of_line(const struct vt_screen *s)
{
    return s->at.wraps ? s->columns : s->at.column;
}

static void erase_line(struct vt_screen *s, unsigned what)
{
    if (what <= 2)
        vt_erase(s, s->at.row, what == 0 ? rest_of_line(s) : 0,
                 what == 1 ? s->at.column + 1U : s->columns);
}

static void erase_display(struct vt_screen *s, unsigned what)
{
    size_t from = what == 0 ? s->at.row + 1U : 0, to = what == 1 ? s->at.row : s->rows;

    if (what == 3)
        buf_release(&s->above);
    if (what > 2)
        return;
    if (what != 2)
        erase_line(s, what);
    for (size_t row = from; row < to; row++)
        vt_erase(s, row, 0, s->columns);
}

static void insert_lines(struct vt_screen *s, size_t n, bool in)
{
    if (s->at.row < vt_top(s) || s->at.row >= vt_bottom(s))
        return;
    if (in)
        vt_scroll_down(s, s->at.row, vt_bottom(s), n);
    else
        vt_scroll_up(s, s->at.row, vt_bottom(s), n, false);
    vt_go(s, 0, s->at.row);
}

static void erase_characters(struct vt_screen *s, size_t n)
{
    size_t room = (size_t)s->columns - s->at.column;

    vt_erase(s, s->at.row, s->at.column, s->at.column + (n < room ? n : room));
    s->at.wraps = false;
}

static void repeat(struct vt_screen *s, size_t n)
{
    size_t most = (size_t)s->columns * s->rows;

    for (n = n < most ? n : most; n > 0 && s->last != 0 && !s->is_lost; n--)
        vt_put_character(s, s->last);
}

static void clear_tabs(struct vt_screen *s, unsigned what)
{
    if (what == 0)
        set_tab(s, false);
    if (what == 3)
        memset(s->tabs, 0, sizeof s->tabs);
}

/* A region has two rows at least, or is the whole. */
static void fit_region(struct vt_screen *s)
{
    struct vt_modes *m = &s->scan.modes;

    if (m->bottom >= s->rows)
        m->bottom = 0;
    if ((m->bottom > 0 ? m->bottom : s->rows) <= m->top)
        m->top = m->bottom = 0;
    go_home(s);
}

/* ---- CONTROL ---- */

/* Without marker and intermediates; n: the first parameter, 1 where it is missing. */
static void obey_moves(struct vt_screen *s, const struct vt_seq *seq, size_t n)
{
    switch (seq->final) {
    case 'A':
        go_up(s, s->at.column, n);
        break;
    case 'B':
    case 'e':
        go_down(s, s->at.column, n);
        break;
    case 'C':
    case 'a':
        vt_go(s, s->at.column + n, s->at.row);
        break;
    case 'D':
        go_back(s, n);
        break;
    case 'E':
        go_down(s, 0, n);
        break;
    case 'F':
        go_up(s, 0, n);
        break;
    case 'G':
    case '`':
        vt_go(s, n - 1, s->at.row);
        break;
    case 'H':
    case 'f':
        go_to(s, vt_param_or(seq, 1, 1) - 1U, n - 1);
        break;
    case 'I':
        vt_tab(s, n);
        break;
    case 'Z':
        tab_back(s, n);
        break;
    case 'd':
        go_to(s, s->at.column, n - 1);
        break;
    case 'r':
        fit_region(s);
        break;
    case 's':
        save_place(s);
        break;
    case 'u':
        restore_place(s);
        break;
    default:
        break;
    }
}

static void obey_changes(struct vt_screen *s, const struct vt_seq *seq, size_t n)
{
    switch (seq->final) {
    case '@':
        vt_shift(s, n, true);
        s->at.wraps = false;
        break;
    case 'P':
        vt_shift(s, n, false);
        s->at.wraps = false;
        break;
    case 'X':
        erase_characters(s, n);
        break;
    case 'L':
    case 'M':
        insert_lines(s, n, seq->final == 'L');
        break;
    case 'S':
        vt_scroll_up(s, vt_top(s), vt_bottom(s), n, false);
        break;
    case 'T':
        if (seq->count <= 1)
            vt_scroll_down(s, vt_top(s), vt_bottom(s), n);
        break;
    case 'b':
        repeat(s, n);
        break;
    case 'g':
        clear_tabs(s, vt_param_or(seq, 0, 0));
        break;
    default:
        break;
    }
}

static bool has_param(const struct vt_seq *seq, uint16_t a, uint16_t b)
{
    for (size_t i = 0; i < seq->count; i++) {
        if (seq->params[i].value == a || seq->params[i].value == b)
            return true;
    }
    return false;
}

static void obey_modes(struct vt_screen *s, const struct vt_seq *seq)
{
    bool on = seq->final == 'h', alternate = s->scan.modes.alternate != 0;

    if (on && has_param(seq, 1048, 1049) && !s->is_alternate)
        save_place(s);
    if (alternate != s->is_alternate && !vt_show_alternate(s, alternate))
        return;
    if (!on && has_param(seq, 1048, 1049))
        restore_place(s);
    if (has_param(seq, 6, 6))
        go_home(s);
    if (has_param(seq, 7, 7) && !on)
        s->at.wraps = false;
}

static void obey_control(struct vt_screen *s, const struct vt_seq *seq)
{
    bool is_plain = seq->marker == 0 && seq->inter == 0;

    if (is_plain || (seq->marker == '?' && seq->inter == 0)) {
        if (seq->final == 'J')
            erase_display(s, vt_param_or(seq, 0, 0));
        else if (seq->final == 'K')
            erase_line(s, vt_param_or(seq, 0, 0));
        else if (!is_plain && (seq->final == 'h' || seq->final == 'l'))
            obey_modes(s, seq);
    }
    if (is_plain) {
        obey_moves(s, seq, vt_param_or(seq, 0, 1));
        obey_changes(s, seq, vt_param_or(seq, 0, 1));
    }
    if (seq->inter == '!' && seq->final == 'p')
        s->saved[0] = s->saved[1] = (struct vt_place){0};
}

/* ---- ESCAPE ---- */

static void reverse_line_feed(struct vt_screen *s)
{
    if (s->at.row == vt_top(s))
        vt_scroll_down(s, vt_top(s), vt_bottom(s), 1);
    else if (s->at.row > 0)
        s->at.row--;
    s->at.wraps = false;
}

/* DECALN: E everywhere. */
static void fill_screen(struct vt_screen *s)
{
    for (size_t row = 0; row < s->rows; row++) {
        vt_erase(s, row, 0, s->columns);
        for (size_t i = 0; i < s->columns; i++)
            vt_line(s, row)[i].c = 'E';
    }
    vt_go(s, 0, 0);
}

static void obey_escape(struct vt_screen *s, const struct vt_seq *seq)
{
    if (seq->inter == '#' && seq->final == '8')
        fill_screen(s);
    if (seq->inter != 0)
        return;
    switch (seq->final) {
    case '7':
        save_place(s);
        break;
    case '8':
        restore_place(s);
        break;
    case 'D':
        vt_line_feed(s);
        break;
    case 'E':
        s->at.column = 0;
        vt_line_feed(s);
        break;
    case 'H':
        set_tab(s, true);
        break;
    case 'M':
        reverse_line_feed(s);
        break;
    case 'c':
        vt_screen_begin(s);
        break;
    default:
        break;
    }
}

void vt_obey(struct vt_screen *s, const struct vt_seq *seq)
{
    if (seq->kind == VT_CONTROL)
        obey_control(s, seq);
    else if (seq->kind == VT_ESCAPE)
        obey_escape(s, seq);
}
