#include "ticket/ticket_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define DAY_MS 86400000ULL
#define NOW_MS (TICKET_ID_EPOCH_MS + 2000 * DAY_MS)

static struct ticket_id_range
range_of(uint32_t node, uint32_t writer)
{
	return (struct ticket_id_range){.floor_ms = NOW_MS - DAY_MS, .ceiling_ms = NOW_MS + DAY_MS, .node = node, .writer = writer};
}

static void
an_id_tells_time_node_and_writer(void **state)
{
	struct ticket_id_range r = range_of(200, 63);
	uint64_t id = ticket_id_next(&r, 0, NOW_MS);
	assert_true(id > 0 && id <= INT64_MAX);
	assert_int_equal(ticket_id_unix_ms(id), NOW_MS);
	assert_true(ticket_id_first(NOW_MS) <= id && id < ticket_id_first(NOW_MS + 1));
	assert_int_equal(ticket_id_unix_ms(ticket_id_first(NOW_MS)), NOW_MS);
	assert_int_equal(ticket_id_node(id), 200);
	assert_int_equal(ticket_id_writer(id), 63);
}

static void
ids_grow_when_the_clock_stands_or_goes_back(void **state)
{
	struct ticket_id_range r = range_of(0, 3);
	uint64_t prev = ticket_id_next(&r, 0, NOW_MS);
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t id = ticket_id_next(&r, prev, NOW_MS - i);
		assert_true(id > prev);
		assert_int_equal(ticket_id_writer(id), 3);
		prev = id;
	}
	/* 256 in a millisecond, then the counter runs into the next ones. */
	assert_int_equal(ticket_id_unix_ms(prev), NOW_MS + 100000 / 256);
}

static void
no_id_lies_beyond_the_ceiling(void **state)
{
	struct ticket_id_range r = range_of(1, 1);
	r.ceiling_ms = NOW_MS;
	uint64_t prev = 0, id;
	unsigned n = 0;
	while ((id = ticket_id_next(&r, prev, NOW_MS + 5 * DAY_MS))) {
		assert_int_equal(ticket_id_unix_ms(id), NOW_MS);
		prev = id;
		n++;
	}
	assert_int_equal(n, 256);
	r.ceiling_ms++;
	assert_int_equal(ticket_id_unix_ms(ticket_id_next(&r, prev, NOW_MS)), NOW_MS + 1);
	r.ceiling_ms = 0;
	assert_int_equal(ticket_id_next(&r, 0, NOW_MS), 0);
}

static void
a_new_board_begins_above_every_ceiling_before(void **state)
{
	struct ticket_id_range before = range_of(9, 2), after = before;
	before.ceiling_ms = NOW_MS;
	uint64_t last = 0, id;
	while ((id = ticket_id_next(&before, last, NOW_MS)))
		last = id;
	after.floor_ms = NOW_MS + 1;
	/* The clock went back a day with the power cut, and what the slab remembered is gone. */
	for (uint32_t writer = 0; writer < 64; writer++) {
		after.writer = writer;
		assert_true(ticket_id_next(&after, 0, NOW_MS - DAY_MS) > last);
	}
}

static void
writers_and_nodes_never_share_an_id(void **state)
{
	uint64_t seen[4];
	for (unsigned i = 0; i < 4; i++) {
		struct ticket_id_range r = range_of(i / 2, i % 2 ? TICKET_ID_WRITER_LEDGER : 63);
		seen[i] = ticket_id_next(&r, 0, NOW_MS);
		for (unsigned j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_tells_time_node_and_writer),
		cmocka_unit_test(ids_grow_when_the_clock_stands_or_goes_back),
		cmocka_unit_test(no_id_lies_beyond_the_ceiling),
		cmocka_unit_test(a_new_board_begins_above_every_ceiling_before),
		cmocka_unit_test(writers_and_nodes_never_share_an_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
