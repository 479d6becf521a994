/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_ADMIN_ADMIN_JSON_H
#define WSLUICE_HANDLER_ADMIN_ADMIN_JSON_H

/* The admin door's answers in JSON. Each answers the stream's request and ends it. */
#include "core/session/session_info.h"
#include "core/stream.h"

#define ADMIN_JSON "application/json"

/* {"status": 404, "error": "..."} */
void admin_json_error(struct stream *s, int status, const char *fields, const char *why);
/* {"NAME": value, ...}: how something went. message NULL: no such member. */
void admin_json_done(struct stream *s, int status, const char *name, int64_t value,
                     const char *message);
void admin_json_level(struct stream *s, const char *level);

/* {"sessions": [...], "total": N}, newest first; piece by piece. */
void admin_json_sessions(struct stream *s);
void admin_json_session(struct stream *s, const struct session *session);
/* {"bans": [{"network": "10.0.0.0/8", "left": SECONDS or null}], "file": ..., ...} */
void admin_json_bans(struct stream *s);
void admin_json_stats(struct stream *s);

#endif
