/* SPDX-License-Identifier: MIT */
#include "proto/ws.h"

#include <string.h>

#define FIN 0x80
#define MASKED 0x80
#define OPCODE_MASK 0x0F
#define CONTROL_BIT 0x08
#define LEN_MASK 0x7F
#define LEN_16 126 /* the length is in the next 2 bytes */
#define LEN_64 127 /* in the next 8 */
#define KEY_SIZE 4

/* A frame's header, read and found right. */
struct head {
    uint64_t len;       /* of the payload */
    size_t size;        /* of the header */
    const uint8_t *key; /* in the chunk */
    uint8_t opcode;
    uint8_t rsv;
    bool fin;
};

enum head_result { HEAD_SHORT, HEAD_READ, HEAD_BAD };

void ws_reader_init(struct ws_reader *r, uint32_t limit, uint8_t rsv_mask)
{
    *r = (struct ws_reader){.limit = limit, .rsv_mask = rsv_mask};
}

static uint64_t read_be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static void write_be(uint8_t *p, size_t n, uint64_t v)
{
    for (size_t i = n; i > 0; i--, v >>= 8)
        p[i - 1] = (uint8_t)v;
}

/* What is wrong with a frame that starts with this byte here and now; NULL: nothing. */
static const char *first_fault(const struct ws_reader *r, uint8_t byte)
{
    uint8_t opcode = byte & OPCODE_MASK, rsv = byte & WS_RSV_MASK;
    bool begins = opcode == WS_TEXT || opcode == WS_BINARY;

    if (rsv & ~(begins ? r->rsv_mask : 0))
        return "reserved bits set";
    switch (opcode) {
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return byte & FIN ? NULL : "fragmented control frame";
    case WS_CONTINUATION:
        return r->opcode ? NULL : "continuation without a message";
    case WS_TEXT:
    case WS_BINARY:
        return r->opcode ? "new message inside another" : NULL;
    default:
        return "unknown opcode";
    }
}

static const char *second_fault(uint8_t first, uint8_t byte)
{
    if (!(byte & MASKED))
        return "frame is not masked";
    if ((first & CONTROL_BIT) && (byte & LEN_MASK) > WS_CONTROL_MAX)
        return "control frame too long";
    return NULL;
}

static const char *len_fault(uint8_t form, uint64_t len)
{
    if (form == LEN_64 && len >> 63)
        return "length with its top bit set";
    if ((form == LEN_16 && len < LEN_16) || (form == LEN_64 && len <= UINT16_MAX))
        return "length not in its shortest form";
    return NULL;
}

/* Its frames' lengths are the message's own: no extension stands between. */
static bool is_measured(const struct ws_reader *r, uint8_t first)
{
    uint8_t opcode = first & OPCODE_MASK;

    return !(opcode & CONTROL_BIT) &&
           (opcode == WS_CONTINUATION ? r->rsv : first & WS_RSV_MASK) == 0;
}

static enum head_result bad(struct ws_frame *f, uint16_t code, const char *why)
{
    f->code = code;
    f->why = why;
    return HEAD_BAD;
}

/* Refuses what can be refused with each part before it asks for the next. */
static enum head_result read_head(const struct ws_reader *r, const uint8_t *p, size_t n,
                                  struct head *h, struct ws_frame *f)
{
    const char *why;
    uint8_t form;

    if (n >= 1 && (why = first_fault(r, p[0])))
        return bad(f, WS_CODE_PROTOCOL, why);
    if (n >= 2 && (why = second_fault(p[0], p[1])))
        return bad(f, WS_CODE_PROTOCOL, why);
    if (n < 2)
        return HEAD_SHORT;

    form = p[1] & LEN_MASK;
    h->size = form == LEN_64 ? 10 : form == LEN_16 ? 4 : 2;
    if (n < h->size)
        return HEAD_SHORT;
    h->len = form < LEN_16 ? form : read_be(p + 2, h->size - 2);
    if ((why = len_fault(form, h->len)))
        return bad(f, WS_CODE_PROTOCOL, why);
    /* total never passes limit, so the difference cannot wrap */
    if (r->limit && is_measured(r, p[0]) && h->len > r->limit - r->total)
        return bad(f, WS_CODE_TOO_BIG, "the message is longer than --max-message");

    if (n < h->size + KEY_SIZE)
        return HEAD_SHORT;
    if ((p[0] & CONTROL_BIT) && n < h->size + KEY_SIZE + h->len)
        return HEAD_SHORT; /* these are given whole */
    h->key = p + h->size;
    h->size += KEY_SIZE;
    h->opcode = p[0] & OPCODE_MASK;
    h->rsv = p[0] & WS_RSV_MASK;
    h->fin = p[0] & FIN;
    return HEAD_READ;
}

static void enter_frame(struct ws_reader *r, const struct head *h)
{
    if (h->opcode != WS_CONTINUATION) {
        r->opcode = h->opcode;
        r->rsv = h->rsv;
    }
    r->left = h->len;
    if (r->limit && r->rsv == 0)
        r->total += (uint32_t)h->len; /* it was found to fit */
    r->fin = h->fin;
    r->in_frame = true;
    memcpy(r->key, h->key, KEY_SIZE);
}

/* Gives what the n bytes at p hold of the current frame. Returns how many that are. */
static size_t give_data(struct ws_reader *r, const uint8_t *p, size_t n, struct ws_frame *f)
{
    f->payload = p;
    f->len = n < r->left ? n : (size_t)r->left;
    f->opcode = r->opcode;
    f->rsv = r->rsv;
    memcpy(f->key, r->key, KEY_SIZE);
    for (size_t i = 0; i < KEY_SIZE; i++)
        r->key[i] = f->key[(f->len + i) % KEY_SIZE];

    r->left -= f->len;
    r->in_frame = r->left > 0;
    f->begin = !r->begun;
    f->end = r->fin && !r->in_frame;
    r->begun = !f->end;
    if (f->end) {
        r->opcode = 0;
        r->total = 0;
    }
    return f->len;
}

static size_t give_control(const struct head *h, const uint8_t *p, struct ws_frame *f)
{
    f->payload = p;
    f->len = (size_t)h->len;
    f->opcode = h->opcode;
    memcpy(f->key, h->key, KEY_SIZE);
    return f->len;
}

/* Nearly every frame is a message of its own, plain, short and here as a whole. All others, and
 * what is wrong, are left to the long way: false. */
static bool give_whole(const struct ws_reader *r, const uint8_t *p, size_t n, size_t *used,
                       struct ws_frame *f)
{
    size_t size = 2, len;

    if (r->in_frame || r->opcode != 0 || n < 4 + KEY_SIZE || !(p[1] & MASKED) ||
        (p[0] != (FIN | WS_TEXT) && p[0] != (FIN | WS_BINARY)))
        return false;
    len = p[1] & LEN_MASK;
    if (len >= LEN_16) {
        if (len == LEN_64)
            return false;
        len = (size_t)p[2] << 8 | p[3];
        size = 4;
        if (len < LEN_16)
            return false;
    }
    size += KEY_SIZE;
    if (n - size < len || (r->limit && len > r->limit))
        return false;
    *f = (struct ws_frame){
        .payload = p + size, .len = len, .opcode = p[0] & OPCODE_MASK, .begin = true, .end = true};
    memcpy(f->key, p + size - KEY_SIZE, KEY_SIZE);
    *used = size + len;
    return true;
}

enum ws_event ws_reader_next(struct ws_reader *r, const uint8_t *p, size_t n, size_t *used,
                             struct ws_frame *f)
{
    size_t at = 0;

    if (give_whole(r, p, n, used, f))
        return WS_EV_DATA;

    *f = (struct ws_frame){0};
    *used = 0;
    while (!r->in_frame) {
        struct head h;
        enum head_result res = read_head(r, p + at, n - at, &h, f);

        if (res == HEAD_BAD)
            return WS_EV_ERROR;
        if (res == HEAD_SHORT && at == 0)
            return WS_EV_MORE;
        if (res == HEAD_SHORT)
            break; /* swallowed frames must be reported as used: by an empty DATA */
        at += h.size;
        if (h.opcode & CONTROL_BIT) {
            *used = at + give_control(&h, p + at, f);
            return WS_EV_CONTROL;
        }
        if (h.len > 0 || h.fin || h.opcode != WS_CONTINUATION)
            enter_frame(r, &h);
    }
    *used = at + give_data(r, p + at, n - at, f);
    return WS_EV_DATA;
}

static inline uint64_t load8(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store8(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

/* The key as 8 bytes of memory that start with its byte number n & 3. */
static inline uint64_t key_word(const uint8_t key[4], size_t n)
{
    const unsigned by = 8 * (n & 3);
    uint32_t k;

    memcpy(&k, key, sizeof k);
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        k = k >> by | k << (-by & 31);
    else
        k = k << by | k >> (-by & 31);
    return (uint64_t)k << 32 | k;
}

/*
 * dst may lie any distance before src, 1 byte included, so what is written may be source that was
 * read already, never source still to be read: each block is loaded whole before it is stored, and
 * the last word, which overlaps its forerunner to spare a byte loop, is loaded first of all.
 */
void ws_unmask(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4])
{
    const uint64_t k = key_word(key, 0);
    uint64_t last;
    size_t i = 0;

    if (n < 8) {
        for (; i < n; i++)
            dst[i] = src[i] ^ key[i & 3];
        return;
    }
    last = load8(src + n - 8) ^ key_word(key, n);
    for (; n - i >= 32; i += 32) {
        uint64_t a = load8(src + i), b = load8(src + i + 8);
        uint64_t c = load8(src + i + 16), d = load8(src + i + 24);

        store8(dst + i, a ^ k);
        store8(dst + i + 8, b ^ k);
        store8(dst + i + 16, c ^ k);
        store8(dst + i + 24, d ^ k);
    }
    for (; n - i >= 8; i += 8)
        store8(dst + i, load8(src + i) ^ k);
    store8(dst + n - 8, last);
}

size_t ws_write_header(uint8_t *out, uint8_t opcode_rsv, uint64_t payload)
{
    size_t size = ws_header_len(payload);

    out[0] = FIN | opcode_rsv;
    out[1] = size == 2 ? (uint8_t)payload : size == 4 ? LEN_16 : LEN_64;
    write_be(out + 2, size - 2, payload);
    return size;
}

/* What may stand in a Close: section 7.4, the IANA registry; 3000-4999 for applications. */
static bool code_allowed(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

uint16_t ws_check_close(const uint8_t *payload, size_t n, uint16_t *code)
{
    uint16_t got;

    if (n == 0) {
        *code = WS_CODE_NO_STATUS;
        return 0;
    }
    if (n == 1)
        return WS_CODE_PROTOCOL;
    got = (uint16_t)read_be(payload, 2);
    if (!code_allowed(got))
        return WS_CODE_PROTOCOL;
    if (!utf8_valid(payload + 2, n - 2))
        return WS_CODE_BAD_UTF8;
    *code = got;
    return 0;
}

size_t ws_write_close(uint8_t *out, uint16_t code, const char *reason)
{
    const uint8_t *text = (const uint8_t *)reason;
    uint8_t clean[3 * WS_REASON_MAX]; /* a reason may quote what is not ours */
    size_t n;

    if (code == WS_CODE_NO_STATUS)
        return ws_write_header(out, WS_CLOSE, 0);
    n = strnlen(reason, WS_REASON_MAX);
    if (n == WS_REASON_MAX)
        n -= utf8_tail(text, n);
    n = utf8_replace(clean, text, n);
    if (n > WS_REASON_MAX)
        n = WS_REASON_MAX - utf8_tail(clean, WS_REASON_MAX);

    out += ws_write_header(out, WS_CLOSE, 2 + n);
    write_be(out, 2, code);
    memcpy(out + 2, clean, n);
    return 2 + 2 + n;
}
