/* SPDX-License-Identifier: MIT */
#include "server/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/observe/stats.h"

#define UNIX "unix:"

/* Reads the address. NULL, or what is wrong with it. */
static const char *admin_door_parse(const char *text, struct listener_spec *spec)
{
    union addr addr;
    const char *wrong;

    spec->text = text;
    if (strncmp(text, UNIX, strlen(UNIX)) == 0) {
        spec->unix_path = text + strlen(UNIX);
        spec->unix_mode = 0600;
        return spec->unix_path[0] == '\0' ? "unix:PATH needs a path" : NULL;
    }
    wrong = addr_split(slice_from(text), &spec->host, &spec->port);
    if (wrong != NULL)
        return wrong;
    if (spec->host.len > 0 && !slice_eq_nocase(spec->host, slice_from("localhost")) &&
        !(addr_parse_host(spec->host, 0, &addr) && addr_is_loopback(&addr)))
        return "it may only be a loopback address (127.0.0.1, [::1]) or unix:PATH: who reaches it "
               "governs this server";
    return NULL;
}

const char *admin_judge(const char *address)
{
    struct listener_spec spec = {0};

    return admin_door_parse(address, &spec);
}

bool admin_usable(const char *address, char error[LISTENER_ERROR_MAX])
{
    struct listener_spec spec = {0};
    bool exposed;

    return admin_door_parse(address, &spec) != NULL || listener_judge(&spec, &exposed, error);
}

/* The predecessor's; NULL: none, or no memory to look for it. */
static struct passed_socket *admin_door_find_passed(struct passed *passed, const char *text)
{
    struct passed_socket *have = NULL;
    char *name;

    if (asprintf(&name, ADMIN_PASSED "%s", text) < 0)
        return NULL;
    have = passed_find(passed, name);
    free(name);
    return have;
}

static struct listener *admin_door_open_one(struct worker *w, const struct config *c,
                                            struct passed *passed, listener_accepted accepted,
                                            void *owner, char error[LISTENER_ERROR_MAX])
{
    struct listener_spec spec = {0};
    const char *wrong = admin_door_parse(c->admin, &spec);
    struct passed_socket *have = passed != NULL ? admin_door_find_passed(passed, c->admin) : NULL;

    if (wrong != NULL) {
        snprintf(error, LISTENER_ERROR_MAX, "admin %.60s: %s", c->admin, wrong);
        return NULL;
    }
    if (have != NULL) {
        have->taken = true;
        spec.inherited = have->fd;
    }
    struct listener *l = listener_open(w, &spec, accepted, owner, error);
    if (l != NULL && l->unix_path == NULL && !addr_is_loopback(&l->addr)) {
        listener_close(l);
        snprintf(error, LISTENER_ERROR_MAX, "admin %.60s: it is not a loopback address here",
                 c->admin);
        return NULL;
    }
    return l;
}

int admin_open(struct worker *w, const struct config *c, struct passed *passed,
               const struct listener *have, listener_accepted accepted, void *owner,
               struct listener **fresh, char error[LISTENER_ERROR_MAX])
{
    *fresh = NULL;
    if (c->admin == NULL || (have != NULL && strcmp(have->text, c->admin) == 0))
        return 0;
    *fresh = admin_door_open_one(w, c, passed, accepted, owner, error);
    return *fresh != NULL ? 0 : -1;
}

void admin_adopt(struct worker *w, const struct config *c, struct listener **have,
                 struct listener *fresh)
{
    if (c->admin == NULL || fresh != NULL)
        admin_close(have);
    if (fresh == NULL)
        return;
    *have = fresh;
    fresh->uses_reserve = true;
    listener_start(fresh);
    stats_watch_loop(w);
    if (fresh->unix_path != NULL)
        log_printf(&w->log, LOG_INFO, "admin on unix:%s", fresh->unix_path);
    else
        log_printf(&w->log, LOG_INFO, "admin on http%s", fresh->url + strcspn(fresh->url, ":"));
}

void admin_close(struct listener **have)
{
    struct listener *l = *have;

    *have = NULL;
    if (l == NULL)
        return;
    listener_close(l);
}
