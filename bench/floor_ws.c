/* SPDX-License-Identifier: MIT */
#include "floor_ws.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_LEN 24

static size_t accept_key(const char *key, char *out, size_t room)
{
    uint8_t digest[SHA_DIGEST_LENGTH];
    char text[KEY_LEN + sizeof GUID];
    uint8_t base64[32];
    int n;

    (void)snprintf(text, sizeof text, "%.*s%s", KEY_LEN, key, GUID); /* fits */
    SHA1((const uint8_t *)text, strlen(text), digest);
    (void)EVP_EncodeBlock(base64, digest, sizeof digest); /* 28 characters */
    n = snprintf(out, room,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n",
                 (const char *)base64);
    return n > 0 ? (size_t)n : 0;
}

/* A request comes in one piece or a few, and nothing follows it before our answer. */
static size_t upgrade(struct floor_ws *w, uint8_t *buffer, size_t n)
{
    static const char name[] = "Sec-WebSocket-Key:";
    const char *key;

    if (n >= sizeof w->request - w->request_len) {
        w->over = true;
        return 0;
    }
    memcpy(w->request + w->request_len, buffer + FLOOR_WS_ROOM, n);
    w->request_len += n;
    w->request[w->request_len] = '\0';
    if (strstr(w->request, "\r\n\r\n") == NULL)
        return 0;
    key = strcasestr(w->request, name);
    if (key == NULL || strlen(key) < sizeof name + KEY_LEN) {
        w->over = true;
        return 0;
    }
    w->upgraded = true;
    key += sizeof name - 1;
    return accept_key(key + strspn(key, " "), (char *)buffer, FLOOR_WS_ROOM);
}

static unsigned header_length(const uint8_t *p)
{
    unsigned len = p[1] & 0x7f;

    return 6 + (len < 126 ? 0 : len == 126 ? 2 : 8);
}

/* Header complete: writes ours at out, returns its length. */
static size_t turn_header(struct floor_ws *w, uint8_t *out)
{
    unsigned n = header_length(w->head);

    memcpy(w->key, w->head + n - 4, 4);
    w->left = n == 6 ? w->head[1] & 0x7f : 0;
    for (unsigned i = 2; i < n - 4; i++)
        w->left = w->left << 8 | w->head[i];
    if ((w->head[0] & 0x0f) == 9)
        w->head[0] ^= 9 ^ 10; /* ping to pong */
    if ((w->head[0] & 0x0f) == 8)
        w->over = true;
    memcpy(out, w->head, n - 4);
    out[1] &= 0x7f;
    w->have = 0;
    return n - 4;
}

static void unmask(uint8_t *out, const uint8_t *p, size_t n, uint8_t key[4])
{
    uint8_t turned[4];
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
    for (size_t k = 0; k < 4; k++)
        turned[k] = key[(n + k) % 4];
    memcpy(key, turned, 4);
}

size_t floor_ws_turn(struct floor_ws *w, uint8_t *buffer, size_t n)
{
    const uint8_t *p = buffer + FLOOR_WS_ROOM;
    const uint8_t *end = p + n;
    uint8_t *out = buffer;

    if (!w->upgraded)
        return upgrade(w, buffer, n);
    while (p < end) {
        size_t take = (size_t)(end - p);

        if (w->left > 0) {
            take = take < w->left ? take : (size_t)w->left;
            unmask(out, p, take, w->key);
            p += take;
            out += take;
            w->left -= take;
            continue;
        }
        w->head[w->have++] = *p++;
        if (w->have >= 6 && w->have == header_length(w->head))
            out += turn_header(w, out);
    }
    return (size_t)(out - buffer);
}
