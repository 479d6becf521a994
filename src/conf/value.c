/* SPDX-License-Identifier: MIT */

/* Written values to typed fields: the types of core/option.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/habits.h"
#include "conf/options.h"

#define RATE_MAX 1e12 /* of anything in a period */
#define RATE_NUMBER_MAX 28

struct unit {
    const char *name;
    double factor;
};

static const struct unit time_units[] = {{"", 1},     {"ms", 0.001}, {"s", 1},    {"m", 60},
                                         {"min", 60}, {"h", 3600},   {"d", 86400}};
static const struct unit size_units[] = {
    {"", 1},           {"B", 1},           {"K", 1024},        {"KB", 1024},
    {"KiB", 1024},     {"M", 1048576},     {"MB", 1048576},    {"MiB", 1048576},
    {"G", 1073741824}, {"GB", 1073741824}, {"GiB", 1073741824}};
static const struct unit count_units[] = {{"", 1}};

/* A decimal number and one of the units. */
static bool parse_number(const char *text, const struct unit *units, size_t count, double *out)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') /* no sign, no space, no "inf" */
        return false;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return false;
    double number = strtod(text, &end);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(end, units[i].name) == 0) {
            *out = number * units[i].factor;
            return true;
        }
    }
    return false;
}

static bool value_set_number(const struct option_row *row, const char *text, double *out,
                             char error[OPTION_ERROR_MAX])
{
    bool ok;

    if (row->type == OPTION_TIME)
        ok = parse_number(text, time_units, sizeof time_units / sizeof time_units[0], out);
    else if (row->type == OPTION_SIZE)
        ok = parse_number(text, size_units, sizeof size_units / sizeof size_units[0], out);
    else
        ok = parse_number(text, count_units, 1, out) && *out <= floor(*out);
    if (!ok) {
        snprintf(error, OPTION_ERROR_MAX, "\"%.60s\" is not a %s", text,
                 row->type == OPTION_TIME   ? "time (100ms, 25s, 5m, 1h)"
                 : row->type == OPTION_SIZE ? "size (4096, 64K, 1MiB)"
                                            : "whole number");
        return false;
    }
    if ((row->min > 0 || row->max > 0) && (*out < row->min || *out > row->max)) {
        snprintf(error, OPTION_ERROR_MAX, "%.60s is out of range (%.16g to %.16g%s)", text,
                 row->min, row->max, row->type == OPTION_TIME ? " s" : "");
        return false;
    }
    return true;
}

static const struct unit periods[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};

/* A number of things or bytes. */
static bool parse_amount(const struct option_row *row, struct slice text, double *out)
{
    bool bytes = row->type == OPTION_BYTE_RATE;
    char copy[32];

    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    return parse_number(copy, bytes ? size_units : count_units,
                        bytes ? sizeof size_units / sizeof size_units[0] : 1, out) &&
           *out <= RATE_MAX;
}

/* AMOUNT[/s|/m|/h][:BURST]. Without a burst it is what a second gives, and at least one. */
static bool parse_rate(const struct option_row *row, const char *text, struct rate *out)
{
    struct slice burst, period, amount = slice_cut(slice_from(text), ':', &burst);
    bool known = false;

    amount = slice_cut(amount, '/', &period);
    *out = (struct rate){.period = 1};
    for (size_t i = 0; i < sizeof periods / sizeof periods[0] && !known; i++) {
        known = period.p == NULL || (i > 0 && slice_is(period, periods[i].name));
        out->period = periods[i].factor;
    }
    if (!known || !parse_amount(row, amount, &out->amount))
        return false;
    out->burst = out->amount / out->period;
    if (burst.p != NULL && !parse_amount(row, burst, &out->burst))
        return false;
    if (burst.p == NULL && out->burst < 1)
        out->burst = 1;
    return out->burst >= 1 || out->amount <= 0;
}

static bool set_rate(const struct option_row *row, struct rate *out, const char *text,
                     char error[OPTION_ERROR_MAX])
{
    if (parse_rate(row, text, out))
        return true;
    snprintf(error, OPTION_ERROR_MAX, "\"%.60s\" is not a rate (%s)", text,
             row->type == OPTION_RATE ? "10/s, 600/m, 1/h, with a burst of at least one: 10/s:50"
                                      : "64K/s, 10M/m, with a burst: 64K/s:1M");
    return false;
}

static bool set_flag(bool *out, const char *text, char error[OPTION_ERROR_MAX])
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    }
    snprintf(error, OPTION_ERROR_MAX, "\"%.60s\" is neither on nor off", text);
    return false;
}

static bool set_choice(const struct option_row *row, int *out, const char *text,
                       char error[OPTION_ERROR_MAX])
{
    int n = snprintf(error, OPTION_ERROR_MAX, "\"%.60s\" is not one of", text);

    for (int i = 0; row->choices[i] != NULL; i++) {
        if (strcmp(text, row->choices[i]) == 0) {
            *out = i;
            return true;
        }
        if (n > 0 && n < OPTION_ERROR_MAX)
            n += snprintf(error + n, (size_t)(OPTION_ERROR_MAX - n), "%s %s", i > 0 ? "," : "",
                          row->choices[i]);
    }
    return false;
}

static bool set_mode(unsigned *out, const char *text, char error[OPTION_ERROR_MAX])
{
    size_t n = strspn(text, "01234567");

    if (n > 0 && n <= 5 && text[n] == '\0') {
        *out = (unsigned)strtoul(text, NULL, 8);
        if (*out <= 0777)
            return true;
    }
    snprintf(error, OPTION_ERROR_MAX, "\"%.60s\" is not an octal mode such as 0660", text);
    return false;
}

/* Words that would make a file of that name. Who wants it writes ./stdout. */
static bool is_no_file(const char *option, const char *text)
{
    static const char *const words[] = {"-",       "stdout",  "&1",       "&2",   "1",  "2",
                                        "console", "journal", "journald", "none", "off"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(option, "log-to") == 0 && strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static bool value_set_text(const struct option_row *row, const char **out, const char *text,
                           char error[OPTION_ERROR_MAX])
{
    if (is_no_file(row->name, text)) {
        snprintf(error, OPTION_ERROR_MAX, "\"%s\" would be a file of that name", text);
        return false;
    }
    if (text[0] == '\0') {
        snprintf(error, OPTION_ERROR_MAX, "the value is empty");
        return false;
    }
    *out = text;
    return true;
}

static bool is_pair(const char *text, char error[OPTION_ERROR_MAX])
{
    const char *eq = strchr(text, '=');

    if (eq != NULL && eq != text)
        return true;
    snprintf(error, OPTION_ERROR_MAX, "\"%.150s\": write NAME=VALUE", text);
    return false;
}

/* False without memory. A list has room for the next power of two; the arrays before stay with the
 * arena. */
static bool text_list_add(struct text_list *l, const char *item, struct arena *arena)
{
    if ((l->count & (l->count - 1)) == 0) { /* a power of two, or none: full */
        const char **items = arena_alloc(arena, (l->count > 0 ? 2 * l->count : 1) * sizeof *items);

        if (items == NULL)
            return false;
        if (l->count > 0)
            memcpy(items, l->items, l->count * sizeof *items);
        l->items = items;
    }
    l->items[l->count++] = item;
    return true;
}

static bool add_items(struct text_list *l, const char *text, bool split, struct arena *arena)
{
    struct slice rest = slice_from(text), item;

    if (!split)
        return text_list_add(l, text, arena);
    while (slice_next_item(&rest, &item)) {
        const char *copy = arena_dup(arena, item);

        if (copy == NULL || !text_list_add(l, copy, arena))
            return false;
    }
    return true;
}

bool option_set(const struct option_row *row, void *base, const char *text, struct arena *arena,
                char error[OPTION_ERROR_MAX])
{
    void *field = (char *)base + row->offset;
    double number;

    switch (row->type) {
    case OPTION_FLAG:
        return set_flag(field, text, error);
    case OPTION_CHOICE:
        return set_choice(row, field, text, error);
    case OPTION_TIME:
        if (!value_set_number(row, text, &number, error))
            return false;
        *(double *)field = number;
        return true;
    case OPTION_COUNT:
    case OPTION_SIZE:
        if (!value_set_number(row, text, &number, error))
            return false;
        *(uint64_t *)field = (uint64_t)number;
        return true;
    case OPTION_RATE:
    case OPTION_BYTE_RATE:
        return set_rate(row, field, text, error);
    case OPTION_TEXT:
        return value_set_text(row, field, text, error);
    case OPTION_MODE:
        return set_mode(field, text, error);
    case OPTION_ARGV:
    case OPTION_NODES:
        snprintf(error, OPTION_ERROR_MAX, "a list is needed");
        return false;
    case OPTION_PAIRS:
        if (!is_pair(text, error))
            return false;
        if (text_list_add(field, text, arena))
            return true;
        break;
    case OPTION_LIST:
    case OPTION_REPEAT:
        if (add_items(field, text, row->type == OPTION_LIST, arena))
            return true;
        break;
    }
    snprintf(error, OPTION_ERROR_MAX, "out of memory");
    return false;
}

void option_advise(const char *name, const char *value, char error[OPTION_ERROR_MAX])
{
    const struct option_row *row = option_find(slice_from(name));
    char written[OPTION_ERROR_MAX], advice[HABIT_ADVICE_MAX];
    size_t n = strlen(error);
    bool found;

    snprintf(written, sizeof written, "%s %s", name, value);
    found = habits_find(HABIT_VALUE, written, advice) ||
            (row != NULL && row->type == OPTION_TIME && habits_find(HABIT_TIME, value, advice)) ||
            (row != NULL && row->type == OPTION_SIZE && habits_find(HABIT_SIZE, value, advice));
    if (found)
        snprintf(error + n, OPTION_ERROR_MAX - n, "; %s", advice);
}

static const size_t sizes[] = {
    [OPTION_FLAG] = sizeof(bool),
    [OPTION_COUNT] = sizeof(uint64_t),
    [OPTION_SIZE] = sizeof(uint64_t),
    [OPTION_TIME] = sizeof(double),
    [OPTION_RATE] = sizeof(struct rate),
    [OPTION_BYTE_RATE] = sizeof(struct rate),
    [OPTION_MODE] = sizeof(unsigned),
    [OPTION_TEXT] = sizeof(const char *),
    [OPTION_LIST] = sizeof(struct text_list),
    [OPTION_REPEAT] = sizeof(struct text_list),
    [OPTION_PAIRS] = sizeof(struct text_list),
    [OPTION_CHOICE] = sizeof(int),
    [OPTION_ARGV] = sizeof(char **),
    [OPTION_NODES] = 0,
};

void option_clear(const struct option_row *row, void *base)
{
    memset((char *)base + row->offset, 0, sizes[row->type]);
}

static bool copy_list(struct text_list *to, const struct text_list *from, struct arena *arena)
{
    *to = (struct text_list){0};
    for (size_t i = 0; i < from->count; i++) {
        const char *copy = arena_dup(arena, slice_from(from->items[i]));

        if (copy == NULL || !text_list_add(to, copy, arena))
            return false;
    }
    return true;
}

bool option_copy(const struct option_row *row, void *to, const void *from, struct arena *arena)
{
    void *out = (char *)to + row->offset;
    const void *in = (const char *)from + row->offset;
    const char *text;

    switch (row->type) {
    case OPTION_TEXT:
        text = *(const char *const *)in;
        *(const char **)out = text != NULL ? arena_dup(arena, slice_from(text)) : NULL;
        return text == NULL || *(const char **)out != NULL;
    case OPTION_LIST:
    case OPTION_REPEAT:
    case OPTION_PAIRS:
        return copy_list(out, in, arena);
    default:
        memcpy(out, in, sizes[row->type]);
        return true;
    }
}

static bool texts_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool lists_equal(const struct text_list *a, const struct text_list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    }
    return a->count == b->count;
}

bool option_equal(const struct option_row *row, const void *a, const void *b)
{
    const void *field_a = (const char *)a + row->offset, *field_b = (const char *)b + row->offset;

    switch (row->type) {
    case OPTION_TEXT:
        return texts_equal(*(const char *const *)field_a, *(const char *const *)field_b);
    case OPTION_LIST:
    case OPTION_REPEAT:
    case OPTION_PAIRS:
        return lists_equal(field_a, field_b);
    default:
        return memcmp(field_a, field_b, sizes[row->type]) == 0;
    }
}

/* The shortest decimal that is this number. */
static void format_double(double value, char out[OPTION_TEXT_MAX], const char *unit)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out, OPTION_TEXT_MAX - 4, "%.*g", digits, value);
        if (strtod(out, NULL) >= value && strtod(out, NULL) <= value)
            break;
    }
    strcat(out, unit);
}

/* Never with an exponent. */
static const char *format_plain(double value, char out[RATE_NUMBER_MAX])
{
    for (int digits = 0; digits <= 9; digits++) {
        snprintf(out, RATE_NUMBER_MAX, "%.*f", digits, value);
        if (strtod(out, NULL) >= value && strtod(out, NULL) <= value)
            break;
    }
    return out;
}

static void format_rate(const struct rate *r, char out[OPTION_TEXT_MAX])
{
    char amount[RATE_NUMBER_MAX], burst[RATE_NUMBER_MAX];

    snprintf(out, OPTION_TEXT_MAX, "0");
    if (rate_is_set(r))
        snprintf(out, OPTION_TEXT_MAX, "%s/%s:%s", format_plain(r->amount, amount),
                 r->period >= 3600 ? "h"
                 : r->period >= 60 ? "m"
                                   : "s",
                 format_plain(r->burst, burst));
}

const char *option_format_number(const struct option_row *row, const void *base,
                                 char out[OPTION_TEXT_MAX])
{
    const void *field = (const char *)base + row->offset;
    double seconds;

    switch (row->type) {
    case OPTION_FLAG:
        return *(const bool *)field ? "on" : "off";
    case OPTION_CHOICE:
        return row->choices[*(const int *)field];
    case OPTION_TIME:
        seconds = *(const double *)field;
        format_double(seconds, out, seconds > 0 ? "s" : "");
        return out;
    case OPTION_RATE:
    case OPTION_BYTE_RATE:
        format_rate(field, out);
        return out;
    case OPTION_MODE:
        snprintf(out, OPTION_TEXT_MAX, "0%o", *(const unsigned *)field);
        return out;
    default:
        snprintf(out, OPTION_TEXT_MAX, "%ju", (uintmax_t) * (const uint64_t *)field);
        return out;
    }
}

bool option_set_defaults(enum option_place place, void *base, struct arena *arena)
{
    char error[OPTION_ERROR_MAX];

    for (size_t i = 0; i < option_rows_count; i++) {
        const struct option_row *row = &option_rows[i];

        if (row->place == place && row->initial != NULL &&
            !option_set(row, base, row->initial, arena, error))
            return false;
    }
    return true;
}
