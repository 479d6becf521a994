/* SPDX-License-Identifier: MIT */
#include "handler/files/validators.h"

#include <stdio.h>
#include <time.h>

void validators_make(struct validators *v, const struct stat *st, const char *coding)
{
    struct tm tm;

    snprintf(v->etag, sizeof v->etag, "\"%llx.%lx-%llx%s%s\"",
             (unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec,
             (unsigned long long)st->st_size, coding != NULL ? "-" : "",
             coding != NULL ? coding : "");
    if (gmtime_r(&st->st_mtim.tv_sec, &tm) == NULL ||
        strftime(v->modified, sizeof v->modified, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        v->modified[0] = '\0';
}

static bool etags_have(struct slice list, const char *etag)
{
    struct slice item;

    while (slice_next_item(&list, &item)) {
        if (slice_starts(item, "W/"))
            item = slice_of(item.p + 2, item.len - 2);
        if (slice_is(item, "*") || slice_is(item, etag))
            return true;
    }
    return false;
}

bool validators_known(const struct http_head *head, const struct validators *v)
{
    bool asked = false;
    size_t dates;
    struct slice date = http_head_get(head, "If-Modified-Since", &dates);

    for (size_t i = 0; i < head->count; i++) {
        if (!slice_eq_nocase(head->fields[i].name, slice_from("If-None-Match")))
            continue;
        asked = true;
        if (etags_have(head->fields[i].value, v->etag))
            return true;
    }
    return !asked && dates == 1 && date.len > 0 && slice_is(date, v->modified);
}

/* A weak tag is never equal here (RFC 9110, section 13.1.5), and none of ours is one. */
bool validators_allow_part(const struct http_head *head, const struct validators *v)
{
    size_t count;
    struct slice value = http_head_get(head, "If-Range", &count);

    if (count == 0)
        return true;
    return count == 1 && value.len > 0 &&
           (slice_is(value, v->etag) || slice_is(value, v->modified));
}
