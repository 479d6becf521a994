/* SPDX-License-Identifier: MIT */
#include "handler/admin/admin_bans.h"

#include <stdlib.h>
#include <string.h>

#include "core/admission/admission.h"
#include "core/core.h"
#include "handler/admin/admin_json.h"
#include "handler/admin/admin_order.h"

#define TIME_MAX (10.0 * 365 * 86400) /* seconds */

/* 90, 90s, 15m, 2h, 7d. Empty: 0, for good. */
static bool parse_time(const char *text, double *seconds)
{
    static const struct unit {
        const char *name;
        double factor;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    size_t digits = strspn(text, "0123456789");

    *seconds = 0;
    if (text[0] == '\0')
        return true;
    for (size_t i = 0; digits > 0 && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + digits, units[i].name) == 0)
            *seconds = strtod(text, NULL) * units[i].factor;
    }
    return *seconds > 0 && *seconds <= TIME_MAX;
}

/* False when it was answered. */
static bool read_network(struct stream *s, struct cidr *network, char text[CIDR_TEXT_MAX])
{
    char what[ADMIN_VALUE_MAX];
    const char *wrong;

    wrong = admin_order_parameter(stream_request(s), "what", what)
                ? cidr_parse(slice_from(what), network)
                : "what= cannot be read";
    if (wrong != NULL) {
        admin_order_bad(s, wrong);
        return false;
    }
    cidr_format(network, text);
    return true;
}

void admin_bans_ban(struct stream *s)
{
    char text[CIDR_TEXT_MAX], time[ADMIN_VALUE_MAX];
    struct cidr network;
    double seconds;

    if (!read_network(s, &network, text))
        return;
    if (!admin_order_parameter(stream_request(s), "time", time) || !parse_time(time, &seconds)) {
        admin_order_bad(s, "time= must be a time such as 90s, 15m, 2h or 7d");
        return;
    }
    admin_order_log(s, "ban", text, 1);
    if (admission_ban(core_of(s->worker)->admission, &network, seconds))
        admin_json_done(s, 200, "banned", 1, NULL);
    else
        admin_json_error(s, 409, NULL, "too many bans by order; write a ban-file");
}

void admin_bans_unban(struct stream *s)
{
    char text[CIDR_TEXT_MAX];
    struct cidr network;

    if (!read_network(s, &network, text))
        return;
    bool done = admission_unban(core_of(s->worker)->admission, &network);
    bool in_file = admission_file_has(core_of(s->worker)->admission, &network);
    admin_order_log(s, "unban", text, done);
    if (in_file)
        admin_json_error(s, 409, NULL, "the ban-file has it: take it out there");
    else if (!done)
        admin_json_error(s, 404, NULL, "no such ban; GET /bans lists them");
    else
        admin_json_done(s, 200, "unbanned", 1, NULL);
}
