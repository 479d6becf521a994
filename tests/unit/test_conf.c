/* SPDX-License-Identifier: MIT */
/* Configuration files: every fault with its place, what a good one becomes, routing, round trips,
 * and that nothing of a configuration is left when it is gone (LeakSanitizer looks at the end). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/backends.h"
#include "conf/cli.h"
#include "conf/dump.h"
#include "conf/reload.h"
#include "conf/yaml.h"
#include "core/request.h"
#include "core/template.h"
#include "server/kinds.h"

static const struct conf_kinds kinds = {backends, framings};

/* ---- tools: a folder for files, and what comes of reading one ---- */

struct box {
    char folder[64];
    char path[128];
    struct config *config;
    struct command_line cli;
    struct faults faults;
    enum cli_result result;
};

static int set_up(void **state)
{
    struct box *b = calloc(1, sizeof *b);

    assert_non_null(b);
    strcpy(b->folder, "/tmp/wsluice-conf.XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    *state = b;
    return 0;
}

static void forget(struct box *b)
{
    if (b->config != NULL)
        config_release(b->config);
    b->config = NULL;
    faults_release(&b->faults);
}

static int tear_down(void **state)
{
    struct box *b = *state;
    char command[128];

    forget(b);
    snprintf(command, sizeof command, "rm -r %s", b->folder);
    assert_int_equal(system(command), 0);
    free(b);
    return 0;
}

/* Writes folder/name; its path stays until the next one. */
static const char *put_bytes(struct box *b, const char *name, const void *bytes, size_t n)
{
    FILE *f;

    snprintf(b->path, sizeof b->path, "%s/%s", b->folder, name);
    f = fopen(b->path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return b->path;
}

static const char *put(struct box *b, const char *name, const char *text)
{
    return put_bytes(b, name, text, strlen(text));
}

/* argv ends with NULL and stays until the next one. */
static void parse_with(struct box *b, char **argv, const struct conf_kinds *with)
{
    int argc = 0;

    while (argv[argc] != NULL)
        argc++;
    forget(b);
    b->config = config_new();
    assert_non_null(b->config);
    b->result = cli_parse(argc, argv, b->config, &b->cli, with, &b->faults);
    assert_int_equal(b->result == CLI_OK, b->faults.count == 0);
}

static char *text_of(const char *constant)
{
    char *p;

    memcpy(&p, &constant, sizeof p);
    return p;
}

#define parse(b, ...) parse_with(b, (char *[]){text_of("wsluice"), __VA_ARGS__, NULL}, &kinds)

static void load(struct box *b, const char *text)
{
    put(b, "main.yaml", text);
    parse(b, text_of("-c"), b->path);
}

/* A fault without the folder before the file's name. */
static const char *fault(const struct box *b, size_t i)
{
    const char *line = b->faults.lines[i];
    size_t n = strlen(b->folder);

    return strncmp(line, b->folder, n) == 0 ? line + n + 1 : line;
}

static void show(const struct box *b)
{
    for (size_t i = 0; i < b->faults.count && i < FAULTS_MAX; i++)
        print_message("    %s\n", fault(b, i));
}

static void load_good(struct box *b, const char *text)
{
    load(b, text);
    show(b);
    assert_int_equal(b->result, CLI_OK);
}

/* ---- faults ---- */

static const struct fault_case {
    const char *text;
    const char *faults[5]; /* without "main.yaml:" */
} fault_cases[] = {
    {"routes: [{static: /}]\npign: 5s\n", {"2:1: unknown key pign; did you mean ping?"}},
    {"routes: [{static: /}]\nwhatever: 5s\n",
     {"2:1: unknown key whatever; see wsluice --help-config"}},
    {"routes: [{static: /}]\npath: /x\n", {"2:1: path belongs to a route, not to the top level"}},
    {"routes: [{static: /}]\nto: x\n", {"2:1: to belongs to a route, not to the top level"}},
    {"routes: [{static: /, user: x}]\n",
     {"1:22: user belongs to the top level, not to a route; whose process a program is says "
      "run-as"}},
    {"routes: [{static: /, letsen: 1}]\n", {"1:22: unknown key letsen; see wsluice --help-config"}},
    {"routes: [{static: /}]\nping: 5x\n", {"2:7: ping: \"5x\" is not a time (100ms, 25s, 5m, 1h)"}},
    {"routes: [{static: /}]\npong-timeout: 0\n",
     {"2:15: pong-timeout: 0 is out of range (0.001 to 86400 s)"}},
    {"routes: [{static: /}]\nping:\n", {"2:6: ping: a value is missing (TIME)"}},
    {"routes: [{static: /}]\nping: [1, 2]\n",
     {"2:7: ping: one value is needed here, this is a list"}},
    {"routes: [{static: /}]\nmax-sessions: {a: 1}\n",
     {"2:15: max-sessions: one value is needed here, this is a map"}},
    {"routes: [{static: /}]\nmax-sessions: -1\n",
     {"2:15: max-sessions: \"-1\" is not a whole number"}},
    {"routes: [{exec: [cat], page: terminal}]\n",
     {"1:30: page: terminal: this page is for programs on a terminal (pty), with the subprotocol "
      "tty; there are: auto, console, off"}},
    {"routes: [{pty: [cat], page: terminal, subprotocol: binary}]\n",
     {"1:29: page: terminal: this page is for programs on a terminal (pty), with the subprotocol "
      "tty; there are: auto, console, off"}},
    {"routes: [{static: /}]\nconsole: maybe\n", {"2:10: console: \"maybe\" is neither on nor off"}},
    {"routes: [{static: /}]\nlog-level: loud\n",
     {"2:12: log-level: \"loud\" is not one of error, warn, info, debug"}},
    {"routes: [{static: /}]\nunix-mode: 0999\n",
     {"2:12: unix-mode: \"0999\" is not an octal mode such as 0660"}},
    {"routes: [{static: /}]\ncwd: \"\"\n", {"2:6: cwd: the value is empty"}},
    {"routes: [{static: /}]\nenv: [a, B=c]\n", {"2:7: env: \"a\": write NAME=VALUE"}},
    {"routes: [{static: /}]\nenv: {a=b: c}\n", {"2:7: env: \"a=b\" is no name for a variable"}},
    {"routes: [{static: /}]\norigin: [[a]]\n", {"2:10: origin: an item is a list, not a text"}},
    {"routes: [{static: /}, {path: /a, static: /}]\norigin: [any, example.org]\n", /* once */
     {"2:9: origin: \"example.org\": an origin has a scheme and a host, as https://example.org; or "
      "write any"}},
    {"routes: [{static: /, origin: https://example.org/}]\n",
     {"1:30: origin: \"https://example.org/\": an origin has no path, and a star only as "
      "https://*.example.org; or write any"}},
    {"routes: [{static: /, origin: [\"https://*.org\"]}]\n",
     {"1:30: origin: \"https://*.org\": a star stands for what is below a name of at least two "
      "labels, as https://*.example.org"}},
    {"routes: [{static: /, subprotocol: [a b]}]\n",
     {"1:35: subprotocol: \"a b\": this is no name of a subprotocol"}},
    {"routes: [{static: /}]\npass-env: HOME=/x\n",
     {"2:11: pass-env: \"HOME=/x\": a name only; values are for env"}},
    {"routes: [{static: /}]\norigin: [any, ~]\n",
     {"2:15: origin: an item is empty; write \"\" for an empty text"}},
    {"ping: 1\nping: 2\nroutes: [{static: /}]\n",
     {"2:1: the key ping stands twice, first in line 1"}},
    {"routes: [{static: &a /}]\n", {"1:19: anchors (&a) are not possible here"}},
    {"routes: [{static: /, cwd: *a}]\n", {"1:27: aliases (*a) are not possible here"}},
    {"routes: [{static: !!str /}]\n", {"1:19: tags (tag:yaml.org,2002:str) are not possible here"}},
    {"routes: [{static: /}]\n---\nping: 1\n", {"2:1: a second document begins here"}},
    {"? [a]\n: b\nroutes: [{static: /}]\n", {"1:3: a key must be a text"}},
    {"routes: [{static: \"a\\0b\"}]\n", {"1:19: a text cannot hold NUL"}},
    {"routes: [\n",
     {"2:1: not valid YAML: did not find expected node content, while parsing a "
      "flow node"}},
    {"routes:\n\t- to: x\n",
     {"2:1: not valid YAML: found character that cannot start any token, while scanning for the "
      "next token; lines are indented with blanks, not with tabs"}},
    {"a: b: c\n", {"1:5: not valid YAML: mapping values are not allowed in this context"}},
    {"ping: 1\n\xff\n", {"2:1: not valid YAML: invalid leading UTF-8 octet"}},
    {"[1]\n", {"1:1: the file must be a map of keys, this is a list; write routes: above it"}},
    {"", {" nothing is served; routes are needed"}},
    {"# only a comment\n", {" nothing is served; routes are needed"}},
    {"[[[[[[[[[[[[[[[[[[[[", {"1:17: nested too deeply, more than 16 levels"}},
    {"routes: 5\n", {"1:9: routes: an item is a map, this is one value"}},
    {"routes:\n", {"1:8: routes: a list is needed"}},
    {"routes: [{}]\n", {"1:10: a route needs one of exec, pty, token-file, to or static"}},
    {"routes: [{exec: [a], to: \"echo:\"}]\n",
     {"1:22: two backends for one route: exec and to; make two routes of it"}},
    {"routes: [{exec: a}]\n",
     {"1:17: exec: a list of words is needed here, this is one value; "
      "write exec: [\"a\"]"}},
    {"routes: [{exec: []}]\n", {"1:17: exec: a program is needed"}},
    {"routes: [{exec: [a, [b]]}]\n", {"1:21: exec: an item is a list, not a text"}},
    {"routes: [{to: tcp://x}]\n",
     {"1:15: to: tcp://x: the port is missing; write tcp://HOST:PORT"}},
    {"routes: [{to: tcp://127.0.0.1}]\n",
     {"1:15: to: tcp://127.0.0.1: the port is missing; write tcp://HOST:PORT"}},
    {"routes: [{to: ftp://x}]\n",
     {"1:15: to: ftp://x: unknown kind of address; write "
      "exec:PROGRAM ARG..., pty:PROGRAM ARG..., tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, "
      "token-file:PATH, udp://HOST:PORT or echo:"}},
    {"framing: lnes\nroutes: [{exec: [a]}]\n",
     {"1:10: framing: lnes: no such framing; there are: lines crlf stream text nul len32 len32le "
      "netstring lsp tagged datagram hub"}},
    {"routes: [{exec: [a], framing: x}]\n",
     {"1:31: framing: x: no such framing; there are: lines crlf stream text nul len32 len32le "
      "netstring "
      "lsp tagged datagram hub"}},
    {"routes: [{static: /, path: x}]\n", {"1:28: path: x: a path begins with /"}},
    {"routes: [{static: /, path: /a//b}]\n", {"1:28: path: /a//b: two slashes side by side"}},
    {"routes: [{static: /, path: /a?b}]\n",
     {"1:28: path: /a?b: a path has no ?, # or %, and is written without escapes"}},
    {"routes: [{static: /, path: /../b}]\n",
     {"1:28: path: /../b: no request has a segment . or .."}},
    {"routes: [{static: /, path: \"/a{b}\"}]\n",
     {"1:28: path: /a{b}: a capture is a whole segment: /{name:pattern}/"}},
    {"routes: [{static: /, path: \"/{b}\"}]\n",
     {"1:28: path: /{b}: {b}: a capture is {name:pattern}, its name of lower-case letters, digits "
      "and _"}},
    {"routes: [{static: /, path: \"/{a:x}/{a:y}\"}]\n",
     {"1:28: path: /{a:x}/{a:y}: two captures have the name a"}},
    {"routes: [{static: /, path: \"/{a:x)|(y}\"}]\n",
     {"1:28: path: /{a:x)|(y}: the pattern of {a:x)|(y}: unmatched )"}},
    {"routes: [{static: /, path: \"/{a:(.)\\\\1}\"}]\n",
     {"1:28: path: /{a:(.)\\1}: the pattern of {a:(.)\\1}: back references are not possible"}},
    {"routes: [{static: /, path: \"/{a:(b{9}){9}}\"}]\n",
     {"1:28: path: /{a:(b{9}){9}}: the pattern of {a:(b{9}){9}}: a count stands only behind a "
      "character or a set of characters"}},
    {"routes: [{static: /, path: \"/{a:b{1000}}\"}]\n",
     {"1:28: path: /{a:b{1000}}: the pattern of {a:b{1000}}: a count is at most 255"}},
    {"routes: [{path: \"/{a:x}\", exec: [cat, \"{b}\"]}]\n",
     {"1:33: exec: {b} names no capture of the path; for the text itself write {{b}}"}},
    {"routes: [{path: \"/{a:x}\", exec: [\"{a}\"]}]\n",
     {"1:33: exec: the program itself cannot come from a request"}},
    {"routes: [{static: /, host: \"a:80\"}]\n",
     {"1:28: host: a:80: a host is a name or an address without a port: example.org, or "
      "*.example.org for all below it"}},
    {"routes: [{static: /, host: \"a.*.b\"}]\n",
     {"1:28: host: a.*.b: a host is a name or an address without a port: example.org, or "
      "*.example.org for all below it"}},
    {"listen: [x]\nroutes: [{static: /}]\n", {"1:10: x: the port is missing; write x:8080"}},
    {"listen: [{name: x}]\nroutes: [{static: /}]\n", {"1:10: listen: an address is needed"}},
    {"listen: [{address: 1, path: x}]\nroutes: [{static: /}]\n",
     {"1:23: path belongs to a route, not to an item of listen"}},
    {"listen: [0, \"127.0.0.1:0\", 0]\nroutes: [{static: /}]\n", {"1:28: 0: listed twice"}},
    {"listen: [1, 2, 1]\nroutes: [{static: /}]\n", {"1:16: 1: listed twice"}},
    {"listen: [0, {address: 1, tls: {cert: x}}]\nroutes: [{static: /}]\n",
     {"1:31: tls: both cert and key are needed"}},
    {"include: gone.yaml\nroutes: [{static: /}]\n", {"1:10: include: gone.yaml: no such file"}},
    {"include: main.yaml\nroutes: [{static: /}]\n",
     {"1:10: include: @/main.yaml: this file was read already"}},
    {"include: [.]\nroutes: [{static: /}]\n", {"1:11: include: @/.: not a regular file"}},
    {"include: [{a: b}]\nroutes: [{static: /}]\n",
     {"1:11: include: an item is a file's name or a pattern"}},
    /* all of them at once, and none that only follows from another */
    {"pign: 1\nping: x\nroutes:\n  - path: /{a:[}\n    exec: [cat, \"{a}\"]\n  - {path: /b}\n",
     {"1:1: unknown key pign; did you mean ping?",
      "2:7: ping: \"x\" is not a time (100ms, 25s, 5m, 1h)",
      "4:11: path: /{a:[}: the pattern of {a:[}: Unmatched [, [^, [:, [., or [=",
      "6:5: a route needs one of exec, pty, token-file, to or static"}},
    {"routes:\n  - {path: /a/, static: /}\n  - {path: /b, static: /}\n  - {path: /a, static: /}\n",
     {"4:12: path: /a: the route at @/main.yaml:2:5 has this path already"}},
};

/* '@' in what is expected stands for the folder. */
static bool same_line(const struct box *b, const char *line, const char *expected)
{
    const char *at = strchr(expected, '@');
    size_t n = at != NULL ? (size_t)(at - expected) : strlen(expected);
    size_t folder = strlen(b->folder);

    if (at == NULL)
        return strcmp(line, expected) == 0;
    return strncmp(line, expected, n) == 0 && strncmp(line + n, b->folder, folder) == 0 &&
           strcmp(line + n + folder, at + 1) == 0;
}

/* Tells each fault that is not as expected; returns how many. */
static size_t check_case(struct box *b, const struct fault_case *c)
{
    size_t n = 0, wrong = 0;

    load(b, c->text);
    assert_int_equal(b->result, CLI_BAD_FILE);
    while (n < 5 && c->faults[n] != NULL)
        n++;
    for (size_t i = 0; i < n || i < b->faults.count; i++) {
        const char *line = i < b->faults.count ? fault(b, i) : "(nothing)";
        const char *expected = i < n ? c->faults[i] : "(nothing)";

        if (strncmp(line, "main.yaml:", 10) == 0 && same_line(b, line + 10, expected))
            continue;
        wrong++;
        print_error("in\n%sfault %zu is\n  %s\nand not\n  main.yaml:%s\n", c->text, i, line,
                    expected);
    }
    return wrong;
}

static void test_faults(void **state)
{
    size_t wrong = 0;

    for (size_t i = 0; i < sizeof fault_cases / sizeof fault_cases[0]; i++)
        wrong += check_case(*state, &fault_cases[i]);
    assert_int_equal(wrong, 0);
}

static void test_faults_are_capped(void **state)
{
    struct box *b = *state;
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    for (int i = 0; i < 200; i++)
        fprintf(f, "k%d: 1\n", i);
    fclose(f);
    load(b, text);
    assert_int_equal(b->faults.count, 200);
    assert_non_null(b->faults.lines[FAULTS_MAX - 1]);
    free(text);
    f = open_memstream(&text, &n);
    faults_print(&b->faults, f, "> ");
    fclose(f);
    assert_non_null(strstr(text, "\n> 150 further faults\n"));
    free(text);
}

static void test_fault_is_one_line(void **state)
{
    struct box *b = *state;

    load(b, "\"a\\nb\\x1b\": 1\n");
    assert_string_equal(fault(b, 0), "main.yaml:1:1: unknown key a?b?; see wsluice --help-config");
}

static void test_limits(void **state)
{
    struct box *b = *state;
    char *big = malloc(YAML_FILE_MAX + 1);

    assert_non_null(big);
    memset(big, '#', YAML_FILE_MAX + 1);
    put_bytes(b, "big.yaml", big, YAML_FILE_MAX + 1);
    parse(b, text_of("-c"), b->path);
    assert_string_equal(fault(b, 0), "big.yaml: larger than 1 MiB");
    /* as many parts as fit: refused early, not in an hour */
    big[0] = '[';
    for (size_t i = 1; i < YAML_FILE_MAX; i++)
        big[i] = i % 2 ? '1' : ',';
    put_bytes(b, "big.yaml", big, YAML_FILE_MAX);
    parse(b, text_of("-c"), b->path);
    assert_non_null(strstr(fault(b, 0), "the file has too many parts"));
    for (size_t i = 0; i < YAML_FILE_MAX - 8; i += 8)
        snprintf(big + i, 9, "%06zu:\n", i / 8);
    put_bytes(b, "big.yaml", big, YAML_FILE_MAX - 8);
    parse(b, text_of("-c"), b->path);
    assert_non_null(strstr(fault(b, 0), "the map has too many keys"));
    free(big);
}

static void test_files_that_cannot_be_read(void **state)
{
    struct box *b = *state;
    char path[128];

    snprintf(path, sizeof path, "%s/none.yaml", b->folder);
    parse(b, text_of("--config"), path);
    assert_string_equal(fault(b, 0), "none.yaml: No such file or directory");
    parse(b, text_of("--config"), b->folder);
    assert_non_null(strstr(fault(b, 0), "not a regular file"));
    assert_int_equal(mkfifo(path, 0600), 0);
    parse(b, text_of("--config"), path); /* and does not wait */
    assert_string_equal(fault(b, 0), "none.yaml: not a regular file");
}

/* ---- what a good one becomes ---- */

static void test_values(void **state)
{
    struct box *b = *state;
    const struct config *c;

    load_good(b, "listen:\n  - unix:/run/x\n  - {address: \"[::1]:0\", name: six, mode: 0600, "
                 "reuse-port: on}\n"
                 "unix-mode: 0640\nping: 100ms\norigin: \"a://a, b://b\"\npass-env: [\"x,y\"]\n"
                 "env: {A: 1, B: \"\"}\nmax-message: 64KiB\nadmin: 9000\n"
                 "routes:\n"
                 "  - {path: /a/, to: \"echo:\", ping: 2m, env: [C=3]}\n"
                 "  - {path: \"/b/{n:[a-z]{1,4}}\", exec: [cat, \"-{n}\"], host: A.example}\n");
    c = b->config;
    assert_int_equal(c->listen_count, 2);
    assert_string_equal(c->listen[0].unix_path, "/run/x");
    assert_int_equal(c->listen[0].unix_mode, 0640);
    assert_false(c->listen[0].reuse_port);
    assert_string_equal(c->listen[1].name, "six");
    assert_int_equal(c->listen[1].unix_mode, 0600);
    assert_true(c->listen[1].reuse_port);
    assert_true(slice_is(c->listen[1].host, "::1"));
    assert_string_equal(c->admin, "9000");
    assert_int_equal(c->settings.origins.count, 2);
    assert_string_equal(c->settings.pass_env.items[0], "x,y");
    assert_int_equal(c->settings.max_message, 65536);
    assert_int_equal(c->route_count, 2);
    assert_string_equal(c->routes[0].path, "/a");
    assert_float_equal(c->routes[0].settings.ping, 120, 0);
    assert_int_equal(c->routes[0].settings.env.count, 1);
    assert_float_equal(c->routes[1].settings.ping, 0.1, 0);
    assert_string_equal(c->routes[1].settings.env.items[0], "A=1");
    assert_string_equal(c->routes[1].settings.env.items[1], "B=");
    assert_string_equal(c->routes[1].host, "a.example");
    assert_string_equal(c->routes[1].target.argv[1], "-{n}");
    assert_true(c->routes[1].target.templated);
    assert_ptr_equal(c->routes[1].config, c);
    assert_string_equal(c->routes[1].framing->name, "lines");
}

static void test_json(void **state)
{
    struct box *b = *state;

    load_good(b, "{\n\t\"ping\": \"5s\",\n\t\"console\": true,\n\t\"routes\": [\n\t\t{\"path\": "
                 "\"\\/a\", \"exec\": [\"cat\"]}\n\t]\n}\n");
    assert_float_equal(b->config->settings.ping, 5, 0);
    assert_true(b->config->settings.console);
    assert_string_equal(b->config->routes[0].path, "/a");
}

static void test_include(void **state)
{
    struct box *b = *state;
    char folder[128];

    snprintf(folder, sizeof folder, "%s/[x]", b->folder); /* no magic in the folder's own name */
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(folder, sizeof folder, "%s/[x]/d", b->folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    put(b, "[x]/d/20.yaml", "routes: [{path: /20, static: /}]\n");
    put(b, "[x]/d/10.yaml",
        "listen: 0\nping: 7s\nroutes: [{path: /10, static: /}]\n"
        "include: ../more/*.yaml\n");
    put(b, "[x]/d/ignored.txt", "]");
    put(b, "[x]/main.yaml",
        "listen: [1]\ninclude: [d/*.yaml, none/*.yaml]\n"
        "routes: [{path: /m, static: /}]\n");
    parse(b, text_of("-c"), b->path);
    show(b);
    assert_int_equal(b->result, CLI_OK);
    assert_int_equal(b->config->listen_count, 2);
    assert_int_equal(b->config->route_count, 3);
    assert_string_equal(b->config->routes[0].path, "/10");
    assert_string_equal(b->config->routes[1].path, "/20");
    assert_string_equal(b->config->routes[2].path, "/m");
    assert_float_equal(b->config->routes[2].settings.ping, 7, 0);

    put(b, "[x]/d/20.yaml", "ping: 8s\n");
    put(b, "[x]/d/30.yaml", "include: 10.yaml\n");
    snprintf(b->path, sizeof b->path, "%s/[x]/main.yaml", b->folder);
    parse(b, text_of("-c"), b->path);
    show(b);
    assert_int_equal(b->faults.count, 2);
    assert_true(same_line(b, fault(b, 0),
                          "[x]/d/20.yaml:1:1: ping is set already at "
                          "@/[x]/d/10.yaml:2:7"));
    assert_non_null(strstr(fault(b, 1), "10.yaml: this file was read already"));
}

static void test_include_depth(void **state)
{
    struct box *b = *state;
    char name[16], text[64];

    for (int i = 6; i > 0; i--) {
        snprintf(name, sizeof name, "%d.yaml", i);
        snprintf(text, sizeof text, "include: %d.yaml\n", i + 1);
        put(b, name, i < 6 ? text : "");
    }
    load(b, "include: 2.yaml\nroutes: [{static: /}]\n");
    show(b);
    assert_int_equal(b->faults.count, 1);
    assert_non_null(strstr(fault(b, 0), "5.yaml:1:10: include: "));
    assert_non_null(strstr(fault(b, 0), "6.yaml: included more than 4 files deep"));
}

static void test_command_line_is_stronger(void **state)
{
    struct box *b = *state;

    put(b, "main.yaml",
        "listen: 1\nping: 9s\norigin: [a://a]\nlog-level: warn\n"
        "routes: [{static: /, ping: 3s}, {path: /b, static: /}]\n");
    parse(b, text_of("--ping=4s"), text_of("--origin=b://b"), text_of("-c"), b->path,
          text_of("-l2"));
    show(b);
    assert_int_equal(b->result, CLI_OK);
    assert_float_equal(b->config->routes[0].settings.ping, 3, 0);
    assert_float_equal(b->config->routes[1].settings.ping, 4, 0);
    assert_int_equal(b->config->settings.origins.count, 1);
    assert_string_equal(b->config->settings.origins.items[0], "b://b");
    assert_int_equal(b->config->log_level, LOG_WARN);
    assert_int_equal(b->config->listen_count, 1);
    assert_int_equal(b->config->listen[0].port, 2);

    put(b, "main.yaml", "ping: x\nroutes: [{static: /}]\n");
    parse(b, text_of("--ping=4s"), text_of("-c"), b->path);
    assert_int_equal(b->result, CLI_BAD_FILE); /* judged all the same */
}

static void test_usage(void **state)
{
    static const struct usage_case {
        const char *args[4], *fault;
    } cases[] = {
        {{"-c", "x", "--to", "echo:"}, "--to and --config: routes stand in the file"},
        {{"-c", "x", "cat"}, "a COMMAND and --config: routes stand in the file"},
        {{"-c", "x", "-r/=echo:"}, "--route and --config: routes stand in the file"},
        {{"--static=/", "-c", "x"}, "--static and --config: routes stand in the file"},
        {{"--pign", "3"}, "unknown option --pign; did you mean --ping?"},
        {{"--ping"}, "--ping: a value is missing (TIME)"},
        {{"--ping", "x"}, "--ping: \"x\" is not a time (100ms, 25s, 5m, 1h)"},
        {{"--env", "x", "cat"}, "--env: \"x\": write NAME=VALUE"},
        {{"-l1", "-l1", "cat"}, "--listen 1: given twice"},
        {{"-r", "/a", "cat"},
         "--route /a: no = in it; write /a=tcp://HOST:PORT, or '/a=exec:PROGRAM ARG...'"},
        {{"-r/a=echo:", "-r/a/=echo:"},
         "--route two backends for the path /a; give each its own path with --route PATH=ADDR"},
        {{"-r/a=exec:cat {b}"},
         "--route {b} names no capture of the path; for the text itself write {{b}}"},
        {{"--framing=x", "cat"},
         "--framing x: no such framing; there are: lines crlf stream text nul len32 len32le "
         "netstring "
         "lsp tagged datagram hub"},
    };
    struct box *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *argv[6] = {text_of("wsluice")};

        for (size_t k = 0; k < 4 && cases[i].args[k] != NULL; k++)
            argv[k + 1] = text_of(cases[i].args[k]);
        parse_with(b, argv, &kinds);
        assert_int_equal(b->result, CLI_USAGE);
        assert_int_equal(b->faults.count, 1);
        assert_string_equal(b->faults.lines[0], cases[i].fault);
    }
}

static void test_command_is_no_template(void **state)
{
    struct box *b = *state;

    parse(b, text_of("awk"), text_of("{print} {{x}} {"));
    assert_int_equal(b->result, CLI_OK);
    assert_string_equal(b->config->routes[0].target.argv[1], "{{print}} {{{x}}} {");
}

static void test_template(void **state)
{
    static const struct template_case {
        const char *text, *pieces; /* names in <> */
    } cases[] = {
        {"", ""},
        {"abc", "abc"},
        {"{a}", "<a>"},
        {"x{a_1}y", "x<a_1>y"},
        {"{{a}}", "{a}"},
        {"{A}{}{ a}", "{A}{}{ a}"},
        {"{{{a}}}", "{{a}}"},
        {"{a}{b}", "<a><b>"},
        {"{a", "{a"},
        {"{{a}", "{<a>"},
        {"{\"a\":1}", "{\"a\":1}"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *rest = cases[i].text;
        char out[64];
        size_t n = 0;
        struct slice piece;
        enum template_piece kind;

        while ((kind = template_next(&rest, &piece)) != TEMPLATE_END)
            n +=
                (size_t)snprintf(out + n, sizeof out - n, kind == TEMPLATE_NAME ? "<%.*s>" : "%.*s",
                                 (int)piece.len, piece.p);
        out[n] = '\0';
        assert_string_equal(out, cases[i].pieces);

        struct arena arena = {0};
        const char *quoted = template_quote(cases[i].text, &arena);
        for (n = 0; template_next(&quoted, &piece) == TEMPLATE_TEXT; n += piece.len)
            memcpy(out + n, piece.p, piece.len);
        out[n] = '\0';
        assert_string_equal(out, cases[i].text);
        arena_release(&arena);
    }
}

/* ---- a kind with rows of its own ---- */

static const char *fake_parse(struct target *t, const char *rest, struct arena *arena)
{
    (void)t;
    (void)rest;
    (void)arena;
    return NULL;
}

static const struct option_row fake_rows[] = {
    {.name = "fake",
     .type = OPTION_TEXT,
     .place = IN_TARGET,
     .offset = offsetof(struct target, host),
     .reload = RELOAD_NEW,
     .value = "NAME",
     .help = "a fake"},
    {.name = "fake-path",
     .type = OPTION_TEXT,
     .place = IN_TARGET,
     .offset = offsetof(struct target, unix_path),
     .reload = RELOAD_NEW,
     .value = "X",
     .help = "more of it"},
};
static const struct backend_ops backend_fake = {
    .name = "fake",
    .prefix = "fake:",
    .scheme_help = "fake:",
    .framing = &framing_stream,
    .rows = fake_rows,
    .rows_count = 2,
    .key = "fake",
    .parse = fake_parse,
};

static void test_kind_brings_its_rows(void **state)
{
    const struct backend_ops *const with_fake[] = {&backend_exec, &backend_fake, NULL};
    const struct conf_kinds more = {with_fake, framings};
    struct box *b = *state;
    char *argv[] = {text_of("wsluice"), text_of("-c"), b->path, NULL};

    put(b, "main.yaml", "routes: [{fake: x, fake-path: y}]\n");
    parse_with(b, argv, &more);
    show(b);
    assert_int_equal(b->result, CLI_OK);
    assert_ptr_equal(b->config->routes[0].backend, &backend_fake);
    assert_string_equal(b->config->routes[0].target.host, "x");
    assert_string_equal(b->config->routes[0].target.unix_path, "y");

    put(b, "main.yaml", "routes: [{exec: [cat], fake-path: y}, {path: /a}, {path: /b, fak: 1}]\n");
    parse_with(b, argv, &more);
    assert_string_equal(fault(b, 0),
                        "main.yaml:1:24: fake-path is for routes of the kind fake (fake:)");
    assert_string_equal(fault(b, 1),
                        "main.yaml:1:39: a route needs one of exec, fake, to or static");
    assert_string_equal(fault(b, 2), "main.yaml:1:62: unknown key fak; did you mean fake?");
    assert_int_equal(b->faults.count, 3);
}

/* ---- routing ---- */

static const char routes_text[] =
    "routes:\n"
    "  - {path: /, static: /, cwd: root}\n"
    "  - {path: /a, to: \"echo:\", cwd: a}\n"
    "  - {path: /a/b, to: \"echo:\", cwd: ab}\n"
    "  - {path: \"/log/{name:[a-z0-9-]+}\", exec: [cat, \"{name}\"], cwd: log}\n"
    "  - {path: /log/fixed, to: \"echo:\", cwd: fixed}\n"
    "  - {path: \"/two/{x:[0-9]+}/{y:(a|b)*c}\", exec: [cat, \"-{x}{y}\"], cwd: two}\n"
    "  - {path: /a, to: \"echo:\", match-subprotocol: mqtt, cwd: amqtt}\n"
    "  - {path: /, host: example.org, to: \"echo:\", cwd: exact}\n"
    "  - {path: /, host: \"*.example.org\", to: \"echo:\", cwd: below}\n"
    "  - {path: /, host: \"*.b.example.org\", to: \"echo:\", cwd: farbelow}\n"
    "  - {path: /files, host: \"*.example.org\", static: /, cwd: hostfiles}\n"
    "  - {path: /files/ws, host: \"*.example.org\", to: \"echo:\", cwd: hostws}\n"
    "  - {path: /, host: \"[::1]\", to: \"echo:\", cwd: six}\n";

static const struct route_case {
    const char *host, *path, *offers; /* offers: Sec-WebSocket-Protocol */
    const char *route, *files;        /* by their cwd; NULL: none */
    size_t prefix;
    const char *captures;
} route_cases[] = {
    {"x", "/", NULL, "root", "root", 0, ""},
    {"x", "/other/y", NULL, "root", "root", 0, ""},
    {"x", "/a", NULL, "a", "root", 2, ""},
    {"x", "/a/", NULL, "a", "root", 2, ""},
    {"x", "/ab", NULL, "root", "root", 0, ""},
    {"x", "/a/b/c", NULL, "ab", "root", 4, ""},
    {"x", "/a/bc", NULL, "a", "root", 2, ""},
    {"x", "/a", "mqtt", "amqtt", "root", 2, ""},
    {"x", "/a/x", "foo, mqtt", "amqtt", "root", 2, ""},
    {"x", "/a", "MQTT", "a", "root", 2, ""},
    {"x", "/log/fixed", NULL, "fixed", "root", 10, ""},
    {"x", "/log/fixed2/more", NULL, "log", "root", 11, "fixed2"},
    {"x", "/log/x-1", NULL, "log", "root", 8, "x-1"},
    {"x", "/log/-x", NULL, "root", "root", 0, ""}, /* would be an option of cat */
    {"x", "/log/X", NULL, "root", "root", 0, ""},
    {"x", "/log/x\n", NULL, "root", "root", 0, ""},
    {"x", "/log/", NULL, "root", "root", 0, ""},
    {"x", "/two/12/abc", NULL, "two", "root", 11, "12 abc"},
    {"x", "/two/12/abcd", NULL, "root", "root", 0, ""},
    {"x", "/two/1x/c", NULL, "root", "root", 0, ""},
    {"example.org", "/", NULL, "exact", NULL, 0, ""},
    {"EXAMPLE.org:8080", "/a", NULL, "exact", NULL, 0, ""},
    {"example.org.", "/a", NULL, "exact", NULL, 0, ""},
    {"a.example.org", "/", NULL, "below", NULL, 0, ""},
    {"b.example.org", "/", NULL, "below", NULL, 0, ""},
    {"a.b.example.org", "/", NULL, "farbelow", NULL, 0, ""},
    {"aexample.org", "/", NULL, "root", "root", 0, ""},
    {".example.org", "/", NULL, "root", "root", 0, ""},
    {"a.example.org", "/files/ws", NULL, "hostws", "hostfiles", 9, ""},
    {"a.example.org", "/files/x", NULL, "hostfiles", "hostfiles", 6, ""},
    {"[::1]:80", "/", NULL, "six", NULL, 0, ""},
};

static void find(const struct config *c, const struct route_case *t, struct request *r)
{
    static const char name[] = "Sec-WebSocket-Protocol";
    struct http_head *head = calloc(1, sizeof *head);
    char *path = strdup(t->path);

    assert_non_null(head);
    assert_non_null(path);
    memset(r, 0, sizeof *r);
    head->host = slice_from(t->host);
    if (t->offers != NULL)
        head->fields[head->count++] = (struct http_field){slice_from(name), slice_from(t->offers)};
    r->head = head;
    r->host = head->host;
    r->path = path;
    route_find(c, r, &r->match);
    r->head = NULL;
    free(head);
}

static const char *mark(const struct route *r)
{
    return r != NULL ? r->settings.cwd : "(none)";
}

static void check_route(const struct config *c, const struct route_case *t)
{
    struct request r;
    char captures[64] = "";

    find(c, t, &r);
    for (size_t i = 0; r.match.route != NULL && route_capture(r.match.route, i) != NULL; i++)
        snprintf(captures + strlen(captures), 32, "%s%.*s", i > 0 ? " " : "",
                 (int)r.match.captures[i].len, r.match.captures[i].p);
    if (strcmp(mark(r.match.route), t->route) != 0 ||
        strcmp(mark(r.match.files), t->files != NULL ? t->files : "(none)") != 0 ||
        r.match.prefix != t->prefix || strcmp(captures, t->captures) != 0)
        fail_msg("%s%s: %s, files %s, prefix %zu, captures %s", t->host, t->path,
                 mark(r.match.route), mark(r.match.files), r.match.prefix, captures);
    free(r.path);
}

static void test_routing(void **state)
{
    struct box *b = *state;

    load_good(b, routes_text);
    for (size_t i = 0; i < sizeof route_cases / sizeof route_cases[0]; i++)
        check_route(b->config, &route_cases[i]);
}

static void test_capture_is_bounded(void **state)
{
    struct box *b = *state;
    char path[200] = "/log/";
    struct route_case t = {"x", path, NULL, "log", "root", 5 + 128, NULL};
    char value[129];

    load_good(b, routes_text);
    memset(value, 'a', 128);
    value[128] = '\0';
    t.captures = "";
    strcat(path, value);
    struct request r;
    find(b->config, &t, &r);
    assert_string_equal(mark(r.match.route), "log");
    assert_int_equal(r.match.captures[0].len, 128);
    free(r.path);
    strcat(path, "a");
    find(b->config, &t, &r);
    assert_string_equal(mark(r.match.route), "root");
    free(r.path);
}

static void test_no_route(void **state)
{
    struct box *b = *state;
    const struct route_case t = {"x", "/", NULL, NULL, NULL, 0, ""};
    struct request r;

    load_good(b, "routes: [{path: /a, static: /}]\n");
    find(b->config, &t, &r);
    assert_null(r.match.route);
    assert_null(r.match.files);
    free(r.path);
}

/* ---- back to a file, and to nothing ---- */

static char *dump(const struct box *b)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    dump_config(b->config, &kinds, f);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void check_round_trip(struct box *b)
{
    char *first = dump(b), *second;

    load_good(b, first);
    second = dump(b);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static void test_dump_reads_back(void **state)
{
    struct box *b = *state;

    load_good(b, routes_text);
    check_round_trip(b);
    load_good(b,
              "listen: [{address: \"unix:/a \\\"b\", name: \"\\x01\", mode: 0600}, {address: 1, "
              "tls: [{cert: a, key: b}]}]\n"
              "ping: 1234.567891s\npartial-lines: 0.1\nmax-message: 12345678\nenv: {A: \"\xc3\xa4"
              "\\n\\\\\"}\norigin: [\"a://a,b\"]\nreuse-port: on\nadmin: 1\n"
              "routes: [{path: /a, exec: [a, \"\", \"{{x}} \"], ping: 3h, env: []}]\n");
    check_round_trip(b);
    assert_float_equal(b->config->settings.ping, 1234.567891, 0);
    assert_int_equal(b->config->routes[0].settings.env.count, 0);
    assert_string_equal(b->config->settings.env.items[0], "A=\xc3\xa4\n\\");
    parse(b, text_of("-l0"), text_of("--ping=3"), text_of("-r/a=tcp://h:1"), text_of("-r/x=echo:"),
          text_of("-r/{b:[=]}=exec:cat {b}"), text_of("--static=/"), text_of("awk"),
          text_of("{print}"));
    show(b);
    assert_int_equal(b->result, CLI_OK);
    check_round_trip(b);
}

/* ---- what a reload cannot change ---- */

static void tell_reload(void *arg, const char *line)
{
    strcat(arg, line);
    strcat(arg, "\n");
}

struct owned {
    char order[8];
    size_t n;
};

static void release_first(void *what)
{
    struct owned *o = what;

    o->order[o->n++] = '1';
}

static void release_second(void *what)
{
    struct owned *o = what;

    o->order[o->n++] = '2';
}

static void test_what_a_config_owns(void **state)
{
    struct config *c = config_new();
    struct owned o = {{0}, 0};
    (void)state;

    assert_non_null(c);
    assert_true(config_own(c, release_first, &o));
    assert_true(config_own(c, release_second, &o));
    config_release(config_retain(c));
    assert_string_equal(o.order, "");
    config_release(c);
    assert_string_equal(o.order, "21");
}

static void test_reload(void **state)
{
    struct box *b = *state;
    struct config kept = {0};
    char told[512] = "";

    load_good(b, "user: nobody\nreuse-port: on\nping: 1\nroutes: [{static: /}]\n");
    assert_true(reload_keep(&kept, b->config));
    reload_compare(&kept, b->config, tell_reload, told);
    load_good(b, "user: nobody\nreuse-port: on\nping: 2\nroutes: [{static: /b}]\n");
    reload_compare(&kept, b->config, tell_reload, told);
    assert_string_equal(told, "");
    load_good(b, "log-to: syslog\nno-new-privs: off\nroutes: [{static: /b}]\n");
    reload_compare(&kept, b->config, tell_reload, told);
    assert_string_equal(told, "user: the change needs a restart; it stays as it was\n"
                              "log-to: the change needs a restart; it stays as it was\n");
    arena_release(&kept.arena);
}

static void test_thousand_configs(void **state)
{
    struct box *b = *state;

    for (size_t i = 0; i < 1000; i++) {
        if (i % 2 == 0)
            load_good(b, routes_text);
        else
            load(b, fault_cases[i / 2 % (sizeof fault_cases / sizeof fault_cases[0])].text);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_faults),
        TEST(test_faults_are_capped),
        TEST(test_fault_is_one_line),
        TEST(test_limits),
        TEST(test_files_that_cannot_be_read),
        TEST(test_values),
        TEST(test_json),
        TEST(test_include),
        TEST(test_include_depth),
        TEST(test_command_line_is_stronger),
        TEST(test_usage),
        TEST(test_command_is_no_template),
        TEST(test_template),
        TEST(test_kind_brings_its_rows),
        TEST(test_routing),
        TEST(test_capture_is_bounded),
        TEST(test_no_route),
        TEST(test_dump_reads_back),
        TEST(test_what_a_config_owns),
        TEST(test_reload),
        TEST(test_thousand_configs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
