/* AUTHENTICATE and LIMIT: whose key is it, and may an exchange begin at all? */
#include "edge/edge_priv.h"

#include "edge/door.h"
#include "edge/duplex.h"
#include "edge/endpoints.h"
#include "edge/h2.h"
#include "edge/known_keys.h"
#include "edge/limit.h"
#include "edge/spare.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "Bearer <key>", the scheme in any case (RFC 9110 11.1). */
static struct span
bearer(struct span v)
{
	if (v.len < 7 || strncasecmp(v.at, "bearer", 6) != 0 || !is_blank(v.at[6]))
		return (struct span){0};
	v.at += 7;
	v.len -= 7;
	while (v.len && is_blank(v.at[0])) {
		v.at++;
		v.len--;
	}
	return v;
}

static struct span
presented_key(const struct http1_head *h)
{
	static const enum http1_field_id plain[] = {HTTP1_X_API_KEY, HTTP1_X_GOOG_API_KEY};
	const struct http1_field *f = http1_field_find(h, HTTP1_AUTHORIZATION);
	if (f) {
		struct span key = bearer(http1_field_value(h, f));
		if (key.len)
			return key;
	}
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if ((f = http1_field_find(h, plain[i])))
			return http1_field_value(h, f);
	struct span key = duplex_key(h);
	return key.len ? key : target_argument(h->target, SPAN("key")); /* never sent upstream */
}

static enum client_family
client_family(const struct http1_head *h)
{
	static const struct {
		struct span prefix;
		enum client_family family;
	} known[] = {
		{{"OpenAI/Python", 13}, CLIENT_OPENAI_PYTHON},
		{{"AsyncOpenAI/Python", 18}, CLIENT_OPENAI_PYTHON},
		{{"OpenAI/JS", 9}, CLIENT_OPENAI_NODE},
		{{"Anthropic/Python", 16}, CLIENT_ANTHROPIC_PYTHON},
		{{"AsyncAnthropic/Python", 21}, CLIENT_ANTHROPIC_PYTHON},
		{{"Anthropic/JS", 12}, CLIENT_ANTHROPIC_NODE},
		{{"google-genai-sdk/", 17}, CLIENT_GOOGLE_PYTHON},
		{{"curl/", 5}, CLIENT_CURL},
		{{"Mozilla/", 8}, CLIENT_BROWSER},
	};
	const struct http1_field *f = http1_field_find(h, HTTP1_USER_AGENT);
	struct span v = f ? http1_field_value(h, f) : (struct span){0};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (v.len >= known[i].prefix.len && !memcmp(v.at, known[i].prefix.at, known[i].prefix.len))
			return known[i].family;
	return CLIENT_OTHER;
}

static enum end_reason
look_up(struct exchange *x, struct span key, struct key_facts *ret)
{
	struct edge *e = x->edge;
	struct known_key known;
	if (!key.len)
		return END_NO_KEY;
	if (key.len != API_KEY_BYTES)
		return END_BAD_KEY;
	bool is_known = known_key_find(e->known_keys, key, &known);
	if (!is_known)
		api_key_hash(e->pepper, key, known.hash);
	if (!key_table_find(e->p->keys, known.hash, ret)) /* what is in the table is well-formed: the checksum costs more than the look-up, and only those that aren't */
		return api_key_well_formed(key) && atomic_load(board_gate(e->p->board)) == BOARD_STARTING ? END_LEDGER_AWAY : END_BAD_KEY;
	if (!is_known) /* keys that are guessed take nobody's place */
		known_key_keep(e->known_keys, &known);
	if (ret->state == KEY_QUARANTINED)
		return END_KEY_QUARANTINED;
	if (ret->state != KEY_ACTIVE || (ret->expires_ms && ret->expires_ms <= edge_wall_ms(e)))
		return END_KEY_REVOKED;
	return END_NONE;
}

static enum end_reason
turn_away(struct exchange *x, const struct visitor *w)
{
	struct edge *e = x->edge;
	e->turned_away.keys++;
	x->limited.wait_s = visitor_wait_s(e->visitors, w, e->loop.now_ms);
	x->keep_client = false;
	if (x->client->is_stream)
		h2_leave(x->client);
	return END_TOO_MANY_BAD_KEYS;
}

/* Guessing is bounded by who guesses: what an address may do when it has presented too many wrong keys, or none too often. */
static enum end_reason
judged(struct exchange *x, const struct http1_head *h, struct key_facts *ret)
{
	struct edge *e = x->edge;
	struct visitor *w = door_visitor(x->client, h);
	if (visitor_is_shut(e->visitors, w, e->loop.now_ms)) /* before its key is hashed */
		return turn_away(x, w);
	enum end_reason reason = look_up(x, presented_key(h), ret);
	bool may = true;
	if (reason == END_NONE)
		may = visitor_may_use(e->visitors, w, ret->key, e->loop.now_ms);
	else if (reason == END_BAD_KEY || reason == END_NO_KEY || reason == END_KEY_REVOKED)
		may = visitor_may_fail(e->visitors, w, e->loop.now_ms);
	return may ? reason : turn_away(x, w);
}

/* Which account pays; the key's id goes into the ticket that is picked next. */
static enum end_reason
identify(struct exchange *x, const struct http1_head *h, struct key_facts *ret)
{
	x->step = STEP_AUTHENTICATE;
	enum end_reason reason = judged(x, h, ret);
	if (reason == END_NONE && ret->scopes && !(ret->scopes & (x->scope ? x->scope : KEY_SCOPE_INFERENCE)))
		reason = END_SCOPE_REFUSED;
	if (reason == END_NONE && ret->limits)
		reason = limit_identify(x, h, ret->limits);
	if (reason == END_NONE) {
		x->account_row = ret->account;
		x->key = ret->key;
		x->slot = ret->slot;
	}
	return reason;
}

bool
authenticate_key(struct exchange *x, const struct http1_head *h)
{
	struct key_facts facts;
	return authenticate_facts(x, h, &facts);
}

bool
authenticate_facts(struct exchange *x, const struct http1_head *h, struct key_facts *ret)
{
	enum end_reason reason = identify(x, h, ret);
	if (reason != END_NONE)
		exchange_end(x, reason);
	return reason == END_NONE;
}

/* Compressed: what can't be read can be neither routed nor counted (RFC 9110 8.4). */
static bool
body_is_encoded(const struct http1_head *h)
{
	const struct http1_field *f = http1_field_find(h, HTTP1_CONTENT_ENCODING);
	struct span v = f ? http1_field_value(h, f) : (struct span){0};
	return v.len && (v.len != 8 || strncasecmp(v.at, "identity", 8) != 0);
}

/* LIMIT: what would be refused anyway is refused before the body is read. */
static enum end_reason
limit(struct exchange *x, const struct http1_head *h)
{
	struct edge *e = x->edge;
	struct board *b = e->p->board;
	x->step = STEP_LIMIT;
	if (e->draining)
		return END_DRAINING;
	if (!x->id || atomic_load_explicit(board_gate(b), memory_order_acquire) != BOARD_OPEN)
		return END_LEDGER_AWAY;
	uint64_t beat = atomic_load_explicit(board_heartbeat_ms(b), memory_order_relaxed);
	if (e->loop.now_ms > beat + BOARD_STALE_MS)
		return END_LEDGER_AWAY;
	if (h->has_length && h->content_length > e->p->limits.body_bytes)
		return END_BODY_TOO_LARGE;
	if (body_is_encoded(h))
		return END_BODY_ENCODED;
	if (!share_take(e, x->account_row))
		return END_RATE_LIMITED;
	if (!spare_pick(x)) {
		share_give(e, x->account_row);
		return END_OVERLOADED;
	}
	if (x->limited.rows[0] && !limit_begin(x)) {
		share_give(e, x->account_row);
		spare_unpick(x);
		return END_RATE_LIMITED;
	}
	return END_NONE;
}

void
authenticate(struct exchange *x, const struct http1_head *h, struct span named, struct span rest)
{
	struct key_facts facts;
	enum end_reason reason = identify(x, h, &facts);
	if (reason == END_NONE)
		reason = limit(x, h);
	if (reason != END_NONE) {
		read_head_skip_body(x, h, rest.at, rest.len);
		exchange_end(x, reason);
		return;
	}
	x->ticket->facts = (struct ticket_facts){
		.started_us = clock_wall_us(),
		.key = facts.key,
		.account = facts.account,
		.endpoint = x->endpoint,
		.client_family = (uint8_t)client_family(h),
	};
	edge_works_for(x);
	read_body_begin(x, h, named, rest);
}
