/* SPDX-License-Identifier: MIT */
#include "proto/tty.h"

#include <jansson.h>
#include <string.h>

/* Missing, null and 0 are what a page says that does not know yet. */
static bool read_side(const json_t *object, const char *name, uint16_t *out)
{
    const json_t *value = json_object_get(object, name);
    json_int_t n = json_integer_value(value);

    *out = 0;
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_integer(value) || n < 0 || n > TTY_SIZE_MAX)
        return false;
    *out = (uint16_t)n;
    return true;
}

const char *tty_read_size(struct slice json, struct tty_size *size)
{
    json_t *object = json_loadb(json.p, json.len, 0, NULL);
    const char *wrong = NULL;

    if (!json_is_object(object))
        wrong = "tty: a JSON object with columns and rows is wanted";
    else if (!read_side(object, "columns", &size->columns) ||
             !read_side(object, "rows", &size->rows))
        wrong = "tty: columns and rows are numbers from 1 to 4096";
    json_decref(object);
    return wrong;
}

bool tty_read_theme(struct slice json, const char *name, char out[TTY_COLOUR_MAX])
{
    json_t *object = json_loadb(json.p, json.len, 0, NULL);
    const json_t *value = json_object_get(json_object_get(object, "theme"), name);
    size_t n = json_string_length(value);
    bool is_there = json_is_string(value) && n < TTY_COLOUR_MAX;

    if (is_there)
        memcpy(out, json_string_value(value), n + 1);
    json_decref(object);
    return is_there;
}

bool tty_is_object(struct slice json)
{
    json_t *object = json_loadb(json.p, json.len, 0, NULL);
    bool is_object = json_is_object(object);

    json_decref(object);
    return is_object;
}
