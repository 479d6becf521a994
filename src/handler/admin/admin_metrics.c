/* SPDX-License-Identifier: MIT */
#include "handler/admin/admin_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/self.h"
#include "core/admission/admission.h"
#include "core/admission/waiting.h"
#include "core/auth/auth.h"
#include "core/core.h"
#include "core/front.h"
#include "core/observe/stats.h"
#include "core/request.h"
#include "core/session/session.h"
#include "handler/admin/admin_body.h"
#include "io/child/child.h"

#define ROUTES_A_PIECE 16
#define OPENMETRICS "application/openmetrics-text"
#define LABELS_MAX (2 * STATS_PATH_MAX + 64)

/* One scrape under way. */
struct scrape {
    const struct worker *worker;
    bool open_metrics;
    size_t family, route; /* what comes next */
    struct self self;
    struct self_fds fds;
    bool counted;
};

struct family {
    const char *name; /* of counters without _total */
    enum { COUNTER, GAUGE, HISTOGRAM } type;
    const char *unit; /* the end of the name, or NULL */
    /* One sample or several of the whole worker; or, by_route, of one route with these labels. */
    void (*sample)(struct admin_out *out, const struct scrape *s, const struct family *f);
    void (*by_route)(struct admin_out *out, const struct family *f, const struct stats_route *r,
                     const char *labels);
    size_t offset; /* by_route: in struct stats_route */
    const struct stats_scale *scale;
    const char *help;
};

/* ---- samples ---- */

static const char *suffix(const struct family *f)
{
    return f->type == COUNTER ? "_total" : "";
}

static void put_count(struct admin_out *out, const struct family *f, const char *labels,
                      uint64_t value)
{
    bool none = labels[0] == '\0';

    admin_out_printf(out, "%s%s%s%s%s %llu\n", f->name, suffix(f), none ? "" : "{", labels,
                     none ? "" : "}", (unsigned long long)value);
}

static void put_real(struct admin_out *out, const struct family *f, double value)
{
    admin_out_printf(out, "%s%s %.17g\n", f->name, suffix(f), value);
}

static void put_histogram(struct admin_out *out, const struct family *f, const char *labels,
                          const struct stats_histogram *h)
{
    const char *comma = labels[0] != '\0' ? "," : "";
    bool none = labels[0] == '\0';
    uint64_t n = 0;

    for (size_t i = 0; i < f->scale->count; i++) {
        double bound = f->scale->bounds[i];

        n += h->buckets[i];
        admin_out_printf(out, "%s_bucket{%s%sle=\"%.10g%s\"} %llu\n", f->name, labels, comma, bound,
                         bound < 1 || (double)(uint64_t)bound < bound ? "" : ".0",
                         (unsigned long long)n);
    }
    n += h->buckets[f->scale->count];
    admin_out_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", f->name, labels, comma,
                     (unsigned long long)n);
    admin_out_printf(out, "%s_count%s%s%s %llu\n%s_sum%s%s%s %.17g\n", f->name, none ? "" : "{",
                     labels, none ? "" : "}", (unsigned long long)n, f->name, none ? "" : "{",
                     labels, none ? "" : "}", h->sum);
}

static const void *metrics_field(const struct family *f, const struct stats_route *r)
{
    return (const char *)r + f->offset;
}

static void route_count(struct admin_out *out, const struct family *f, const struct stats_route *r,
                        const char *labels)
{
    put_count(out, f, labels, *(const uint64_t *)metrics_field(f, r));
}

static void route_histogram(struct admin_out *out, const struct family *f,
                            const struct stats_route *r, const char *labels)
{
    put_histogram(out, f, labels, metrics_field(f, r));
}

/* Two counters beside each other in the struct, told apart by one more label. */
static void two(struct admin_out *out, const struct family *f, const char *labels,
                const char *label, const char *const names[2], const uint64_t values[2])
{
    char all[LABELS_MAX + 64];

    for (size_t i = 0; i < 2; i++) {
        snprintf(all, sizeof all, "%s,%s=\"%s\"", labels, label, names[i]);
        put_count(out, f, all, values[i]);
    }
}

static const char *const directions[] = {"in", "out"};

static void route_messages(struct admin_out *out, const struct family *f,
                           const struct stats_route *r, const char *labels)
{
    two(out, f, labels, "direction", directions,
        (const uint64_t[]){r->messages_in, r->messages_out});
}

static void route_bytes(struct admin_out *out, const struct family *f, const struct stats_route *r,
                        const char *labels)
{
    two(out, f, labels, "direction", directions, (const uint64_t[]){r->bytes_in, r->bytes_out});
}

static void route_compressed_plain(struct admin_out *out, const struct family *f,
                                   const struct stats_route *r, const char *labels)
{
    two(out, f, labels, "direction", directions,
        (const uint64_t[]){r->compressed_in.plain, r->compressed_out.plain});
}

static void route_compressed_wire(struct admin_out *out, const struct family *f,
                                  const struct stats_route *r, const char *labels)
{
    two(out, f, labels, "direction", directions,
        (const uint64_t[]){r->compressed_in.wire, r->compressed_out.wire});
}

static void route_stalls(struct admin_out *out, const struct family *f, const struct stats_route *r,
                         const char *labels)
{
    two(out, f, labels, "side", stats_side_names, r->stalls);
}

/* Only what has happened: most pairs never do. Normal ends are always there, so that there is a
 * series from the first scrape on. */
static void route_closed(struct admin_out *out, const struct family *f, const struct stats_route *r,
                         const char *labels)
{
    char all[LABELS_MAX + 64];

    for (size_t class = 0; class < STATS_CLASSES; class ++) {
        for (size_t by = 0; by < STATS_BYS; by++) {
            if (r->closed[class][by] == 0 && class != STATS_NORMAL)
                continue;
            snprintf(all, sizeof all, "%s,class=\"%s\",by=\"%s\"", labels, stats_class_names[class],
                     stats_by_names[by]);
            put_count(out, f, all, r->closed[class][by]);
        }
    }
}

/* Of routes with datagrams all there are, so that there is a series from the first scrape on. */
static void route_datagrams(struct admin_out *out, const struct family *f,
                            const struct stats_route *r, const char *labels)
{
    char all[LABELS_MAX + 64];

    for (size_t side = 0; r->datagrams && side < STATS_SIDES; side++) {
        for (size_t why = 0; why < STATS_DROPS; why++) {
            snprintf(all, sizeof all, "%s,direction=\"%s\",reason=\"%s\"", labels,
                     directions[side == STATS_CLIENT], stats_drop_names[why]);
            put_count(out, f, all, r->datagrams_dropped[side][why]);
        }
    }
}

/* Only of routes whose sessions outlive their connections. */
static void kept_count(struct admin_out *out, const struct family *f, const struct stats_route *r,
                       const char *labels)
{
    if (r->kept.keeps)
        route_count(out, f, r, labels);
}

static void kept_attaches(struct admin_out *out, const struct family *f,
                          const struct stats_route *r, const char *labels)
{
    char all[LABELS_MAX + 64];

    for (size_t i = 0; r->kept.keeps && i < STATS_ATTACHES; i++) {
        snprintf(all, sizeof all, "%s,result=\"%s\"", labels, stats_attach_names[i]);
        put_count(out, f, all, r->kept.attaches[i]);
    }
}

static void metrics_refused(struct admin_out *out, const struct scrape *s, const struct family *f)
{
    const struct stats *st = core_of(s->worker)->stats;
    char label[32];

    for (size_t i = 0; i < STATS_STATUSES; i++) {
        snprintf(label, sizeof label, "status=\"%d\"", stats_statuses[i]);
        put_count(out, f, label, st->refused[i]);
    }
    put_count(out, f, "status=\"other\"", st->refused[STATS_STATUSES]);
}

static void turned_away(struct admin_out *out, const struct scrape *s, const struct family *f)
{
    char label[40];

    for (int v = ADMISSION_FIRST_REFUSAL; v < ADMISSION_VERDICTS; v++) {
        snprintf(label, sizeof label, "reason=\"%s\"", admission_names[v]);
        put_count(out, f, label,
                  admission_refused(core_of(s->worker)->admission, (enum admission_verdict)v));
    }
}

static void banned(struct admin_out *out, const struct scrape *s, const struct family *f)
{
    const struct admission_ban *all;

    put_count(out, f, "source=\"file\"", admission_file_count(core_of(s->worker)->admission));
    put_count(out, f, "source=\"order\"", admission_bans(core_of(s->worker)->admission, &all));
}

static void build(struct admin_out *out, const struct scrape *s, const struct family *f)
{
    (void)s;
    put_count(out, f, "version=\"" WSLUICE_VERSION "\"", 1);
}

static void reloads(struct admin_out *out, const struct scrape *s, const struct family *f)
{
    put_count(out, f, "result=\"ok\"", core_of(s->worker)->stats->reloads_ok);
    put_count(out, f, "result=\"failed\"", core_of(s->worker)->stats->reloads_failed);
}

#define WORKER_SAMPLE(name_, put_, value_)                                                   \
    static void name_(struct admin_out *out, const struct scrape *s, const struct family *f) \
    {                                                                                        \
        const struct worker *w = s->worker;                                                  \
        (void)w;                                                                             \
        put_(out, f, value_);                                                                \
    }
#define put_plain(out_, f_, value_) put_count(out_, f_, "", value_)
#define put_plain_histogram(out_, f_, value_) put_histogram(out_, f_, "", value_)

WORKER_SAMPLE(reload_well, put_plain, core_of(w)->stats->reload_well)
WORKER_SAMPLE(reload_time, put_real, core_of(w)->stats->reload_time)
WORKER_SAMPLE(sessions, put_plain, core_of(w)->sessions->count)
WORKER_SAMPLE(max_sessions, put_plain, core_of(w)->config->max_sessions)
WORKER_SAMPLE(replay, put_plain, core_of(w)->sessions->replay_memory)
WORKER_SAMPLE(max_replay, put_plain, core_of(w)->config->max_replay)
WORKER_SAMPLE(connections, put_plain, core_of(w)->connections->count)
WORKER_SAMPLE(programs, put_plain, child_count(w))
WORKER_SAMPLE(draining, put_plain, core_of(w)->draining)
WORKER_SAMPLE(accept_pauses, put_plain, w->accept_pauses)
WORKER_SAMPLE(out_of_memory, put_plain, w->out_of_memory)
WORKER_SAMPLE(shed, put_plain, waiting_shed(core_of(w)->waiting))
WORKER_SAMPLE(log_dropped, put_plain, w->log.dropped_total)
WORKER_SAMPLE(recordings_failed, put_plain, core_of(w)->recordings_failed)
WORKER_SAMPLE(ban_file_good, put_plain, admission_file_is_good(core_of(w)->admission))
WORKER_SAMPLE(auth_failures, put_plain, core_of(w)->auth->failures)
WORKER_SAMPLE(lag, put_plain_histogram, &core_of(w)->stats->lag)
WORKER_SAMPLE(longest_turn, put_real, stats_longest_turn(w))
WORKER_SAMPLE(cpu, put_real, s->self.cpu)
WORKER_SAMPLE(resident, put_plain, s->self.resident)
WORKER_SAMPLE(virtual_, put_plain, s->self.virtual_)
WORKER_SAMPLE(open_fds, put_plain, s->fds.count)
WORKER_SAMPLE(max_fds, put_plain, s->self.max_fds)
WORKER_SAMPLE(started, put_real, core_of(w)->stats->start_time)

/* ---- all there are ---- */

#define ROUTE(field_) .by_route = route_count, .offset = offsetof(struct stats_route, field_)
#define KEPT(field_) .by_route = kept_count, .offset = offsetof(struct stats_route, kept.field_)
#define ROUTE_TIMES(field_, scale_) \
    .by_route = route_histogram, .offset = offsetof(struct stats_route, field_), .scale = (scale_)

/* clang-format off */
static const struct family families[] = {
    {"wsluice_build_info", GAUGE, .sample = build, .help = "Always 1; the version is in the label."},
    {"wsluice_sessions", GAUGE, .sample = sessions,
     .help = "Sessions now, those included that are being opened or whose client has left."},
    {"wsluice_sessions_limit", GAUGE, .sample = max_sessions, .help = "Sessions there may be at once."},
    {"wsluice_sessions_active", GAUGE, ROUTE(active), .help = "Sessions that were opened and have not ended."},
    {"wsluice_sessions_opened", COUNTER, ROUTE(opened), .help = "Sessions that got their 101."},
    {"wsluice_sessions_closed", COUNTER, .by_route = route_closed,
     .help = "Sessions that ended, by class of the close code and who ended it first."},
    {"wsluice_session_duration_seconds", HISTOGRAM, "seconds", ROUTE_TIMES(duration, &stats_scale_long),
     .help = "How long sessions lasted, observed at their end."},
    {"wsluice_sessions_detached", GAUGE, KEPT(detached), .help = "Sessions that wait for a client to come back."},
    {"wsluice_session_clients", GAUGE, KEPT(clients), .help = "Clients of sessions that outlive their connections."},
    {"wsluice_session_attaches", COUNTER, .by_route = kept_attaches,
     .help = "Clients that came to sessions that outlive their connections, by what became of it."},
    {"wsluice_session_replayed_bytes", COUNTER, "bytes", KEPT(replayed),
     .help = "Payload of messages that were sent to clients that came later than they."},
    {"wsluice_session_gaps", COUNTER, KEPT(gaps),
     .help = "Clients sent away because messages they were to get were not kept any more."},
    {"wsluice_session_skipped_messages", COUNTER, KEPT(skipped), .help = "Messages that slow clients were not sent."},
    {"wsluice_replay_memory_bytes", GAUGE, "bytes", .sample = replay, .help = "Memory of what all sessions keep to replay."},
    {"wsluice_replay_memory_limit_bytes", GAUGE, "bytes", .sample = max_replay, .help = "The max-replay in force."},
    {"wsluice_requests_refused", COUNTER, .sample = metrics_refused,
     .help = "Requests answered with an error, by HTTP status. The admin door is not counted."},
    {"wsluice_authentication_failures", COUNTER, .sample = auth_failures,
     .help = "Passwords, tokens and other credentials that were wrong, told to the log or not."},
    {"wsluice_turned_away", COUNTER, .sample = turned_away,
     .help = "Connections, and WebSocket requests of clients behind proxies, turned away: banned, or over a rate of connections."},
    {"wsluice_bans", GAUGE, .sample = banned, .help = "Banned addresses and networks, by ban-file and by order."},
    {"wsluice_ban_file_last_read_successful", GAUGE, .sample = ban_file_good,
     .help = "0 when the ban-file was changed and could not be read: what it said before still holds."},
    {"wsluice_backend_open_seconds", HISTOGRAM, "seconds", ROUTE_TIMES(opening, &stats_scale_short),
     .help = "From wanting a backend to having it: starting the program, or connecting, the lookup included."},
    {"wsluice_backend_open_failures", COUNTER, ROUTE(not_opened), .help = "Backends that could not be opened."},
    {"wsluice_messages", COUNTER, .by_route = route_messages,
     .help = "Whole messages; in: from clients, out: to clients."},
    {"wsluice_payload_bytes", COUNTER, "bytes", .by_route = route_bytes,
     .help = "Payload of messages, without frame headers; in: from clients, out: to clients."},
    {"wsluice_compressed_plain_bytes", COUNTER, "bytes", .by_route = route_compressed_plain,
     .help = "Payload of messages that were compressed, as it is when it is not."},
    {"wsluice_compressed_wire_bytes", COUNTER, "bytes", .by_route = route_compressed_wire,
     .help = "Payload of the same messages as the wire carried it."},
    {"wsluice_dropped_bytes", COUNTER, "bytes", ROUTE(dropped),
     .help = "Bytes that nobody was left to take; what a backend has not taken is added when it ends."},
    {"wsluice_datagrams_dropped", COUNTER, .by_route = route_datagrams,
     .help = "Datagrams dropped, by direction (in: from clients) and reason: size, queue, rate, system."},
    {"wsluice_stalls", COUNTER, .by_route = route_stalls,
     .help = "How often this side was so slow that the other was held back."},
    {"wsluice_rate_holds", COUNTER, ROUTE(rate_holds),
     .help = "How often a client had to wait because it was over a rate of messages or bytes."},
    {"wsluice_pings", COUNTER, ROUTE(pings), .help = "Heartbeats sent, or due while data was on its way."},
    {"wsluice_heartbeat_losses", COUNTER, ROUTE(lost), .help = "Sessions dropped because the client did not answer."},
    {"wsluice_round_trip_seconds", HISTOGRAM, "seconds", ROUTE_TIMES(round_trip, &stats_scale_short),
     .help = "From a heartbeat to its answer."},
    {"wsluice_connections", GAUGE, .sample = connections, .help = "Client connections now, the admin door's included."},
    {"wsluice_programs", GAUGE, .sample = programs, .help = "Programs now, those included that are being ended."},
    {"wsluice_accept_pauses", COUNTER, .sample = accept_pauses,
     .help = "How often accepting was paused because descriptors or memory ran out."},
    {"wsluice_out_of_memory", COUNTER, .sample = out_of_memory,
     .help = "Connections and sessions that ended, or did not begin, for want of memory."},
    {"wsluice_connections_shed", COUNTER, .sample = shed,
     .help = "Connections that had asked for nothing and were closed to make room for others."},
    {"wsluice_recordings_failed", COUNTER, .sample = recordings_failed,
     .help = "Recordings that ended before their session, for want of space or by an error."},
    {"wsluice_log_lines_dropped", COUNTER, .sample = log_dropped,
     .help = "Log lines lost because standard error was too slow."},
    {"wsluice_loop_lag_seconds", HISTOGRAM, "seconds", .sample = lag, .scale = &stats_scale_short,
     .help = "How late a timer of one second is, once a second."},
    {"wsluice_loop_longest_turn_seconds", GAUGE, "seconds", .sample = longest_turn,
     .help = "The longest turn of the event loop in the last minute; 0: none was longer than a tick of the system."},
    {"wsluice_draining", GAUGE, .sample = draining, .help = "1 from the order to stop on."},
    {"wsluice_config_reloads", COUNTER, .sample = reloads, .help = "Reloads of the configuration."},
    {"wsluice_config_last_reload_successful", GAUGE, .sample = reload_well,
     .help = "0 when the last reload failed and the configuration before it is still in force."},
    {"wsluice_config_last_reload_success_timestamp_seconds", GAUGE, "seconds", .sample = reload_time,
     .help = "When the configuration in force was read."},
    {"process_cpu_seconds", COUNTER, "seconds", .sample = cpu, .help = "User and system time, without programs."},
    {"process_resident_memory_bytes", GAUGE, "bytes", .sample = resident, .help = "Resident memory."},
    {"process_virtual_memory_bytes", GAUGE, "bytes", .sample = virtual_, .help = "Virtual memory."},
    {"process_open_fds", GAUGE, .sample = open_fds, .help = "Open descriptors."},
    {"process_max_fds", GAUGE, .sample = max_fds, .help = "Limit of open descriptors."},
    {"process_start_time_seconds", GAUGE, "seconds", .sample = started, .help = "When the process started; Unix time."},
};
/* clang-format on */

#define FAMILIES (sizeof families / sizeof families[0])

/* ---- writing them ---- */

static void metrics_put_header(struct admin_out *out, const struct scrape *s,
                               const struct family *f)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const char *end = s->open_metrics ? "" : suffix(f);

    admin_out_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, end, f->help, f->name, end,
                     types[f->type]);
    if (s->open_metrics && f->unit != NULL)
        admin_out_printf(out, "# UNIT %s %s\n", f->name, f->unit);
}

static void put_labels(char out[LABELS_MAX], const struct stats_route *r)
{
    size_t n = (size_t)snprintf(out, LABELS_MAX, "route=\"");

    for (const char *p = r->path; *p != '\0'; p++) { /* at most STATS_PATH_MAX, so it fits */
        if (*p == '\\' || *p == '"' || *p == '\n')
            out[n++] = '\\';
        out[n++] = *p == '\n' ? 'n' : *p;
    }
    snprintf(out + n, LABELS_MAX - n, "\",backend=\"%s\"", r->backend);
}

/* A family, or some routes of it. */
static void put_family(struct admin_out *out, struct scrape *s)
{
    const struct family *f = &families[s->family];
    const struct stats *st = core_of(s->worker)->stats;
    char labels[LABELS_MAX];

    if (s->route == 0)
        metrics_put_header(out, s, f);
    if (f->sample != NULL) {
        f->sample(out, s, f);
        s->family++;
        return;
    }
    for (int i = 0; i < ROUTES_A_PIECE && s->route < st->route_count; i++, s->route++) {
        const struct stats_route *r = st->routes[s->route];

        if (s->route == 0 && r->opened + r->not_opened == 0) /* the shared one, not needed */
            continue;
        put_labels(labels, r);
        f->by_route(out, f, r, labels);
    }
    if (s->route == st->route_count) {
        s->family++;
        s->route = 0;
    }
}

static bool scrape_next(void *maker, struct admin_out *out)
{
    struct scrape *s = maker;

    if (!s->counted) {
        s->counted = self_fds_step(&s->fds);
        return true;
    }
    while (s->family < FAMILIES && buf_len(&out->text) < WORKER_RX_SIZE / 2)
        put_family(out, s);
    if (s->family < FAMILIES)
        return true;
    if (s->open_metrics)
        admin_out_printf(out, "# EOF\n");
    return false;
}

static void scrape_release(void *maker)
{
    struct scrape *s = maker;

    self_fds_release(&s->fds);
    free(s);
}

static const struct admin_maker scrape_maker = {scrape_next, scrape_release};

/* Accept has it, and not with a weight of 0. */
static bool wants_open_metrics(const struct http_head *head)
{
    for (size_t i = 0; i < head->count; i++) {
        struct slice list = head->fields[i].value, item, parameters, one;

        if (!slice_eq_nocase(head->fields[i].name, slice_from("Accept")))
            continue;
        while (slice_next_item(&list, &item)) {
            bool unwanted = false;

            if (!slice_eq_nocase(slice_trim(slice_cut(item, ';', &parameters)),
                                 slice_from(OPENMETRICS)))
                continue;
            while (parameters.p != NULL) {
                one = slice_trim(slice_cut(parameters, ';', &parameters));
                unwanted |= slice_is(one, "q=0") || slice_is(one, "q=0.0");
            }
            if (!unwanted)
                return true;
        }
    }
    return false;
}

void admin_metrics_answer(struct stream *s)
{
    struct scrape *scrape = calloc(1, sizeof *scrape);

    if (scrape == NULL) {
        stream_refuse(s, 503, NULL, "out of memory");
        return;
    }
    scrape->worker = s->worker;
    scrape->open_metrics = wants_open_metrics(stream_request(s)->head);
    self_read(&scrape->self);
    admin_body_start(s,
                     scrape->open_metrics ? OPENMETRICS "; version=1.0.0; charset=utf-8"
                                          : "text/plain; version=0.0.4; charset=utf-8",
                     &scrape_maker, scrape);
}
