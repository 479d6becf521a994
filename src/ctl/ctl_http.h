/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CTL_CTL_HTTP_H
#define WSLUICE_CTL_CTL_HTTP_H

/* One request to an admin address, blocking, with a limit of time. */
#include <stdbool.h>
#include <stddef.h>

#define CTL_ERROR_MAX 320

struct ctl_answer {
    int status;
    char *body; /* NUL-terminated, by malloc */
    size_t length;
};

/*
 * address: unix:PATH, a path, HOST:PORT, PORT or http://HOST:PORT/. False with the reason in error
 * when no whole answer came; an answer of any status is an answer. Release it in any case.
 */
bool ctl_http_ask(const char *address, const char *method, const char *target,
                  struct ctl_answer *answer, char error[CTL_ERROR_MAX]);
void ctl_http_release(struct ctl_answer *answer);

/* Escapes text for the query of a target. out has room for 3 * strlen(text) + 1. */
void ctl_http_escape(char *out, const char *text);

#endif
