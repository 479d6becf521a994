/* SPDX-License-Identifier: MIT */
#include "ctl/ctl_show.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

#define WIDEST 40 /* of a column that clients fill */
#define STATE_MAX (CTL_NUMBER_MAX + 16)

const char *ctl_show_size(double bytes, char out[CTL_NUMBER_MAX])
{
    static const char units[] = "KMGTPE";
    size_t unit = 0;

    if (bytes < 0) {
        snprintf(out, CTL_NUMBER_MAX, "-");
    } else if (bytes < 1000) {
        snprintf(out, CTL_NUMBER_MAX, "%.0f", bytes);
    } else {
        for (bytes /= 1000; bytes >= 999.5 && unit + 1 < sizeof units - 1; unit++)
            bytes /= 1000;
        snprintf(out, CTL_NUMBER_MAX, bytes < 9.95 ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
    }
    return out;
}

const char *ctl_show_age(double seconds, char out[CTL_NUMBER_MAX])
{
    uint64_t s = seconds > 0 ? (uint64_t)seconds : 0;

    if (s < 60)
        snprintf(out, CTL_NUMBER_MAX, "%.1fs", seconds);
    else if (s < 3600)
        snprintf(out, CTL_NUMBER_MAX, "%um%02us", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 86400)
        snprintf(out, CTL_NUMBER_MAX, "%uh%02um", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
    else
        snprintf(out, CTL_NUMBER_MAX, "%ud%02uh", (unsigned)(s / 86400), (unsigned)(s / 3600 % 24));
    return out;
}

const char *ctl_show_ms(const json_t *value, char out[CTL_NUMBER_MAX])
{
    if (!json_is_number(value))
        snprintf(out, CTL_NUMBER_MAX, "-");
    else
        snprintf(out, CTL_NUMBER_MAX, "%.2f", json_number_value(value));
    return out;
}

/* The bytes of the character at p (UTF-8, as jansson has checked), and whether a terminal might
 * obey it. */
static size_t ctl_show_character(const char *p, bool *is_control)
{
    uint32_t c = 0;
    size_t n = utf8_decode((const uint8_t *)p, strnlen(p, UTF8_MAX), &c);

    *is_control = n == 0 || utf8_is_unprintable(c);
    return n > 0 ? n : 1;
}

int ctl_show_width(const char *text)
{
    bool is_control;
    int width = 0;

    for (; *text != '\0'; width++)
        text += ctl_show_character(text, &is_control);
    return width;
}

void ctl_show_text(FILE *f, const char *text, int width)
{
    bool is_control;
    int at = 0;

    for (; *text != '\0' && (width == 0 || at < width); at++) {
        size_t n = ctl_show_character(text, &is_control);

        if (is_control)
            fputc('?', f);
        else
            fwrite(text, 1, n, f);
        text += n;
    }
    for (; at < width; at++)
        fputc(' ', f);
}

const char *ctl_show_string(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

double ctl_show_number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

/* ---- tables ---- */

static int widest(const json_t *rows, const char *name, int least)
{
    size_t i;
    const json_t *row;

    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        int width = ctl_show_width(ctl_show_string(row, name));

        least = width > least ? width : least;
    }
    return least < WIDEST ? least : WIDEST;
}

/* "open", "held", "detached 2m05s". */
static const char *session_state(const json_t *row, char out[STATE_MAX])
{
    const json_t *detached = json_object_get(row, "detached");
    char since[CTL_NUMBER_MAX];

    if (json_is_number(detached))
        snprintf(out, STATE_MAX, "%s %s", ctl_show_string(row, "state"),
                 ctl_show_age(json_number_value(detached), since));
    else
        snprintf(out, STATE_MAX, "%s",
                 json_is_true(json_object_get(row, "rate_held")) ? "held"
                                                                 : ctl_show_string(row, "state"));
    return out;
}

/* How wide the column of states is; whether any of the sessions outlives its connections. */
static int look_at_states(const json_t *rows, bool *any_kept)
{
    char state[STATE_MAX];
    int width = 7;
    size_t i;
    const json_t *row;

    *any_kept = false;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        int own = (int)strlen(session_state(row, state));

        width = own > width ? own : width;
        *any_kept |= json_object_get(row, "session") != NULL;
    }
    return width;
}

static void show_whose(FILE *f, const json_t *row)
{
    if (json_object_get(row, "session") == NULL) {
        fprintf(f, "  %7s  -", "1");
        return;
    }
    fprintf(f, "  %7.0f  %s", ctl_show_number(row, "clients"), ctl_show_string(row, "session"));
    if (ctl_show_string(row, "key")[0] != '\0')
        fputc(' ', f);
    ctl_show_text(f, ctl_show_string(row, "key"), 0);
}

void ctl_show_sessions(FILE *f, const json_t *answer)
{
    const json_t *rows = json_object_get(answer, "sessions"), *row;
    int client = widest(rows, "client", 6), path = widest(rows, "path", 4);
    int address = widest(rows, "address", 7);
    char age[CTL_NUMBER_MAX], in[CTL_NUMBER_MAX], out[CTL_NUMBER_MAX], queue[CTL_NUMBER_MAX];
    char rtt[CTL_NUMBER_MAX], state[STATE_MAX];
    bool any_kept;
    int states = look_at_states(rows, &any_kept);
    size_t i;

    fprintf(f, "%8s  %-*s  %-*s  %-7s  %-*s  %-*s  %7s  %6s  %6s  %6s  %7s%s\n", "ID", client,
            "CLIENT", path, "PATH", "KIND", address, "BACKEND", states, "STATE", "AGE", "IN", "OUT",
            "QUEUE", "RTT ms", any_kept ? "  CLIENTS  SESSION" : "");
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        fprintf(f, "%8.0f  ", ctl_show_number(row, "id"));
        ctl_show_text(f, ctl_show_string(row, "client"), client);
        fputs("  ", f);
        ctl_show_text(f, ctl_show_string(row, "path"), path);
        fprintf(f, "  %-7s  ", ctl_show_string(row, "backend"));
        ctl_show_text(f, ctl_show_string(row, "address"), address);
        fprintf(f, "  %-*s  %7s  %6s  %6s  %6s  %7s", states, session_state(row, state),
                ctl_show_age(ctl_show_number(row, "age"), age),
                ctl_show_size(ctl_show_number(row, "bytes_in"), in),
                ctl_show_size(ctl_show_number(row, "bytes_out"), out),
                ctl_show_size(ctl_show_number(row, "queued_client") +
                                  ctl_show_number(row, "queued_backend"),
                              queue),
                ctl_show_ms(json_object_get(row, "rtt_ms"), rtt));
        if (any_kept)
            show_whose(f, row);
        fputc('\n', f);
    }
}

/* The clients of one session. */
static void show_clients(FILE *f, const json_t *rows)
{
    int client = widest(rows, "client", 6), user = widest(rows, "user", 4);
    char age[CTL_NUMBER_MAX], behind[CTL_NUMBER_MAX], rtt[CTL_NUMBER_MAX];
    const json_t *row;
    size_t i;

    fprintf(f, "\n%8s  %-*s  %-*s  %7s  %9s  %9s  %6s  %8s  %7s\n", "NUMBER", client, "CLIENT",
            user, "USER", "AGE", "MSGS IN", "MSGS OUT", "BEHIND", "SKIPPED", "RTT ms");
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        fprintf(f, "%8.0f  ", ctl_show_number(row, "number"));
        ctl_show_text(f, ctl_show_string(row, "client"), client);
        fputs("  ", f);
        ctl_show_text(f, ctl_show_string(row, "user"), user);
        fprintf(
            f, "  %7s  %9.0f  %9.0f  %6s  %8.0f  %7s\n",
            ctl_show_age(ctl_show_number(row, "age"), age), ctl_show_number(row, "messages_in"),
            ctl_show_number(row, "messages_out"),
            ctl_show_size(ctl_show_number(row, "behind") + ctl_show_number(row, "queued"), behind),
            ctl_show_number(row, "skipped"), ctl_show_ms(json_object_get(row, "rtt_ms"), rtt));
    }
}

static void show_value(FILE *f, const json_t *value)
{
    if (json_is_string(value))
        ctl_show_text(f, json_string_value(value), 0);
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", f);
    else if (json_is_integer(value))
        fprintf(f, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        fprintf(f, "%.3f", json_real_value(value));
    else
        fputs("-", f);
}

/* What is left of the messages that were compressed. */
static void show_ratio(FILE *f, const json_t *object, const char *direction)
{
    char name[32];
    double plain, wire;

    snprintf(name, sizeof name, "compressed_%s_plain", direction);
    plain = ctl_show_number(object, name);
    snprintf(name, sizeof name, "compressed_%s_wire", direction);
    wire = ctl_show_number(object, name);
    snprintf(name, sizeof name, "compressed_%s_to", direction);
    if (plain > 0)
        fprintf(f, "%-20s  %.1f %%\n", name, 100 * wire / plain);
}

void ctl_show_object(FILE *f, const json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (json_is_array(value))
            continue;
        fprintf(f, "%-20s  ", name);
        show_value(f, value);
        fputc('\n', f);
    }
    show_ratio(f, object, "in");
    show_ratio(f, object, "out");
    if (json_array_size(json_object_get(object, "newest_clients")) > 0)
        show_clients(f, json_object_get(object, "newest_clients"));
}

static void show_routes(FILE *f, const json_t *rows)
{
    int width = widest(rows, "route", 5);
    char in[CTL_NUMBER_MAX], out[CTL_NUMBER_MAX], rtt[CTL_NUMBER_MAX], open[CTL_NUMBER_MAX];
    const json_t *row;
    size_t i;

    fprintf(f, "\n%-*s  %-7s  %8s  %9s  %8s  %9s  %9s  %6s  %6s  %8s  %8s\n", width, "ROUTE",
            "KIND", "ACTIVE", "OPENED", "FAILED", "MSGS IN", "MSGS OUT", "IN", "OUT", "OPEN ms",
            "RTT ms");
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        ctl_show_text(f, ctl_show_string(row, "route"), width);
        fprintf(f, "  %-7s  %8.0f  %9.0f  %8.0f  %9.0f  %9.0f  %6s  %6s  %8s  %8s\n",
                ctl_show_string(row, "backend"), ctl_show_number(row, "active"),
                ctl_show_number(row, "opened"), ctl_show_number(row, "not_opened"),
                ctl_show_number(row, "messages_in"), ctl_show_number(row, "messages_out"),
                ctl_show_size(ctl_show_number(row, "bytes_in"), in),
                ctl_show_size(ctl_show_number(row, "bytes_out"), out),
                ctl_show_ms(json_object_get(row, "mean_open_ms"), open),
                ctl_show_ms(json_object_get(row, "mean_rtt_ms"), rtt));
    }
}

static void show_counts(FILE *f, const char *title, const json_t *counts)
{
    const char *name;
    json_t *value;

    if (json_object_size(counts) == 0)
        return;
    fprintf(f, "%-16s ", title);
    json_object_foreach((json_t *)(uintptr_t)counts, name, value)
    {
        fprintf(f, " %s: ", name);
        show_value(f, value);
        fputc(' ', f);
    }
    fputc('\n', f);
}

void ctl_show_bans(FILE *f, const json_t *answer)
{
    const json_t *rows = json_object_get(answer, "bans"), *row;
    const char *file = ctl_show_string(answer, "file");
    int width = widest(rows, "network", 7);
    char left[CTL_NUMBER_MAX];
    size_t i;

    fprintf(f, "%-*s  %s\n", width, "NETWORK", "LEFT");
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        const json_t *seconds = json_object_get(row, "left");

        ctl_show_text(f, ctl_show_string(row, "network"), width);
        fprintf(f, "  %s\n",
                json_is_number(seconds) ? ctl_show_age(json_number_value(seconds), left) : "-");
    }
    if (file[0] == '\0')
        return;
    fprintf(f, "and %.0f of ", ctl_show_number(answer, "file_networks"));
    ctl_show_text(f, file, 0);
    fputs(json_is_true(json_object_get(answer, "file_ok")) ? "\n"
                                                           : " as it was: it cannot be read\n",
          f);
}

void ctl_show_stats(FILE *f, const json_t *answer)
{
    static const char *const plain[] = {"version",       "draining", "sessions",  "max_sessions",
                                        "connections",   "programs", "log_level", "log_dropped",
                                        "accept_pauses", "shed"};
    const json_t *process = json_object_get(answer, "process");
    char text[CTL_NUMBER_MAX];

    fprintf(f, "%-16s  %s\n", "uptime", ctl_show_age(ctl_show_number(answer, "uptime"), text));
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        fprintf(f, "%-16s  ", plain[i]);
        show_value(f, json_object_get(answer, plain[i]));
        fputc('\n', f);
    }
    fprintf(f, "%-16s  %.0f\n", "pid", ctl_show_number(process, "pid"));
    fprintf(f, "%-16s  %.2f s\n", "cpu", ctl_show_number(process, "cpu_seconds"));
    fprintf(f, "%-16s  %s\n", "memory",
            ctl_show_size(ctl_show_number(process, "resident_bytes"), text));
    fprintf(f, "%-16s  %.1f ms in the last minute\n", "longest turn",
            ctl_show_number(process, "longest_turn_ms"));
    show_counts(f, "refused", json_object_get(answer, "refused"));
    show_counts(f, "reloads", json_object_get(answer, "reloads"));
    show_routes(f, json_object_get(answer, "routes"));
}
