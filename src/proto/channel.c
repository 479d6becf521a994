/* SPDX-License-Identifier: MIT */
#include "proto/channel.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/signal_name.h"

static const char *read_signal(const json_t *value, int *number)
{
    if (value == NULL)
        return NULL;
    if (json_is_string(value))
        *number = signal_of_name(slice_of(json_string_value(value), json_string_length(value)));
    return *number != 0 ? NULL
                        : "channels: no such signal; names are those of kill(1), without SIG";
}

static const char *read_got(const json_t *value, struct channel_about *about)
{
    about->has_got = value != NULL;
    if (value == NULL)
        return NULL;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return "channels: got is the number of the last message that has arrived";
    about->got = (uint64_t)json_integer_value(value);
    return NULL;
}

const char *channel_read_about(struct slice json, struct channel_about *about)
{
    json_t *object = json_loadb(json.p, json.len, 0, NULL);
    const char *wrong = NULL;

    *about = (struct channel_about){0};
    if (!json_is_object(object))
        wrong = "channels: behind byte 3 stands a JSON object";
    if (wrong == NULL)
        wrong = read_signal(json_object_get(object, "signal"), &about->signal);
    if (wrong == NULL)
        wrong = read_got(json_object_get(object, "got"), about);
    json_decref(object);
    return wrong;
}

void channel_write_session(char out[CHANNEL_TOLD_MAX], bool resumed, const char *id, uint64_t next,
                           uint64_t got)
{
    (void)snprintf(out, CHANNEL_TOLD_MAX,
                   "{\"session\":\"%s\",\"id\":\"%s\",\"next\":%" PRIu64 ",\"got\":%" PRIu64 "}",
                   resumed ? "resumed" : "new", id, next, got);
}

char *channel_text(const char *name, struct slice text, bool is_json)
{
    json_t *value = is_json ? json_loadb(text.p, text.len, JSON_DECODE_ANY, NULL)
                            : json_stringn(text.p, text.len);
    json_t *object = json_pack("{s:o?}", name, value);
    char *out = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return out;
}

void channel_write_number(char out[CHANNEL_TOLD_MAX], const char *name, uint64_t number)
{
    (void)snprintf(out, CHANNEL_TOLD_MAX, "{\"%s\":%" PRIu64 "}", name, number);
}
