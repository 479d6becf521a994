/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CTL_CTL_SHOW_H
#define WSLUICE_CTL_CTL_SHOW_H

/* The server's JSON as text for people. Whatever clients had a part in is shown without control
 * characters: a terminal must not obey them. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#define CTL_NUMBER_MAX 24

/* "1.2M"; "-" for what is not there. */
const char *ctl_show_size(double bytes, char out[CTL_NUMBER_MAX]);
/* "3d04h", "2h05m", "12.3s" */
const char *ctl_show_age(double seconds, char out[CTL_NUMBER_MAX]);
/* "1.25" milliseconds; "-" for null. */
const char *ctl_show_ms(const json_t *value, char out[CTL_NUMBER_MAX]);

/* The text in exactly `width` columns, cut or filled with blanks; a width of 0: as long as it is.
 */
void ctl_show_text(FILE *f, const char *text, int width);
/* How many columns it takes. */
int ctl_show_width(const char *text);

const char *ctl_show_string(const json_t *object, const char *name); /* "" when missing */
double ctl_show_number(const json_t *object, const char *name);      /* 0 when missing */

void ctl_show_sessions(FILE *f, const json_t *answer);
/* All members, one a line. */
void ctl_show_object(FILE *f, const json_t *object);
void ctl_show_bans(FILE *f, const json_t *answer);
void ctl_show_stats(FILE *f, const json_t *answer);

#endif
