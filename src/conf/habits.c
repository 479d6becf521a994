/* SPDX-License-Identifier: MIT */
#include "conf/habits.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

#define GROUPS_MAX 5        /* the whole, and \1 to \4 */
#define WRITTEN_LONGEST 200 /* bytes of what is worth looking at */

/* A POSIX extended regular expression, and the advice, where \1 stands for its first group. The
 * first row that fits is taken. */
struct habit {
    enum habit_place place;
    const char *pattern, *advice;
};

#define HOST "(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9._-]+)"
#define PORT "([0-9]+)"

/* clang-format off */
static const struct habit habits[] = {
    {HABIT_LISTEN, "^:" PORT "$", "write \\1 for this machine alone, or 0.0.0.0:\\1 for all addresses"},
    {HABIT_LISTEN, "^(ws|http|tcp|tcp4|tcp6)://" HOST ":" PORT "(/.*)?$", "write \\2:\\3"},
    {HABIT_LISTEN, "^(wss|https|tls|ssl)://" HOST ":" PORT "(/.*)?$", "write \\2:\\3, with --tls-cert FILE --tls-key FILE"},
    {HABIT_LISTEN, "^(ws-l|ws-listen|tcp-l|tcp-listen|TCP-LISTEN|TCP4-LISTEN):(.*[0-9])$", "write \\2"},
    {HABIT_LISTEN, "^([.]{0,2}/.*)$", "write unix:\\1"},
    {HABIT_LISTEN, "^(fd|sd|fd:.*|sd-listen|sd_listen_fds)$", "write systemd, for the sockets of a systemd unit"},
    {HABIT_LISTEN, "^" PORT "/(tcp|udp)$", "write \\1"},
    {HABIT_LISTEN, "^(.*[0-9]) (ssl|tls|http2|default_server).*$", "write \\1, with --tls-cert FILE --tls-key FILE"},
    {HABIT_LISTEN, "^(.*:" PORT ")/.*$", "write \\1"},
    {HABIT_LISTEN, "^(::1?)$", "write [\\1]:8080"},
    {HABIT_LISTEN, "^::" PORT "$", "write [::]:\\1"},
    {HABIT_LISTEN, "^([0-9a-fA-F:]+:[0-9a-fA-F]*):([0-9]{2,5})$", "write [\\1]:\\2"},
    {HABIT_LISTEN, "^([0-9]+[.][0-9.]+|[A-Za-z][A-Za-z0-9.-]*|\\[[0-9a-fA-F:]+\\])$", "write \\1:8080"},

    {HABIT_TARGET, "^:?" PORT "$", "write tcp://127.0.0.1:\\1"},
    {HABIT_TARGET, "^(echo|mirror|mirror:)$", "write echo:"},
    {HABIT_TARGET, "^(tcp|tls|udp):(//)?" PORT "$", "write \\1://127.0.0.1:\\3"},
    {HABIT_TARGET, "^(tcp|tls|udp):/?" HOST ":" PORT "$", "write \\1://\\2:\\3"},
    {HABIT_TARGET, "^(tcp|tls|udp)://" HOST ":" PORT "/.*$", "write \\1://\\2:\\3"},
    {HABIT_TARGET, "^(TCP|TCP4|TCP6|TCP-CONNECT|tcp-connect|tcp4|tcp6):/{0,2}" HOST ":" PORT "$", "write tcp://\\2:\\3"},
    {HABIT_TARGET, "^(SSL|OPENSSL|ssl|tcps|stunnel):/{0,2}" HOST ":" PORT "/?$", "write tls://\\2:\\3"},
    {HABIT_TARGET, "^(UDP|UDP4|UDP-CONNECT|udp-connect):/{0,2}" HOST ":" PORT "$", "write udp://\\2:\\3"},
    {HABIT_TARGET, "^(UNIX|UNIX-CONNECT|unix-connect|unix-stream):(.+)$", "write unix:\\2"},
    {HABIT_TARGET, "^(EXEC|SYSTEM|cmd|sh-c|exec-c|program):(.+)$", "write exec:\\2"},
    {HABIT_TARGET, "^(vncs|mqtts|rediss|ircs|amqps|ldaps|imaps|smtps)://" HOST ":" PORT "/?$", "write tls://\\2:\\3"},
    {HABIT_TARGET, "^(vnc|mqtt|redis|irc|amqp|ldap|imap|smtp|ssh|telnet|rdp|nats|postgres|postgresql|mysql)://" HOST ":" PORT "/?.*$", "write tcp://\\2:\\3"},
    {HABIT_TARGET, "^(http|https)://" HOST ":" PORT "(/.*)?$", "wsluice passes bytes and no HTTP; for a service that takes bytes write tcp://\\2:\\3"},
    {HABIT_TARGET, "^wss?://" HOST ":" PORT "(/.*)?$", "what speaks WebSocket itself needs no wsluice; for a service that takes bytes write tcp://\\1:\\2"},
    {HABIT_TARGET, "^" HOST ":" PORT "/?$", "write tcp://\\1:\\2"},
    {HABIT_TARGET, "^([.]{0,2}/.*[.]sock(et)?)$", "write unix:\\1"},
    {HABIT_TARGET, "^([.]{0,2}/.+)$", "write unix:\\1 for a socket, or exec:\\1 for a program"},
    {HABIT_TARGET, "^([a-z]+[A-Z][A-Za-z]*)=([0-9]+|true|false)$", "for a terminal page write --tty-preferences '{\"\\1\": \\2}'"},
    {HABIT_TARGET, "^([a-z]+[A-Z][A-Za-z]*|theme)=(.*)$", "for a terminal page write --tty-preferences '{\"\\1\": \"\\2\"}'"},
    {HABIT_TARGET, "^([A-Za-z0-9._-]+)$", "write exec:\\1 for a program, or tcp://\\1:PORT for a service"},
    {HABIT_TARGET, "^([A-Za-z0-9._-]+ .*)$", "write exec:\\1"},

    {HABIT_ROUTE, "^(/[^ =]*)[ :]((exec|pty|tcp|tls|udp|unix|token-file|echo):.*)$", "write '\\1=\\2'"},
    {HABIT_ROUTE, "^(/[^ =:]*)[ :]" HOST ":" PORT "$", "write \\1=tcp://\\2:\\3"},
    {HABIT_ROUTE, "^((exec|pty|tcp|tls|udp|unix|token-file|echo):.*)$", "write '/=\\1', with the path before it"},
    {HABIT_ROUTE, "^" HOST ":" PORT "$", "write /=tcp://\\1:\\2, with the path before it"},
    {HABIT_ROUTE, "^(/.*)$", "write \\1=tcp://HOST:PORT, or '\\1=exec:PROGRAM ARG...'"},
    {HABIT_ROUTE, "^([^/ =][^ =]*=(exec|pty|tcp|tls|udp|unix|token-file|echo):.*)$", "write '/\\1'"},

    {HABIT_COMMAND, "^wsl?-(l|listen):([^ ]+) (cmd|sh-c|exec|mirror):(.+)$", "write -l \\2 -- \\4"},
    {HABIT_COMMAND, "^wsl?-(l|listen):([^ ]+) (tcp|tcp-connect):([^ ]+)$", "write -l \\2 --to tcp://\\4"},
    {HABIT_COMMAND, "^wsl?-(l|listen):([^ ]+).*$", "write -l \\2, and behind it -- PROGRAM or --to ADDRESS"},
    {HABIT_COMMAND, "^(([^ /]+:)?[0-9]+) ([^ /]+:[0-9]+)$", "write -l \\1 --to tcp://\\3"},
    {HABIT_COMMAND, "^([0-9]+)$", "for the port write -l \\1, and behind it -- PROGRAM or --to ADDRESS"},
    {HABIT_COMMAND, "^([^ /]+:[0-9]+)$", "write --to tcp://\\1"},
    {HABIT_COMMAND, "^(([^ /]+:)?[0-9]+) (.+)$", "write -l \\1 -- \\3"},
    {HABIT_COMMAND, "^((tcp|tls|udp)://[^ ]+|unix:[^ ]+|token-file:[^ ]+|echo:)$", "write --to \\1"},
    {HABIT_COMMAND, "^(exec|cmd|sh-c):(.+)$", "write -- \\2"},
    {HABIT_COMMAND, "^pty:(.+)$", "write --pty -- \\1"},
    {HABIT_COMMAND, "^wss?://.*$", "wsluice serves and is no client; --console gives a route a page to try it by"},
    {HABIT_COMMAND, "^(/[^ =]*=(exec|pty|tcp|tls|udp|unix|token-file|echo):.*)$", "write --route '\\1'"},
    {HABIT_COMMAND, "^([^ ]+[.](ya?ml|conf|json))$", "for a configuration write -c \\1"},
    {HABIT_COMMAND, "^(check|test|configtest) ([^ ]+)$", "write --check -c \\2"},
    {HABIT_COMMAND, "^(serve|server|start|run|daemon) (.+)$", "leave \\1 out: write \\2"},
    {HABIT_COMMAND, "^(serve|server|start|run|daemon|check|test|configtest)$", "write -c FILE, with --check to check it"},
    {HABIT_COMMAND, "^(sessions|show|kick|ban|unban|bans|stats|top|metrics|reload|drain|log-level|health|ready)( .*)?$", "write wsluice ctl \\1\\2"},
    {HABIT_COMMAND, "^(help|version)$", "write wsluice --\\1"},
    {HABIT_COMMAND, "^(stop|restart|status|quit)$", "stop it by SIGTERM or wsluice ctl drain, look at it by wsluice ctl stats"},
    {HABIT_COMMAND, "^[^ ]*[.](html?|css|js)$", "to serve files write --static DIR"},

    {HABIT_VALUE, "^log-level (warning)$", "write warn"},
    {HABIT_VALUE, "^log-level (notice|access)$", "write info"},
    {HABIT_VALUE, "^log-level (trace|verbose|all)$", "write debug"},
    {HABIT_VALUE, "^log-level (fatal|crit|critical|emerg)$", "write error"},
    {HABIT_VALUE, "^log-format (plain|logfmt|human)$", "write text"},
    {HABIT_VALUE, "^log-to (-|stdout|&1|1|console)$", "write stderr, or /dev/stdout"},
    {HABIT_VALUE, "^log-to (journal|journald|&2|2)$", "write stderr: the journal of a systemd unit takes that"},
    {HABIT_VALUE, "^log-to (none|off)$", "write /dev/null, or --log-level error"},
    {HABIT_VALUE, "^framing (binary|bytes|raw|none|chunked)$", "write stream"},
    {HABIT_VALUE, "^framing (line|newline|lf|text-lines|jsonl|ndjson|json)$", "write lines"},
    {HABIT_VALUE, "^framing (null|zero|print0)$", "write nul"},
    {HABIT_VALUE, "^framing (len|length|length-prefixed|uint32|len32be)$", "write len32"},
    {HABIT_VALUE, "^framing (jsonrpc|json-rpc|content-length|dap)$", "write lsp"},
    {HABIT_VALUE, "^framing (utf-?8|string)$", "write text"},
    {HABIT_VALUE, "^frames (bin|bytes|blob|stream)$", "write binary"},
    {HABIT_VALUE, "^frames (string|utf-?8|txt)$", "write text"},
    {HABIT_VALUE, "^compression (yes|true|1|deflate|permessage-deflate|gzip)$", "write on"},
    {HABIT_VALUE, "^compression (no|false|0|none)$", "write off"},
    {HABIT_VALUE, "^stderr (stdout|both|1|&1)$", "write merge"},
    {HABIT_VALUE, "^stderr (null|none|off|/dev/null)$", "write discard"},
    {HABIT_VALUE, "^stderr (inherit|stderr|2)$", "write log"},
    {HABIT_VALUE, "^auth ([A-Za-z0-9._-]+):.*$", "write --auth basic --auth-file FILE, after wsluice passwd FILE \\1"},
    {HABIT_VALUE, "^auth (password|passwd|htpasswd|on|yes)$", "write basic, with --auth-file FILE"},
    {HABIT_VALUE, "^auth (token|tokens|jwt|apikey)$", "write bearer, with --auth-file FILE"},
    {HABIT_VALUE, "^auth (cert|certificate|mtls|tls)$", "write client-cert"},
    {HABIT_VALUE, "^auth (off|no)$", "write none"},
    {HABIT_VALUE, "^proxy-protocol (on|yes|true|1|2)$", "write v2, or v1"},
    {HABIT_VALUE, "^(tls-client-cert|client-cert) (on|yes|true|required)$", "write require"},
    {HABIT_VALUE, "^(tls-client-cert|client-cert) (request|want|optional_no_ca)$", "write optional"},
    {HABIT_VALUE, "^static (reload|reopen|quit|stop)$", "for a running server write wsluice ctl reload or wsluice ctl drain"},
    {HABIT_VALUE, "^static ([0-9]+)$", "for the port write -l \\1"},
    {HABIT_VALUE, "^static (SIG[A-Z]+)$", "a program gets SIGTERM, then SIGKILL; see --stop-grace and --kill-grace"},
    {HABIT_VALUE, "^config ([A-Za-z0-9._-]+):.*$", "for a password write --auth basic --auth-file FILE, after wsluice passwd FILE \\1"},
    {HABIT_TIME, "^([0-9.]+) ?(s|sec|secs|second|seconds)$", "write \\1s"},
    {HABIT_TIME, "^([0-9.]+) ?(minute|minutes|mins)$", "write \\1m"},
    {HABIT_TIME, "^([0-9.]+) ?(hour|hours|hr|hrs)$", "write \\1h"},
    {HABIT_TIME, "^([0-9.]+) ?(msec|msecs|millis|milliseconds)$", "write \\1ms"},
    {HABIT_SIZE, "^([0-9.]+) ?(k|kb|kib|KB)$", "write \\1K"},
    {HABIT_SIZE, "^([0-9.]+) ?(mb|mib|MB|MiB)$", "write \\1M"},
    {HABIT_SIZE, "^([0-9.]+) ?(g|gb|gib|GB|GiB)$", "write \\1G"},

    {HABIT_YAML, "^(- )?([a-z-]+): ([A-Za-z0-9/][^\"#]*:)$", "write \\1\\2: \"\\3\""},
    {HABIT_YAML, "^(- )?([a-z-]+): (\\[[0-9a-fA-F:]+\\]:[0-9]+)$", "write \\1\\2: \"\\3\""},
    {HABIT_YAML, "^- (\\[[0-9a-fA-F:]+\\]:[0-9]+)$", "write - \"\\1\""},
    {HABIT_YAML, "^(- )?origin: [*]$", "write \\1origin: any"},
    {HABIT_YAML, "^(- )?([a-z-]+): ([*&!%@`{][^\"]*)$", "write \\1\\2: \"\\3\""},
    {HABIT_YAML, "^- ([*&!%@`][^\"]*)$", "write - \"\\1\""},
    {HABIT_YAML, "^(.*[[, ])([^]\"', []*[{][a-z0-9_]+[}][^]\"', []*)([],].*)$", "write \\1\"\\2\"\\3"},
    {HABIT_YAML, "^(- )?[a-z-]+: .* [a-z-]+: .*$", "write each key on a line of its own"},
    {HABIT_YAML, "^(- )?([a-z-]+):([^ ].*)$", "write \\1\\2: \\3"},
    {HABIT_YAML, "^([a-z-]+) ?= ?(.*)$", "the file is YAML: write \\1: \\2"},
    {HABIT_YAML, "^(server|http|events|location|upstream|global|defaults|frontend|backend|user|daemon|worker_processes|include)( .*|;|\\{)?$", "this is another program's file; `wsluice example` prints some of ours"},
    {HABIT_YAML, "^[a-z_]+ .*;( *#.*)?$", "this is another program's file; `wsluice example` prints some of ours"},
    {HABIT_YAML, "^\\[+[A-Za-z_.-]+\\]+$", "the file is YAML, not INI or TOML; `wsluice example` prints some"},
};

/* Options of others. Names have blanks between; {} in the advice is the value, or the example of
 * one where none was written. */
struct foreign {
    const char *names, *example, *advice;
};

static const struct foreign options[] = {
    {"p port listen-port", "8080", "write -l {} (or -l 0.0.0.0:{}, for all addresses)"},
    {"interface i", "127.0.0.1", "write -l {}:8080, with an address and no name of an interface, or -l unix:PATH"},
    {"address bind addr listen-address ip", "0.0.0.0", "write -l {}:8080"},
    {"staticdir web root www dir-static public webroot docroot I index", "DIR", "write --static {}"},
    {"devconsole", NULL, "write --console"},
    {"binary", NULL, "write --framing stream"},
    {"text", NULL, "write --framing text"},
    {"sameorigin O check-origin", NULL, "leave it out: it is the default"},
    {"passenv", "NAME", "write --pass-env {}"},
    {"maxforks max-clients m max-connections", "100", "write --max-sessions {}"},
    {"closems", "500", "write --stop-grace {}ms"},
    {"ssl ssl-only tls https S", NULL, "write --tls-cert FILE --tls-key FILE"},
    {"sslcert ssl-cert cert C certfile certificate", "FILE", "write --tls-cert {}"},
    {"sslkey ssl-key key K keyfile", "FILE", "write --tls-key {}"},
    {"ssl-ca A cafile ca", "FILE", "write --tls-client-cert require --tls-client-ca {}"},
    {"verify-client mtls", NULL, "write --tls-client-cert require --tls-client-ca FILE"},
    {"loglevel level", "debug", "write --log-level {}"},
    {"v verbose d debug", NULL, "write --log-level debug"},
    {"q quiet silent", NULL, "write --log-level warn"},
    {"log-file logfile log access-log", "FILE", "write --log-to {}"},
    {"syslog", NULL, "write --log-to syslog"},
    {"D daemon background", NULL, "it stays in the foreground; let systemd run it, or your shell by &"},
    {"dir cgidir", "DIR", "write --route /NAME=exec:{}/NAME for each program"},
    {"redirport", NULL, "write redirect-to-https: on at a listener of a file"},
    {"header header-ws header-http H auth-header", NULL, "a proxy in front does that; see docs/deploy.md"},
    {"unix-target unix", "/run/x.sock", "write --to unix:{}"},
    {"unix-listen", "/run/x.sock", "write -l unix:{}"},
    {"ssl-target", NULL, "write --to tls://HOST:PORT"},
    {"target backend upstream proxy connect service", "HOST:PORT", "write --to tcp://{}"},
    {"token-source target-config", "FILE", "write --route /=token-file:{}"},
    {"token-plugin", NULL, "write --route /=token-file:FILE"},
    {"auth-plugin web-auth auth-source", NULL, "write --auth basic --auth-file FILE, after wsluice passwd FILE NAME"},
    {"credential password htpasswd basic-auth users", NULL, "write --auth basic --auth-file FILE, after wsluice passwd FILE NAME"},
    {"token tokens bearer", NULL, "write --auth bearer --auth-file FILE"},
    {"heartbeat ping-interval P", "25", "write --ping {}s"},
    {"ping-timeout", "20", "write --pong-timeout {}s"},
    {"timeout", "300", "write --idle-timeout {}s"},
    {"W writable", NULL, "leave it out: clients may type, unless --read-only is given"},
    {"R readonly", NULL, "write --read-only"},
    {"client-option", NULL, "write --tty-preferences JSON"},
    {"T terminal-type term", "xterm-256color", "write --env TERM={}"},
    {"tty terminal shell", NULL, "write --pty -- PROGRAM"},
    {"w workdir chdir", "DIR", "write --cwd {}"},
    {"u uid", "NAME", "write --user {}"},
    {"g gid group", "GROUP", "write --user NAME:{}"},
    {"b base-path path prefix location", "/x", "write --route /x=ADDR, with the path before the address"},
    {"6 ipv6 prefer-ipv6", NULL, "write -l [::]:8080"},
    {"socket-owner U", NULL, "write --unix-mode 0660; its owner is who starts wsluice"},
    {"a url-arg", NULL, "a path captures arguments: write --route '/x/{name:[a-z]+}=exec:PROGRAM {name}'"},
    {"signal", NULL, "a program gets SIGTERM, then SIGKILL; see --stop-grace and --kill-grace"},
    {"o once run-once q exit-no-conn exit-on-eof E one-message", NULL, "leave it out: wsluice serves until it is stopped"},
    {"B browser", NULL, "leave it out: the log says which page to open"},
    {"exec command cmd e run program", NULL, "write -- PROGRAM ARG..."},
    {"line lines", NULL, "write --framing lines"},
    {"max-size max-frame-size max-payload buffer-size srv-buf-size B-size", "1M", "write --max-message {}"},
    {"cors origins allow-origin allowed-origins", "https://example.org", "write --origin {}"},
    {"worker workers threads processes n", NULL, "one process is one core's; more share a port by --reuse-port"},
    {"test configtest validate check-config", NULL, "write --check -c FILE"},
    {"conf config-file", "FILE", "write -c {}"},
    {"pid pidfile pid-file", NULL, "leave it out: it stays in the foreground and $! is its pid"},
    {"environment", "NAME=VALUE", "write --env {}"},
    {"compress deflate permessage-deflate", NULL, "write --compression on"},
    {"protocol subprotocols", "NAME", "write --subprotocol {}"},
    {"proxy-headers trust-proxy real-ip", NULL, "write --trusted-proxies 127.0.0.1"},
};

/* Keys of a file that other tools have, and what to write instead. */
static const struct foreign keys[] = {
    {"port", NULL, "write listen: 8080"},
    {"bind addr interface listener listeners server servers", NULL, "write listen: 127.0.0.1:8080"},
    {"command cmd program run args entrypoint", NULL, "write exec: [PROGRAM, ARG]"},
    {"shell terminal tty", NULL, "write pty: [PROGRAM, ARG]"},
    {"target backend upstream proxy proxy_pass connect service", NULL, "write to: tcp://HOST:PORT"},
    {"root staticdir dir www web public webroot", NULL, "write static: DIR"},
    {"url location prefix route", NULL, "write path: /x"},
    {"location locations paths endpoints handlers", NULL, "write routes: and below it - path: /x"},
    {"ssl ssl_certificate certificate certificates", NULL, "write tls: { cert: FILE, key: FILE } at an item of listen"},
    {"environment envs", NULL, "write env: { NAME: VALUE }"},
    {"timeout", NULL, "write idle-timeout: 5m"},
    {"heartbeat keepalive", NULL, "write ping: 25s"},
    {"workers threads processes worker_processes", NULL, "one process is one core's; more share a port by reuse-port: on"},
    {"log logging", NULL, "write log-to: FILE"},
    {"loglevel", NULL, "write log-level: info"},
    {"users password passwords credentials", NULL, "write auth: basic and auth-file: FILE"},
    {"tokens token", NULL, "write auth: bearer and auth-file: FILE"},
    {"cors allow-origin", NULL, "write origin: [https://example.org]"},
    {"websocket ws", NULL, "leave it out: every route with to, exec or pty is one"},
};
/* clang-format on */

/* ---- the advice with what was written in it ---- */

struct text {
    char *out;
    size_t n;
};

static void habits_add(struct text *t, const char *text, size_t n)
{
    size_t room = HABIT_ADVICE_MAX - 1 - t->n;

    memcpy(t->out + t->n, text, n < room ? n : room);
    t->n += n < room ? n : room;
    t->out[t->n] = '\0';
}

static void expand(const char *advice, const char *written, const regmatch_t *groups, char *out)
{
    struct text t = {.out = out};

    for (const char *p = advice; *p != '\0'; p++) {
        const regmatch_t *g =
            p[0] == '\\' && p[1] >= '1' && p[1] < '0' + GROUPS_MAX ? &groups[p[1] - '0'] : NULL;

        if (g == NULL) {
            habits_add(&t, p, 1);
            continue;
        }
        if (g->rm_so >= 0)
            habits_add(&t, written + g->rm_so, (size_t)(g->rm_eo - g->rm_so));
        p++;
    }
}

static bool habits_fits(const struct habit *h, const char *written, regmatch_t groups[GROUPS_MAX])
{
    regex_t compiled;
    bool found;

    if (regcomp(&compiled, h->pattern, REG_EXTENDED) != 0)
        return false; /* no memory; that they are right is tested */
    found = regexec(&compiled, written, GROUPS_MAX, groups, 0) == 0;
    regfree(&compiled);
    return found;
}

bool habits_find(enum habit_place place, const char *written, char out[HABIT_ADVICE_MAX])
{
    regmatch_t groups[GROUPS_MAX];

    out[0] = '\0';
    if (strlen(written) > WRITTEN_LONGEST)
        return false;
    for (size_t i = 0; i < sizeof habits / sizeof habits[0]; i++) {
        if (habits[i].place != place || !habits_fits(&habits[i], written, groups))
            continue;
        expand(habits[i].advice, written, groups, out);
        return true;
    }
    return false;
}

/* ---- names ---- */

static bool has_name(const char *names, struct slice name)
{
    struct slice rest = slice_from(names);

    while (rest.p != NULL) {
        if (slice_eq(slice_cut(rest, ' ', &rest), name))
            return true;
    }
    return false;
}

static void fill(const char *advice, const char *value, char *out)
{
    struct text t = {.out = out};

    for (const char *p = advice; *p != '\0'; p++) {
        if (value == NULL || p[0] != '{' || p[1] != '}') {
            habits_add(&t, p, 1);
            continue;
        }
        habits_add(&t, value, strlen(value));
        p++;
    }
}

static bool find_name(const struct foreign *rows, size_t count, struct slice name,
                      const char *value, char out[HABIT_ADVICE_MAX])
{
    for (size_t i = 0; i < count; i++) {
        if (!has_name(rows[i].names, name))
            continue;
        bool take = value != NULL && value[0] != '\0' && strlen(value) <= WRITTEN_LONGEST / 2;
        fill(rows[i].advice, rows[i].example != NULL && take ? value : rows[i].example, out);
        return true;
    }
    return false;
}

bool habits_find_option(struct slice name, const char *value, char out[HABIT_ADVICE_MAX])
{
    return find_name(options, sizeof options / sizeof options[0], name, value, out);
}

bool habits_find_key(const char *name, char out[HABIT_ADVICE_MAX])
{
    return find_name(keys, sizeof keys / sizeof keys[0], slice_from(name), NULL, out);
}
