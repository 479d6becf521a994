/* SPDX-License-Identifier: MIT */
/* core/record: escaping, characters cut at chunk borders, parts and what remains of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "core/core.h"
#include "core/observe/record.h"
#include "core/observe/record_json.h"

#define FILES_MAX 64
#define BIG (4U << 20)

struct bench {
    union {
        struct worker w;
        struct core core;
    };
    struct settings set;
    struct record_facts facts;
    char dir[64];
    char names[FILES_MAX][256]; /* sorted by part */
    size_t count;
};

static void bench_open(struct bench *b, enum record_format format)
{
    *b = (struct bench){.set = {.record_max = 1 << 20, .record_files = 0}};
    snprintf(b->dir, sizeof b->dir, "/tmp/wsluice-record-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    b->set.record = b->dir;
    b->w.log = (struct log){.fd = -1, .level = LOG_ERROR};
    assert_int_equal(worker_init(&b->w), 0);
    b->facts = (struct record_facts){.id = 7,
                                     .client = "127.0.0.1:5000",
                                     .route = "/x",
                                     .path = "/x/\"\\\n\x80y",
                                     .framing = "lines",
                                     .subprotocol = "",
                                     .format = format,
                                     .plain_newlines = true};
}

/* The number of a part, by its name: ...Z-7.cast is 1, ...Z-7-2.cast is 2. */
static int part_of(const char *name)
{
    const char *behind = strstr(name, "Z-7");

    assert_non_null(behind);
    return behind[3] == '-' ? atoi(behind + 4) : 1;
}

static int compare_parts(const void *a, const void *b)
{
    return part_of(a) - part_of(b);
}

static void list_files(struct bench *b)
{
    DIR *d = opendir(b->dir);

    assert_non_null(d);
    b->count = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        assert_true(b->count < FILES_MAX);
        snprintf(b->names[b->count++], sizeof b->names[0], "%s", e->d_name);
    }
    closedir(d);
    qsort(b->names, b->count, sizeof b->names[0], compare_parts);
}

static void bench_close(struct bench *b)
{
    char path[512];

    list_files(b);
    for (size_t i = 0; i < b->count; i++) {
        snprintf(path, sizeof path, "%s/%s", b->dir, b->names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(b->dir), 0);
    worker_release(&b->w);
}

/* A whole file; the caller frees. */
static char *read_file(struct bench *b, size_t i, size_t *size)
{
    char path[512], *text = malloc(BIG);
    struct stat st;
    FILE *f;

    assert_true(i < b->count);
    assert_non_null(text);
    snprintf(path, sizeof path, "%s/%s", b->dir, b->names[i]);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    f = fopen(path, "re");
    assert_non_null(f);
    *size = fread(text, 1, BIG - 1, f);
    text[*size] = '\0';
    fclose(f);
    return text;
}

/* ---- a reader of our own, strict: what JSON allows and we write, and no more */

static unsigned hex4(const char *p)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, p[i]);

        assert_true(p[i] != '\0' && at != NULL);
        value = value << 4 | (unsigned)(at - digits);
    }
    return value;
}

/* Undoes the inside of a JSON string up to its closing quote. */
static size_t unescape(const char *p, uint8_t *out, const char **end)
{
    size_t len = 0;

    while (*p != '"') {
        assert_true((uint8_t)*p >= 0x20);
        if (*p != '\\') {
            out[len++] = (uint8_t)*p++;
            continue;
        }
        switch (*++p) {
        case 'n':
            out[len++] = '\n';
            break;
        case 'r':
            out[len++] = '\r';
            break;
        case 't':
            out[len++] = '\t';
            break;
        case '"':
        case '\\':
            out[len++] = (uint8_t)*p;
            break;
        default:
            assert_int_equal(*p, 'u');
            assert_true(hex4(p + 1) < 0x80);
            out[len++] = (uint8_t)hex4(p + 1);
            p += 4;
        }
        p++;
    }
    *end = p + 1;
    assert_true(utf8_valid(out, len));
    return len;
}

/* Adds up the texts of all events of one direction in a cast; every line is checked. */
static size_t read_cast(const char *text, char dir, uint8_t *out)
{
    const char *line = strchr(text, '\n');
    double before = 0;
    size_t len = 0;

    assert_int_equal(strncmp(text, "{\"version\":2,\"width\":80,\"height\":24,", 36), 0);
    assert_non_null(line);
    while (*++line != '\0') {
        double at = 0;
        int n = 0;
        char kind = 0;
        uint8_t piece[64 * 1024];
        const char *end;
        size_t got;

        assert_int_equal(sscanf(line, "[%lf,\"%c\",\"%n", &at, &kind, &n), 2);
        assert_true(n > 0 && at >= before);
        assert_true(kind == 'i' || kind == 'o');
        got = unescape(line + n, piece, &end);
        assert_true(got > 0);
        if (kind == dir) {
            memcpy(out + len, piece, got);
            len += got;
        }
        assert_int_equal(strncmp(end, "]\n", 2), 0);
        line = end + 1;
        before = at;
    }
    return len;
}

static size_t from_base64(const char *p, uint8_t *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = 0;

    for (; *p != '"'; p += 4) {
        uint32_t value = 0;
        size_t pads = 0;

        for (int i = 0; i < 4; i++) {
            const char *at = strchr(digits, p[i]);

            pads += p[i] == '=';
            assert_true(p[i] == '=' || (p[i] != '\0' && at != NULL && pads == 0));
            value = value << 6 | (p[i] == '=' ? 0 : (uint32_t)(at - digits));
        }
        for (size_t i = 0; i < 3 - pads; i++)
            out[len++] = (uint8_t)(value >> (16 - 8 * i));
    }
    return len;
}

/* The same of JSON lines: *messages counts the ends. */
static size_t read_jsonl(const char *text, const char *dir, uint8_t *out, size_t *messages)
{
    const char *line = strchr(text, '\n');
    size_t len = 0;

    assert_int_equal(strncmp(text, "{\"format\":\"wsluice-recording\",\"version\":1,", 42), 0);
    assert_non_null(line);
    while (*++line != '\0') {
        char way[8], type[8], whole[8];
        double at;
        int n = 0;
        const char *end;

        assert_int_equal(
            sscanf(line,
                   "{\"time\":%lf,\"dir\":\"%7[a-z]\",\"type\":\"%7[a-z]\",\"end\":%7[a-"
                   "z],\"data\":\"%n",
                   &at, way, type, whole, &n),
            4);
        assert_true(n > 0);
        end = strchr(line + n, '"');
        assert_non_null(end);
        if (strcmp(way, dir) == 0) {
            len += from_base64(line + n, out + len);
            *messages += strcmp(whole, "true") == 0;
        }
        assert_int_equal(strncmp(end, "\"}\n", 3), 0);
        line = end + 2;
    }
    return len;
}

static const uint8_t *u(const char *text)
{
    return (const uint8_t *)text;
}

/* ---- tests */

static void strings_are_escaped(void **state)
{
    char out[256 * 6];
    uint8_t back[256];
    const char *end;
    (void)state;

    for (unsigned c = 0; c < 0x80; c++) {
        uint8_t one = (uint8_t)c;
        size_t n = record_json_escape(out, &one, 1);

        assert_true(n >= 1 && n <= 6);
        out[n] = '"';
        assert_int_equal(unescape(out, back, &end), 1);
        assert_int_equal(back[0], c);
    }
    assert_int_equal(record_json_escape(out, u("\xe2\x82\xac\xf0\x9f\x98\x80"), 7), 7);
    /* any text: wrong bytes are replaced, and a cut one ends with a character */
    assert_int_equal(record_json_text(out, "a\x80z", 100), 5);
    assert_memory_equal(out, "a\xef\xbf\xbdz", 5);
    assert_int_equal(record_json_text(out, "\xe2\x82\xac\xe2\x82\xac", 5), 3);
}

static void base64_of_every_length(void **state)
{
    char out[64];
    uint8_t in[30], back[40];
    (void)state;

    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 37 + 200);
    for (size_t n = 0; n <= sizeof in; n++) {
        size_t len = record_json_base64(out, in, n);

        assert_int_equal(len, (n + 2) / 3 * 4);
        out[len] = '"';
        assert_int_equal(from_base64(out, back), n);
        assert_memory_equal(back, in, n);
    }
    assert_int_equal(record_json_base64(out, u("foobar"), 5), 8);
    assert_memory_equal(out, "Zm9vYmE=", 8); /* RFC 4648, section 10 */
}

static void nothing_without_an_event(void **state)
{
    struct bench b;
    struct record *r;
    (void)state;

    bench_open(&b, RECORD_CAST);
    r = record_new(&b.w, &b.set, &b.facts);
    assert_non_null(r);
    record_bytes(r, RECORD_OUT, u(""), 0);
    record_message(r, RECORD_OUT, true, true, u("not of this format"), 18);
    record_close(r);
    list_files(&b);
    assert_int_equal(b.count, 0);
    record_close(NULL);

    b.set.record = "off";
    assert_null(record_new(&b.w, &b.set, &b.facts));
    b.set.record = NULL;
    assert_null(record_new(&b.w, &b.set, &b.facts));
    bench_close(&b);
}

/* Every way to cut this text in three gives the same recording. */
static void characters_are_carried(void **state)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
    size_t n = sizeof text - 1;
    (void)state;

    for (size_t i = 0; i <= n; i++) {
        for (size_t k = i; k <= n; k++) {
            struct bench b;
            uint8_t got[256];
            char *file;
            size_t size;

            bench_open(&b, RECORD_CAST);
            struct record *r = record_new(&b.w, &b.set, &b.facts);
            for (enum record_direction dir = RECORD_IN; dir <= RECORD_OUT; dir++)
                record_bytes(r, dir, u(text), i); /* the directions do not mix */
            for (enum record_direction dir = RECORD_IN; dir <= RECORD_OUT; dir++)
                record_bytes(r, dir, u(text) + i, k - i);
            for (enum record_direction dir = RECORD_IN; dir <= RECORD_OUT; dir++)
                record_bytes(r, dir, u(text) + k, n - k);
            record_close(r);
            list_files(&b);
            assert_int_equal(b.count, 1);
            file = read_file(&b, 0, &size);
            assert_int_equal(read_cast(file, 'o', got), n);
            assert_memory_equal(got, text, n);
            assert_int_equal(read_cast(file, 'i', got), n);
            assert_memory_equal(got, text, n);
            free(file);
            bench_close(&b);
        }
    }
}

/* A tail that is never completed, and bytes that are no text at all. */
static void wrong_bytes_are_replaced(void **state)
{
    struct bench b;
    uint8_t got[256];
    char *file;
    size_t size;
    (void)state;

    bench_open(&b, RECORD_CAST);
    struct record *r = record_new(&b.w, &b.set, &b.facts);
    record_bytes(r, RECORD_OUT, u("x\xffy\xe2\x82"), 5);
    record_close(r);
    list_files(&b);
    file = read_file(&b, 0, &size);
    assert_int_equal(read_cast(file, 'o', got), 8);
    assert_memory_equal(got, "x\xef\xbf\xbdy\xef\xbf\xbd", 8);
    free(file);
    bench_close(&b);
}

static void newlines_get_their_return(void **state)
{
    struct bench b;
    uint8_t got[256];
    char *file;
    size_t size;
    (void)state;

    bench_open(&b, RECORD_CAST);
    struct record *r = record_new(&b.w, &b.set, &b.facts);
    record_bytes(r, RECORD_OUT, u("a\nb\r"), 4);
    record_bytes(r, RECORD_OUT, u("\n\nc\n"), 4);
    record_bytes(r, RECORD_IN, u("q\n"), 2); /* what the program got, as it was */
    record_close(r);
    list_files(&b);
    file = read_file(&b, 0, &size);
    assert_int_equal(read_cast(file, 'o', got), 11);
    assert_memory_equal(got, "a\r\nb\r\n\r\nc\r\n", 11);
    assert_int_equal(read_cast(file, 'i', got), 2);
    assert_memory_equal(got, "q\n", 2);
    free(file);
    bench_close(&b);

    bench_open(&b, RECORD_CAST);
    b.facts.plain_newlines = false;
    r = record_new(&b.w, &b.set, &b.facts);
    record_bytes(r, RECORD_OUT, u("a\nb\r\n"), 5);
    record_close(r);
    list_files(&b);
    file = read_file(&b, 0, &size);
    assert_int_equal(read_cast(file, 'o', got), 5);
    free(file);
    bench_close(&b);
}

static void output_only(void **state)
{
    struct bench b;
    uint8_t got[256];
    size_t size, messages = 0;
    char *file;
    (void)state;

    bench_open(&b, RECORD_JSONL);
    b.set.record_what = RECORD_OUTPUT;
    struct record *r = record_new(&b.w, &b.set, &b.facts);
    record_message(r, RECORD_IN, true, true, u("secret"), 6);
    record_message(r, RECORD_OUT, true, true, u(""), 0);
    record_message(r, RECORD_OUT, true, false, u(""), 0); /* no border and no byte */
    record_message(r, RECORD_OUT, false, true, u("\0\xff"), 2);
    record_close(r);
    list_files(&b);
    file = read_file(&b, 0, &size);
    assert_int_equal(read_jsonl(file, "in", got, &messages), 0);
    assert_int_equal(messages, 0);
    assert_int_equal(read_jsonl(file, "out", got, &messages), 2);
    assert_memory_equal(got, "\0\xff", 2);
    assert_int_equal(messages, 2);
    free(file);
    bench_close(&b);
}

/* Writes a megabyte and a half of numbered bytes; returns what the files give back. */
static size_t record_much(struct bench *b, uint8_t *got)
{
    static const size_t sizes[] = {1, 7, 1023, 1024, 1025, 8191, 8192, 8193, 65536, 3};
    struct record *r = record_new(&b->w, &b->set, &b->facts);
    uint8_t *chunk = malloc(65536);
    size_t total = 0, len = 0, size;

    assert_non_null(r);
    assert_non_null(chunk);
    for (int round = 0; round < 15; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            for (size_t k = 0; k < sizes[i]; k++, total++)
                chunk[k] = (uint8_t)(b->facts.format == RECORD_CAST ? ' ' + total % 95
                                                                    : total * 2654435761U >> 13);
            record_bytes(r, RECORD_OUT, chunk, sizes[i]);
            record_message(r, RECORD_OUT, false, true, chunk, sizes[i]);
        }
    }
    record_close(r);
    free(chunk);
    list_files(b);
    for (size_t i = 0; i < b->count; i++) {
        char *file = read_file(b, i, &size);
        size_t messages = 0;

        assert_true(size <= b->set.record_max);
        assert_true(i + 1 == b->count || size > b->set.record_max - 13000); /* not much wasted */
        len += b->facts.format == RECORD_CAST ? read_cast(file, 'o', got + len)
                                              : read_jsonl(file, "out", got + len, &messages);
        free(file);
    }
    assert_true(len <= total);
    for (size_t i = 0; i < len; i++) {
        size_t at = total - len + i;

        assert_int_equal(
            got[i],
            (uint8_t)(b->facts.format == RECORD_CAST ? ' ' + at % 95 : at * 2654435761U >> 13));
    }
    return total - len;
}

static void files_rotate(void **state)
{
    uint8_t *got = malloc(BIG);
    (void)state;

    assert_non_null(got);
    for (enum record_format format = RECORD_CAST; format <= RECORD_JSONL; format++) {
        struct bench b;

        bench_open(&b, format);
        b.set.record_max = 64 * 1024;
        assert_int_equal(record_much(&b, got), 0); /* all is there */
        assert_true(b.count > 20);
        bench_close(&b);

        bench_open(&b, format);
        b.set.record_max = 64 * 1024;
        b.set.record_files = 3;
        assert_true(record_much(&b, got) > 0); /* the end is there, no more */
        assert_int_equal(b.count, 3);
        assert_true(part_of(b.names[0]) > 18);
        assert_int_equal(part_of(b.names[2]), part_of(b.names[0]) + 2);
        bench_close(&b);
    }
    free(got);
}

/* The next name is taken, by a link to somebody else's file: it is left alone, the recording ends.
 */
static void what_is_there_is_not_touched(void **state)
{
    struct bench b;
    char target[128], link_[512];
    struct stat st;
    size_t before;
    uint8_t chunk[8192] = {0};
    (void)state;

    bench_open(&b, RECORD_JSONL);
    b.set.record_max = 32768;
    struct record *r = record_new(&b.w, &b.set, &b.facts);
    record_message(r, RECORD_OUT, false, true, chunk, 1);
    list_files(&b);
    assert_int_equal(b.count, 1);
    snprintf(target, sizeof target, "%s/.victim", b.dir);
    snprintf(link_, sizeof link_, "%s/%.*s-2.jsonl", b.dir, (int)strlen(b.names[0]) - 6,
             b.names[0]);
    int fd = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlink(target, link_), 0);
    before = b.core.recordings_failed;
    for (int i = 0; i < 20; i++)
        record_message(r, RECORD_OUT, false, true, chunk, sizeof chunk);
    record_close(r);
    assert_int_equal(b.core.recordings_failed, before + 1);
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(unlink(target), 0);
    bench_close(&b);
}

/* No room: what was written ends in a whole line, and nothing else happens. */
static void a_full_disk_ends_it(void **state)
{
    struct rlimit old, limit;
    struct bench b;
    uint8_t chunk[1000], *got = malloc(BIG);
    size_t size;
    char *file;
    (void)state;

    assert_non_null(got);
    memset(chunk, 'x', sizeof chunk);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = (struct rlimit){.rlim_cur = 50001, .rlim_max = old.rlim_max};
    bench_open(&b, RECORD_CAST);
    struct record *r = record_new(&b.w, &b.set, &b.facts);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int i = 0; i < 200; i++)
        record_bytes(r, RECORD_OUT, chunk, sizeof chunk);
    record_close(r);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(b.core.recordings_failed, 1);
    list_files(&b);
    assert_int_equal(b.count, 1);
    file = read_file(&b, 0, &size);
    assert_true(size > 48000 && size <= 50001);
    assert_true(read_cast(file, 'o', got) > 40000);
    free(file);
    free(got);
    bench_close(&b);
}

/* What waits is written after a second at most, and its memory goes. */
static void it_is_written_soon(void **state)
{
    struct bench b;
    uint8_t got[64];
    size_t size;
    char *file;
    (void)state;

    bench_open(&b, RECORD_CAST);
    struct record *r = record_new(&b.w, &b.set, &b.facts);
    record_bytes(r, RECORD_OUT, u("one"), 3);
    list_files(&b);
    file = read_file(&b, 0, &size);
    assert_int_equal(size, 0);
    free(file);
    double start = worker_clock();
    worker_run(&b.w); /* ends when no watcher is left: the timer fires once */
    assert_true(worker_clock() - start < 5 * RECORD_DELAY);
    file = read_file(&b, 0, &size);
    assert_int_equal(read_cast(file, 'o', got), 3);
    free(file);
    record_bytes(r, RECORD_OUT, u("two"), 3);
    record_close(r);
    file = read_file(&b, 0, &size);
    assert_int_equal(read_cast(file, 'o', got), 6);
    assert_memory_equal(got, "onetwo", 6);
    free(file);
    bench_close(&b);
}

static void a_size_is_in_the_header_or_an_event(void **state)
{
    struct bench b;
    size_t size;
    (void)state;

    bench_open(&b, RECORD_CAST);
    struct record *r = record_new(&b.w, &b.set, &b.facts);
    record_resize(r, 100, 0);
    record_resize(r, 0, 30);
    record_bytes(r, RECORD_OUT, u("x"), 1);
    record_resize(r, 100, 30);
    record_resize(r, 120, 40);
    record_close(r);
    list_files(&b);
    assert_int_equal(b.count, 1);
    char *file = read_file(&b, 0, &size);
    assert_ptr_equal(strstr(file, "{\"version\":2,\"width\":100,\"height\":30,"), file);
    assert_null(strstr(file, "\"r\",\"100x30\""));
    assert_non_null(strstr(file, "\"r\",\"120x40\"]\n"));
    free(file);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(base64_of_every_length),
        cmocka_unit_test(nothing_without_an_event),
        cmocka_unit_test(characters_are_carried),
        cmocka_unit_test(wrong_bytes_are_replaced),
        cmocka_unit_test(newlines_get_their_return),
        cmocka_unit_test(output_only),
        cmocka_unit_test(a_size_is_in_the_header_or_an_event),
        cmocka_unit_test(files_rotate),
        cmocka_unit_test(what_is_there_is_not_touched),
        cmocka_unit_test(a_full_disk_ends_it),
        cmocka_unit_test(it_is_written_soon),
    };

    (void)alarm(120); /* a test that hangs fails */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
