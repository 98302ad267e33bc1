#include "ticket/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * A catalogue laid out by hand, so that the reader is tested against its own description and not against the
 * compiler of configurations.
 */
struct block {
	struct catalogue head;
	struct catalogue_provider provider[1];
	struct catalogue_model model[2];
	struct catalogue_price price[3];
	struct catalogue_name name[3];
	struct catalogue_price_ref ref[3];
	_Alignas(8) struct catalogue_lane lane[2];
	_Alignas(8) struct catalogue_target target[3];
};

#define AT(member) offsetof(struct block, member)

static void
fill_models(struct block *b)
{
	b->model[0] = (struct catalogue_model){.id = 10,
		.public_id = "alpha",
		.target_at = 0,
		.target_count = 2,
		.context_tokens = 1000,
		.output_tokens = 100,
		.bytes_per_token_x100 = 200,
		.price_at = 0,
		.price_count = 2};
	b->model[1] = (struct catalogue_model){.id = 11,
		.public_id = "beta",
		.target_at = 2,
		.target_count = 1,
		.context_tokens = 1000,
		.output_tokens = 100,
		.reasoning = true,
		.bytes_per_token_x100 = 200,
		.price_at = 2,
		.price_count = 1};
	b->lane[0] = (struct catalogue_lane){"direct", 0};
	b->lane[1] = (struct catalogue_lane){"economy", 77};
	b->target[0] = (struct catalogue_target){.upstream_id = "alpha-1", .rank = 1, .weight = 1, .price_count = 2};
	b->target[1] = (struct catalogue_target){.upstream_id = "alpha-1", .lane = 1, .rank = 1, .weight = 1, .price_at = 2, .price_count = 1};
	b->target[2] = (struct catalogue_target){.model = 1, .upstream_id = "beta-1", .rank = 1, .weight = 1, .price_at = 2, .price_count = 1};
	b->name[0] = (struct catalogue_name){"al", 2, 0, true};
	b->name[1] = (struct catalogue_name){"alpha", 5, 0, false};
	b->name[2] = (struct catalogue_name){"beta", 4, 1, false};
}

static void
fill(struct block *b)
{
	memset(b, 0, sizeof *b);
	b->head = (struct catalogue){.magic = CATALOGUE_MAGIC,
		.bytes = sizeof *b,
		.provider_count = 1,
		.model_count = 2,
		.price_count = 3,
		.name_count = 3,
		.provider_at = AT(provider),
		.model_at = AT(model),
		.price_at = AT(price),
		.name_at = AT(name),
		.price_ref_at = AT(ref),
		.lane_count = 2,
		.target_count = 3,
		.lane_at = AT(lane),
		.target_at = AT(target)};
	b->provider[0] = (struct catalogue_provider){.id = 1,
		.key_count = 1,
		.name = "p",
		.host = "127.0.0.1",
		.port = 80,
		.base_path = "/v1",
		.pass_header_count = 1,
		.pass_header = {"x-sim"}};
	fill_models(b);
	b->price[0] = (struct catalogue_price){.id = 300, .from_ms = 2000, .pico = {5}};
	b->price[1] = (struct catalogue_price){.id = 100, .from_ms = 1000, .pico = {4}};
	b->price[2] = (struct catalogue_price){.id = 200, .from_ms = 5000, .pico = {3}};
	b->ref[0] = (struct catalogue_price_ref){100, 1, 0};
	b->ref[1] = (struct catalogue_price_ref){200, 2, 0};
	b->ref[2] = (struct catalogue_price_ref){300, 0, 0};
}

static struct span
text(const char *s)
{
	return (struct span){s, strlen(s)};
}

static void
ids_and_aliases_find_their_model(void **state)
{
	struct block b;
	fill(&b);
	const struct catalogue *c = catalogue_attach(&b, sizeof b);
	assert_non_null(c);
	assert_ptr_equal(catalogue_find_model(c, text("alpha")), &b.model[0]);
	assert_ptr_equal(catalogue_find_model(c, text("al")), &b.model[0]);
	assert_ptr_equal(catalogue_find_model(c, text("beta")), &b.model[1]);
	static const char *const unknown[] = {"", "a", "alp", "alphaa", "bet", "zeta", "Alpha", "alpha "};
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		assert_null(catalogue_find_model(c, text(unknown[i])));
	assert_null(catalogue_find_model(c, (struct span){"alpha\0", 6}));
}

static void
the_newest_price_that_has_begun_is_in_force(void **state)
{
	struct block b;
	fill(&b);
	const struct catalogue *c = catalogue_attach(&b, sizeof b);
	static const struct {
		uint64_t now_ms;
		int price;
	} rows[] = {{0, -1}, {999, -1}, {1000, 1}, {1999, 1}, {2000, 0}, {UINT64_MAX, 0}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_ptr_equal(
			catalogue_price_now(c, &b.model[0], rows[i].now_ms), rows[i].price < 0 ? NULL : &b.price[rows[i].price]);
	assert_null(catalogue_price_now(c, &b.model[1], 4999));
	assert_ptr_equal(catalogue_price_now(c, &b.model[1], 5000), &b.price[2]);
}

static void
a_price_is_found_by_its_id(void **state)
{
	struct block b;
	fill(&b);
	const struct catalogue *c = catalogue_attach(&b, sizeof b);
	for (size_t i = 0; i < ARRAY_LEN(b.price); i++)
		assert_ptr_equal(catalogue_price_by_id(c, b.price[i].id), &b.price[i]);
	assert_null(catalogue_price_by_id(c, 0));
	assert_null(catalogue_price_by_id(c, 150));
	assert_null(catalogue_price_by_id(c, UINT64_MAX));
}

static void
an_index_beyond_the_end_is_null(void **state)
{
	struct block b;
	fill(&b);
	const struct catalogue *c = catalogue_attach(&b, sizeof b);
	assert_non_null(catalogue_provider(c, 0));
	assert_null(catalogue_provider(c, 1));
	assert_non_null(catalogue_model(c, 1));
	assert_null(catalogue_model(c, 2));
	assert_null(catalogue_name_row(c, 3));
	assert_null(catalogue_price(c, 3));
	assert_null(catalogue_lane(c, 2));
	assert_null(catalogue_target(c, 3));
}

static void
lanes_are_found_and_their_targets_have_prices_of_their_own(void **state)
{
	struct block b;
	char owner[CATALOGUE_OWNER_MAX];
	fill(&b);
	const struct catalogue *c = catalogue_attach(&b, sizeof b);
	assert_int_equal(catalogue_find_lane(c, (struct span){"Economy", 7}), 1);
	assert_int_equal(catalogue_find_lane(c, (struct span){"econom", 6}), -1);
	assert_string_equal(catalogue_lane_name(c, 77), "economy");
	assert_null(catalogue_lane_name(c, 78));
	assert_ptr_equal(catalogue_first_target(c, &b.model[0]), &b.target[0]);
	assert_false(catalogue_target_has_prices(c, &b.target[0]));
	assert_true(catalogue_target_has_prices(c, &b.target[1]));
	assert_ptr_equal(catalogue_target_price_now(c, &b.target[1], 6000), &b.price[2]);
	catalogue_price_owner(c, &b.target[1], owner);
	assert_string_equal(owner, "alpha (economy)");
	b.target[1].own_prices = true;
	catalogue_price_owner(c, &b.target[1], owner);
	assert_string_equal(owner, "alpha (economy, p)");
}

/* Each damage alone makes the block unreadable. */
#define DAMAGE(member, value) \
	{ \
		offsetof(struct block, member), sizeof(((struct block *)0)->member), (value), #member " = " #value \
	}

static const struct damage {
	size_t at, bytes;
	uint64_t value;
	const char *what;
} damages[] = {
	DAMAGE(head.magic, 1),
	DAMAGE(head.bytes, sizeof(struct block) + 8),
	DAMAGE(head.bytes, 8),
	DAMAGE(head.provider_at, UINT64_MAX - 7),
	DAMAGE(head.model_at, AT(model) + 4),
	DAMAGE(head.model_count, UINT32_MAX),
	DAMAGE(head.price_at, 0),
	DAMAGE(head.price_ref_at, sizeof(struct block)),
	DAMAGE(target[0].provider, 1),
	DAMAGE(target[1].model, 1),
	DAMAGE(target[2].lane, 2),
	DAMAGE(target[0].weight, 0),
	DAMAGE(target[1].price_at, 3),
	DAMAGE(target[0].upstream_id[0], 0),
	DAMAGE(target[0].zero_retention, 2),
	DAMAGE(lane[1].name[0], 0),
	DAMAGE(lane[1].choice, CHOICE_RULES),
	DAMAGE(head.lane_count, CATALOGUE_LANES_MAX + 1),
	DAMAGE(head.target_count, 2),
	DAMAGE(model[0].target_count, 0),
	DAMAGE(model[1].target_at, 3),
	DAMAGE(model[1].price_count, 2),
	DAMAGE(model[1].price_at, 4),
	DAMAGE(model[0].bytes_per_token_x100, 0),
	DAMAGE(model[0].tokenizer, TOKENIZER_COUNT),
	DAMAGE(model[0].public_id[0], 0),
	DAMAGE(provider[0].host[0], 0),
	DAMAGE(provider[0].port, 0),
	DAMAGE(provider[0].pass_header_count, CATALOGUE_HEADERS_MAX + 1),
	DAMAGE(provider[0].key_count, CATALOGUE_KEYS_MAX + 1),
	DAMAGE(provider[0].cancel, 2),
	DAMAGE(provider[0].tls, 2),
	DAMAGE(provider[0].inject_usage, 255),
	DAMAGE(provider[0].old_cap, 2),
	DAMAGE(provider[0].dialect, DIALECT_COUNT),
	DAMAGE(model[1].reasoning, 3),
	DAMAGE(name[0].alias, 2),
	DAMAGE(name[0].model, 2),
	DAMAGE(name[1].name_len, 4),
	DAMAGE(name[1].name[0], 'z'),
	DAMAGE(price[1].from_ms, 2000),
	DAMAGE(price[1].pico[TOKEN_output], UINT64_MAX),
	DAMAGE(price[2].tool_nano[1], 1ULL << 63),
	DAMAGE(price[0].request_nano, 1ULL << 63),
	DAMAGE(ref[0].price, 3),
	DAMAGE(ref[0].id, 101),
};

static void
a_damaged_block_is_no_catalogue(void **state)
{
	struct block b;
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		fill(&b);
		memcpy((char *)&b + damages[i].at, &damages[i].value, damages[i].bytes);
		if (catalogue_attach(&b, sizeof b) != NULL)
			fail_msg("not seen: %s", damages[i].what);
	}
	fill(&b);
	memset(b.provider[0].base_path, '/', sizeof b.provider[0].base_path);
	assert_null(catalogue_attach(&b, sizeof b));
	fill(&b);
	assert_null(catalogue_attach(&b, sizeof b - 1));
	assert_null(catalogue_attach(&b, 7));
	assert_non_null(catalogue_attach(&b, sizeof b));
}

/*
 * Whatever the bytes are, a block that passes can be read everywhere without leaving it; AddressSanitizer
 * watches the edges.
 */
static void
read_everything(const struct catalogue *c)
{
	for (uint32_t i = 0; i < c->name_count; i++) {
		const struct catalogue_name *n = catalogue_name_row(c, i);
		assert_non_null(catalogue_find_model(c, (struct span){n->name, n->name_len}));
	}
	for (uint32_t i = 0; i < c->model_count; i++) {
		const struct catalogue_model *m = catalogue_model(c, i);
		for (uint32_t k = 0; k < m->target_count; k++) {
			const struct catalogue_target *t = catalogue_target(c, m->target_at + k);
			char owner[CATALOGUE_OWNER_MAX];
			assert_non_null(catalogue_provider(c, t->provider));
			assert_non_null(catalogue_lane(c, t->lane));
			assert_true(catalogue_price_owner(c, t, owner) < sizeof owner);
			(void)catalogue_target_price_now(c, t, 1500);
		}
		(void)catalogue_price_now(c, m, 1500);
	}
	for (uint32_t i = 0; i < c->price_count; i++)
		assert_non_null(catalogue_price_by_id(c, catalogue_price(c, i)->id));
}

static void
any_block_that_passes_can_be_read(void **state)
{
	struct block *b = malloc(sizeof *b);
	assert_non_null(b);
	uint64_t seed = 99;
	unsigned passed = 0;
	for (int i = 0; i < 60000; i++) {
		fill(b);
		for (unsigned flips = 1 + i % 3; flips > 0; flips--) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			size_t room = i % 2 ? sizeof b->head : sizeof *b; /* the header is small and matters most */
			((uint8_t *)b)[(seed >> 20) % room] = (uint8_t)(seed >> 56);
		}
		const struct catalogue *c = catalogue_attach(b, sizeof *b);
		if (c != NULL) {
			read_everything(c);
			passed++;
		}
	}
	assert_true(passed > 100);
	free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_and_aliases_find_their_model),
		cmocka_unit_test(the_newest_price_that_has_begun_is_in_force),
		cmocka_unit_test(a_price_is_found_by_its_id),
		cmocka_unit_test(an_index_beyond_the_end_is_null),
		cmocka_unit_test(lanes_are_found_and_their_targets_have_prices_of_their_own),
		cmocka_unit_test(a_damaged_block_is_no_catalogue),
		cmocka_unit_test(any_block_that_passes_can_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
