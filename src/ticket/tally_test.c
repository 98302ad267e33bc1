#include "ticket/tally.h"

#include "ticket/end_reasons.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MODELS = 3,
	REST = MODELS };

static struct {
	struct catalogue head;
	struct catalogue_provider provider[2];
	struct catalogue_model model[MODELS];
	struct catalogue_lane lane;
	struct catalogue_target target[MODELS];
} block;

struct bench {
	void *memory;
	struct tally *tally;
};

static void
attach(struct bench *b)
{
	b->tally = tally_attach(b->memory, tally_bytes(MODELS), &block.head);
	assert_non_null(b->tally);
}

static void
bench_begin(struct bench *b)
{
	block.head = (struct catalogue){.provider_count = 2,
		.model_count = MODELS,
		.provider_at = offsetof(typeof(block), provider),
		.model_at = offsetof(typeof(block), model),
		.lane_count = 1,
		.target_count = MODELS,
		.lane_at = offsetof(typeof(block), lane),
		.target_at = offsetof(typeof(block), target)};
	block.provider[0].id = 7;
	block.provider[1].id = 8;
	for (uint32_t i = 0; i < MODELS; i++) {
		block.model[i] = (struct catalogue_model){.id = 100 + i};
		block.target[i] = (struct catalogue_target){.model = i, .provider = i == 2};
	}
	b->memory = calloc(1, tally_bytes(MODELS));
	assert_non_null(b->memory);
	tally_format(b->memory, MODELS);
	attach(b);
	assert_int_equal(tally_booking(b->tally), -1);
	tally_begin(b->tally, 40);
	assert_int_equal(tally_booking(b->tally), 40);
}

static void
bench_end(struct bench *b)
{
	tally_detach(&b->tally);
	free(b->memory);
}

static struct ticket_facts
request_of(uint32_t model)
{
	return (struct ticket_facts){.model = model,
		.provider = model == 102 ? 8 : 7,
		.status = 200,
		.end_reason = END_COMPLETED,
		.duration_ms = 1000,
		.first_byte_ms = 51,
		.tokens_input = 10,
		.tokens_output = 3,
		.tools_web_search = 2};
}

static void
book(struct bench *b, const struct ticket_facts *f, int64_t booking)
{
	tally_add(b->tally, f, (struct nano){125});
	tally_publish(b->tally, booking);
	tally_add(b->tally, f, (struct nano){125});
}

static uint64_t
get(const _Atomic uint64_t *word)
{
	return atomic_load(word);
}

static void
booked_tickets_are_summed_up_by_model(void **state)
{
	struct bench b;
	struct tally_view v = {0};
	bench_begin(&b);
	struct ticket_facts f = request_of(100), other = request_of(102);
	book(&b, &f, 41);
	book(&b, &f, 42);
	book(&b, &other, 43);
	assert_true(tally_view_take(b.tally, &v));
	assert_int_equal(v.booking, 43);
	assert_int_equal(v.count, 2);
	assert_int_equal(v.index[0], 0);
	assert_int_equal(v.index[1], 2);
	const struct tally_block *t = &v.block[0];
	assert_int_equal(get(&t->requests[END_COMPLETED][TALLY_STATUS_200]), 2);
	assert_int_equal(get(&t->tokens[TOKEN_input]), 20);
	assert_int_equal(get(&t->tokens[TOKEN_output]), 6);
	assert_int_equal(get(&t->tools[TOOL_web_search]), 4);
	assert_int_equal(get(&t->cost_nano), 250);
	assert_int_equal(get(&t->duration.sum), 2000);
	assert_int_equal(get(&t->duration.bucket[6]), 2); /* up to 1 s */
	assert_int_equal(get(&t->first_byte.bucket[1]), 2); /* 50 to 100 ms */
	tally_view_free(&v);
	bench_end(&b);
}

static void
a_leg_has_tokens_and_is_no_request(void **state)
{
	struct bench b;
	struct tally_view v = {0};
	bench_begin(&b);
	struct ticket_facts f = request_of(101);
	f.parent = 5;
	book(&b, &f, 41);
	assert_true(tally_view_take(b.tally, &v));
	assert_int_equal(get(&v.block[0].requests[END_COMPLETED][TALLY_STATUS_200]), 0);
	assert_int_equal(get(&v.block[0].duration.sum), 0);
	assert_int_equal(get(&v.block[0].legs), 1);
	assert_int_equal(get(&v.block[0].tokens[TOKEN_input]), 10);
	tally_view_free(&v);
	bench_end(&b);
}

static void
an_attempt_that_failed_and_is_free_is_in_no_sum(void **state)
{
	struct bench b;
	struct tally_view v = {0};
	bench_begin(&b);
	struct ticket_facts f = request_of(101);
	f.parent = 5;
	f.end_reason = END_PROVIDER_UNREACHABLE;
	tally_add(b.tally, &f, (struct nano){0});
	tally_publish(b.tally, 41);
	tally_add(b.tally, &f, (struct nano){0});
	assert_true(tally_view_take(b.tally, &v));
	assert_int_equal(v.booking, 41);
	assert_int_equal(v.count, 0);
	f.parent = 0; /* with nothing after it, it is how a request ended */
	tally_add(b.tally, &f, (struct nano){0});
	tally_publish(b.tally, 42);
	assert_true(tally_view_take(b.tally, &v));
	assert_int_equal(get(&v.block[0].tokens[TOKEN_input]), 10);
	tally_view_free(&v);
	bench_end(&b);
}

/* Another catalogue: 101 is gone, 102 stands first, 200 is new. */
static void
another_catalogue_goes_on_with_the_same_sums(void **state)
{
	struct bench b;
	struct tally_view v = {0};
	static struct {
		struct catalogue head;
		struct catalogue_provider provider;
		struct catalogue_model model[3];
		struct catalogue_lane lane;
		struct catalogue_target target[3];
	} other;
	bench_begin(&b);
	struct ticket_facts kept = request_of(102), gone = request_of(101), rest = request_of(999);
	book(&b, &kept, 41);
	book(&b, &gone, 42);
	book(&b, &rest, 43);
	atomic_store(&tally_ledger(b.tally)->mismatched, 5);
	other.head = (struct catalogue){.provider_count = 1, .model_count = 3, .provider_at = offsetof(typeof(other), provider), .model_at = offsetof(typeof(other), model), .lane_count = 1, .target_count = 3, .lane_at = offsetof(typeof(other), lane), .target_at = offsetof(typeof(other), target)};
	other.provider.id = 8;
	other.model[0].id = 102;
	other.model[1].id = 200;
	other.model[2].id = 100;
	for (uint32_t i = 0; i < 3; i++)
		other.target[i].model = i;
	void *memory = calloc(1, tally_bytes(3));
	tally_format(memory, 3);
	struct tally *t = tally_attach(memory, tally_bytes(3), &other.head);
	assert_non_null(t);
	for (int times = 0; times < 2; times++) { /* cut off and done again, it is the same */
		tally_carry(t, b.tally);
		assert_int_equal(tally_booking(t), 43);
		assert_true(tally_view_take(t, &v));
		assert_int_equal(v.count, 2);
		assert_int_equal(v.index[0], 0);
		assert_int_equal(v.index[1], 3);
		assert_int_equal(get(&v.block[0].cost_nano), 125);
		assert_int_equal(get(&v.block[1].cost_nano), 250);
		assert_int_equal(get(&tally_ledger(t)->mismatched), 5);
	}
	/* Both copies have it. */
	tally_add(t, &kept, (struct nano){125});
	tally_publish(t, 44);
	assert_true(tally_view_take(t, &v));
	assert_int_equal(get(&v.block[0].cost_nano), 250);
	assert_int_equal(get(&v.block[1].cost_nano), 250);
	tally_view_free(&v);
	tally_detach(&t);
	free(memory);
	bench_end(&b);
}

static void
what_the_catalogue_does_not_have_is_counted_as_the_rest(void **state)
{
	struct bench b;
	struct tally_view v = {0};
	bench_begin(&b);
	struct ticket_facts gone = request_of(999), elsewhere = request_of(100), lane = request_of(100);
	elsewhere.provider = 8;
	lane.lane = 3;
	lane.end_reason = 255;
	lane.status = 999;
	book(&b, &gone, 41);
	book(&b, &elsewhere, 42);
	book(&b, &lane, 43);
	assert_true(tally_view_take(b.tally, &v));
	assert_int_equal(v.count, 1);
	assert_int_equal(v.index[0], REST);
	assert_null(tally_block_target(b.tally, REST));
	assert_int_equal(get(&v.block[0].requests[END_COMPLETED][TALLY_STATUS_200]), 2);
	assert_int_equal(get(&v.block[0].requests[END_NONE][TALLY_STATUS_OTHER]), 1);
	tally_view_free(&v);
	bench_end(&b);
}

static void
assert_same(const struct tally_view *v, const struct tally_view *w)
{
	assert_int_equal(v->count, w->count);
	assert_memory_equal(v->index, w->index, v->count * sizeof v->index[0]);
	assert_memory_equal(v->block, w->block, v->count * sizeof v->block[0]);
}

/* The ledger is killed before it publishes, and behind that: each time it is as if the booking had been done in full, or not begun. */
static void
a_kill_leaves_whole_bookings(void **state)
{
	for (int at = 0; at < 4; at++) {
		struct bench b;
		struct tally_view before = {0}, after = {0}, now = {0};
		bench_begin(&b);
		struct ticket_facts f = request_of(100), other = request_of(101);
		book(&b, &f, 41);
		assert_true(tally_view_take(b.tally, &before));
		/* Booking 42 has two tickets; the process dies behind `at` of the four additions. */
		if (at >= 1)
			tally_add(b.tally, &other, (struct nano){1});
		if (at >= 2)
			tally_add(b.tally, &f, (struct nano){1});
		if (at >= 2)
			tally_publish(b.tally, 42);
		if (at >= 3)
			tally_add(b.tally, &other, (struct nano){1});
		tally_detach(&b.tally);
		attach(&b);
		tally_recover(b.tally);
		if (tally_booking(b.tally) == 41) {
			assert_true(tally_view_take(b.tally, &now));
			assert_same(&before, &now);
			tally_add(b.tally, &other, (struct nano){1});
			tally_add(b.tally, &f, (struct nano){1});
			tally_publish(b.tally, 42);
			tally_recover(b.tally);
		}
		assert_int_equal(tally_booking(b.tally), 42);
		assert_true(tally_view_take(b.tally, &after));
		assert_int_equal(after.count, 2);
		assert_int_equal(get(&after.block[0].cost_nano), 126);
		assert_int_equal(get(&after.block[1].cost_nano), 1);
		/* The other copy is the same: the next booking changes front and back alike. */
		struct ticket_facts third = request_of(102);
		book(&b, &third, 43);
		book(&b, &third, 44);
		assert_true(tally_view_take(b.tally, &now));
		assert_int_equal(get(&now.block[0].cost_nano), 126);
		assert_int_equal(get(&now.block[1].cost_nano), 1);
		assert_int_equal(get(&now.block[2].cost_nano), 250);
		tally_view_free(&before);
		tally_view_free(&after);
		tally_view_free(&now);
		bench_end(&b);
	}
}

static void
statuses_have_their_own_label_or_their_class(void **state)
{
	static const struct {
		unsigned status;
		enum tally_status want;
	} cases[] = {{0, TALLY_STATUS_NONE}, {200, TALLY_STATUS_200}, {201, TALLY_STATUS_2XX}, {304, TALLY_STATUS_3XX}, {418, TALLY_STATUS_4XX},
		{429, TALLY_STATUS_429}, {529, TALLY_STATUS_529}, {599, TALLY_STATUS_5XX}, {100, TALLY_STATUS_OTHER}, {65535, TALLY_STATUS_OTHER}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(tally_status_of(cases[i].status), cases[i].want);
}

static void
a_bound_belongs_to_its_bucket(void **state)
{
	assert_int_equal(tally_bucket(tally_times, TALLY_TIME_COUNT, 0), 0);
	assert_int_equal(tally_bucket(tally_times, TALLY_TIME_COUNT, 50), 0);
	assert_int_equal(tally_bucket(tally_times, TALLY_TIME_COUNT, 51), 1);
	assert_int_equal(tally_bucket(tally_times, TALLY_TIME_COUNT, 600000), TALLY_TIME_COUNT - 1);
	assert_int_equal(tally_bucket(tally_times, TALLY_TIME_COUNT, UINT32_MAX), TALLY_TIME_COUNT);
	for (unsigned i = 1; i < TALLY_TIME_COUNT; i++)
		assert_true(tally_times[i - 1] < tally_times[i]);
}

static void
memory_of_another_catalogue_is_refused(void **state)
{
	struct bench b;
	bench_begin(&b);
	struct catalogue other = block.head;
	other.target_count = MODELS - 1;
	assert_null(tally_attach(b.memory, tally_bytes(MODELS), &other));
	assert_null(tally_attach(b.memory, tally_bytes(MODELS) - 1, &block.head));
	memset(b.memory, 0, sizeof(uint64_t));
	assert_null(tally_attach(b.memory, tally_bytes(MODELS), &block.head));
	bench_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(booked_tickets_are_summed_up_by_model),
		cmocka_unit_test(a_leg_has_tokens_and_is_no_request),
		cmocka_unit_test(an_attempt_that_failed_and_is_free_is_in_no_sum),
		cmocka_unit_test(another_catalogue_goes_on_with_the_same_sums),
		cmocka_unit_test(what_the_catalogue_does_not_have_is_counted_as_the_rest),
		cmocka_unit_test(a_kill_leaves_whole_bookings),
		cmocka_unit_test(statuses_have_their_own_label_or_their_class),
		cmocka_unit_test(a_bound_belongs_to_its_bucket),
		cmocka_unit_test(memory_of_another_catalogue_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
