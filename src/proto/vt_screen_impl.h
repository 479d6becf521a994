/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_VT_SCREEN_IMPL_H
#define WSLUICE_PROTO_VT_SCREEN_IMPL_H

/* What the files of the screen share: vt_screen.c, vt_control.c. Rows and columns count from 0;
 * `to` and `bottom` are behind the last one. */
#include "proto/vt_screen.h"

struct vt_cell *vt_line(struct vt_screen *s, size_t row);
/* The region that scrolls. */
size_t vt_top(const struct vt_screen *s);
size_t vt_bottom(const struct vt_screen *s);

void vt_erase(struct vt_screen *s, size_t row, size_t from, size_t to);
/* Moves the rest of the cursor's line by n cells, away from the cursor or over it. */
void vt_shift(struct vt_screen *s, size_t n, bool right);
/* keeps: lines that leave at the top of the main screen are kept above. */
void vt_scroll_up(struct vt_screen *s, size_t top, size_t bottom, size_t n, bool keeps);
void vt_scroll_down(struct vt_screen *s, size_t top, size_t bottom, size_t n);
void vt_line_feed(struct vt_screen *s);
/* The cursor to there, or as near as there is. */
void vt_go(struct vt_screen *s, size_t column, size_t row);
void vt_tab(struct vt_screen *s, size_t n);
bool vt_is_tab(const struct vt_screen *s, size_t column);
void vt_put_character(struct vt_screen *s, uint32_t c);
void vt_screen_clear(struct vt_screen *s);
/* As after a reset, but for modes. */
void vt_screen_begin(struct vt_screen *s);
bool vt_show_alternate(struct vt_screen *s, bool alternate);

/* A sequence; the modes have followed it already. vt_control.c */
void vt_obey(struct vt_screen *s, const struct vt_seq *seq);

#endif
