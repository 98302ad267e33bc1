/* The simulator's pure parts: script, scan, wheel, gzip, answers. */
#include "answer.h"
#include "gzip.h"
#include "store.h"
#include "wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct span
of(const char *s)
{
	return (struct span){s, strlen(s)};
}

static void
assert_span(struct span got, const char *wanted)
{
	assert_int_equal(got.len, strlen(wanted));
	assert_memory_equal(got.at, wanted, got.len);
}

/* ---- script ---- */

static void
a_script_sets_what_it_names_and_nothing_else(void **state)
{
	struct sim_script s;
	struct span bad;
	assert_true(sim_script_parse(of("chunks=12, rate=20,tag=a.b-1 , stamp,100=1,error=tokens/slow_down,usage=negative"), &s, &bad));
	assert_int_equal(s.chunks, 12);
	assert_int_equal(s.stamp, 1);
	assert_int_equal(s.interim, 1);
	assert_int_equal(s.usage, SIM_USAGE_negative);
	assert_string_equal(s.tag, "a.b-1");
	assert_string_equal(s.error_type, "tokens");
	assert_string_equal(s.error_code, "slow_down");
	assert_int_equal(sim_script_gap_ns(&s), 50000000);
	assert_int_equal(s.status, -1);
	assert_int_equal(s.malformed, SIM_MALFORMED_no);
}

static void
a_script_that_is_not_understood_names_the_pair(void **state)
{
	static const char *const BAD[] = {"chunk=1", "chunks=-1", "chunks=", "chunks=1x", "status=600", "hang=foot", "tag=", "tag=a\"b",
		"malformed=none", "error=/x", "chunks=99999999999999999"};
	for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
		char text[128];
		struct sim_script s;
		struct span bad = {0};
		snprintf(text, sizeof text, "delay_ms=1,%s ,chunks=2", BAD[i]);
		assert_false(sim_script_parse(of(text), &s, &bad));
		assert_span(bad, BAD[i]);
	}
}

/* ---- scan ---- */

static void
a_request_is_scanned_whatever_the_order_of_its_members(void **state)
{
	struct sim_request q;
	assert_true(sim_request_scan(of(" {\"tools\":[{\"function\":{\"parameters\":{\"name\":7},\"name\":\"t1\"},\"type\":\"function\"}],"
									"\"messages\":[{\"content\":\"abc\",\"role\":\"user\"},{\"role\":\"assistant\",\"content\":null},"
									"{\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"text\":\"t\\\"w\\\\\"}],\"role\":\"user\"}],"
									"\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false},\"stream\" : true,\"n\":3,"
									"\"max_completion_tokens\":77,\"model\":\"m\"} \n"),
		&q));
	assert_span(q.model, "m");
	assert_span(q.last_user, "t\\\"w\\\\");
	assert_span(q.tool, "t1");
	assert_true(q.stream && q.include_usage && !q.obfuscation && !q.tool_forced);
	assert_int_equal(q.n, 3);
	assert_int_equal(q.max_tokens, 77);
	assert_int_equal(q.text_bytes, 3 + 3 + 6);
}

static void
the_tool_that_is_chosen_wins_over_the_first(void **state)
{
	struct sim_request q;
	assert_true(sim_request_scan(of("{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}],"
									"\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"b\"}}}"),
		&q));
	assert_span(q.tool, "b");
	assert_true(q.tool_forced);
}

static void
what_is_not_one_json_object_is_refused(void **state)
{
	static const char *const BAD[] = {"", " ", "[]", "{", "{}}", "{} x", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":\"b}",
		"{\"a\":\"b\\\"}", "{\"stream\":\"x\"}", "{\"n\":\"x\"}", "{\"messages\":[1]}", "{\"messages\":[{},]}", "{\"a\" 1}", "{\"a\":[1}"};
	for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
		struct sim_request q;
		size_t len = strlen(BAD[i]);
		char *exact = malloc(len ? len : 1); /* so that the sanitizer sees a step too far */
		assert_non_null(exact);
		memcpy(exact, BAD[i], len);
		if (sim_request_scan((struct span){exact, len}, &q))
			fail_msg("accepted: %s", BAD[i]);
		free(exact);
	}
}

static void
pieces_tear_no_escape_and_no_character(void **state)
{
	static const char *const WHOLE[] = {"\\n", "\\u00e9", "\\ud83d\\ude00", "\xc3\xa9", "\xf0\x9f\x98\x80", "\\\\", "a"};
	for (size_t i = 0; i < ARRAY_LEN(WHOLE); i++)
		assert_int_equal(sim_json_piece(of(WHOLE[i]), 1), strlen(WHOLE[i]));
	assert_int_equal(sim_json_piece(of("abc"), 2), 2);
	assert_int_equal(sim_json_piece(of("\\u0"), 1), 3);
}

/* ---- wheel ---- */

static void
timers_fire_once_in_their_tick_and_never_early(void **state)
{
	static struct sim_wheel w;
	struct sim_timer t[3] = {0};
	const uint64_t second = 1000000000;
	sim_wheel_init(&w, 5 * second);
	sim_wheel_arm(&w, &t[0], 5 * second + 1000000);
	sim_wheel_arm(&w, &t[1], 9 * second + 1); /* beyond one turn of the wheel */
	sim_wheel_arm(&w, &t[2], 4 * second); /* past */
	assert_true(sim_wheel_wait_ns(&w, 5 * second) <= SIM_WHEEL_TICK_NS);
	assert_ptr_equal(sim_wheel_due(&w, 5 * second + 300000), &t[2]);
	assert_null(sim_wheel_due(&w, 5 * second + 999999));
	assert_ptr_equal(sim_wheel_due(&w, 5 * second + 1000000), &t[0]);
	assert_null(sim_wheel_due(&w, 9 * second));
	assert_ptr_equal(sim_wheel_due(&w, 9 * second + SIM_WHEEL_TICK_NS), &t[1]);
	assert_null(sim_wheel_due(&w, 20 * second));
	assert_int_equal(sim_wheel_wait_ns(&w, 20 * second), -1);
}

static void
a_disarmed_timer_does_not_fire_even_when_it_was_due(void **state)
{
	static struct sim_wheel w;
	struct sim_timer t[3] = {0};
	sim_wheel_init(&w, 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		sim_wheel_arm(&w, &t[i], SIM_WHEEL_TICK_NS);
	struct sim_timer *first = sim_wheel_due(&w, 10 * SIM_WHEEL_TICK_NS);
	assert_non_null(first);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		sim_wheel_disarm(&w, &t[i]);
	assert_null(sim_wheel_due(&w, 20 * SIM_WHEEL_TICK_NS));
	/* As many as were taken back: the wheel must not have lost count. */
	sim_wheel_arm(&w, &t[1], 0);
	sim_wheel_arm(&w, &t[2], 0);
	assert_true(sim_wheel_wait_ns(&w, 20 * SIM_WHEEL_TICK_NS) >= 0);
	assert_non_null(sim_wheel_due(&w, 30 * SIM_WHEEL_TICK_NS));
	assert_non_null(sim_wheel_due(&w, 30 * SIM_WHEEL_TICK_NS));
}

static void
the_wait_ends_when_the_next_timer_is_due(void **state)
{
	static struct sim_wheel w;
	struct sim_timer t = {0};
	for (uint64_t ticks = 1; ticks < SIM_WHEEL_SLOTS; ticks = ticks * 3 + 1) {
		sim_wheel_init(&w, 7 * SIM_WHEEL_TICK_NS);
		sim_wheel_arm(&w, &t, (7 + ticks) * SIM_WHEEL_TICK_NS);
		assert_int_equal(sim_wheel_wait_ns(&w, 7 * SIM_WHEEL_TICK_NS), ticks * SIM_WHEEL_TICK_NS);
		sim_wheel_disarm(&w, &t);
	}
}

/* ---- gzip ---- */

static void
a_gzip_stream_ends_with_its_sum_and_length(void **state)
{
	char bytes[128];
	struct text t = text_on(bytes, sizeof bytes);
	struct sim_gzip g = {0};
	sim_gzip_add(&g, of("12345"), false, &t);
	sim_gzip_add(&g, of("6789"), true, &t);
	assert_memory_equal(bytes, "\x1f\x8b\x08", 3);
	assert_memory_equal(bytes + 10, "\x00\x05\x00\xfa\xff"
									"12345\x00\x04\x00\xfb\xff"
									"6789\x01\x00\x00\xff\xff",
		24);
	assert_memory_equal(bytes + t.len - 8, "\x26\x39\xf4\xcb\x09\x00\x00\x00", 8);
}

/* ---- answers ---- */

static bool spoken; /* answers are speech */

static void
answer(const char *script, const char *body, struct sim_run *ret)
{
	struct sim_request q;
	struct span bad;
	memset(ret, 0, sizeof *ret);
	ret->speech = spoken;
	assert_true(sim_script_parse(of(script), &ret->script, &bad));
	assert_true(sim_request_scan(of(body), &q));
	sim_run_init(ret, &q, 1, 1770933892);
}

static char *
plain(const char *script, const char *body)
{
	struct sim_run r;
	answer(script, body, &r);
	size_t most = sim_run_body_most(&r);
	char *bytes = malloc(most + 1);
	assert_non_null(bytes);
	struct text t = text_on(bytes, most);
	sim_run_body(&r, 12345, &t);
	assert_false(t.cut);
	bytes[t.len] = 0;
	sim_run_finish(&r);
	return bytes;
}

static char *
streamed(const char *script, const char *body)
{
	enum { MOST = 1 << 20 };
	struct sim_run r;
	char *bytes = malloc(MOST);
	assert_non_null(bytes);
	answer(script, body, &r);
	struct text t = text_on(bytes, MOST - 1);
	while (sim_run_event(&r, 12345, &t))
		assert_false(t.cut);
	bytes[t.len] = 0;
	sim_run_finish(&r);
	return bytes;
}

static size_t
count(const char *text, const char *word)
{
	size_t n = 0;
	while ((text = strstr(text, word)))
		n++, text += strlen(word);
	return n;
}

#define ASK "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"12345678 \\\"x\\\" \\ud83d\\ude00\"}]"

static void
a_wished_size_is_met_exactly(void **state)
{
	for (size_t i = 1000; i < 200000; i = i * 3 + 7) {
		char script[64];
		snprintf(script, sizeof script, "body_bytes=%zu", i);
		char *got = plain(script, ASK "}");
		assert_int_equal(strlen(got), i);
		free(got);
	}
}

/* X(script, members of the request, what must be there so many times) */
struct expectation {
	const char *script, *members, *word;
	size_t times;
};

static const struct expectation PLAIN[] = {
	{"", "", "\"finish_reason\": \"stop\"", 1},
	{"", "", "\"prompt_tokens\":7,", 1},
	{"", ",\"n\":3", "\"finish_reason\": \"stop\"", 3},
	{"", ",\"max_tokens\":5", "\"completion_tokens\":5,", 1},
	{"", ",\"max_tokens\":5", "\"finish_reason\": \"length\"", 1},
	{"completion_tokens=900,reasoning=100,cached=4", ",\"max_tokens\":5", "\"completion_tokens\":900,", 1},
	{"reasoning=100", ",\"max_tokens\":5", "\"completion_tokens\":105,", 1},
	{"cached=4", "", "\"cached_tokens\":4,", 1},
	{"usage=none", "", "usage", 0},
	{"usage=negative", "", "\"prompt_tokens\":-8,", 1},
	{"usage=overflow", "", "99999999999999999999", 3},
	{"usage=string", "", "\"prompt_tokens\":\"7\"", 1},
	{"echo=1", "", "\"content\": \"12345678 \\\"x\\\" \\ud83d\\ude00\"", 1},
	{"tools=2", "", "\"type\":\"function\"", 2},
	{"tools=2", "", "\"finish_reason\": \"tool_calls\"", 1},
	{"refusal=1", "", "\"content\": null", 1},
	{"stamp=1", "", "\"@t00000000000000012345", 1},
};

static const struct expectation STREAMED[] = {
	{"", "", "\"content\":", 9},
	{"", "", "usage", 0},
	{"", "", "data: [DONE]\n\n", 1},
	{"", ",\"stream_options\":{\"include_usage\":true}", "\"usage\":null", 10},
	{"", ",\"stream_options\":{\"include_usage\":true}", "\"completion_tokens\":8,", 1},
	{"", ",\"stream_options\":{\"include_usage\":true}", "\"choices\":[],", 1},
	{"usage=twice", ",\"stream_options\":{\"include_usage\":true}", "\"choices\":[],", 2},
	{"usage=each", "", "\"prompt_tokens\":", 10},
	{"usage=early", "", "\"prompt_tokens\":", 1},
	{"usage=none", ",\"stream_options\":{\"include_usage\":true}", "usage", 0},
	{"chunks=100,chunk_bytes=50", "", "\"content\":", 101},
	{"chunks=100", ",\"max_tokens\":3", "\"content\":", 101},
	{"", ",\"max_tokens\":3", "\"content\":", 4},
	{"", ",\"max_tokens\":3", "\"length\"", 1},
	{"", ",\"n\":2", "\"content\":", 18},
	{"chunks=0", "", "\"content\":", 1},
	{"echo=1,chunks=1", "", "\"content\":\"12345678 \\\"x\\\" \\ud83d\\ude00\"", 1},
	{"tools=2", "", "\"name\":\"get_weather\",\"arguments\":\"\"", 2},
	{"tools=1,no_done=1", "", "[DONE]", 0},
	{"mid_error=3", "", "\"content\":", 4},
	{"mid_error=3", "", "data: {\"error\":", 1},
	{"mid_error=3", "", "finish_reason\":\"stop\"", 0},
	{"crlf=1", "", "\r\n\r\n", 11},
	{"comments=1", "", ": keep-alive\n\n", 10},
	{"refusal=1", "", "\"refusal\":\"", 8},
	{"stamp=1,chunks=2", "", "@t00000000000000012345", 2},
};

static void
check(const struct expectation *e, char *got)
{
	if (count(got, e->word) != e->times)
		fail_msg("x-sim: %s %s: %zu of %s, not %zu:\n%s", e->script, e->members, count(got, e->word),
			e->word, e->times, got);
	free(got);
}

static void
a_plain_answer_is_what_the_script_asks(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(PLAIN); i++) {
		char body[512];
		snprintf(body, sizeof body, ASK "%s}", PLAIN[i].members);
		check(&PLAIN[i], plain(PLAIN[i].script, body));
	}
}

static void
a_stream_is_what_the_script_asks(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(STREAMED); i++) {
		char body[512];
		snprintf(body, sizeof body, ASK ",\"stream\":true%s}", STREAMED[i].members);
		check(&STREAMED[i], streamed(STREAMED[i].script, body));
	}
}

#define SPEAK "{\"model\":\"m\",\"voice\":\"v\",\"input\":\"12345678\""

static const struct expectation SPOKEN[] = {
	{"", "", "speech.audio.delta", 8},
	{"chunks=3,chunk_bytes=5", "", "\"audio\":\"ABCDE\"", 1},
	{"chunks=3,chunk_bytes=5", "", "\"audio\":\"CDEFG\"", 1},
	{"chunks=3", "", "{\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":2,\"output_tokens\":3,\"total_tokens\":5}}\n\n", 1},
	{"", "", "[DONE]", 0},
	{"prompt_tokens=14,completion_tokens=100", "", "\"input_tokens\":14,\"output_tokens\":100,", 1},
	{"usage=none", "", "usage", 0},
	{"usage=none", "", "speech.audio.done", 1},
	{"echo=1,chunks=2", "", "\"audio\":\"1234\"", 1},
	{"mid_error=3", "", "speech.audio.delta", 3},
	{"mid_error=3", "", "speech.audio.done", 0},
	{"mid_error=3", "", "data: {\"error\":", 1},
};

static void
speech_in_events_is_what_the_script_asks(void **state)
{
	spoken = true;
	for (size_t i = 0; i < ARRAY_LEN(SPOKEN); i++)
		check(&SPOKEN[i], streamed(SPOKEN[i].script, SPEAK ",\"stream_format\":\"sse\"}"));
	spoken = false;
}

static void
speech_as_such_has_the_wished_size(void **state)
{
	static const struct {
		const char *script;
		size_t bytes;
	} wished[] = {{"body_bytes=1", 1}, {"body_bytes=100000", 100000}, {"chunks=7,chunk_bytes=100", 700}, {"echo=1", 8}};
	spoken = true;
	for (size_t i = 0; i < ARRAY_LEN(wished); i++) {
		char *got = plain(wished[i].script, SPEAK ",\"stream_format\":\"audio\"}");
		assert_int_equal(strlen(got), wished[i].bytes);
		free(got);
	}
	spoken = false;
}

static void
tool_arguments_come_back_together(void **state)
{
	char *whole = plain("tools=1", ASK "}"), *stream = streamed("tools=1", ASK ",\"stream\":true}");
	char joined[512] = "";
	for (const char *at = stream; (at = strstr(at, "\"arguments\":\""));) {
		at += strlen("\"arguments\":\"");
		const char *end = strstr(at, "\"}}]");
		assert_non_null(end);
		strncat(joined, at, (size_t)(end - at));
	}
	assert_non_null(strstr(whole, joined));
	assert_int_equal(strncmp(joined, "{\\\"location\\\"", 13), 0);
	assert_int_equal(joined[strlen(joined) - 1], '}');
	free(whole);
	free(stream);
}

/* ---- what is kept ---- */

static char said[1 << 16];

static unsigned
ask_store(struct sim_store *s, enum http1_method method, const char *path, const char *type, const char *body)
{
	const struct sim_asked a = {method, {path, strlen(path)}, {type, strlen(type)}, {body, strlen(body)}, 1, 1};
	struct text t = {0};
	unsigned status;
	const char *why;
	assert_true(sim_store_answer(s, &a, &status, &why, &t));
	assert_true(t.len < sizeof said && !t.cut);
	if (t.len)
		memcpy(said, t.at, t.len);
	said[t.len] = 0;
	free(t.at);
	return status;
}

#define FORM(file) "--XyZ\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" file "\r\n--XyZ--\r\n"
#define LINE "{\"custom_id\":\"a\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"}\\\"{\"}]}}"

static void
a_batch_is_completed_at_the_second_look(void **state)
{
	static struct sim_store s;
	static const char *const says[] = {"in_progress", "completed", "completed"};
	assert_int_equal(ask_store(&s, HTTP1_POST, "/v1/files", "multipart/form-data; boundary=\"XyZ\"", FORM(LINE "\n" LINE)), 200);
	assert_non_null(strstr(said, "\"id\": \"file-sim1\""));
	assert_int_equal(ask_store(&s, HTTP1_GET, "/v1/files/file-sim1/content", "", ""), 200);
	assert_string_equal(said, LINE "\n" LINE);
	assert_int_equal(ask_store(&s, HTTP1_POST, "/v1/batches", "", "{\"input_file_id\": \"file-sim1\", \"endpoint\": \"/v1/chat/completions\"}"), 200);
	assert_non_null(strstr(said, "validating"));
	char path[64];
	sprintf(path, "/v1/batches/%.*s", (int)strcspn(strstr(said, "batch_sim"), "\""), strstr(said, "batch_sim"));
	for (size_t i = 0; i < ARRAY_LEN(says); i++) {
		assert_int_equal(ask_store(&s, HTTP1_GET, path, "", ""), 200);
		assert_non_null(strstr(said, says[i]));
	}
	assert_non_null(strstr(said, "\"completed\": 2"));
	sim_store_finish(&s);
}

static void
what_is_no_file_or_batch_is_refused(void **state)
{
	static const char *const types[] = {"", "boundary=", "boundary=\"", "boundary=\"\"", "multipart/form-data; boundary=c"};
	static const char *const bodies[] = {"", "b", "--b", "b name=\"file\" b", "b name=\"file\"\r\n\r\nb", "--XyZ\r\nname=\"file\"\r\n\r\nx"};
	static const char *const lines[] = {"x", "{", "{\"custom_id\":\"a\",\"body\":{}}", "{\"custom_id\":\"a\",\"body\":{\"model\":\"m\"", "{\"body\":{\"model\":\"m\"}}", "{\"custom_id\":\"a\",\"body\":\"\\"};
	static struct sim_store s;
	static char form[512], named[96];
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		assert_int_equal(ask_store(&s, HTTP1_POST, "/v1/files", types[i], FORM("x")), 400);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		assert_int_equal(ask_store(&s, HTTP1_POST, "/v1/files", "multipart/form-data; boundary=XyZ", bodies[i]), 400);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		snprintf(form, sizeof form, FORM("%s"), lines[i]);
		assert_int_equal(ask_store(&s, HTTP1_POST, "/v1/files", "multipart/form-data; boundary=XyZ", form), 200);
		snprintf(named, sizeof named, "{\"input_file_id\":\"%.*s\"}", (int)strcspn(strstr(said, "file-sim"), "\""), strstr(said, "file-sim"));
		assert_int_equal(ask_store(&s, HTTP1_POST, "/v1/batches", "", named), 400);
	}
	assert_int_equal(ask_store(&s, HTTP1_POST, "/v1/batches", "", "{\"input_file_id\":\"file-sim999\"}"), 400);
	assert_int_equal(ask_store(&s, HTTP1_GET, "/v1/batches/batch_sim1", "", ""), 404);
	assert_int_equal(ask_store(&s, HTTP1_GET, "/v1/files/file-sim99", "", ""), 404);
	sim_store_finish(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_script_sets_what_it_names_and_nothing_else),
		cmocka_unit_test(a_script_that_is_not_understood_names_the_pair),
		cmocka_unit_test(a_request_is_scanned_whatever_the_order_of_its_members),
		cmocka_unit_test(the_tool_that_is_chosen_wins_over_the_first),
		cmocka_unit_test(what_is_not_one_json_object_is_refused),
		cmocka_unit_test(pieces_tear_no_escape_and_no_character),
		cmocka_unit_test(timers_fire_once_in_their_tick_and_never_early),
		cmocka_unit_test(a_disarmed_timer_does_not_fire_even_when_it_was_due),
		cmocka_unit_test(the_wait_ends_when_the_next_timer_is_due),
		cmocka_unit_test(a_gzip_stream_ends_with_its_sum_and_length),
		cmocka_unit_test(a_wished_size_is_met_exactly),
		cmocka_unit_test(a_plain_answer_is_what_the_script_asks),
		cmocka_unit_test(a_stream_is_what_the_script_asks),
		cmocka_unit_test(tool_arguments_come_back_together),
		cmocka_unit_test(speech_in_events_is_what_the_script_asks),
		cmocka_unit_test(speech_as_such_has_the_wished_size),
		cmocka_unit_test(a_batch_is_completed_at_the_second_look),
		cmocka_unit_test(what_is_no_file_or_batch_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
