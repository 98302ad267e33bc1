#include "ticket/key_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <signal.h>
#include <cmocka.h>

static struct key_table *
table(void)
{
	void *m =
		mmap(NULL, key_table_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(m, MAP_FAILED);
	assert_null(key_table_attach(m, key_table_bytes()));
	key_table_format(m);
	struct key_table *t = key_table_attach(m, key_table_bytes());
	assert_non_null(t);
	return t;
}

static void
drop(struct key_table *t)
{
	munmap(t, key_table_bytes());
}

static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static void
hash_of(uint64_t n, uint8_t hash[API_KEY_HASH_BYTES])
{
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t word = mix(3 * n + i + 1);
		memcpy(hash + 8 * i, &word, 8);
	}
}

static struct key_facts
facts_of(uint64_t n)
{
	return (struct key_facts){
		.key = n + 1, .account = n / 3 + 1, .expires_ms = n % 2 ? n : 0, .slot = (uint32_t)n, .state = KEY_ACTIVE};
}

static void
put(struct key_table *t, uint64_t n)
{
	uint8_t hash[API_KEY_HASH_BYTES];
	struct key_facts f = facts_of(n);
	hash_of(n, hash);
	assert_true(key_table_put(t, hash, &f));
}

static bool
has(const struct key_table *t, uint64_t n)
{
	uint8_t hash[API_KEY_HASH_BYTES];
	struct key_facts f, want = facts_of(n);
	hash_of(n, hash);
	if (!key_table_find(t, hash, &f))
		return false;
	assert_int_equal(f.key, want.key);
	assert_int_equal(f.account, want.account);
	assert_int_equal(f.expires_ms, want.expires_ms);
	assert_int_equal(f.slot, want.slot);
	assert_int_equal(f.state, want.state);
	assert_int_equal(f.limits, want.limits);
	assert_int_equal(f.scopes, want.scopes);
	return true;
}

static void
every_key_is_found_through_all_growth_and_no_other(void **state)
{
	struct key_table *t = table();
	for (uint64_t n = 0; n < 100000; n++) {
		put(t, n);
		if (n % 997 == 0)
			for (uint64_t k = 0; k <= n; k += 131)
				assert_true(has(t, k));
	}
	assert_int_equal(key_table_count(t), 100000);
	assert_true(key_table_has_room(t));
	for (uint64_t n = 0; n < 100000; n++)
		assert_true(has(t, n));
	for (uint64_t n = 100000; n < 200000; n++)
		assert_false(has(t, n));
	drop(t);
}

static void
a_revoked_key_is_seen_as_revoked_and_a_hint_moves_alone(void **state)
{
	struct key_table *t = table();
	uint8_t hash[API_KEY_HASH_BYTES];
	struct key_facts f = facts_of(5), got;
	hash_of(5, hash);
	put(t, 5);
	f.state = KEY_REVOKED;
	assert_true(key_table_put(t, hash, &f));
	key_table_hint(t, hash, 77);
	assert_true(key_table_find(t, hash, &got));
	assert_int_equal(got.state, KEY_REVOKED);
	assert_int_equal(got.slot, 77);
	assert_int_equal(got.key, f.key);
	assert_int_equal(key_table_count(t), 1);
	hash_of(6, hash);
	key_table_hint(t, hash, 1);
	assert_false(key_table_find(t, hash, &got));
	drop(t);
}

static void
a_hash_never_changes_its_key(void **state)
{
	struct key_table *t = table();
	uint8_t hash[API_KEY_HASH_BYTES];
	struct key_facts f = facts_of(9);
	hash_of(9, hash);
	put(t, 9);
	f.account++;
	assert_false(key_table_put(t, hash, &f));
	assert_true(has(t, 9));
	drop(t);
}

static void
put_until_killed(struct key_table *t, _Atomic uint64_t *done)
{
	for (uint64_t n = atomic_load(done);; n++) {
		put(t, n);
		atomic_store(done, n + 1);
	}
}

static void
kill_after_us(pid_t child, long us)
{
	struct timespec ts = {.tv_nsec = us * 1000};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void
a_writer_killed_anywhere_leaves_a_table_that_its_successor_goes_on_with(void **state)
{
	struct key_table *t = table();
	_Atomic uint64_t *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int round = 0; round < 200; round++) {
		pid_t child = fork();
		if (child == 0)
			put_until_killed(t, done);
		kill_after_us(child, 20 + round * 7);
		uint64_t n = atomic_load(done);
		for (uint64_t k = 0; k < n; k += 1 + n / 200)
			assert_true(has(t, k));
		assert_false(has(t, n + 1));
	}
	assert_true(atomic_load(done) > 2000);
	munmap((void *)done, 4096);
	drop(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_found_through_all_growth_and_no_other),
		cmocka_unit_test(a_revoked_key_is_seen_as_revoked_and_a_hint_moves_alone),
		cmocka_unit_test(a_hash_never_changes_its_key),
		cmocka_unit_test(a_writer_killed_anywhere_leaves_a_table_that_its_successor_goes_on_with),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
