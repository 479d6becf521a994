/* SPDX-License-Identifier: MIT */
#include "auth/verify.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/secret.h"

#define TIMEOUT 30.0 /* seconds */
#define CPU_MAX 20   /* seconds of one process */
#define NICE 10      /* sessions come first */
#define INPUT_MAX (VERIFY_PASSWORD_MAX + VERIFY_HASH_MAX + 2)

static size_t read_input(char *in, size_t size)
{
    size_t len = 0;

    for (;;) {
        ssize_t n = read(STDIN_FILENO, in + len, size - len);

        if (n > 0)
            len += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return len;
    }
}

static bool matches(const char *password, const char *hash)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    bool ok = false;

    if (data == NULL)
        return false;
    const char *made = crypt_rn(password, hash, data, (int)sizeof *data);
    if (made != NULL && strlen(made) == strlen(hash))
        ok = secret_equal(made, hash, strlen(hash));
    explicit_bzero(data, sizeof *data);
    free(data);
    return ok;
}

int verify_main(void)
{
    const struct rlimit seconds = {CPU_MAX, CPU_MAX};
    char in[INPUT_MAX + 1] = {0};
    bool ok = false;

    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CPU, &seconds);
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    size_t len = read_input(in, INPUT_MAX);
    const char *hash = memchr(in, '\0', len);
    if (hash != NULL && ++hash < in + len && in[len - 1] == '\0')
        ok = matches(in, hash);
    explicit_bzero(in, sizeof in);
    return ok ? 0 : 1;
}

struct auth_job *verify_start(struct auth_queue *q, const union addr *client, struct slice password,
                              const char *hash,
                              void (*done)(void *owner, int status, struct slice out), void *owner)
{
    static const char *const argv[] = {"wsluice", VERIFY_WORD, NULL};
    static char *const envp[] = {NULL};
    char input[INPUT_MAX];
    size_t hash_len = strlen(hash);

    if (password.len > VERIFY_PASSWORD_MAX || hash_len > VERIFY_HASH_MAX)
        return NULL;
    char *end = mempcpy(input, password.p, password.len);
    *end++ = '\0';
    end = mempcpy(end, hash, hash_len + 1);
    const struct auth_job_spec spec = {.path =
                                           "/proc/self/exe", /* us, also when replaced on disk */
                                       .argv = (char *const *)(uintptr_t)argv,
                                       .envp = envp,
                                       .input = slice_of(input, (size_t)(end - input)),
                                       .timeout = TIMEOUT,
                                       .client = client,
                                       .done = done,
                                       .owner = owner};
    struct auth_job *j = auth_job_start(q, &spec);
    explicit_bzero(input, sizeof input);
    return j;
}
