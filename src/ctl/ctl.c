/* SPDX-License-Identifier: MIT */
#include "ctl/ctl.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl_http.h"
#include "ctl/ctl_show.h"
#include "ctl/ctl_top.h"

#define DEFAULT_ADDRESS "unix:/run/wsluice/admin.sock"
#define TARGET_MAX 2048
#define WORD_MAX 256 /* of an argument that goes into a target */

enum { DONE = 0, FAILED = 1, USAGE = 2 };

struct ctl {
    const char *address;
    double interval;
    bool json; /* as it comes */
    int count; /* words behind the command */
    char **words;
};

struct command {
    const char *name;
    int min, max; /* words */
    int (*run)(const struct ctl *c);
    const char *usage, *help;
};

static int ctl_complain(const char *what)
{
    fprintf(stderr, "wsluice ctl: %s\n", what);
    return FAILED;
}

static int ctl_wrong(const char *what, const char *name)
{
    fprintf(stderr, "wsluice ctl: %s%s; try `wsluice ctl --help`\n", what, name);
    return USAGE;
}

/* ---- asking ---- */

/* Of the text from `line` on one line; what is behind it. */
static const char *show_line(FILE *f, const char *line)
{
    size_t n = strcspn(line, "\n");
    char *one = strndup(line, n);

    if (one != NULL)
        ctl_show_text(f, one, 0);
    free(one);
    fputc('\n', f);
    return line + n + (line[n] == '\n');
}

/* The server's own word on why it refuses: in JSON, or a line of text. */
static int ctl_refused(const struct ctl_answer *answer)
{
    json_t *value = json_loadb(answer->body, answer->length, 0, NULL);
    const char *why = json_string_value(json_object_get(value, "error"));

    if (why == NULL) {
        fprintf(stderr, "wsluice ctl: the server answers %d: ", answer->status);
        (void)show_line(stderr, answer->body);
    } else {
        fputs("wsluice ctl: ", stderr);
        do
            why = show_line(stderr, why);
        while (*why != '\0');
    }
    json_decref(value);
    return FAILED;
}

/* Asks and shows: raw with --json, else by `show` from its JSON, or the text itself. */
static int ctl_ask(const struct ctl *c, const char *method, const char *target,
                   int (*show)(const json_t *value))
{
    struct ctl_answer answer;
    char error[CTL_ERROR_MAX];
    int status = DONE;
    json_t *value;

    if (!ctl_http_ask(c->address, method, target, &answer, error)) {
        ctl_http_release(&answer);
        return ctl_complain(error);
    }
    value = json_loadb(answer.body, answer.length, JSON_REJECT_DUPLICATES, NULL);
    if (answer.status >= 300) {
        status = ctl_refused(&answer);
    } else if (show != NULL && value == NULL) {
        status = ctl_complain("the answer is not JSON");
    } else {
        if (show != NULL)
            status = c->json ? DONE : show(value);
        if (c->json || show == NULL) {
            fwrite(answer.body, 1, answer.length, stdout);
            if (answer.length == 0 || answer.body[answer.length - 1] != '\n')
                putchar('\n');
        }
    }
    json_decref(value);
    ctl_http_release(&answer);
    return status;
}

/* ---- commands ---- */

static int show_sessions(const json_t *value)
{
    ctl_show_sessions(stdout, value);
    return DONE;
}

static int show_object(const json_t *value)
{
    ctl_show_object(stdout, value);
    return DONE;
}

static int show_stats(const json_t *value)
{
    ctl_show_stats(stdout, value);
    return DONE;
}

static int show_kicked(const json_t *value)
{
    double n = ctl_show_number(value, "kicked");

    if (n < 1)
        return ctl_complain("no session is meant by that");
    printf("%.0f session%s ended\n", n, n < 2 ? "" : "s");
    return DONE;
}

static int show_message(const json_t *value)
{
    const char *message = ctl_show_string(value, "message");

    if (message[0] != '\0')
        ctl_show_text(stdout, message, 0);
    puts(message[0] != '\0' ? "" : "done");
    return DONE;
}

static int show_level(const json_t *value)
{
    puts(ctl_show_string(value, "level"));
    return DONE;
}

static int run_sessions(const struct ctl *c)
{
    return ctl_ask(c, "GET", "/sessions", show_sessions);
}

/* The word escaped behind the beginning of a target. False when it is too long. */
static bool make_target(char out[TARGET_MAX], const char *begin, const char *word)
{
    size_t n = strlen(begin);

    if (strlen(word) > WORD_MAX)
        return false;
    memcpy(out, begin, n);
    ctl_http_escape(out + n, word);
    return true;
}

static int run_show(const struct ctl *c)
{
    char target[TARGET_MAX];

    if (strspn(c->words[0], "0123456789") != strlen(c->words[0]) ||
        !make_target(target, "/sessions/", c->words[0]))
        return ctl_wrong("a session is shown by its ID, a number, see `sessions`: ", c->words[0]);
    return ctl_ask(c, "GET", target, show_object);
}

/* "token:-": the token is a line of standard input, where no list of processes shows it. NULL: it
 * is too long. */
static const char *read_token(const char *word, char line[WORD_MAX + 1])
{
    static const char from_input[] = "token:-", begin[] = "token:";

    if (strcmp(word, from_input) != 0)
        return word;
    memcpy(line, begin, sizeof begin);
    if (fgets(line + strlen(begin), WORD_MAX + 1 - (int)strlen(begin), stdin) == NULL)
        return begin;
    if (strlen(line) == WORD_MAX && line[WORD_MAX - 1] != '\n')
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

static int run_kick(const struct ctl *c)
{
    char target[TARGET_MAX], reason[TARGET_MAX] = "", line[WORD_MAX + 1];
    const char *whom = read_token(c->words[0], line);

    if (whom == NULL || !make_target(target, "/sessions/kick?what=", whom) ||
        (c->count > 1 && !make_target(reason, "&reason=", c->words[1])))
        return ctl_complain("too long");
    strcat(target, reason); /* each is at most 3 * WORD_MAX and its beginning */
    return ctl_ask(c, "POST", target, show_kicked);
}

static int show_done(const json_t *value)
{
    (void)value;
    puts("done");
    return DONE;
}

static int show_bans(const json_t *value)
{
    ctl_show_bans(stdout, value);
    return DONE;
}

static int run_ban(const struct ctl *c)
{
    char target[TARGET_MAX], time[TARGET_MAX] = "";

    if (!make_target(target, "/ban?what=", c->words[0]) ||
        (c->count > 1 && !make_target(time, "&time=", c->words[1])))
        return ctl_complain("too long");
    strcat(target, time); /* as in run_kick */
    return ctl_ask(c, "POST", target, show_done);
}

static int run_unban(const struct ctl *c)
{
    char target[TARGET_MAX];

    if (!make_target(target, "/unban?what=", c->words[0]))
        return ctl_complain("too long");
    return ctl_ask(c, "POST", target, show_done);
}

static int run_bans(const struct ctl *c)
{
    return ctl_ask(c, "GET", "/bans", show_bans);
}

static int run_stats(const struct ctl *c)
{
    return ctl_ask(c, "GET", "/stats", show_stats);
}

static int run_metrics(const struct ctl *c)
{
    return ctl_ask(c, "GET", "/metrics", NULL);
}

static int run_health(const struct ctl *c)
{
    return ctl_ask(c, "GET", "/healthz", NULL);
}

static int run_ready(const struct ctl *c)
{
    return ctl_ask(c, "GET", "/readyz", NULL);
}

static int run_reload(const struct ctl *c)
{
    return ctl_ask(c, "POST", "/reload", show_message);
}

static int run_drain(const struct ctl *c)
{
    return ctl_ask(c, "POST", "/drain", show_message);
}

static int run_level(const struct ctl *c)
{
    char target[TARGET_MAX];

    if (c->count == 0)
        return ctl_ask(c, "GET", "/log-level", show_level);
    if (!make_target(target, "/log-level?level=", c->words[0]))
        return ctl_complain("too long");
    return ctl_ask(c, "POST", target, show_level);
}

static int run_top(const struct ctl *c)
{
    return ctl_top_run(c->address, c->interval);
}

static const struct command commands[] = {
    {"sessions", 0, 0, run_sessions, "sessions", "all sessions, newest first"},
    {"show", 1, 1, run_show, "show ID", "all about one session"},
    {"kick", 1, 2, run_kick, "kick WHOM [REASON]",
     "end with Close 1008: ID, ID/CLIENT, ADDRESS, user:NAME, token:TOKEN"},
    {"ban", 1, 2, run_ban, "ban ADDRESS [TIME]", "turn it away, and end its sessions"},
    {"unban", 1, 1, run_unban, "unban ADDRESS", "let it in again"},
    {"bans", 0, 0, run_bans, "bans", "who is banned by order"},
    {"stats", 0, 0, run_stats, "stats", "figures of the server and its routes"},
    {"top", 0, 0, run_top, "top", "both, live; q ends"},
    {"metrics", 0, 0, run_metrics, "metrics", "what Prometheus would read"},
    {"reload", 0, 0, run_reload, "reload", "read the configuration again"},
    {"drain", 0, 0, run_drain, "drain", "take nothing new, end what there is, stop"},
    {"log-level", 0, 1, run_level, "log-level [LEVEL]", "show or set it: error, warn, info, debug"},
    {"health", 0, 0, run_health, "health", "exit 0 when the server answers"},
    {"ready", 0, 0, run_ready, "ready", "exit 0 when it takes new sessions"},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

bool ctl_order_at(size_t n, struct ctl_order *out)
{
    if (n >= COMMANDS)
        return false;
    *out = (struct ctl_order){commands[n].name, commands[n].usage, commands[n].help};
    return true;
}

/* ---- the command line ---- */

static void print_usage(FILE *f)
{
    fputs("usage: wsluice ctl [--admin ADDR] [--json] COMMAND\n\n", f);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-26s %s\n", commands[i].usage, commands[i].help);
    fputs("\n  --admin ADDR     the server's admin address: unix:PATH or HOST:PORT; default\n"
          "                   $WSLUICE_ADMIN, else " DEFAULT_ADDRESS "\n"
          "  --json           the server's answer as it is\n"
          "  --interval SEC   of top, default 2\n",
          f);
}

/* "--name value" or "--name=value" at argv[*i]; NULL: it is another option, or has no value. */
static const char *option_value(const char *name, int argc, char **argv, int *i)
{
    size_t n = strlen(name);

    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    return argv[*i][n] == '\0' && *i + 1 < argc ? argv[++*i] : NULL;
}

/* Takes the options out of argv. DONE, or USAGE; *help is set for --help. */
static int read_options(struct ctl *c, int argc, char **argv, bool *help)
{
    const char *value;
    char *end;

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || strcmp(argv[i], "-") == 0) {
            c->words[c->count++] = argv[i];
        } else if (strcmp(argv[i], "--json") == 0) {
            c->json = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *help = true;
        } else if ((value = option_value("--admin", argc, argv, &i)) != NULL) {
            c->address = value;
        } else if ((value = option_value("--interval", argc, argv, &i)) != NULL) {
            c->interval = strtod(value, &end);
            if (*end != '\0' || !(c->interval >= 0.1 && c->interval <= 3600))
                return ctl_wrong("--interval is seconds, 0.1 to 3600: ", value);
        } else {
            return ctl_wrong("unknown option, or its value is missing: ", argv[i]);
        }
    }
    return DONE;
}

static int run_command(struct ctl *c, const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct command *command = &commands[i];

        if (strcmp(command->name, name) != 0)
            continue;
        if (c->count < command->min || c->count > command->max)
            return ctl_wrong("usage: ", command->usage);
        int status = command->run(c);
        if (fflush(stdout) != 0 || ferror(stdout))
            return ctl_complain("cannot write the answer");
        return status;
    }
    return ctl_wrong("unknown command: ", name);
}

int ctl_run(int argc, char **argv)
{
    const char *address = getenv("WSLUICE_ADMIN");
    struct ctl c = {.address = DEFAULT_ADDRESS, .interval = 2};
    char **words = calloc((size_t)argc + 1, sizeof *words);
    bool help = false;
    int status;

    if (words == NULL)
        return ctl_complain("out of memory");
    if (address != NULL && address[0] != '\0')
        c.address = address;
    c.words = words;
    status = read_options(&c, argc, argv, &help);
    if (status == DONE && help) {
        print_usage(stdout);
    } else if (status == DONE && c.count == 0) {
        print_usage(stderr);
        status = USAGE;
    } else if (status == DONE) {
        c.words++;
        c.count--;
        status = run_command(&c, words[0]);
    }
    free(words);
    return status;
}
