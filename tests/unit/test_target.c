/* SPDX-License-Identifier: MIT */
/* The router, the doors and the files agree about a path: the oracles of the fuzz target, on all
 * ways of writing a few paths, and on a few thousand targets that a fixed seed makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../fuzz/fuzz_target.c" /* NOLINT(bugprone-suspicious-include) */

static void run(const char *target)
{
    (void)LLVMFuzzerTestOneInput((const uint8_t *)target, strlen(target));
}

/* The status and the first bytes for who is let in; 400 for a refused one. */
static int outcome(const char *target, char body[64])
{
    struct world *w = the_world != NULL ? the_world : world_new();
    char head[TARGET_MAX];
    struct asking a;

    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    w->let_in = true;
    body[0] = '\0';
    if (!ask(w, w->full, &a, head))
        return 400;
    memcpy(body, a.body, sizeof a.body);
    finish(&a);
    return a.status;
}

static const struct {
    const char *target;
    int status;
    const char *body;
    size_t asked; /* doors */
} ways[] = {
    {"/page", 200, "page", 0},
    {"/%70age", 200, "page", 0},
    {"/private/x", 200, "private/x", 1},
    {"/p%72ivate/%78?q=//", 200, "private/x", 1},
    {"/pr%69vate/", 200, "private/index.html", 1},
    {"http://x/private/x", 200, "private/x", 1},
    {"/private/open/x", 200, "private/open/x", 0},
    {"/private/ws/x", 200, "private/ws/x", 1},
    {"/private/ws/", 200, "private/ws/index.html", 1},
    {"/deep/private/x", 200, "deep/private/x", 1},
    {"/deep/", 302, "", 0}, /* to where its door is */
    {"/deep/index.html", 200, "deep/index.html", 1},
    {"/u/bob/", 200, "u/bob/index.html", 1},
    {"/private%252Fx", 200, "private%2Fx", 0},
    {"/..x", 404, "", 0},
    {"//private/x", 400, "", 0},
    {"///private///x", 400, "", 0},
    {"/private//x", 400, "", 0},
    {"/private/x//", 400, "", 0},
    {"//", 400, "", 0},
    {"/%2Fprivate/x", 400, "", 0},
    {"/%2fprivate/x", 400, "", 0},
    {"/private%2Fx", 400, "", 0},
    {"http://x//private/x", 400, "", 0},
    {"http://x/%2fprivate/x", 400, "", 0},
    {"/./private/x", 400, "", 0},
    {"/page/../private/x", 400, "", 0},
    {"/%2e/private/x", 400, "", 0},
    {"/page/.%2E/private/x", 400, "", 0},
    {"/private/x%00", 400, "", 0},
    {"/private/x%", 400, "", 0},
    {"/private/x%4", 400, "", 0},
    {"/private/%zz", 400, "", 0},
};

static void one_form_of_a_path(void **state)
{
    char body[64];
    (void)state;

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        int status = outcome(ways[i].target, body);
        size_t asked = status == 400 ? 0 : the_world->asked_count;

        if (status != ways[i].status || asked != ways[i].asked ||
            (status == 200 && strcmp(body, ways[i].body) != 0))
            fail_msg("%s: %d %s, %zu doors", ways[i].target, status, body, asked);
        run(ways[i].target);
    }
}

static const char *pick(const char *const *all, size_t n, uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return all[(*seed >> 16) % n];
}

static void router_doors_and_files_agree(void **state)
{
    static const char *const slashes[] = {
        "/",  "/",   "/",   "/",   "/",     "/",    "/",  "/",
        "//", "%2F", "%2f", "/./", "/%2E/", "/../", "\\", "%5c",
    };
    static const char *const words[] = {
        "private", "private", "pr%69vate", "PRIVATE", "deep", "open", "ws",   "u",  "bob",
        "page",    "x",       "%78",       "",        "..",   "é",    "x%00", "x%", "index.html",
    };
    static const char *const starts[] = {"", "", "", "http://x", "http://X", "https://y"};
    static const char *const ends[] = {"", "", "/", "?", "?/../x", ";x"};
    uint32_t seed = 1;
    char target[512];
    int judged = 0;
    (void)state;

    for (int i = 0; i < 20000; i++) {
        strcpy(target, pick(starts, 6, &seed));
        for (int k = 1 + (int)(seed >> 20) % 4; k > 0; k--) {
            strcat(target, pick(slashes, sizeof slashes / sizeof slashes[0], &seed));
            strcat(target, pick(words, sizeof words / sizeof words[0], &seed));
        }
        strcat(target, pick(ends, 6, &seed));
        if (the_world != NULL)
            the_world->asked_count = 0;
        run(target);
        judged += the_world->asked_count > 0;
    }
    assert_true(judged > 200); /* else it has tried nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_form_of_a_path),
        cmocka_unit_test(router_doors_and_files_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
