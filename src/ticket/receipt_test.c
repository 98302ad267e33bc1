#include "ticket/receipt.h"

#include <sodium.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct receipt_ids IDS = {0x0123456789abcdef, 1000001, 77};

static void
make_seed(uint8_t seed[RECEIPT_SEED_BYTES])
{
	for (unsigned i = 0; i < RECEIPT_SEED_BYTES; i++)
		seed[i] = (uint8_t)(i * 7 + 1);
}

static void
code_of(const uint8_t *seed, const struct receipt_ids *ids, uint8_t ret[RECEIPT_CODE_BYTES])
{
	uint8_t key[RECEIPT_CODE_KEY_BYTES];
	receipt_code_key(seed, key);
	receipt_code(key, ids, ret);
}

static void
a_code_is_ours_for_its_ids_alone(void **state)
{
	uint8_t seed[RECEIPT_SEED_BYTES], code[RECEIPT_CODE_BYTES];
	struct receipt_ids others[] = {IDS, IDS, IDS};
	(void)state;
	make_seed(seed);
	code_of(seed, &IDS, code);
	assert_true(receipt_code_is_ours(seed, &IDS, code));
	others[0].request ^= 1;
	others[1].account ^= 1ULL << 63;
	others[2].key ^= 1ULL << 32;
	for (unsigned i = 0; i < ARRAY_LEN(others); i++)
		assert_false(receipt_code_is_ours(seed, &others[i], code));
	for (unsigned bit = 0; bit < 8 * RECEIPT_CODE_BYTES; bit++) {
		code[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(receipt_code_is_ours(seed, &IDS, code));
		code[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	seed[31] ^= 1;
	assert_false(receipt_code_is_ours(seed, &IDS, code));
}

/* What callers were told stands in their logs: this one was made by keyed BLAKE2b. */
static void
a_code_of_before_is_still_ours(void **state)
{
	static const uint8_t former[RECEIPT_CODE_BYTES] = {0xf5, 0xe3, 0x0a, 0xa2, 0x66, 0x23, 0x9e, 0x72, 0x52, 0xba, 0xb7, 0xae, 0xf6, 0x18, 0x6c, 0xe2};
	uint8_t seed[RECEIPT_SEED_BYTES];
	struct receipt_ids other = IDS;
	(void)state;
	make_seed(seed);
	assert_true(receipt_code_is_ours(seed, &IDS, former));
	other.key++;
	assert_false(receipt_code_is_ours(seed, &other, former));
}

/* An edge has the one key, and can't sign with it. */
static void
the_keys_have_nothing_in_common(void **state)
{
	uint8_t seed[RECEIPT_SEED_BYTES], code[RECEIPT_CODE_KEY_BYTES], signing[RECEIPT_KEY_BYTES];
	(void)state;
	make_seed(seed);
	receipt_code_key(seed, code);
	receipt_signing_seed(seed, signing);
	assert_memory_not_equal(code, signing, sizeof code);
	assert_memory_not_equal(code, seed, sizeof code);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_code_is_ours_for_its_ids_alone),
		cmocka_unit_test(a_code_of_before_is_still_ours),
		cmocka_unit_test(the_keys_have_nothing_in_common),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
