/* SPDX-License-Identifier: MIT */
#include "cli/completion_impl.h"

/* The functions of the script; behind them come cases made from the tables. */
static const char functions[] =
    "# bash takes words apart at = and at :, here they are whole again. starts[]: where in "
    "COMP_WORDS\n"
    "_wsluice_words()\n"
    "{\n"
    "    local i glue=\n"
    "    words=() starts=()\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        if [[ ${#words[@]} -gt 1 && ( $glue || ${COMP_WORDS[i]} =~ ^[=:]+$ ) ]]; then\n"
    "            words[${#words[@]}-1]+=${COMP_WORDS[i]}\n"
    "        else\n"
    "            starts+=(\"$i\") words+=(\"${COMP_WORDS[i]}\")\n"
    "        fi\n"
    "        glue=\n"
    "        [[ ${COMP_WORDS[i]} =~ ^[=:]+$ ]] && glue=1\n"
    "    done\n"
    "    return 0\n"
    "}\n"
    "\n"
    "# of these words; bash completes only what is behind the last = or :\n"
    "_wsluice_offer()\n"
    "{\n"
    "    local cut=${cur%\"${cur##*[=:]}\"}\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
    "    [[ -n $cut && ${#COMPREPLY[@]} -gt 0 ]] && COMPREPLY=(\"${COMPREPLY[@]#\"$cut\"}\")\n"
    "    return 0\n"
    "}\n"
    "\n"
    "_wsluice_address()\n"
    "{\n"
    "    case $cur in\n"
    "        unix:*|token-file:*) mapfile -t COMPREPLY < <(compgen -f -- \"${cur#*:}\") ;;\n"
    "        exec:*|pty:*) mapfile -t COMPREPLY < <(compgen -c -- \"${cur#*:}\") ;;\n"
    "        *) _wsluice_offer \"$1\"; compopt -o nospace 2>/dev/null ;;\n"
    "    esac\n"
    "    return 0\n"
    "}\n"
    "\n"
    "# asks the running server, at the address that is on the line\n"
    "_wsluice_ask()\n"
    "{\n"
    "    local i admin=()\n"
    "    for ((i = 2; i < ${#words[@]} - 1; i++)); do\n"
    "        [[ ${words[i]} == --admin ]] && admin=(--admin \"${words[i+1]}\")\n"
    "        [[ ${words[i]} == --admin=* ]] && admin=(\"${words[i]}\")\n"
    "    done\n"
    "    \"${words[0]}\" ctl \"${admin[@]}\" --json \"$1\" 2>/dev/null </dev/null\n"
    "}\n"
    "\n";

static const char ctl_begin[] =
    "_wsluice_ctl()\n"
    "{\n"
    "    local i n=$((${#words[@]} - 1)) order=\n"
    "    for ((i = 2; i < n; i++)); do\n"
    "        case ${words[i]} in\n"
    "            --admin|--interval) ((i++)) ;;\n"
    "            -*) ;;\n"
    "            *) order=${words[i]}; break ;;\n"
    "        esac\n"
    "    done\n"
    "    case $cur in\n"
    "        --admin=*) cur=${cur#*=}; _wsluice_address 'unix: 127.0.0.1:'; return ;;\n"
    "    esac\n"
    "    case ${words[n-1]} in\n"
    "        --admin) _wsluice_address 'unix: 127.0.0.1:'; return ;;\n"
    "        --interval) return ;;\n"
    "    esac\n"
    "    if [[ $cur == -* ]]; then\n"
    "        _wsluice_offer '--admin --json --interval --help'\n"
    "        return\n"
    "    fi\n"
    "    case $order in\n";

static const char main_begin[] =
    "_wsluice()\n"
    "{\n"
    "    local words starts cur prev i n\n"
    "    COMPREPLY=()\n"
    "    _wsluice_words\n"
    "    n=$((${#words[@]} - 1))\n"
    "    cur=${words[n]} prev=${words[n-1]}\n"
    "    if [[ $n -gt 1 && ${words[1]} == ctl ]]; then\n"
    "        _wsluice_ctl\n"
    "        return\n"
    "    fi\n"
    "    if [[ $n -gt 1 && ${words[1]} == passwd ]]; then\n"
    "        [[ $n == 2 ]] && mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "        return\n"
    "    fi\n"
    "    if [[ $n -gt 1 && ${words[1]} == example ]]; then\n"
    "        [[ $n == 2 ]] && _wsluice_offer '";

static const char main_middle[] = "'\n"
                                  "        return\n"
                                  "    fi\n"
                                  "    # behind COMMAND or -- it is that command's turn\n"
                                  "    for ((i = 1; i < n; i++)); do\n"
                                  "        case ${words[i]} in\n"
                                  "            --) ((i++)); break ;;\n"
                                  "            ";

static const char main_end[] = ") ((i++)) ;;\n"
                               "            -*) ;;\n"
                               "            *) break ;;\n"
                               "        esac\n"
                               "    done\n"
                               "    if ((i < n)) || [[ $prev == -- ]]; then\n"
                               "        if declare -F _command_offset >/dev/null; then\n"
                               "            _command_offset \"${starts[i]}\"\n"
                               "        elif ((i < n)); then\n"
                               "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                               "        else\n"
                               "            mapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
                               "        fi\n"
                               "        return\n"
                               "    fi\n"
                               "    if [[ $cur == --*=* ]]; then\n"
                               "        prev=${cur%%=*} cur=${cur#*=}\n"
                               "    fi\n"
                               "    _wsluice_value \"$prev\" && return\n"
                               "    if [[ $cur == -* ]]; then\n"
                               "        mapfile -t COMPREPLY < <(compgen -W '";

static const char end[] = "' -- \"$cur\")\n"
                          "    else\n"
                          "        mapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
                          "        [[ $n == 1 ]] && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < "
                          "<(compgen -W 'ctl example passwd' "
                          "-- \"$cur\")\n"
                          "    fi\n"
                          "    return 0\n"
                          "}\n"
                          "\n"
                          "complete -o filenames -F _wsluice wsluice\n";

/* "-l|--listen" */
static void pattern(const struct option_row *row, FILE *out)
{
    if (row->letter != 0)
        fprintf(out, "-%c|", row->letter);
    fprintf(out, "--%s", row->name);
}

static void value_case(const struct option_row *row, FILE *out)
{
    static const char *const compgen[] = {
        [OFFER_NOTHING] = NULL,   [OFFER_FILES] = "-f",     [OFFER_FOLDERS] = "-d",
        [OFFER_WORDS] = NULL,     [OFFER_ADDRESSES] = NULL, [OFFER_USERS] = "-u",
        [OFFER_VARIABLES] = "-v", [OFFER_COMMANDS] = "-c",  [OFFER_SESSIONS] = NULL,
        [OFFER_BANS] = NULL,
    };
    enum offer offer = completion_offer(row);

    fputs("        ", out);
    pattern(row, out);
    fputs(") ", out);
    if (compgen[offer] != NULL)
        fprintf(out, "mapfile -t COMPREPLY < <(compgen %s -- \"$cur\") ", compgen[offer]);
    if (offer == OFFER_WORDS || offer == OFFER_ADDRESSES) {
        /* of a route the address is behind its path */
        if (row->place == IN_COMMAND_LINE && row->letter == 'r')
            fputs("[[ $cur == *=* ]] && cur=${cur#*=} && ", out);
        fputs(offer == OFFER_WORDS ? "_wsluice_offer '" : "_wsluice_address '", out);
        completion_print_words(row, out);
        fputs("' ", out);
    }
    fputs(";;\n", out);
}

static void print_values(FILE *out)
{
    fputs("_wsluice_value()\n{\n    case $1 in\n", out);
    for (size_t i = 0; i < option_rows_count; i++) {
        if (completion_takes_value(&option_rows[i]))
            value_case(&option_rows[i], out);
    }
    fputs("        *) return 1 ;;\n    esac\n    return 0\n}\n\n", out);
}

/* All options that take a value. */
static void print_patterns(FILE *out)
{
    const char *between = "";

    for (size_t i = 0; i < option_rows_count; i++) {
        if (!completion_takes_value(&option_rows[i]))
            continue;
        fputs(between, out);
        pattern(&option_rows[i], out);
        between = "|";
    }
}

static void bash_print_ctl(FILE *out)
{
    struct ctl_order order;
    const char *words;

    fputs(ctl_begin, out);
    fputs("        '') _wsluice_offer '", out);
    for (size_t i = 0; ctl_order_at(i, &order); i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", order.name);
    fputs("' ;;\n", out);
    for (size_t i = 0; ctl_order_at(i, &order); i++) {
        enum offer offer = completion_order(&order, &words);

        if (offer == OFFER_WORDS)
            fprintf(out, "        %s) _wsluice_offer '%s' ;;\n", order.name, words);
        else if (offer == OFFER_SESSIONS)
            fprintf(out, "        %s) _wsluice_offer \"$(_wsluice_ask sessions | %s)\" ;;\n",
                    order.name, COMPLETION_SESSIONS);
        else if (offer == OFFER_BANS)
            fprintf(out, "        %s) _wsluice_offer \"$(_wsluice_ask bans | %s)\" ;;\n",
                    order.name, COMPLETION_BANS);
    }
    fputs("    esac\n    return 0\n}\n\n", out);
}

void completion_print_bash(FILE *out)
{
    fputs(functions, out);
    print_values(out);
    bash_print_ctl(out);
    fputs(main_begin, out);
    completion_print_examples(out);
    fputs(main_middle, out);
    print_patterns(out);
    fputs(main_end, out);
    for (size_t i = 0; i < option_rows_count; i++)
        fprintf(out, "%s--%s", i > 0 ? " " : "", option_rows[i].name);
    fputs(end, out);
}
