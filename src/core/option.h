/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_OPTION_H
#define WSLUICE_CORE_OPTION_H

/*
 * What a row of the schema says about one option. The command line, the configuration file, --help,
 * --help-config, --dump-config, the JSON Schema and the documents' check all read the same rows; a
 * new option is a new row and a field. Kinds of backends bring rows of their own.
 */
#include <stddef.h>

/* What a value is, and the type of its field. */
enum option_type {
    OPTION_FLAG,      /* bool; alone on the command line, or on/off */
    OPTION_COUNT,     /* uint64_t */
    OPTION_SIZE,      /* uint64_t, bytes: 64K, 1MiB */
    OPTION_TIME,      /* double, seconds: 100ms, 25s, 5m, 1h; a bare number is seconds */
    OPTION_RATE,      /* struct rate: 10/s, 600/m, 1/h; ":BURST" behind it; a bare number is by the
                         second */
    OPTION_BYTE_RATE, /* the same in bytes: 64K/s:1M */
    OPTION_MODE,      /* unsigned, permission bits in octal */
    OPTION_TEXT,      /* const char *, not empty */
    OPTION_LIST,      /* struct text_list; commas separate, repeating adds */
    OPTION_REPEAT,    /* struct text_list; every value is one item */
    OPTION_PAIRS,     /* struct text_list of NAME=VALUE; in a file also a map */
    OPTION_CHOICE,    /* int, index into choices */
    OPTION_ARGV,      /* char **, NULL-terminated; a list, in files only */
    OPTION_NODES,     /* no field: a structure of the file, read by conf/file*.c */
};

/* Which struct the offset counts in. */
enum option_place {
    IN_CONFIG,       /* struct config; top level of a file */
    IN_SETTINGS,     /* struct settings; top level as a default, and in each route */
    IN_ROUTE,        /* struct route; in a route */
    IN_LISTEN,       /* struct listen_spec; in an item of `listen` */
    IN_CERT,         /* struct tlsctx_cert; in an item of `tls` of a listener */
    IN_TARGET,       /* struct target; in a route: a row of a backend's kind */
    IN_COMMAND_LINE, /* struct command_line; not in files */
};

/* What becomes of a change when the configuration is read again. */
enum option_reload {
    RELOAD_NEW,     /* holds for what begins afterwards: sessions, connections, log lines */
    RELOAD_RESTART, /* needs a new process */
};

struct option_row {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    enum option_type type;
    enum option_place place;
    size_t offset;
    enum option_reload reload;
    const char *value;          /* what it takes, in words for --help: "TIME" */
    const char *initial;        /* default, as written; NULL: none */
    const char *const *choices; /* OPTION_CHOICE: NULL-terminated */
    double min, max;            /* COUNT, SIZE, TIME; both 0: no bounds */
    const char *help;
};

#endif
