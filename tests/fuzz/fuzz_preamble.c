/* SPDX-License-Identifier: MIT */
/*
 * core/program/preamble. Input: a byte for the address, the name of the host that a client asks
 * for, a newline, then the template. Oracles: what a client says never adds a line, a blank or a
 * word that begins with a colon: the text has the lines, blanks and colons behind blanks that the
 * template has; what cannot be said so is refused.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/program/preamble.h"
#include "core/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

struct counts {
    size_t newlines, blanks, colons;
};

static struct counts count(const char *p, size_t n)
{
    struct counts c = {0, 0, 0};

    for (size_t i = 0; i < n; i++) {
        c.newlines += p[i] == '\n' || p[i] == '\r' || p[i] == '\0';
        c.blanks += p[i] == ' ' || p[i] == '\t';
        c.colons += p[i] == ':' && (i == 0 || p[i - 1] == ' ');
    }
    return c;
}

static void check(const struct backend_open *o, const char *template)
{
    struct buf out = {0};
    struct slice name;
    struct counts had = count(template, strlen(template)), has;

    if (preamble_expand(o, &out, &name) == PREAMBLE_MADE && buf_len(&out) > 0) {
        has = count((const char *)buf_data(&out), buf_len(&out));
        must(has.newlines == had.newlines && has.blanks == had.blanks);
        must(has.colons == had.colons);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const addresses[] = {"127.0.0.1", "::1", "::", "2001:db8::1", "255.1.2.3"};
    struct config config = {0};
    static const struct backend_ops service = {.name = "tcp", .takes_preamble = true};
    struct route route = {
        .backend = &service, .config = &config, .path = "/", .preamble_word = (char[]){"word"}};
    struct http_head head = {.method = slice_from("GET")};
    struct request request = {.head = &head};
    struct slice rest, host;
    char why[PREAMBLE_ERROR_MAX], *template;

    if (size == 0)
        return 0;
    host = slice_cut(slice_of((const char *)data + 1, size - 1), '\n', &rest);
    template = slice_dup(rest);
    must(template != NULL);
    must(addr_parse_host(slice_from(addresses[data[0] % 5]), 80, &request.client));
    request.server = request.client;
    request.host = host;
    route.settings.preamble = template;
    route.settings.preamble_secret = "file";
    route.settings.auth = AUTH_BASIC;
    const struct backend_open o = {
        .route = &route, .request = &request, .unique = "0123456789abcdef0123456789abcdef"};
    if (preamble_sound(&route, why))
        check(&o, template);
    free(template);
    return 0;
}
