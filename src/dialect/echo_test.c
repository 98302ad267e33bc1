/* Events like the one before them: known by their bytes, and only then. */
#include "dialect/echo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The events are written with their holes between < and >, which are no part of them. */
static struct span
event_of(const char *written, char *room, struct echo_hole *holes, size_t *ret_count)
{
	size_t len = 0, count = 0;
	for (; *written; written++) {
		if (*written == '<')
			holes[count].from = (uint16_t)len;
		else if (*written == '>')
			holes[count++].to = (uint16_t)len;
		else
			room[len++] = *written;
	}
	*ret_count = count;
	return (struct span){room, len};
}

static const struct {
	const char *learned, *next;
	const char *after; /* what of `next` is left behind the event; NULL: it does not match */
	const char *insides[ECHO_HOLES_MAX];
} rows[] = {
	{"data: {\"c\":\"<a>\"}\n\n", "data: {\"c\":\"a\"}\n\n", "", {"a"}},
	{"data: {\"c\":\"<a>\"}\n\n", "data: {\"c\":\"longer than it was\"}\n\ndata: {", "data: {", {"longer than it was"}},
	{"data: {\"c\":\"<a>\"}\n\n", "data: {\"c\":\"\"}\n\n", "", {""}},
	{"data: {\"c\":\"<>\"}\n\n", "data: {\"c\":\"b\"}\n\n", "", {"b"}},
	{"{\"c\":\"<a>\",\"d\":\"<b>\",\"e\":1}\n\n", "{\"c\":\"\",\"d\":\"xyz\",\"e\":1}\n\n", "", {"", "xyz"}},
	{"[\"<a>\"\"<b>\"\"<c>\"\"<d>\"]\n\n", "[\"1\"\"2\"\"3\"\"4\"]\n\n", "", {"1", "2", "3", "4"}},
	{"{\"c\":1}\n\n", "{\"c\":1}\n\n", "", {NULL}},
	/* escapes belong to the string */
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"\\\"\\n\\u00e9\\\\\"}\n\n", "", {"\\\"\\n\\u00e9\\\\"}},
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"\\\"}\n\n\"}\n\n", NULL, {NULL}},
	/* what is not the same, or no string, or not whole */
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"a\" }\n\n", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "{\"d\":\"a\"}\n\n", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"a\"}\n", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"a", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"a\nb\"}\n\n", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"\\x\"}\n\n     ", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"\\u12g4\"}\n\n", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":\"\\u12", NULL, {NULL}},
	{"{\"c\":\"<a>\"}\n\n", "{\"c\":null}\n\n", NULL, {NULL}},
};

static void
an_event_matches_when_only_its_holes_differ(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct echo e;
		struct echo_hole holes[ECHO_HOLES_MAX];
		struct span insides[ECHO_HOLES_MAX];
		char room[256];
		size_t count;
		struct span learned = event_of(rows[i].learned, room, holes, &count);
		assert_true(echo_learn(&e, learned, holes, count));
		/* In a place of exactly its length: nothing behind it is read. */
		size_t len = strlen(rows[i].next);
		char *next = malloc(len ? len : 1);
		memcpy(next, rows[i].next, len);
		assert_int_equal(echo_match(&e, (struct span){next, len}, insides), rows[i].after ? len - strlen(rows[i].after) : 0);
		for (size_t k = 0; rows[i].after && k < count; k++) {
			assert_int_equal(insides[k].len, strlen(rows[i].insides[k]));
			assert_memory_equal(insides[k].at, rows[i].insides[k], insides[k].len);
		}
		free(next);
	}
}

/* Long words don't count, long frames do. */
static void
what_is_too_long_is_not_remembered(void **state)
{
	static char event[ECHO_EVENT_MAX + 1];
	struct echo e = {.len = 7};
	memset(event, 'x', sizeof event);
	struct echo_hole most = {ECHO_TEXT_MAX, ECHO_EVENT_MAX}, more = {ECHO_TEXT_MAX + 1, ECHO_EVENT_MAX}, five[5] = {{0, 0}};
	assert_false(echo_learn(&e, (struct span){event, ECHO_EVENT_MAX}, &more, 1));
	assert_false(echo_learn(&e, (struct span){event, sizeof event}, &most, 1));
	assert_false(echo_learn(&e, (struct span){event, 10}, five, 5));
	assert_int_equal(e.len, 7);
	assert_true(echo_learn(&e, (struct span){event, ECHO_EVENT_MAX}, &most, 1));
	assert_int_equal(e.len, ECHO_TEXT_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_matches_when_only_its_holes_differ),
		cmocka_unit_test(what_is_too_long_is_not_remembered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
