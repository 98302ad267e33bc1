#include "ticket/price.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static struct catalogue_price
price_of(int64_t input, int64_t output)
{
	struct catalogue_price p = {.id = 1};
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		p.pico[k] = k < TOKEN_output ? input : output;
	return p;
}

static void
a_ticket_is_rounded_up_once_over_all_kinds(void **state)
{
	struct catalogue_price p = price_of(1, 1);
	struct usage u = {
		.tokens = {[TOKEN_input] = 400, [TOKEN_cached] = 300, [TOKEN_output] = 200, [TOKEN_reasoning] = 100}};
	assert_int_equal(price_cost(&p, &u).v, 1); /* 1,000 pico in all; four roundings would make 4 */
	u.tokens[TOKEN_image_out] = 1;
	assert_int_equal(price_cost(&p, &u).v, 2);
}

static void
each_kind_has_its_own_price(void **state)
{
	struct catalogue_price p = {.request_nano = 7, .tool_nano[TOOL_web_search] = 11};
	struct usage u = {.tools = {[TOOL_web_search] = 3}};
	int64_t expected = 7 + 33;
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++) {
		p.pico[k] = (int64_t)(k + 1) * 1000;
		u.tokens[k] = 10 + k;
		expected += (int64_t)(k + 1) * (10 + k);
	}
	assert_int_equal(price_cost(&p, &u).v, expected);
}

static void
a_published_price_gives_the_published_cost(void **state)
{
	/* $0.25, $0.025 and $2.00 per million. */
	struct catalogue_price p = price_of(250000, 2000000);
	p.pico[TOKEN_cached] = 25000;
	struct usage u = {.tokens = {[TOKEN_input] = 1000, [TOKEN_cached] = 2000, [TOKEN_output] = 500}};
	assert_int_equal(price_cost(&p, &u).v, 250000 + 50000 + 1000000); /* $0.0013 */
}

static void
the_largest_usage_saturates(void **state)
{
	struct catalogue_price p = price_of(INT64_MAX, INT64_MAX);
	p.request_nano = p.tool_nano[TOOL_web_search] = INT64_MAX;
	struct usage u = {.tools = {[TOOL_web_search] = UINT32_MAX}};
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		u.tokens[k] = UINT64_MAX;
	assert_int_equal(price_cost(&p, &u).v, INT64_MAX);
	assert_int_equal(price_upper_bound(&p, UINT64_MAX, UINT64_MAX).v, INT64_MAX);
	assert_int_equal(price_affordable_output(&p, UINT64_MAX, (struct nano){INT64_MAX}), 0);
}

static void
a_negative_price_never_becomes_a_credit(void **state)
{
	struct catalogue_price p = price_of(-1000, -1000);
	p.request_nano = p.tool_nano[TOOL_web_search] = -5;
	struct usage u = {.tokens = {[TOKEN_input] = 1000}, .tools = {[TOOL_web_search] = 1}};
	assert_int_equal(price_cost(&p, &u).v, 0);
	assert_int_equal(price_upper_bound(&p, 1000, 1000).v, 0);
}

static void
the_bound_takes_the_dearest_kind_of_each_side(void **state)
{
	struct catalogue_price p = price_of(1000, 2000);
	p.pico[TOKEN_cache_write_1h] = 5000;
	p.pico[TOKEN_audio_out] = 9000;
	p.request_nano = 3;
	assert_int_equal(price_upper_bound(&p, 10, 100).v, 3 + 50 + 900);
}

/* What any usage within the bound costs never exceeds the bound. */
static void
no_usage_costs_more_than_its_bound(void **state)
{
	uint64_t seed = 0xabcdef;
	for (int i = 0; i < 100000; i++) {
		struct catalogue_price p = {.request_nano = (int64_t)(next_random(&seed) % 1000)};
		struct usage u = {0};
		uint64_t in = 0, out = 0;
		for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++) {
			p.pico[k] = (int64_t)(next_random(&seed) >> (24 + next_random(&seed) % 40));
			u.tokens[k] = next_random(&seed) >> (40 + next_random(&seed) % 24);
			*(k < TOKEN_output ? &in : &out) += u.tokens[k];
		}
		assert_true(price_cost(&p, &u).v <= price_upper_bound(&p, in, out).v);
	}
}

static void
words_cost_what_their_usage_does(void **state)
{
	uint64_t seed = 3;
	for (unsigned i = 0; i < 20000; i++) {
		struct catalogue_price p = {.request_nano = (int64_t)(next_random(&seed) % 1000), .geo_us_x100 = 110};
		struct usage u = {.flags = USAGE_ESTIMATED};
		for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
			p.pico[k] = (int64_t)(next_random(&seed) >> (1 + next_random(&seed) % 63)) - (i % 16 == 0);
		u.tokens[TOKEN_input] = next_random(&seed) >> (1 + next_random(&seed) % 63);
		u.tokens[TOKEN_output] = next_random(&seed) >> (1 + next_random(&seed) % 63);
		u.tokens[TOKEN_reasoning] = next_random(&seed) >> (1 + next_random(&seed) % 63);
		struct nano words = price_words(&p, u.tokens[TOKEN_input], u.tokens[TOKEN_output], u.tokens[TOKEN_reasoning]);
		assert_int_equal(words.v, price_cost(&p, &u).v);
	}
}

static void
affordable_output_is_the_most_that_fits(void **state)
{
	uint64_t seed = 0x777;
	for (int i = 0; i < 100000; i++) {
		struct catalogue_price p =
			price_of((int64_t)(next_random(&seed) % 100000000), 1 + (int64_t)(next_random(&seed) % 100000000));
		p.request_nano = (int64_t)(next_random(&seed) % 1000000);
		uint64_t input = next_random(&seed) % 1000000;
		struct nano money = {(int64_t)(next_random(&seed) >> (1 + next_random(&seed) % 40))};
		uint64_t output = price_affordable_output(&p, input, money);
		if (output > 0)
			assert_true(price_upper_bound(&p, input, output).v <= money.v);
		assert_true(price_upper_bound(&p, input, output + 1).v > money.v);
	}
}

static void
nothing_is_affordable_without_money_and_all_of_it_when_output_is_free(void **state)
{
	struct catalogue_price p = price_of(1000, 2000);
	assert_int_equal(price_affordable_output(&p, 0, (struct nano){0}), 0);
	assert_int_equal(price_affordable_output(&p, 0, (struct nano){-5}), 0);
	assert_int_equal(price_affordable_output(&p, 0, (struct nano){1}), 0);
	assert_int_equal(price_affordable_output(&p, 0, (struct nano){2}), 1);
	assert_int_equal(price_affordable_output(&p, 1, (struct nano){2}), 0);
	struct catalogue_price free_output = price_of(1000, 0);
	assert_true(price_affordable_output(&free_output, 1, (struct nano){1}) == UINT64_MAX);
	assert_int_equal(price_affordable_output(&free_output, 2, (struct nano){1}), 0);
}

static void
inference_in_one_country_scales_tokens_and_rounds_once(void **state)
{
	struct catalogue_price p = {.geo_us_x100 = 110, .request_nano = 5, .tool_nano[TOOL_web_search] = 7};
	p.pico[TOKEN_input] = 1001;
	struct usage u = {.tokens = {[TOKEN_input] = 10}, .tools = {[TOOL_web_search] = 1}};
	assert_int_equal(price_cost(&p, &u).v, 5 + 7 + 11); /* 10.01 nano */
	u.flags = USAGE_GEO_US;
	assert_int_equal(price_cost(&p, &u).v, 5 + 7 + 12); /* 11.011 nano */
	assert_int_equal(price_upper_bound(&p, 10, 0).v, 5 + 12);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ticket_is_rounded_up_once_over_all_kinds),
		cmocka_unit_test(each_kind_has_its_own_price),
		cmocka_unit_test(a_published_price_gives_the_published_cost),
		cmocka_unit_test(the_largest_usage_saturates),
		cmocka_unit_test(a_negative_price_never_becomes_a_credit),
		cmocka_unit_test(the_bound_takes_the_dearest_kind_of_each_side),
		cmocka_unit_test(no_usage_costs_more_than_its_bound),
		cmocka_unit_test(words_cost_what_their_usage_does),
		cmocka_unit_test(affordable_output_is_the_most_that_fits),
		cmocka_unit_test(nothing_is_affordable_without_money_and_all_of_it_when_output_is_free),
		cmocka_unit_test(inference_in_one_country_scales_tokens_and_rounds_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
