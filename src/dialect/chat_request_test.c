#include "dialect/chat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum chat_request_error
scan(struct chat_request_scan *s, const char *in, size_t len, size_t step)
{
	chat_request_init(s);
	for (size_t at = 0; at < len; at += step) {
		size_t n = len - at < step ? len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in + at, n);
		bool good = chat_request_feed(s, piece, n);
		free(piece);
		assert_int_equal(good, s->error == CHAT_REQUEST_OK);
		if (!good)
			break;
	}
	return chat_request_finish(s);
}

static struct chat_request
scan_every_way(const char *in, size_t len, enum chat_request_error *ret_error)
{
	struct chat_request_scan *whole = calloc(1, sizeof *whole), *pieces = calloc(1, sizeof *pieces);
	*ret_error = scan(whole, in, len, len ? len : 1);
	for (size_t step = 1; step < len; step++) {
		assert_int_equal(scan(pieces, in, len, step), *ret_error);
		if (*ret_error == CHAT_REQUEST_OK)
			assert_memory_equal(&pieces->result, &whole->result, sizeof whole->result);
	}
	struct chat_request r = whole->result;
	free(whole);
	free(pieces);
	return r;
}

#define M "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define BASE "{\"model\":\"m\"," M

static void
bad_bodies_are_refused_for_the_right_reason(void **state)
{
	static const struct {
		enum chat_request_error error;
		const char *body;
	} rows[] = {
		{CHAT_REQUEST_NOT_JSON, ""},
		{CHAT_REQUEST_NOT_JSON, "{"},
		{CHAT_REQUEST_NOT_JSON, BASE},
		{CHAT_REQUEST_NOT_JSON, BASE "}x"},
		{CHAT_REQUEST_NOT_JSON, BASE ",\"x\":tru}"},
		{CHAT_REQUEST_NOT_JSON, "model=gpt"},
		{CHAT_REQUEST_NOT_OBJECT, "[]"},
		{CHAT_REQUEST_NOT_OBJECT, "\"model\""},
		{CHAT_REQUEST_NOT_OBJECT, "null"},
		{CHAT_REQUEST_NOT_OBJECT, "12"},
		{CHAT_REQUEST_NO_MODEL, "{}"},
		{CHAT_REQUEST_NO_MODEL, "{" M "}"},
		{CHAT_REQUEST_NO_MODEL, "{\"model\":null," M "}"},
		{CHAT_REQUEST_NO_MODEL, "{\"model\":\"\"," M "}"},
		{CHAT_REQUEST_NO_MODEL, "{\"x\":{\"model\":\"m\"}," M "}"},
		{CHAT_REQUEST_BAD_MODEL, "{\"model\":7," M "}"},
		{CHAT_REQUEST_BAD_MODEL, "{\"model\":[\"m\"]," M "}"},
		{CHAT_REQUEST_DUPLICATE, BASE ",\"model\":\"n\"}"},
		{CHAT_REQUEST_DUPLICATE, BASE ",\"mod\\u0065l\":\"n\"}"},
		{CHAT_REQUEST_DUPLICATE, BASE ",\"stream\":true,\"stream\":true}"},
		{CHAT_REQUEST_DUPLICATE, BASE ",\"messages\":[]}"},
		{CHAT_REQUEST_DUPLICATE, BASE ",\"max_tokens\":null,\"max_tokens\":9}"},
		{CHAT_REQUEST_DUPLICATE, BASE ",\"stream_options\":{},\"stream_options\":{}}"},
		{CHAT_REQUEST_BAD_STREAM, BASE ",\"stream\":\"true\"}"},
		{CHAT_REQUEST_BAD_STREAM, BASE ",\"stream\":1}"},
		{CHAT_REQUEST_BAD_STREAM, BASE ",\"stream\":{}}"},
		{CHAT_REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":0}"},
		{CHAT_REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":-1}"},
		{CHAT_REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":1.5}"},
		{CHAT_REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":1e3}"},
		{CHAT_REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":4294967296}"},
		{CHAT_REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":\"5\"}"},
		{CHAT_REQUEST_BAD_MAX_COMPLETION_TOKENS, BASE ",\"max_completion_tokens\":false}"},
		{CHAT_REQUEST_BAD_MAX_COMPLETION_TOKENS, BASE ",\"max_completion_tokens\":[5]}"},
		{CHAT_REQUEST_BAD_N, BASE ",\"n\":0}"},
		{CHAT_REQUEST_BAD_N, BASE ",\"n\":129}"},
		{CHAT_REQUEST_BAD_N, BASE ",\"n\":\"1\"}"},
		{CHAT_REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream_options\":{}}"},
		{CHAT_REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream_options\":{},\"stream\":false}"},
		{CHAT_REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream\":true,\"stream_options\":[]}"},
		{CHAT_REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream\":true,\"stream_options\":true}"},
		{CHAT_REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream\":true,\"stream_options\":{\"include_usage\":1}}"},
		{CHAT_REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}"},
		{CHAT_REQUEST_NO_MESSAGES, "{\"model\":\"m\"}"},
		{CHAT_REQUEST_NO_MESSAGES, "{\"model\":\"m\",\"messages\":null}"},
		{CHAT_REQUEST_NO_MESSAGES, "{\"model\":\"m\",\"messages\":\"hi\"}"},
		{CHAT_REQUEST_FOREIGN_OBJECT, "{\"messages\":[{\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}]}],\"model\":\"m\"}"},
		{CHAT_REQUEST_FOREIGN_OBJECT, "{\"messages\":[{\"content\":[[{\"x\":{\"file\":{\"filename\":\"a\",\"file\\u005fid\":\"file-1\"}}}]]}],\"model\":\"m\"}"},
		{CHAT_REQUEST_FOREIGN_OBJECT, "{\"messages\":[{\"role\":\"assistant\",\"audio\":{\"id\":\"audio_1\"}}],\"model\":\"m\"}"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum chat_request_error e;
		scan_every_way(rows[i].body, strlen(rows[i].body), &e);
		if (e != rows[i].error)
			print_error("row %zu: %d instead of %d: %s\n", i, e, rows[i].error, rows[i].body);
		assert_int_equal(e, rows[i].error);
	}
}

static void
nesting_beyond_the_limit_has_its_own_answer(void **state)
{
	char body[256] = "{\"x\":";
	enum chat_request_error e;
	size_t n = strlen(body);
	memset(body + n, '[', CHAT_DEPTH_MAX);
	scan_every_way(body, n + CHAT_DEPTH_MAX, &e);
	assert_int_equal(e, CHAT_REQUEST_TOO_DEEP);
	scan_every_way(body, n + CHAT_DEPTH_MAX - 1, &e);
	assert_int_equal(e, CHAT_REQUEST_NOT_JSON);
}

static void
the_models_name_has_a_limit(void **state)
{
	enum chat_request_error e;
	for (size_t len = CHAT_MODEL_MAX; len <= 300; len += len == CHAT_MODEL_MAX ? 1 : 50) {
		char body[600] = "{\"model\":\"";
		memset(body + strlen(body), 'm', len);
		strcat(body, "\"," M "}");
		struct chat_request r = scan_every_way(body, strlen(body), &e);
		assert_int_equal(e, len > CHAT_MODEL_MAX ? CHAT_REQUEST_BAD_MODEL : CHAT_REQUEST_OK);
		if (e == CHAT_REQUEST_OK)
			assert_int_equal(r.model_len, len);
	}
}

static void
assert_value(const char *body, uint64_t at, uint64_t bytes, const char *want)
{
	assert_int_equal(bytes, strlen(want));
	assert_memory_equal(body + at, want, bytes);
}

static void
what_routing_needs_is_found(void **state)
{
	static const char body[] = " {\"tools\":[{}], \"model\" : \"gpt-\\u0034.1\\/x\",\"stream\":true,\"n\":3,\"store\":true,\"max_tokens\":9,"
							   "\"stream_options\": { \"include_obfuscation\":false, \"include_usage\" : true } ,\"reasoning_effort\":\"low\","
							   "\"max_completion_tokens\":4294967295,\"service_tier\":\"flex\"," M "} \n";
	enum chat_request_error e;
	struct chat_request r = scan_every_way(body, sizeof body - 1, &e);
	assert_int_equal(e, CHAT_REQUEST_OK);
	assert_int_equal(r.model_len, 9);
	assert_memory_equal(r.model, "gpt-4.1/x", 9);
	assert_true(r.stream && r.store && r.include_usage && r.has_stream_options && r.has_reasoning_effort && r.has_service_tier && r.has_tools);
	assert_true(r.has_cap && r.cap_is_completion && r.cap == UINT32_MAX);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.body_bytes, sizeof body - 1);
	assert_int_equal(r.object_at, 2);
	assert_false(r.empty_object || r.stream_options_empty);
	assert_value(body, r.model_at, r.model_bytes, "\"gpt-\\u0034.1\\/x\"");
	assert_value(body, r.cap_at, r.cap_bytes, "4294967295");
	assert_value(body, r.stream_options_at, r.stream_options_bytes, "{ \"include_obfuscation\":false, \"include_usage\" : true }");
	assert_int_equal(r.stream_options_inner_at, r.stream_options_at + 1);
	assert_value(body, r.include_usage_at, r.include_usage_bytes, "true");
}

static void
null_counts_as_absent(void **state)
{
	static const char body[] = BASE ",\"stream\":null,\"stream_options\":null,\"n\":null,\"max_completion_tokens\":null,\"max_tokens\":7,\"store\":null,"
									"\"tools\":null,\"reasoning_effort\":null,\"service_tier\":null}";
	enum chat_request_error e;
	struct chat_request r = scan_every_way(body, sizeof body - 1, &e);
	assert_int_equal(e, CHAT_REQUEST_OK);
	assert_false(r.stream || r.has_stream_options || r.store || r.has_tools || r.has_reasoning_effort || r.has_service_tier || r.cap_is_completion);
	assert_true(r.has_cap && r.cap == 7 && r.n == 1);
	assert_value(body, r.cap_at, r.cap_bytes, "7");
	assert_value(body, r.stream_options_at, r.stream_options_bytes, "null");
}

static void
little_objects_say_that_they_are_empty(void **state)
{
	enum chat_request_error e;
	static const char body[] = BASE ",\"stream\":true,\"tools\":[],\"stream_options\":{ },\"functions\":[]}";
	struct chat_request r = scan_every_way(body, sizeof body - 1, &e);
	assert_int_equal(e, CHAT_REQUEST_OK);
	assert_true(r.stream_options_empty && r.has_stream_options && !r.has_tools && !r.include_usage && r.include_usage_bytes == 0);
	assert_value(body, r.stream_options_inner_at - 1, 3, "{ }");
	r = scan_every_way("{ }", 3, &e);
	assert_true(r.empty_object && r.object_at == 1);
	static const char null_usage[] = BASE ",\"stream\":true,\"stream_options\":{\"include_usage\":null}}";
	r = scan_every_way(null_usage, sizeof null_usage - 1, &e);
	assert_true(e == CHAT_REQUEST_OK && !r.include_usage && !r.stream_options_empty);
	assert_value(null_usage, r.include_usage_at, r.include_usage_bytes, "null");
}

static void
media_are_counted_at_any_depth(void **state)
{
	static const char body[] =
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}},"
		"{\"type\":\"image_url\",\"image_url\":{\"detail\":\"low\",\"url\":\"https://x/y.png\"}},{\"type\":\"image_url\",\"image_url\":\"D\\u0061TA:,x\"},"
		"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAAAAAA\",\"format\":\"wav\"}},"
		"{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_id\":null,\"file_data\":\"data:,12\"}},{\"type\":\"text\",\"text\":\"image_url\"}]},"
		"{\"role\":\"tool\",\"content\":[[{\"parts\":[{\"image_url\":{\"url\":\"data:\"}}]}]]},{\"role\":\"assistant\",\"audio\":null,\"content\":null}],"
		"\"image_url\":{\"url\":\"data:not a message\"}}";
	enum chat_request_error e;
	struct chat_request r = scan_every_way(body, sizeof body - 1, &e);
	assert_int_equal(e, CHAT_REQUEST_OK);
	assert_int_equal(r.images, 4);
	assert_int_equal(r.audios, 1);
	assert_int_equal(r.files, 1);
	assert_int_equal(r.inline_media_bytes,
		strlen("data:image/png;base64,AAAA") + strlen("D\\u0061TA:,x") + strlen("AAAAAAAA") + strlen("data:,12") + strlen("data:"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_bodies_are_refused_for_the_right_reason),
		cmocka_unit_test(nesting_beyond_the_limit_has_its_own_answer),
		cmocka_unit_test(the_models_name_has_a_limit),
		cmocka_unit_test(what_routing_needs_is_found),
		cmocka_unit_test(null_counts_as_absent),
		cmocka_unit_test(little_objects_say_that_they_are_empty),
		cmocka_unit_test(media_are_counted_at_any_depth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
