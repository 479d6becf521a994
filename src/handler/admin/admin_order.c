/* SPDX-License-Identifier: MIT */
#include "handler/admin/admin_order.h"

#include "base/percent.h"
#include "handler/admin/admin_json.h"

/* Undoes %XX and +. False for a broken escape, a control byte or one too many. */
static bool order_unescape(struct slice raw, char out[ADMIN_VALUE_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int c = raw.p[i] == '+' ? ' ' : (unsigned char)raw.p[i];

        if (c == '%') {
            c = percent_byte(raw.p + i, raw.len - i);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || n + 1 == ADMIN_VALUE_MAX)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

bool admin_order_parameter(const struct request *r, const char *name, char out[ADMIN_VALUE_MAX])
{
    struct slice left = r->query, pair, value;

    out[0] = '\0';
    while (left.p != NULL) {
        pair = slice_cut(left, '&', &left);
        if (slice_is(slice_cut(pair, '=', &value), name))
            return value.p == NULL || order_unescape(value, out);
    }
    return true;
}

void admin_order_bad(struct stream *s, const char *why)
{
    admin_json_error(s, 400, NULL, why);
}

void admin_order_log(struct stream *s, const char *order, const char *what, uint64_t count)
{
    char client[ADDR_TEXT_MAX];

    log_line(&s->worker->log, LOG_INFO, "admin", LOG_C("order", order), LOG_C("what", what),
             LOG_I("count", count),
             LOG_C("client", addr_format(&stream_request(s)->client, client)));
}
