#include "edge/known_keys.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint8_t pepper[API_KEY_PEPPER_BYTES] = {7};

static struct span
numbered(char room[API_KEY_BYTES + 1], unsigned n)
{
	memset(room, 'x', API_KEY_BYTES);
	room[snprintf(room, API_KEY_BYTES, "lethe_live_%u", n)] = '_';
	return (struct span){room, API_KEY_BYTES};
}

static void
a_key_that_was_kept_has_its_hash(void **state)
{
	struct known_keys *k = known_keys_open();
	char room[API_KEY_BYTES + 1];
	struct known_key known, again;
	uint8_t hash[API_KEY_HASH_BYTES];
	struct span key = numbered(room, 1);
	(void)state;
	assert_non_null(k);
	assert_false(known_key_find(k, key, &known));
	assert_false(known_key_find(k, key, &known)); /* looking keeps nothing */
	api_key_hash(pepper, key, known.hash);
	known_key_keep(k, &known);
	assert_true(known_key_find(k, key, &again));
	api_key_hash(pepper, key, hash);
	assert_memory_equal(again.hash, hash, sizeof hash);
	known_keys_close(&k);
	assert_null(k);
}

static void
no_key_gets_anothers_hash_however_many_there_are(void **state)
{
	enum { MANY = 20000 };
	struct known_keys *k = known_keys_open();
	char room[API_KEY_BYTES + 1];
	unsigned found = 0;
	(void)state;
	assert_non_null(k);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < MANY; i++) {
			struct span key = numbered(room, i);
			struct known_key known;
			uint8_t hash[API_KEY_HASH_BYTES];
			api_key_hash(pepper, key, hash);
			if (known_key_find(k, key, &known)) {
				assert_memory_equal(known.hash, hash, sizeof hash);
				found++;
			} else
				memcpy(known.hash, hash, sizeof hash);
			known_key_keep(k, &known);
			struct known_key last;
			assert_true(known_key_find(k, key, &last)); /* the newest has the place */
		}
	assert_true(found < MANY / 10); /* there is no room for so many */
	known_keys_close(&k);
}

static void
every_byte_of_a_key_counts(void **state)
{
	struct known_keys *k = known_keys_open();
	char room[API_KEY_BYTES + 1];
	struct known_key known, other;
	struct span key = numbered(room, 5);
	(void)state;
	assert_non_null(k);
	assert_false(known_key_find(k, key, &known));
	api_key_hash(pepper, key, known.hash);
	known_key_keep(k, &known);
	for (size_t i = 0; i < API_KEY_BYTES; i++) {
		room[i] ^= 1;
		assert_false(known_key_find(k, key, &other));
		room[i] ^= 1;
	}
	assert_false(known_key_find(k, (struct span){key.at, key.len - 1}, &other));
	known_keys_close(&k);
}

static void
each_process_has_a_secret_of_its_own(void **state)
{
	struct known_keys *a = known_keys_open(), *b = known_keys_open();
	char room[API_KEY_BYTES + 1];
	struct known_key of_a, of_b;
	(void)state;
	assert_true(a && b);
	assert_false(known_key_find(a, numbered(room, 1), &of_a));
	assert_false(known_key_find(b, numbered(room, 1), &of_b));
	assert_memory_not_equal(of_a.tag, of_b.tag, sizeof of_a.tag);
	known_keys_close(&a);
	known_keys_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_that_was_kept_has_its_hash),
		cmocka_unit_test(no_key_gets_anothers_hash_however_many_there_are),
		cmocka_unit_test(every_byte_of_a_key_counts),
		cmocka_unit_test(each_process_has_a_secret_of_its_own),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
