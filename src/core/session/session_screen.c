/* SPDX-License-Identifier: MIT */
#include "core/session/session_screen.h"

#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "core/session/session_kept.h"
#include "io/child/terminal.h"
#include "proto/tty.h"

#define SCREEN_LATE 65536U   /* bytes of the ring that a picture is made of, later, at most */
#define SCREEN_ANSWERS 4096U /* bytes that may wait for the program when it is answered */

static struct kept_screen *screen_of(const struct session *s)
{
    return session_kept(s)->screen;
}

/* ---- beginning, end ---- */

/* Those of the page that comes with the program, or what the operator has chosen for pages. */
static void read_colours(struct kept_screen *screen, const char *preferences)
{
    static const char *const names[] = {"foreground", "background", "cursor"};
    static const uint8_t usual[3][3] = {{0xdb, 0xe6, 0xec}, {0x10, 0x18, 0x1e}, {0x47, 0xc1, 0xdd}};

    memcpy(screen->colours, usual, sizeof usual);
    for (size_t i = 0; preferences != NULL && i < 3; i++) {
        char text[TTY_COLOUR_MAX];

        if (tty_read_theme(slice_from(preferences), names[i], text))
            (void)vt_read_colour(slice_from(text), screen->colours[i]);
    }
}

bool screen_begin(struct session *s)
{
    struct kept_screen *screen;

    if (!session_route(s)->backend->is_terminal || session_framing(s)->cut != NULL)
        return true;
    screen = calloc(1, sizeof *screen);
    if (screen == NULL)
        return false;
    screen->columns = TERMINAL_COLUMNS;
    screen->rows = TERMINAL_ROWS;
    read_colours(screen, session_settings(s)->tty_preferences);
    session_kept(s)->screen = screen;
    return true;
}

static void drop_picture(struct kept_screen *screen)
{
    vt_screen_free(screen->picture);
    screen->picture = NULL;
}

void screen_release(struct session *s)
{
    struct kept_screen *screen = screen_of(s);

    if (screen == NULL)
        return;
    drop_picture(screen);
    free(screen);
    session_kept(s)->screen = NULL;
}

size_t screen_memory(const struct session *s)
{
    const struct kept_screen *screen = screen_of(s);

    return screen != NULL && screen->picture != NULL ? vt_screen_memory(screen->picture) : 0;
}

/* ---- the picture ---- */

static void never(struct session *s, const char *why)
{
    struct kept_screen *screen = screen_of(s);

    drop_picture(screen);
    screen->has_none = true;
    hold_account(session_kept(s));
    log_line(&session_worker(s)->log, LOG_WARN,
             "no picture of the terminal is kept: who comes is sent what the ring has",
             LOG_I("id", s->owner.id), LOG_C("reason", why), LOG_I("columns", screen->columns),
             LOG_I("rows", screen->rows));
}

static bool screen_has_room(const struct session *s)
{
    size_t all = session_route(s)->config->max_replay;
    size_t needs = sizeof(struct vt_cell) * screen_of(s)->columns * screen_of(s)->rows;

    return core_of(session_worker(s))->sessions->replay_memory + needs <= all;
}

/* It has no memory, or has become too large for max-replay. */
static void look_if_lost(struct session *s)
{
    const struct kept_screen *screen = screen_of(s);

    if (screen->picture == NULL)
        return;
    hold_account(session_kept(s));
    if (screen->picture->is_lost)
        never(s,
              "it is too large, whole screens change with every few bytes, or there is no memory");
    else if (core_of(session_worker(s))->sessions->replay_memory >
             session_route(s)->config->max_replay)
        never(s, "max-replay");
}

/* Made of all that was said, at the size that it was said at; NULL: there is none. */
static struct vt_screen *picture_made(struct session *s)
{
    struct kept_screen *screen = screen_of(s);
    struct session_kept *k = session_kept(s);

    if (screen->picture != NULL || screen->has_none)
        return screen->picture;
    if (k->ring.first != 1 || !screen_has_room(s)) {
        never(s, "max-replay");
        return NULL;
    }
    screen->picture = vt_screen_new(screen->columns, screen->rows, session_settings(s)->replay / 4);
    if (screen->picture == NULL) {
        never(s, "it is too large, or there is no memory");
        return NULL;
    }
    for (uint64_t i = 1; i < k->ring.next; i++) {
        struct ring_message msg = ring_get(&k->ring, i);

        vt_screen_write(screen->picture, msg.payload, msg.len);
    }
    look_if_lost(s);
    return screen->picture;
}

/* The same at the size there is now. It changes only when it is looked at or written to: a client
 * that tells sizes over and over costs no more than that. */
static struct vt_screen *picture_of(struct session *s)
{
    const struct kept_screen *screen = screen_of(s);

    if (picture_made(s) != NULL) {
        vt_screen_resize(screen->picture, screen->columns, screen->rows);
        look_if_lost(s);
    }
    return screen->picture;
}

void screen_follow(struct session *s, const uint8_t *p, size_t n)
{
    struct kept_screen *screen = screen_of(s);
    const struct ring *ring = &session_kept(s)->ring;
    size_t all = ring->total + 2 * RING_COST + n;

    if (screen == NULL)
        return;
    if (screen->picture == NULL && all <= SCREEN_LATE && all <= ring->limit)
        return;
    if (picture_of(s) == NULL)
        return;
    vt_screen_write(screen->picture, p, n);
    look_if_lost(s);
}

/* ---- questions ---- */

void screen_answer(struct session *s, const struct vt_seq *question)
{
    const struct kept_screen *screen = screen_of(s);
    const struct vt_screen *picture = vt_asks_place(question) ? picture_of(s) : NULL;
    struct backend *b = s->backend;
    char answer[VT_ANSWER_MAX];
    struct vt_facts facts = {
        .columns = screen->columns,
        .rows = screen->rows,
        .version = "wsluice(" WSLUICE_VERSION ")",
    };
    size_t n;

    if (picture != NULL) {
        facts.column = (uint16_t)(picture->at.column + 1U);
        facts.row = (uint16_t)(picture->at.row + 1U);
    }
    memcpy(facts.colours, screen->colours, sizeof facts.colours);
    n = vt_answer(question, &screen->scan.modes, &facts, answer);
    if (n == 0)
        return;
    if (b == NULL || s->state != SESSION_RUNNING || b->ops->queued(b) > SCREEN_ANSWERS)
        session_count_dropped(s, n); /* who asks and reads nothing */
    else
        b->ops->write(b, answer, n);
}

/* ---- who comes ---- */

/* What it begins with stands for this message and all before it. */
static void stand_for(struct member *m, uint64_t number)
{
    if (m->next >= number)
        return;
    m->skipped += number - m->next;
    m->next = number;
    member_tell_skipped(m);
}

/* A picture stands for the newest message. Without one all is sent again that is there. */
uint64_t screen_first(struct session *s)
{
    const struct ring *ring = &session_kept(s)->ring;

    if (screen_of(s) == NULL || ring->next == 1 || picture_of(s) == NULL)
        return ring->first;
    return ring->next - 1;
}

void screen_came(struct member *m)
{
    m->wants_picture =
        screen_of(m->session) != NULL && m->next < session_kept(m->session)->ring.next;
}

void screen_show_again(struct member *m)
{
    stand_for(m, screen_first(m->session));
    m->wants_picture = true;
}

static bool put(struct buf *out, const void *p, size_t n)
{
    return n == 0 || buf_append(out, p, n) == 0;
}

/* The program is told of a size that is not so and of that which is: many draw all anew then. */
static void make_it_draw(struct session *s)
{
    const struct kept_screen *screen = screen_of(s);

    if (s->backend == NULL || s->state != SESSION_RUNNING || screen->rows < 2)
        return;
    s->backend->ops->resize(s->backend, screen->columns, (uint16_t)(screen->rows - 1));
    s->backend->ops->resize(s->backend, screen->columns, screen->rows);
}

/* The oldest message that is there, behind the modes of now where others stood before it. */
static bool draw_oldest(struct session *s, uint64_t number, struct buf *out)
{
    const struct kept_screen *screen = screen_of(s);
    struct ring_message msg = ring_get(&session_kept(s)->ring, number);
    char modes[VT_MODES_TEXT_MAX];
    bool whole = true;

    if (number > 1) {
        if (screen->scan.modes.alternate != 0)
            whole = put(out, "\033[?1049h", 8);
        whole = whole && put(out, modes, vt_modes_write(&screen->scan.modes, modes));
        make_it_draw(s);
    }
    return whole && put(out, msg.payload, msg.len);
}

/* A reset, then all there is to be seen, or what there is instead. */
static bool draw(struct member *m, struct buf *out)
{
    static const uint8_t begin[CLIENT_PLACE + 2] = {[CLIENT_PLACE] = 0x1B, 'c'};
    const struct vt_screen *picture = picture_of(m->session);

    if (!put(out, begin, sizeof begin))
        return false;
    return picture != NULL ? vt_screen_paint(picture, out) : draw_oldest(m->session, m->next, out);
}

bool screen_show(struct member *m)
{
    struct buf out = {0};

    if (m->client->tty == CLIENT_TTY_BEGINS)
        return false; /* it has not said how large it is */
    stand_for(m, screen_first(m->session));
    if (picture_of(m->session) == NULL && m->next >= session_kept(m->session)->ring.next)
        return false; /* nothing of what was said is left: it begins with what comes */
    m->wants_picture = false;
    if (draw(m, &out))
        member_send(m, m->next++, buf_data(&out) + CLIENT_PLACE, buf_len(&out) - CLIENT_PLACE);
    else
        client_no_memory(m->client);
    buf_release(&out);
    return true;
}

/* ---- its size ---- */

/* Who typed last; of those who never did the first. */
static const struct member *whose_size(const struct session *s)
{
    const struct member *m, *best = NULL;

    LIST_FOREACH(m, &session_kept(s)->members, link)
    {
        if (m->columns == 0 && m->rows == 0)
            continue;
        if (best == NULL || m->typed > best->typed ||
            (m->typed == best->typed && m->number < best->number))
            best = m;
    }
    return best;
}

static void screen_resize(struct session *s, uint16_t columns, uint16_t rows)
{
    struct kept_screen *screen = screen_of(s);
    bool same;

    columns = columns > 0 ? columns : screen->columns;
    rows = rows > 0 ? rows : screen->rows;
    same = columns == screen->columns && rows == screen->rows;
    if (same && screen->has_begun)
        return;
    if (!same && session_kept(s)->ring.next > 1)
        (void)picture_made(s);
    screen->has_begun = true;
    screen->columns = columns;
    screen->rows = rows;
    screen->scan.modes.top = screen->scan.modes.bottom = 0;
    session_client_events.resize(&s->owner, columns, rows);
}

static void take_size(struct session *s)
{
    struct kept_screen *screen = screen_of(s);
    const struct member *m = whose_size(s);

    screen->last = m;
    if (m != NULL)
        screen_resize(s, m->columns, m->rows);
}

void screen_typed(struct member *m)
{
    struct kept_screen *screen = screen_of(m->session);

    if (screen == NULL || session_settings(m->session)->read_only)
        return;
    m->typed = ++screen->typed;
    if (screen->last != m)
        take_size(m->session);
}

/* Both 0: it is a client that tells none. */
void screen_sized(struct member *m, uint16_t columns, uint16_t rows)
{
    struct session *s = m->session;

    if (screen_of(s) == NULL) {
        session_client_events.resize(&s->owner, columns, rows);
        return;
    }
    m->columns = columns > 0 ? columns : m->columns;
    m->rows = rows > 0 ? rows : m->rows;
    if (m->columns != 0 || m->rows != 0)
        take_size(s);
    else if (!screen_of(s)->has_begun)
        screen_resize(s, 0, 0);
}

void screen_left(struct member *m)
{
    struct kept_screen *screen = screen_of(m->session);

    if (screen != NULL && screen->last == m)
        take_size(m->session);
}
