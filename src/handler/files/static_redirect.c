/* SPDX-License-Identifier: MIT */
#include "handler/files/static_redirect.h"

#include <stdio.h>
#include <string.h>

#include "core/observe/request_log.h"
#include "core/request.h"
#include "handler/files/static_send.h"

/* Adds text to a header line at out, all but plain characters and those in `keep` as %XX. Returns
 * its new end, NULL when it does not fit or had not fitted before. */
static char *add_escaped(char *out, const char *end, struct slice text, const char *keep)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (size_t i = 0; i < text.len && out != NULL; i++) {
        char c = text.p[i];
        bool as_is = c != '\0' && (strchr(plain, c) != NULL || strchr(keep, c) != NULL);
        int n = snprintf(out, (size_t)(end - out), as_is ? "%c" : "%%%02X", (unsigned char)c);

        out = n > 0 && n < end - out ? out + n : NULL;
    }
    return out;
}

void static_redirect(struct stream *s, const char *more_fields)
{
    const struct request *r = stream_request(s);
    char fields[STATIC_FIELDS_SIZE];
    const char *end = fields + sizeof fields;
    const char *slash = memrchr(r->raw_path.p, '/', r->raw_path.len);
    const char *name = slash != NULL ? slash + 1 : r->raw_path.p;
    struct slice last = slice_of(name, (size_t)(r->raw_path.p + r->raw_path.len - name));
    bool as_scheme = memchr(last.p, ':', last.len) != NULL;
    char *out = fields + sprintf(fields, "Location: %s", as_scheme ? "./" : "");
    const struct response answer = {.status = 301,
                                    .fields = fields,
                                    .more_fields = more_fields,
                                    .body = slice_from("see Location\n"),
                                    .head_only = slice_is(r->head->method, "HEAD")};

    out = add_escaped(add_escaped(out, end, last, "!$&'()*+,;=:@%"), end, slice_from("/"), "/");
    if (r->query.p != NULL)
        out = add_escaped(add_escaped(out, end, slice_from("?"), "?"), end, r->query,
                          "/!$&'()*+,;=:@?%");
    if (out == NULL || end - out < 3) {
        static_refuse(s, 414, NULL, "the path is too long");
        return;
    }
    memcpy(out, "\r\n", 3);
    request_log(s, 301, NULL);
    stream_respond(s, &answer);
    stream_end(s);
}
