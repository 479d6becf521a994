/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char help[] =
    "Usage: load --to HOST:PORT|unix:PATH [OPTION]...\n"
    "A load generator for WebSocket servers (and TCP ones) that checks every byte it gets back.\n"
    "\n"
    "  --mode M         echo (default), flood, storm, idle: see bench/README.md\n"
    "  --tcp            plain TCP: no handshake, no frames\n"
    "  --tls            over TLS 1.3; the certificate is not verified\n"
    "  --handshake      storm: TLS handshake, then close; counts as a message\n"
    "  --pad            with --tcp: as many bytes to the server as a masked frame takes\n"
    "  --path P         of the request (default /)\n"
    "  --subprotocol S  offered in the handshake\n"
    "  --conns N        connections (1); storm: at once\n"
    "  --size N         payload bytes of a message (64)\n"
    "  --depth N        messages in flight on each connection (1)\n"
    "  --kind K         ascii (default), json, utf8, binary\n"
    "  --text           text frames; else binary\n"
    "  --borders        each message received must be exactly one of those sent\n"
    "  --newline        messages end in a newline, part of the size\n"
    "  --expect STR     storm: what the server says first (default: send one message, get it "
    "back)\n"
    "  --seconds S      time (1)\n"
    "  --count N        end after so many messages (storm: connections); --seconds is the limit\n"
    "  --warmup S       seconds before the window (0)\n"
    "  --rate R         open loop: messages a second in all\n"
    "  --touch          idle: one echo on each connection first\n"
    "  --sources N      spread over the addresses 127.0.0.1 to 127.0.0.N\n"
    "  --sync           print {\"event\":\"start\"} before the window and wait for a line on\n"
    "                   stdin; {\"event\":\"end\"} behind it, and again\n"
    "  --help           this\n"
    "One JSON object on stdout. Exit status 1 when a byte was wrong, missing or too many.\n";

/* What an option's argument is. */
enum kind { FLAG, UNSIGNED, SIZE, COUNT, REAL, STRING, ADDRESS, MODE, KIND, HELP };

#define FIELD(name) offsetof(struct load_options, name)

static const struct row {
    const char *name;
    enum kind kind;
    size_t field; /* where the value goes */
    double min;
    double max;
} rows[] = {
    {"to", ADDRESS, 0, 0, 0},
    {"mode", MODE, FIELD(mode), 0, 0},
    {"tcp", FLAG, FIELD(tcp), 0, 0},
    {"tls", FLAG, FIELD(tls), 0, 0},
    {"handshake", FLAG, FIELD(handshake), 0, 0},
    {"pad", FLAG, FIELD(pad), 0, 0},
    {"path", STRING, FIELD(path), 0, 0},
    {"subprotocol", STRING, FIELD(subprotocol), 0, 0},
    {"conns", UNSIGNED, FIELD(conns), 1, 1e6},
    {"size", SIZE, FIELD(size), 1, 1 << 28},
    {"depth", UNSIGNED, FIELD(depth), 1, 1 << 16},
    {"kind", KIND, FIELD(kind), 0, 0},
    {"text", FLAG, FIELD(text), 0, 0},
    {"borders", FLAG, FIELD(borders), 0, 0},
    {"newline", FLAG, FIELD(newline), 0, 0},
    {"expect", STRING, FIELD(expect), 0, 0},
    {"seconds", REAL, FIELD(seconds), 0, 86400},
    {"count", COUNT, FIELD(count), 1, 1e15},
    {"warmup", REAL, FIELD(warmup), 0, 3600},
    {"rate", REAL, FIELD(rate), 0.01, 1e8},
    {"touch", FLAG, FIELD(touch), 0, 0},
    {"sources", UNSIGNED, FIELD(sources), 0, 250},
    {"sync", FLAG, FIELD(sync), 0, 0},
    {"help", HELP, 0, 0, 0},
};
#define ROWS (sizeof rows / sizeof *rows)

static _Noreturn void usage(const char *what, const char *value)
{
    fprintf(stderr, "load: %s `%s` (see load --help)\n", what, value);
    exit(2);
}

static double number(const char *s, double min, double max)
{
    char *end;
    double v = strtod(s, &end);

    if (end == s || *end != '\0' || !(v >= min && v <= max))
        usage("not a number in range:", s);
    return v;
}

static void address_unix(struct load_options *o, const char *path)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&o->addr;

    if (strlen(path) >= sizeof un->sun_path)
        usage("the path is too long:", path);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    o->addr_len = sizeof *un;
    o->host = "localhost";
}

static void address(struct load_options *o, const char *s)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    const char *colon = strrchr(s, ':');
    char host[64];

    if (strncmp(s, "unix:", 5) == 0) {
        address_unix(o, s + 5);
        return;
    }
    if (colon == NULL || (size_t)(colon - s) >= sizeof host)
        usage("not HOST:PORT or unix:PATH:", s);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - s), s); /* fits, see above */
    if (host[0] == '[') {
        host[strcspn(host, "]")] = '\0';
        memmove(host, host + 1, strlen(host));
    }
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        usage("not a numeric address and port:", s);
    memcpy(&o->addr, found->ai_addr, found->ai_addrlen);
    o->addr_len = found->ai_addrlen;
    o->host = s;
    freeaddrinfo(found);
}

static enum load_mode mode(const char *s)
{
    static const char *const names[] = {
        [LOAD_ECHO] = "echo", [LOAD_FLOOD] = "flood", [LOAD_STORM] = "storm", [LOAD_IDLE] = "idle"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], s) == 0)
            return (enum load_mode)i;
    }
    usage("no such mode:", s);
}

static void set_number(void *field, const struct row *row, const char *arg)
{
    double v = number(arg, row->min, row->max);

    if (row->kind == UNSIGNED)
        *(unsigned *)field = (unsigned)v;
    else if (row->kind == SIZE)
        *(size_t *)field = (size_t)v;
    else if (row->kind == COUNT)
        *(uint64_t *)field = (uint64_t)v;
    else
        *(double *)field = v;
}

static void set(struct load_options *o, const struct row *row, const char *arg)
{
    void *field = (char *)o + row->field;

    if (row->kind == FLAG) {
        *(bool *)field = true;
    } else if (row->kind == STRING) {
        *(const char **)field = arg;
    } else if (row->kind == ADDRESS) {
        address(o, arg);
    } else if (row->kind == MODE) {
        o->mode = mode(arg);
    } else if (row->kind == KIND) {
        o->kind = pattern_kind_of(arg);
    } else if (row->kind == HELP) {
        (void)fputs(help, stdout);
        exit(0);
    } else {
        set_number(field, row, arg);
    }
}

/* What does not go together. */
static void check(const struct load_options *o)
{
    if (o->addr_len == 0)
        usage("missing", "--to HOST:PORT");
    if (o->kind == PATTERN_KINDS)
        usage("no such", "--kind");
    if (o->text && o->kind == PATTERN_BINARY)
        usage("text frames cannot carry", "--kind binary");
    if (o->tcp && o->borders)
        usage("plain TCP has no message borders:", "--borders");
    if (o->expect != NULL && (o->mode != LOAD_STORM || *o->expect == '\0'))
        usage("only with --mode storm, and not empty:", "--expect");
    if (o->handshake && (o->mode != LOAD_STORM || !o->tls || o->expect != NULL))
        usage("only with --mode storm --tls, and without --expect:", "--handshake");
    if (o->rate > 0 && o->mode != LOAD_ECHO)
        usage("only with --mode echo:", "--rate");
}

void load_args_parse(struct load_options *o, int argc, char **argv)
{
    struct option table[ROWS + 1] = {{0}};
    int opt;
    int which;

    for (size_t i = 0; i < ROWS; i++) {
        bool takes = rows[i].kind != FLAG && rows[i].kind != HELP;

        table[i] = (struct option){rows[i].name, takes ? required_argument : no_argument, NULL, 1};
    }
    o->path = "/";
    o->conns = 1;
    o->depth = 1;
    o->size = 64;
    o->seconds = 1;
    while ((opt = getopt_long(argc, argv, "", table, &which)) != -1) {
        if (opt != 1)
            exit(2); /* getopt_long said why */
        set(o, &rows[which], optarg);
    }
    if (optind < argc)
        usage("unexpected argument", argv[optind]);
    check(o);
    if (o->mode == LOAD_STORM || o->mode == LOAD_IDLE)
        o->depth = 1;
}
