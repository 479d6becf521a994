/* SPDX-License-Identifier: MIT */
#include "conf/options.h"

#include <string.h>

static const char *const frames_choices[] = {"framing", "text", "binary", NULL};
static const char *const utf8_choices[] = {"replace", "close", "binary", NULL};
static const char *const stderr_choices[] = {"log", "merge", "discard", "message", NULL};
static const char *const over_choices[] = {"hold", "close", NULL};
static const char *const record_choices[] = {"both", "output", NULL};
static const char *const compression_choices[] = {"off", "on", "takeover", NULL};
static const char *const join_choices[] = {"kind", "takeover", "write", NULL};
static const char *const page_choices[] = {"auto", "terminal", "console", "off", NULL};
static const char *const errors_choices[] = {"http", "close", NULL};
static const char *const forwarded_choices[] = {"x-forwarded", "forwarded", NULL};
static const char *const source_choices[] = {"session", "client", "off", NULL};
static const char *const proxy_choices[] = {"off", "v1", "v2", NULL};
static const char *const auth_choices[] = {"none", "basic", "bearer", "client-cert", "hook", NULL};
static const char *const client_choices[] = {"off", "optional", "require", NULL};
static const char *const level_choices[] = {"error", "warn", "info", "debug", NULL};
static const char *const format_choices[] = {"text", "json", NULL};
static const char *const shell_choices[] = {"none", "bash", "zsh", "fish", NULL};

#define CONFIG(field) IN_CONFIG, offsetof(struct config, field), RELOAD_NEW
#define CONFIG_FIXED(field) IN_CONFIG, offsetof(struct config, field), RELOAD_RESTART
#define SETTING(field) IN_SETTINGS, offsetof(struct settings, field), RELOAD_NEW
#define ROUTE(field) IN_ROUTE, offsetof(struct route, field), RELOAD_NEW
#define LISTEN(field) IN_LISTEN, offsetof(struct listen_spec, field), RELOAD_NEW
#define CERT(field) IN_CERT, offsetof(struct tlsctx_cert, field), RELOAD_NEW
#define NODES(place) place, 0, RELOAD_NEW
#define CLI(field) IN_COMMAND_LINE, offsetof(struct command_line, field), RELOAD_RESTART

#define DAY 86400.0

/* clang-format off */
const struct option_row option_rows[] = {
    {"listen", 'l', OPTION_REPEAT, CLI(listen), "ADDR", NULL, NULL, 0, 0,
     "where to listen: PORT, HOST:PORT, [V6]:PORT, unix:PATH or systemd[:NAME]; port 0 picks one; repeat for several (127.0.0.1:8080)"},
    {"to", 't', OPTION_TEXT, ROUTE(target.text), "ADDR", NULL, NULL, 0, 0,
     "the service behind the path (on the command line: every path): tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, udp://HOST:PORT or echo:"},
    {"route", 'r', OPTION_REPEAT, CLI(routes), "PATH=ADDR", NULL, NULL, 0, 0,
     "what is behind one path; ADDR as for --to, or exec:PROGRAM ARG... or pty:PROGRAM ARG...; repeat for several"},
    {"pty", 0, OPTION_FLAG, CLI(pty), NULL, "off", NULL, 0, 0,
     "run COMMAND on a terminal; its clients may speak the protocol of ttyd's (subprotocol tty), or plain bytes"},
    {"framing", 'f', OPTION_TEXT, SETTING(framing_name), "NAME", NULL, NULL, 0, 0,
     "how messages become bytes and back: lines, crlf, stream, text, nul, len32, len32le, netstring, lsp or tagged; hub is for shared sessions; datagram is always and only for udp:// (lines for programs, stream for services and terminals)"},
    {"frames", 0, OPTION_CHOICE, SETTING(frames), "TYPE", "framing", frames_choices, 0, 0,
     "type of the frames to the client: text, binary, or as the framing has it"},
    {"partial-lines", 0, OPTION_TIME, SETTING(partial_lines), "TIME", "0", NULL, 0, DAY,
     "after so long a silence an unfinished line goes out as a message, for prompts; 0: never"},
    {"invalid-utf8", 0, OPTION_CHOICE, SETTING(invalid_utf8), "DO", "replace", utf8_choices, 0, 0,
     "what becomes of text from the backend that is not UTF-8: replace, close or binary"},
    {"eof-on-empty", 0, OPTION_FLAG, SETTING(eof_on_empty), NULL, "off", NULL, 0, 0,
     "an empty message from the client means end of input"},
    {"read-only", 0, OPTION_FLAG, SETTING(read_only), NULL, "off", NULL, 0, 0,
     "what clients send is dropped, and counted; they only watch"},
    {"unbuffer", 0, OPTION_FLAG, SETTING(unbuffer), NULL, "off", NULL, 0, 0,
     "exec: give the program a terminal to write to, so that it does not hold its output back"},
    {"tty-preferences", 0, OPTION_TEXT, SETTING(tty_preferences), "JSON", NULL, NULL, 0, 0,
     "pty: settings for clients of the subprotocol tty, an object of xterm.js's options"},
    {"subprotocol", 0, OPTION_LIST, SETTING(subprotocols), "LIST", NULL, NULL, 0, 0,
     "subprotocols to accept, commas between; the client's first that is listed is chosen"},
    {"origin", 0, OPTION_LIST, SETTING(origins), "LIST", NULL, NULL, 0, 0,
     "pages that may connect: any, or exact origins (https://example.org), commas between; https://*.example.org stands for all below (same-origin)"},
    {"host", 0, OPTION_LIST, CONFIG(hosts), "LIST", NULL, NULL, 0, 0,
     "names that we go by, besides addresses and localhost: example.org, *.example.org, commas between; others are refused; any: no check"},
    {"static", 's', OPTION_TEXT, ROUTE(static_dir), "DIR", NULL, NULL, 0, 0,
     "serve the files below DIR on plain GET; the page lives beside the WebSocket"},
    {"headers", 0, OPTION_PAIRS, SETTING(headers), "NAME=VALUE", NULL, NULL, 0, 0,
     "a header field of answers with files, such as Cross-Origin-Opener-Policy=same-origin; repeat for several"},
    {"page", 0, OPTION_CHOICE, SETTING(page), "PAGE", "auto", page_choices, 0, 0,
     "what a browser sees on plain GET of a route's path: a terminal, the console to try it by hand, or off: nothing; auto: a terminal where a program is on one and there are no files, else as console says"},
    {"console", 0, OPTION_FLAG, SETTING(console), NULL, "off", NULL, 0, 0,
     "the same as page console, where page is auto"},
    {"errors", 0, OPTION_CHOICE, SETTING(errors), "HOW", "http", errors_choices, 0, 0,
     "how a client learns that the backend cannot be opened: an http status, or a close code (which page script sees)"},
    {"stderr", 0, OPTION_CHOICE, SETTING(stderr_mode), "TO", "log", stderr_choices, 0, 0,
     "where a program's stderr goes: log, merge (with its stdout), discard, or message (to the client, each message then begins with a byte that tells them apart)"},
    {"cwd", 0, OPTION_TEXT, SETTING(cwd), "DIR", NULL, NULL, 0, 0, "where programs run"},
    {"env", 0, OPTION_PAIRS, SETTING(env), "NAME=VALUE", NULL, NULL, 0, 0, "a variable for programs; repeat for several"},
    {"pass-env", 0, OPTION_LIST, SETTING(pass_env), "LIST", NULL, NULL, 0, 0,
     "names of our own variables to pass to programs, commas between"},
    {"signals", 0, OPTION_LIST, SETTING(signals), "LIST", NULL, NULL, 0, 0,
     "exec: signals that clients may send to the program, by the subprotocol channels.wsluice: INT, commas between"},
    {"run-as", 0, OPTION_TEXT, SETTING(run_as), "NAME[:GROUP]", NULL, NULL, 0, 0,
     "whose process a program is (ours)"},
    {"rlimits", 0, OPTION_PAIRS, SETTING(rlimits), "NAME=LIMIT", NULL, NULL, 0, 0,
     "a limit for programs, SOFT[:HARD] or unlimited: as, core, cpu, data, fsize, memlock, msgqueue, nofile, nproc, sigpending, stack; repeat for several"},
    {"umask", 0, OPTION_TEXT, SETTING(umask), "OCTAL", NULL, NULL, 0, 0, "permissions that files made by programs do not get (ours)"},
    {"nice", 0, OPTION_COUNT, SETTING(nice), "N", "0", NULL, 0, 19, "how much programs step back for others, added to our own"},
    {"read-paths", 0, OPTION_LIST, SETTING(read_paths), "LIST", NULL, NULL, 0, 0,
     "all that programs can read and execute, by Landlock: files and folders with what is below, commas between; any: no limit (any)"},
    {"write-paths", 0, OPTION_LIST, SETTING(write_paths), "LIST", NULL, NULL, 0, 0,
     "all that programs can write and read, likewise; none: nothing (none with read-paths, else any)"},
    {"ping", 0, OPTION_TIME, SETTING(ping), "TIME", "25s", NULL, 0, DAY,
     "heartbeat when either direction was silent that long; 0: off"},
    {"pong-timeout", 0, OPTION_TIME, SETTING(pong_timeout), "TIME", "20s", NULL, 0.001, DAY,
     "a client that answers no heartbeat for that long is dropped; any byte from it counts"},
    {"idle-timeout", 0, OPTION_TIME, SETTING(idle_timeout), "TIME", "0", NULL, 0, 365 * DAY,
     "close a session without data for that long, heartbeats not counted; 0: never"},
    {"stall-timeout", 0, OPTION_TIME, SETTING(stall_timeout), "TIME", "60s", NULL, 0.01, DAY,
     "close when one side takes not a byte of what waits for it for that long"},
    {"connect-timeout", 0, OPTION_TIME, SETTING(connect_timeout), "TIME", "5s", NULL, 0.001, 3600,
     "for reaching a service, its name's lookup included"},
    {"connect-retry", 0, OPTION_TIME, SETTING(connect_retry), "TIME", "300ms", NULL, 0, 3600,
     "how long a service that refuses is asked again, within connect-timeout, as it may be restarting; 0: not"},
    {"handshake-timeout", 0, OPTION_TIME, CONFIG(handshake_timeout), "TIME", "10s", NULL, 0.01, 3600,
     "for a whole request head to arrive, and the first message of a client with the subprotocol tty"},
    {"max-head", 0, OPTION_SIZE, CONFIG(max_head), "SIZE", "32K", NULL, 1024, 65536,
     "largest request head; single sign-on may bring cookies of many KiB"},
    {"close-timeout", 0, OPTION_TIME, SETTING(close_timeout), "TIME", "5s", NULL, 0.01, 3600,
     "for the client to answer our Close"},
    {"udp-idle-timeout", 0, OPTION_TIME, SETTING(udp_idle_timeout), "TIME", "5m", NULL, 0, 365 * DAY,
     "idle-timeout of udp:// services, where nothing else tells that a session is over, while that is 0; 0: never"},
    {"udp-source", 0, OPTION_CHOICE, SETTING(udp_source), "WHOSE", "session", source_choices, 0, 0,
     "to udp:// services in 127.0.0.0/8 we speak from an address of that network of its own for each session, or for each client, or off"},
    {"udp-rate", 0, OPTION_RATE, SETTING(udp_rate), "RATE", "0", NULL, 0, 0,
     "datagrams from one session to a udp:// service; what is over is dropped; 0: no limit"},
    {"udp-queue", 0, OPTION_COUNT, SETTING(udp_queue), "N", "64", NULL, 1, 65536,
     "datagrams that wait for a client that does not keep up; then the oldest are dropped"},
    {"udp-queue-age", 0, OPTION_TIME, SETTING(udp_queue_age), "TIME", "500ms", NULL, 0.001, 3600,
     "older ones among them are dropped"},
    {"session", 0, OPTION_TEXT, SETTING(session_text), "WHOSE", "connection", NULL, 0, 0,
     "whose a session is, and so what it outlives: connection, token, user, a room as '{name}' of captures, or shared"},
    {"detach", 0, OPTION_TIME, SETTING(detach), "TIME", "2m", NULL, 0, 365 * DAY,
     "with session: how long a session stays when its last client has gone"},
    {"replay", 0, OPTION_SIZE, SETTING(replay), "SIZE", "256K", NULL, 4096, 64 << 20,
     "with session: memory for its last messages, which clients that come get first"},
    {"join", 0, OPTION_CHOICE, SETTING(join), "HOW", "kind", join_choices, 0, 0,
     "with session: a client that comes takes over from the one that is there, or all write; kind: takeover for token and user, write for rooms and shared"},
    {"stop-grace", 0, OPTION_TIME, SETTING(stop_grace), "TIME", "2s", NULL, 0, 3600,
     "when the client has left: how long the backend may take none of the input that is left, before a program gets "
     "SIGTERM, the connection to a service is closed"},
    {"kill-grace", 0, OPTION_TIME, SETTING(kill_grace), "TIME", "5s", NULL, 0, 3600, "from SIGTERM to SIGKILL"},
    {"drain-delay", 0, OPTION_TIME, CONFIG(drain_delay), "TIME", "0", NULL, 0, 3600,
     "after our SIGTERM: so long we still accept, while /readyz already says no"},
    {"drain-timeout", 0, OPTION_TIME, CONFIG(drain_timeout), "TIME", "30s", NULL, 0, DAY,
     "from our own SIGTERM to the end, whatever still runs"},
    {"upgrade-timeout", 0, OPTION_TIME, CONFIG(upgrade_timeout), "TIME", "60s", NULL, 0.01, DAY,
     "for a successor that SIGUSR2 has started to serve; then it is killed and this process goes on"},
    {"max-sessions", 0, OPTION_COUNT, CONFIG(max_sessions), "N", "0", NULL, 0, 1e9,
     "sessions at once; 0: what the descriptor limit allows"},
    {"max-replay", 0, OPTION_SIZE, CONFIG(max_replay), "SIZE", "256M", NULL, 65536, 1LL << 40,
     "memory of what all sessions keep to replay; at it nothing new with a key begins"},
    {"max-per-address", 0, OPTION_COUNT, CONFIG(max_per_address), "N", "256", NULL, 0, 1e9,
     "sessions at once from one address (IPv6: one /64); 0: no limit"},
    {"max-message", 0, OPTION_SIZE, SETTING(max_message), "SIZE", "1M", NULL, 1, 1024.0 * 1024 * 1024 - 4096,
     "largest message, where messages are put together (all framings but stream and text; echo)"},
    {"max-connect-rate", 0, OPTION_RATE, CONFIG(connect_rate), "RATE", "0", NULL, 0, 0,
     "new connections from all clients: 100/s, 6000/m, 100/s:500 with a burst of 500; above it 503; 0: no limit"},
    {"max-connect-rate-per-address", 0, OPTION_RATE, CONFIG(address_connect_rate), "RATE", "0", NULL, 0, 0,
     "new connections from one address (IPv6: one /64); above it 429; 0: no limit"},
    {"max-message-rate", 0, OPTION_RATE, SETTING(message_rate), "RATE", "0", NULL, 0, 0,
     "messages from the client of a session; above it over-rate says what happens; 0: no limit"},
    {"max-byte-rate", 0, OPTION_BYTE_RATE, SETTING(byte_rate), "RATE", "0", NULL, 0, 0,
     "bytes of payload from the client of a session: 64K/s, 64K/s:1M with a burst of 1M; 0: no limit"},
    {"over-rate", 0, OPTION_CHOICE, SETTING(over_rate), "DO", "hold", over_choices, 0, 0,
     "a client over its own rate is read more slowly (hold), or its session closed with 1008 (close)"},
    {"max-route-message-rate", 0, OPTION_RATE, SETTING(route_message_rate), "RATE", "0", NULL, 0, 0,
     "messages from all clients of a route together; above it they are read more slowly; 0: no limit"},
    {"max-route-byte-rate", 0, OPTION_BYTE_RATE, SETTING(route_byte_rate), "RATE", "0", NULL, 0, 0,
     "the same for bytes of payload; 0: no limit"},
    {"max-total-message-rate", 0, OPTION_RATE, CONFIG(total_message_rate), "RATE", "0", NULL, 0, 0,
     "messages from all clients; above it they are read more slowly; 0: no limit"},
    {"max-total-byte-rate", 0, OPTION_BYTE_RATE, CONFIG(total_byte_rate), "RATE", "0", NULL, 0, 0,
     "the same for bytes of payload; 0: no limit"},
    {"ban-file", 0, OPTION_TEXT, CONFIG(ban_file), "FILE", NULL, NULL, 0, 0,
     "addresses and networks to turn away, one a line, # begins a comment; read again on reload and when it has changed"},
    {"compression", 0, OPTION_CHOICE, SETTING(compression), "HOW", "off", compression_choices, 0, 0,
     "permessage-deflate, for clients that offer it: off, on (each message by itself) or takeover (streams that remember, with memory for each session)"},
    {"compression-level", 0, OPTION_COUNT, SETTING(compression_level), "N", "3", NULL, 1, 9,
     "how hard to compress, from 1 (fast) to 9 (small)"},
    {"compression-min", 0, OPTION_SIZE, SETTING(compression_min), "SIZE", "256", NULL, 0, 1024.0 * 1024,
     "shorter messages to the client are sent as they are"},
    {"compression-window", 0, OPTION_COUNT, SETTING(compression_window), "BITS", "12", NULL, 9, 15,
     "with takeover: size of the windows, 2^BITS bytes, which sets a session's memory"},
    {"tls-cert", 0, OPTION_TEXT, CONFIG(tls.cert), "FILE", NULL, NULL, 0, 0,
     "PEM certificate and chain: serve wss:// and https:// instead of ws:// and http://"},
    {"tls-key", 0, OPTION_TEXT, CONFIG(tls.key), "FILE", NULL, NULL, 0, 0,
     "PEM key of the certificate; not readable for others"},
    {"tls-ocsp", 0, OPTION_TEXT, CONFIG(tls.ocsp), "FILE", NULL, NULL, 0, 0,
     "DER file with an OCSP response about the certificate, to be stapled; read again when it changes"},
    {"tls-client-cert", 0, OPTION_CHOICE, CONFIG(client_cert), "WHETHER", "off", client_choices, 0, 0,
     "whether clients are to show a certificate: off, optional (they are told apart by SSL_CLIENT_VERIFY) or require"},
    {"tls-client-ca", 0, OPTION_TEXT, CONFIG(client_ca), "FILE", NULL, NULL, 0, 0,
     "PEM certificates of the authorities that clients' certificates must come from"},
    {"backend-ca", 0, OPTION_TEXT, SETTING(tls.ca), "FILE", NULL, NULL, 0, 0,
     "PEM certificates that a tls:// service's certificate must come from, or be one of (the system's authorities)"},
    {"backend-cert", 0, OPTION_TEXT, SETTING(tls.cert), "FILE", NULL, NULL, 0, 0,
     "PEM certificate and chain to show to a tls:// service"},
    {"backend-key", 0, OPTION_TEXT, SETTING(tls.key), "FILE", NULL, NULL, 0, 0,
     "PEM key of that certificate; not readable for others"},
    {"backend-servername", 0, OPTION_TEXT, SETTING(tls.name), "NAME", NULL, NULL, 0, 0,
     "the name to ask a tls:// service for and to find in its certificate, instead of its address's host"},
    {"backend-alpn", 0, OPTION_TEXT, SETTING(tls.alpn), "LIST", NULL, NULL, 0, 0,
     "the protocols to offer to a tls:// service (ALPN), commas between: postgresql for PostgreSQL 17 with direct TLS, which asks for it"},
    {"backend-verify", 0, OPTION_FLAG, SETTING(tls.verify), NULL, "on", NULL, 0, 0,
     "verify the certificates of tls:// services"},
    {"cgroup", 0, OPTION_TEXT, CONFIG_FIXED(cgroup), "WHERE", NULL, NULL, 0, 0,
     "a control group for each program, so that all it starts ends with it: below ours (auto), or below a folder of cgroup2"},
    {"user", 0, OPTION_TEXT, CONFIG_FIXED(user), "NAME[:GROUP]", NULL, NULL, 0, 0,
     "whom to become once everything is open, without capabilities that are not needed; root: stay root"},
    {"no-new-privs", 0, OPTION_FLAG, SETTING(no_new_privs), NULL, "on", NULL, 0, 0,
     "programs cannot gain privileges by set-user-ID files"},
    {"trusted-proxies", 0, OPTION_LIST, CONFIG(trusted_texts), "LIST", NULL, NULL, 0, 0,
     "networks of proxies in front of us that may say who the client is (10.0.0.0/8, ::1, unix), commas between"},
    {"forwarded-header", 0, OPTION_CHOICE, CONFIG(forwarded_header), "NAME", "x-forwarded", forwarded_choices, 0, 0,
     "which header trusted proxies write: x-forwarded (-For, -Proto, -Host, -Port) or forwarded (RFC 7239); the other is a client's word"},
    {"accept-proxy", 0, OPTION_FLAG, CONFIG(accept_proxy), NULL, "off", NULL, 0, 0,
     "every connection begins with a PROXY header (version 1 or 2), from trusted proxies only; in a file listeners can differ"},
    {"proxy-protocol", 0, OPTION_CHOICE, SETTING(send_proxy), "VERSION", "off", proxy_choices, 0, 0,
     "tell services who the client is by a PROXY header: off, v1, or v2 (with the name asked for, TLS and UNIQUE_ID)"},
    {"preamble", 0, OPTION_TEXT, SETTING(preamble), "TEXT", NULL, NULL, 0, 0,
     "what services are told before the client's first byte, such as a WEBIRC line: a text with {client_address} and other values"},
    {"preamble-secret", 0, OPTION_TEXT, SETTING(preamble_secret), "FILE", NULL, NULL, 0, 0,
     "file of the word that stands for {secret} in the preamble; not readable for others"},
    {"unix-mode", 0, OPTION_MODE, CONFIG(unix_mode), "OCTAL", "0660", NULL, 0, 0,
     "permissions of Unix sockets we listen on"},
    {"reuse-port", 0, OPTION_FLAG, CONFIG(reuse_port), NULL, "off", NULL, 0, 0,
     "let several processes listen on one port (SO_REUSEPORT)"},
    {"dns-servers", 0, OPTION_TEXT, CONFIG(dns_servers), "LIST", NULL, NULL, 0, 0,
     "ask these name servers instead of the system's: ADDR[:PORT], commas between"},
    {"admin", 0, OPTION_TEXT, CONFIG(admin), "ADDR", NULL, NULL, 0, 0,
     "where to ask for health, metrics and sessions, and to give orders: unix:PATH or a loopback address"},
    {"record", 0, OPTION_TEXT, SETTING(record), "DIR", NULL, NULL, 0, 0,
     "record sessions into files below DIR, as asciicast v2 (text) or JSON lines (binary); off: not (off)"},
    {"record-what", 0, OPTION_CHOICE, SETTING(record_what), "WHAT", "both", record_choices, 0, 0,
     "both directions, or only the output to the client: both or output"},
    {"record-max", 0, OPTION_SIZE, SETTING(record_max), "SIZE", "64M", NULL, 32768, 1e12,
     "largest file of a recording; then the next is begun"},
    {"record-files", 0, OPTION_COUNT, SETTING(record_files), "N", "8", NULL, 0, 1e9,
     "newest files of one session that are kept; 0: all"},
    {"auth", 0, OPTION_CHOICE, SETTING(auth), "HOW", "none", auth_choices, 0, 0,
     "who may use a route: anybody (none), or whoever has a password (basic), a token (bearer), a client-cert, or the word of a hook"},
    {"auth-file", 0, OPTION_TEXT, SETTING(auth_file), "FILE", NULL, NULL, 0, 0,
     "for basic: users and hashes, as wsluice passwd makes them; for bearer: tokens, one a line, a name may stand before each"},
    {"auth-realm", 0, OPTION_TEXT, SETTING(auth_realm), "NAME", "wsluice", NULL, 0, 0,
     "what a password or token is asked for"},
    {"auth-hook", 0, OPTION_REPEAT, SETTING(auth_hook), "WORD", NULL, NULL, 0, 0,
     "who is asked: a program and its arguments, one word each time, or http://HOST:PORT/PATH"},
    {"auth-cache", 0, OPTION_TIME, SETTING(auth_cache), "TIME", "5m", NULL, 0, DAY,
     "a password or answer of a hook that was good is not checked again for that long; 0: always"},
    {"log-level", 0, OPTION_CHOICE, CONFIG(log_level), "L", "info", level_choices, 0, 0,
     "error, warn, info or debug"},
    {"log-format", 0, OPTION_CHOICE, CONFIG(log_format), "F", "text", format_choices, 0, 0, "text or json"},
    {"log-to", 0, OPTION_TEXT, CONFIG_FIXED(log_to), "WHERE", "stderr", NULL, 0, 0,
     "where the log goes: stderr, syslog, or a file, which SIGUSR1 opens anew"},
    {"syslog-socket", 0, OPTION_TEXT, CONFIG_FIXED(syslog_socket), "PATH", "/dev/log", NULL, 0, 0,
     "where the syslog daemon listens"},
    {"log-query", 0, OPTION_FLAG, CONFIG(log_query), NULL, "off", NULL, 0, 0,
     "log query strings, which may hold secrets"},
    {"config", 'c', OPTION_TEXT, CLI(file), "FILE", NULL, NULL, 0, 0,
     "read this file (YAML); options on the command line are stronger than its top level"},
    {"check", 0, OPTION_FLAG, CLI(check), NULL, "off", NULL, 0, 0,
     "read and check everything, list all faults, and exit"},
    {"dump-config", 0, OPTION_FLAG, CLI(dump_config), NULL, "off", NULL, 0, 0,
     "print the effective configuration as a file and exit"},
    {"help-config", 0, OPTION_FLAG, CLI(help_config), NULL, "off", NULL, 0, 0,
     "print all keys of the file and exit"},
    {"dump-schema", 0, OPTION_FLAG, CLI(dump_schema), NULL, "off", NULL, 0, 0,
     "print a JSON Schema of the file and exit"},
    {"completion", 0, OPTION_CHOICE, CLI(completion), "SHELL", "none", shell_choices, 0, 0,
     "print a script that completes our options and exit: none, bash, zsh or fish"},
    {"help", 'h', OPTION_FLAG, CLI(help), NULL, "off", NULL, 0, 0, "print what is used most and exit"},
    {"help-all", 0, OPTION_FLAG, CLI(help_all), NULL, "off", NULL, 0, 0, "print this and exit"},
    {"version", 'V', OPTION_FLAG, CLI(version), NULL, "off", NULL, 0, 0, "print versions and exit"},
};

const struct option_row file_rows[] = {
    {"listen", 0, OPTION_NODES, NODES(IN_CONFIG), "LIST", NULL, NULL, 0, 0,
     "where to listen: addresses, or maps with the keys below (127.0.0.1:8080)"},
    {"routes", 0, OPTION_NODES, NODES(IN_CONFIG), "LIST", NULL, NULL, 0, 0,
     "what is behind each path: maps with the keys below"},
    {"include", 0, OPTION_NODES, NODES(IN_CONFIG), "LIST", NULL, NULL, 0, 0,
     "further files, patterns as of the shell, relative to this file; they are read in the order of their names"},
    {"address", 0, OPTION_TEXT, LISTEN(text), "ADDR", NULL, NULL, 0, 0,
     "PORT, HOST:PORT, [V6]:PORT or unix:PATH; port 0 picks one"},
    {"name", 0, OPTION_TEXT, LISTEN(name), "NAME", NULL, NULL, 0, 0, "a name for the log"},
    {"mode", 0, OPTION_MODE, LISTEN(unix_mode), "OCTAL", NULL, NULL, 0, 0,
     "permissions of this Unix socket (unix-mode)"},
    {"reuse-port", 0, OPTION_FLAG, LISTEN(reuse_port), NULL, NULL, NULL, 0, 0,
     "let several processes listen on this port (reuse-port)"},
    {"accept-proxy", 0, OPTION_FLAG, LISTEN(accept_proxy), NULL, NULL, NULL, 0, 0,
     "every connection to this listener begins with a PROXY header, or none does (accept-proxy)"},
    {"tls", 0, OPTION_NODES, NODES(IN_LISTEN), "LIST", NULL, NULL, 0, 0,
     "serve wss:// and https:// here: one certificate, or a list of them, chosen by the name the client asks for (tls-cert and tls-key)"},
    {"client-cert", 0, OPTION_CHOICE, LISTEN(client_cert), "WHETHER", NULL, client_choices, 0, 0,
     "whether clients of this listener are to show a certificate (tls-client-cert)"},
    {"client-ca", 0, OPTION_TEXT, LISTEN(client_ca), "FILE", NULL, NULL, 0, 0,
     "PEM certificates of the authorities that their certificates must come from (tls-client-ca)"},
    {"redirect-to-https", 0, OPTION_FLAG, LISTEN(redirect), NULL, NULL, NULL, 0, 0,
     "of a plain listener: send browsers that ask for a page to https://, at the first listener with TLS (off)"},
    {"cert", 0, OPTION_TEXT, CERT(cert), "FILE", NULL, NULL, 0, 0, "PEM certificate and chain"},
    {"key", 0, OPTION_TEXT, CERT(key), "FILE", NULL, NULL, 0, 0, "PEM key of the certificate; not readable for others"},
    {"ocsp", 0, OPTION_TEXT, CERT(ocsp), "FILE", NULL, NULL, 0, 0,
     "DER file with an OCSP response about the certificate, to be stapled; read again when it changes"},
    {"path", 0, OPTION_TEXT, ROUTE(path), "PATH", "/", NULL, 0, 0,
     "a prefix on segment borders; a segment may be a capture, {name:pattern}, with a POSIX extended regular expression"},
    {"max-sessions", 0, OPTION_COUNT, ROUTE(max_sessions), "N", "0", NULL, 0, 1e9,
     "sessions at once on this route; 0: only the limit of all"},
    {"host", 0, OPTION_TEXT, ROUTE(host), "HOST", NULL, NULL, 0, 0,
     "only for this host: example.org, or *.example.org for all below it"},
    {"match-subprotocol", 0, OPTION_TEXT, ROUTE(match_subprotocol), "NAME", NULL, NULL, 0, 0,
     "only for clients that offer this subprotocol"},
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
