/* SPDX-License-Identifier: MIT */
#include "conf/options.h"

#include <string.h>

/* Texts of choices stand at the values that they mean. */
static const char *const frames_choices[] = {
    [FRAMES_OF_FRAMING] = "framing",
    [FRAMES_TEXT] = "text",
    [FRAMES_BINARY] = "binary",
    [FRAMES_BINARY + 1] = NULL,
};
static const char *const utf8_choices[] = {
    [UTF8_REPLACE] = "replace",
    [UTF8_CLOSE] = "close",
    [UTF8_BINARY] = "binary",
    [UTF8_BINARY + 1] = NULL,
};
static const char *const stderr_choices[] = {
    [STDERR_LOG] = "log",         [STDERR_MERGE] = "merge",    [STDERR_DISCARD] = "discard",
    [STDERR_MESSAGE] = "message", [STDERR_MESSAGE + 1] = NULL,
};
static const char *const over_choices[] = {
    [OVER_RATE_HOLD] = "hold",
    [OVER_RATE_CLOSE] = "close",
    [OVER_RATE_CLOSE + 1] = NULL,
};
static const char *const record_choices[] = {
    [RECORD_BOTH] = "both",
    [RECORD_OUTPUT] = "output",
    [RECORD_OUTPUT + 1] = NULL,
};
static const char *const compression_choices[] = {
    [COMPRESSION_OFF] = "off",
    [COMPRESSION_ON] = "on",
    [COMPRESSION_TAKEOVER] = "takeover",
    [COMPRESSION_TAKEOVER + 1] = NULL,
};
static const char *const join_choices[] = {
    [JOIN_BY_KIND] = "kind",
    [JOIN_TAKEOVER] = "takeover",
    [JOIN_WRITE] = "write",
    [JOIN_WRITE + 1] = NULL,
};
static const char *const page_choices[] = {
    [PAGE_AUTO] = "auto", [PAGE_TERMINAL] = "terminal", [PAGE_CONSOLE] = "console",
    [PAGE_OFF] = "off",   [PAGE_OFF + 1] = NULL,
};
static const char *const errors_choices[] = {
    [ERRORS_HTTP] = "http",
    [ERRORS_CLOSE] = "close",
    [ERRORS_CLOSE + 1] = NULL,
};
static const char *const forwarded_choices[] = {
    [FORWARDED_X] = "x-forwarded",
    [FORWARDED_RFC7239] = "forwarded",
    [FORWARDED_RFC7239 + 1] = NULL,
};
static const char *const source_choices[] = {
    [UDP_SOURCE_SESSION] = "session",
    [UDP_SOURCE_CLIENT] = "client",
    [UDP_SOURCE_OFF] = "off",
    [UDP_SOURCE_OFF + 1] = NULL,
};
static const char *const proxy_choices[] = {"off", "v1", "v2", NULL};
static const char *const auth_choices[] = {
    [AUTH_NONE] = "none",     [AUTH_BASIC] = "basic",
    [AUTH_BEARER] = "bearer", [AUTH_CLIENT_CERT] = "client-cert",
    [AUTH_HOOK] = "hook",     [AUTH_HOOK + 1] = NULL,
};
static const char *const client_choices[] = {
    [TLSCTX_CLIENT_OFF] = "off",
    [TLSCTX_CLIENT_OPTIONAL] = "optional",
    [TLSCTX_CLIENT_REQUIRE] = "require",
    [TLSCTX_CLIENT_REQUIRE + 1] = NULL,
};
static const char *const level_choices[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn",    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug", [LOG_DEBUG + 1] = NULL,
};
static const char *const format_choices[] = {
    [LOG_TEXT] = "text",
    [LOG_JSON] = "json",
    [LOG_JSON + 1] = NULL,
};
static const char *const shell_choices[] = {"none", "bash", "zsh", "fish", NULL};

#define CONFIG(field) \
    .place = IN_CONFIG, .offset = offsetof(struct config, field), .reload = RELOAD_NEW
#define CONFIG_FIXED(field) \
    .place = IN_CONFIG, .offset = offsetof(struct config, field), .reload = RELOAD_RESTART
#define SETTING(field) \
    .place = IN_SETTINGS, .offset = offsetof(struct settings, field), .reload = RELOAD_NEW
#define ROUTE(field) \
    .place = IN_ROUTE, .offset = offsetof(struct route, field), .reload = RELOAD_NEW
#define LISTEN(field) \
    .place = IN_LISTEN, .offset = offsetof(struct listen_spec, field), .reload = RELOAD_NEW
#define CERT(field) \
    .place = IN_CERT, .offset = offsetof(struct tlsctx_cert, field), .reload = RELOAD_NEW
#define NODES(where) .type = OPTION_NODES, .place = where, .reload = RELOAD_NEW
#define CLI(field)                                                            \
    .place = IN_COMMAND_LINE, .offset = offsetof(struct command_line, field), \
    .reload = RELOAD_RESTART

#define DAY 86400.0

/* clang-format off */
const struct option_row option_rows[] = {
    {.name = "listen", .letter = 'l', .type = OPTION_REPEAT, CLI(listen), .value = "ADDR",
     .help = "where to listen: PORT, HOST:PORT, [V6]:PORT, unix:PATH or systemd[:NAME]; port 0 picks one; repeat for several (127.0.0.1:8080)"},
    {.name = "to", .letter = 't', .type = OPTION_TEXT, ROUTE(target.text), .value = "ADDR",
     .help = "the service behind the path (on the command line: every path): tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, udp://HOST:PORT or echo:"},
    {.name = "route", .letter = 'r', .type = OPTION_REPEAT, CLI(routes), .value = "PATH=ADDR",
     .help = "what is behind one path; ADDR as for --to, or exec:PROGRAM ARG... or pty:PROGRAM ARG...; repeat for several"},
    {.name = "pty", .type = OPTION_FLAG, CLI(pty), .initial = "off",
     .help = "run COMMAND on a terminal; its clients may speak the protocol of ttyd's (subprotocol tty), or plain bytes"},
    {.name = "framing", .letter = 'f', .type = OPTION_TEXT, SETTING(framing_name), .value = "NAME",
     .help = "how messages become bytes and back: lines, crlf, stream, text, nul, len32, len32le, netstring, lsp or tagged; hub is for shared sessions; datagram is always and only for udp:// (lines for programs, stream for services and terminals)"},
    {.name = "frames", .type = OPTION_CHOICE, SETTING(frames), .value = "TYPE", .initial = "framing", .choices = frames_choices,
     .help = "type of the frames to the client: text, binary, or as the framing has it"},
    {.name = "partial-lines", .type = OPTION_TIME, SETTING(partial_lines), .value = "TIME", .initial = "0", .min = 0, .max = DAY,
     .help = "after so long a silence an unfinished line goes out as a message, for prompts; 0: never"},
    {.name = "invalid-utf8", .type = OPTION_CHOICE, SETTING(invalid_utf8), .value = "DO", .initial = "replace", .choices = utf8_choices,
     .help = "what becomes of text from the backend that is not UTF-8: replace, close or binary"},
    {.name = "eof-on-empty", .type = OPTION_FLAG, SETTING(eof_on_empty), .initial = "off",
     .help = "an empty message from the client means end of input"},
    {.name = "read-only", .type = OPTION_FLAG, SETTING(read_only), .initial = "off",
     .help = "what clients send is dropped, and counted; they only watch"},
    {.name = "unbuffer", .type = OPTION_FLAG, SETTING(unbuffer), .initial = "off",
     .help = "exec: give the program a terminal to write to, so that it does not hold its output back"},
    {.name = "tty-preferences", .type = OPTION_TEXT, SETTING(tty_preferences), .value = "JSON",
     .help = "pty: settings for clients of the subprotocol tty, an object of xterm.js's options"},
    {.name = "subprotocol", .type = OPTION_LIST, SETTING(subprotocols), .value = "LIST",
     .help = "subprotocols to accept, commas between; the client's first that is listed is chosen"},
    {.name = "origin", .type = OPTION_LIST, SETTING(origins), .value = "LIST",
     .help = "pages that may connect: any, or exact origins (https://example.org), commas between; https://*.example.org stands for all below (same-origin)"},
    {.name = "host", .type = OPTION_LIST, CONFIG(hosts), .value = "LIST",
     .help = "names that we go by, besides addresses and localhost: example.org, *.example.org, commas between; others are refused; any: no check"},
    {.name = "static", .letter = 's', .type = OPTION_TEXT, ROUTE(static_dir), .value = "DIR",
     .help = "serve the files below DIR on plain GET; the page lives beside the WebSocket"},
    {.name = "headers", .type = OPTION_PAIRS, SETTING(headers), .value = "NAME=VALUE",
     .help = "a header field of answers with files, such as Cross-Origin-Opener-Policy=same-origin; repeat for several"},
    {.name = "page", .type = OPTION_CHOICE, SETTING(page), .value = "PAGE", .initial = "auto", .choices = page_choices,
     .help = "what a browser sees on plain GET of a route's path: a terminal, the console to try it by hand, or off: nothing; auto: a terminal where a program is on one and there are no files, else as console says"},
    {.name = "console", .type = OPTION_FLAG, SETTING(console), .initial = "off",
     .help = "the same as page console, where page is auto"},
    {.name = "errors", .type = OPTION_CHOICE, SETTING(errors), .value = "HOW", .initial = "http", .choices = errors_choices,
     .help = "how a client learns that the backend cannot be opened: an http status, or a close code (which page script sees)"},
    {.name = "stderr", .type = OPTION_CHOICE, SETTING(stderr_mode), .value = "TO", .initial = "log", .choices = stderr_choices,
     .help = "where a program's stderr goes: log, merge (with its stdout), discard, or message (to the client, each message then begins with a byte that tells them apart)"},
    {.name = "cwd", .type = OPTION_TEXT, SETTING(cwd), .value = "DIR",
     .help = "where programs run"},
    {.name = "env", .type = OPTION_PAIRS, SETTING(env), .value = "NAME=VALUE",
     .help = "a variable for programs; repeat for several"},
    {.name = "pass-env", .type = OPTION_LIST, SETTING(pass_env), .value = "LIST",
     .help = "names of our own variables to pass to programs, commas between"},
    {.name = "signals", .type = OPTION_LIST, SETTING(signals), .value = "LIST",
     .help = "exec: signals that clients may send to the program, by the subprotocol channels.wsluice: INT, commas between"},
    {.name = "run-as", .type = OPTION_TEXT, SETTING(run_as), .value = "NAME[:GROUP]",
     .help = "whose process a program is (ours)"},
    {.name = "rlimits", .type = OPTION_PAIRS, SETTING(rlimits), .value = "NAME=LIMIT",
     .help = "a limit for programs, SOFT[:HARD] or unlimited: as, core, cpu, data, fsize, memlock, msgqueue, nofile, nproc, sigpending, stack; repeat for several"},
    {.name = "memory-max", .type = OPTION_SIZE, SETTING(memory_max), .value = "SIZE", .initial = "0", .min = 0, .max = 1e15,
     .help = "memory of a program and all that it starts; beyond, they are killed; with cgroup; 0: no limit"},
    {.name = "pids-max", .type = OPTION_COUNT, SETTING(pids_max), .value = "N", .initial = "0", .min = 0, .max = 4194304,
     .help = "processes and threads of a program and all that it starts; with cgroup; 0: no limit"},
    {.name = "cpu-max", .type = OPTION_TEXT, SETTING(cpu_max), .value = "N",
     .help = "processors for a program and all that it starts, 0.01 to 1000: 0.5 is half of one; with cgroup (no limit)"},
    {.name = "cpu-weight", .type = OPTION_COUNT, SETTING(cpu_weight), .value = "N", .initial = "0", .min = 0, .max = 10000,
     .help = "its share beside other programs where processors are short, 1 to 10000; with cgroup; 0: the system's, 100"},
    {.name = "io-weight", .type = OPTION_COUNT, SETTING(io_weight), .value = "N", .initial = "0", .min = 0, .max = 10000,
     .help = "the same for disks"},
    {.name = "umask", .type = OPTION_TEXT, SETTING(umask), .value = "OCTAL",
     .help = "permissions that files made by programs do not get (ours)"},
    {.name = "nice", .type = OPTION_COUNT, SETTING(nice), .value = "N", .initial = "0", .min = 0, .max = 19,
     .help = "how much programs step back for others, added to our own"},
    {.name = "read-paths", .type = OPTION_LIST, SETTING(read_paths), .value = "LIST",
     .help = "all that programs can read and execute, by Landlock: files and folders with what is below, commas between; any: no limit (any)"},
    {.name = "write-paths", .type = OPTION_LIST, SETTING(write_paths), .value = "LIST",
     .help = "all that programs can write and read, likewise; none: nothing (none with read-paths, else any)"},
    {.name = "ping", .type = OPTION_TIME, SETTING(ping), .value = "TIME", .initial = "25s", .min = 0, .max = DAY,
     .help = "heartbeat when either direction was silent that long; 0: off"},
    {.name = "pong-timeout", .type = OPTION_TIME, SETTING(pong_timeout), .value = "TIME", .initial = "20s", .min = 0.001, .max = DAY,
     .help = "a client that answers no heartbeat for that long is dropped; any byte from it counts"},
    {.name = "idle-timeout", .type = OPTION_TIME, SETTING(idle_timeout), .value = "TIME", .initial = "0", .min = 0, .max = 365 * DAY,
     .help = "close a session without data for that long, heartbeats not counted; 0: never"},
    {.name = "stall-timeout", .type = OPTION_TIME, SETTING(stall_timeout), .value = "TIME", .initial = "60s", .min = 0.01, .max = DAY,
     .help = "close when one side takes not a byte of what waits for it for that long"},
    {.name = "connect-timeout", .type = OPTION_TIME, SETTING(connect_timeout), .value = "TIME", .initial = "5s", .min = 0.001, .max = 3600,
     .help = "for reaching a service, its name's lookup included"},
    {.name = "connect-retry", .type = OPTION_TIME, SETTING(connect_retry), .value = "TIME", .initial = "300ms", .min = 0, .max = 3600,
     .help = "how long a service that refuses is asked again, within connect-timeout, as it may be restarting; 0: not"},
    {.name = "handshake-timeout", .type = OPTION_TIME, CONFIG(handshake_timeout), .value = "TIME", .initial = "10s", .min = 0.01, .max = 3600,
     .help = "for a whole request head to arrive, and the first message of a client with the subprotocol tty"},
    {.name = "max-head", .type = OPTION_SIZE, CONFIG(max_head), .value = "SIZE", .initial = "32K", .min = 1024, .max = 65536,
     .help = "largest request head; single sign-on may bring cookies of many KiB"},
    {.name = "close-timeout", .type = OPTION_TIME, SETTING(close_timeout), .value = "TIME", .initial = "5s", .min = 0.01, .max = 3600,
     .help = "for the client to answer our Close"},
    {.name = "udp-idle-timeout", .type = OPTION_TIME, SETTING(udp_idle_timeout), .value = "TIME", .initial = "5m", .min = 0, .max = 365 * DAY,
     .help = "idle-timeout of udp:// services, where nothing else tells that a session is over, while that is 0; 0: never"},
    {.name = "udp-source", .type = OPTION_CHOICE, SETTING(udp_source), .value = "WHOSE", .initial = "session", .choices = source_choices,
     .help = "to udp:// services in 127.0.0.0/8 we speak from an address of that network of its own for each session, or for each client, or off"},
    {.name = "udp-rate", .type = OPTION_RATE, SETTING(udp_rate), .value = "RATE", .initial = "0",
     .help = "datagrams from one session to a udp:// service; what is over is dropped; 0: no limit"},
    {.name = "udp-queue", .type = OPTION_COUNT, SETTING(udp_queue), .value = "N", .initial = "64", .min = 1, .max = 65536,
     .help = "datagrams that wait for a client that does not keep up; then the oldest are dropped"},
    {.name = "udp-queue-age", .type = OPTION_TIME, SETTING(udp_queue_age), .value = "TIME", .initial = "500ms", .min = 0.001, .max = 3600,
     .help = "older ones among them are dropped"},
    {.name = "session", .type = OPTION_TEXT, SETTING(session_text), .value = "WHOSE", .initial = "connection",
     .help = "whose a session is, and so what it outlives: connection, token, user, a room as '{name}' of captures, or shared"},
    {.name = "detach", .type = OPTION_TIME, SETTING(detach), .value = "TIME", .initial = "2m", .min = 0, .max = 365 * DAY,
     .help = "with session: how long a session stays when its last client has gone"},
    {.name = "replay", .type = OPTION_SIZE, SETTING(replay), .value = "SIZE", .initial = "256K", .min = 4096, .max = 64 << 20,
     .help = "with session: memory for its last messages, which clients that come get first"},
    {.name = "join", .type = OPTION_CHOICE, SETTING(join), .value = "HOW", .initial = "kind", .choices = join_choices,
     .help = "with session: a client that comes takes over from the one that is there, or all write; kind: takeover for token and user, write for rooms and shared"},
    {.name = "stop-grace", .type = OPTION_TIME, SETTING(stop_grace), .value = "TIME", .initial = "2s", .min = 0, .max = 3600,
     .help = "when the client has left: how long the backend may take none of the input that is left, before a program gets "
             "SIGTERM, the connection to a service is closed"},
    {.name = "kill-grace", .type = OPTION_TIME, SETTING(kill_grace), .value = "TIME", .initial = "5s", .min = 0, .max = 3600,
     .help = "from SIGTERM to SIGKILL"},
    {.name = "drain-delay", .type = OPTION_TIME, CONFIG(drain_delay), .value = "TIME", .initial = "0", .min = 0, .max = 3600,
     .help = "after our SIGTERM: so long we still accept, while /readyz already says no"},
    {.name = "drain-timeout", .type = OPTION_TIME, CONFIG(drain_timeout), .value = "TIME", .initial = "30s", .min = 0, .max = DAY,
     .help = "from our own SIGTERM to the end, whatever still runs"},
    {.name = "upgrade-timeout", .type = OPTION_TIME, CONFIG(upgrade_timeout), .value = "TIME", .initial = "60s", .min = 0.01, .max = DAY,
     .help = "for a successor that SIGUSR2 has started to serve; then it is killed and this process goes on"},
    {.name = "max-sessions", .type = OPTION_COUNT, CONFIG(max_sessions), .value = "N", .initial = "0", .min = 0, .max = 1e9,
     .help = "sessions at once; 0: what the descriptor limit allows"},
    {.name = "max-replay", .type = OPTION_SIZE, CONFIG(max_replay), .value = "SIZE", .initial = "256M", .min = 65536, .max = 1LL << 40,
     .help = "memory of what all sessions keep to replay; at it nothing new with a key begins"},
    {.name = "max-per-address", .type = OPTION_COUNT, CONFIG(max_per_address), .value = "N", .initial = "256", .min = 0, .max = 1e9,
     .help = "sessions at once from one address (IPv6: one /64); 0: no limit"},
    {.name = "max-message", .type = OPTION_SIZE, SETTING(max_message), .value = "SIZE", .initial = "1M", .min = 1, .max = 1024.0 * 1024 * 1024 - 4096,
     .help = "largest message, where messages are put together (all framings but stream and text; echo)"},
    {.name = "max-connect-rate", .type = OPTION_RATE, CONFIG(connect_rate), .value = "RATE", .initial = "0",
     .help = "new connections from all clients: 100/s, 6000/m, 100/s:500 with a burst of 500; above it 503; 0: no limit"},
    {.name = "max-connect-rate-per-address", .type = OPTION_RATE, CONFIG(address_connect_rate), .value = "RATE", .initial = "0",
     .help = "new connections from one address (IPv6: one /64); above it 429; 0: no limit"},
    {.name = "max-message-rate", .type = OPTION_RATE, SETTING(message_rate), .value = "RATE", .initial = "0",
     .help = "messages from the client of a session; above it over-rate says what happens; 0: no limit"},
    {.name = "max-byte-rate", .type = OPTION_BYTE_RATE, SETTING(byte_rate), .value = "RATE", .initial = "0",
     .help = "bytes of payload from the client of a session: 64K/s, 64K/s:1M with a burst of 1M; 0: no limit"},
    {.name = "over-rate", .type = OPTION_CHOICE, SETTING(over_rate), .value = "DO", .initial = "hold", .choices = over_choices,
     .help = "a client over its own rate is read more slowly (hold), or its session closed with 1008 (close)"},
    {.name = "max-route-message-rate", .type = OPTION_RATE, SETTING(route_message_rate), .value = "RATE", .initial = "0",
     .help = "messages from all clients of a route together; above it they are read more slowly; 0: no limit"},
    {.name = "max-route-byte-rate", .type = OPTION_BYTE_RATE, SETTING(route_byte_rate), .value = "RATE", .initial = "0",
     .help = "the same for bytes of payload; 0: no limit"},
    {.name = "max-total-message-rate", .type = OPTION_RATE, CONFIG(total_message_rate), .value = "RATE", .initial = "0",
     .help = "messages from all clients; above it they are read more slowly; 0: no limit"},
    {.name = "max-total-byte-rate", .type = OPTION_BYTE_RATE, CONFIG(total_byte_rate), .value = "RATE", .initial = "0",
     .help = "the same for bytes of payload; 0: no limit"},
    {.name = "ban-file", .type = OPTION_TEXT, CONFIG(ban_file), .value = "FILE",
     .help = "addresses and networks to turn away, one a line, # begins a comment; read again on reload and when it has changed"},
    {.name = "compression", .type = OPTION_CHOICE, SETTING(compression), .value = "HOW", .initial = "off", .choices = compression_choices,
     .help = "permessage-deflate, for clients that offer it: off, on (each message by itself) or takeover (streams that remember, with memory for each session)"},
    {.name = "compression-level", .type = OPTION_COUNT, SETTING(compression_level), .value = "N", .initial = "3", .min = 1, .max = 9,
     .help = "how hard to compress, from 1 (fast) to 9 (small)"},
    {.name = "compression-min", .type = OPTION_SIZE, SETTING(compression_min), .value = "SIZE", .initial = "256", .min = 0, .max = 1024.0 * 1024,
     .help = "shorter messages to the client are sent as they are"},
    {.name = "compression-window", .type = OPTION_COUNT, SETTING(compression_window), .value = "BITS", .initial = "12", .min = 9, .max = 15,
     .help = "with takeover: size of the windows, 2^BITS bytes, which sets a session's memory"},
    {.name = "tls-cert", .type = OPTION_TEXT, CONFIG(tls.cert), .value = "FILE",
     .help = "PEM certificate and chain: serve wss:// and https:// instead of ws:// and http://"},
    {.name = "tls-key", .type = OPTION_TEXT, CONFIG(tls.key), .value = "FILE",
     .help = "PEM key of the certificate; not readable for others"},
    {.name = "tls-ocsp", .type = OPTION_TEXT, CONFIG(tls.ocsp), .value = "FILE",
     .help = "DER file with an OCSP response about the certificate, to be stapled; read again when it changes"},
    {.name = "tls-client-cert", .type = OPTION_CHOICE, CONFIG(client_cert), .value = "WHETHER", .initial = "off", .choices = client_choices,
     .help = "whether clients are to show a certificate: off, optional (they are told apart by SSL_CLIENT_VERIFY) or require"},
    {.name = "tls-client-ca", .type = OPTION_TEXT, CONFIG(client_ca), .value = "FILE",
     .help = "PEM certificates of the authorities that clients' certificates must come from"},
    {.name = "backend-ca", .type = OPTION_TEXT, SETTING(tls.ca), .value = "FILE",
     .help = "PEM certificates that a tls:// service's certificate must come from, or be one of (the system's authorities)"},
    {.name = "backend-cert", .type = OPTION_TEXT, SETTING(tls.cert), .value = "FILE",
     .help = "PEM certificate and chain to show to a tls:// service"},
    {.name = "backend-key", .type = OPTION_TEXT, SETTING(tls.key), .value = "FILE",
     .help = "PEM key of that certificate; not readable for others"},
    {.name = "backend-servername", .type = OPTION_TEXT, SETTING(tls.name), .value = "NAME",
     .help = "the name to ask a tls:// service for and to find in its certificate, instead of its address's host"},
    {.name = "backend-alpn", .type = OPTION_TEXT, SETTING(tls.alpn), .value = "LIST",
     .help = "the protocols to offer to a tls:// service (ALPN), commas between: postgresql for PostgreSQL 17 with direct TLS, which asks for it"},
    {.name = "backend-verify", .type = OPTION_FLAG, SETTING(tls.verify), .initial = "on",
     .help = "verify the certificates of tls:// services"},
    {.name = "cgroup", .type = OPTION_TEXT, CONFIG_FIXED(cgroup), .value = "WHERE",
     .help = "a control group for each program, so that all it starts ends with it: below ours (auto), or below a folder of cgroup2"},
    {.name = "user", .type = OPTION_TEXT, CONFIG_FIXED(user), .value = "NAME[:GROUP]",
     .help = "whom to become once everything is open, without capabilities that are not needed; root: stay root"},
    {.name = "no-new-privs", .type = OPTION_FLAG, SETTING(no_new_privs), .initial = "on",
     .help = "programs cannot gain privileges by set-user-ID files"},
    {.name = "trusted-proxies", .type = OPTION_LIST, CONFIG(trusted_texts), .value = "LIST",
     .help = "networks of proxies in front of us that may say who the client is (10.0.0.0/8, ::1, unix), commas between"},
    {.name = "forwarded-header", .type = OPTION_CHOICE, CONFIG(forwarded_header), .value = "NAME", .initial = "x-forwarded", .choices = forwarded_choices,
     .help = "which header trusted proxies write: x-forwarded (-For, -Proto, -Host, -Port) or forwarded (RFC 7239); the other is a client's word"},
    {.name = "accept-proxy", .type = OPTION_FLAG, CONFIG(accept_proxy), .initial = "off",
     .help = "every connection begins with a PROXY header (version 1 or 2), from trusted proxies only; in a file listeners can differ"},
    {.name = "proxy-protocol", .type = OPTION_CHOICE, SETTING(send_proxy), .value = "VERSION", .initial = "off", .choices = proxy_choices,
     .help = "tell services who the client is by a PROXY header: off, v1, or v2 (with the name asked for, TLS and UNIQUE_ID)"},
    {.name = "preamble", .type = OPTION_TEXT, SETTING(preamble), .value = "TEXT",
     .help = "what services are told before the client's first byte, such as a WEBIRC line: a text with {client_address} and other values"},
    {.name = "preamble-secret", .type = OPTION_TEXT, SETTING(preamble_secret), .value = "FILE",
     .help = "file of the word that stands for {secret} in the preamble; not readable for others"},
    {.name = "unix-mode", .type = OPTION_MODE, CONFIG(unix_mode), .value = "OCTAL", .initial = "0660",
     .help = "permissions of Unix sockets we listen on"},
    {.name = "reuse-port", .type = OPTION_FLAG, CONFIG(reuse_port), .initial = "off",
     .help = "let several processes listen on one port (SO_REUSEPORT)"},
    {.name = "dns-servers", .type = OPTION_TEXT, CONFIG(dns_servers), .value = "LIST",
     .help = "ask these name servers instead of the system's: ADDR[:PORT], commas between"},
    {.name = "admin", .type = OPTION_TEXT, CONFIG(admin), .value = "ADDR",
     .help = "where to ask for health, metrics and sessions, and to give orders: unix:PATH or a loopback address"},
    {.name = "record", .type = OPTION_TEXT, SETTING(record), .value = "DIR",
     .help = "record sessions into files below DIR, as asciicast v2 (text) or JSON lines (binary); off: not (off)"},
    {.name = "record-what", .type = OPTION_CHOICE, SETTING(record_what), .value = "WHAT", .initial = "both", .choices = record_choices,
     .help = "both directions, or only the output to the client: both or output"},
    {.name = "record-max", .type = OPTION_SIZE, SETTING(record_max), .value = "SIZE", .initial = "64M", .min = 32768, .max = 1e12,
     .help = "largest file of a recording; then the next is begun"},
    {.name = "record-files", .type = OPTION_COUNT, SETTING(record_files), .value = "N", .initial = "8", .min = 0, .max = 1e9,
     .help = "newest files of one session that are kept; 0: all"},
    {.name = "auth", .type = OPTION_CHOICE, SETTING(auth), .value = "HOW", .initial = "none", .choices = auth_choices,
     .help = "who may use a route: anybody (none), or whoever has a password (basic), a token (bearer), a client-cert, or the word of a hook"},
    {.name = "auth-file", .type = OPTION_TEXT, SETTING(auth_file), .value = "FILE",
     .help = "for basic: users and hashes, as wsluice passwd makes them; for bearer: tokens, one a line, a name may stand before each"},
    {.name = "auth-realm", .type = OPTION_TEXT, SETTING(auth_realm), .value = "NAME", .initial = "wsluice",
     .help = "what a password or token is asked for"},
    {.name = "auth-hook", .type = OPTION_REPEAT, SETTING(auth_hook), .value = "WORD",
     .help = "who is asked: a program and its arguments, one word each time, or http://HOST:PORT/PATH"},
    {.name = "auth-cache", .type = OPTION_TIME, SETTING(auth_cache), .value = "TIME", .initial = "5m", .min = 0, .max = DAY,
     .help = "a password or answer of a hook that was good is not checked again for that long; 0: always"},
    {.name = "log-level", .type = OPTION_CHOICE, CONFIG(log_level), .value = "L", .initial = "info", .choices = level_choices,
     .help = "error, warn, info or debug"},
    {.name = "log-format", .type = OPTION_CHOICE, CONFIG(log_format), .value = "F", .initial = "text", .choices = format_choices,
     .help = "text or json"},
    {.name = "log-to", .type = OPTION_TEXT, CONFIG_FIXED(log_to), .value = "WHERE", .initial = "stderr",
     .help = "where the log goes: stderr, syslog, or a file, which SIGUSR1 opens anew"},
    {.name = "syslog-socket", .type = OPTION_TEXT, CONFIG_FIXED(syslog_socket), .value = "PATH", .initial = "/dev/log",
     .help = "where the syslog daemon listens"},
    {.name = "log-query", .type = OPTION_FLAG, CONFIG(log_query), .initial = "off",
     .help = "log query strings, which may hold secrets"},
    {.name = "config", .letter = 'c', .type = OPTION_TEXT, CLI(file), .value = "FILE",
     .help = "read this file (YAML); options on the command line are stronger than its top level"},
    {.name = "check", .type = OPTION_FLAG, CLI(check), .initial = "off",
     .help = "read and check everything, list all faults, and exit"},
    {.name = "dump-config", .type = OPTION_FLAG, CLI(dump_config), .initial = "off",
     .help = "print the effective configuration as a file and exit"},
    {.name = "help-config", .type = OPTION_FLAG, CLI(help_config), .initial = "off",
     .help = "print all keys of the file and exit"},
    {.name = "dump-schema", .type = OPTION_FLAG, CLI(dump_schema), .initial = "off",
     .help = "print a JSON Schema of the file and exit"},
    {.name = "completion", .type = OPTION_CHOICE, CLI(completion), .value = "SHELL", .initial = "none", .choices = shell_choices,
     .help = "print a script that completes our options and exit: none, bash, zsh or fish"},
    {.name = "help", .letter = 'h', .type = OPTION_FLAG, CLI(help), .initial = "off",
     .help = "print what is used most and exit"},
    {.name = "help-all", .type = OPTION_FLAG, CLI(help_all), .initial = "off",
     .help = "print this and exit"},
    {.name = "version", .letter = 'V', .type = OPTION_FLAG, CLI(version), .initial = "off",
     .help = "print versions and exit"},
};

const struct option_row file_rows[] = {
    {.name = "listen", NODES(IN_CONFIG), .value = "LIST",
     .help = "where to listen: addresses, or maps with the keys below (127.0.0.1:8080)"},
    {.name = "routes", NODES(IN_CONFIG), .value = "LIST",
     .help = "what is behind each path: maps with the keys below"},
    {.name = "include", NODES(IN_CONFIG), .value = "LIST",
     .help = "further files, patterns as of the shell, relative to this file; they are read in the order of their names"},
    {.name = "address", .type = OPTION_TEXT, LISTEN(text), .value = "ADDR",
     .help = "PORT, HOST:PORT, [V6]:PORT or unix:PATH; port 0 picks one"},
    {.name = "name", .type = OPTION_TEXT, LISTEN(name), .value = "NAME",
     .help = "a name for the log"},
    {.name = "mode", .type = OPTION_MODE, LISTEN(unix_mode), .value = "OCTAL",
     .help = "permissions of this Unix socket (unix-mode)"},
    {.name = "reuse-port", .type = OPTION_FLAG, LISTEN(reuse_port),
     .help = "let several processes listen on this port (reuse-port)"},
    {.name = "accept-proxy", .type = OPTION_FLAG, LISTEN(accept_proxy),
     .help = "every connection to this listener begins with a PROXY header, or none does (accept-proxy)"},
    {.name = "tls", NODES(IN_LISTEN), .value = "LIST",
     .help = "serve wss:// and https:// here: one certificate, or a list of them, chosen by the name the client asks for (tls-cert and tls-key)"},
    {.name = "client-cert", .type = OPTION_CHOICE, LISTEN(client_cert), .value = "WHETHER", .choices = client_choices,
     .help = "whether clients of this listener are to show a certificate (tls-client-cert)"},
    {.name = "client-ca", .type = OPTION_TEXT, LISTEN(client_ca), .value = "FILE",
     .help = "PEM certificates of the authorities that their certificates must come from (tls-client-ca)"},
    {.name = "redirect-to-https", .type = OPTION_FLAG, LISTEN(redirect),
     .help = "of a plain listener: send browsers that ask for a page to https://, at the first listener with TLS (off)"},
    {.name = "cert", .type = OPTION_TEXT, CERT(cert), .value = "FILE",
     .help = "PEM certificate and chain"},
    {.name = "key", .type = OPTION_TEXT, CERT(key), .value = "FILE",
     .help = "PEM key of the certificate; not readable for others"},
    {.name = "ocsp", .type = OPTION_TEXT, CERT(ocsp), .value = "FILE",
     .help = "DER file with an OCSP response about the certificate, to be stapled; read again when it changes"},
    {.name = "path", .type = OPTION_TEXT, ROUTE(path), .value = "PATH", .initial = "/",
     .help = "a prefix on segment borders; a segment may be a capture, {name:pattern}, with a POSIX extended regular expression"},
    {.name = "max-sessions", .type = OPTION_COUNT, ROUTE(max_sessions), .value = "N", .initial = "0", .min = 0, .max = 1e9,
     .help = "sessions at once on this route; 0: only the limit of all"},
    {.name = "host", .type = OPTION_TEXT, ROUTE(host), .value = "HOST",
     .help = "only for this host: example.org, or *.example.org for all below it"},
    {.name = "match-subprotocol", .type = OPTION_TEXT, ROUTE(match_subprotocol), .value = "NAME",
     .help = "only for clients that offer this subprotocol"},
};
/* clang-format on */

const size_t option_rows_count = sizeof option_rows / sizeof option_rows[0];
const size_t file_rows_count = sizeof file_rows / sizeof file_rows[0];

_Static_assert(sizeof option_rows / sizeof option_rows[0] <= OPTION_ROWS_MAX, "make it larger");

const struct option_row *option_find(struct slice name)
{
    for (size_t i = 0; i < option_rows_count; i++) {
        if (slice_is(name, option_rows[i].name))
            return &option_rows[i];
    }
    return NULL;
}

const struct option_row *option_find_letter(char letter)
{
    for (size_t i = 0; letter != 0 && i < option_rows_count; i++) {
        if (option_rows[i].letter == letter)
            return &option_rows[i];
    }
    return NULL;
}

#define GUESS_MAX 32 /* letters of a name worth guessing at */

static size_t options_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters to leave out, add, change or swap with their neighbours (the distance of optimal
 * string alignment). */
static size_t distance(struct slice a, const char *b)
{
    size_t d[GUESS_MAX + 1][GUESS_MAX + 1], n = strlen(b);

    if (a.len > GUESS_MAX || n > GUESS_MAX)
        return GUESS_MAX;
    for (size_t i = 0; i <= a.len; i++) {
        for (size_t k = 0; k <= n; k++) {
            if (i == 0 || k == 0) {
                d[i][k] = i + k;
                continue;
            }
            d[i][k] = options_least(d[i - 1][k - 1] + (a.p[i - 1] != b[k - 1]),
                                    options_least(d[i - 1][k], d[i][k - 1]) + 1);
            if (i > 1 && k > 1 && a.p[i - 1] == b[k - 2] && a.p[i - 2] == b[k - 1])
                d[i][k] = options_least(d[i][k], d[i - 2][k - 2] + 1);
        }
    }
    return d[a.len][n];
}

void option_guess_add(struct option_guess *g, const char *name)
{
    size_t limit = 3 < g->name.len / 2 + 1 ? 3 : g->name.len / 2 + 1;
    size_t d = distance(g->name, name);

    if (d < limit && (g->best == NULL || d < g->distance)) {
        g->distance = d;
        g->best = name;
    }
}
