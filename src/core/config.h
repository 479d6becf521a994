/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_CONFIG_H
#define WSLUICE_CORE_CONFIG_H

/*
 * What the operator asked for. Built once, checked, then never changed; counted references keep it
 * alive for the sessions that started with it. All times are seconds, all sizes bytes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/addr.h"
#include "base/arena.h"
#include "base/cidr.h"
#include "base/log.h"
#include "core/rate.h"
#include "io/tls/tlsclient.h"
#include "io/tls/tlsctx.h"
#include "proto/framing.h"

struct backend_ops;
struct bans;
struct handler_ops;
struct auth_ops;
struct child_attr;
struct token_list;

struct text_list {
    const char **items;
    size_t count;
};

enum frames { FRAMES_OF_FRAMING, FRAMES_TEXT, FRAMES_BINARY };
enum invalid_utf8 { UTF8_REPLACE, UTF8_CLOSE, UTF8_BINARY };
enum stderr_mode { STDERR_LOG, STDERR_MERGE, STDERR_DISCARD, STDERR_MESSAGE };
enum udp_source { UDP_SOURCE_SESSION, UDP_SOURCE_CLIENT, UDP_SOURCE_OFF };
enum forwarded_header { FORWARDED_X, FORWARDED_RFC7239 };
enum error_mode { ERRORS_HTTP, ERRORS_CLOSE };
enum over_rate { OVER_RATE_HOLD, OVER_RATE_CLOSE };
enum record_what { RECORD_BOTH, RECORD_OUTPUT };
enum compression { COMPRESSION_OFF, COMPRESSION_ON, COMPRESSION_TAKEOVER };
/* Whose a session is. */
enum session_whose {
    SESSION_OF_CONNECTION, /* the WebSocket's: it ends with it */
    SESSION_OF_TOKEN,      /* a visitor's, who has a token for it */
    SESSION_OF_USER,       /* an authenticated user's */
    SESSION_OF_ROOM,       /* of all who come by the same captures */
    SESSION_SHARED,        /* of all */
};
/* What a browser sees where a WebSocket is. */
enum page { PAGE_AUTO, PAGE_TERMINAL, PAGE_CONSOLE, PAGE_OFF };
enum session_join { JOIN_BY_KIND, JOIN_TAKEOVER, JOIN_WRITE };
/* One more than the index into auths. */
enum auth_kind { AUTH_NONE, AUTH_BASIC, AUTH_BEARER, AUTH_CLIENT_CERT, AUTH_HOOK };

/* What may differ from route to route. Fields are filled by name from the rows of conf/options.c.
 */
struct settings {
    const char *framing_name; /* NULL: the backend's own */
    int frames;               /* enum frames */
    int invalid_utf8;         /* enum invalid_utf8 */
    int stderr_mode;          /* enum stderr_mode */
    int errors;               /* enum error_mode */
    int send_proxy;           /* PROXY header to services: version, 0: none */
    const char
        *preamble; /* what services are told first, see core/program/preamble.h; NULL: nothing */
    const char *preamble_secret; /* file of what stands for {secret} in it */
    double partial_lines;        /* 0: never */
    bool eof_on_empty;
    bool read_only;              /* what clients send is dropped */
    bool unbuffer;               /* programs write to a terminal, on pipes they would hold back */
    const char *tty_preferences; /* JSON for clients of the terminal protocol; NULL: none */
    int page;                    /* enum page, as written; route.page is what comes of it */
    bool console;                /* PAGE_CONSOLE, where page says nothing */
    struct text_list headers;    /* NAME=VALUE, of answers with files */
    struct text_list origins;    /* empty: same origin; "any" */
    struct text_list subprotocols;
    uint64_t max_message;
    struct rate message_rate, byte_rate;             /* from the client, of a session */
    struct rate route_message_rate, route_byte_rate; /* of all sessions of a route */
    int over_rate;                                   /* enum over_rate */
    int compression;                                 /* enum compression */
    uint64_t compression_level;                      /* 1 to 9 */
    uint64_t compression_min;    /* bytes; shorter messages are sent as they are */
    uint64_t compression_window; /* with takeover: bits of each session's windows */
    double ping, pong_timeout, idle_timeout, stall_timeout, close_timeout;
    double connect_timeout, connect_retry, stop_grace, kill_grace;
    const char *cwd;
    struct text_list env;      /* NAME=VALUE for programs */
    struct text_list pass_env; /* names taken from our own environment */
    struct text_list signals;  /* names of those that clients may send to programs on pipes */
    const char *run_as;        /* whose process a program is; NULL: ours */
    struct text_list rlimits;  /* NAME=SOFT[:HARD] for programs */
    uint64_t memory_max, pids_max, cpu_weight, io_weight; /* of its control group; 0: none */
    const char *cpu_max;                                  /* processors: "1.5"; NULL: no limit */
    const char *umask;                                    /* of programs, octal; NULL: ours */
    uint64_t nice;                                        /* of programs, added to ours */
    bool no_new_privs;
    struct text_list read_paths,
        write_paths;           /* what programs reach; none: see core/program/attr.h */
    struct tlsclient_spec tls; /* towards services, tls:// */
    const char *record;        /* directory of recordings; see config_record_dir */
    int record_what;           /* enum record_what */
    uint64_t record_max;       /* bytes of one file */
    uint64_t record_files;     /* of one session to keep; 0: all */
    int auth;                  /* enum auth_kind */
    const char *auth_file;     /* passwords or tokens */
    const char *auth_realm;
    struct text_list auth_hook; /* words of a program, or one address */
    int udp_source;             /* enum udp_source */
    uint64_t udp_queue;         /* datagrams that wait for a side at most */
    double udp_queue_age;       /* and how long */
    struct rate udp_rate;       /* of a client, above it dropped */
    double udp_idle_timeout;    /* instead of idle_timeout, when that is 0; 0: never */
    const char *session_text;   /* `session` as written */
    int session;                /* enum session_whose, read of it by conf/build_session.c */
    double detach;              /* how long a session stays without clients */
    uint64_t replay;            /* bytes that its last messages may take */
    int join;                   /* enum session_join */
    double auth_cache;          /* how long a success is remembered; 0: not */
};

/* Where a backend is. Which fields are set depends on its kind. */
struct target {
    const char *text; /* as written, for messages */
    const char *host; /* tcp, udp */
    uint16_t port;
    const char *unix_path;     /* unix */
    const char *token_file;    /* token: file or directory that says where */
    struct token_list *tokens; /* token: what stands there */
    char **argv;               /* exec: NULL-terminated; all but the first are templates */
    const char *program;       /* exec: argv[0] looked up */
    bool templated;            /* exec: there is something to expand in argv */
};

struct config;

struct route_segment; /* core/route.h */

#define ROUTE_HEADERS_MAX 8192 /* bytes of a route's `headers` as lines */

/* Made by config_add_route, filled, then judged and completed by conf/build.c. */
struct route {
    struct config *config;          /* the one it stands in */
    const char *where;              /* "FILE:LINE:COL"; NULL: on the command line */
    const char *path;               /* as written, but no slash at the end: "/log/{name:[a-z]+}" */
    const char *host;               /* lower case, "*.example.org" for all below; NULL: any */
    const char *match_subprotocol;  /* only for clients that offer it; NULL: for all */
    struct route_segment *segments; /* of the path; none: "/", which has all paths */
    unsigned segment_count, capture_count;
    uint32_t literals; /* bit 31 - i: segment i is fixed text */
    const char *static_dir;
    int static_fd;       /* O_PATH, -1: none */
    const char *headers; /* settings.headers as lines, for answers with files; NULL: none */
    bool sets_cache;     /* there is a Cache-Control among them */
    const struct backend_ops *backend; /* NULL: no WebSocket here */
    struct target target;
    uint64_t max_sessions;         /* 0: no limit of its own */
    const struct framing *framing; /* NULL without a backend */
    enum page page;                /* never PAGE_AUTO */
    struct tlsclient *tls;         /* made of the settings by prepare_config, for kinds over TLS */
    struct settings settings;
    char *preamble_word;         /* what was in preamble_secret; read by prepare_config, owned */
    uint64_t signals;            /* of the settings; bit n: signal n */
    struct text_list login;      /* NAME=VALUE of its program's account, on a terminal; found by
                                    prepare_config */
    struct child_attr *attr;     /* of its program; NULL: none. See core/program/attr.h */
    const struct auth_ops *auth; /* NULL: anybody; set by auth_prepare */
    void *auth_data;             /* of that kind */
    struct stats_route
        *stats; /* what is counted of it, while it serves; see core/observe/stats.h */
};

struct listen_spec {
    const char *text;      /* as written */
    const char *name;      /* for the log; NULL: none */
    const char *unix_path; /* NULL: internet */
    unsigned unix_mode;    /* permission bits of the socket file */
    struct slice host;     /* into text; empty: loopback */
    uint16_t port;
    struct tlsctx_cert *certs; /* TLS: one per server name, the first the default */
    size_t cert_count;         /* 0: plain */
    const char *client_ca;     /* PEM file of authorities of clients' certificates */
    int client_cert;           /* enum tlsctx_client */
    struct tlsctx *tls;        /* made of them by prepare_config */
    bool redirect;             /* plain GET is sent to https:// */
    bool reuse_port;
    bool accept_proxy; /* connections begin with a PROXY header, from trusted networks only */
};

struct config {
    unsigned references;
    struct arena arena;         /* everything below; the config itself is malloc'd */
    struct config_owned *owned; /* see config_own */
    struct accounts *accounts;  /* that were asked for, and how long that may take */
    struct listen_spec *listen;
    size_t listen_count;
    struct route *routes;
    size_t route_count, route_room;
    unsigned unix_mode;                              /* default of the listeners */
    uint64_t max_sessions;                           /* 0: derived from the descriptor limit */
    uint64_t max_per_address;                        /* 0: none */
    uint64_t max_replay;                             /* bytes of what all sessions keep to replay */
    struct rate connect_rate, address_connect_rate;  /* connections, in all and of one address */
    struct rate total_message_rate, total_byte_rate; /* from all clients */
    const char *ban_file;                            /* networks to turn away; NULL: none */
    struct bans *bans; /* what it says, from prepare_config until admission takes it */
    uint64_t max_head; /* bytes of a request's */
    double handshake_timeout, drain_delay, drain_timeout, upgrade_timeout;
    bool reuse_port;
    bool log_query;     /* query strings in the log */
    int log_level;      /* enum log_level */
    int log_format;     /* enum log_format */
    const char *log_to; /* stderr, syslog, or a file */
    const char *syslog_socket;
    const char *cgroup;     /* below which programs have control groups; NULL: they have none */
    const char *user;       /* whom to become once all is open; NULL: stay */
    bool from_file;         /* which may say something else when it is read again */
    bool no_new_privs;      /* for the process, as no route does without; set by prepare_config */
    struct text_list hosts; /* names of ours, "*.example.org", "any"; core/admission/hostname.h */
    struct text_list trusted_texts; /* networks of proxies that are believed, as written */
    struct cidr *trusted;           /* made of them by prepare_config */
    int forwarded_header;           /* enum forwarded_header: which one our proxies write */
    bool accept_proxy;              /* default of the listeners */
    struct tlsctx_cert tls; /* of all internet listeners without certificates of their own */
    const char *client_ca;  /* default of the listeners, as is client_cert */
    int client_cert;        /* enum tlsctx_client */
    const char *dns_servers;
    const char *admin;        /* address of the admin door; NULL: none */
    struct settings settings; /* defaults of the routes */
};

/* Where sessions are recorded; NULL: they are not ("off" undoes a directory set further out). */
const char *config_record_dir(const struct settings *s);

/* An empty one with one reference; NULL without memory. The last config_release frees everything.
 */
struct config *config_new(void);
struct config *config_retain(struct config *c);
/* A further route with the config's settings and nothing else; NULL without memory. Earlier routes
 * may move: only while the config is being built. */
struct route *config_add_route(struct config *c);
void config_release(struct config *c);

/* What is made for a config and is not the arena's: release(what) is called once, when the last
 * reference goes, in the reverse order of these calls. False without memory: then it has been
 * released. So a config knows nothing of what stands above it. */
bool config_own(struct config *c, void (*release)(void *what), void *what);

#endif
