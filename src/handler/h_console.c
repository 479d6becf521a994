/* SPDX-License-Identifier: MIT */

/*
 * console: a plain GET on a route answers a page to talk with it by hand. The page is
 * console.html, part of this object; it needs nothing from anywhere. Its own style and script, and
 * no others, carry the nonce of the answer's Content-Security-Policy.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/observe/request_log.h"
#include "handler/handlers.h"
#include "proto/handshake.h"

#define NONCE_MARK "@NONCE@"
#define NONCE_BYTES 16
#define NONCE_SIZE (2 * NONCE_BYTES + 1)

/* The page, between two symbols of the linker. */
__asm__(".pushsection .rodata\n"
        ".hidden console_page_begin\n"
        ".hidden console_page_end\n"
        ".global console_page_begin\n"
        ".global console_page_end\n"
        "console_page_begin:\n"
        ".incbin \"src/handler/console.html\"\n"
        "console_page_end:\n"
        ".popsection\n");

extern const char console_page_begin[], console_page_end[];

static bool console_wants(const struct config *c, const struct route *route,
                          const struct request *r)
{
    (void)c;
    return route != NULL && route->page == PAGE_CONSOLE && !handshake_wanted(r->head) &&
           (slice_is(r->head->method, "GET") || slice_is(r->head->method, "HEAD"));
}

static bool make_nonce(char out[NONCE_SIZE])
{
    unsigned char bytes[NONCE_BYTES];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* The page with the nonce in its places, by malloc; *len its length. */
static char *make_page(const char *nonce, size_t *len)
{
    const char *p = console_page_begin;
    size_t left = (size_t)(console_page_end - console_page_begin);
    /* a nonce takes the place of its mark, and is at most so much longer */
    char *page = malloc(left + left / strlen(NONCE_MARK) * NONCE_SIZE), *out = page;
    const char *mark;

    if (page == NULL)
        return NULL;
    while ((mark = memmem(p, left, NONCE_MARK, strlen(NONCE_MARK))) != NULL) {
        out = mempcpy(mempcpy(out, p, (size_t)(mark - p)), nonce, strlen(nonce));
        left -= (size_t)(mark - p) + strlen(NONCE_MARK);
        p = mark + strlen(NONCE_MARK);
    }
    out = mempcpy(out, p, left);
    *len = (size_t)(out - page);
    return page;
}

static void console_handle(struct stream *s, const struct config *c, const struct route *route)
{
    char nonce[NONCE_SIZE], fields[640];
    size_t len = 0;
    char *page = make_nonce(nonce) ? make_page(nonce, &len) : NULL;
    (void)c;
    (void)route;

    if (page == NULL) {
        request_log(s, 500, "no memory or no random bytes for the console");
        stream_refuse(s, 500, NULL, "the console cannot be shown now");
        return;
    }
    snprintf(
        fields, sizeof fields,
        "Cache-Control: no-store\r\n"
        "Referrer-Policy: no-referrer\r\n"
        "Content-Security-Policy: default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "
        "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors "
        "'none'\r\n",
        nonce, nonce);
    const struct response answer = {.status = 200,
                                    .content_type = "text/html; charset=utf-8",
                                    .fields = fields,
                                    .body = slice_of(page, len),
                                    .head_only = slice_is(stream_request(s)->head->method, "HEAD")};

    request_log(s, 200, NULL);
    stream_respond(s, &answer);
    stream_end(s);
    free(page);
}

const struct handler_ops handler_console = {"console", console_wants, console_handle};
