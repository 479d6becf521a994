/* SPDX-License-Identifier: MIT */

/* What a client of the terminal protocol (proto/tty.h) orders, and what it is told beside output.
 */
#include <stdlib.h>
#include <string.h>

#include "core/client/client_impl.h"
#include "proto/channel.h"
#include "proto/tty.h"

/* Where each message says by its first byte what it is, that is about the session: no output, and
 * not counted as such. */
static void tell_text(struct client *c, char command, struct slice text)
{
    char *json = channel_text(command == TTY_TITLE ? "title" : "preferences", text,
                              command == TTY_PREFERENCES);
    size_t n = json != NULL ? strlen(json) : 0;
    uint8_t *frame = json != NULL ? malloc(WS_SERVER_HEADER_MAX + 1 + n) : NULL;

    if (frame != NULL) {
        size_t header = ws_write_header(frame, WS_TEXT, n + 1);

        frame[header] = CHANNEL_ABOUT;
        memcpy(frame + header + 1, json, n);
        stream_write(c->stream, frame, header + 1 + n);
    }
    free(frame);
    free(json);
}

static void send_text(struct client *c, char command, struct slice text)
{
    if (c->channels) {
        tell_text(c, command, text);
        return;
    }
    uint8_t *frame = malloc(WS_SERVER_HEADER_MAX + 1 + text.len);

    if (frame == NULL)
        return; /* a title less */
    size_t header = ws_write_header(frame, WS_BINARY, text.len + 1);
    frame[header] = (uint8_t)command;
    memcpy(frame + header + 1, text.p, text.len);
    stream_write(c->stream, frame, header + 1 + text.len);
    free(frame);
    client_count_out(c, text.len + 1);
}

/* The program's name; its arguments may be nobody's business. */
static void send_title(struct client *c)
{
    const char *name = client_route(c)->target.argv[0], *slash = strrchr(name, '/');

    send_text(c, TTY_TITLE, slice_from(slash != NULL ? slash + 1 : name));
}

static const char *client_tty_resize(struct client *c, struct slice json)
{
    struct tty_size size;
    const char *wrong = tty_read_size(json, &size);

    if (wrong == NULL)
        c->owner->events->resize(c->owner, size.columns, size.rows);
    return wrong;
}

static const char *client_tty_begin(struct client *c, struct slice json)
{
    const char *preferences = client_settings(c)->tty_preferences;
    const char *wrong = client_tty_resize(c, json);

    if (wrong != NULL)
        return wrong;
    c->tty = CLIENT_TTY_RUNS;
    if (c->extra != NULL)
        c->extra->tty_due = 0;
    send_title(c);
    send_text(c, TTY_PREFERENCES, slice_from(preferences != NULL ? preferences : "{}"));
    return NULL;
}

const char *client_tty_order(struct client *c, uint8_t command, struct slice rest)
{
    if (c->state != CLIENT_OPEN)
        return NULL;
    if (command == TTY_BEGIN)
        return c->tty == CLIENT_TTY_BEGINS ? client_tty_begin(c, rest)
                                           : NULL; /* a second one is nothing */
    if (c->tty == CLIENT_TTY_BEGINS)
        return "tty: the first message is JSON with columns and rows";
    switch (command) {
    case TTY_RESIZE:
        return client_tty_resize(c, rest);
    case TTY_PAUSE:
    case TTY_RESUME:
        c->asked_pause = command == TTY_PAUSE;
        return NULL;
    default:
        return "tty: a message begins with 0 (input), 1 (size), 2 (pause) or 3 (resume)";
    }
}
