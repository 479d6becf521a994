/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_TTY_H
#define WSLUICE_PROTO_TTY_H

/*
 * The terminal protocol of ttyd's clients, subprotocol `tty`. The first byte of each message, text
 * or binary, says what it is; the first message is the JSON. docs/terminal.md is the contract.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define TTY_SUBPROTOCOL "tty"

/* client to server */
#define TTY_INPUT '0'
#define TTY_RESIZE '1' /* JSON follows */
#define TTY_PAUSE '2'
#define TTY_RESUME '3'
#define TTY_BEGIN '{' /* of the JSON itself */
/* server to client */
#define TTY_OUTPUT '0'
#define TTY_TITLE '1'
#define TTY_PREFERENCES '2'

#define TTY_ORDER_MAX 4096U /* bytes of a message that is not input */
#define TTY_SIZE_MAX 4096   /* columns, rows */

struct tty_size {
    uint16_t columns, rows; /* 0: was not said */
};

/* Reads {"columns": 80, "rows": 24} with whatever else stands there. NULL, or what is wrong,
 * constant. */
const char *tty_read_size(struct slice json, struct tty_size *size);

#define TTY_COLOUR_MAX 32U /* bytes of a colour in words, its NUL included */

/* A colour of the theme in preferences: {"theme": {"background": "#10181e"}}. False: there is none,
 * or a longer one. */
bool tty_read_theme(struct slice json, const char *name, char out[TTY_COLOUR_MAX]);

/* Is it one JSON object? */
bool tty_is_object(struct slice json);

#endif
