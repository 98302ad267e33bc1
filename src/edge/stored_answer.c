/* Answers about responses that are kept: ids on their way down, and the end of those that ran in the background. */
#include "edge/stored_priv.h"

#include "edge/work.h"

enum { KEPT_MAX = 256 << 10, /* of an answer whose id is not known yet, or not told */
	OUT_MAX = 1 << 20 };

/* ---- which ids ---- */

static bool
fill(const struct exchange *x, enum object_kind kind, const struct meter_id *id, struct sealed *ret)
{
	*ret = (struct sealed){.kind = (uint8_t)kind, .own = x->route.byok != NULL, .provider = catalogue_provider(x->edge->p->catalogue, x->route.target->provider)->id};
	if (!id->len || id->len > SEAL_ID_MAX)
		return false;
	ret->id_len = id->len;
	memcpy(ret->id, id->at, id->len);
	return true;
}

static void
learn(const struct exchange *x, struct stored_pair *p, enum object_kind kind, const struct meter_id *id)
{
	struct sealed s;
	if (p->raw_len || !fill(x, kind, id, &s))
		return;
	p->text_len = (uint8_t)seal(x->edge->pepper, x->account_row, &s, p->text);
	p->raw_len = p->text_len ? s.id_len : 0; /* what no id looks like stays as it is: it opens nothing here */
	memcpy(p->raw, s.id, p->raw_len);
}

static void
learn_all(struct exchange *x)
{
	struct stored *s = x->object->stored;
	const struct meter_stored *m = x->meter->stored;
	learn(x, &s->pairs[PAIR_PREVIOUS], OBJECT_RESPONSE, &m->previous);
	learn(x, &s->pairs[PAIR_CONVERSATION], OBJECT_CONVERSATION, &m->conversation);
	if (!x->object->nano && !object_is_subject(x))
		learn(x, &s->pairs[PAIR_OWN], OBJECT_RESPONSE, &m->own);
}

/* ---- replaced while they pass ---- */

/* The next string of `in` that is one of the ids, quotes included; NULL: none. An escaped quote in front makes it end by another. */
static const char *
find(const struct stored *s, struct span in, const struct stored_pair **ret)
{
	const char *end = in.at + in.len;
	for (const char *q = in.at; (q = memchr(q, '"', (size_t)(end - q))); q++)
		for (unsigned i = 0; i < PAIRS; i++) {
			const struct stored_pair *p = &s->pairs[i];
			if (p->raw_len && (size_t)(end - q) >= p->raw_len + 2u && q[p->raw_len + 1] == '"' && !memcmp(q + 1, p->raw, p->raw_len)) {
				*ret = p;
				return q;
			}
		}
	return NULL;
}

static struct span
behind(struct span in, const char *at)
{
	return (struct span){at, in.len - (size_t)(at - in.at)};
}

/* ret_rest: what stands behind the last of them. */
static size_t
count_ids(const struct stored *s, struct span in, struct span *ret_rest)
{
	const struct stored_pair *p;
	size_t count = 0;
	for (const char *at; (at = find(s, in, &p)); in = behind(in, at + p->raw_len + 2))
		count++;
	*ret_rest = in;
	return count;
}

static bool
is_id_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* Bytes at the end that may be the beginning of an id: it is known only when it is whole. */
static size_t
tail_of(struct span in)
{
	size_t n = 0;
	while (n < in.len && n < SEAL_ID_MAX && is_id_byte(in.at[in.len - 1 - n]))
		n++;
	return n < in.len && in.at[in.len - 1 - n] == '"' ? n + 1 : 0;
}

static bool
room_for(struct exchange *x, size_t bytes)
{
	struct stored *s = x->object->stored;
	if (bytes <= s->out_cap)
		return true;
	vault_free(x->edge->vault, s->out, s->out_cap);
	s->out_cap = 0;
	s->out = bytes > OUT_MAX ? NULL : vault_alloc(x->edge->vault, bytes);
	s->out_cap = s->out ? bytes : 0;
	return s->out != NULL;
}

static void
replace(const struct stored *s, struct span in, struct text *t)
{
	const struct stored_pair *p;
	for (const char *at; (at = find(s, in, &p)); in = behind(in, at + p->raw_len + 2)) {
		text_add(t, in.at, (size_t)(at + 1 - in.at));
		text_add(t, p->text, p->text_len);
		text_lit(t, "\"");
	}
	text_span(t, in);
}

/* In front of `in` stand the bytes that were kept; false: no memory for what becomes of both. */
static bool
rewrite(struct exchange *x, struct span *told, bool last)
{
	struct stored *s = x->object->stored;
	size_t n = s->tail_len + told->len;
	char *joined = NULL;
	struct span in = *told;
	if (s->tail_len) {
		joined = vault_alloc(x->edge->vault, n);
		if (!joined)
			return false;
		memcpy(joined, s->tail, s->tail_len);
		if (told->len)
			memcpy(joined + s->tail_len, told->at, told->len);
		in = (struct span){joined, n};
	}
	struct span rest;
	size_t count = count_ids(s, in, &rest), tail = last ? 0 : tail_of(rest);
	bool changed = count || joined, ok = !changed || room_for(x, n + count * SEAL_TEXT_MAX + 1);
	in.len -= tail;
	if (ok && changed) {
		struct text t = text_on(s->out, s->out_cap);
		replace(s, in, &t);
		*told = (struct span){t.at, t.len};
	} else if (ok)
		*told = in;
	s->tail_len = (uint8_t)tail;
	if (ok && tail)
		memcpy(s->tail, in.at + in.len, tail);
	if (joined)
		vault_free(x->edge->vault, joined, n);
	return ok;
}

/* ---- its end ---- */

static const struct catalogue_target *
target_of(const struct exchange *x, const struct sealed *s, const struct catalogue_price *row)
{
	const struct catalogue *c = x->edge->p->catalogue;
	for (uint32_t i = 0; i < c->target_count; i++) {
		const struct catalogue_target *t = catalogue_target(c, i);
		const struct catalogue_price *first = catalogue_price(c, t->price_at);
		if (t->id == s->target && row >= first && row < first + (uint64_t)t->price_count * (c->byok ? 2 : 1)) /* the fees for own keys are behind */
			return t;
	}
	return NULL;
}

static bool
is_reported(const struct meter *m)
{
	return m->usage.flags & USAGE_REPORTED;
}

/* Right after a cancel an answer tells what had come by then, while more may be on its way, and not yet what it used. Of what failed nothing is on its way. */
static bool
is_silent(const struct meter *m)
{
	return !(m->usage.flags & (USAGE_REPORTED | USAGE_ABSURD)) && !m->stored->failed;
}

/* Of what failed nothing is paid, nor of what ended before it said anything; else what was used, or where that isn't said, what came. */
static bool
is_free(const struct meter *m)
{
	return !is_reported(m) && (m->stored->failed || (!m->content_bytes && !m->reasoning_bytes));
}

static void
pay(struct exchange *x)
{
	const struct sealed *s = &x->object->opened;
	const struct catalogue *c = x->edge->p->catalogue;
	const struct catalogue_price *row = catalogue_price_by_id(c, s->price);
	const struct catalogue_target *t = row ? target_of(x, s, row) : NULL;
	if (!t) {
		work_is_unmeasured(x);
		return;
	}
	struct work_used used = {
		.model = catalogue_model(c, t->model)->id,
		.provider = s->provider,
		.lane = catalogue_lane(c, t->lane)->id,
		.endpoint = ENDPOINT_RESPONSES,
		.silent = is_silent(x->meter),
	};
	struct nano cost = is_free(x->meter) ? (struct nano){0} : settle_elsewhere(x, t, row, s->input, &used.usage);
	work_costs(x, (uint64_t)cost.v, &used);
}

/* The answer is the response itself, or a stream of its events. */
static bool
shows_it(const struct exchange *x)
{
	const struct object *o = x->object;
	const struct meter_id *own = &x->meter->stored->own;
	bool asked = o->operation == OPERATION_NONE || o->operation == OPERATION_RESPONSE_GET || o->operation == OPERATION_RESPONSE_CANCEL;
	return asked && own->len == o->opened.id_len && !memcmp(own->at, o->opened.id, own->len);
}

static void
pay_when_over(struct exchange *x)
{
	struct stored *s = x->object->stored;
	if (s->paid || !x->object->opened.ticket || !x->meter->stored->ended || !shows_it(x))
		return;
	s->paid = true;
	if (is_silent(x->meter) && !x->object->errand) /* what it is charged then, an errand finds out */
		work_is_to_be_looked_at(x, true);
	else
		pay(x);
}

/* ---- it runs: the ledger hears of it first ---- */

bool
stored_waits(const struct exchange *x)
{
	return x->object && x->object->stored && x->object->work == OBJECT_WORK_TELLING;
}

bool
stored_keeps_back(const struct exchange *x)
{
	return x->object && x->object->stored && (x->object->work == OBJECT_WORK_HELD || x->object->work == OBJECT_WORK_TELLING);
}

bool
stored_rewrites(const struct exchange *x)
{
	return x->object && x->object->stored;
}

static bool
keep(struct exchange *x, struct span bytes)
{
	struct stored *s = x->object->stored;
	size_t need = s->kept_len + bytes.len;
	if (need > KEPT_MAX)
		return false;
	if (need > s->kept_cap) {
		size_t cap = vault_block_bytes(need);
		char *at = vault_alloc(x->edge->vault, cap);
		if (!at)
			return false;
		if (s->kept)
			memcpy(at, s->kept, s->kept_len);
		vault_free(x->edge->vault, s->kept, s->kept_cap);
		s->kept = at;
		s->kept_cap = (uint32_t)cap;
	}
	if (bytes.len)
		memcpy(s->kept + s->kept_len, bytes.at, bytes.len);
	s->kept_len += (uint32_t)bytes.len;
	return true;
}

/* False: it is none that can be named. */
static bool
tell(struct exchange *x)
{
	struct sealed s;
	struct stored_pair *p = &x->object->stored->pairs[PAIR_OWN];
	if (!fill(x, OBJECT_RESPONSE, &x->meter->stored->own, &s))
		return false;
	s.ticket = x->id;
	s.price = x->price->id;
	s.target = x->route.target->id;
	s.input = x->input_estimate > UINT32_MAX ? UINT32_MAX : (uint32_t)x->input_estimate;
	p->text_len = (uint8_t)seal(x->edge->pepper, x->account_row, &s, p->text);
	if (!p->text_len)
		return false;
	p->raw_len = s.id_len;
	memcpy(p->raw, s.id, s.id_len);
	work_tell(x, &s);
	return true;
}

static void
keep_back(struct exchange *x, struct span told, bool last, struct span head)
{
	struct stored *s = x->object->stored;
	if (head.len)
		x->head_sent = false; /* it is not: should this end before the ledger answers, an error can be said */
	bool ok = keep(x, head);
	s->kept_head = ok && head.len ? s->kept_len : s->kept_head;
	ok = ok && keep(x, told);
	s->kept_last |= last;
	if (ok && x->object->work == OBJECT_WORK_HELD && x->meter->stored->own.len)
		ok = tell(x);
	else if (ok && x->object->work == OBJECT_WORK_HELD)
		ok = !last;
	if (!ok)
		exchange_end(x, END_PROVIDER_MALFORMED);
}

bool
stored_pass(struct exchange *x, struct span *told, bool last, struct span head)
{
	if (!x->meter->stored)
		return true;
	learn_all(x);
	if (stored_keeps_back(x)) {
		keep_back(x, *told, last, head);
		return false;
	}
	pay_when_over(x);
	if (!x->client || rewrite(x, told, last))
		return true;
	x->head_sent = x->head_sent && !head.len;
	exchange_end(x, END_OVERLOADED);
	return false;
}

void
stored_told(struct exchange *x)
{
	struct stored *s = x->object->stored;
	struct span head = {s->kept, s->kept_head}, told = {s->kept + s->kept_head, s->kept_len - s->kept_head};
	bool last = s->kept_last;
	pay_when_over(x);
	x->head_sent = x->client && rewrite(x, &told, last);
	if (x->head_sent)
		relay_kept(x, told, last, head);
	else
		exchange_end(x, x->client ? END_OVERLOADED : END_CLIENT_GONE); /* it goes on without */
}
