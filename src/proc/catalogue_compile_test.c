#include "proc/catalogue_compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t in_2026 = 1780000000000;

static const char text[] =
	"listen: ['127.0.0.1:0']\n"
	"providers:\n"
	"  - {name: zeta, url: 'http://127.0.0.1:9000/', keys: [{env: A}, {env: B}], on_client_gone: drain, inject_usage: false, pass_headers: [x-sim]}\n"
	"  - {name: alpha, url: 'https://api.example.com:8443/v1/'}\n"
	"models:\n"
	"  - id: m-b\n"
	"    upstream: up/b\n"
	"    provider: alpha\n"
	"    aliases: [b, B]\n"
	"    context: 2000\n"
	"    output: 300\n"
	"    reasoning: true\n"
	"    bytes_per_token: '2.5'\n"
	"    tokenizer: cl100k_base\n"
	"    image_tokens: 7\n"
	"    prices:\n"
	"      - {from: 2025-01-01, input: '1', output: '2', web_search: '0.01'}\n"
	"      - {from: 2026-01-01, input: '3', output: '4', per_request: '0.02'}\n"
	"      - {from: 2030-01-01, input: '5', output: '6'}\n"
	"  - id: m-a\n"
	"    provider: zeta\n"
	"    context: 1000\n"
	"    output: 100\n"
	"    prices: [{from: 2030-01-01, input: '1', output: '2'}]\n";

static struct catalogue *
compile(const char *yaml, uint64_t now_ms, struct problems *p)
{
	struct config *c = NULL;
	struct catalogue *catalogue = NULL;
	problems_init(p, "test.yaml");
	assert_true(config_load_text(yaml, strlen(yaml), p, &c));
	if (!catalogue_compile(c, now_ms, p, &catalogue))
		assert_null(catalogue);
	config_free(&c);
	return catalogue;
}

static struct span
name(const char *s)
{
	return (struct span){s, strlen(s)};
}

static void
providers_keep_their_order_and_facts(void **state)
{
	struct problems p;
	struct catalogue *c = compile(text, in_2026, &p);
	assert_int_equal(c->provider_count, 2);
	const struct catalogue_provider *zeta = catalogue_provider(c, 0), *alpha = catalogue_provider(c, 1);
	assert_string_equal(zeta->name, "zeta");
	assert_string_equal(zeta->host, "127.0.0.1");
	assert_string_equal(zeta->base_path, "");
	assert_int_equal(zeta->port, 9000);
	assert_false(zeta->tls);
	assert_false(zeta->inject_usage);
	assert_int_equal(zeta->cancel, DRAIN_UPSTREAM);
	assert_int_equal(zeta->key_count, 2);
	assert_int_equal(zeta->pass_header_count, 1);
	assert_string_equal(zeta->pass_header[0], "x-sim");
	assert_string_equal(alpha->host, "api.example.com");
	assert_string_equal(alpha->base_path, "/v1");
	assert_int_equal(alpha->port, 8443);
	assert_true(alpha->tls);
	assert_true(alpha->inject_usage);
	assert_int_equal(alpha->cancel, CANCEL_UPSTREAM);
	free(c);
}

static void
a_model_is_found_by_all_its_names(void **state)
{
	struct problems p;
	struct catalogue *c = compile(text, in_2026, &p);
	const struct catalogue_model *b = catalogue_find_model(c, name("m-b"));
	assert_non_null(b);
	assert_ptr_equal(catalogue_find_model(c, name("b")), b);
	assert_ptr_equal(catalogue_find_model(c, name("B")), b);
	assert_null(catalogue_find_model(c, name("up/b")));
	assert_string_equal(b->public_id, "m-b");
	assert_string_equal(catalogue_first_target(c, b)->upstream_id, "up/b");
	assert_int_equal(catalogue_first_target(c, b)->provider, 1);
	assert_int_equal(b->context_tokens, 2000);
	assert_int_equal(b->output_tokens, 300);
	assert_true(b->reasoning);
	assert_int_equal(b->bytes_per_token_x100, 250);
	assert_int_equal(b->tokenizer, TOKENIZER_cl100k_base);
	assert_int_equal(b->image_tokens, 7);
	assert_int_equal(b->created_s, 1735689600);
	assert_string_equal(catalogue_first_target(c, catalogue_find_model(c, name("m-a")))->upstream_id, "m-a");
	assert_int_equal(c->name_count, 4);
	uint32_t aliases = 0;
	for (uint32_t i = 0; i < c->name_count; i++)
		aliases += catalogue_name_row(c, i)->alias;
	assert_int_equal(aliases, 2);
	free(c);
}

static void
prices_follow_the_calendar(void **state)
{
	static const struct {
		uint64_t now_ms;
		int64_t input;
	} rows[] = {
		{1735689600000, 1000000}, {1767225599999, 1000000}, {1767225600000, 3000000}, {1893456000000, 5000000}};
	struct problems p;
	struct catalogue *c = compile(text, in_2026, &p);
	const struct catalogue_model *b = catalogue_find_model(c, name("m-b"));
	assert_null(catalogue_price_now(c, b, 1735689599999));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct catalogue_price *price = catalogue_price_now(c, b, rows[i].now_ms);
		assert_int_equal(price->pico[TOKEN_input], rows[i].input);
		assert_int_equal(price->pico[TOKEN_cached], rows[i].input);
		assert_int_equal(price->pico[TOKEN_image_out], rows[i].input + 1000000);
		assert_ptr_equal(catalogue_price_by_id(c, price->id), price);
	}
	assert_int_equal(catalogue_price_now(c, b, 1735689600000)->tool_nano[TOOL_web_search], 10000000);
	assert_int_equal(catalogue_price_now(c, b, in_2026)->request_nano, 20000000);
	free(c);
}

static void
a_model_with_only_future_prices_is_compiled_with_a_warning(void **state)
{
	struct problems p;
	struct catalogue *c = compile(text, in_2026, &p);
	assert_int_equal(p.errors, 0);
	assert_int_equal(p.warnings, 1);
	assert_int_equal(p.row[0].line, 20);
	assert_non_null(strstr(p.row[0].text, "no price of the model `m-a` is in force yet"));
	assert_null(catalogue_price_now(c, catalogue_find_model(c, name("m-a")), in_2026));
	free(c);
}

/* The same text with its two models, and so all its rows, the other way round. */
static char *
turned_round(void)
{
	const char *models = strstr(text, "  - id: m-b"), *second = strstr(text, "  - id: m-a");
	char *out = malloc(sizeof text);
	assert_non_null(out);
	snprintf(out, sizeof text, "%.*s%s%.*s", (int)(models - text), text, second, (int)(second - models), models);
	return out;
}

static void
ids_do_not_depend_on_the_order_in_the_file(void **state)
{
	struct problems p;
	char *other = turned_round();
	struct catalogue *a = compile(text, in_2026, &p), *b = compile(other, in_2026, &p), *again = compile(text, 0, &p);
	assert_int_equal(catalogue_find_model(a, name("m-a"))->id, catalogue_find_model(b, name("m-a"))->id);
	for (uint32_t i = 0; i < a->price_count; i++)
		assert_non_null(catalogue_price_by_id(b, catalogue_price(a, i)->id));
	assert_int_not_equal(a->version, b->version);
	assert_int_equal(a->version, again->version);
	assert_int_equal(a->bytes, again->bytes);
	assert_memory_equal(a, again, a->bytes);
	free(other);
	free(a);
	free(b);
	free(again);
}

/* Stored tickets name these numbers for ever: a change of the hash is a change of the store. */
static void
ids_stay_what_they_are(void **state)
{
	struct problems p;
	struct catalogue *c = compile(text, in_2026, &p);
	assert_int_equal(catalogue_find_model(c, name("m-b"))->id, 0xaf8edf1a);
	assert_int_equal(catalogue_provider(c, 0)->id, 0x1d806eef);
	assert_int_equal(catalogue_price_now(c, catalogue_find_model(c, name("m-b")), in_2026)->id, 0x73f83263dc74fa68);
	free(c);
}

static void
a_changed_amount_is_another_price(void **state)
{
	struct problems p;
	char *other = strdup(text);
	*strstr(other, "'3'") = '"';
	memcpy(strstr(other, "\"3'"), "'7'", 3);
	struct catalogue *a = compile(text, in_2026, &p), *b = compile(other, in_2026, &p);
	const struct catalogue_price *before = catalogue_price_now(a, catalogue_find_model(a, name("b")), in_2026);
	const struct catalogue_price *after = catalogue_price_now(b, catalogue_find_model(b, name("b")), in_2026);
	assert_int_not_equal(before->id, after->id);
	assert_null(catalogue_price_by_id(b, before->id));
	assert_int_equal(after->pico[TOKEN_input], 7000000);
	free(other);
	free(a);
	free(b);
}

static void
a_price_has_rows_for_tiers_and_sizes(void **state)
{
	static const char yaml[] =
		"listen: ['127.0.0.1:0']\n"
		"providers: [{name: p, url: 'http://127.0.0.1:9'}]\n"
		"models:\n"
		"  - id: m\n"
		"    provider: p\n"
		"    context: 1000000\n"
		"    output: 1000\n"
		"    prices:\n"
		"      - {from: 2026-01-01, tier: flex, times: '0.5'}\n"
		"      - {from: 2026-01-01, input: '1', output: '2'}\n"
		"      - {from: 2026-01-01, above: 200000, input: '3', output: '4'}\n"
		"      - {from: 2026-01-01, tier: priority, input: '5', output: '6'}\n"
		"      - {from: 2020-01-01, input: '9', output: '9'}\n";
	static const struct {
		uint64_t prompt;
		enum service_tier tier;
		int64_t input;
		bool unpriced;
	} rows[] = {
		{1, TIER_standard, 1000000, false},
		{200000, TIER_standard, 1000000, false},
		{200001, TIER_standard, 3000000, false},
		{200000, TIER_flex, 500000, false},
		{200001, TIER_flex, 1500000, false},
		{200001, TIER_priority, 5000000, false},
		{200000, TIER_batch, 1000000, true},
		{200001, TIER_batch, 3000000, true},
	};
	struct problems p;
	struct catalogue *c = compile(yaml, in_2026, &p);
	assert_non_null(c);
	assert_ptr_equal(catalogue_attach(c, c->bytes), c);
	const struct catalogue_model *m = catalogue_find_model(c, name("m"));
	const struct catalogue_price *base = catalogue_price_now(c, m, in_2026);
	assert_int_equal(base->pico[TOKEN_input], 1000000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct usage u = {.tokens = {[TOKEN_cached] = rows[i].prompt - 1, [TOKEN_input] = 1, [TOKEN_output] = 1000000}, .tier = (uint8_t)rows[i].tier};
		bool unpriced;
		const struct catalogue_price *row = catalogue_price_for(c, catalogue_first_target(c, m), base, &u, &unpriced);
		assert_int_equal(row->pico[TOKEN_input], rows[i].input);
		assert_int_equal(unpriced, rows[i].unpriced);
		assert_ptr_equal(catalogue_price_by_id(c, row->id), row);
	}
	free(c);
}

static void
prices_that_fit_no_request_are_refused(void **state)
{
	static const char head[] = "listen: ['127.0.0.1:0']\nproviders: [{name: p, url: 'http://127.0.0.1:9'}]\nmodels:\n"
							   "  - {id: m, provider: p, context: 1000, output: 10, prices: [";
	static const char *const rows[] = {
		"{from: 2026-01-01, output: '2'}",
		"{from: 2026-01-01, tier: flex, input: '1', output: '2'}",
		"{from: 2026-01-01, input: '1', output: '2'}, {from: 2026-02-01, above: 5, input: '1', output: '2'}",
		"{from: 2026-01-01, input: '1', output: '2'}, {from: 2026-01-01, times: '0.5'}",
		"{from: 2026-01-01, input: '1', output: '2'}, {from: 2026-01-01, tier: flex, above: 7, times: '0.5'}",
		"{from: 2026-01-01, input: '1', output: '2'}, {from: 2026-01-01, input: '3', output: '2'}",
		"{from: 2026-01-01, input: '1', output: '2', tier: slow}",
		"{from: 2026-01-01, input: '1', output: '2', geo_us: '0.9'}",
		"{from: 2026-01-01, input: '1', output: '1000000'}, {from: 2026-01-01, tier: fast, times: '1.01'}",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char yaml[1024];
		struct problems p;
		struct config *c = NULL;
		snprintf(yaml, sizeof yaml, "%s%s]}\n", head, rows[i]);
		problems_init(&p, "test.yaml");
		if (config_load_text(yaml, strlen(yaml), &p, &c))
			fail_msg("taken: %s", rows[i]);
		assert_true(p.errors > 0);
	}
}

static void
the_examples_compile(void **state)
{
	static const char *const files[] = {"lethe.yaml", "full.yaml", "starter.yaml"};
	static const uint64_t in_2027 = 1800000000000;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[512];
		struct problems p;
		struct config *c = NULL;
		struct catalogue *catalogue = NULL;
		snprintf(path, sizeof path, "%s/examples/%s", getenv("LETHE_SOURCE"), files[i]);
		problems_init(&p, path);
		if (!config_load(&p, &c) || !catalogue_compile(c, in_2027, &p, &catalogue) || p.warnings > 0) {
			problems_print(&p, stderr);
			fail_msg("%s", path);
		}
		free(catalogue);
		config_free(&c);
	}
}

static void
targets_stand_by_lane_and_rank_with_what_they_cost_there(void **state)
{
	static const char lanes_yaml[] =
		"listen: ['127.0.0.1:0']\n"
		"lanes: [{name: direct}, {name: economy, times: '0.5'}]\n"
		"providers: [{name: a, url: 'http://127.0.0.1:1'}, {name: b, url: 'http://127.0.0.1:2', retention: zero, region: eu}]\n"
		"models:\n"
		"  - id: m\n"
		"    context: 10\n"
		"    output: 5\n"
		"    prices: [{from: 2020-01-01, input: '3', output: '5', per_request: '0.000000003'}]\n"
		"    targets:\n"
		"      - {provider: a, rank: 2, lanes: [direct, economy]}\n"
		"      - {provider: b, upstream: bm, weight: 3}\n"
		"      - {provider: b, upstream: own, lanes: [economy], region: us, prices: [{from: 2020-01-01, input: '1', output: '1'}]}\n";
	static const struct {
		uint32_t lane, provider;
		const char *upstream, *region;
		int64_t input, request;
		uint16_t number;
	} want[] = {
		{0, 1, "bm", "eu", 3000000, 3, 1},
		{0, 0, "m", "", 3000000, 3, 0},
		{1, 1, "bm", "eu", 1500000, 2, 1},
		{1, 1, "own", "us", 500000, 0, 2},
		{1, 0, "m", "", 1500000, 2, 0},
	};
	struct problems p;
	struct catalogue *c = compile(lanes_yaml, in_2026, &p);
	assert_non_null(c);
	const struct catalogue_model *m = catalogue_find_model(c, name("m"));
	assert_int_equal(m->target_count, ARRAY_LEN(want));
	for (uint32_t i = 0; i < ARRAY_LEN(want); i++) {
		const struct catalogue_target *t = catalogue_target(c, m->target_at + i);
		assert_int_equal(t->lane, want[i].lane);
		assert_int_equal(t->provider, want[i].provider);
		assert_string_equal(t->upstream_id, want[i].upstream);
		assert_string_equal(t->region, want[i].region);
		assert_int_equal(t->zero_retention, want[i].provider == 1);
		assert_int_equal(t->number, want[i].number);
		assert_int_equal(catalogue_target_price_now(c, t, in_2026)->pico[TOKEN_input], want[i].input);
		assert_int_equal(catalogue_target_price_now(c, t, in_2026)->request_nano, want[i].request);
	}
	assert_int_equal(c->price_count, 3); /* the model's, the lane's, and one that is a target's own */
	assert_int_equal(catalogue_lane(c, 0)->id, 0);
	assert_int_not_equal(catalogue_lane(c, 1)->id, 0);
	free(c);
}

/* The target's word, else the model's, else the provider's; and none where there is no such choice. */
static void
a_target_is_asked_in_the_language_that_the_nearest_says(void **state)
{
	static const char yaml[] =
		"listen: ['127.0.0.1:0']\n"
		"providers: [{name: a, url: 'http://127.0.0.1:1'}, {name: b, url: 'http://127.0.0.1:2', responses: false}, {name: c, url: 'http://127.0.0.1:3', language: responses},\n"
		"  {name: d, url: 'http://127.0.0.1:4', dialect: anthropic}]\n"
		"models:\n"
		"  - {id: m, context: 10, output: 5, prices: [{from: 2020-01-01, input: '3', output: '5'}], targets: [{provider: a}, {provider: a, upstream: x, language: responses}, {provider: b},\n"
		"      {provider: c}, {provider: c, upstream: y, language: both}, {provider: d}]}\n"
		"  - {id: n, context: 10, output: 5, prices: [{from: 2020-01-01, input: '3', output: '5'}], language: chat, targets: [{provider: a}, {provider: c}, {provider: d},\n"
		"      {provider: c, upstream: z, language: responses}]}\n"
		"  - {id: o, provider: a, language: responses, context: 10, output: 5, prices: [{from: 2020-01-01, input: '3', output: '5'}]}\n";
	static const uint8_t m[] = {ASKED_AS_CALLED, ASKED_IN_RESPONSES, ASKED_IN_CHAT, ASKED_IN_RESPONSES, ASKED_AS_CALLED, ASKED_AS_CALLED},
						 n[] = {ASKED_IN_CHAT, ASKED_IN_CHAT, ASKED_AS_CALLED, ASKED_IN_RESPONSES}, o[] = {ASKED_IN_RESPONSES};
	static const struct {
		const char *id;
		const uint8_t *asked;
		uint32_t count;
	} want[] = {{"m", m, ARRAY_LEN(m)}, {"n", n, ARRAY_LEN(n)}, {"o", o, ARRAY_LEN(o)}};
	struct problems p;
	struct catalogue *c = compile(yaml, in_2026, &p);
	assert_non_null(c);
	for (uint32_t i = 0; i < ARRAY_LEN(want); i++) {
		const struct catalogue_model *of = catalogue_find_model(c, name(want[i].id));
		assert_int_equal(of->target_count, want[i].count);
		for (uint32_t k = 0; k < want[i].count; k++)
			assert_int_equal(catalogue_target(c, of->target_at + k)->asked_in, want[i].asked[k]);
	}
	free(c);
}

static void
behind_each_list_stand_the_fees_of_own_keys(void **state)
{
	static const struct {
		const char *fee;
		int64_t input, output, request;
	} rows[] = {
		{"{percent: '5', per_request: '0.01'}", 150000, 200000, 11000000},
		{"{percent: '0.01'}", 300, 400, 2000},
		{"{percent: '33.33'}", 999900, 1333200, 6666000},
		{"{per_request: '0.01'}", 0, 0, 10000000},
		{"{}", 0, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char yaml[sizeof text + 80];
		struct problems p;
		snprintf(yaml, sizeof yaml, "byok_fee: %s\n%s", rows[i].fee, text);
		struct catalogue *c = compile(yaml, in_2026, &p);
		const struct catalogue_model *m = catalogue_find_model(c, name("m-b"));
		const struct catalogue_target *t = catalogue_first_target(c, m);
		const struct catalogue_price *list = catalogue_target_price_now(c, t, in_2026), *fee = catalogue_target_fee_now(c, t, in_2026);
		struct usage u = {.tokens = {[TOKEN_input] = 1}};
		bool unpriced;
		assert_int_equal(list->pico[TOKEN_input], 3000000);
		assert_int_equal(fee->pico[TOKEN_input], rows[i].input);
		assert_int_equal(fee->pico[TOKEN_output], rows[i].output);
		assert_int_equal(fee->request_nano, rows[i].request);
		assert_true(fee->id != list->id);
		assert_ptr_equal(catalogue_price_for(c, t, fee, &u, &unpriced), fee);
		assert_ptr_equal(catalogue_price_for(c, t, list, &u, &unpriced), list);
		free(c);
	}
	struct problems p;
	struct catalogue *c = compile(text, in_2026, &p);
	assert_null(catalogue_target_fee_now(c, catalogue_first_target(c, catalogue_find_model(c, name("m-b"))), in_2026));
	free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(providers_keep_their_order_and_facts),
		cmocka_unit_test(a_model_is_found_by_all_its_names),
		cmocka_unit_test(prices_follow_the_calendar),
		cmocka_unit_test(a_model_with_only_future_prices_is_compiled_with_a_warning),
		cmocka_unit_test(ids_do_not_depend_on_the_order_in_the_file),
		cmocka_unit_test(ids_stay_what_they_are),
		cmocka_unit_test(a_changed_amount_is_another_price),
		cmocka_unit_test(a_price_has_rows_for_tiers_and_sizes),
		cmocka_unit_test(prices_that_fit_no_request_are_refused),
		cmocka_unit_test(the_examples_compile),
		cmocka_unit_test(behind_each_list_stand_the_fees_of_own_keys),
		cmocka_unit_test(targets_stand_by_lane_and_rank_with_what_they_cost_there),
		cmocka_unit_test(a_target_is_asked_in_the_language_that_the_nearest_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
