/* SPDX-License-Identifier: MIT */
#include "cli/example.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/options.h"

/* clang-format off */
#define EXAMPLES(X) \
    X(program, "a program for each visitor, on pipes") \
    X(shell, "a shell in a page, on a terminal, with a password") \
    X(vnc, "a desktop in a page: noVNC and a VNC server") \
    X(mqtt, "an MQTT broker for pages") \
    X(redis, "Redis, one command a message") \
    X(irc, "an IRC server for web clients") \
    X(log, "log files as they grow, the name from the address") \
    X(lsp, "language servers for an editor in a page") \
    X(mcp, "an MCP server that talks on standard input and output") \
    X(udp, "a game server that talks UDP") \
    X(echo, "an echo, to try a link") \
    X(tls, "wss:// and https:// with certbot's certificate") \
    X(proxy, "behind nginx, Apache, Caddy or HAProxy")

/* Each text, from its file to two symbols of the linker. */
#define EMBED(name, help) \
    __asm__(".pushsection .rodata\n" \
            ".hidden example_" #name "\n" \
            ".hidden example_" #name "_end\n" \
            ".global example_" #name "\n" \
            ".global example_" #name "_end\n" \
            "example_" #name ":\n" \
            ".incbin \"contrib/examples/" #name ".yaml\"\n" \
            "example_" #name "_end:\n" \
            ".popsection\n"); \
    extern const char example_##name[], example_##name##_end[];
EXAMPLES(EMBED)

#define ROW(name, help) {#name, help, example_##name, example_##name##_end},
static const struct example {
    const char *name, *help, *text, *end;
} examples[] = {EXAMPLES(ROW)};
/* clang-format on */

#define COUNT (sizeof examples / sizeof examples[0])

const char *example_name(unsigned n)
{
    return n < COUNT ? examples[n].name : NULL;
}

/* Without its first line, which is for the sources. */
static void print_example(const struct example *e)
{
    const char *line = memchr(e->text, '\n', (size_t)(e->end - e->text));
    const char *begin = line != NULL ? line + 1 : e->text;

    fwrite(begin, 1, (size_t)(e->end - begin), stdout);
}

static void example_print_list(FILE *out)
{
    fputs("usage: wsluice example NAME > wsluice.yaml, then wsluice -c wsluice.yaml\n\n", out);
    for (size_t i = 0; i < COUNT; i++)
        fprintf(out, "  %-9s %s\n", examples[i].name, examples[i].help);
}

static int example_written(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "wsluice example: cannot write to standard output: %s\n", strerror(errno));
    return 1;
}

static int example_unknown(const char *name)
{
    struct option_guess guess = {.name = slice_from(name)};

    for (size_t i = 0; i < COUNT; i++)
        option_guess_add(&guess, examples[i].name);
    if (guess.best != NULL)
        fprintf(stderr, "wsluice example: no example %.60s; did you mean %s?\n", name, guess.best);
    else
        fprintf(stderr, "wsluice example: no example %.60s; `wsluice example` lists them\n", name);
    return 2;
}

int example_run(int argc, char **argv)
{
    bool list = argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;

    if (argc > 2) {
        fputs("wsluice example: one name at a time\n", stderr);
        return 2;
    }
    if (list) {
        example_print_list(stdout);
        return example_written();
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (strcmp(argv[1], examples[i].name) != 0)
            continue;
        print_example(&examples[i]);
        return example_written();
    }
    return example_unknown(argv[1]);
}
