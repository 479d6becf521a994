/* SPDX-License-Identifier: MIT */
#include "proto/deflate_offer.h"

#include <stdio.h>
#include <string.h>

#define FIELD "Sec-WebSocket-Extensions"
#define EXTENSION "permessage-deflate"
#define VALUE_MAX 8 /* bytes of a parameter's value; ours have two at most */

/* ---- grammar ---- */

struct text {
    const char *p, *end;
};

static bool is_token_char(char c)
{
    return c > ' ' && c <= '~' && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

static void skip_blanks(struct text *t)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\t'))
        t->p++;
}

/* Takes that character, blanks around it allowed. */
static bool offer_take(struct text *t, char c)
{
    skip_blanks(t);
    if (t->p == t->end || *t->p != c)
        return false;
    t->p++;
    skip_blanks(t);
    return true;
}

static bool take_token(struct text *t, struct slice *token)
{
    const char *start = t->p;

    while (t->p < t->end && is_token_char(*t->p))
        t->p++;
    *token = slice_of(start, (size_t)(t->p - start));
    return token->len > 0;
}

/* A value, its quotes and backslashes taken off. One that is too long to be right for any parameter
 * is cut, which leaves it too long. */
struct value {
    char text[VALUE_MAX];
    size_t len;
};

static void value_add(struct value *v, char c)
{
    if (v->len < VALUE_MAX)
        v->text[v->len++] = c;
}

/* What is inside the quotes must be a token, too (RFC 6455, section 9.1). */
static bool take_quoted(struct text *t, struct value *v)
{
    for (t->p++; t->p < t->end && *t->p != '"'; t->p++) {
        if (*t->p == '\\' && ++t->p == t->end)
            return false;
        if (!is_token_char(*t->p))
            return false;
        value_add(v, *t->p);
    }
    if (t->p == t->end)
        return false;
    t->p++;
    return v->len > 0;
}

static bool offer_take_value(struct text *t, struct value *v)
{
    struct slice token;

    if (t->p < t->end && *t->p == '"')
        return take_quoted(t, v);
    if (!take_token(t, &token))
        return false;
    for (size_t i = 0; i < token.len; i++)
        value_add(v, token.p[i]);
    return true;
}

/* ---- one offer ---- */

enum { SERVER_NO_TAKEOVER, CLIENT_NO_TAKEOVER, SERVER_BITS, CLIENT_BITS, PARAMETERS };

enum wants_value { NEVER, ALWAYS, MAYBE };

static const struct {
    const char *name;
    enum wants_value value;
} parameters[PARAMETERS] = {
    [SERVER_NO_TAKEOVER] = {"server_no_context_takeover", NEVER},
    [CLIENT_NO_TAKEOVER] = {"client_no_context_takeover", NEVER},
    [SERVER_BITS] = {"server_max_window_bits", ALWAYS},
    [CLIENT_BITS] = {"client_max_window_bits", MAYBE},
};

struct offer {
    bool right; /* it is ours and nothing in it is wrong so far */
    bool has[PARAMETERS];
    uint8_t bits[PARAMETERS]; /* 0: no value */
};

/* 8 to 15, without leading zeroes (RFC 7692, section 7.1.2); 0: anything else. */
static uint8_t bits_of(const struct value *v)
{
    if (v->len == 1 && (v->text[0] == '8' || v->text[0] == '9'))
        return (uint8_t)(v->text[0] - '0');
    if (v->len == 2 && v->text[0] == '1' && v->text[1] >= '0' && v->text[1] <= '5')
        return (uint8_t)(10 + v->text[1] - '0');
    return 0;
}

static void add_parameter(struct offer *o, struct slice name, const struct value *value)
{
    size_t i = 0;

    while (i < PARAMETERS && !slice_is(name, parameters[i].name))
        i++;
    if (i == PARAMETERS || o->has[i] || (value == NULL && parameters[i].value == ALWAYS) ||
        (value != NULL && parameters[i].value == NEVER)) {
        o->right = false;
        return;
    }
    o->has[i] = true;
    if (value == NULL)
        return;
    o->bits[i] = bits_of(value);
    if (o->bits[i] == 0)
        o->right = false;
}

/* Reads one extension with its parameters. False when the grammar is broken. */
static bool offer_take_one(struct text *t, struct offer *o)
{
    struct slice name;

    *o = (struct offer){0};
    if (!take_token(t, &name))
        return false;
    o->right = slice_is(name, EXTENSION);
    while (offer_take(t, ';')) {
        struct value value = {.len = 0};
        bool with_value;

        if (!take_token(t, &name))
            return false;
        with_value = offer_take(t, '=');
        if (with_value && !offer_take_value(t, &value))
            return false;
        add_parameter(o, name, with_value ? &value : NULL);
    }
    return true;
}

/* ---- the decision ---- */

static uint8_t least(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

static void decide(const struct offer *o, const struct deflate_policy *policy,
                   struct deflate_params *p)
{
    uint8_t asked = o->has[SERVER_BITS] ? o->bits[SERVER_BITS] : DEFLATE_BITS_MAX;
    uint8_t theirs = o->bits[CLIENT_BITS] != 0 ? o->bits[CLIENT_BITS] : DEFLATE_BITS_MAX;

    *p = (struct deflate_params){0};
    if (!o->right || asked < DEFLATE_BITS_MIN)
        return;
    p->agreed = true;
    p->server_takeover = policy->takeover && !o->has[SERVER_NO_TAKEOVER];
    p->server_bits = p->server_takeover ? least(asked, policy->window) : asked;
    p->tell_server_bits = o->has[SERVER_BITS] || p->server_bits < DEFLATE_BITS_MAX;
    p->client_takeover = policy->takeover && !o->has[CLIENT_NO_TAKEOVER] &&
                         (o->has[CLIENT_BITS] || policy->window == DEFLATE_BITS_MAX);
    p->tell_client_bits = p->client_takeover && o->has[CLIENT_BITS];
    /* what is not answered the client need not keep to (RFC 7692, section 7.1.2.2) */
    p->client_bits = p->tell_client_bits ? least(theirs, policy->window) : DEFLATE_BITS_MAX;
}

/* Reads a field's list of offers. False when the grammar is broken. */
static bool take_field(struct text *t, const struct deflate_policy *policy,
                       struct deflate_params *params)
{
    struct offer o;

    skip_blanks(t);
    while (t->p < t->end) {
        if (offer_take(t, ',')) /* empty members mean nothing (RFC 9110, section 5.6.1) */
            continue;
        if (!offer_take_one(t, &o))
            return false;
        if (!params->agreed)
            decide(&o, policy, params);
        skip_blanks(t);
        if (t->p < t->end && *t->p != ',')
            return false;
    }
    return true;
}

bool deflate_offer_valid(const struct http_head *head)
{
    const struct deflate_policy any = {.window = DEFLATE_BITS_MAX};
    struct deflate_params ignored = {0};

    for (size_t i = 0; i < head->count; i++) {
        struct slice value = head->fields[i].value;
        struct text t = {value.p, value.p + value.len};

        if (slice_eq_nocase(head->fields[i].name, slice_from(FIELD)) &&
            !take_field(&t, &any, &ignored))
            return false;
    }
    return true;
}

void deflate_offer_choose(const struct http_head *head, const struct deflate_policy *policy,
                          struct deflate_params *params)
{
    *params = (struct deflate_params){0};
    for (size_t i = 0; i < head->count; i++) {
        struct slice value = head->fields[i].value;
        struct text t = {value.p, value.p + value.len};

        if (!slice_eq_nocase(head->fields[i].name, slice_from(FIELD)))
            continue;
        if (!take_field(&t, policy, params)) {
            *params = (struct deflate_params){0};
            return;
        }
    }
}

const char *deflate_offer_answer(const struct deflate_params *p, char out[DEFLATE_ANSWER_MAX])
{
    char server[40] = "", client[40] = "";

    if (p->tell_server_bits)
        snprintf(server, sizeof server, "; server_max_window_bits=%u", (unsigned)p->server_bits);
    if (p->tell_client_bits)
        snprintf(client, sizeof client, "; client_max_window_bits=%u", (unsigned)p->client_bits);
    snprintf(out, DEFLATE_ANSWER_MAX, EXTENSION "%s%s%s%s",
             p->server_takeover ? "" : "; server_no_context_takeover",
             p->client_takeover ? "" : "; client_no_context_takeover", server, client);
    return out;
}
