/* Exports of providers in each of their forms, whole and broken. */
#include "proc/usage_export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 2026-01-31 and the day after */
#define DAY 20484
#define START "1769817600"
#define NEXT "1769904000"

static const struct {
	const char *name, *text;
	struct export_row rows[3];
	bool counts, costs, cache_writes;
} whole[] = {
	{"openai usage",
		"{\"object\":\"page\",\"data\":[{\"object\":\"bucket\",\"start_time\":" START ",\"results\":[{\"object\":\"organization.usage.completions.result\",\"input_tokens\":1000,"
		"\"output_tokens\":500,\"input_cached_tokens\":800,\"num_model_requests\":5,\"model\":\"gpt-4o\"},{\"input_tokens\":1,\"output_tokens\":2,\"num_model_requests\":1,\"model\":\"a\"}]},"
		"{\"start_time\":" NEXT ",\"results\":[]}],\"has_more\":false,\"next_page\":null}",
		{{DAY, "a", 1, {1, 0, 0, 0, 2}, 0}, {DAY, "gpt-4o", 5, {200, 800, 0, 0, 500}, 0}}, true, false, false},
	{"pages, and a model in two results",
		"[{\"data\":[{\"start_time\":" NEXT ",\"results\":[{\"input_tokens\":7,\"model\":\"m\"}]}],\"has_more\":true},{\"data\":[{\"start_time\":" NEXT
		",\"results\":[{\"input_tokens\":3,\"output_tokens\":4,\"model\":\"m\"}]}],\"has_more\":false}]",
		{{DAY + 1, "m", 0, {10, 0, 0, 0, 4}, 0}}, true, false, false},
	{"openai costs",
		"{\"data\":[{\"start_time\":" START ",\"results\":[{\"object\":\"organization.costs.result\",\"amount\":{\"value\":0.06,\"currency\":\"usd\"},\"line_item\":\"gpt-4o, input\"},"
		"{\"amount\":{\"value\":1.5,\"currency\":\"usd\"},\"line_item\":\"gpt-4o, output\"}]}]}",
		{{DAY, "gpt-4o", 0, {0}, 1560000000}}, false, true, false},
	{"anthropic",
		"{\"data\":[{\"starting_at\":\"2026-01-31T00:00:00Z\",\"ending_at\":\"2026-02-01T00:00:00Z\",\"results\":[{\"uncached_input_tokens\":1500,\"cache_creation\":"
		"{\"ephemeral_1h_input_tokens\":1000,\"ephemeral_5m_input_tokens\":500},\"cache_read_input_tokens\":200,\"output_tokens\":50,\"model\":\"claude-x\"}]}],\"has_more\":false}",
		{{DAY, "claude-x", 0, {1500, 200, 500, 1000, 50}, 0}}, true, false, true},
	{"usage as csv",
		"\xef\xbb\xbfstart_time,end_time,model,num_model_requests,input_tokens,output_tokens,input_cached_tokens\r\n" START ",1,\"gpt-4o\",5,1000,500,800\r\n" NEXT ",1,,,,,\r\n" NEXT ",1,b,1,2.0,3,\r\n",
		{{DAY, "gpt-4o", 5, {200, 800, 0, 0, 500}, 0}, {DAY + 1, "b", 1, {2, 0, 0, 0, 3}, 0}}, true, false, false},
	{"costs as csv", "start_time,end_time,amount_value,amount_currency,line_item\n" START ",1,0.5617712500000000,usd,\"gpt-4o, input\"\n" NEXT ",1,,,\n", {{DAY, "gpt-4o", 0, {0}, 561771250}},
		false, true, false},
};

static void
what_is_whole_is_read(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		char why[EXPORT_WHY_MAX] = "";
		struct usage_export e;
		if (!usage_export_read((struct span){whole[i].text, strlen(whole[i].text)}, &e, why))
			fail_msg("%s: %s", whole[i].name, why);
		size_t due = 0;
		while (due < ARRAY_LEN(whole[i].rows) && whole[i].rows[due].day != 0)
			due++;
		assert_int_equal(e.count, due);
		for (size_t k = 0; k < due; k++)
			if (memcmp(&e.rows[k], &whole[i].rows[k], sizeof e.rows[k]) != 0)
				fail_msg("%s: row %zu is day %lld, %s, %lld + %lld of %lld requests, %lld nano", whole[i].name, k, (long long)e.rows[k].day, e.rows[k].model,
					(long long)e.rows[k].tokens[EXPORT_input], (long long)e.rows[k].tokens[EXPORT_output], (long long)e.rows[k].requests, (long long)e.rows[k].cost_nano);
		assert_true(e.counts == whole[i].counts && e.costs == whole[i].costs && e.cache_writes == whole[i].cache_writes);
		usage_export_free(&e);
	}
}

#define ROW(members) "{\"data\":[{\"start_time\":" START ",\"results\":[{" members "}]}]}"
static const char *const broken[][2] = {
	{"", "neither JSON nor a CSV"},
	{"{", "no JSON"},
	{"{}", "no \"data\""},
	{"[]", "nothing in it"},
	{"{\"data\":[]}", "nothing in it"},
	{ROW("\"model\":\"m\""), "no usage or costs"},
	{ROW("\"input_tokens\":1,\"model\":null"), "names no model"},
	{ROW("\"input_tokens\":-1,\"model\":\"m\""), "counts -1"},
	{ROW("\"input_tokens\":1,\"input_cached_tokens\":2,\"model\":\"m\""), "counts -1"},
	{ROW("\"input_tokens\":9223372036854775807,\"model\":\"m\""), "is the right file"},
	{ROW("\"input_tokens\":\"1\",\"model\":\"m\""), "counts -1"},
	{ROW("\"input_tokens\":1,\"num_model_requests\":-3,\"model\":\"m\""), "nobody can have asked"},
	{ROW("\"amount\":{\"value\":1,\"currency\":\"eur\"},\"line_item\":\"m\""), "not in dollars"},
	{ROW("\"amount\":{\"value\":1e300,\"currency\":\"usd\"},\"line_item\":\"m\""), "not in dollars"},
	{ROW("\"amount\":{\"value\":1,\"currency\":\"usd\"},\"line_item\":null"), "names no model"},
	{"{\"data\":[{\"start_time\":" START ",\"results\":[{\"input_tokens\":1,\"model\":\"m\"}]}],\"has_more\":true}", "one page of several"},
	{"{\"data\":[{\"starting_at\":\"soon\",\"results\":[{\"uncached_input_tokens\":1,\"model\":\"m\"}]}]}", "of no day"},
	{"start_time,model\n1,m\n", "neither JSON nor a CSV"},
	{"start_time,model,input_tokens,output_tokens\n" START ",m,x,1\n", "counts -1"},
	{"start_time,model,input_tokens,output_tokens\n" START ",,5,1\n", "names no model"},
	{"start_time,amount_value,line_item\n" START ",1e300,m\n", "no amount"},
};

static void
what_is_broken_is_refused_with_a_reason(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		char why[EXPORT_WHY_MAX] = "";
		struct usage_export e;
		if (usage_export_read((struct span){broken[i][0], strlen(broken[i][0])}, &e, why) || strstr(why, broken[i][1]) == NULL)
			fail_msg("%s: \"%s\", not \"%s\"", broken[i][0], why, broken[i][1]);
	}
}

/* Cut anywhere it is refused or a smaller one, never read beyond. */
static void
what_is_cut_does_no_harm(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		for (size_t len = 0; len < strlen(whole[i].text); len++) {
			char why[EXPORT_WHY_MAX] = "", *copy = malloc(len + 1);
			struct usage_export e;
			memcpy(copy, whole[i].text, len);
			if (usage_export_read((struct span){copy, len}, &e, why))
				usage_export_free(&e);
			else
				assert_int_not_equal(why[0], '\0');
			free(copy);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_whole_is_read),
		cmocka_unit_test(what_is_broken_is_refused_with_a_reason),
		cmocka_unit_test(what_is_cut_does_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
