/* Receipts that a gateway once gave hold for good, with its key only, and in no altered form. The argument is the folder they lie in. */
#include "proc/receipt_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char KEY[] = "4b06bc65e05364adaa591e28f70fa5b5f3dd7d293a828e0a720166b7f4023ae8";
static const char *folder;

static bool
holds(const json_t *o)
{
	struct receipt_says says;
	uint8_t key[RECEIPT_PUBLIC_BYTES];
	char why[RECEIPT_WHY_MAX] = "";
	size_t len;
	assert_int_equal(sodium_hex2bin(key, sizeof key, KEY, strlen(KEY), NULL, &len, NULL), 0);
	bool held = receipt_file_check(o, key, &says, why);
	assert_true(held || strlen(why) > 10);
	key[3] ^= 1;
	assert_false(receipt_file_check(o, key, &says, why));
	return held;
}

static json_t *
load(const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	json_t *o = json_load_file(path, 0, NULL);
	assert_non_null(o);
	return o;
}

static void
real_ones_hold(void **state)
{
	static const char *const names[] = {"first.json", "third.json", "growth.json"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *o = load(names[i]);
		assert_true(holds(o));
		json_decref(o);
	}
}

/* Each value of the row and of the price, one after another. */
static void
each_altered_value_is_refused(void **state)
{
	static const char *const lists[] = {"row", "price"};
	json_t *o = load("third.json");
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		json_t *list = json_object_get(o, lists[l]), *row;
		size_t i;
		json_array_foreach(list, i, row)
		{
			json_t *was = json_incref(json_array_get(row, 2));
			char text[80];
			snprintf(text, sizeof text, "%s", json_string_value(was));
			size_t last = strlen(text) - 1;
			text[last] = text[last] == '1' ? '2' : '1';
			json_array_set_new(row, 2, json_string(text));
			assert_false(holds(o));
			json_array_set_new(row, 2, was);
		}
	}
	assert_true(holds(o));
	json_decref(o);
}

/* In front of the row, and beside the head, for people: another one, none, and what is no text. */
static void
each_altered_word_is_refused(void **state)
{
	static const char *const words[] = {"request", "account", "started", "cost", "end_reason"}, *const beside[] = {"time", "text"};
	json_t *o = load("third.json"), *head = json_object_get(o, "head");
	for (size_t i = 0; i < ARRAY_LEN(words) + ARRAY_LEN(beside); i++) {
		bool front = i < ARRAY_LEN(words);
		const char *word = front ? words[i] : beside[i - ARRAY_LEN(words)];
		json_t *where = front ? o : head, *was = json_incref(json_object_get(where, word)), *others[] = {json_string("req_2AzwEh6SBc9"), json_string(""), json_null(), json_integer(1)};
		assert_true(json_is_string(was));
		for (size_t k = 0; k < ARRAY_LEN(others); k++) {
			json_object_set_new(where, word, others[k]);
			assert_false(holds(o));
		}
		json_object_del(where, word);
		assert_false(holds(o));
		json_object_set_new(where, word, was);
	}
	assert_true(holds(o));
	json_decref(o);
}

static void
too_many_fields_are_refused(void **state)
{
	json_t *o = load("first.json"), *row = json_object_get(o, "row");
	for (int i = 0; i < 300; i++) {
		char name[16];
		snprintf(name, sizeof name, "f%d", i);
		json_array_append_new(row, json_pack("[s, i, s]", name, 1, "0"));
	}
	assert_false(holds(o));
	json_decref(o);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_ones_hold),
		cmocka_unit_test(each_altered_value_is_refused),
		cmocka_unit_test(each_altered_word_is_refused),
		cmocka_unit_test(too_many_fields_are_refused),
	};
	folder = argc > 1 ? argv[1] : "test/corpus/receipt";
	return merkle_ready() && sodium_init() >= 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
