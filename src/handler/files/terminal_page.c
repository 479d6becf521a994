/* SPDX-License-Identifier: MIT */
#include "handler/files/terminal_page.h"

#include <string.h>

/* clang-format off */
/* Each file, as it is and compressed, to four symbols of the linker. */
#define EMBED(symbol, path) \
    __asm__(".pushsection .rodata\n" \
            ".hidden " symbol "\n" \
            ".hidden " symbol "_end\n" \
            ".global " symbol "\n" \
            ".global " symbol "_end\n" \
            symbol ":\n" \
            ".incbin \"" path "\"\n" \
            symbol "_end:\n" \
            ".popsection\n");
#define FILE_OF(id, file, tag) \
    EMBED("terminal_" #id, "build/terminal/" #id) \
    EMBED("terminal_gz_" #id, "build/terminal/" #id ".gz") \
    extern const char terminal_##id[], terminal_##id##_end[], terminal_gz_##id[], terminal_gz_##id##_end[];
#include <terminal_files.h>
#undef FILE_OF

#define FILE_OF(id, file, tag) \
    {file, tag, terminal_##id, terminal_##id##_end, terminal_gz_##id, terminal_gz_##id##_end},
static const struct terminal_file files[] = {
#include <terminal_files.h>
    {NULL, NULL, NULL, NULL, NULL, NULL}};
/* clang-format on */

const struct terminal_file *terminal_file_find(const char *name)
{
    if (name[0] == '\0')
        name = TERMINAL_INDEX;
    for (const struct terminal_file *f = files; f->name != NULL; f++) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

bool terminal_page_is_there(void)
{
    return files[0].name != NULL;
}
