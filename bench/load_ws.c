/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The example of RFC 6455 section 1.3: with a constant key the answer is a constant too. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define OP_CLOSE 8
#define OP_PING 9
#define OP_PONG 10

size_t load_ws_frame_max(size_t size)
{
    return size + (size < 126 ? 6 : size < 65536 ? 8 : 14);
}

size_t load_ws_request(const struct load *l, char *out, size_t room)
{
    const struct load_options *o = &l->opt;
    int n = snprintf(out, room,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
                     o->path, o->host, o->subprotocol ? "Sec-WebSocket-Protocol: " : "",
                     o->subprotocol ? o->subprotocol : "", o->subprotocol ? "\r\n" : "");

    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

bool load_ws_response(struct load *l, const char *head)
{
    static const char name[] = "\r\nSec-WebSocket-Accept:";
    const char *accept;

    if (strncmp(head, "HTTP/1.1 101", 12) != 0) {
        load_fail(l, "handshake refused: %.60s", head);
        return false;
    }
    accept = strcasestr(head, name);
    if (accept != NULL) {
        accept += sizeof name - 1;
        accept += strspn(accept, " \t");
    }
    if (accept == NULL || strncmp(accept, ACCEPT "\r\n", sizeof ACCEPT + 1) != 0) {
        load_fail(l, "wrong Sec-WebSocket-Accept");
        return false;
    }
    return true;
}

static void mask(uint8_t *out, const uint8_t *p, size_t n, const uint8_t key[4])
{
    uint64_t wide;
    size_t i = 0;

    memcpy(&wide, key, 4);
    memcpy((uint8_t *)&wide + 4, key, 4);
    for (; i + 8 <= n; i += 8) {
        uint64_t v;

        memcpy(&v, p + i, 8);
        v ^= wide;
        memcpy(out + i, &v, 8);
    }
    for (; i < n; i++)
        out[i] = p[i] ^ key[i % 4];
}

size_t load_ws_frame(struct load *l, uint8_t *out, uint8_t opcode, const uint8_t *p, size_t n)
{
    size_t at = 2;
    size_t wide = n < 126 ? 0 : n < 65536 ? 2 : 8;

    out[0] = 0x80 | opcode;
    out[1] = (uint8_t)(0x80 | (wide == 0 ? n : wide == 2 ? 126 : 127));
    for (size_t i = wide; i > 0; i--)
        out[at++] = (uint8_t)((uint64_t)n >> ((i - 1) * 8));
    l->key ^= l->key << 13;
    l->key ^= l->key >> 7;
    l->key ^= l->key << 17;
    memcpy(out + at, &l->key, 4);
    mask(out + at + 4, p, n, out + at);
    return at + 4 + n;
}

/* Length of the header whose first two bytes are at p. */
static unsigned header_length(const uint8_t *p)
{
    unsigned len = p[1] & 0x7f;

    return len < 126 ? 2 : len == 126 ? 4 : 10;
}

static void header_done(struct load *l, struct load_conn *c)
{
    struct load_ws *w = &c->ws;
    unsigned len = w->head[1] & 0x7f;

    w->opcode = w->head[0] & 0x0f;
    w->fin = (w->head[0] & 0x80) != 0;
    w->left = len < 126 ? len : 0;
    for (unsigned i = 2; i < header_length(w->head); i++)
        w->left = w->left << 8 | w->head[i];
    w->have = 0;
    w->in_frame = true;
    w->control_len = 0;
    if ((w->head[0] & 0x70) != 0 || (w->head[1] & 0x80) != 0)
        load_fail(l, "the server sent a frame with reserved bits or a mask");
    else if (w->opcode >= OP_CLOSE && (w->left > sizeof w->control || !w->fin))
        load_fail(l, "the server sent a control frame that is too long or fragmented");
    else if (w->opcode < OP_CLOSE && (w->opcode == 0) != w->in_message)
        load_fail(l, "the server's fragments do not fit each other");
    if (w->opcode < OP_CLOSE && !w->in_message) {
        w->first = c->done;
        w->in_message = true;
    }
}

static const char *close_text(const struct load_ws *w, char *out, size_t room)
{
    unsigned code = w->control_len >= 2 ? w->control[0] * 256u + w->control[1] : 1005;
    int reason = w->control_len >= 2 ? w->control_len - 2 : 0;

    (void)snprintf(out, room, "the server sent Close %u `%.*s`", code, reason,
                   (const char *)w->control + 2); /* cut if too long */
    return out;
}

static void control_done(struct load *l, struct load_conn *c)
{
    struct load_ws *w = &c->ws;
    char text[160];
    uint8_t frame[6 + sizeof w->control];

    if (w->opcode == OP_PING) {
        l->pings++;
        load_conn_put(l, c, frame, load_ws_frame(l, frame, OP_PONG, w->control, w->control_len));
    } else if (w->opcode == OP_CLOSE) {
        if (c->state != LOAD_CLOSING)
            load_conn_put(l, c, frame,
                          load_ws_frame(l, frame, OP_CLOSE, w->control, w->control_len));
        load_conn_over(l, c, close_text(w, text, sizeof text));
    }
}

static void frame_done(struct load *l, struct load_conn *c)
{
    struct load_ws *w = &c->ws;

    w->in_frame = false;
    if (w->opcode >= OP_CLOSE) {
        control_done(l, c);
        return;
    }
    if (!w->fin)
        return;
    w->in_message = false;
    if (l->opt.borders && c->state == LOAD_OPEN && (c->off != 0 || c->done != w->first + 1))
        load_fail(l, "connection %u: a message that is not exactly one of those sent", c->id);
}

/* Takes bytes of the payload from p, returns how many. */
static size_t payload(struct load *l, struct load_conn *c, const uint8_t *p, size_t n)
{
    struct load_ws *w = &c->ws;

    if (n > w->left)
        n = (size_t)w->left;
    if (w->opcode < OP_CLOSE) {
        load_conn_check(l, c, p, n);
    } else {
        memcpy(w->control + w->control_len, p, n);
        w->control_len = (uint8_t)(w->control_len + n);
    }
    w->left -= n;
    return n;
}

void load_ws_feed(struct load *l, struct load_conn *c, uint8_t *p, size_t n)
{
    struct load_ws *w = &c->ws;
    uint8_t *end = p + n;

    while (c->fd >= 0 && l->error[0] == '\0') {
        if (w->in_frame) {
            p += payload(l, c, p, (size_t)(end - p));
            if (w->left > 0)
                return;
            frame_done(l, c);
            continue;
        }
        if (p == end)
            return;
        w->head[w->have++] = *p++;
        if (w->have >= 2 && w->have == header_length(w->head))
            header_done(l, c);
    }
}
