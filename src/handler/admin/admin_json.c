/* SPDX-License-Identifier: MIT */
#include "handler/admin/admin_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/self.h"
#include "base/utf8.h"
#include "core/admission/admission.h"
#include "core/admission/waiting.h"
#include "core/core.h"
#include "core/front.h"
#include "core/observe/stats.h"
#include "handler/admin/admin_body.h"
#include "io/child/child.h"

#define SESSIONS_A_PIECE 50
#define CLIENTS_SHOWN 200U /* of one session: the answer is made in one piece */
/* ASCII only: a terminal that is shown it must not obey what clients wrote */
#define FORM (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15))

/* Sends the value and lets it go; NULL: there was no memory for it. */
static void admin_json_answer(struct stream *s, int status, const char *fields, json_t *value)
{
    char *text = value != NULL ? json_dumps(value, FORM) : NULL;

    json_decref(value);
    if (text == NULL) {
        stream_refuse(s, 503, NULL, "out of memory");
        return;
    }
    admin_body_whole(s, status, ADMIN_JSON, fields, slice_from(text));
    free(text);
}

/* Text of anybody: what is not UTF-8 is replaced. */
static json_t *admin_json_text_of(const char *text)
{
    size_t n = strlen(text);
    json_t *value;

    if (utf8_valid((const uint8_t *)text, n))
        return json_stringn(text, n);
    char *clean = malloc(3 * n);
    if (clean == NULL)
        return NULL;
    value = json_stringn(clean, utf8_replace((uint8_t *)clean, (const uint8_t *)text, n));
    free(clean);
    return value;
}

static json_t *count_of(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *real_or_null(double value)
{
    return value < 0 ? json_null() : json_real(value);
}

void admin_json_error(struct stream *s, int status, const char *fields, const char *why)
{
    admin_json_answer(s, status, fields,
                      json_pack("{s:i, s:o}", "status", status, "error", admin_json_text_of(why)));
}

void admin_json_done(struct stream *s, int status, const char *name, int64_t value,
                     const char *message)
{
    json_t *all = json_pack("{s:I}", name, (json_int_t)value);

    if (all != NULL && message != NULL)
        (void)json_object_set_new(all, "message", admin_json_text_of(message));
    admin_json_answer(s, status, NULL, all);
}

void admin_json_level(struct stream *s, const char *level)
{
    admin_json_answer(s, 200, NULL, json_pack("{s:s}", "level", level));
}

/* ---- sessions ---- */

static json_t *session_json(const struct session *session)
{
    struct session_info i;

    session_inspect(session, &i);
    json_t *all = json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:f, s:f,"
        " s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:o, s:o,"
        " s:s, s:o, s:o, s:o, s:o}",
        "id", count_of(i.id), "state", i.phase, "client", admin_json_text_of(i.client), "user",
        admin_json_text_of(i.user), "path", admin_json_text_of(i.path), "route",
        admin_json_text_of(i.route), "backend", i.backend, "address", admin_json_text_of(i.address),
        "subprotocol", admin_json_text_of(i.subprotocol), "age", i.age, "idle", i.idle,
        "messages_in", count_of(i.messages_in), "messages_out", count_of(i.messages_out),
        "bytes_in", count_of(i.bytes_in), "bytes_out", count_of(i.bytes_out), "dropped",
        count_of(i.dropped), "stalls_client", count_of(i.stalls_client), "stalls_backend",
        count_of(i.stalls_backend), "queued_client", count_of(i.queued_client), "queued_backend",
        count_of(i.queued_backend), "client_paused", i.client_paused, "backend_paused",
        i.backend_paused, "rate_held", i.rate_held, "rate_holds", count_of(i.rate_holds), "rtt_ms",
        real_or_null(i.rtt_ms), "compression", i.compression, "compressed_in_plain",
        count_of(i.compressed_in.plain), "compressed_in_wire", count_of(i.compressed_in.wire),
        "compressed_out_plain", count_of(i.compressed_out.plain), "compressed_out_wire",
        count_of(i.compressed_out.wire));

    if (all != NULL && i.whose != NULL) {
        (void)json_object_set_new(all, "session", json_string(i.whose));
        (void)json_object_set_new(all, "key", admin_json_text_of(i.key));
        (void)json_object_set_new(all, "clients", count_of(i.clients));
        (void)json_object_set_new(all, "joined", count_of(i.joined));
        (void)json_object_set_new(all, "detached", real_or_null(i.detached));
        (void)json_object_set_new(all, "replay", count_of(i.replay_bytes));
    }
    if (all != NULL && i.datagrams) {
        (void)json_object_set_new(all, "datagrams_dropped_in", count_of(i.datagrams_dropped_in));
        (void)json_object_set_new(all, "datagrams_dropped_out", count_of(i.datagrams_dropped_out));
    }
    return all;
}

struct listing {
    struct session_cursor cursor;
    bool begun;
    size_t total;
};

static void add_session(struct admin_out *out, const struct session *session, bool is_first)
{
    json_t *value = session_json(session);
    char *text = value != NULL ? json_dumps(value, FORM) : NULL;

    json_decref(value);
    if (text == NULL) {
        out->failed = true;
        return;
    }
    admin_out_printf(out, is_first ? "\n" : ",\n");
    admin_out_add(out, text, strlen(text));
    free(text);
}

static bool listing_next(void *maker, struct admin_out *out)
{
    struct listing *l = maker;

    if (!l->begun)
        admin_out_printf(out, "{\"sessions\":[");
    l->begun = true;
    for (int i = 0; i < SESSIONS_A_PIECE; i++) {
        const struct session *session = session_cursor_next(&l->cursor);

        if (session == NULL) {
            admin_out_printf(out, "\n],\"total\":%zu}\n", l->total);
            return false;
        }
        add_session(out, session, l->total++ == 0);
    }
    return true;
}

static void listing_release(void *maker)
{
    struct listing *l = maker;

    session_cursor_close(&l->cursor);
    free(l);
}

static const struct admin_maker listing_maker = {listing_next, listing_release};

void admin_json_sessions(struct stream *s)
{
    struct listing *l = calloc(1, sizeof *l);

    if (l == NULL) {
        admin_json_error(s, 503, NULL, "out of memory");
        return;
    }
    session_cursor_open(&l->cursor, s->worker);
    admin_body_start(s, ADMIN_JSON, &listing_maker, l);
}

static json_t *clients_json(const struct session *session)
{
    struct session_client_info *all = calloc(CLIENTS_SHOWN, sizeof *all);
    size_t n = all != NULL ? session_inspect_clients(session, all, CLIENTS_SHOWN) : 0;
    json_t *list = all != NULL ? json_array() : NULL;

    for (const struct session_client_info *c = all; list != NULL && c < all + n; c++)
        (void)json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "number",
                            count_of(c->number), "client", admin_json_text_of(c->client), "user",
                            admin_json_text_of(c->user), "age", c->age, "messages_in",
                            count_of(c->messages_in), "messages_out", count_of(c->messages_out),
                            "behind", count_of(c->behind), "queued", count_of(c->queued), "skipped",
                            count_of(c->skipped), "rtt_ms", real_or_null(c->rtt_ms)));
    free(all);
    return list;
}

void admin_json_session(struct stream *s, const struct session *session)
{
    json_t *all = session_json(session);

    if (all != NULL && json_object_get(all, "session") != NULL)
        (void)json_object_set_new(all, "newest_clients", clients_json(session));
    admin_json_answer(s, 200, NULL, all);
}

/* ---- bans ---- */

void admin_json_bans(struct stream *s)
{
    struct worker *w = s->worker;
    const struct admission_ban *all;
    size_t n = admission_bans(core_of(w)->admission, &all);
    json_t *list = json_array();
    char text[CIDR_TEXT_MAX];

    for (size_t i = 0; i < n; i++) {
        double left = all[i].until > 0 ? all[i].until - w->clock : -1;

        (void)json_array_append_new(list, json_pack("{s:s, s:o}", "network",
                                                    cidr_format(&all[i].network, text), "left",
                                                    real_or_null(left)));
    }
    admin_json_answer(s, 200, NULL,
                      json_pack("{s:o, s:o, s:o, s:b}", "bans", list, "file",
                                core_of(w)->config->ban_file != NULL
                                    ? admin_json_text_of(core_of(w)->config->ban_file)
                                    : json_null(),
                                "file_networks",
                                count_of(admission_file_count(core_of(w)->admission)), "file_ok",
                                admission_file_is_good(core_of(w)->admission)));
}

/* ---- figures ---- */

static json_t *closed_json(const struct stats_route *r)
{
    json_t *all = json_object();

    for (size_t class = 0; class < STATS_CLASSES; class ++) {
        uint64_t n = 0;

        for (size_t by = 0; by < STATS_BYS; by++)
            n += r->closed[class][by];
        if (n > 0)
            (void)json_object_set_new(all, stats_class_names[class], count_of(n));
    }
    return all;
}

static json_t *route_json(const struct stats_route *r)
{
    uint64_t trips = stats_observed(&r->round_trip), openings = stats_observed(&r->opening);

    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
        " s:o, s:o, s:o, s:o, s:o}",
        "route", r->path, "backend", r->backend, "active", count_of(r->active), "opened",
        count_of(r->opened), "closed", closed_json(r), "not_opened", count_of(r->not_opened),
        "messages_in", count_of(r->messages_in), "messages_out", count_of(r->messages_out),
        "bytes_in", count_of(r->bytes_in), "bytes_out", count_of(r->bytes_out), "dropped",
        count_of(r->dropped), "stalls_client", count_of(r->stalls[STATS_CLIENT]), "stalls_backend",
        count_of(r->stalls[STATS_BACKEND]), "rate_holds", count_of(r->rate_holds), "pings",
        count_of(r->pings), "lost", count_of(r->lost), "mean_rtt_ms",
        real_or_null(trips == 0 ? -1 : r->round_trip.sum / (double)trips * 1000), "mean_open_ms",
        real_or_null(openings == 0 ? -1 : r->opening.sum / (double)openings * 1000),
        "compressed_in_plain", count_of(r->compressed_in.plain), "compressed_in_wire",
        count_of(r->compressed_in.wire), "compressed_out_plain", count_of(r->compressed_out.plain),
        "compressed_out_wire", count_of(r->compressed_out.wire));
}

static json_t *routes_json(const struct stats *st)
{
    json_t *all = json_array();

    for (size_t i = 0; i < st->route_count; i++) {
        const struct stats_route *r = st->routes[i];

        if (i > 0 || r->opened + r->not_opened > 0)
            (void)json_array_append_new(all, route_json(r));
    }
    return all;
}

static json_t *refused_json(const struct stats *st)
{
    json_t *all = json_object();
    char name[8] = "other";

    for (size_t i = 0; i <= STATS_STATUSES; i++) {
        if (st->refused[i] == 0)
            continue;
        if (i < STATS_STATUSES)
            snprintf(name, sizeof name, "%d", stats_statuses[i]);
        else
            memcpy(name, "other", sizeof "other");
        (void)json_object_set_new(all, name, count_of(st->refused[i]));
    }
    return all;
}

static json_t *process_json(const struct worker *w)
{
    struct self self;

    self_read(&self);
    return json_pack("{s:i, s:f, s:o, s:o, s:f, s:f}", "pid", (int)getpid(), "cpu_seconds",
                     self.cpu, "resident_bytes", count_of(self.resident), "max_fds",
                     count_of(self.max_fds), "started", core_of(w)->stats->start_time,
                     "longest_turn_ms", stats_longest_turn(w) * 1000);
}

static json_t *reloads_json(const struct stats *st)
{
    return json_pack("{s:o, s:o, s:b, s:f}", "ok", count_of(st->reloads_ok), "failed",
                     count_of(st->reloads_failed), "last_ok", st->reload_well, "last_ok_time",
                     st->reload_time);
}

void admin_json_stats(struct stream *s)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    const struct worker *w = s->worker;
    const struct stats *st = core_of(w)->stats;

    admin_json_answer(
        s, 200, NULL,
        json_pack(
            "{s:s, s:f, s:b, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
            "version", WSLUICE_VERSION, "uptime", worker_clock() - st->start_clock, "draining",
            core_of(w)->draining, "sessions", count_of(core_of(w)->sessions->count), "max_sessions",
            count_of(core_of(w)->config->max_sessions), "connections",
            count_of(core_of(w)->connections->count), "programs", count_of(child_count(w)),
            "log_level", levels[w->log.level], "log_dropped", count_of(w->log.dropped_total),
            "accept_pauses", count_of(w->accept_pauses), "shed",
            count_of(waiting_shed(core_of(w)->waiting)), "refused", refused_json(st), "reloads",
            reloads_json(st), "process", process_json(w), "routes", routes_json(st)));
}
