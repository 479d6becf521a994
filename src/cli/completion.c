/* SPDX-License-Identifier: MIT */
#include "cli/completion.h"

#include <string.h>

#include "cli/completion_impl.h"
#include "cli/example.h"
#include "core/backend.h"
#include "proto/framing.h"
#include "server/kinds.h"

/* Options whose values are known, but by no choices or word of the table. NULL: the kinds of
 * addresses, or the framings, that there are. */
static const struct known {
    const char *name;
    enum offer offer;
    const char *words;
} known[] = {
    {"listen", OFFER_ADDRESSES, "127.0.0.1: 0.0.0.0: [::1]: [::]: unix: systemd"},
    {"admin", OFFER_ADDRESSES, "unix: 127.0.0.1:"},
    {"to", OFFER_ADDRESSES, NULL},
    {"route", OFFER_ADDRESSES, NULL},
    {"framing", OFFER_WORDS, NULL},
    {"origin", OFFER_ADDRESSES, "any https:// http://"},
    {"cgroup", OFFER_WORDS, "auto"},
    {"log-to", OFFER_WORDS, "stderr syslog"},
    {"record", OFFER_FOLDERS, NULL},
    {"user", OFFER_USERS, NULL},
    {"run-as", OFFER_USERS, NULL},
    {"pass-env", OFFER_VARIABLES, NULL},
    {"auth-hook", OFFER_COMMANDS, NULL},
    {"read-paths", OFFER_FILES, NULL},
    {"write-paths", OFFER_FILES, NULL},
    {"trusted-proxies", OFFER_WORDS, "127.0.0.1 ::1 unix"},
    {"rlimits", OFFER_ADDRESSES,
     "as= core= cpu= data= fsize= memlock= msgqueue= nofile= nproc= sigpending= stack="},
    {"umask", OFFER_WORDS, "022 027 077"},
    {"unix-mode", OFFER_WORDS, "0600 0660 0666"},
};

static const struct known *find_known(const struct option_row *row)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, row->name) == 0)
            return &known[i];
    }
    return NULL;
}

enum offer completion_offer(const struct option_row *row)
{
    static const struct {
        const char *value;
        enum offer offer;
    } by_value[] = {{"FILE", OFFER_FILES}, {"PATH", OFFER_FILES}, {"DIR", OFFER_FOLDERS}};
    const struct known *k = find_known(row);

    if (row->choices != NULL)
        return OFFER_WORDS;
    if (k != NULL)
        return k->offer;
    for (size_t i = 0; row->value != NULL && i < sizeof by_value / sizeof by_value[0]; i++) {
        if (strcmp(row->value, by_value[i].value) == 0)
            return by_value[i].offer;
    }
    return OFFER_NOTHING;
}

static void print_framings(FILE *out)
{
    for (size_t i = 0; framings[i] != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", framings[i]->name);
}

/* "tcp" is "tcp://"; programs stand in --route only. */
static void print_prefixes(bool programs, FILE *out)
{
    const char *between = "";

    for (size_t i = 0; backends[i] != NULL; i++) {
        if (backends[i]->runs_programs && !programs)
            continue;
        fprintf(out, "%s%s", between, backends[i]->prefix);
        between = " ";
    }
}

void completion_print_words(const struct option_row *row, FILE *out)
{
    const struct known *k = find_known(row);

    for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", row->choices[i]);
    if (row->choices != NULL || k == NULL)
        return;
    if (k->words != NULL)
        fputs(k->words, out);
    else if (strcmp(k->name, "framing") == 0)
        print_framings(out);
    else
        print_prefixes(strcmp(k->name, "route") == 0, out);
}

bool completion_takes_value(const struct option_row *row)
{
    return row->type != OPTION_FLAG;
}

enum offer completion_order(const struct ctl_order *order, const char **words)
{
    static const struct {
        const char *usage; /* what its usage says behind the name */
        enum offer offer;
        const char *words;
    } by_usage[] = {
        {"show ID", OFFER_SESSIONS, NULL},
        {"kick WHOM", OFFER_SESSIONS, NULL},
        {"unban ADDRESS", OFFER_BANS, NULL},
        {"log-level [LEVEL]", OFFER_WORDS, "error warn info debug"},
    };

    for (size_t i = 0; i < sizeof by_usage / sizeof by_usage[0]; i++) {
        if (strncmp(order->usage, by_usage[i].usage, strlen(by_usage[i].usage)) != 0)
            continue;
        *words = by_usage[i].words;
        return by_usage[i].offer;
    }
    return OFFER_NOTHING;
}

void completion_print_examples(FILE *out)
{
    for (unsigned i = 0; example_name(i) != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", example_name(i));
}

void completion_print_quoted(const char *text, const char *quote, const char *special, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs(quote, out);
            continue;
        }
        if (strchr(special, *text) != NULL)
            fputc('\\', out);
        fputc(*text, out);
    }
}

void completion_print(enum completion_shell shell, FILE *out)
{
    if (shell == COMPLETION_NONE)
        return;
    if (shell == COMPLETION_ZSH) /* its first line must be #compdef */
        completion_print_zsh(out);
    else
        fprintf(out, "# completion of wsluice: %s\n", shell == COMPLETION_BASH ? "bash" : "fish");
    if (shell == COMPLETION_BASH)
        completion_print_bash(out);
    else if (shell == COMPLETION_FISH)
        completion_print_fish(out);
}
