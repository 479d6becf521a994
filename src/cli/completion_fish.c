/* SPDX-License-Identifier: MIT */
#include "cli/completion_impl.h"

#include <string.h>

/* A condition that holds where options of ours stand. */
#define OURS "not __fish_seen_subcommand_from ctl example passwd"

static void fish_print_value(const struct option_row *row, FILE *out)
{
    static const char *const how[] = {
        [OFFER_NOTHING] = " -x",
        [OFFER_FILES] = " -r -F",
        [OFFER_FOLDERS] = " -x -a '(__fish_complete_directories)'",
        [OFFER_WORDS] = NULL,
        [OFFER_ADDRESSES] = NULL,
        [OFFER_USERS] = " -x -a '(__fish_complete_users)'",
        [OFFER_VARIABLES] = " -x -a '(set -nx)'",
        [OFFER_COMMANDS] = " -x -a '(__fish_complete_command)'",
        [OFFER_SESSIONS] = " -x",
        [OFFER_BANS] = " -x",
    };
    enum offer offer = completion_offer(row);

    if (how[offer] != NULL) {
        fputs(how[offer], out);
        return;
    }
    fputs(" -x -a '", out);
    completion_print_words(row, out);
    fputs("'", out);
}

static void print_options(FILE *out)
{
    for (size_t i = 0; i < option_rows_count; i++) {
        const struct option_row *row = &option_rows[i];

        fputs("complete -c wsluice -n '" OURS "'", out);
        if (row->letter != 0)
            fprintf(out, " -s %c", row->letter);
        fprintf(out, " -l %s", row->name);
        if (completion_takes_value(row))
            fish_print_value(row, out);
        fputs(" -d '", out);
        completion_print_quoted(row->help, "\\'", "\\", out);
        fputs("'\n", out);
    }
}

static const char functions[] =
    "# asks the running server, at the address that is on the line\n"
    "function __wsluice_ask\n"
    "    set -l words (commandline -opc)\n"
    "    set -l admin\n"
    "    if set -l i (contains -i -- --admin $words)\n"
    "        set admin --admin $words[(math $i + 1)]\n"
    "    end\n"
    "    $words[1] ctl $admin --json $argv[1] 2>/dev/null </dev/null\n"
    "end\n"
    "complete -c wsluice -n __fish_use_subcommand -f -a ctl -d 'a running server'\n"
    "complete -c wsluice -n __fish_use_subcommand -f -a example -d 'configurations to begin with'\n"
    "complete -c wsluice -n __fish_use_subcommand -f -a passwd -d 'a line of a file of passwords'\n"
    "complete -c wsluice -n '__fish_seen_subcommand_from passwd' -F\n"
    "complete -c wsluice -n '__fish_seen_subcommand_from ctl' -l admin -x -a 'unix: 127.0.0.1:'\n"
    "complete -c wsluice -n '__fish_seen_subcommand_from ctl' -l json\n"
    "complete -c wsluice -n '__fish_seen_subcommand_from ctl' -l interval -x\n"
    "complete -c wsluice -n '__fish_seen_subcommand_from example' -f -a '";

static void fish_print_ctl(FILE *out)
{
    struct ctl_order order;
    const char *words;

    fputs("function __wsluice_no_order\n"
          "    __fish_seen_subcommand_from ctl; and not __fish_seen_subcommand_from",
          out);
    for (size_t i = 0; ctl_order_at(i, &order); i++)
        fprintf(out, " %s", order.name);
    fputs("\nend\n", out);
    for (size_t i = 0; ctl_order_at(i, &order); i++) {
        enum offer offer = completion_order(&order, &words);

        fprintf(out, "complete -c wsluice -n __wsluice_no_order -f -a %s -d '", order.name);
        completion_print_quoted(order.help, "\\'", "\\", out);
        fputs("'\n", out);
        if (offer == OFFER_NOTHING)
            continue;
        fprintf(out,
                "complete -c wsluice -n '__fish_seen_subcommand_from ctl; and "
                "__fish_seen_subcommand_from %s' -f -a ",
                order.name);
        if (offer == OFFER_WORDS)
            fprintf(out, "'%s'\n", words);
        else if (offer == OFFER_SESSIONS)
            fputs("'(__wsluice_sessions)'\n", out);
        else
            fputs("'(__wsluice_bans)'\n", out);
    }
}

void completion_print_fish(FILE *out)
{
    fputs(functions, out);
    completion_print_examples(out);
    fputs("'\n"
          "function __wsluice_sessions\n"
          "    __wsluice_ask sessions | " COMPLETION_SESSIONS "\n"
          "end\n"
          "function __wsluice_bans\n"
          "    __wsluice_ask bans | " COMPLETION_BANS "\n"
          "end\n",
          out);
    fish_print_ctl(out);
    print_options(out);
}
