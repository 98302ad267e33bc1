#include "ticket/byok.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t seed[BYOK_SEED_BYTES] = {1, 2, 3}, another[BYOK_SEED_BYTES] = {3, 2, 1};
static const struct byok_owner owner = {.account = 7, .provider = 9};

static void
seal(const char *secret, uint8_t ret[BYOK_BOX_BYTES])
{
	uint8_t public_key[BYOK_PUBLIC_BYTES];
	byok_public(seed, public_key);
	assert_true(byok_seal(public_key, &owner, (struct span){secret, strlen(secret)}, ret));
}

static void
a_box_opens_for_its_account_and_provider_alone(void **state)
{
	static const struct byok_owner others[] = {{7, 8}, {8, 9}, {9, 7}, {0, 0}};
	uint8_t box[BYOK_BOX_BYTES];
	char out[BYOK_SECRET_MAX];
	seal("sk-their-own", box);
	assert_int_equal(byok_open(seed, &owner, box, out), 12);
	assert_memory_equal(out, "sk-their-own", 12);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(byok_open(seed, &others[i], box, out), 0);
	assert_int_equal(byok_open(another, &owner, box, out), 0);
}

static void
each_altered_byte_is_noticed(void **state)
{
	uint8_t box[BYOK_BOX_BYTES];
	char out[BYOK_SECRET_MAX];
	seal("sk-their-own", box);
	for (size_t i = 0; i < sizeof box; i++) {
		box[i] ^= 0x40;
		assert_int_equal(byok_open(seed, &owner, box, out), 0);
		box[i] ^= 0x40;
	}
	assert_int_equal(byok_open(seed, &owner, box, out), 12);
}

static void
two_boxes_of_one_key_tell_nothing(void **state)
{
	uint8_t a[BYOK_BOX_BYTES], b[BYOK_BOX_BYTES];
	seal("sk-their-own", a);
	seal("sk-their-own", b);
	assert_memory_not_equal(a, b, sizeof a);
	for (size_t i = 0; i + 12 <= sizeof a; i++)
		assert_memory_not_equal(a + i, "sk-their-own", 12);
}

static void
what_no_header_may_hold_is_no_key(void **state)
{
	static const char *const wrong[] = {"", "sk with blank", "sk\r\nx-evil: 1", "sk-\xc3\xa4"};
	uint8_t public_key[BYOK_PUBLIC_BYTES], box[BYOK_BOX_BYTES];
	char longest[BYOK_SECRET_MAX + 2];
	byok_public(seed, public_key);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(byok_seal(public_key, &owner, (struct span){wrong[i], strlen(wrong[i])}, box));
	memset(longest, 'k', sizeof longest);
	assert_true(byok_seal(public_key, &owner, (struct span){longest, BYOK_SECRET_MAX}, box));
	assert_false(byok_seal(public_key, &owner, (struct span){longest, BYOK_SECRET_MAX + 1}, box));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_box_opens_for_its_account_and_provider_alone),
		cmocka_unit_test(each_altered_byte_is_noticed),
		cmocka_unit_test(two_boxes_of_one_key_tell_nothing),
		cmocka_unit_test(what_no_header_may_hold_is_no_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
