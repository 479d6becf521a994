/* SPDX-License-Identifier: MIT */

/* What a client of the terminal protocol (proto/tty.h) orders, and what it is told beside output.
 */
#include <stdlib.h>
#include <string.h>

#include "core/session_impl.h"
#include "proto/tty.h"

static void send_text(struct session *s, char command, struct slice text)
{
    uint8_t *frame = malloc(WS_SERVER_HEADER_MAX + 1 + text.len);

    if (frame == NULL)
        return; /* a title less */
    size_t header = ws_write_header(frame, WS_BINARY, text.len + 1);
    frame[header] = (uint8_t)command;
    memcpy(frame + header + 1, text.p, text.len);
    stream_write(s->stream, frame, header + 1 + text.len);
    free(frame);
    s->messages_out++;
    s->route->stats->messages_out++;
    s->bytes_out += text.len + 1;
    s->route->stats->bytes_out += text.len + 1;
}

/* The program's name; its arguments may be nobody's business. */
static void send_title(struct session *s)
{
    const char *name = s->route->target.argv[0], *slash = strrchr(name, '/');

    send_text(s, TTY_TITLE, slice_from(slash != NULL ? slash + 1 : name));
}

static const char *resize(struct session *s, struct slice json)
{
    struct tty_size size;
    const char *wrong = tty_read_size(json, &size);

    if (wrong != NULL || s->backend == NULL)
        return wrong;
    if (session_record(s) != NULL)
        record_resize(session_record(s), size.columns, size.rows);
    s->backend->ops->resize(s->backend, size.columns, size.rows);
    return NULL;
}

static const char *begin(struct session *s, struct slice json)
{
    const char *preferences = s->route->settings.tty_preferences;
    const char *wrong = resize(s, json);

    if (wrong != NULL)
        return wrong;
    s->tty = SESSION_TTY_RUNS;
    send_title(s);
    send_text(s, TTY_PREFERENCES, slice_from(preferences != NULL ? preferences : "{}"));
    return NULL;
}

const char *session_tty_order(struct session *s, uint8_t command, struct slice rest)
{
    if (s->phase != SESSION_OPEN)
        return NULL;
    if (command == TTY_BEGIN)
        return s->tty == SESSION_TTY_BEGINS ? begin(s, rest) : NULL; /* a second one is nothing */
    if (s->tty == SESSION_TTY_BEGINS)
        return "tty: the first message is JSON with columns and rows";
    switch (command) {
    case TTY_RESIZE:
        return resize(s, rest);
    case TTY_PAUSE:
    case TTY_RESUME:
        s->tty_held = command == TTY_PAUSE;
        return NULL;
    default:
        return "tty: a message begins with 0 (input), 1 (size), 2 (pause) or 3 (resume)";
    }
}
