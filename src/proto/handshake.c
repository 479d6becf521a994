/* SPDX-License-Identifier: MIT */
#include "proto/handshake.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "proto/authority.h"
#include "proto/deflate_offer.h"

#define KEY_TEXT_LEN 24 /* base64 of 16 bytes */

bool handshake_wanted(const struct http_head *head)
{
    return !head->is_1_0 && http_head_list_has(head, "Upgrade", "websocket");
}

/* 22 letters of base64, the last with four zero bits, and "==": exactly 16 bytes. */
static bool key_valid(struct slice key)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (key.len != KEY_TEXT_LEN || key.p[22] != '=' || key.p[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        if (key.p[i] == '\0' || strchr(letters, key.p[i]) == NULL)
            return false;
    }
    return strchr("AQgw", key.p[21]) != NULL;
}

/* False when OpenSSL has no memory. */
static bool compute_accept(struct slice key, char accept[HANDSHAKE_ACCEPT_SIZE])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[KEY_TEXT_LEN + sizeof guid - 1];
    unsigned char digest[SHA_DIGEST_LENGTH];

    memcpy(text, key.p, KEY_TEXT_LEN);
    memcpy(text + KEY_TEXT_LEN, guid, sizeof guid - 1);
    if (SHA1(text, sizeof text, digest) == NULL)
        return false;
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    return true;
}

bool handshake_next_offer(struct handshake_offers *o, struct slice *offer)
{
    while (!slice_next_item(&o->rest, offer)) {
        while (o->field < o->head->count && !slice_eq_nocase(o->head->fields[o->field].name,
                                                             slice_from("Sec-WebSocket-Protocol")))
            o->field++;
        if (o->field == o->head->count)
            return false;
        o->rest = o->head->fields[o->field++].value;
    }
    return true;
}

#define OFFERS_MAX 64        /* subprotocols a client may offer */
#define OFFER_LENGTH_MAX 256 /* bytes of one */

bool handshake_is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (c <= ' ' || c > '~' || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
            return false;
    }
    return s.len > 0 && s.len <= OFFER_LENGTH_MAX;
}

/* All offers are tokens without repetition. */
static bool offers_valid(const struct http_head *head)
{
    struct handshake_offers o = {.head = head};
    struct slice offer, earlier;

    for (size_t i = 0; handshake_next_offer(&o, &offer); i++) {
        struct handshake_offers before = {.head = head};

        if (!handshake_is_token(offer) || i >= OFFERS_MAX)
            return false;
        for (size_t k = 0; k < i && handshake_next_offer(&before, &earlier); k++) {
            if (slice_eq(offer, earlier))
                return false;
        }
    }
    return true;
}

int handshake_check(const struct http_head *head, char accept[HANDSHAKE_ACCEPT_SIZE],
                    const char **why)
{
    size_t versions, keys;
    struct slice version = http_head_get(head, "Sec-WebSocket-Version", &versions);
    struct slice key = http_head_get(head, "Sec-WebSocket-Key", &keys);

    if (!slice_is(head->method, "GET")) {
        *why = "a WebSocket is opened with GET";
        return 405;
    }
    if (head->is_1_0) {
        *why = HANDSHAKE_NOT_BY_1_0;
        return 426;
    }
    if (!handshake_wanted(head)) {
        *why = "this address speaks WebSocket: Upgrade: websocket is missing";
        return 426;
    }
    if (!http_head_list_has(head, "Connection", "upgrade")) {
        *why = "Connection: Upgrade is missing";
        return 400;
    }
    if (versions != 1 || !slice_is(version, "13")) {
        *why = "Sec-WebSocket-Version must be 13";
        return 426;
    }
    if (keys != 1 || !key_valid(key)) {
        *why = "Sec-WebSocket-Key must be one base64 value of 16 bytes";
        return 400;
    }
    if (!offers_valid(head)) {
        *why = "Sec-WebSocket-Protocol is not a list of distinct tokens";
        return 400;
    }
    if (!deflate_offer_valid(head)) { /* RFC 6455, section 9.1 */
        *why = "Sec-WebSocket-Extensions is not a list of extensions";
        return 400;
    }
    if (!compute_accept(key, accept)) {
        *why = "out of memory, try again later";
        return 503;
    }
    return 0;
}

const char *handshake_refusal_fields(int status)
{
    if (status == 426)
        return "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    if (status == 405)
        return "Allow: " HANDSHAKE_METHODS "\r\n";
    return "";
}

bool handshake_choose(const struct http_head *head, const char *const *wanted, size_t n,
                      struct slice *chosen)
{
    struct handshake_offers o = {.head = head};

    while (handshake_next_offer(&o, chosen)) {
        for (size_t i = 0; i < n; i++) {
            if (slice_is(*chosen, wanted[i]))
                return true;
        }
    }
    return false;
}

bool handshake_same_origin(struct slice origin, struct slice host, uint16_t port, bool secure)
{
    struct slice origin_host, host_host;
    uint16_t origin_port, host_port, origin_default;

    if (origin.len > 8 && slice_eq_nocase(slice_of(origin.p, 8), slice_from("https://"))) {
        origin = slice_of(origin.p + 8, origin.len - 8);
        origin_default = 443;
    } else if (origin.len > 7 && slice_eq_nocase(slice_of(origin.p, 7), slice_from("http://"))) {
        origin = slice_of(origin.p + 7, origin.len - 7);
        origin_default = 80;
    } else {
        return false;
    }
    if (!authority_split(origin, &origin_host, &origin_port) ||
        !authority_split(host, &host_host, &host_port))
        return false;
    if (origin_port == 0)
        origin_port = origin_default;
    if (host_port == 0)
        host_port = port;
    if (host_port == 0) /* a proxy in front may end TLS for us: then Host without a port means the
                           origin's scheme */
        host_port = secure ? (uint16_t)443 : origin_default;
    return origin_port == host_port && slice_eq_nocase(origin_host, host_host);
}
