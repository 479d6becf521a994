/* SPDX-License-Identifier: MIT */
/*
 * Configuration files. Input: the bytes of one. Oracles:
 * - each fault is one line, and says the file;
 * - a tree is never deeper than it may be, and every node has a place;
 * - what is read without fault is dumped, and the dump reads back to the same dump;
 * - nothing is left when the configuration is gone (LeakSanitizer).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/cli.h"
#include "conf/dump.h"
#include "conf/yaml.h"
#include "server/kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct conf_kinds kinds = {backends, framings};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_tree(const struct yaml_node *node, unsigned depth)
{
    must(depth <= YAML_DEPTH_MAX && node->at.line > 0 && node->at.column > 0);
    must(node->kind != YAML_SCALAR || node->text != NULL);
    for (const struct yaml_node *n = node->first; n != NULL; n = n->next)
        check_tree(n, depth + 1);
}

static void check_faults(const struct faults *f, const char *file)
{
    for (size_t i = 0; i < f->count && i < FAULTS_MAX; i++)
        must(f->lines[i] != NULL && strchr(f->lines[i], '\n') == NULL &&
             (file == NULL || strncmp(f->lines[i], file, strlen(file)) == 0));
}

static void read_tree(const char *p, size_t n)
{
    struct arena arena = {0};
    struct faults faults = {0};
    const struct yaml_node *root = yaml_read("file", slice_of(p, n), &arena, &faults);

    if (root != NULL)
        check_tree(root, 1);
    check_faults(&faults, "file:");
    faults_release(&faults);
    arena_release(&arena);
}

/* The dump of what these bytes say, by malloc; NULL with faults. */
static char *read_config(const char *p, size_t n)
{
    char path[64], arg0[] = "wsluice", option[] = "-c", *argv[] = {arg0, option, path, NULL};
    int fd = memfd_create("conf", MFD_CLOEXEC);
    struct command_line cli;
    struct faults faults = {0};
    struct config *c = config_new();
    char *text = NULL;
    size_t len;

    must(fd >= 0 && c != NULL && write(fd, p, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (cli_parse(3, argv, c, &cli, &kinds, &faults) == CLI_OK) {
        FILE *f = open_memstream(&text, &len);

        must(f != NULL);
        dump_config(c, &kinds, f);
        must(fclose(f) == 0 && faults.count == 0);
    }
    check_faults(&faults, NULL);
    faults_release(&faults);
    config_release(c);
    close(fd);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    char *first, *second;

    if (memmem(data, size, "include", 7) != NULL) /* the world outside is not ours to read */
        return 0;
    read_tree(p, size);
    first = read_config(p, size);
    if (first == NULL)
        return 0;
    second = read_config(first, strlen(first));
    must(second != NULL && strcmp(first, second) == 0);
    free(first);
    free(second);
    return 0;
}
