/* SPDX-License-Identifier: MIT */
#include "completion.h"

#include <string.h>

#include "conf/options.h"

/* What can be offered for the value of an option. */
enum offer { OFFER_NOTHING, OFFER_FILES, OFFER_FOLDERS, OFFER_CHOICES };

static enum offer offer_of(const struct option_row *row)
{
    if (row->choices != NULL)
        return OFFER_CHOICES;
    if (row->value != NULL && strcmp(row->value, "FILE") == 0)
        return OFFER_FILES;
    if (row->value != NULL && strcmp(row->value, "DIR") == 0)
        return OFFER_FOLDERS;
    return OFFER_NOTHING;
}

static bool takes_value(const struct option_row *row)
{
    return row->type != OPTION_FLAG;
}

static bool repeats(const struct option_row *row)
{
    return row->type == OPTION_REPEAT || row->type == OPTION_LIST || row->type == OPTION_PAIRS;
}

static void print_choices(const struct option_row *row, FILE *out)
{
    for (size_t i = 0; row->choices[i] != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", row->choices[i]);
}

/* Text inside '...' of a shell. quote: how that shell writes a quote there; special: bytes that it
 * wants a backslash before. */
static void print_quoted(const char *text, const char *quote, const char *special, FILE *out)
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

/* ---- bash ---- */

/* "-l|--listen" */
static void bash_pattern(const struct option_row *row, FILE *out)
{
    if (row->letter != 0)
        fprintf(out, "-%c|", row->letter);
    fprintf(out, "--%s", row->name);
}

static void bash_values(FILE *out)
{
    static const char *const how[] = {
        [OFFER_NOTHING] = "",
        [OFFER_FILES] = "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ",
        [OFFER_FOLDERS] = "mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ",
    };

    for (size_t i = 0; i < option_rows_count; i++) {
        const struct option_row *row = &option_rows[i];

        if (!takes_value(row))
            continue;
        fputs("        ", out);
        bash_pattern(row, out);
        fputs(") ", out);
        if (offer_of(row) == OFFER_CHOICES) {
            fputs("mapfile -t COMPREPLY < <(compgen -W '", out);
            print_choices(row, out);
            fputs("' -- \"$cur\") ", out);
        } else {
            fputs(how[offer_of(row)], out);
        }
        fputs(";;\n", out);
    }
}

/* All options that take a value. */
static void bash_patterns(FILE *out)
{
    const char *between = "";

    for (size_t i = 0; i < option_rows_count; i++) {
        if (!takes_value(&option_rows[i]))
            continue;
        fputs(between, out);
        bash_pattern(&option_rows[i], out);
        between = "|";
    }
}

static void print_bash(FILE *out)
{
    fputs("_wsluice_value()\n"
          "{\n"
          "    case $1 in\n",
          out);
    bash_values(out);
    fputs("        *) return 1 ;;\n"
          "    esac\n"
          "}\n"
          "\n"
          "_wsluice()\n"
          "{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i\n"
          "    COMPREPLY=()\n"
          "    # behind COMMAND or -- it is that command's turn\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in\n"
          "            --) ((i++)); break ;;\n"
          "            ",
          out);
    bash_patterns(out);
    fputs(")\n"
          "                [[ ${COMP_WORDS[i+1]} == = ]] && ((i++))\n"
          "                ((i++)) ;;\n"
          "            -*) ;;\n"
          "            *) break ;;\n"
          "        esac\n"
          "    done\n"
          "    if ((i < COMP_CWORD)) || [[ $prev == -- ]]; then\n"
          "        if declare -F _command_offset >/dev/null; then\n"
          "            _command_offset \"$i\"\n"
          "        elif ((i < COMP_CWORD)); then\n"
          "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
          "        else\n"
          "            mapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
          "        fi\n"
          "        return\n"
          "    fi\n"
          "    # bash takes --name=value apart\n"
          "    if [[ $cur == = ]]; then\n"
          "        cur=\n"
          "    elif [[ $prev == = ]]; then\n"
          "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
          "    fi\n"
          "    _wsluice_value \"$prev\" && return\n"
          "    if [[ $cur == -* ]]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W '",
          out);
    for (size_t i = 0; i < option_rows_count; i++)
        fprintf(out, "%s--%s", i > 0 ? " " : "", option_rows[i].name);
    fputs("' -- \"$cur\")\n"
          "    else\n"
          "        mapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
          "    fi\n"
          "}\n"
          "\n"
          "complete -o filenames -F _wsluice wsluice\n",
          out);
}

/* ---- zsh ---- */

static void zsh_row(const struct option_row *row, FILE *out)
{
    bool value = takes_value(row);

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
    print_quoted(row->help, "'\\''", "[]", out);
    fputs("]", out);
    if (value) {
        fputs(":", out);
        print_quoted(row->value, "'\\''", ":[]", out);
        fputs(":", out);
        if (offer_of(row) == OFFER_CHOICES) {
            fputs("(", out);
            print_choices(row, out);
            fputs(")", out);
        } else if (offer_of(row) == OFFER_FILES) {
            fputs("_files", out);
        } else if (offer_of(row) == OFFER_FOLDERS) {
            fputs("_files -/", out);
        }
    }
    fputs("' \\\n", out);
}

static void print_zsh(FILE *out)
{
    fputs("#compdef wsluice\n\n_arguments -s -S \\\n", out);
    for (size_t i = 0; i < option_rows_count; i++)
        zsh_row(&option_rows[i], out);
    fputs("  '(-):command: _command_names -e' '*::arguments: _normal'\n", out);
}

/* ---- fish ---- */

static void print_fish(FILE *out)
{
    for (size_t i = 0; i < option_rows_count; i++) {
        const struct option_row *row = &option_rows[i];

        fputs("complete -c wsluice", out);
        if (row->letter != 0)
            fprintf(out, " -s %c", row->letter);
        fprintf(out, " -l %s", row->name);
        if (offer_of(row) == OFFER_CHOICES) {
            fputs(" -x -a '", out);
            print_choices(row, out);
            fputs("'", out);
        } else if (offer_of(row) == OFFER_FILES) {
            fputs(" -r -F", out);
        } else if (offer_of(row) == OFFER_FOLDERS) {
            fputs(" -x -a '(__fish_complete_directories)'", out);
        } else {
            fputs(takes_value(row) ? " -x" : "", out);
        }
        fputs(" -d '", out);
        print_quoted(row->help, "\\'", "\\", out);
        fputs("'\n", out);
    }
}

void completion_print(enum completion_shell shell, FILE *out)
{
    if (shell == COMPLETION_NONE)
        return;
    if (shell == COMPLETION_ZSH) /* its first line must be #compdef */
        print_zsh(out);
    else
        fprintf(out, "# completion of wsluice: %s\n", shell == COMPLETION_BASH ? "bash" : "fish");
    if (shell == COMPLETION_BASH)
        print_bash(out);
    else if (shell == COMPLETION_FISH)
        print_fish(out);
}
