/* SPDX-License-Identifier: MIT */
#include "auth/hook_output.h"

static bool hook_output_is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

static bool is_variable(struct slice s)
{
    struct slice value, name = slice_cut(s, '=', &value);

    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];

        if (!((c >= 'A' && c <= 'Z') || c == '_' || (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return name.len > 0 && name.len <= 128 && value.p != NULL;
}

struct auth_grant *hook_output_grant(struct slice out)
{
    struct slice line, rest, word, env[AUTH_ENV_MAX], user = slice_of("", 0);
    size_t n = 0;

    while (out.p != NULL) {
        line = slice_cut(out, '\n', &out);
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        word = slice_cut(line, ' ', &rest);
        if (rest.p == NULL || !hook_output_is_plain(rest))
            continue;
        if (slice_is(word, "user") && auth_grant_is_name(rest))
            user = rest;
        else if (slice_is(word, "env") && is_variable(rest) && n < AUTH_ENV_MAX)
            env[n++] = rest;
    }
    return auth_grant_new(user, env, n);
}
