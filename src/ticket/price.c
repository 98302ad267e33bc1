#include "ticket/price.h"

typedef unsigned __int128 u128;

/* Sum that stays at the top instead of wrapping: ten products of 2^64 × 2^63 exceed 128 bits. */
static u128
add(u128 a, u128 b)
{
	u128 sum;
	return __builtin_add_overflow(a, b, &sum) ? ~(u128)0 : sum;
}

/* Amounts are never negative in a compiled catalogue; a damaged one must not turn a charge into a credit. */
static u128
times(uint64_t count, int64_t each)
{
	return each > 0 ? (u128)count * (u128)each : 0;
}

/* × hundredths, rounded up. */
static u128
scaled(u128 pico, uint64_t x100)
{
	u128 product;
	if (x100 == 100 || x100 == 0)
		return pico;
	return __builtin_mul_overflow(pico, (u128)x100, &product) ? ~(u128)0 : product / 100 + (product % 100 != 0);
}

static const bool is_output[TOKEN_KIND_COUNT] = {
	[TOKEN_output] = true,
	[TOKEN_reasoning] = true,
	[TOKEN_audio_out] = true,
	[TOKEN_image_out] = true,
};

static int64_t
dearest(const struct catalogue_price *p, bool output)
{
	int64_t most = 0;
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		if (is_output[k] == output && p->pico[k] > most)
			most = p->pico[k];
	return most;
}

static u128
upper_bound_pico(const struct catalogue_price *p, uint64_t input_tokens, uint64_t output_tokens)
{
	u128 tokens = add(times(input_tokens, dearest(p, false)), times(output_tokens, dearest(p, true)));
	return add(times(PICO_PER_NANO, p->request_nano), scaled(tokens, p->geo_us_x100));
}

struct nano
price_cost(const struct catalogue_price *p, const struct usage *u)
{
	u128 pico = times(PICO_PER_NANO, p->request_nano), tokens = 0;
	/* Most counts are zero, and this is computed for each chunk of a stream. */
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		if (u->tools[k])
			pico = add(pico, times((uint64_t)u->tools[k] * PICO_PER_NANO, p->tool_nano[k]));
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		if (u->tokens[k])
			tokens = add(tokens, times(u->tokens[k], p->pico[k]));
	/* Hundredths of a pico-dollar go up with the rest: there is one rounding in effect, since a nano is 1000 pico. */
	return nano_from_pico_up(add(pico, scaled(tokens, u->flags & USAGE_GEO_US ? p->geo_us_x100 : 100)));
}

struct nano
price_words(const struct catalogue_price *p, uint64_t input, uint64_t output, uint64_t reasoning)
{
	u128 said = add(times(output, p->pico[TOKEN_output]), times(reasoning, p->pico[TOKEN_reasoning]));
	u128 asked = add(times(PICO_PER_NANO, p->request_nano), times(input, p->pico[TOKEN_input]));
	return nano_from_pico_up(add(asked, said));
}

struct nano
price_upper_bound(const struct catalogue_price *p, uint64_t input_tokens, uint64_t output_tokens)
{
	return nano_from_pico_up(upper_bound_pico(p, input_tokens, output_tokens));
}

uint64_t
price_affordable_output(const struct catalogue_price *p, uint64_t input_tokens, struct nano money)
{
	u128 before = upper_bound_pico(p, input_tokens, 0);
	u128 have = times(PICO_PER_NANO, money.v);
	if (before > have)
		return 0;
	int64_t each = dearest(p, true);
	if (each == 0)
		return UINT64_MAX;
	u128 tokens = (have - before) / scaled((u128)each, p->geo_us_x100);
	return tokens > UINT64_MAX ? UINT64_MAX : (uint64_t)tokens;
}
