/* SPDX-License-Identifier: MIT */
#include "cli/completion_impl.h"

#include <string.h>

static bool repeats(const struct option_row *row)
{
    return row->type == OPTION_REPEAT || row->type == OPTION_LIST || row->type == OPTION_PAIRS;
}

/* A colon would end them. */
static void print_words(const struct option_row *row, FILE *out)
{
    char words[512] = "";
    FILE *text = fmemopen(words, sizeof words, "w");

    if (text == NULL)
        return;
    completion_print_words(row, text);
    fclose(text);
    completion_print_quoted(words, "'\\''", ":", out);
}

static void zsh_print_value(const struct option_row *row, FILE *out)
{
    static const char *const actions[] = {
        [OFFER_NOTHING] = "",
        [OFFER_FILES] = "_files",
        [OFFER_FOLDERS] = "_files -/",
        [OFFER_WORDS] = NULL,
        [OFFER_ADDRESSES] = NULL,
        [OFFER_USERS] = "_users",
        [OFFER_VARIABLES] = "_parameters -g \"*export*\"",
        [OFFER_COMMANDS] = "_command_names -e",
        [OFFER_SESSIONS] = "",
        [OFFER_BANS] = "",
    };
    enum offer offer = completion_offer(row);

    fputs(":", out);
    completion_print_quoted(row->value, "'\\''", ":[]", out);
    fputs(":", out);
    if (offer == OFFER_WORDS || offer == OFFER_ADDRESSES) {
        /* with a blank before it zsh passes the words on as they are */
        fputs(offer == OFFER_WORDS ? " compadd -- " : " _wsluice_addresses ", out);
        print_words(row, out);
    } else {
        fputs(actions[offer], out);
    }
}

static void zsh_print_row(const struct option_row *row, FILE *out)
{
    bool value = completion_takes_value(row);

    fputs("  ", out);
    if (repeats(row))
        fputs("'*'", out);
    else if (row->letter != 0)
        fprintf(out, "'(-%c --%s)'", row->letter, row->name);
    if (row->letter != 0)
        fprintf(out, "{-%c%s,--%s%s}", row->letter, value ? "+" : "", row->name, value ? "=" : "");
    else
        fprintf(out, "--%s%s", row->name, value ? "=" : "");
    fputs("'[", out);
    completion_print_quoted(row->help, "'\\''", "[]", out);
    fputs("]", out);
    if (value)
        zsh_print_value(row, out);
    fputs("' \\\n", out);
}

static const char functions[] = "#compdef wsluice\n"
                                "\n"
                                "_wsluice_addresses() {\n"
                                "  local -a offered=($@)\n"
                                "  compset -P '*='\n"
                                "  if compset -P '(unix|token-file):'; then _files\n"
                                "  elif compset -P '(exec|pty):'; then _command_names -e\n"
                                "  else compadd -S '' -a offered; fi\n"
                                "}\n";

static void zsh_print_ctl(FILE *out)
{
    struct ctl_order order;
    const char *words;

    fputs("_wsluice_orders() {\n  local -a orders=(\n", out);
    for (size_t i = 0; ctl_order_at(i, &order); i++) {
        fprintf(out, "    '%s:", order.name);
        completion_print_quoted(order.help, "'\\''", "", out);
        fputs("'\n", out);
    }
    fputs("  )\n  _describe order orders\n}\n"
          "_wsluice_ask() {\n"
          "  local -a admin\n"
          "  [[ -n $opt_args[--admin] ]] && admin=(--admin ${(Q)opt_args[--admin]})\n"
          "  $wsluice ctl $admin --json $1 2>/dev/null </dev/null\n"
          "}\n"
          "_wsluice_argument() {\n  case $line[1] in\n",
          out);
    for (size_t i = 0; ctl_order_at(i, &order); i++) {
        enum offer offer = completion_order(&order, &words);

        if (offer == OFFER_WORDS)
            fprintf(out, "    %s) compadd -- %s ;;\n", order.name, words);
        else if (offer == OFFER_SESSIONS)
            fprintf(out, "    %s) compadd -- $(_wsluice_ask sessions | %s) ;;\n", order.name,
                    COMPLETION_SESSIONS);
        else if (offer == OFFER_BANS)
            fprintf(out, "    %s) compadd -- $(_wsluice_ask bans | %s) ;;\n", order.name,
                    COMPLETION_BANS);
    }
    fputs("  esac\n}\n", out);
}

static const char subcommands[] =
    "local wsluice=$words[1] curcontext=$curcontext state\n"
    "local -a line\n"
    "typeset -A opt_args\n"
    "if (( CURRENT > 2 )) && [[ $words[2] == ctl ]]; then\n"
    "  shift words; (( CURRENT-- ))\n"
    "  _arguments '--admin=[the admin address of the server]:ADDR: _wsluice_addresses"
    " unix\\: 127.0.0.1\\:' \\\n"
    "    '--json[the answer as it is]' '--interval=[of top, in seconds]:SEC:' \\\n"
    "    '(-h --help)'{-h,--help}'[print all orders]' '1:order:_wsluice_orders' \\\n"
    "    '2:argument:_wsluice_argument'\n"
    "  return\n"
    "fi\n"
    "if (( CURRENT > 2 )) && [[ $words[2] == passwd ]]; then\n"
    "  (( CURRENT == 3 )) && _files\n"
    "  return\n"
    "fi\n"
    "if (( CURRENT > 2 )) && [[ $words[2] == example ]]; then\n"
    "  (( CURRENT == 3 )) && compadd -- ";

static const char first[] = "\n"
                            "  return\n"
                            "fi\n"
                            "_wsluice_first() {\n"
                            "  (( CURRENT == 2 )) && compadd -- ctl example passwd\n"
                            "  _command_names -e\n"
                            "}\n"
                            "_arguments -s -S \\\n";

void completion_print_zsh(FILE *out)
{
    fputs(functions, out);
    zsh_print_ctl(out);
    fputs(subcommands, out);
    completion_print_examples(out);
    fputs(first, out);
    for (size_t i = 0; i < option_rows_count; i++)
        zsh_print_row(&option_rows[i], out);
    fputs("  '(-):command:_wsluice_first' '*::arguments: _normal'\n", out);
}
