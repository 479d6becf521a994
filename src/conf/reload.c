/* SPDX-License-Identifier: MIT */
#include "conf/reload.h"

#include <stdio.h>

static bool is_fixed(const struct option_row *row)
{
    return row->place == IN_CONFIG && row->reload == RELOAD_RESTART;
}

bool reload_keep(struct config *kept, const struct config *c)
{
    for (size_t i = 0; i < option_rows_count; i++) {
        if (is_fixed(&option_rows[i]) && !option_copy(&option_rows[i], kept, c, &kept->arena))
            return false;
    }
    return true;
}

void reload_compare(const struct config *kept, const struct config *c,
                    void (*tell)(void *arg, const char *line), void *arg)
{
    char line[128];

    for (size_t i = 0; i < option_rows_count; i++) {
        const struct option_row *row = &option_rows[i];

        if (!is_fixed(row) || option_equal(row, kept, c))
            continue;
        snprintf(line, sizeof line, "%s: the change needs a restart; it stays as it was",
                 row->name);
        tell(arg, line);
    }
}
