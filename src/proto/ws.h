/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_WS_H
#define WSLUICE_PROTO_WS_H

/*
 * The WebSocket wire (RFC 6455, sections 5 and 7), the server's side. Pure: no I/O, no allocation,
 * no copy. The reader walks over a received chunk and says what lies there; the caller unmasks
 * payload to wherever it wants it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"

enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA,
};

/*
 * Close codes of RFC 6455 section 7.4.1 and the registry that we send. 1005 and 1006 stand for
 * "none received".
 */
enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_GOING_AWAY = 1001,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_UNSUPPORTED = 1003,
    WS_CODE_NO_STATUS = 1005,
    WS_CODE_ABNORMAL = 1006,
    WS_CODE_BAD_UTF8 = 1007,
    WS_CODE_POLICY = 1008,
    WS_CODE_TOO_BIG = 1009,
    WS_CODE_INTERNAL = 1011,
    WS_CODE_TRY_LATER = 1013,
    WS_CODE_BAD_GATEWAY = 1014,
};

/* RSV1 to RSV3 as they stand in the first byte of a frame. */
#define WS_RSV_MASK 0x70
#define WS_RSV1 0x40

#define WS_CONTROL_MAX 125      /* payload of a control frame, section 5.5 */
#define WS_REASON_MAX 123       /* reason in a close frame */
#define WS_CLIENT_HEADER_MIN 6  /* a masked header: 2 + 4 */
#define WS_CLIENT_HEADER_MAX 14 /* a masked header: 2 + 8 + 4 */
#define WS_SERVER_HEADER_MAX 10 /* ours: 2 + 8 */

/* See WS_EV_MORE: at most this much is held back. */
#define WS_HELD_MAX (WS_CLIENT_HEADER_MIN + WS_CONTROL_MAX)

/* What ws_reader_next found. */
enum ws_event {
    WS_EV_MORE,    /* keep the n bytes from p (at most WS_HELD_MAX), call with more behind them */
    WS_EV_DATA,    /* payload of a data message; may be empty (a header came without its payload) */
    WS_EV_CONTROL, /* one whole ping, pong or close */
    WS_EV_ERROR,   /* the peer broke the protocol; frame.code says how; the reader is spent */
};

/* The parts of the chunk that an event speaks of. Valid until the chunk is changed. */
struct ws_frame {
    const uint8_t *payload; /* still masked */
    size_t len;             /* bytes of payload in this chunk */
    uint8_t key[4];         /* masking key, rotated: payload[i] ^ key[i & 3] is the plain byte */
    uint8_t opcode;         /* WS_TEXT or WS_BINARY for data, continuations too; or the control's */
    uint8_t rsv;            /* RSV bits of the message's first frame (extensions) */
    bool begin;             /* DATA: first bytes of a message */
    bool end;               /* DATA: the message ends with this payload */
    uint16_t code;          /* ERROR: WS_CODE_PROTOCOL or WS_CODE_TOO_BIG */
    const char *why;        /* ERROR: a constant text for the log and the close reason */
};

/* Where the reader stands between two chunks. Initialise with ws_reader_init. */
struct ws_reader {
    uint64_t left;    /* payload bytes of the current data frame still to come */
    uint32_t limit;   /* largest message; 0: none. WS_CODE_TOO_BIG when a header declares more. A
                         message with an RSV bit is the extension's to measure */
    uint32_t total;   /* with a limit: payload bytes of the current message so far, declared lengths
                         included */
    uint8_t key[4];   /* rotated to the next payload byte */
    uint8_t rsv_mask; /* RSV bits with a meaning (extensions), allowed on a message's first frame */
    uint8_t opcode;   /* of the message in progress; 0: none */
    uint8_t rsv;      /* of the message in progress */
    bool in_frame : 1; /* inside a data frame's payload */
    bool fin : 1;      /* that frame is its message's last */
    bool begun : 1;    /* the message in progress has given its first DATA event */
};

void ws_reader_init(struct ws_reader *r, uint32_t limit, uint8_t rsv_mask);

/*
 * Looks at the n > 0 bytes at p and describes the first thing there in *f. Returns the event and in
 * *used how many bytes it took (header included; 0 for MORE and ERROR). Every frame of a message
 * gives at least one DATA event, but an empty frame that neither begins nor ends the message is
 * swallowed with its header and counted in the next event's *used, so that a flood of them costs no
 * upcalls; if the chunk holds nothing usable behind such frames, one empty DATA with neither begin
 * nor end accounts for them. Refused with WS_CODE_PROTOCOL: an unmasked frame, RSV bits outside
 * rsv_mask or on continuations and control frames, opcodes 3-7 and 11-15, a control frame over 125
 * bytes or fragmented, a continuation without a message, a new message inside another, a length not
 * in its shortest form, or with its top bit set (section 5.2). A bad first two bytes is refused as
 * soon as they are seen, without waiting for the rest.
 */
enum ws_event ws_reader_next(struct ws_reader *r, const uint8_t *p, size_t n, size_t *used,
                             struct ws_frame *f);

/*
 * dst[i] = src[i] ^ key[i & 3] for n bytes. dst == src, or dst < src (overlap is fine: the copy
 * runs forward), or no overlap. Any alignment.
 */
void ws_unmask(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4]);

/* Length of the header of an unmasked frame with this payload: 2, 4 or 10. */
static inline size_t ws_header_len(uint64_t payload)
{
    return payload < 126 ? 2 : payload < 65536 ? 4 : 10;
}

/* Writes that header, FIN set, with opcode | rsv in its first byte. Returns its length. */
size_t ws_write_header(uint8_t *out, uint8_t opcode_rsv, uint64_t payload);

/*
 * Judges the plain payload of a received Close. Returns 0 and the code in *code (WS_CODE_NO_STATUS
 * if empty), or WS_CODE_PROTOCOL (one byte; a code that may not be sent, section 7.4: 0-999,
 * 1004-1006, 1015-2999, 5000 and up; 1012 to 1014 are fine by the registry) or WS_CODE_BAD_UTF8
 * (reason). *code is written only with 0.
 */
uint16_t ws_check_close(const uint8_t *payload, size_t n, uint16_t *code);

/*
 * Writes a whole Close frame to out (WS_CONTROL_MAX + 2 bytes). What is not UTF-8 in the reason
 * becomes U+FFFD, then it is cut to fit between characters. Code WS_CODE_NO_STATUS writes an empty
 * one. Returns its length.
 */
size_t ws_write_close(uint8_t *out, uint16_t code, const char *reason);

#endif
