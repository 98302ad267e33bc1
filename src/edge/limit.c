#include "edge/limit.h"

#include "edge/batch.h"
#include "edge/door.h"
#include "edge/work.h"

enum limit_taken { TAKEN_MINUTE = 1,
	TAKEN_DAY = 2,
	TAKEN_STREAM = 4 };

enum { OUTPUT_EXPECTED = 1024 }; /* tokens, when the caller sets no bound */

static struct limit_row *
row_of(const struct exchange *x, unsigned of)
{
	return limit_row(x->edge->p->board, x->limited.rows[of]);
}

/* Amounts are a row's own; keys that took each other's place count together. */
static struct limit_row *
counting(const struct exchange *x, struct limit_row *r)
{
	return limit_counting(x->edge->p->board, r);
}

static uint64_t
now_ns(const struct exchange *x)
{
	return x->edge->loop.now_ms * 1000000;
}

static uint64_t
now_s(const struct exchange *x)
{
	return edge_wall_ms(x->edge) / 1000;
}

static int64_t
amount_of(const struct limit_row *r, enum limit_kind kind)
{
	return atomic_load_explicit(&r->amount[kind], memory_order_relaxed);
}

/* ---- from where, for what ---- */

enum end_reason
limit_identify(struct exchange *x, const struct http1_head *h, uint32_t row)
{
	const struct limit_row *r = limit_row(x->edge->p->board, row);
	if (!r)
		return END_LEDGER_AWAY;
	x->limited.rows[0] = row;
	x->limited.rows[1] = atomic_load_explicit(&r->parent, memory_order_relaxed);
	for (unsigned of = 0; of < 2; of++) {
		if (!(r = row_of(x, of)) || !limit_names(r, LIMIT_ADDRESSES))
			continue;
		struct address a = door_address(x->client, h);
		if (!limit_allows_address(r, &a))
			return END_ADDRESS_REFUSED;
	}
	return END_NONE;
}

bool
limit_allows(const struct exchange *x, const struct catalogue_model *m)
{
	for (unsigned of = 0; of < 2 && x->limited.rows[of]; of++) {
		const struct limit_row *r = row_of(x, of);
		if (!r || !limit_allows_model(r, m->id))
			return false;
	}
	return true;
}

bool
limit_has_list(const struct exchange *x)
{
	for (unsigned of = 0; of < 2 && x->limited.rows[of]; of++) {
		const struct limit_row *r = row_of(x, of);
		if (!r || limit_names(r, LIMIT_MODELS))
			return true;
	}
	return false;
}

bool
limit_own_lane(const struct exchange *x, struct limit_lane *ret)
{
	for (unsigned of = 0; of < 2 && x->limited.rows[of]; of++) {
		const struct limit_row *r = row_of(x, of);
		if (r)
			limit_lane(r, ret);
		if (r && ret->name[0])
			return true;
	}
	return false;
}

/* ---- requests ---- */

static uint32_t
seconds(uint64_t ns)
{
	return (uint32_t)((ns + 999999999) / 1000000000);
}

static bool
refuse(struct exchange *x, unsigned of, enum limit_kind kind, uint32_t wait_s)
{
	x->limited.refused = (uint8_t)kind;
	x->limited.refused_by = (uint8_t)of;
	x->limited.wait_s = wait_s ? wait_s : 1;
	return false;
}

static uint32_t
until_next(const struct exchange *x, enum limit_kind kind)
{
	uint64_t now = now_s(x);
	return (uint32_t)(limit_window_begin_s(kind, limit_window(kind, now) + 1) - now);
}

static bool
take_requests(struct exchange *x, unsigned of, struct limit_row *r)
{
	struct limited *l = &x->limited;
	struct limit_row *c = counting(x, r);
	uint64_t wait_ns;
	int64_t minute = amount_of(r, LIMIT_REQUESTS_MINUTE), day = amount_of(r, LIMIT_REQUESTS_DAY);
	if (minute && !limit_rate_take(&c->rate[LIMIT_REQUESTS_MINUTE - 1], minute, 1, now_ns(x), &wait_ns))
		return refuse(x, of, LIMIT_REQUESTS_MINUTE, seconds(wait_ns));
	l->taken[of] |= minute ? TAKEN_MINUTE : 0;
	if (day && !limit_day_take(&c->day, day, limit_window(LIMIT_REQUESTS_DAY, now_s(x))))
		return refuse(x, of, LIMIT_REQUESTS_DAY, until_next(x, LIMIT_REQUESTS_DAY));
	l->taken[of] |= day ? TAKEN_DAY : 0;
	if (amount_of(r, LIMIT_STREAMS)) {
		if (!limit_stream_take(r, x->edge->p->index))
			return refuse(x, of, LIMIT_STREAMS, 1);
		l->taken[of] |= TAKEN_STREAM;
	}
	return true;
}

/* What was refused was not used. */
static void
give_requests(struct exchange *x, unsigned of, struct limit_row *r)
{
	uint8_t taken = x->limited.taken[of];
	int64_t minute = amount_of(r, LIMIT_REQUESTS_MINUTE);
	if (taken & TAKEN_MINUTE && minute)
		limit_rate_correct(&counting(x, r)->rate[LIMIT_REQUESTS_MINUTE - 1], minute, 1, 0);
	if (taken & TAKEN_DAY)
		limit_day_give(&counting(x, r)->day, limit_window(LIMIT_REQUESTS_DAY, now_s(x)));
	if (taken & TAKEN_STREAM)
		limit_stream_give(r, x->edge->p->index);
	x->limited.taken[of] = 0;
}

bool
limit_begin(struct exchange *x)
{
	bool may = true;
	struct limit_row *r;
	for (unsigned of = 0; may && of < 2; of++)
		if ((r = row_of(x, of)))
			may = take_requests(x, of, r);
	for (unsigned of = 0; !may && of < 2; of++)
		if ((r = row_of(x, of)))
			give_requests(x, of, r);
	return may;
}

/* ---- tokens ---- */

static uint32_t
clamp(uint64_t tokens)
{
	return tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
}

static uint32_t
tokens_of(const struct limited *l, enum limit_kind kind)
{
	return kind == LIMIT_INPUT_MINUTE ? l->input : l->output;
}

static bool
take_tokens(struct exchange *x, unsigned of, enum limit_kind kind)
{
	struct limit_row *r = row_of(x, of);
	int64_t amount = r ? amount_of(r, kind) : 0;
	uint64_t wait_ns;
	if (!amount || limit_rate_take(&counting(x, r)->rate[kind - 1], amount, tokens_of(&x->limited, kind), now_ns(x), &wait_ns))
		return true;
	return refuse(x, of, kind, seconds(wait_ns));
}

static void
correct_tokens(struct exchange *x, unsigned of, enum limit_kind kind, uint64_t used)
{
	struct limit_row *r = row_of(x, of);
	int64_t amount = r ? amount_of(r, kind) : 0;
	if (amount)
		limit_rate_correct(&counting(x, r)->rate[kind - 1], amount, tokens_of(&x->limited, kind), used);
}

/* Both kinds of both rows, or none: by number, kind and row. */
enum { TOKEN_LIMITS = 4 };

static enum limit_kind
nth_kind(unsigned n)
{
	return n < 2 ? LIMIT_INPUT_MINUTE : LIMIT_OUTPUT_MINUTE;
}

/* A caller's bound counts as he sets it, as far as the model could answer. */
static uint64_t
output_expected(const struct exchange *x)
{
	const struct request_facts *r = &x->req->scan.result;
	if (!endpoint_has_output((enum endpoint)x->endpoint))
		return 0;
	uint64_t each = r->has_cap ? r->cap : OUTPUT_EXPECTED, most = x->model->output_tokens;
	return (r->has_cap && each > most ? most : each) * r->n;
}

bool
limit_tokens(struct exchange *x)
{
	struct limited *l = &x->limited;
	uint64_t input, output;
	if (l->tokens)
		return true;
	if (!batch_tokens(x, &input, &output)) {
		request_estimate(x);
		input = x->input_estimate;
		output = output_expected(x);
	}
	l->input = clamp(input);
	l->output = clamp(output);
	unsigned n = 0;
	while (n < TOKEN_LIMITS && take_tokens(x, n & 1, nth_kind(n)))
		n++;
	l->tokens = n == TOKEN_LIMITS;
	while (!l->tokens && n-- > 0)
		correct_tokens(x, n & 1, nth_kind(n), 0);
	return l->tokens;
}

void
limit_end(struct exchange *x)
{
	struct limited *l = &x->limited;
	struct limit_row *r;
	for (unsigned of = 0; of < 2; of++)
		if (l->taken[of] & TAKEN_STREAM && (r = row_of(x, of)))
			limit_stream_give(r, x->edge->p->index);
	l->taken[0] = l->taken[1] = 0;
	if (!l->tokens || work_runs_on(x)) /* it goes on using them: what was expected of it stays counted */
		return;
	const struct ticket_facts *f = &x->ticket->facts;
	uint64_t input = (uint64_t)f->tokens_input + f->tokens_cache_write + f->tokens_cache_write_1h + f->tokens_audio_in + f->tokens_image_in + f->tokens_video_in;
	uint64_t output = (uint64_t)f->tokens_output + f->tokens_reasoning + f->tokens_audio_out + f->tokens_image_out;
	for (unsigned n = 0; n < TOKEN_LIMITS; n++)
		correct_tokens(x, n & 1, nth_kind(n), nth_kind(n) == LIMIT_INPUT_MINUTE ? input : output);
	l->tokens = false;
}

/* ---- money ---- */

/* One window that its hold is taken from. */
struct window {
	struct limit_row *row;
	enum limit_kind kind;
	unsigned of;
	uint32_t slot; /* UINT32_MAX: not known */
	uint64_t id;
};

static unsigned
windows_of(const struct exchange *x, struct window ret[LIMIT_BUDGETS_MAX])
{
	unsigned count = 0;
	for (unsigned of = 0; of < 2 && x->limited.rows[of]; of++) {
		struct limit_row *r = row_of(x, of);
		for (int k = LIMIT_MONEY_FIRST; r && k < LIMIT_KIND_COUNT && count < LIMIT_BUDGETS_MAX; k++) {
			uint64_t number = atomic_load_explicit(&r->number[k], memory_order_relaxed);
			if (!number)
				continue;
			uint32_t window = limit_window((enum limit_kind)k, now_s(x));
			uint64_t hint = atomic_load_explicit(&r->hint[k], memory_order_relaxed);
			ret[count] = (struct window){r, (enum limit_kind)k, of, (uint32_t)hint, limit_budget_row(number, window)};
			if (!board_has(x->edge->p->board, ret[count].slot, ret[count].id))
				ret[count].slot = UINT32_MAX;
			count++;
		}
	}
	return count;
}

unsigned
limit_legs(struct exchange *x, struct ticket_leg ret[LIMIT_BUDGETS_MAX])
{
	struct window w[LIMIT_BUDGETS_MAX];
	unsigned count = windows_of(x, w), legs = 0;
	for (unsigned i = 0; i < count; i++) {
		unsigned j = 0;
		while (j < legs && ret[j].row != w[i].id)
			j++;
		if (j == legs) /* a slot can be only one leg of a ticket */
			ret[legs++] = (struct ticket_leg){w[i].id, w[i].slot};
	}
	return legs;
}

struct nano
limit_left(const struct exchange *x, struct nano account)
{
	struct window w[LIMIT_BUDGETS_MAX];
	unsigned count = windows_of(x, w);
	for (unsigned i = 0; i < count; i++) {
		struct nano left = w[i].slot != UINT32_MAX ? board_available(x->edge->p->board, w[i].slot) : account;
		account = left.v < account.v ? left : account;
	}
	return account;
}

bool
limit_is_short(struct exchange *x, struct nano need)
{
	struct window w[LIMIT_BUDGETS_MAX];
	unsigned count = windows_of(x, w);
	for (unsigned i = 0; i < count; i++) {
		if (w[i].slot == UINT32_MAX)
			continue;
		struct nano left = board_available(x->edge->p->board, w[i].slot);
		if (left.v >= need.v)
			continue;
		x->limited.left_nano = left.v > 0 ? (uint64_t)left.v : 0;
		x->limited.need_nano = (uint64_t)need.v;
		(void)refuse(x, w[i].of, w[i].kind, until_next(x, w[i].kind));
		return true;
	}
	return false;
}

bool
limit_lacks(struct exchange *x, struct nano need, uint8_t *seen)
{
	struct window w[LIMIT_BUDGETS_MAX];
	unsigned count = x->limited.rows[0] ? windows_of(x, w) : 0;
	for (unsigned i = 0; i < count; i++) {
		uint8_t bit = (uint8_t)(1u << i);
		if (*seen & bit || w[i].slot == UINT32_MAX || board_available(x->edge->p->board, w[i].slot).v >= need.v)
			continue;
		*seen |= bit;
		x->limited.asked = w[i].id;
		x->limited.lacking_nano = (uint64_t)need.v;
		return true;
	}
	return false;
}

bool
limit_wants_row(struct exchange *x)
{
	struct window w[LIMIT_BUDGETS_MAX];
	unsigned count = x->limited.rows[0] ? windows_of(x, w) : 0;
	x->limited.asked = x->limited.lacking_nano = 0;
	for (unsigned i = 0; i < count && !x->limited.asked; i++)
		if (w[i].slot == UINT32_MAX)
			x->limited.asked = w[i].id;
	return x->limited.asked != 0;
}

bool
limit_row_is_over(const struct exchange *x)
{
	struct window w[LIMIT_BUDGETS_MAX];
	unsigned count = x->limited.asked ? windows_of(x, w) : 0;
	for (unsigned i = 0; i < count; i++)
		if (w[i].id == x->limited.asked)
			return false;
	return x->limited.asked != 0;
}

void
limit_row_loaded(struct exchange *x, uint32_t slot)
{
	struct window w[LIMIT_BUDGETS_MAX];
	unsigned count = windows_of(x, w);
	for (unsigned i = 0; i < count; i++)
		if (w[i].id == x->limited.asked)
			atomic_store_explicit(&w[i].row->hint[w[i].kind], slot, memory_order_relaxed);
	x->limited.asked = 0;
}

/* ---- how they stand ---- */

static void
look_at_money(const struct exchange *x, unsigned of, enum limit_kind kind, struct limit_standing *s)
{
	struct window w[LIMIT_BUDGETS_MAX];
	unsigned count = windows_of(x, w);
	s->known = false;
	for (unsigned i = 0; i < count; i++)
		if (w[i].of == of && w[i].kind == kind && w[i].slot != UINT32_MAX) {
			int64_t left = board_available(x->edge->p->board, w[i].slot).v;
			s->known = true;
			s->remaining = left > 0 ? (uint64_t)left : 0;
		}
}

bool
limit_look(const struct exchange *x, unsigned of, enum limit_kind kind, struct limit_standing *ret)
{
	struct limit_row *r = row_of(x, of);
	int64_t amount = r ? amount_of(r, kind) : 0;
	uint64_t used, reset_ns;
	if (!amount)
		return false;
	*ret = (struct limit_standing){.amount = amount, .known = true};
	if (kind <= (int)LIMIT_RATES) {
		limit_rate_look(&counting(x, r)->rate[kind - 1], amount, now_ns(x), &ret->remaining, &reset_ns);
		ret->reset_ms = (reset_ns + 999999) / 1000000;
		return true;
	}
	if (kind >= (int)LIMIT_MONEY_FIRST) {
		look_at_money(x, of, kind, ret);
	} else {
		used = kind == LIMIT_STREAMS ? limit_streams(r) : limit_day_count(&counting(x, r)->day, limit_window(kind, now_s(x)));
		ret->remaining = used < (uint64_t)amount ? (uint64_t)amount - used : 0;
	}
	ret->reset_ms = kind == LIMIT_STREAMS ? 0 : (uint64_t)until_next(x, kind) * 1000;
	return true;
}
