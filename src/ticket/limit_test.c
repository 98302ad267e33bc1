#include "ticket/limit.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define NS 1000000000ULL
#define NOW (90000 * NS)

static const struct board_size size = {.edges = 4, .tickets_per_edge = 1, .slots = 1, .limits = 3};
static struct board *board;
static void *memory;

static int
begin(void **state)
{
	memory = mmap(NULL, board_bytes(&size), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	board_format(memory, &size);
	board = board_attach(memory, board_bytes(&size));
	assert_non_null(board);
	return 0;
}

static int
end(void **state)
{
	board_detach(&board);
	munmap(memory, board_bytes(&size));
	return 0;
}

static struct limit_row *
a_row(void)
{
	return limit_row(board, limit_make(board, 7));
}

/* ---- rows ---- */

static void
each_subject_has_a_row_of_its_own_until_there_is_no_room(void **state)
{
	assert_int_equal(limit_find(board, 11), 0);
	assert_null(limit_row(board, 0));
	assert_int_equal(limit_make(board, 11), 1);
	assert_int_equal(limit_make(board, 12), 2);
	assert_true(limit_has_room(board));
	assert_int_equal(limit_make(board, 11), 1);
	assert_int_equal(limit_make(board, 13), 3);
	assert_int_equal(limit_make(board, 14), 0);
	assert_false(limit_has_room(board));
	assert_int_equal(limit_find(board, 12), 2);
	assert_int_equal(limit_count(board), 3);
	assert_null(limit_row(board, 4));
	assert_int_equal(limit_row(board, 3)->subject, 13);
}

static void
a_board_may_have_no_room_for_any(void **state)
{
	const struct board_size none = {.edges = 1, .tickets_per_edge = 1, .slots = 1};
	void *m = aligned_alloc(4096, board_bytes(&none));
	memset(m, 0, board_bytes(&none));
	board_format(m, &none);
	struct board *b = board_attach(m, board_bytes(&none));
	assert_int_equal(limit_make(b, 5), 0);
	assert_int_equal(limit_find(b, 5), 0);
	assert_null(limit_row(b, 1));
	limit_forget_edge(b, 0);
	board_detach(&b);
	free(m);
}

/* ---- rates ---- */

static unsigned
passes(_Atomic uint64_t *rate, int64_t amount, unsigned tries, uint64_t now_ns)
{
	unsigned passed = 0;
	uint64_t wait;
	for (unsigned i = 0; i < tries; i++)
		passed += limit_rate_take(rate, amount, 1, now_ns, &wait);
	return passed;
}

static void
a_minute_s_worth_may_come_at_once_and_not_one_more(void **state)
{
	static const int64_t amounts[] = {1, 2, 3, 7, 60, 59, 61, 999, 1000, 1001, 10007, 60000};
	for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
		_Atomic uint64_t rate = 0;
		assert_int_equal(passes(&rate, amounts[i], (unsigned)amounts[i] + 50, NOW), amounts[i]);
	}
}

static void
what_was_used_comes_back_evenly(void **state)
{
	_Atomic uint64_t rate = 0;
	uint64_t wait = 0;
	assert_int_equal(passes(&rate, 60, 60, NOW), 60);
	assert_false(limit_rate_take(&rate, 60, 1, NOW, &wait));
	assert_int_equal(wait, NS);
	assert_false(limit_rate_take(&rate, 60, 1, NOW + NS - 1, &wait));
	assert_int_equal(wait, 1);
	assert_int_equal(passes(&rate, 60, 9, NOW + NS), 1);
	assert_int_equal(passes(&rate, 60, 99, NOW + 6 * NS), 5);
	assert_int_equal(passes(&rate, 60, 99, NOW + 1000 * NS), 60);
}

static void
what_is_left_and_when_it_is_full_again_is_told(void **state)
{
	_Atomic uint64_t rate = 0;
	uint64_t remaining, reset;
	limit_rate_look(&rate, 100, NOW, &remaining, &reset);
	assert_int_equal(remaining, 100);
	assert_int_equal(reset, 0);
	passes(&rate, 100, 25, NOW);
	limit_rate_look(&rate, 100, NOW, &remaining, &reset);
	assert_int_equal(remaining, 75);
	assert_int_equal(reset, 15 * NS);
	limit_rate_look(&rate, 100, NOW + 15 * NS, &remaining, &reset);
	assert_int_equal(remaining, 100);
}

static void
tokens_are_corrected_when_it_is_known_how_many_they_were(void **state)
{
	_Atomic uint64_t rate = 0;
	uint64_t remaining, reset, wait;
	assert_true(limit_rate_take(&rate, 1000, 400, NOW, &wait));
	assert_true(limit_rate_take(&rate, 1000, 600, NOW, &wait));
	assert_false(limit_rate_take(&rate, 1000, 1, NOW, &wait));
	limit_rate_correct(&rate, 1000, 400, 100);
	limit_rate_look(&rate, 1000, NOW, &remaining, &reset);
	assert_int_equal(remaining, 300);
	limit_rate_correct(&rate, 1000, 600, 1100); /* over it: nothing for 12 s */
	limit_rate_look(&rate, 1000, NOW, &remaining, &reset);
	assert_int_equal(remaining, 0);
	assert_false(limit_rate_take(&rate, 1000, 1, NOW + 12 * NS - NS, &wait));
	assert_true(limit_rate_take(&rate, 1000, 1, NOW + 13 * NS, &wait));
}

static void
a_limit_that_was_changed_meanwhile_is_not_thrown_out_of_joint(void **state)
{
	_Atomic uint64_t rate = 0;
	uint64_t wait;
	assert_true(limit_rate_take(&rate, 1000000, 500, NOW, &wait));
	limit_rate_correct(&rate, 1, 500, 0); /* at the rate of now, more than was taken */
	assert_true(limit_rate_take(&rate, 1, 1, NOW, &wait));
	_Atomic uint64_t early = 5;
	limit_rate_correct(&early, 1, 1, 0);
	assert_int_equal(early, 0);
}

static void
what_is_larger_than_the_limit_passes_when_nothing_else_was_there(void **state)
{
	_Atomic uint64_t rate = 0;
	uint64_t wait;
	assert_true(limit_rate_take(&rate, 1000, 5000, NOW, &wait));
	assert_false(limit_rate_take(&rate, 1000, 5000, NOW + 59 * NS, &wait));
	assert_true(limit_rate_take(&rate, 1000, 5000, NOW + 60 * NS, &wait));
}

/* ---- all at once ---- */

enum { CROWD = 4,
	EACH = 2500 };

/* CROWD processes ask so many times each; how many were let in. */
static unsigned
crowd_of(int each, bool (*ask)(struct limit_row *r, uint32_t edge), struct limit_row *r)
{
	_Atomic uint32_t *passed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(passed, MAP_FAILED);
	for (uint32_t edge = 0; edge < CROWD; edge++)
		if (fork() == 0) {
			atomic_fetch_add(&passed[1], 1);
			while (atomic_load(&passed[1]) < CROWD) /* all begin together */
				;
			for (int i = 0; i < each; i++)
				if (ask(r, edge))
					atomic_fetch_add(&passed[0], 1);
			_exit(0);
		}
	for (int i = 0, status; i < CROWD; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	unsigned n = passed[0];
	munmap((void *)passed, 4096);
	return n;
}

static unsigned
crowd(bool (*ask)(struct limit_row *r, uint32_t edge), struct limit_row *r)
{
	return crowd_of(EACH, ask, r);
}

static bool
ask_rate(struct limit_row *r, uint32_t edge)
{
	uint64_t wait;
	return limit_rate_take(&r->rate[0], 1000, 1, NOW, &wait);
}

/* So many that they are sure to meet; a minute has so many times 20 µs. */
static bool
ask_many(struct limit_row *r, uint32_t edge)
{
	uint64_t wait;
	return limit_rate_take(&r->rate[1], 3000000, 1, NOW, &wait);
}

static bool
ask_day_many(struct limit_row *r, uint32_t edge)
{
	return limit_day_take(&r->day, 3000000, 20001);
}

static bool
ask_day(struct limit_row *r, uint32_t edge)
{
	return limit_day_take(&r->day, 1000, 20000);
}

/* Never given back: those that were let in stay. */
static bool
ask_stream(struct limit_row *r, uint32_t edge)
{
	return limit_stream_take(r, edge);
}

/* In and out again: never more than three inside. */
static bool
too_many_inside(struct limit_row *r, uint32_t edge)
{
	if (!limit_stream_take(r, edge))
		return false;
	uint64_t inside = atomic_fetch_add(&r->rate[1], 1) + 1;
	atomic_fetch_sub(&r->rate[1], 1);
	limit_stream_give(r, edge);
	return inside > 3;
}

static void
ten_thousand_at_once_against_a_thousand_are_a_thousand(void **state)
{
	struct limit_row *r = a_row();
	assert_int_equal(crowd(ask_rate, r), 1000);
	assert_int_equal(crowd(ask_day, r), 1000);
	assert_int_equal(crowd_of(1500000, ask_many, r), 3000000);
	assert_int_equal(crowd_of(1500000, ask_day_many, r), 3000000);
}

static void
streams_of_all_edges_together_are_never_more_than_the_limit(void **state)
{
	struct limit_row *r = a_row();
	r->amount[LIMIT_STREAMS] = 1000;
	unsigned passed = crowd(ask_stream, r);
	assert_true(passed <= 1000 && passed > 1000 - CROWD); /* those that met at the end may have stepped back for each other */
	assert_int_equal(limit_streams(r), passed);
	for (uint32_t e = 0; e < CROWD; e++)
		limit_forget_edge(board, e);
	assert_int_equal(limit_streams(r), 0);
	r->amount[LIMIT_STREAMS] = 3;
	assert_int_equal(crowd(too_many_inside, r), 0);
	assert_int_equal(limit_streams(r), 0);
}

static void
the_streams_of_a_dead_edge_are_nobody_s(void **state)
{
	struct limit_row *r = a_row();
	r->amount[LIMIT_STREAMS] = 2;
	assert_true(limit_stream_take(r, 1));
	assert_true(limit_stream_take(r, 2));
	assert_false(limit_stream_take(r, 2));
	limit_forget_edge(board, 1);
	assert_true(limit_stream_take(r, 2));
	limit_stream_give(r, 1); /* nothing is there */
	assert_int_equal(limit_streams(r), 2);
}

/* ---- days ---- */

static void
a_day_begins_anew_and_a_clock_that_goes_back_gives_nothing(void **state)
{
	_Atomic uint64_t word = 0;
	assert_true(limit_day_take(&word, 2, 100));
	assert_true(limit_day_take(&word, 2, 100));
	assert_false(limit_day_take(&word, 2, 100));
	assert_true(limit_day_take(&word, 2, 101));
	assert_true(limit_day_take(&word, 2, 100));
	assert_false(limit_day_take(&word, 2, 101));
	assert_int_equal(limit_day_count(&word, 101), 2);
	assert_int_equal(limit_day_count(&word, 102), 0);
	limit_day_give(&word, 100);
	assert_int_equal(limit_day_count(&word, 101), 2);
	limit_day_give(&word, 101);
	assert_true(limit_day_take(&word, 2, 101));
}

static void
what_an_earlier_board_counted_is_recalled_once(void **state)
{
	_Atomic uint64_t word = 0;
	limit_day_recall(&word, 100, 9);
	assert_true(limit_day_take(&word, 10, 100));
	assert_false(limit_day_take(&word, 10, 100));
	limit_day_recall(&word, 100, 3);
	assert_int_equal(limit_day_count(&word, 100), 10);
}

/* ---- windows ---- */

static void
windows_are_the_calendar_s(void **state)
{
	static const struct {
		enum limit_kind kind;
		uint64_t at, begin, next;
	} rows[] = {
		{LIMIT_MONEY_MINUTE, 1798761599, 1798761540, 1798761600}, /* 2026-12-31T23:59:59 */
		{LIMIT_MONEY_HOUR, 1798761599, 1798758000, 1798761600},
		{LIMIT_MONEY_DAY, 1798761599, 1798675200, 1798761600},
		{LIMIT_MONEY_DAY, 1798761600, 1798761600, 1798848000},
		{LIMIT_MONEY_WEEK, 1798761599, 1798416000, 1799020800}, /* Monday 28 December to Monday 4 January */
		{LIMIT_MONEY_WEEK, 1798416000, 1798416000, 1799020800},
		{LIMIT_MONEY_WEEK, 1798415999, 1797811200, 1798416000},
		{LIMIT_MONEY_MONTH, 1798761599, 1796083200, 1798761600}, /* 1 December to 1 January */
		{LIMIT_MONEY_MONTH, 1798761600, 1798761600, 1801440000},
		{LIMIT_MONEY_MONTH, 1709164800, 1706745600, 1709251200}, /* 29 February 2024 */
		{LIMIT_MONEY_MONTH, 1772323200, 1772323200, 1775001600}, /* 1 March 2026 */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t window = limit_window(rows[i].kind, rows[i].at);
		assert_int_equal(limit_window_begin_s(rows[i].kind, window), rows[i].begin);
		assert_int_equal(limit_window_begin_s(rows[i].kind, window + 1), rows[i].next);
	}
	/* Every day for two centuries is in the month that it is in. */
	for (uint64_t day = 0; day < 73000; day++) {
		uint32_t month = limit_window(LIMIT_MONEY_MONTH, day * 86400);
		assert_true(limit_window_begin_s(LIMIT_MONEY_MONTH, month) <= day * 86400 && day * 86400 < limit_window_begin_s(LIMIT_MONEY_MONTH, month + 1));
	}
}

/* ---- lists ---- */

static struct address
address_of(const char *text)
{
	struct address a;
	assert_true(address_parse((struct span){text, strlen(text)}, &a));
	return a;
}

static void
lists_allow_what_they_name_and_all_when_they_are_none(void **state)
{
	struct limit_row *r = a_row();
	struct address inside = address_of("10.1.2.3"), outside = address_of("192.0.2.1");
	assert_true(limit_allows_model(r, 5) && limit_allows_address(r, &outside));
	struct limit_lists l = {.named = LIMIT_MODELS | LIMIT_ADDRESSES, .model_count = 3, .models = {2, 5, 9}, .address_count = 1};
	assert_true(address_range_parse(SPAN("10.0.0.0/8"), &l.addresses[0]));
	limit_set_lists(r, &l);
	assert_true(limit_allows_model(r, 2) && limit_allows_model(r, 5) && limit_allows_model(r, 9));
	assert_false(limit_allows_model(r, 1) || limit_allows_model(r, 6) || limit_allows_model(r, 10));
	assert_true(limit_allows_address(r, &inside));
	assert_false(limit_allows_address(r, &outside));
	assert_true(limit_names(r, LIMIT_MODELS));
	limit_set_lists(r, &(struct limit_lists){.named = LIMIT_MODELS}); /* a list of none */
	assert_false(limit_allows_model(r, 5));
	assert_true(limit_allows_address(r, &outside));
	limit_set_lists(r, &(struct limit_lists){0});
	assert_true(limit_allows_model(r, 5));
}

/* However it is changed meanwhile, what is read is a name that was set. */
static void
a_lane_is_read_as_a_whole(void **state)
{
	enum { READS = 200000 };
	static const struct limit_lane names[2] = {{"economy-economy-economy-economy"}, {"premium-premium-premium-premium"}};
	struct limit_row *r = a_row();
	struct limit_lane lane;
	limit_lane(r, &lane);
	assert_string_equal(lane.name, "");
	limit_set_lane(r, &names[0]);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		for (unsigned i = 1;; i++)
			limit_set_lane(r, &names[i & 1]);
	unsigned seen[2] = {0}, others = 0;
	for (unsigned i = 0; i < READS; i++) {
		limit_lane(r, &lane);
		bool first = strcmp(lane.name, names[0].name) == 0, second = strcmp(lane.name, names[1].name) == 0;
		seen[0] += first;
		seen[1] += second;
		others += !first && !second && strcmp(lane.name, "?") != 0;
	}
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(others, 0);
	assert_true(seen[0] + seen[1] > 0);
	limit_set_lane(r, &(struct limit_lane){0});
	limit_lane(r, &lane);
	assert_string_equal(lane.name, "");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(each_subject_has_a_row_of_its_own_until_there_is_no_room),
		TEST(a_board_may_have_no_room_for_any),
		TEST(a_minute_s_worth_may_come_at_once_and_not_one_more),
		TEST(what_was_used_comes_back_evenly),
		TEST(what_is_left_and_when_it_is_full_again_is_told),
		TEST(tokens_are_corrected_when_it_is_known_how_many_they_were),
		TEST(a_limit_that_was_changed_meanwhile_is_not_thrown_out_of_joint),
		TEST(what_is_larger_than_the_limit_passes_when_nothing_else_was_there),
		TEST(ten_thousand_at_once_against_a_thousand_are_a_thousand),
		TEST(streams_of_all_edges_together_are_never_more_than_the_limit),
		TEST(the_streams_of_a_dead_edge_are_nobody_s),
		TEST(a_day_begins_anew_and_a_clock_that_goes_back_gives_nothing),
		TEST(what_an_earlier_board_counted_is_recalled_once),
		TEST(windows_are_the_calendar_s),
		TEST(lists_allow_what_they_name_and_all_when_they_are_none),
		TEST(a_lane_is_read_as_a_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
