/* SPDX-License-Identifier: MIT */
/*
 * The two loops that see every byte, unmasking and UTF-8 validation, in GB/s against the plain byte
 * loop, as a Markdown table. Each cell is the best of several rounds: noise only makes one slower.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "proto/ws.h"

#define BIG 65536
#define ROUNDS 7
#define BYTES_PER_ROUND (16u << 20)

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool run_unmask(uint8_t *p, size_t n)
{
    ws_unmask(p, p, n, (const uint8_t[4]){0x12, 0x34, 0x56, 0x78});
    return true;
}

/* As a frame lies behind its header: the plain text goes to the front. */
static bool run_unmask_down(uint8_t *p, size_t n)
{
    ws_unmask(p, p + 14, n, (const uint8_t[4]){0x12, 0x34, 0x56, 0x78});
    return true;
}

static bool plain_unmask(uint8_t *p, size_t n)
{
    static const uint8_t key[4] = {0x12, 0x34, 0x56, 0x78};

    for (size_t i = 0; i < n; i++)
        p[i] ^= key[i & 3];
    return true;
}

static bool run_utf8(uint8_t *p, size_t n)
{
    return utf8_valid(p, n);
}

/* The validator as one writes it first: a byte, a comparison, the next. */
static bool plain_utf8(uint8_t *p, size_t n)
{
    uint8_t need = 0, low = 0x80, high = 0xBF;

    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i];

        if (need == 0) {
            if (c < 0x80)
                continue;
            if (c < 0xC2 || c > 0xF4)
                return false;
            need = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
            low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
            high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
            continue;
        }
        if (c < low || c > high)
            return false;
        low = 0x80;
        high = 0xBF;
        need--;
    }
    return need == 0;
}

/* Fills p with whole repetitions of text, and spaces. */
static void fill(uint8_t *p, const char *text, size_t n)
{
    size_t len = strlen(text), i = 0;

    for (; i + len <= n; i += len)
        memcpy(p + i, text, len);
    memset(p + i, ' ', n - i);
}

static double best(bool (*fn)(uint8_t *, size_t), uint8_t *p, size_t n)
{
    double top = 0;

    for (int r = 0; r < ROUNDS; r++) {
        size_t times = BYTES_PER_ROUND / n;
        double start = now(), rate;

        for (size_t i = 0; i < times; i++) {
            if (!fn(p, n))
                return 0; /* seen in the table */
            __asm__ volatile("" : : "r"(p) : "memory");
        }
        rate = (double)(times * n) / (now() - start) / 1e9;
        top = rate > top ? rate : top;
    }
    return top;
}

int main(void)
{
    static const char json[] = "{\"id\":1234,\"name\":\"sluice\",\"open\":true},";
    static const char german[] = "Schl\xC3\xBCssel f\xC3\xBCr alle T\xC3\xBCren sind gro\xC3\x9F; ";
    static const char mixed[] =
        "na\xC3\xAFve \xE6\xB0\xB4\xE9\x97\xB8 \xD1\x88\xD0\xBB\xD1\x8E\xD0\xB7 "
        "\xF0\x9F\x9A\xA2 \xE2\x82\xAC 5 ok ";
    static const struct {
        const char *name, *text;
        bool (*fn)(uint8_t *, size_t);
    } rows[] = {
        {"unmask, plain byte loop", json, plain_unmask},
        {"unmask in place", json, run_unmask},
        {"unmask 14 bytes down", json, run_unmask_down},
        {"UTF-8 of ASCII, plain byte loop", json, plain_utf8},
        {"UTF-8 of ASCII", json, run_utf8},
        {"UTF-8 of German, plain byte loop", german, plain_utf8},
        {"UTF-8 of German", german, run_utf8},
        {"UTF-8 of 1- to 4-byte mix, plain byte loop", mixed, plain_utf8},
        {"UTF-8 of 1- to 4-byte mix", mixed, run_utf8},
    };
    uint8_t p[BIG + 64];

    puts("| GB/s | 64 B | 1 KiB | 64 KiB |\n|---|---:|---:|---:|");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        printf("| %s |", rows[i].name);
        for (size_t n = 64; n <= BIG; n = n == 64 ? 1024 : n * 64) {
            fill(p, rows[i].text, n);
            printf(" %.2f |", best(rows[i].fn, p, n));
        }
        puts("");
    }
    return 0;
}
