/* SPDX-License-Identifier: MIT */
#include "backend/exec_terminal.h"

#include <string.h>

/* A pager would wait for keys that nobody can press. Those with a variable of its own, or that
 * their own settings would start in spite of PAGER. */
static const char *const of_output[][2] = {
    {"TERM", "dumb"}, /* nobody would see colours */
    {"PAGER", "cat"},         {"GIT_PAGER", "cat"}, {"MANPAGER", "cat"},
    {"SYSTEMD_PAGER", "cat"}, {"AWS_PAGER", "cat"}, {"BAT_PAGER", "cat"},
    {"DELTA_PAGER", "cat"},   {"GH_PAGER", "cat"},  {"PSQL_PAGER", "cat"},
};

static int exec_terminal_add_all(struct exec_env *e, const char *const rows[][2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (exec_env_default(e, rows[i][0], rows[i][1]) < 0)
            return -1;
    }
    return 0;
}

/* "NAME=VALUE" */
static int add_login(struct exec_env *e, const struct text_list *login)
{
    char name[16];

    for (size_t i = 0; i < login->count; i++) {
        size_t n = strcspn(login->items[i], "=");

        memcpy(name, login->items[i], n);
        name[n] = '\0';
        if (exec_env_default(e, name, login->items[i] + n + 1) < 0)
            return -1;
    }
    return 0;
}

/* What is typed and shown is UTF-8; without a locale, programs such as tmux show an underscore for
 * each character beyond ASCII. Only characters: sorting, messages and the like stay as they are. */
static int add_characters(struct exec_env *e)
{
    if (exec_env_says(e, "LC_ALL") || exec_env_says(e, "LC_CTYPE") || exec_env_says(e, "LANG"))
        return 0;
    return exec_env_add(e, "LC_CTYPE", slice_from("C.UTF-8"));
}

int exec_terminal_env(struct exec_env *e, const struct route *r, enum child_standard standard)
{
    switch (standard) {
    case CHILD_ON_PIPES:
        break;
    case CHILD_OUTPUT_ON_TERMINAL:
        return exec_terminal_add_all(e, of_output, sizeof of_output / sizeof of_output[0]);
    case CHILD_ON_TERMINAL:
        if (exec_env_default(e, "TERM", "xterm-256color") < 0 || add_login(e, &r->login) < 0)
            return -1;
        return add_characters(e);
    }
    return 0;
}
