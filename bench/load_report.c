/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <inttypes.h>
#include <stdio.h>

void load_report_event(const char *name)
{
    printf("{\"event\":\"%s\"}\n", name);
    (void)fflush(stdout); /* a closed pipe shows when the result is written */
}

static void print_hist(const char *name, const struct load_hist *h)
{
    static const struct {
        const char *name;
        double share;
    } rows[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

    printf(",\"%s\":{\"count\":%" PRIu64 ",\"mean\":%.3f", name, h->count,
           h->count ? (double)h->sum / (double)h->count / 1e3 : 0.0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf(",\"%s\":%.3f", rows[i].name, (double)load_hist_at(h, rows[i].share) / 1e3);
    printf(",\"max\":%.3f}", (double)h->max / 1e3);
}

/* Only what the program itself writes gets into an error text, but a server's status line may be
 * among it. */
static void print_string(const char *s)
{
    putchar('"');
    for (; *s != '\0'; s++) {
        unsigned char ch = (unsigned char)*s;

        if (ch == '"' || ch == '\\')
            printf("\\%c", ch);
        else if (ch < 0x20 || ch > 0x7e)
            printf("\\u%04x", ch);
        else
            putchar(ch);
    }
    putchar('"');
}

void load_report_result(const struct load *l, double seconds, double cpu_user, double cpu_system)
{
    static const char *const modes[] = {
        [LOAD_ECHO] = "echo", [LOAD_FLOOD] = "flood", [LOAD_STORM] = "storm", [LOAD_IDLE] = "idle"};
    static const char *const protocols[2][2] = {{"ws", "tcp"}, {"wss", "tls"}};
    const struct load_options *o = &l->opt;

    printf("{\"event\":\"result\",\"mode\":\"%s\",\"protocol\":\"%s\"", modes[o->mode],
           protocols[o->tls][o->tcp]);
    printf(",\"connections\":%u,\"size\":%zu,\"depth\":%u,\"rate\":%.1f", o->conns, o->size,
           o->depth, o->rate);
    printf(",\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"pings\":%" PRIu64,
           l->messages, l->bytes, seconds, l->pings);
    printf(",\"cpu_user\":%.6f,\"cpu_system\":%.6f", cpu_user, cpu_system);
    print_hist("latency_us", &l->latency);
    print_hist("connect_us", &l->connect);
    printf(",\"error\":");
    if (l->error[0] != '\0')
        print_string(l->error);
    else
        printf("null");
    printf("}\n");
    (void)fflush(stdout); /* main looks at ferror */
}
