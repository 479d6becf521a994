/* SPDX-License-Identifier: MIT */
#include "server/renew.h"

#include <stdlib.h>

#include "base/descriptors.h"
#include "core/core.h"
#include "server/prepare.h"

#define LOOK_EVERY 1.0 /* seconds */
#define RETRY_AFTER                                                               \
    60.0 /* seconds: permissions of a folder, or the date, may have been at fault \
          */

/* Something with files of its own. */
struct holder {
    struct config *config;
    struct listen_spec *listener; /* or */
    struct route *route;
};

static struct holder holder_of(struct config *c, size_t i)
{
    if (i < c->listen_count)
        return (struct holder){.config = c, .listener = &c->listen[i]};
    return (struct holder){.config = c, .route = &c->routes[i - c->listen_count]};
}

static bool has_files(const struct holder *h)
{
    return h->listener != NULL ? h->listener->tls != NULL : h->route->tls != NULL;
}

static const char *name_of(const struct holder *h)
{
    return h->listener != NULL ? h->listener->text : h->route->target.text;
}

static uint64_t files_in_force(const struct holder *h)
{
    return h->listener != NULL ? tlsctx_files(h->listener->tls) : tlsclient_files(h->route->tls);
}

static bool renew_look(const struct holder *h, uint64_t *files)
{
    if (h->listener == NULL)
        return tlsclient_look(&h->route->settings.tls, files);
    const struct tlsctx_spec spec = prepare_tls_spec(h->listener);

    return tlsctx_look(&spec, files);
}

/* False with error; then nothing has changed. */
static bool replace(const struct holder *h, char error[TLSCTX_ERROR_MAX])
{
    if (h->listener != NULL) {
        const struct tlsctx_spec spec = prepare_tls_spec(h->listener);
        struct tlsctx *fresh = tlsctx_new(&spec, error);

        if (fresh == NULL)
            return false;
        tlsctx_release(h->listener->tls); /* connections have references of their own */
        h->listener->tls = fresh;
        return true;
    }
    struct tlsclient *fresh = tlsclient_new(&h->route->settings.tls, error);

    if (fresh == NULL)
        return false;
    tlsclient_free(h->route->tls);
    h->route->tls = fresh;
    return true;
}

/* FNV-1a; not 0. */
static uint64_t digest_of(const char *text)
{
    uint64_t digest = 0xcbf29ce484222325U;

    for (; *text != '\0'; text++)
        digest = (digest ^ (unsigned char)*text) * 0x100000001b3U;
    return digest | 1;
}

static void renew_complain(struct log *log, const struct holder *h, struct renewal *r,
                           const char *error)
{
    uint64_t digest = digest_of(error);

    if (digest == r->told)
        return;
    r->told = digest;
    log_line(log, LOG_ERROR, "changed certificates cannot be used, the old ones stay in force",
             LOG_C("of", name_of(h)), LOG_C("reason", error));
}

static void take_over(struct renew *all, const struct holder *h, struct renewal *r, uint64_t files)
{
    struct worker *w = all->worker;
    rlim_t reserve = descriptors_open_reserve(); /* clients must not keep them from being read */
    char error[TLSCTX_ERROR_MAX];

    if (replace(h, error)) {
        *r = (struct renewal){.seen = files};
        log_line(&w->log, LOG_INFO, "changed certificates are in force", LOG_C("of", name_of(h)));
    } else {
        r->refused = files;
        r->again_at = w->now + RETRY_AFTER;
        renew_complain(&w->log, h, r, error);
    }
    descriptors_close_reserve(reserve);
}

static void renew_look_at(struct renew *all, const struct holder *h, struct renewal *r)
{
    uint64_t files, before = r->seen;

    if (!has_files(h) || !renew_look(h, &files))
        return; /* one is missing: somebody may be replacing it */
    r->seen = files;
    if (files == files_in_force(h) || files != before ||
        (files == r->refused && all->worker->now < r->again_at))
        return;
    take_over(all, h, r, files);
}

static void renew_on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct renew *r = timer->data;
    (void)loop;
    (void)revents;

    for (size_t i = 0; i < r->count; i++) {
        const struct holder h = holder_of(core_of(r->worker)->config, i);

        renew_look_at(r, &h, &r->all[i]);
    }
}

void renew_init(struct renew *r, struct worker *w)
{
    *r = (struct renew){.worker = w};
    ev_timer_init(&r->look, renew_on_look, LOOK_EVERY, LOOK_EVERY);
    r->look.data = r;
}

static void renew_stop(struct renew *r)
{
    if (!ev_is_active(&r->look))
        return;
    ev_ref(r->worker->loop);
    ev_timer_stop(r->worker->loop, &r->look);
}

void renew_apply(struct renew *r)
{
    struct config *c = core_of(r->worker)->config;
    bool any = false;

    free(r->all);
    r->count = c->listen_count + c->route_count;
    r->all = calloc(r->count, sizeof *r->all);
    for (size_t i = 0; i < r->count; i++) {
        const struct holder h = holder_of(c, i);

        any |= has_files(&h);
    }
    renew_stop(r);
    if (r->all == NULL) /* without memory: a reload reads them again, as ever */
        r->count = 0;
    if (!any || r->count == 0)
        return;
    ev_timer_again(r->worker->loop, &r->look);
    ev_unref(r->worker->loop);
}

void renew_release(struct renew *r)
{
    if (r->worker == NULL)
        return;
    renew_stop(r);
    free(r->all);
    *r = (struct renew){0};
}
