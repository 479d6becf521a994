/* SPDX-License-Identifier: MIT */
#include "core/refusal.h"

#include <stdio.h>

#include "core/request.h"
#include "proto/handshake.h"
#include "proto/ws.h"

void refuse_over_limit(struct stream *s, const struct route *route, int status,
                       unsigned retry_after, const char *why)
{
    const struct http_head *head = stream_request(s)->head;
    char accept[HANDSHAKE_ACCEPT_SIZE], fields[40] = "";
    uint8_t frame[WS_CONTROL_MAX + 2];
    uint16_t code = status == 403 ? WS_CODE_POLICY : WS_CODE_TRY_LATER;
    const char *wrong;

    if (route == NULL || route->backend == NULL || route->settings.errors == ERRORS_HTTP ||
        !handshake_wanted(head) || handshake_check(head, accept, &wrong) != 0) {
        if (retry_after > 0)
            snprintf(fields, sizeof fields, "Retry-After: %u\r\n", retry_after);
        stream_refuse(s, status, fields, why);
        return;
    }
    stream_upgrade(s, accept, slice_of("", 0), "");
    stream_write(s, frame, ws_write_close(frame, code, why));
    stream_end(s);
}
