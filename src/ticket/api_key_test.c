#include "ticket/api_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct span
span_of(const char *s)
{
	return (struct span){s, strlen(s)};
}

static void
a_new_key_is_well_formed_and_unlike_the_last(void **state)
{
	char key[API_KEY_BYTES + 1], last[API_KEY_BYTES + 1] = "";
	for (int i = 0; i < 1000; i++) {
		api_key_make(key);
		assert_int_equal(strlen(key), API_KEY_BYTES);
		assert_true(api_key_well_formed(span_of(key)));
		assert_string_not_equal(key, last);
		memcpy(last, key, sizeof(key));
	}
}

/* Independent of our code: zlib.crc32(b"lethe_live_" + b"0" * 32) == 0xEB95E033. */
static void
the_checksum_is_the_one_that_scanners_compute(void **state)
{
	assert_true(api_key_well_formed(SPAN("lethe_live_00000000000000000000000000000000_4JU9UB")));
}

static void
any_changed_character_is_noticed(void **state)
{
	char key[API_KEY_BYTES + 1];
	api_key_make(key);
	for (unsigned i = 0; i < API_KEY_BYTES; i++) {
		char was = key[i];
		key[i] = was == 'x' ? 'y' : 'x';
		assert_false(api_key_well_formed(span_of(key)));
		key[i] = was;
	}
	assert_false(api_key_well_formed((struct span){key, API_KEY_BYTES - 1}));
	assert_true(api_key_well_formed(span_of(key)));
}

static void
the_hash_depends_on_key_and_pepper(void **state)
{
	uint8_t pepper[API_KEY_PEPPER_BYTES] = {1}, other[API_KEY_PEPPER_BYTES] = {2};
	uint8_t a[API_KEY_HASH_BYTES], b[API_KEY_HASH_BYTES];
	api_key_hash(pepper, SPAN("one"), a);
	api_key_hash(pepper, SPAN("one"), b);
	assert_memory_equal(a, b, sizeof(a));
	api_key_hash(pepper, SPAN("two"), b);
	assert_memory_not_equal(a, b, sizeof(a));
	api_key_hash(other, SPAN("one"), b);
	assert_memory_not_equal(a, b, sizeof(a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_key_is_well_formed_and_unlike_the_last),
		cmocka_unit_test(the_checksum_is_the_one_that_scanners_compute),
		cmocka_unit_test(any_changed_character_is_noticed),
		cmocka_unit_test(the_hash_depends_on_key_and_pepper),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
