/* SPDX-License-Identifier: MIT */
#include "proto/channel.h"

#include <jansson.h>

#include "base/signal_name.h"

const char *channel_read_about(struct slice json, int *signal)
{
    json_t *object = json_loadb(json.p, json.len, 0, NULL);
    const json_t *value = json_object_get(object, "signal");
    const char *wrong = NULL;

    *signal = 0;
    if (!json_is_object(object))
        wrong = "channels: behind byte 3 stands a JSON object";
    else if (json_is_string(value))
        *signal = signal_of_name(slice_of(json_string_value(value), json_string_length(value)));
    if (value != NULL && *signal == 0 && wrong == NULL)
        wrong = "channels: no such signal; names are those of kill(1), without SIG";
    json_decref(object);
    return wrong;
}
