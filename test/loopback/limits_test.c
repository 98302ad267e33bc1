/* Limits of keys and accounts through the whole pipeline: what passes, what is said to what does not, what comes back. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN_BODY "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
				   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"

enum { COST = 20000 }; /* nano */

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

static const char hi[] = "{\"model\":\"m\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static int
opened(void **state)
{
	rig_open(&r, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

static void
limit_of(const char *op, const char *member, const char *value)
{
	bool key = strcmp(op, "key.limit") == 0;
	json_t *answer = rig_control(&r, json_pack("{s:s, s:s, s:s}", "op", op, key ? "key" : "account", key ? r.key : r.account, member, value));
	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s", json_dumps(answer, 0));
	json_decref(answer);
}

static int
ask(const char *body)
{
	int c = rig_client(&r);
	rig_send(&r, c, in, rig_request(&r, body, "", in));
	return c;
}

static int
status_of(int c)
{
	bool eof;
	memset(out, 0, 16);
	rig_turn(&r);
	if (!rig_read(&r, c, out, &eof)) { /* a refusal for money waits for a booking round */
		for (int i = 0; i < 3; i++) {
			rig_book(&r);
			rig_pass(&r, 100);
		}
		rig_read(&r, c, out, &eof);
	}
	return strncmp(out, "HTTP/1.1 ", 9) == 0 ? atoi(out + 9) : 0;
}

/* The n-th connection to the provider answers. */
static void
provide(int n)
{
	bool eof;
	int p = rig_provider(&r, n);
	assert_true(p >= 0);
	rig_read(&r, p, out, &eof);
	size_t len = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n" PLAIN_BODY, strlen(PLAIN_BODY));
	rig_send(&r, p, in, len);
	close(p);
	r.provider[n] = -1;
}

/* A whole exchange; its status. */
static int
exchange(const char *body)
{
	int before = r.dials, c = ask(body);
	rig_turn(&r);
	int status = r.dials > before ? 0 : status_of(c); /* which may have been let in by what was booked meanwhile */
	if (r.dials > before) {
		provide(before);
		status = status_of(c);
	}
	close(c);
	rig_turn(&r);
	return status;
}

/* A request without a body, in the words of this dialect's SDK. */
static int
get(const char *path, const char *header)
{
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "GET %s HTTP/1.1\r\nhost: h\r\n%s: %s%s\r\n\r\n", path, header, strcmp(header, "authorization") == 0 ? "Bearer " : "", r.key);
	rig_send(&r, c, in, n);
	int status = status_of(c);
	close(c);
	return status;
}

static json_t *
body_of(void)
{
	json_error_t error;
	json_t *o = json_loads(strstr(out, "\r\n\r\n") + 4, 0, &error);
	assert_non_null(o);
	return o;
}

static bool
says(const char *text)
{
	return strstr(out, text) != NULL;
}

/* ---- requests ---- */

static void
a_key_without_limits_hears_of_none(void **state)
{
	assert_int_equal(exchange(hi), 200);
	assert_false(says("x-ratelimit"));
}

/* The rig's key from here on is the next one; the one before, in old. */
static void
rotate(char old[API_KEY_BYTES + 1])
{
	memcpy(old, r.key, API_KEY_BYTES + 1);
	json_t *answer = rig_control(&r, json_pack("{s:s, s:s}", "op", "key.rotate", "key", r.key));
	const char *secret = json_string_value(json_object_get(answer, "secret"));
	assert_non_null(secret);
	snprintf(r.key, sizeof r.key, "%s", secret);
	json_decref(answer);
}

/* As it was before the rotation, in the middle of it, and after the second one: never more than the limit, whichever of them asks. */
static void
a_rotated_key_counts_on(void **state)
{
	static const char *const members[] = {"requests_per_minute", "requests_per_day"};
	char old[API_KEY_BYTES + 1], newest[API_KEY_BYTES + 1];
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		limit_of("key.limit", members[i], i == 0 ? "4" : "9"); /* five were booked today */
		assert_int_equal(exchange(hi), 200);
		assert_int_equal(exchange(hi), 200);
		rotate(old);
		assert_int_equal(exchange(hi), 200);
		rotate(newest); /* two of them back now */
		memcpy(newest, r.key, sizeof newest);
		assert_int_equal(exchange(hi), 200);
		assert_int_equal(exchange(hi), 429);
		memcpy(r.key, old, sizeof old);
		assert_int_equal(exchange(hi), 429);
		memcpy(r.key, newest, sizeof newest);
		limit_of("key.limit", members[i], "none");
		assert_int_equal(exchange(hi), 200);
		rig_book(&r);
	}
}

static void
requests_a_minute_are_counted_and_come_back(void **state)
{
	limit_of("key.limit", "requests_per_minute", "3");
	for (int i = 0; i < 3; i++)
		assert_int_equal(exchange(hi), 200);
	assert_true(says("x-ratelimit-limit-requests: 3\r\n") && says("x-ratelimit-remaining-requests: 0\r\n") && says("x-ratelimit-reset-requests: 1m0s\r\n"));
	assert_int_equal(exchange(hi), 429);
	assert_true(says("retry-after: 20\r\n") && says("\"code\":\"rate_limit_exceeded\"") && says("limited to 3 requests a minute"));
	assert_false(says("x-should-retry: false"));
	assert_int_equal(r.dials, 3);
	rig_pass(&r, 20000);
	assert_int_equal(exchange(hi), 200);
	assert_int_equal(exchange(hi), 429);
	limit_of("key.limit", "requests_per_minute", "none");
	assert_int_equal(exchange(hi), 200);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_tickets(&r), 5);
}

static void
the_account_s_limit_holds_for_all_its_keys(void **state)
{
	limit_of("account.limit", "requests_per_day", "2");
	assert_int_equal(exchange(hi), 200);
	assert_int_equal(exchange(hi), 200);
	assert_int_equal(exchange(hi), 429);
	assert_true(says("limited to 2 requests a day") && says("x-should-retry: false\r\n") && says("It begins anew at 20"));
	limit_of("key.limit", "requests_per_minute", "60"); /* its own row names the account's */
	assert_int_equal(exchange(hi), 429);
	assert_true(says("The account of this API key is limited to 2 requests a day"));
	assert_true(says("x-ratelimit-limit-requests: 2\r\n"));
}

static void
refused_by_one_limit_is_not_counted_by_the_other(void **state)
{
	limit_of("key.limit", "requests_per_minute", "2");
	limit_of("key.limit", "requests_per_day", "1");
	assert_int_equal(exchange(hi), 200);
	assert_int_equal(exchange(hi), 429);
	limit_of("key.limit", "requests_per_day", "none");
	assert_int_equal(exchange(hi), 200);
	assert_int_equal(exchange(hi), 429);
}

static void
so_many_run_at_the_same_time(void **state)
{
	limit_of("key.limit", "streams", "2");
	int a = ask(hi), b = ask(hi);
	assert_int_equal(exchange(hi), 429);
	assert_true(says("2 requests at the same time, and so many run") && says("retry-after: 1\r\n"));
	provide(0);
	assert_int_equal(status_of(a), 200);
	int c = ask(hi);
	close(b); /* gone before it is answered */
	rig_turn(&r);
	int d = ask(hi);
	assert_int_equal(exchange(hi), 429);
	close(a);
	close(c);
	close(d);
	rig_turn(&r);
	assert_int_equal(exchange("{\"model\":\"nobody's\",\"messages\":[]}"), 404);
	assert_int_equal(exchange("not json"), 400);
	int e = ask(hi), f = ask(hi);
	assert_int_equal(exchange(hi), 429);
	close(e);
	close(f);
}

static void
a_refusal_has_each_dialect_s_shape(void **state)
{
	limit_of("key.limit", "requests_per_minute", "1");
	assert_int_equal(exchange(hi), 200);
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/messages HTTP/1.1\r\nhost: h\r\nx-api-key: %s\r\nanthropic-version: 2023-06-01\r\ncontent-length: 2\r\n\r\n{}", r.key);
	rig_send(&r, c, in, n);
	assert_int_equal(status_of(c), 429);
	assert_true(says("\"type\":\"rate_limit_error\"") && says("anthropic-ratelimit-requests-limit: 1\r\n") && says("anthropic-ratelimit-requests-remaining: 0\r\n") &&
		says("anthropic-ratelimit-requests-reset: 20") && says("retry-after: 60\r\n"));
	close(c);
	c = rig_client(&r);
	n = (size_t)sprintf(in, "POST /v1beta/models/m:generateContent HTTP/1.1\r\nhost: h\r\nx-goog-api-key: %s\r\ncontent-length: 2\r\n\r\n{}", r.key);
	rig_send(&r, c, in, n);
	assert_int_equal(status_of(c), 429);
	assert_true(says("RESOURCE_EXHAUSTED") && says("google.rpc.RetryInfo\",\"retryDelay\":\"60s\"") && says("retry-after: 60\r\n"));
	close(c);
}

/* ---- tokens ---- */

static void
tokens_are_taken_by_estimate_and_corrected(void **state)
{
	limit_of("key.limit", "output_tokens_per_minute", "120");
	assert_int_equal(exchange(hi), 200); /* 100 were expected, 5 came */
	assert_int_equal(exchange(hi), 200);
	assert_int_equal(ask(hi) >= 0, 1);
	assert_int_equal(exchange(hi), 429); /* 10 + 100 are out */
	assert_true(says("limited to 120 output tokens a minute") && says("x-ratelimit-limit-tokens: 120\r\n"));
	provide(2);
	assert_int_equal(exchange(hi), 200);
}

/* Nothing is taken for an answer that can't come. */
static void
who_has_no_tokens_of_an_answer_takes_none(void **state)
{
	bool eof;
	limit_of("key.limit", "output_tokens_per_minute", "1000");
	for (int i = 0; i < 3; i++) {
		int c = rig_client(&r);
		static const char body[] = "{\"model\":\"m\",\"input\":\"hi\"}";
		rig_send(&r, c, in, (size_t)sprintf(in, "POST /v1/embeddings HTTP/1.1\r\nhost: h\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", r.key, strlen(body), body));
		rig_turn(&r);
		assert_int_equal(r.dials, i + 1);
		assert_false(rig_read(&r, c, out, &eof));
	}
	/* Nor for more than its model could say. */
	limit_of("key.limit", "output_tokens_per_minute", "100000");
	int before = r.dials;
	for (int i = 0; i < 3; i++)
		ask("{\"model\":\"m\",\"max_tokens\":1000000,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
	rig_turn(&r);
	assert_int_equal(r.dials, before + 3);
}

static void
what_is_refused_for_its_tokens_holds_nothing(void **state)
{
	limit_of("key.limit", "input_tokens_per_minute", "20");
	limit_of("key.limit", "streams", "3");
	assert_int_equal(exchange(hi), 200); /* larger than the limit, and alone */
	while (exchange(hi) == 200)
		;
	assert_true(says("input tokens a minute"));
	rig_book(&r);
	rig_check_books(&r);
	for (int i = 0; i < 5; i++)
		assert_int_equal(exchange(hi), 429);
	assert_true(says("input tokens a minute"));
}

/* ---- money ---- */

static void
a_day_s_money_ends_and_says_when_it_begins_anew(void **state)
{
	limit_of("key.limit", "dollars_per_day", "0.0003"); /* a request holds more than 0.0002 and costs 0.00002 */
	int passed = 0;
	while (exchange(hi) == 200)
		passed++;
	assert_true(passed >= 1 && passed <= 10);
	assert_true(says(" 429 ") && says("limited to $0.0003 a day") && says("\"code\":\"budget_exceeded\"") && says("\"type\":\"insufficient_quota\"") &&
		says("x-should-retry: false\r\n") && says("It begins anew at 20"));
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - passed * COST);
	limit_of("key.limit", "dollars_per_day", "1");
	assert_int_equal(exchange(hi), 200);
}

static void
three_windows_are_paid_from_at_once(void **state)
{
	limit_of("key.limit", "dollars_per_hour", "0.50");
	limit_of("key.limit", "dollars_per_month", "0.60");
	limit_of("account.limit", "dollars_per_week", "0.70");
	assert_int_equal(exchange(hi), 200);
	rig_book(&r);
	rig_check_books(&r);
	json_t *answer = rig_control(&r, json_pack("{s:s, s:s}", "op", "key.show", "key", r.key));
	const json_t *used = json_object_get(answer, "used");
	assert_string_equal(json_string_value(json_object_get(used, "dollars_per_hour")), "0.000020000");
	assert_string_equal(json_string_value(json_object_get(used, "dollars_per_month")), "0.000020000");
	json_decref(answer);
	assert_int_equal(get("/v1/key", "authorization"), 200);
	assert_true(says("{\"limit\":\"dollars_per_hour\",\"of\":\"key\",\"amount\":\"0.50\",\"remaining\":\"0.49998\""));
	assert_true(says("{\"limit\":\"dollars_per_week\",\"of\":\"account\",\"amount\":\"0.70\",\"remaining\":\"0.69998\""));
	assert_int_equal(exchange(hi), 200);
}

static void
an_answer_without_a_bound_is_bounded_by_what_is_left_of_the_day(void **state)
{
	limit_of("key.limit", "dollars_per_day", "0.004");
	rig_book(&r);
	assert_int_equal(exchange(hi), 200); /* the window is on the board */
	rig_book(&r);
	assert_int_equal(exchange("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"), 200);
	assert_true(says("lethe-capped: "));
}

/* ---- what is allowed ---- */

static void
other_models_than_the_named_do_not_exist(void **state)
{
	limit_of("key.limit", "models", "alias-*");
	assert_int_equal(exchange(hi), 404);
	assert_true(says("\"code\":\"model_not_found\""));
	assert_int_equal(get("/v1/models", "authorization"), 200);
	assert_true(says("\"id\":\"alias-model\"") && !says("\"id\":\"m\"") && !says("\"id\":\"drained\""));
	assert_int_equal(get("/v1/models/m", "authorization"), 404);
	assert_int_equal(get("/v1/models/alias-model", "authorization"), 200);
	assert_true(says("\"context_window\":100000,\"max_output_tokens\":100000,\"reasoning\":true") && says("\"input\":\"100.00\"") && says("\"output\":\"600.00\""));
	assert_int_equal(get("/v1/key", "authorization"), 200);
	assert_true(says("\"models\":[\"alias-model\"]"));
	limit_of("key.limit", "models", "any");
	assert_int_equal(exchange(hi), 200);
	assert_int_equal(get("/v1/models", "authorization"), 200);
	assert_true(says("\"id\":\"m\"") && says("\"id\":\"drained\""));
}

static void
a_key_works_from_its_addresses_only(void **state)
{
	limit_of("key.limit", "addresses", "192.0.2.0/24");
	assert_int_equal(exchange(hi), 403);
	assert_true(says("\"code\":\"address_not_allowed\""));
	assert_int_equal(get("/v1/models", "authorization"), 403);
	r.process.proxies.trust_unix = true;
	limit_of("key.limit", "addresses", "any");
	assert_int_equal(exchange(hi), 200);
}

static void
scopes_say_what_a_key_is_for(void **state)
{
	limit_of("key.limit", "scopes", "models");
	assert_int_equal(exchange(hi), 403);
	assert_true(says("\"code\":\"scope_not_allowed\""));
	assert_int_equal(get("/v1/key", "authorization"), 403);
	assert_int_equal(get("/v1/models", "authorization"), 200);
	limit_of("key.limit", "scopes", "inference");
	assert_int_equal(exchange(hi), 200);
	assert_int_equal(get("/v1/models", "authorization"), 403);
	limit_of("key.limit", "scopes", "any");
	assert_int_equal(get("/v1/models", "authorization"), 200);
}

/* ---- what is told ---- */

static void
a_key_can_be_asked_what_is_left(void **state)
{
	assert_int_equal(get("/v1/key", "authorization"), 200);
	json_t *o = body_of();
	assert_string_equal(json_string_value(json_object_get(o, "available")), "1.00");
	assert_int_equal(json_array_size(json_object_get(o, "limits")), 0);
	assert_true(json_is_null(json_object_get(o, "models")) && json_is_null(json_object_get(o, "expires_at")));
	assert_int_equal(json_array_size(json_object_get(o, "scopes")), 3);
	assert_string_equal(json_string_value(json_object_get(o, "account")), r.account);
	json_decref(o);
	assert_false(says(r.key));
	limit_of("key.limit", "requests_per_minute", "10");
	limit_of("key.limit", "streams", "4");
	assert_int_equal(exchange(hi), 200);
	assert_int_equal(get("/v1/key", "authorization"), 200);
	o = body_of();
	const json_t *first = json_array_get(json_object_get(o, "limits"), 0), *second = json_array_get(json_object_get(o, "limits"), 1);
	assert_string_equal(json_string_value(json_object_get(first, "limit")), "requests_per_minute");
	assert_int_equal(json_integer_value(json_object_get(first, "remaining")), 9);
	assert_string_equal(json_string_value(json_object_get(second, "limit")), "streams");
	assert_int_equal(json_integer_value(json_object_get(second, "remaining")), 4);
	json_decref(o);
	limit_of("key.limit", "requests_per_day", "50");
	int c = ask(hi);
	rig_turn(&r);
	assert_int_equal(get("/v1/key", "authorization"), 200);
	assert_true(says("{\"limit\":\"streams\",\"of\":\"key_or_account\",\"amount\":4,\"remaining\":3,") && says("\"amount\":50,\"remaining\":49,"));
	close(c);
}

static int
quote_of(const char *query, const char *body)
{
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/quote%s HTTP/1.1\r\nhost: h\r\nauthorization: Bearer %s\r\ncontent-length: %zu\r\n\r\n%s", query, r.key, strlen(body), body);
	rig_send(&r, c, in, n);
	int status = status_of(c);
	close(c);
	rig_turn(&r);
	return status;
}

static void
a_quote_says_what_a_request_would_cost_and_costs_nothing(void **state)
{
	assert_int_equal(quote_of("", hi), 200);
	json_t *o = body_of();
	assert_string_equal(json_string_value(json_object_get(o, "endpoint")), "chat.completions");
	assert_string_equal(json_string_value(json_object_get(o, "model")), "m");
	assert_int_equal(json_integer_value(json_object_get(o, "output_tokens_at_most")), 100);
	assert_string_equal(json_string_value(json_object_get(o, "costs_at_most")), json_string_value(json_object_get(o, "held")));
	assert_true(json_is_true(json_object_get(o, "affordable")));
	json_decref(o);
	assert_int_equal(quote_of("?endpoint=chat.completions", "{\"model\":\"alias-model\",\"max_tokens\":50000,\"messages\":[]}"), 200);
	assert_true(says("\"affordable\":false"));
	assert_int_equal(quote_of("?endpoint=moderations", hi), 400);
	assert_int_equal(quote_of("?endpoint=nothing", hi), 400);
	assert_int_equal(quote_of("", "{\"model\":\"nobody's\",\"messages\":[]}"), 404);
	assert_int_equal(quote_of("", "not json"), 400);
	limit_of("key.limit", "dollars_per_day", "0.0001");
	assert_int_equal(exchange(hi), 429); /* the window is on the board */
	assert_int_equal(quote_of("", hi), 200);
	assert_true(says("\"available\":\"0.0001\",\"affordable\":false"));
	assert_int_equal(r.dials, 0);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_tickets(&r), 0);
	assert_int_equal(rig_balance(&r), 1000000000);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, opened, closed)
	const struct CMUnitTest tests[] = {
		TEST(a_key_without_limits_hears_of_none),
		TEST(requests_a_minute_are_counted_and_come_back),
		TEST(a_rotated_key_counts_on),
		TEST(the_account_s_limit_holds_for_all_its_keys),
		TEST(refused_by_one_limit_is_not_counted_by_the_other),
		TEST(so_many_run_at_the_same_time),
		TEST(a_refusal_has_each_dialect_s_shape),
		TEST(tokens_are_taken_by_estimate_and_corrected),
		TEST(who_has_no_tokens_of_an_answer_takes_none),
		TEST(what_is_refused_for_its_tokens_holds_nothing),
		TEST(a_day_s_money_ends_and_says_when_it_begins_anew),
		TEST(three_windows_are_paid_from_at_once),
		TEST(an_answer_without_a_bound_is_bounded_by_what_is_left_of_the_day),
		TEST(other_models_than_the_named_do_not_exist),
		TEST(a_key_works_from_its_addresses_only),
		TEST(scopes_say_what_a_key_is_for),
		TEST(a_key_can_be_asked_what_is_left),
		TEST(a_quote_says_what_a_request_would_cost_and_costs_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
