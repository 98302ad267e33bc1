#include "core/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop loop;
static uint64_t clock_now;

static uint64_t
fake_clock(void)
{
	return clock_now;
}

static void
begin(uint64_t now)
{
	assert_true(loop_init(&loop));
	clock_now = loop.now_ms = now;
	loop.clock_ms = fake_clock;
	loop.wheel_at = now / WHEEL_TICK_MS;
}

struct alarm {
	struct timer timer;
	unsigned fired;
};

static void
fire(struct timer *t)
{
	container_of(t, struct alarm, timer)->fired++;
}

/* Slot by slot, as nobody would do it. */
static int
naive_wait_ms(void)
{
	for (size_t n = 0; n < WHEEL_SLOTS; n++) {
		size_t i = (loop.wheel_at + 1 + n) % WHEEL_SLOTS;
		if (loop.occupied[i / 64] >> (i % 64) & 1) {
			uint64_t at_ms = (loop.wheel_at + 1 + n) * WHEEL_TICK_MS;
			return at_ms > loop.now_ms ? (int)(at_ms - loop.now_ms) : 0;
		}
	}
	return -1;
}

static void
a_turn_waits_until_the_next_timer(void **state)
{
	begin(1000003);
	assert_int_equal(loop_wait_ms(&loop), -1);
	struct alarm a = {0};
	for (uint64_t after = 1; after < WHEEL_SLOTS * WHEEL_TICK_MS; after += after < 300 ? 1 : 61) {
		timer_arm(&loop, &a.timer, clock_now + after, fire);
		int wait = loop_wait_ms(&loop);
		assert_true(wait >= (int)after && wait < (int)after + WHEEL_TICK_MS);
		clock_now += (uint64_t)wait;
		unsigned before = a.fired;
		loop_turn(&loop, 0);
		assert_int_equal(a.fired, before + 1);
		assert_int_equal(loop_wait_ms(&loop), -1);
	}
	loop_finish(&loop);
}

static void
many_timers_fire_once_each_and_not_before_their_time(void **state)
{
	enum { ALARMS = 40,
		ROUNDS = 20000 };
	static struct alarm alarms[ALARMS];
	begin(77777777);
	srandom(1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct alarm *a = &alarms[(unsigned)random() % ALARMS];
		uint64_t most = round % 3 ? 500 : 3 * WHEEL_SLOTS * WHEEL_TICK_MS;
		if (round % 7 == 0)
			timer_cancel(&loop, &a->timer);
		else if (!a->timer.link)
			timer_arm(&loop, &a->timer, clock_now + (uint64_t)random() % most, fire);
		if (loop.timers)
			assert_int_equal(loop_wait_ms(&loop), naive_wait_ms());
		unsigned due = 0, fired = 0;
		clock_now += (uint64_t)random() % 40;
		for (unsigned i = 0; i < ALARMS; i++) {
			due += alarms[i].timer.link && alarms[i].timer.at_ms + WHEEL_TICK_MS <= clock_now;
			alarms[i].fired = 0;
		}
		loop_turn(&loop, 0);
		for (unsigned i = 0; i < ALARMS; i++) {
			fired += alarms[i].fired;
			assert_true(!alarms[i].fired || alarms[i].timer.at_ms <= clock_now);
			assert_true(alarms[i].timer.link || alarms[i].fired <= 1);
		}
		assert_true(fired >= due);
	}
	loop_finish(&loop);
}

/* ---- by the machine's clock ---- */

static void
ignore(struct watch *w)
{
	w->flags = 0;
}

static struct alarm last, between, put_off;

static void
fire_last(struct timer *t)
{
	fire(t);
	assert_true(between.fired == 1 && put_off.fired == 0);
	loop.stop = true;
}

/* The alarm is set for a time that is further away than this one's. */
static void
fire_between(struct timer *t)
{
	fire(t);
	assert_true(clock_monotonic_ms() >= t->at_ms);
	timer_arm(&loop, &last.timer, loop.now_ms + 12, fire_last);
}

static void
fire_first(struct timer *t)
{
	fire(t);
	assert_true(clock_monotonic_ms() >= t->at_ms);
	timer_cancel(&loop, &put_off.timer); /* it rings for it all the same, and the loop waits on */
	timer_arm(&loop, &between.timer, loop.now_ms + 60, fire_between);
}

static void
an_alarm_wakes_the_loop_for_each_timer(void **state)
{
	struct alarm first = {0}, far = {0};
	last = between = put_off = (struct alarm){0};
	assert_true(loop_init(&loop) && loop_keep_alarm(&loop));
	timer_arm(&loop, &far.timer, loop.now_ms + 600000, fire);
	timer_arm(&loop, &put_off.timer, loop.now_ms + 30, fire);
	timer_arm(&loop, &first.timer, loop.now_ms + 9, fire_first);
	alarm(120); /* who is not woken sleeps for ten minutes */
	loop_run(&loop);
	alarm(0);
	assert_true(first.fired == 1 && last.fired == 1 && far.fired == 0);
	loop_finish(&loop);
}

static void
the_alarm_is_left_as_it_is_for_what_is_later(void **state)
{
	int pair[2];
	assert_int_equal(pipe(pair), 0);
	close(pair[1]); /* readable for ever */
	struct watch w;
	struct alarm a = {0};
	assert_true(loop_init(&loop) && loop_keep_alarm(&loop) && loop_watch_listener(&loop, &w, pair[0], ignore));
	for (unsigned ms = 60000; ms > 30000; ms -= 10000) { /* nearer and nearer: each time anew */
		timer_arm(&loop, &a.timer, loop.now_ms + ms, fire);
		uint64_t at = loop.now_ms + (uint64_t)loop_wait_ms(&loop);
		loop_turn(&loop, -1);
		assert_int_equal(loop.alarm_at_ms, at);
	}
	uint64_t set = loop.alarm_at_ms;
	timer_arm(&loop, &a.timer, loop.now_ms + 90000, fire);
	loop_turn(&loop, -1);
	assert_int_equal(loop.alarm_at_ms, set);
	close(pair[0]);
	loop_finish(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_turn_waits_until_the_next_timer),
		cmocka_unit_test(many_timers_fire_once_each_and_not_before_their_time),
		cmocka_unit_test(an_alarm_wakes_the_loop_for_each_timer),
		cmocka_unit_test(the_alarm_is_left_as_it_is_for_what_is_later),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
