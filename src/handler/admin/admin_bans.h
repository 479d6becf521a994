/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_ADMIN_ADMIN_BANS_H
#define WSLUICE_HANDLER_ADMIN_ADMIN_BANS_H

/* Orders about bans, beside the ban-file: POST /ban?what=NETWORK&time=TIME, /unban?what=NETWORK. */
#include "core/stream.h"

void admin_bans_ban(struct stream *s);
void admin_bans_unban(struct stream *s);

#endif
