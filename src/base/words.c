/* SPDX-License-Identifier: MIT */
#include "base/words.h"

#include <stdbool.h>
#include <string.h>

#include "base/slice.h"

static bool is_operator(struct slice word)
{
    static const char *const operators[] = {"|", "||", "&",  "&&", ";",    ">",
                                            "<", ">>", "<<", "2>", "2>&1", "&>"};

    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (slice_is(word, operators[i]))
            return true;
    }
    return false;
}

enum words_kind words_judge(const char *line)
{
    struct slice rest = slice_from(line), word;
    enum words_kind kind = WORDS_PLAIN;

    while (rest.p != NULL) {
        word = slice_cut(rest, ' ', &rest);
        if (is_operator(word))
            return WORDS_SHELL;
        if (memchr(word.p, '\'', word.len) != NULL || memchr(word.p, '"', word.len) != NULL ||
            (word.len > 0 && word.p[word.len - 1] == '\\' && rest.p != NULL))
            kind = WORDS_QUOTED;
    }
    return kind;
}

struct list {
    char *out;
    size_t n, size;
};

static void words_put(struct list *l, char c)
{
    if (l->n + 1 < l->size)
        l->out[l->n] = c;
    l->n++;
}

/* Inside the double quotes of an item. */
static void put_inside(struct list *l, char c)
{
    if (c == '"' || c == '\\')
        words_put(l, '\\');
    words_put(l, c);
}

static void words_put_text(struct list *l, const char *text)
{
    while (*text != '\0')
        words_put(l, *text++);
}

/* One word, with its quotes taken away; what is behind it. */
static const char *words_put_word(struct list *l, const char *p)
{
    char quote = '\0';

    words_put(l, '"');
    for (; *p != '\0' && (quote != '\0' || *p != ' '); p++) {
        if (*p == '\\' && quote != '\'' && p[1] != '\0')
            put_inside(l, *++p);
        else if (*p == quote)
            quote = '\0';
        else if (quote == '\0' && (*p == '\'' || *p == '"'))
            quote = *p;
        else
            put_inside(l, *p);
    }
    words_put(l, '"');
    return p;
}

void words_as_list(const char *line, char *out, size_t size)
{
    struct list l = {.out = out, .size = size};

    words_put(&l, '[');
    if (words_judge(line) == WORDS_SHELL) {
        words_put_text(&l, "\"sh\", \"-c\", \"");
        for (const char *p = line; *p != '\0'; p++)
            put_inside(&l, *p);
        words_put(&l, '"');
    } else {
        for (const char *p = line + strspn(line, " "); *p != '\0'; p += strspn(p, " ")) {
            if (l.n > 1)
                words_put_text(&l, ", ");
            p = words_put_word(&l, p);
        }
    }
    words_put(&l, ']');
    if (l.n < size)
        out[l.n] = '\0';
    else if (size >= 4)
        memcpy(out + size - 4, "...", 4);
}
