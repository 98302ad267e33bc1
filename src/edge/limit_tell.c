/* What is said of limits: in the dialect's header fields on every answer, and in words when one refuses a request. */
#include "edge/limit.h"

#include "edge/answer.h"

static const char *const meanings[LIMIT_KIND_COUNT] = {
#define X(NAME, number, member, unit, window, meaning) [number] = meaning,
	LIMIT_KINDS(X)
#undef X
};

/* ---- refused ---- */

static void
say_which(struct text *t, const struct exchange *x)
{
	const struct limited *l = &x->limited;
	struct limit_standing s = {0};
	(void)!limit_look(x, l->refused_by, (enum limit_kind)l->refused, &s);
	bool own = l->refused_by == 0 && l->rows[1]; /* a row alone may be either's */
	text_str(t, own ? "This API key is limited to " : l->refused_by == 1 ? "The account of this API key is limited to "
																		 : "This API key or its account is limited to ");
	if (l->refused >= LIMIT_MONEY_FIRST) {
		text_lit(t, "$");
		answer_add_money(t, (struct nano){s.amount});
		text_str(t, meanings[l->refused] + sizeof("dollars") - 1);
	} else {
		text_u64(t, (uint64_t)s.amount);
		text_lit(t, " ");
		text_str(t, meanings[l->refused]);
	}
}

static void
say_rest(struct text *t, const struct exchange *x)
{
	const struct limited *l = &x->limited;
	if (l->refused >= LIMIT_MONEY_FIRST) {
		text_lit(t, "; $");
		answer_add_money(t, (struct nano){(int64_t)l->left_nano});
		text_lit(t, " is left, and this request can cost up to $");
		answer_add_money(t, (struct nano){(int64_t)l->need_nano});
	}
	if (l->refused == LIMIT_STREAMS)
		text_lit(t, ", and so many run. Try again when one has ended.");
	else if (l->refused <= LIMIT_RATES) {
		text_lit(t, ". Try again in ");
		text_u64(t, l->wait_s);
		text_lit(t, " s.");
	} else {
		text_lit(t, ". It begins anew at ");
		text_time(t, edge_wall_ms(x->edge) / 1000 + l->wait_s);
		text_lit(t, ".");
	}
}

bool
limit_answer(struct exchange *x, enum end_reason reason)
{
	char room[320];
	struct text t = text_on(room, sizeof room);
	if (!x->limited.refused)
		return false;
	struct error_says e = answer_says(reason);
	say_which(&t, x);
	say_rest(&t, x);
	e.message = (struct span){t.at, t.len};
	e.wait_s = x->limited.wait_s;
	e.lasting = x->limited.refused >= LIMIT_REQUESTS_DAY;
	answer_send_error(x, &e);
	return true;
}

/* ---- header fields ---- */

/* Of several limits on the same thing that which has least left. */
static bool
tightest(const struct exchange *x, enum limit_kind a, enum limit_kind b, struct limit_standing *ret)
{
	bool any = false;
	for (unsigned of = 0; of < 2; of++)
		for (unsigned k = 0; k < 2; k++) {
			struct limit_standing s;
			if (!limit_look(x, of, k ? b : a, &s) || (any && s.remaining >= ret->remaining))
				continue;
			*ret = s;
			any = true;
		}
	return any;
}

static void
field(struct text *t, const char *a, const char *b, const char *c, uint64_t v)
{
	text_str(t, a);
	text_str(t, b);
	text_str(t, c);
	text_lit(t, ": ");
	text_u64(t, v);
	text_lit(t, "\r\n");
}

/* As Go writes durations: "12ms", "1.25s", "6m0s", "1h0m0s". */
static void
add_duration(struct text *t, uint64_t ms)
{
	if (ms < 1000) {
		text_u64(t, ms);
		text_str(t, ms ? "ms" : "s");
		return;
	}
	uint64_t s = ms / 1000, rest = ms % 1000;
	if (s >= 3600) {
		text_u64(t, s / 3600);
		text_lit(t, "h");
	}
	if (s >= 60) {
		text_u64(t, s / 60 % 60);
		text_lit(t, "m");
	}
	text_u64(t, s % 60);
	if (rest) {
		char digits[3] = {(char)('0' + rest / 100), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10)};
		size_t len = rest % 10 ? 3 : rest % 100 ? 2
												: 1;
		text_lit(t, ".");
		text_add(t, digits, len);
	}
	text_lit(t, "s");
}

static void
openai_fields(struct text *t, const char *of, const struct limit_standing *s)
{
	field(t, "x-ratelimit-limit-", of, "", (uint64_t)s->amount);
	field(t, "x-ratelimit-remaining-", of, "", s->remaining);
	text_lit(t, "x-ratelimit-reset-");
	text_str(t, of);
	text_lit(t, ": ");
	add_duration(t, s->reset_ms);
	text_lit(t, "\r\n");
}

static void
anthropic_fields(struct text *t, const struct exchange *x, const char *of, const struct limit_standing *s)
{
	field(t, "anthropic-ratelimit-", of, "-limit", (uint64_t)s->amount);
	field(t, "anthropic-ratelimit-", of, "-remaining", s->remaining);
	text_lit(t, "anthropic-ratelimit-");
	text_str(t, of);
	text_lit(t, "-reset: ");
	text_time(t, (edge_wall_ms(x->edge) + s->reset_ms + 999) / 1000);
	text_lit(t, "\r\n");
}

/* Gemini's API has no such fields. */
void
limit_headers(const struct exchange *x, struct text *t)
{
	struct limit_standing s;
	if (x->dialect == DIALECT_OPENAI) {
		if (tightest(x, LIMIT_REQUESTS_MINUTE, LIMIT_REQUESTS_DAY, &s))
			openai_fields(t, "requests", &s);
		if (tightest(x, LIMIT_INPUT_MINUTE, LIMIT_OUTPUT_MINUTE, &s))
			openai_fields(t, "tokens", &s);
	}
	if (x->dialect != DIALECT_ANTHROPIC)
		return;
	if (tightest(x, LIMIT_REQUESTS_MINUTE, LIMIT_REQUESTS_DAY, &s))
		anthropic_fields(t, x, "requests", &s);
	if (tightest(x, LIMIT_INPUT_MINUTE, LIMIT_INPUT_MINUTE, &s))
		anthropic_fields(t, x, "input-tokens", &s);
	if (tightest(x, LIMIT_OUTPUT_MINUTE, LIMIT_OUTPUT_MINUTE, &s))
		anthropic_fields(t, x, "output-tokens", &s);
	if (tightest(x, LIMIT_INPUT_MINUTE, LIMIT_OUTPUT_MINUTE, &s))
		anthropic_fields(t, x, "tokens", &s);
}
