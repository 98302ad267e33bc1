#include "dialect/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum request_error
scan(struct request_scan *s, const char *in, size_t len, size_t step)
{
	request_scan_init(s, ENDPOINT_CHAT_COMPLETIONS);
	for (size_t at = 0; at < len; at += step) {
		size_t n = len - at < step ? len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in + at, n);
		bool good = request_scan_feed(s, piece, n);
		free(piece);
		assert_int_equal(good, s->error == REQUEST_OK);
		if (!good)
			break;
	}
	return request_scan_finish(s);
}

static struct request_facts
scan_every_way(const char *in, size_t len, enum request_error *ret_error)
{
	struct request_scan *whole = calloc(1, sizeof *whole), *pieces = calloc(1, sizeof *pieces);
	*ret_error = scan(whole, in, len, len ? len : 1);
	for (size_t step = 1; step < len; step++) {
		assert_int_equal(scan(pieces, in, len, step), *ret_error);
		if (*ret_error == REQUEST_OK)
			assert_memory_equal(&pieces->result, &whole->result, sizeof whole->result);
	}
	struct request_facts r = whole->result;
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
		enum request_error error;
		const char *body;
	} rows[] = {
		{REQUEST_NOT_JSON, ""},
		{REQUEST_NOT_JSON, "{"},
		{REQUEST_NOT_JSON, BASE},
		{REQUEST_NOT_JSON, BASE "}x"},
		{REQUEST_NOT_JSON, BASE ",\"x\":tru}"},
		{REQUEST_NOT_JSON, "model=gpt"},
		{REQUEST_NOT_OBJECT, "[]"},
		{REQUEST_NOT_OBJECT, "\"model\""},
		{REQUEST_NOT_OBJECT, "null"},
		{REQUEST_NOT_OBJECT, "12"},
		{REQUEST_NO_MODEL, "{}"},
		{REQUEST_NO_MODEL, "{" M "}"},
		{REQUEST_NO_MODEL, "{\"model\":null," M "}"},
		{REQUEST_NO_MODEL, "{\"model\":\"\"," M "}"},
		{REQUEST_NO_MODEL, "{\"x\":{\"model\":\"m\"}," M "}"},
		{REQUEST_BAD_MODEL, "{\"model\":7," M "}"},
		{REQUEST_BAD_MODEL, "{\"model\":[\"m\"]," M "}"},
		{REQUEST_DUPLICATE, BASE ",\"model\":\"n\"}"},
		{REQUEST_DUPLICATE, BASE ",\"mod\\u0065l\":\"n\"}"},
		{REQUEST_DUPLICATE, BASE ",\"stream\":true,\"stream\":true}"},
		{REQUEST_DUPLICATE, BASE ",\"messages\":[]}"},
		{REQUEST_DUPLICATE, BASE ",\"max_tokens\":null,\"max_tokens\":9}"},
		{REQUEST_DUPLICATE, BASE ",\"stream_options\":{},\"stream_options\":{}}"},
		{REQUEST_BAD_STREAM, BASE ",\"stream\":\"true\"}"},
		{REQUEST_BAD_STREAM, BASE ",\"stream\":1}"},
		{REQUEST_BAD_STREAM, BASE ",\"stream\":{}}"},
		{REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":0}"},
		{REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":-1}"},
		{REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":1.5}"},
		{REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":1e3}"},
		{REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":4294967296}"},
		{REQUEST_BAD_MAX_TOKENS, BASE ",\"max_tokens\":\"5\"}"},
		{REQUEST_BAD_MAX_COMPLETION_TOKENS, BASE ",\"max_completion_tokens\":false}"},
		{REQUEST_BAD_MAX_COMPLETION_TOKENS, BASE ",\"max_completion_tokens\":[5]}"},
		{REQUEST_BAD_N, BASE ",\"n\":0}"},
		{REQUEST_BAD_N, BASE ",\"n\":129}"},
		{REQUEST_BAD_N, BASE ",\"n\":\"1\"}"},
		{REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream_options\":{}}"},
		{REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream_options\":{},\"stream\":false}"},
		{REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream\":true,\"stream_options\":[]}"},
		{REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream\":true,\"stream_options\":true}"},
		{REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream\":true,\"stream_options\":{\"include_usage\":1}}"},
		{REQUEST_BAD_STREAM_OPTIONS, BASE ",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}"},
		{REQUEST_NO_MESSAGES, "{\"model\":\"m\"}"},
		{REQUEST_NO_MESSAGES, "{\"model\":\"m\",\"messages\":null}"},
		{REQUEST_NO_MESSAGES, "{\"model\":\"m\",\"messages\":\"hi\"}"},
		{REQUEST_FOREIGN_OBJECT, "{\"messages\":[{\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":[\"file-1\"]}}]}],\"model\":\"m\"}"},
		{REQUEST_FOREIGN_OBJECT, "{\"messages\":[{\"content\":[[{\"x\":{\"file\":{\"filename\":\"a\",\"file\\u005fid\":7}}}]]}],\"model\":\"m\"}"},
		{REQUEST_FOREIGN_OBJECT, "{\"messages\":[{\"role\":\"assistant\",\"audio\":{\"id\":\"audio_1\"}}],\"model\":\"m\"}"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum request_error e;
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
	enum request_error e;
	size_t n = strlen(body);
	memset(body + n, '[', REQUEST_DEPTH_MAX);
	scan_every_way(body, n + REQUEST_DEPTH_MAX, &e);
	assert_int_equal(e, REQUEST_TOO_DEEP);
	scan_every_way(body, n + REQUEST_DEPTH_MAX - 1, &e);
	assert_int_equal(e, REQUEST_NOT_JSON);
}

static void
the_models_name_has_a_limit(void **state)
{
	enum request_error e;
	for (size_t len = REQUEST_MODEL_MAX; len <= 300; len += len == REQUEST_MODEL_MAX ? 1 : 50) {
		char body[600] = "{\"model\":\"";
		memset(body + strlen(body), 'm', len);
		strcat(body, "\"," M "}");
		struct request_facts r = scan_every_way(body, strlen(body), &e);
		assert_int_equal(e, len > REQUEST_MODEL_MAX ? REQUEST_BAD_MODEL : REQUEST_OK);
		if (e == REQUEST_OK)
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
	enum request_error e;
	struct request_facts r = scan_every_way(body, sizeof body - 1, &e);
	assert_int_equal(e, REQUEST_OK);
	assert_int_equal(r.model_len, 9);
	assert_memory_equal(r.model, "gpt-4.1/x", 9);
	assert_true(r.stream && r.store && r.include_usage && r.has_stream_options && r.has_reasoning_effort && r.has_service_tier && r.has_tools);
	assert_true(r.has_cap && r.cap_is_completion && r.cap == UINT32_MAX);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.body_bytes, sizeof body - 1);
	assert_int_equal(r.object_at, 2);
	assert_false(r.empty_object || r.stream_options.empty);
	assert_value(body, r.model_at, r.model_bytes, "\"gpt-\\u0034.1\\/x\"");
	assert_value(body, r.cap_at, r.cap_bytes, "4294967295");
	assert_value(body, r.stream_options.at, r.stream_options.bytes, "{ \"include_obfuscation\":false, \"include_usage\" : true }");
	assert_int_equal(r.stream_options.inner_at, r.stream_options.at + 1);
	assert_value(body, r.include_usage_at, r.include_usage_bytes, "true");
}

static void
null_counts_as_absent(void **state)
{
	static const char body[] = BASE ",\"stream\":null,\"stream_options\":null,\"n\":null,\"max_completion_tokens\":null,\"max_tokens\":7,\"store\":null,"
									"\"tools\":null,\"reasoning_effort\":null,\"service_tier\":null}";
	enum request_error e;
	struct request_facts r = scan_every_way(body, sizeof body - 1, &e);
	assert_int_equal(e, REQUEST_OK);
	assert_false(r.stream || r.has_stream_options || r.store || r.has_tools || r.has_reasoning_effort || r.has_service_tier || r.cap_is_completion);
	assert_true(r.has_cap && r.cap == 7 && r.n == 1);
	assert_value(body, r.cap_at, r.cap_bytes, "7");
	assert_value(body, r.stream_options.at, r.stream_options.bytes, "null");
}

static void
little_objects_say_that_they_are_empty(void **state)
{
	enum request_error e;
	static const char body[] = BASE ",\"stream\":true,\"tools\":[],\"stream_options\":{ },\"functions\":[]}";
	struct request_facts r = scan_every_way(body, sizeof body - 1, &e);
	assert_int_equal(e, REQUEST_OK);
	assert_true(r.stream_options.empty && r.has_stream_options && !r.has_tools && !r.include_usage && r.include_usage_bytes == 0);
	assert_value(body, r.stream_options.inner_at - 1, 3, "{ }");
	r = scan_every_way("{ }", 3, &e);
	assert_true(r.empty_object && r.object_at == 1);
	static const char null_usage[] = BASE ",\"stream\":true,\"stream_options\":{\"include_usage\":null}}";
	r = scan_every_way(null_usage, sizeof null_usage - 1, &e);
	assert_true(e == REQUEST_OK && !r.include_usage && !r.stream_options.empty);
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
	enum request_error e;
	struct request_facts r = scan_every_way(body, sizeof body - 1, &e);
	assert_int_equal(e, REQUEST_OK);
	assert_int_equal(r.images, 4);
	assert_int_equal(r.audios, 1);
	assert_int_equal(r.files, 1);
	assert_int_equal(r.inline_media_bytes,
		strlen("data:image/png;base64,AAAA") + strlen("D\\u0061TA:,x") + strlen("AAAAAAAA") + strlen("data:,12") + strlen("data:"));
}

/* ---- the other languages ---- */

static struct request_scan *
scanned(enum endpoint endpoint, const char *body, enum request_error *ret_error)
{
	struct request_scan *s = calloc(1, sizeof *s);
	request_scan_init(s, endpoint);
	(void)!request_scan_feed(s, body, strlen(body));
	*ret_error = request_scan_finish(s);
	return s;
}

#define URI(text) "{\"contents\":[{\"parts\":[{\"fileData\":{\"fileUri\":\"" text "\"}}]}]}"
#define SIXTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

#define ITEM(members) "{\"model\":\"m\",\"input\":[{" members "}]}"

static void
each_language_refuses_for_the_right_reason(void **state)
{
	static const struct {
		enum endpoint endpoint;
		enum request_error error;
		const char *body;
	} rows[] = {
		{ENDPOINT_RESPONSES, REQUEST_OK, "{\"model\":\"m\",\"input\":\"hi\"}"},
		{ENDPOINT_RESPONSES, REQUEST_NO_INPUT, "{\"model\":\"m\",\"input\":null}"},
		{ENDPOINT_RESPONSES, REQUEST_NO_MODEL, "{\"input\":\"hi\"}"},
		{ENDPOINT_RESPONSES, REQUEST_BAD_MAX_OUTPUT_TOKENS, "{\"model\":\"m\",\"input\":\"hi\",\"max_output_tokens\":0}"},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, "{\"model\":\"m\",\"input\":\"hi\",\"previous_response_id\":[\"resp_1\"]}"},
		{ENDPOINT_RESPONSES, REQUEST_OK, "{\"model\":\"m\",\"input\":\"hi\",\"previous_response_id\":null,\"background\":false}"},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, "{\"model\":\"m\",\"input\":\"hi\",\"conversation\":{\"id\":{}}}"},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, "{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]}"},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT,
			"{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"file_id\":{\"id\":\"f\"}}]}]}"},
		{ENDPOINT_RESPONSES, REQUEST_OK,
			"{\"model\":\"m\",\"input\":[{\"type\":\"message\",\"content\":[{\"annotations\":[{\"file_id\":\"f\"}]}]}]}"},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT,
			"{\"model\":\"m\",\"input\":\"hi\",\"tools\":[{\"type\":\"file_search\",\"vector_store_ids\":[\"v\"]}]}"},
		{ENDPOINT_RESPONSES, REQUEST_OK,
			"{\"model\":\"m\",\"input\":\"hi\",\"tools\":[{\"type\":\"code_interpreter\",\"container\":{\"type\":\"auto\"}}]}"},
		{ENDPOINT_RESPONSES, REQUEST_OK, /* a function's own argument of that name */
			"{\"model\":\"m\",\"input\":\"hi\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"properties\":{\"file_id\":{\"type\":\"string\"}}}}]}"},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"id\":\"x\"")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"type\":null,\"id\":\"x\",\"role\":\"user\"")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"id\":\"x\",\"type\":\"reasoning\",\"type\":null")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"id\":\"x\",\"arguments\":\"{}\"")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"id\":\"x\",\"content\":\"a\",\"content\":null")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"type\":\"reasoning\",\"id\":\"rs_1\"")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"content\":[],\"encrypted_content\":\"\",\"status\":\"completed\"")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"x\":1")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"type\":\"image_generation_call\",\"id\":\"ig_1\",\"status\":\"completed\",\"quality\":\"high\",\"result\":null")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"type\":\"web_search_call\",\"id\":\"ws_1\",\"status\":\"completed\"")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\"")},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, ITEM("\"type\":\"tool_search_output\",\"tools\":[{\"type\":\"file_search\",\"vector_store_ids\":[\"v\"]}]")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"role\":\"user\",\"content\":\"hi\"")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"id\":\"msg_1\",\"role\":\"user\",\"content\":\"hi\"")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\",\"annotations\":[{\"container_id\":\"c\"}]}]")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"status\":\"incomplete\",\"content\":[]")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"function_call\",\"id\":\"fc_1\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"encrypted_content\":\"g\"")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"a\"}]")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"reasoning\",\"summary\":[]")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"image_generation_call\",\"id\":\"ig_1\",\"result\":\"aGk=\"")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"code_interpreter_call\",\"id\":\"ci_1\",\"container_id\":null,\"code\":\"1\"")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"tool_search_output\",\"tools\":[{\"type\":\"code_interpreter\",\"container\":{\"type\":\"auto\"}}]")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"web_search_call\",\"id\":\"ws_1\",\"status\":\"completed\",\"action\":{\"type\":\"search\"}")},
		{ENDPOINT_RESPONSES, REQUEST_OK, ITEM("\"type\":\"mcp_list_tools\",\"id\":\"m\",\"tools\":[{\"input_schema\":{\"properties\":{\"container_id\":{\"type\":\"string\"}}}}]")},
		{ENDPOINT_RESPONSES, REQUEST_OK, "{\"model\":\"m\",\"input\":\"hi\",\"background\":true,\"conversation\":null}"},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, "{\"model\":\"m\",\"input\":\"hi\",\"tools\":[{\"container\":[\"c\"]}]}"},
		{ENDPOINT_RESPONSES, REQUEST_FOREIGN_OBJECT, "{\"model\":\"m\",\"input\":\"hi\",\"tools\":[{\"container\":{\"file_ids\":\"f\"}}]}"},
		{ENDPOINT_RESPONSES, REQUEST_OK, "{\"model\":\"m\",\"input\":\"hi\",\"tools\":[{\"container\":{\"type\":\"auto\",\"file_ids\":[]}}]}"},
		{ENDPOINT_EMBEDDINGS, REQUEST_NO_INPUT, "{\"model\":\"m\"}"},
		{ENDPOINT_EMBEDDINGS, REQUEST_OK, "{\"model\":\"m\",\"input\":[[1,2],[3]]}"},
		{ENDPOINT_MODERATIONS, REQUEST_OK, "{\"input\":\"hi\"}"},
		{ENDPOINT_MESSAGES, REQUEST_NO_MAX_TOKENS, BASE "}"},
		{ENDPOINT_MESSAGES, REQUEST_OK, BASE ",\"max_tokens\":0}"},
		{ENDPOINT_MESSAGES_COUNT_TOKENS, REQUEST_OK, BASE "}"},
		{ENDPOINT_MESSAGES, REQUEST_NO_MESSAGES, "{\"model\":\"m\",\"max_tokens\":5,\"messages\":\"hi\"}"},
		{ENDPOINT_MESSAGES, REQUEST_FOREIGN_OBJECT, BASE ",\"max_tokens\":5,\"container\":\"c\"}"},
		{ENDPOINT_MESSAGES, REQUEST_FOREIGN_OBJECT,
			"{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":7}}]}]}"},
		{ENDPOINT_MESSAGES, REQUEST_OK, /* a tool's own argument of that name */
			"{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"content\":[{\"type\":\"tool_use\",\"input\":{\"source\":{\"file_id\":\"f\"}}}]}]}"},
		{ENDPOINT_GENERATE_CONTENT, REQUEST_NO_CONTENTS, "{}"},
		{ENDPOINT_GENERATE_CONTENT, REQUEST_OK, "{\"contents\":[]}"},
		{ENDPOINT_GENERATE_CONTENT, REQUEST_DUPLICATE, "{\"contents\":[],\"generationConfig\":{},\"generation_config\":{}}"},
		{ENDPOINT_GENERATE_CONTENT, REQUEST_BAD_GENERATION_CONFIG, "{\"contents\":[],\"generationConfig\":{\"maxOutputTokens\":\"x\"}}"},
		{ENDPOINT_GENERATE_CONTENT, REQUEST_BAD_CANDIDATES, "{\"contents\":[],\"generationConfig\":{\"candidateCount\":1000}}"},
		{ENDPOINT_GENERATE_CONTENT, REQUEST_FOREIGN_OBJECT, "{\"contents\":[],\"cachedContent\":\"cachedContents/1\"}"},
		{ENDPOINT_GENERATE_CONTENT, REQUEST_OK,
			"{\"contents\":[{\"parts\":[{\"fileData\":{\"fileUri\":\"https://www.youtube.com/watch?v=a\"}}]}]}"},
		{ENDPOINT_GENERATE_CONTENT, REQUEST_OK, URI("https://example.com/" SIXTY SIXTY SIXTY "?at=a@b%20c")},
		{ENDPOINT_GENERATE_CONTENT, REQUEST_OK, URI("gs://bucket/a.pdf")},
		{ENDPOINT_BATCH_EMBED_CONTENTS, REQUEST_BAD_MODEL, "{\"requests\":[{\"model\":7}]}"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum request_error error;
		free(scanned(rows[i].endpoint, rows[i].body, &error));
		if (error != rows[i].error)
			fail_msg("row %zu: %d instead of %d", i, error, rows[i].error);
	}
}

static void
what_costs_is_found_in_each_language(void **state)
{
	static const struct {
		enum endpoint endpoint;
		const char *body;
		uint32_t cap, n, images, audios, files, media, tools, uses;
	} rows[] = {
		{ENDPOINT_RESPONSES,
			"{\"model\":\"m\",\"input\":[{\"content\":[{\"type\":\"input_image\",\"image_url\":\"data:,123\"},{\"type\":\"input_file\",\"file_data\":\"1234\"}]}],"
			"\"max_output_tokens\":9,\"max_tool_calls\":3,\"tools\":[{\"type\":\"web_search_preview\"},{\"type\":\"code_interpreter\"}]}",
			9, 1, 1, 0, 1, 13, 1u << TOOL_web_search | 1u << TOOL_code_session, 3},
		{ENDPOINT_MESSAGES,
			"{\"model\":\"m\",\"max_tokens\":7,\"messages\":[{\"content\":[{\"type\":\"image\",\"source\":{\"data\":\"12\"}},{\"type\":\"document\",\"source\":{\"data\":\"3\"}}]}],"
			"\"tools\":[{\"type\":\"web_search_20250305\",\"max_uses\":4}]}",
			7, 1, 1, 0, 1, 3, 1u << TOOL_web_search, 4},
		{ENDPOINT_MESSAGES, /* a document's text is text */
			"{\"model\":\"m\",\"max_tokens\":7,\"messages\":[{\"content\":[{\"type\":\"document\",\"source\":{\"data\":\"123456\",\"type\":\"text\"}},"
			"{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"data\":\"12\"}}]}]}",
			7, 1, 0, 0, 2, 2, 0, 0},
		{ENDPOINT_GENERATE_CONTENT,
			"{\"contents\":[{\"parts\":[{\"inline_data\":{\"data\":\"1234\",\"mime_type\":\"image/png\"}},{\"inlineData\":{\"mimeType\":\"audio/wav\",\"data\":\"1\"}},"
			"{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":\"1\"}}]}],\"generationConfig\":{\"maxOutputTokens\":8,\"candidateCount\":2},\"tools\":[{\"googleSearch\":{}}]}",
			8, 2, 1, 1, 1, 6, 1u << TOOL_web_search, 0},
		{ENDPOINT_GENERATE_CONTENT, "{\"contents\":[{\"parts\":[{\"inlineData\":{\"data\":\"123456\",\"mimeType\":\"text/plain\"}}]}],\"generationConfig\":{\"maxOutputTokens\":8}}", 8, 1, 0,
			0, 1, 0, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum request_error error;
		struct request_scan *s = scanned(rows[i].endpoint, rows[i].body, &error);
		const struct request_facts *r = &s->result;
		assert_int_equal(error, REQUEST_OK);
		assert_true(r->has_cap);
		assert_int_equal(r->cap, rows[i].cap);
		assert_int_equal(r->n, rows[i].n);
		assert_int_equal(r->images, rows[i].images);
		assert_int_equal(r->audios, rows[i].audios);
		assert_int_equal(r->files, rows[i].files);
		assert_int_equal(r->inline_media_bytes, rows[i].media);
		assert_int_equal(r->server_tools, rows[i].tools);
		assert_int_equal(r->tool_uses, rows[i].uses);
		free(s);
	}
}

/* Each prompt has answers of its own, and those that are only chosen from cost as well. */
static void
old_completions_count_what_is_made(void **state)
{
	static const struct {
		const char *rest;
		enum request_error error;
		uint32_t n, prompts, tokens;
	} rows[] = {
		{"\"prompt\":\"hi\"", REQUEST_OK, 1, 0, 0},
		{"\"prompt\":[\"a\",\"b\",\"c\"],\"n\":2", REQUEST_OK, 6, 3, 0},
		{"\"prompt\":[11,12],\"n\":2,\"best_of\":5,\"max_tokens\":0", REQUEST_OK, 5, 0, 2},
		{"\"prompt\":[[1,2],[3]],\"best_of\":null", REQUEST_OK, 2, 2, 3},
		{"\"prompt\":[\"a\",\"b\"],\"n\":64", REQUEST_OK, 128, 2, 0},
		{"\"prompt\":[\"a\",\"b\"],\"best_of\":65", REQUEST_TOO_MANY_ANSWERS},
		{"\"prompt\":\"a\",\"best_of\":129", REQUEST_BAD_BEST_OF},
		{"\"prompt\":\"a\",\"best_of\":2,\"best_of\":1", REQUEST_DUPLICATE},
		{"\"prompt\":null", REQUEST_NO_PROMPT},
		{"\"messages\":[]", REQUEST_NO_PROMPT},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char body[200];
		enum request_error error;
		snprintf(body, sizeof body, "{\"model\":\"m\",%s}", rows[i].rest);
		struct request_scan *s = scanned(ENDPOINT_COMPLETIONS, body, &error);
		assert_int_equal(error, rows[i].error);
		if (error == REQUEST_OK) {
			assert_int_equal(s->result.n, rows[i].n);
			assert_int_equal(s->result.prompts, rows[i].prompts);
			assert_int_equal(s->result.prompt_tokens, rows[i].tokens);
		}
		free(s);
	}
}

/* Texts that are embedded together are many, and no answers: 2,048 of them are allowed. */
static void
embeddings_count_their_texts(void **state)
{
	enum request_error error;
	static char body[2048 * 4 + 100];
	(void)state;
	strcpy(body, "{\"model\":\"m\",\"input\":[\"a\"");
	for (int i = 1; i < 2048; i++)
		strcat(body, ",\"a\"");
	strcat(body, "]}");
	struct request_scan *s = scanned(ENDPOINT_EMBEDDINGS, body, &error);
	assert_int_equal(error, REQUEST_OK);
	assert_int_equal(s->result.prompts, 2048);
	assert_int_equal(s->result.n, 1);
	free(s);
	s = scanned(ENDPOINT_EMBEDDINGS, "{\"model\":\"m\",\"input\":[[1,2],[3]]}", &error);
	assert_int_equal(s->result.prompts, 2);
	assert_int_equal(s->result.prompt_tokens, 3);
	free(s);
	s = scanned(ENDPOINT_MODERATIONS, "{\"input\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:,12\"}}]}", &error);
	assert_int_equal(error, REQUEST_OK);
	assert_int_equal(s->result.images, 1);
	free(s);
}

/* The caller's objects are named by place; what is no name is refused, as is one too many. */
static void
objects_are_found_wherever_they_are_named(void **state)
{
	static const struct {
		enum endpoint endpoint;
		const char *body;
		const char *names[4], *cited[3];
	} rows[] = {
		{ENDPOINT_CHAT_COMPLETIONS, "{\"model\":\"m\",\"messages\":[{\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}]}]}", {"\"file-1\""}},
		{ENDPOINT_CHAT_COMPLETIONS, "{\"model\":\"m\",\"messages\":[{\"content\":[[{\"x\":{\"file\":{\"file\\u005fid\":\"a\",\"file_id\":\"b\"}}}]]}]}", {"\"a\"", "\"b\""}},
		{ENDPOINT_CHAT_COMPLETIONS, "{\"model\":\"m\",\"messages\":[{\"content\":[{\"file\":{\"file_id\":null}}]}]}", {NULL}},
		{ENDPOINT_RESPONSES,
			"{\"input\":[{\"content\":[{\"type\":\"input_file\",\"file_id\":\"a\"},{\"type\":\"input_image\",\"file_id\":\"\\u0062\"}]}],\"model\":\"m\"}", {"\"a\"", "\"\\u0062\""}},
		{ENDPOINT_MESSAGES, "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"a\"}}]}]}", {"\"a\""}},
		{ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":[{\"content\":[{\"annotations\":[{\"file_id\":\"f\"}]}]}]}", {NULL}, {"\"f\""}},
		{ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":[{\"type\":\"code_interpreter_call\",\"container_id\":\"c\"},{\"environment\":{\"container_id\":\"d\"}}]}", {"\"c\"", "\"d\""}},
		{ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":\"\",\"tools\":[{\"container\":\"c\"},{\"container\":{\"type\":\"auto\",\"file_ids\":[\"a\",\"b\"]}}]}", {"\"c\"", "\"a\"", "\"b\""}},
		{ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":\"\",\"tools\":[{\"environment\":{\"container_id\":\"c\"}},{\"input_image_mask\":{\"file_id\":\"f\"}},{\"parameters\":{\"file_id\":\"p\"}}]}", {"\"c\"", "\"f\""}},
		{ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":[{\"type\":\"tool_search_output\",\"tools\":[{\"container\":\"c\",\"parameters\":{\"file_id\":\"p\"}}]}]}", {"\"c\""}},
		{ENDPOINT_MESSAGES, "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"content\":[{\"citations\":[{\"file_id\":\"a\"}]},{\"content\":{\"content\":[{\"file_id\":\"b\"}]}},{\"input\":{\"file_id\":\"c\"}}]}]}", {NULL}, {"\"a\"", "\"b\""}},
		{ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":\"hi\",\"previous_response_id\":\"a\",\"conversation\":null}", {"\"a\""}},
		{ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":\"hi\",\"conversation\":{\"\\u0069d\":\"a\",\"x\":{\"id\":\"b\"}},\"conversation\":\"c\"}", {"\"a\"", "\"c\""}},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum request_error error;
		struct request_scan *s = scanned(rows[i].endpoint, rows[i].body, &error);
		uint32_t n = 0;
		assert_int_equal(error, REQUEST_OK);
		for (; rows[i].names[n]; n++) {
			assert_int_equal(s->result.objects[n].bytes, strlen(rows[i].names[n]));
			assert_memory_equal(rows[i].body + s->result.objects[n].at, rows[i].names[n], s->result.objects[n].bytes);
		}
		assert_int_equal(s->result.object_count, n);
		for (n = 0; rows[i].cited[n]; n++)
			assert_memory_equal(rows[i].body + s->result.cited[n].at, rows[i].cited[n], strlen(rows[i].cited[n]));
		assert_int_equal(s->result.cited_count, n);
		free(s);
	}
	for (int many = REQUEST_OBJECTS_MAX; many <= REQUEST_OBJECTS_MAX + 1; many++) {
		char body[2048] = "{\"model\":\"m\",\"messages\":[{\"content\":[";
		enum request_error error;
		for (int i = 0; i < many; i++)
			strcat(body, "{\"file\":{\"file_id\":\"f\"}},");
		strcpy(body + strlen(body) - 1, "]}]}");
		free(scanned(ENDPOINT_CHAT_COMPLETIONS, body, &error));
		assert_int_equal(error, many > REQUEST_OBJECTS_MAX ? REQUEST_TOO_MANY_OBJECTS : REQUEST_OK);
	}
}

/* Edits the body and compares the whole. */
static void
assert_edited(enum endpoint endpoint, struct request_wish wish, const char *body, const char *expected)
{
	enum request_error error;
	struct request_scan *s = scanned(endpoint, body, &error);
	struct request_edit *edits = calloc(REQUEST_EDITS_MAX, sizeof *edits);
	char made[REQUEST_EDIT_TEXT_MAX], *out = calloc(1, strlen(body) + 4096), *p = out;
	struct text room = text_on(made, sizeof made);
	assert_int_equal(error, REQUEST_OK);
	if (!s->result.model_bytes) { /* the path names it */
		memcpy(s->result.model, "path", 4);
		s->result.model_len = 4;
	}
	uint32_t count = request_edits(&s->result, &wish, &room, edits);
	uint64_t at = 0;
	for (uint32_t i = 0; i < count; i++) {
		p = mempcpy(p, body + at, edits[i].at - at);
		p = mempcpy(p, edits[i].text, edits[i].text_len);
		at = edits[i].at + edits[i].remove;
	}
	strcpy(p, body + at);
	assert_string_equal(out, expected);
	free(out);
	free(edits);
	free(s);
}

static void
edits_change_what_was_wished_and_nothing_else(void **state)
{
	static const struct {
		enum endpoint endpoint;
		struct request_wish wish;
		const char *body, *expected;
	} rows[] = {
		{ENDPOINT_CHAT_COMPLETIONS, {.model = SPAN_INIT("m")}, BASE " }", BASE " }"},
		{ENDPOINT_CHAT_COMPLETIONS, {.model = SPAN_INIT("up")}, BASE "}", "{\"model\":\"up\"," M "}"},
		{ENDPOINT_CHAT_COMPLETIONS, {.model = SPAN_INIT("m"), .cap = 5}, BASE "}", "{\"max_completion_tokens\":5,\"model\":\"m\"," M "}"},
		{ENDPOINT_CHAT_COMPLETIONS, {.model = SPAN_INIT("m"), .cap = 5, .old_cap = true}, BASE "}", "{\"max_tokens\":5,\"model\":\"m\"," M "}"},
		{ENDPOINT_CHAT_COMPLETIONS, {.model = SPAN_INIT("m"), .ask_usage = true}, BASE ",\"stream\":true,\"stream_options\":{}}",
			BASE ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
		{ENDPOINT_RESPONSES, {.model = SPAN_INIT("m"), .no_store = true}, "{\"model\":\"m\",\"input\":1}", "{\"store\":false,\"model\":\"m\",\"input\":1}"},
		{ENDPOINT_RESPONSES, {.model = SPAN_INIT("m"), .no_store = true}, "{\"model\":\"m\",\"store\":false,\"input\":1}",
			"{\"model\":\"m\",\"store\":false,\"input\":1}"},
		{ENDPOINT_RESPONSES, {.model = SPAN_INIT("m"), .no_store = true, .cap = 6}, "{\"max_output_tokens\":null,\"model\":\"m\",\"store\":null,\"input\":1}",
			"{\"max_output_tokens\":6,\"model\":\"m\",\"store\":false,\"input\":1}"},
		{ENDPOINT_GENERATE_CONTENT, {.model = SPAN_INIT("up"), .cap = 6}, "{\"contents\":[]}", "{\"generationConfig\":{\"maxOutputTokens\":6},\"contents\":[]}"},
		{ENDPOINT_GENERATE_CONTENT, {.model = SPAN_INIT("up"), .cap = 6}, "{\"contents\":[],\"generationConfig\":{}}",
			"{\"contents\":[],\"generationConfig\":{\"maxOutputTokens\":6}}"},
		{ENDPOINT_GENERATE_CONTENT, {.model = SPAN_INIT("up"), .cap = 6}, "{\"contents\":[],\"generation_config\":{\"topK\":1}}",
			"{\"contents\":[],\"generation_config\":{\"maxOutputTokens\":6,\"topK\":1}}"},
		{ENDPOINT_GENERATE_CONTENT, {.model = SPAN_INIT("up"), .cap = 6}, "{\"contents\":[],\"generationConfig\":null}",
			"{\"contents\":[],\"generationConfig\":{\"maxOutputTokens\":6}}"},
		{ENDPOINT_BATCH_EMBED_CONTENTS, {.model = SPAN_INIT("up")}, "{\"requests\":[{\"model\":\"models/a\"},{\"content\":{},\"model\":\"models/a\"}]}",
			"{\"requests\":[{\"model\":\"models/up\"},{\"content\":{},\"model\":\"models/up\"}]}"},
#define AS .user = SPAN_INIT("U"), .model = SPAN_INIT("m")
		{ENDPOINT_CHAT_COMPLETIONS, {AS}, BASE "}", "{\"safety_identifier\":\"U\",\"model\":\"m\"," M "}"},
		{ENDPOINT_CHAT_COMPLETIONS, {AS}, BASE ",\"user\":\"a\"}", "{\"safety_identifier\":\"U\",\"model\":\"m\"," M ",\"user\":\"U\"}"},
		{ENDPOINT_CHAT_COMPLETIONS, {AS}, BASE ",\"safety_identifier\":\"b\",\"user\":\"\"}", BASE ",\"safety_identifier\":\"U\",\"user\":\"U\"}"},
		{ENDPOINT_RESPONSES, {AS}, "{\"model\":\"m\",\"input\":1,\"safety_identifier\":null}", "{\"model\":\"m\",\"input\":1,\"safety_identifier\":\"U\"}"},
		{ENDPOINT_COMPLETIONS, {AS}, "{\"model\":\"m\",\"prompt\":\"\"}", "{\"user\":\"U\",\"model\":\"m\",\"prompt\":\"\"}"},
		{ENDPOINT_COMPLETIONS, {AS}, "{\"model\":\"m\",\"prompt\":\"\",\"user\":\"x\"}", "{\"model\":\"m\",\"prompt\":\"\",\"user\":\"U\"}"},
		{ENDPOINT_MESSAGES, {AS}, BASE ",\"max_tokens\":1}", "{\"metadata\":{\"user_id\":\"U\"},\"model\":\"m\"," M ",\"max_tokens\":1}"},
		{ENDPOINT_MESSAGES, {AS}, BASE ",\"max_tokens\":1,\"metadata\":{}}", BASE ",\"max_tokens\":1,\"metadata\":{\"user_id\":\"U\"}}"},
		{ENDPOINT_MESSAGES, {AS}, BASE ",\"max_tokens\":1,\"metadata\":null}", BASE ",\"max_tokens\":1,\"metadata\":{\"user_id\":\"U\"}}"},
		{ENDPOINT_MESSAGES, {AS}, BASE ",\"max_tokens\":1,\"metadata\":{\"a\":1}}", BASE ",\"max_tokens\":1,\"metadata\":{\"user_id\":\"U\",\"a\":1}}"},
		{ENDPOINT_MESSAGES, {AS}, BASE ",\"max_tokens\":1,\"metadata\":{\"user_id\":\"me\"}}", BASE ",\"max_tokens\":1,\"metadata\":{\"user_id\":\"U\"}}"},
		{ENDPOINT_MESSAGES_COUNT_TOKENS, {AS}, BASE "}", BASE "}"},
		{ENDPOINT_GENERATE_CONTENT, {.user = SPAN_INIT("U"), .model = SPAN_INIT("up")}, "{\"contents\":[]}", "{\"contents\":[]}"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_edited(rows[i].endpoint, rows[i].wish, rows[i].body, rows[i].expected);
}

/* Memory that was zero is zero behind it, and a wipe of what was used leaves nothing. */
static void
what_was_written_of_a_scan_is_known(void **state)
{
	static const struct {
		enum endpoint endpoint;
		const char *body;
		bool all;
	} rows[] = {
		{ENDPOINT_CHAT_COMPLETIONS, BASE ",\"user\":\"a\",\"stream\":true}", false},
		{ENDPOINT_CHAT_COMPLETIONS, "{\"model\":7}", false},
		{ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_1\"}", true},
		{ENDPOINT_BATCH_EMBED_CONTENTS, "{\"requests\":[{\"model\":\"m\",\"content\":{}}]}", true},
	};
	static const struct request_scan zero;
	static struct request_scan s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memset(&s, 0, sizeof s);
		request_scan_init(&s, rows[i].endpoint);
		bool good = request_scan_feed(&s, rows[i].body, strlen(rows[i].body));
		size_t used = request_scan_used(&s);
		assert_true(good == (i != 1));
		assert_int_equal(used == sizeof s, rows[i].all);
		assert_memory_equal((const char *)&s + used, &zero, sizeof s - used);
		memset(&s, 0, used);
		assert_memory_equal(&s, &zero, sizeof s);
	}
}

/* Of a URI in Gemini's words: Google's own in whatever disguise, and ours on whatever host, name a file that has to be the account's. */
static void
urls_of_files_at_google_name_objects(void **state)
{
	static const struct {
		const char *body;
		uint32_t names;
	} rows[] = {
		{"{\"contents\":[{\"parts\":[{\"file_data\":{\"file_uri\":\"https://generativelanguage.googleapis.com/v1beta/files/a\"}}]}]}", 1},
		{URI("HTTPS://GenerativeLanguage.GoogleAPIs.com:443/v1beta/files/a"), 1},
		{URI("https://%67enerativelanguag%65.googleapis.com/v1beta/files/a"), 1},
		{URI("https://" SIXTY SIXTY SIXTY "@generativelanguage.googleapis.com/v1beta/files/a"), 1},
		{URI("/files/a"), 1},
		{URI("files/a"), 1},
		{URI("http://127.0.0.1:8080/v1beta/files/fabc"), 1},
		{URI("https:\\/\\/api.example.com\\/v1beta\\/files\\/fabc"), 1},
		{URI("https://example.com/" SIXTY SIXTY SIXTY "?at=a@b%20c"), 0},
		{URI("https://www.youtube.com/watch?v=a"), 0},
		{URI("gs://bucket/a.pdf"), 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum request_error error;
		struct request_scan *s = scanned(ENDPOINT_GENERATE_CONTENT, rows[i].body, &error);
		assert_int_equal(error, REQUEST_OK);
		if (s->result.object_count != rows[i].names)
			fail_msg("row %zu: %u names", i, s->result.object_count);
		free(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_of_files_at_google_name_objects),
		cmocka_unit_test(bad_bodies_are_refused_for_the_right_reason),
		cmocka_unit_test(nesting_beyond_the_limit_has_its_own_answer),
		cmocka_unit_test(the_models_name_has_a_limit),
		cmocka_unit_test(what_routing_needs_is_found),
		cmocka_unit_test(null_counts_as_absent),
		cmocka_unit_test(little_objects_say_that_they_are_empty),
		cmocka_unit_test(media_are_counted_at_any_depth),
		cmocka_unit_test(each_language_refuses_for_the_right_reason),
		cmocka_unit_test(what_costs_is_found_in_each_language),
		cmocka_unit_test(old_completions_count_what_is_made),
		cmocka_unit_test(embeddings_count_their_texts),
		cmocka_unit_test(objects_are_found_wherever_they_are_named),
		cmocka_unit_test(what_was_written_of_a_scan_is_known),
		cmocka_unit_test(edits_change_what_was_wished_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
