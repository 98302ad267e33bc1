#include "edge/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

static const uint8_t pepper[API_KEY_PEPPER_BYTES] = "0123456789abcdef0123456789abcde";

static struct sealed
object(enum object_kind kind, const char *id)
{
	struct sealed s = {.kind = (uint8_t)kind, .provider = 0xdeadbeef, .ticket = 0x0123456789abcdefULL, .id_len = (uint8_t)strlen(id)};
	memcpy(s.id, id, s.id_len);
	return s;
}

static void
what_is_sealed_opens_for_its_account(void **state)
{
	static const struct {
		enum object_kind kind;
		const char *id, *prefix;
	} rows[] = {
		{OBJECT_FILE, "file-abc123XYZ", "file-"},
		{OBJECT_FILE, "x", "file-"},
		{OBJECT_BATCH, "batch_67a8.b-c", "batch_"},
		{OBJECT_MESSAGES_BATCH, "msgbatch_013Zva2CMHLNnXjNJJKqJ2EF", "msgbatch_"},
		{OBJECT_GEMINI_FILE, "a", "f"},
		{OBJECT_GEMINI_FILE, "mehozpxf877d", "f"},
		{OBJECT_GEMINI_FILE, "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012", "f"},
		{OBJECT_RESPONSE, "resp_0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567", "resp_"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sealed s = object(rows[i].kind, rows[i].id), back = {0};
		char text[SEAL_TEXT_MAX], again[SEAL_TEXT_MAX];
		size_t len = seal(pepper, 7, &s, text);
		assert_true(len > 0 && len <= SEAL_TEXT_MAX);
		assert_memory_equal(text, rows[i].prefix, strlen(rows[i].prefix));
		assert_true(strlen(rows[i].id) < 4 || !memmem(text, len, rows[i].id, strlen(rows[i].id)));
		assert_true(unseal(pepper, 7, rows[i].kind, (struct span){text, len}, &back));
		assert_memory_equal(&s, &back, sizeof s);
		assert_int_equal(seal(pepper, 7, &s, again), len);
		assert_memory_equal(text, again, len); /* the same object, the same id */
		s.own = true;
		assert_int_equal(seal(pepper, 7, &s, again), len);
		assert_memory_not_equal(text, again, len);
		assert_true(unseal(pepper, 7, rows[i].kind, (struct span){again, len}, &back));
		assert_memory_equal(&s, &back, sizeof s);
	}
}

/* What a file of requests can cost is sealed with it, bound like the rest: another sum is another id. */
static void
what_its_lines_can_cost_is_sealed(void **state)
{
	struct sealed s = object(OBJECT_BATCH, "batch_67a8"), back = {0};
	char text[SEAL_TEXT_MAX], other[SEAL_TEXT_MAX];
	s.price = UINT64_MAX - 1;
	s.lines = (struct sealed_lines){.model = 0xfedcba98, .count = 50000, .endpoint = 7, .input = UINT64_MAX - 2, .output = 1ULL << 40};
	s.id_len = SEAL_ID_MAX;
	memset(s.id, 97, SEAL_ID_MAX);
	size_t len = seal(pepper, 7, &s, text);
	assert_true(len > 0 && len <= SEAL_TEXT_MAX);
	assert_true(unseal(pepper, 7, OBJECT_BATCH, (struct span){text, len}, &back));
	assert_int_equal(back.price, s.price);
	assert_int_equal(back.lines.model, s.lines.model);
	assert_int_equal(back.lines.count, s.lines.count);
	assert_int_equal(back.lines.endpoint, s.lines.endpoint);
	assert_int_equal(back.lines.input, s.lines.input);
	assert_int_equal(back.lines.output, s.lines.output);
	assert_int_equal(back.id_len, SEAL_ID_MAX);
	assert_memory_equal(back.id, s.id, SEAL_ID_MAX);
	assert_false(unseal(pepper, 8, OBJECT_BATCH, (struct span){text, len}, &back));
	assert_false(back.own);
	s.own = true;
	assert_int_equal(seal(pepper, 7, &s, other), len);
	assert_memory_not_equal(text, other, len);
	assert_true(unseal(pepper, 7, OBJECT_BATCH, (struct span){other, len}, &back));
	assert_true(back.own);
	assert_int_equal(back.lines.input, s.lines.input);
	s.own = false;
	s.lines.output--;
	assert_int_equal(seal(pepper, 7, &s, other), len);
	assert_memory_not_equal(text, other, len);
}

/* Small letters and digits, each bit of which counts. */
static void
geminis_are_read_as_strictly(void **state)
{
	for (size_t n = 1; n <= 5; n++) { /* each remainder of base32 */
		struct sealed s = object(OBJECT_GEMINI_FILE, &"abcdefgh"[8 - n]), back;
		char text[SEAL_TEXT_MAX + 1], changed[SEAL_TEXT_MAX + 1];
		size_t len = seal(pepper, 7, &s, text);
		for (size_t i = 0; i < len; i++)
			assert_non_null(memchr("abcdefghijklmnopqrstuvwxyz234567", text[i], 32));
		for (size_t i = 0; i < len; i++)
			for (int c = 0; c < 256; c++) {
				memcpy(changed, text, len);
				changed[i] = (char)c;
				assert_int_equal(unseal(pepper, 7, OBJECT_GEMINI_FILE, (struct span){changed, len}, &back), changed[i] == text[i]);
			}
		for (size_t cut = 0; cut < len; cut++)
			assert_false(unseal(pepper, 7, OBJECT_GEMINI_FILE, (struct span){text, cut}, &back));
		for (int c = 0; c < 256; c++) {
			text[len] = (char)c;
			assert_false(unseal(pepper, 7, OBJECT_GEMINI_FILE, (struct span){text, len + 1}, &back));
		}
	}
	struct sealed s = object(OBJECT_GEMINI_FILE, "a");
	char text[SEAL_TEXT_MAX];
	s.lines.model = 1;
	assert_int_equal(seal(pepper, 7, &s, text), 0);
}

static void
a_place_opens_for_its_account(void **state)
{
	static const char *const bad[] = {"", "/", "a/b", "/a b", "/a#b", "/a\r\nb", "/\xc3\xa4", "/\x7f"};
	struct sealed_target t = {.provider = 0xdeadbeef}, back = {.len = 99};
	char text[SEAL_TARGET_TEXT_MAX], changed[SEAL_TARGET_TEXT_MAX + 1];
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		t.len = (uint16_t)strlen(bad[i]);
		memcpy(t.at, bad[i], t.len);
		assert_int_equal(seal_target(pepper, 7, &t, text), 0);
	}
	static const uint16_t lengths[] = {2, 3, 4, 100, SEAL_TARGET_MAX};
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		t.len = lengths[i];
		t.own = i & 1;
		memset(t.at, '~', t.len);
		t.at[0] = '/';
		size_t len = seal_target(pepper, 7, &t, text);
		assert_true(len > 0 && len < SEAL_TARGET_TEXT_MAX);
		assert_true(unseal_target(pepper, 7, (struct span){text, len}, &back));
		assert_int_equal(back.provider, t.provider);
		assert_int_equal(back.len, t.len);
		assert_memory_equal(back.at, t.at, t.len);
		assert_false(unseal_target(pepper, 8, (struct span){text, len}, &back));
		assert_int_equal(back.own, i & 1);
		for (size_t bit = 0; bit < 8 * len; bit += lengths[i] < 100 ? 1 : 13) {
			memcpy(changed, text, len);
			changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
			assert_false(unseal_target(pepper, 7, (struct span){changed, len}, &back));
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_false(unseal_target(pepper, 7, (struct span){text, cut}, &back));
		/* Nor is it an id, or an id a place. */
		struct sealed s = object(OBJECT_FILE, "file-abc");
		snprintf(changed, sizeof changed, "file-%.*s", (int)(len < 200 ? len : 200), text);
		assert_false(unseal(pepper, 7, OBJECT_FILE, (struct span){changed, strlen(changed)}, &s));
		len = seal(pepper, 7, &s, changed);
		assert_false(unseal_target(pepper, 7, (struct span){changed + 5, len - 5}, &back));
	}
	t.len = SEAL_TARGET_MAX + 1;
	assert_int_equal(seal_target(pepper, 7, &t, text), 0);
}

static void
what_a_response_is_charged_by_is_sealed(void **state)
{
	struct sealed s = object(OBJECT_RESPONSE, "resp_67a8"), back = {0};
	char text[SEAL_TEXT_MAX], other[SEAL_TEXT_MAX];
	s.price = UINT64_MAX - 1;
	s.target = 0xfedcba98;
	s.input = UINT32_MAX;
	s.id_len = SEAL_ID_MAX;
	memset(s.id, 97, SEAL_ID_MAX);
	size_t len = seal(pepper, 7, &s, text);
	assert_true(len > 0 && len <= SEAL_TEXT_MAX);
	assert_true(unseal(pepper, 7, OBJECT_RESPONSE, (struct span){text, len}, &back));
	assert_int_equal(back.price, s.price);
	assert_int_equal(back.target, s.target);
	assert_int_equal(back.input, s.input);
	assert_int_equal(back.ticket, s.ticket);
	assert_int_equal(back.id_len, SEAL_ID_MAX);
	assert_memory_equal(back.id, s.id, SEAL_ID_MAX);
	assert_false(unseal(pepper, 8, OBJECT_RESPONSE, (struct span){text, len}, &back));
	assert_false(unseal(pepper, 7, OBJECT_CONVERSATION, (struct span){text, len}, &back));
	assert_false(back.own);
	s.own = true;
	len = seal(pepper, 7, &s, text);
	assert_true(unseal(pepper, 7, OBJECT_RESPONSE, (struct span){text, len}, &back) && back.own && back.target == s.target);
	s.input--;
	assert_int_equal(seal(pepper, 7, &s, other), len);
	assert_memory_not_equal(text, other, len);
}

static void
ids_that_no_provider_gives_are_not_sealed(void **state)
{
	static const char *const bad[] = {"", "a/b", "a b", "a?b", "../x", "..", ".", "a\r\nb", "a%41", "\xc3\xa4"};
	char text[SEAL_TEXT_MAX];
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct sealed s = object(OBJECT_FILE, bad[i]);
		assert_int_equal(seal(pepper, 7, &s, text), 0);
	}
	struct sealed s = object(OBJECT_FILE, "a");
	s.id_len = SEAL_ID_MAX + 1;
	assert_int_equal(seal(pepper, 7, &s, text), 0);
}

static void
nobody_elses_and_nothing_else_opens(void **state)
{
	struct sealed s = object(OBJECT_FILE, "file-abc123"), back = {.id_len = 99};
	char text[SEAL_TEXT_MAX], batch[SEAL_TEXT_MAX + 8] = "batch_";
	uint8_t other[API_KEY_PEPPER_BYTES];
	size_t len = seal(pepper, 7, &s, text);
	memcpy(other, pepper, sizeof other);
	other[31] ^= 1;
	assert_false(unseal(pepper, 8, OBJECT_FILE, (struct span){text, len}, &back));
	assert_false(unseal(pepper, 0, OBJECT_FILE, (struct span){text, len}, &back));
	assert_false(unseal(other, 7, OBJECT_FILE, (struct span){text, len}, &back));
	assert_false(unseal(pepper, 7, OBJECT_BATCH, (struct span){text, len}, &back));
	memcpy(batch + 6, text + 5, len - 5); /* another kind's prefix before the same bytes */
	assert_false(unseal(pepper, 7, OBJECT_BATCH, (struct span){batch, len + 1}, &back));
	assert_false(unseal(pepper, 7, OBJECT_FILE, (struct span){"file-abc123", 11}, &back));
	assert_false(unseal(pepper, 7, OBJECT_FILE, (struct span){"file-", 5}, &back));
	assert_false(unseal(pepper, 7, OBJECT_FILE, (struct span){"", 0}, &back));
	assert_int_equal(back.id_len, 99); /* untouched */
	assert_true(unseal(pepper, 7, OBJECT_FILE, (struct span){text, len}, &back));
}

static void
every_flipped_bit_and_every_other_length_opens_nothing(void **state)
{
	for (size_t n = 1; n <= 3; n++) { /* each remainder of base64 */
		struct sealed s = object(OBJECT_FILE, &"file-abc"[3 - n]), back;
		char text[SEAL_TEXT_MAX + 4], changed[SEAL_TEXT_MAX + 4];
		size_t len = seal(pepper, 7, &s, text);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			memcpy(changed, text, len);
			changed[bit / 8] = (char)(changed[bit / 8] ^ 1 << bit % 8);
			assert_false(unseal(pepper, 7, OBJECT_FILE, (struct span){changed, len}, &back));
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_false(unseal(pepper, 7, OBJECT_FILE, (struct span){text, cut}, &back));
		for (int c = 0; c < 256; c++) {
			text[len] = (char)c;
			assert_false(unseal(pepper, 7, OBJECT_FILE, (struct span){text, len + 1}, &back));
		}
		memset(text + len, '=', 3);
		assert_false(unseal(pepper, 7, OBJECT_FILE, (struct span){text, len + 3}, &back));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_opens_for_its_account),
		cmocka_unit_test(what_its_lines_can_cost_is_sealed),
		cmocka_unit_test(geminis_are_read_as_strictly),
		cmocka_unit_test(a_place_opens_for_its_account),
		cmocka_unit_test(what_a_response_is_charged_by_is_sealed),
		cmocka_unit_test(ids_that_no_provider_gives_are_not_sealed),
		cmocka_unit_test(nobody_elses_and_nothing_else_opens),
		cmocka_unit_test(every_flipped_bit_and_every_other_length_opens_nothing),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
