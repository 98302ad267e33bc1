/* The meters that hide nothing, rule by rule; each example in every split. */
#include "dialect/meter_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
	enum endpoint endpoint;
	bool streamed;
	const char *body, *says;
};

static struct span
said(const struct row *r, size_t step, char *room, size_t cap, uint64_t *ret_output)
{
	struct meter *m = calloc(1, sizeof *m);
	size_t len = strlen(r->body);
	meter_init(m, r->endpoint, r->streamed, false);
	for (size_t at = 0; at < len; at += step) {
		size_t n = len - at < step ? len - at : step, count = 0;
		char *piece = malloc(n);
		struct span spans[METER_SPANS_MAX];
		memcpy(piece, r->body + at, n);
		assert_int_equal(meter_feed(m, piece, n, at + n == len, spans, &count), n);
		assert_int_equal(count, 1);
		assert_true(spans[0].at == piece && spans[0].len == n);
		free(piece);
	}
	struct text t = text_on(room, cap);
	meter_text(&t, m);
	assert_false(t.cut);
	*ret_output = m->content_bytes << 32 | m->reasoning_bytes;
	free(m);
	return (struct span){t.at, t.len};
}

static void
check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(rows[i].body);
		char whole[1024], split[1024];
		uint64_t output, other;
		struct span w = said(&rows[i], len, whole, sizeof whole, &output);
		if (w.len != strlen(rows[i].says) || memcmp(w.at, rows[i].says, w.len))
			fail_msg("row %zu says: %.*s\nand not:    %s", i, (int)w.len, w.at, rows[i].says);
		for (size_t step = 1; step < len; step++) {
			struct span s = said(&rows[i], step, split, sizeof split, &other);
			assert_int_equal(s.len, w.len);
			assert_memory_equal(s.at, w.at, w.len);
			assert_true(other == output);
		}
	}
}

#define EVENT(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"," rest "}  \n\n"

static void
anthropic_counts_by_its_rules(void **state)
{
#define START(usage) EVENT("message_start", "\"message\":{\"model\":\"claude\",\"content\":[],\"usage\":{" usage "}}")
#define BLOCK EVENT("content_block_start", "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}")
#define DELTA(rest) EVENT("message_delta", "\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{" rest "}")
#define STOP "event: message_stop\ndata: {\"type\":\"message_stop\"}   \n\n"
	static const struct row rows[] = {
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}",
			"reported input=3 output=5 finished"},
		{ENDPOINT_MESSAGES, false,
			"{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":10,\"cache_read_input_tokens\":20,"
			"\"cache_creation\":{\"ephemeral_5m_input_tokens\":4,\"ephemeral_1h_input_tokens\":6},\"output_tokens\":9,"
			"\"output_tokens_details\":{\"thinking_tokens\":2},\"server_tool_use\":{\"web_search_requests\":2},\"service_tier\":\"priority\",\"inference_geo\":\"us\"}}",
			"reported input=3 cached=20 cache_write=4 cache_write_1h=6 output=7 reasoning=2 web_search=2 priority us finished"},
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":3,\"output_tokens\":5,\"service_tier\":\"standard\",\"speed\":\"fast\"}}",
			"reported input=3 output=5 fast finished"},
		/* Totals so far: what is given replaces, also downwards; what is left out stays. */
		{ENDPOINT_MESSAGES, true,
			START("\"input_tokens\":899,\"cache_read_input_tokens\":55,\"output_tokens\":1,\"service_tier\":\"standard\"") BLOCK DELTA(
				"\"input_tokens\":7244,\"cache_read_input_tokens\":0,\"output_tokens\":40") STOP,
			"reported input=7244 output=40 finished"},
		{ENDPOINT_MESSAGES, true, START("\"input_tokens\":9,\"cache_creation_input_tokens\":7,\"cache_creation\":{\"ephemeral_1h_input_tokens\":7},\"output_tokens\":1") BLOCK DELTA("\"output_tokens\":40") STOP,
			"reported input=9 cache_write_1h=7 output=40 finished"},
		{ENDPOINT_MESSAGES, true, START("\"input_tokens\":9,\"output_tokens\":3") BLOCK, "reported input=9 output=3"},
		/* A second start begins anew. */
		{ENDPOINT_MESSAGES, true,
			START("\"input_tokens\":9,\"cache_read_input_tokens\":5,\"output_tokens\":3") BLOCK START("\"input_tokens\":11,\"output_tokens\":1") BLOCK DELTA("\"output_tokens\":4") STOP,
			"reported input=11 output=4 finished"},
		{ENDPOINT_MESSAGES, true, START("\"input_tokens\":9,\"output_tokens\":3") "event: ping\ndata: {\"type\": \"ping\"}\n\n" EVENT("error", "\"error\":{\"type\":\"overloaded_error\"}"),
			"reported input=9 output=3 error"},
		{ENDPOINT_MESSAGES, false, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}", "none error finished"},
		/* Iterations are billed, not the top level; a model of its own is a leg. */
		{ENDPOINT_MESSAGES, false,
			"{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":181,\"output_tokens\":8,\"iterations\":["
			"{\"type\":\"compaction\",\"input_tokens\":100,\"output_tokens\":83,\"cache_read_input_tokens\":55},{\"type\":\"message\",\"input_tokens\":181,\"output_tokens\":8}]}}",
			"reported input=281 cached=55 output=91 finished"},
		{ENDPOINT_MESSAGES, false,
			"{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":2411,\"output_tokens\":145,\"iterations\":["
			"{\"type\":\"message\",\"input_tokens\":1128,\"output_tokens\":100},{\"type\":\"advisor_message\",\"model\":\"opus\",\"input_tokens\":2543,\"output_tokens\":18},"
			"{\"type\":\"message\",\"input_tokens\":1283,\"output_tokens\":45}]}}",
			"reported input=2411 output=145 + opus reported input=2543 output=18 finished"},
		{ENDPOINT_MESSAGES, false,
			"{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":5,\"output_tokens\":6,\"iterations\":["
			"{\"type\":\"message\",\"model\":\"a\",\"input_tokens\":5,\"output_tokens\":0},{\"type\":\"fallback_message\",\"model\":\"b\",\"input_tokens\":5,\"output_tokens\":6}]}}",
			"reported + b reported input=5 output=6 finished"},
		/* Refused before anything was said. */
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[],\"stop_reason\":\"refusal\",\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}", "reported finished"},
		{ENDPOINT_MESSAGES, true, START("\"input_tokens\":9,\"output_tokens\":3") EVENT("message_delta", "\"delta\":{\"stop_reason\":\"refusal\"},\"usage\":{\"output_tokens\":4}") STOP,
			"reported finished"},
		{ENDPOINT_MESSAGES, true, START("\"input_tokens\":9,\"output_tokens\":3") BLOCK EVENT("message_delta", "\"delta\":{\"stop_reason\":\"refusal\"},\"usage\":{\"output_tokens\":4}") STOP,
			"reported input=9 output=4 finished"},
		/* A half event does not count. */
		{ENDPOINT_MESSAGES, true, START("\"input_tokens\":9,\"output_tokens\":3") BLOCK "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":400}",
			"reported input=9 output=3"},
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":-3,\"output_tokens\":5}}", "none absurd finished"},
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":\"3\",\"output_tokens\":\"5\"}}", "reported input=3 output=5 finished"},
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":\"x\",\"output_tokens\":5}}", "none absurd finished"},
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":-9,\"output_tokens\":5}}", "none absurd finished"},
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":3,\"output_tokens\":5,\"output_tokens_details\":{\"thinking_tokens\":-1}}}", "reported input=3 output=5 absurd finished"},
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":4000000000000000,\"output_tokens\":5}}", "reported input=1099511627776 output=5 absurd finished"},
		/* A good number takes a bad one's place, and a bad one a good one's. */
		{ENDPOINT_MESSAGES, true, START("\"input_tokens\":9,\"output_tokens\":1") BLOCK DELTA("\"output_tokens\":-40") STOP, "none absurd finished"},
		{ENDPOINT_MESSAGES, true, START("\"input_tokens\":9,\"output_tokens\":-1") BLOCK DELTA("\"output_tokens\":40") STOP, "reported input=9 output=40 absurd finished"},
		{ENDPOINT_MESSAGES, false,
			"{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":5,\"output_tokens\":6,\"iterations\":["
			"{\"type\":\"advisor_message\",\"model\":\"opus\",\"input_tokens\":-5,\"output_tokens\":1},{\"type\":\"message\",\"input_tokens\":5,\"output_tokens\":6}]}}",
			"none absurd finished"},
		{ENDPOINT_MESSAGES, false, "{\"type\":\"message\",\"content\":[],\"stop_reason\":\"refusal\",\"usage\":{\"input_tokens\":-3,\"output_tokens\":5}}", "reported finished"},
		{ENDPOINT_MESSAGES_COUNT_TOKENS, false, "{\"input_tokens\":12}", "none finished"},
	};
	check(rows, ARRAY_LEN(rows));
}

static void
gemini_counts_by_its_rules(void **state)
{
	static const struct row rows[] = {
		{ENDPOINT_GENERATE_CONTENT, false,
			"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":8,\"candidatesTokenCount\":3,"
			"\"thoughtsTokenCount\":20,\"toolUsePromptTokenCount\":4,\"totalTokenCount\":35,\"serviceTier\":\"FLEX\"}}",
			"reported input=12 output=3 reasoning=20 flex finished"},
		{ENDPOINT_GENERATE_CONTENT, false,
			"{\"usageMetadata\":{\"promptTokenCount\":\"100\",\"cachedContentTokenCount\":60,\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":40},{\"tokenCount\":50,\"modality\":\"AUDIO\"},"
			"{\"modality\":\"IMAGE\",\"tokenCount\":10}],\"cacheTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":30},{\"modality\":\"TEXT\",\"tokenCount\":30}],"
			"\"candidatesTokenCount\":9,\"candidatesTokensDetails\":[{\"modality\":\"IMAGE\",\"tokenCount\":5}]}}",
			"reported input=10 cached=30 audio_in=20 image_in=10 cached_audio=30 output=4 image_out=5 finished"},
		/* Totals so far; the last whole object wins; Vertex's lone tier changes no count. */
		{ENDPOINT_STREAM_GENERATE_CONTENT, true,
			"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\",\"thought\":true}]}}],\"usageMetadata\":{\"promptTokenCount\":8,\"thoughtsTokenCount\":2}}\r\n\r\n"
			"data: {\"usageMetadata\":{\"trafficType\":\"ON_DEMAND_PRIORITY\"}}\r\n\r\n"
			"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":8,\"candidatesTokenCount\":1,\"thoughtsTokenCount\":2}}\r\n\r\n",
			"reported input=8 output=1 reasoning=2 priority finished"},
		{ENDPOINT_STREAM_GENERATE_CONTENT, false,
			"[{\"usageMetadata\":{\"promptTokenCount\":8}}\n,\r\n{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":8,\"candidatesTokenCount\":7}}]",
			"reported input=8 output=7 finished"},
		{ENDPOINT_STREAM_GENERATE_CONTENT, true, "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\"usageMetadata\":{\"promptTokenCount\":8}}\r\n\r\n", "reported input=8"},
		{ENDPOINT_STREAM_GENERATE_CONTENT, true,
			"data: {\"usageMetadata\":{\"promptTokenCount\":8}}\r\n\r\n{\n  \"error\": {\n    \"code\": 503\n  }\n}\n", "reported input=8 error malformed"},
		{ENDPOINT_STREAM_GENERATE_CONTENT, true, "data: {\"error\":{\"code\":503}}\r\n\r\n", "none error"},
		{ENDPOINT_GENERATE_CONTENT, false, "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":8,\"totalTokenCount\":8}}", "reported input=8 finished"},
		{ENDPOINT_GENERATE_CONTENT, false,
			"{\"candidates\":[{\"groundingMetadata\":{\"webSearchQueries\":[\"a\",\"b\"]}}],\"usage_metadata\":{\"prompt_token_count\":8,\"candidates_token_count\":2}}",
			"reported input=8 output=2 web_search=2 finished"},
		/* Below zero, or no number: as if it had told nothing, and marked; quotes are its own way of writing. */
		{ENDPOINT_GENERATE_CONTENT, false, "{\"usageMetadata\":{\"promptTokenCount\":-8,\"candidatesTokenCount\":3}}", "none absurd finished"},
		{ENDPOINT_GENERATE_CONTENT, false, "{\"usageMetadata\":{\"promptTokenCount\":8,\"candidatesTokenCount\":\"x\"}}", "none absurd finished"},
		{ENDPOINT_GENERATE_CONTENT, false, "{\"usageMetadata\":{\"totalTokenCount\":-11}}", "none absurd finished"},
		{ENDPOINT_STREAM_GENERATE_CONTENT, true,
			"data: {\"usageMetadata\":{\"promptTokenCount\":-8}}\r\n\r\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":8,\"candidatesTokenCount\":1}}\r\n\r\n",
			"reported input=8 output=1 finished"},
		{ENDPOINT_COUNT_TOKENS, false, "{\"totalTokens\":31,\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":31}]}", "none finished"},
		{ENDPOINT_EMBED_CONTENT, false, "{\"embedding\":{\"values\":[0.1,-2e-5]},\"usageMetadata\":{\"promptTokenCount\":6,\"promptTokenDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":6}]}}",
			"reported input=6 finished"},
	};
	check(rows, ARRAY_LEN(rows));
}

static void
responses_count_by_their_rules(void **state)
{
#define USAGE "\"usage\":{\"input_tokens\":20,\"input_tokens_details\":{\"cached_tokens\":5},\"output_tokens\":30,\"output_tokens_details\":{\"reasoning_tokens\":10},\"total_tokens\":50}"
	static const struct row rows[] = {
		{ENDPOINT_RESPONSES, false, "{\"status\":\"completed\",\"error\":null,\"output\":[{\"type\":\"message\",\"content\":[{\"text\":\"hi\"}]}],\"service_tier\":\"default\"," USAGE "}",
			"reported input=15 cached=5 output=20 reasoning=10 finished"},
		{ENDPOINT_RESPONSES, true,
			EVENT("response.created", "\"response\":{\"usage\":null}") EVENT("response.output_text.delta", "\"delta\":\"Hi\"") EVENT(
				"response.completed", "\"response\":{\"service_tier\":\"flex\"," USAGE "}"),
			"reported input=15 cached=5 output=20 reasoning=10 flex finished"},
		{ENDPOINT_RESPONSES, true, EVENT("response.created", "\"response\":{\"usage\":null}") EVENT("response.output_text.delta", "\"delta\":\"Hi\""), "none"},
		{ENDPOINT_RESPONSES, true, EVENT("response.incomplete", "\"response\":{" USAGE "}"), "reported input=15 cached=5 output=20 reasoning=10 finished"},
		/* 200 is not success. */
		{ENDPOINT_RESPONSES, true,
			EVENT("error", "\"error\":{\"code\":\"insufficient_quota\"}") EVENT("response.failed", "\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"x\"},\"usage\":null}"),
			"none error finished"},
		{ENDPOINT_RESPONSES, false, "{\"status\":\"failed\",\"usage\":null}", "none error finished"},
		/* xAI's reasoning outside of the output. */
		{ENDPOINT_RESPONSES, false, "{\"usage\":{\"input_tokens\":12,\"output_tokens\":2,\"total_tokens\":354,\"output_tokens_details\":{\"reasoning_tokens\":340}}}",
			"reported input=12 output=2 reasoning=340 finished"},
		/* Tools: searches that looked, sandboxes once each, either way of counting. */
		{ENDPOINT_RESPONSES, false,
			"{\"output\":[{\"type\":\"web_search_call\",\"action\":{\"type\":\"search\"}},{\"action\":{\"type\":\"open_page\"},\"type\":\"web_search_call\"},{\"type\":\"web_search_call\"},"
			"{\"type\":\"file_search_call\"},{\"type\":\"code_interpreter_call\",\"container_id\":\"c1\"},{\"type\":\"code_interpreter_call\",\"container_id\":\"c1\"},"
			"{\"type\":\"code_interpreter_call\",\"container_id\":\"c2\"}]," USAGE "}",
			"reported input=15 cached=5 output=20 reasoning=10 web_search=2 file_search=1 code_session=2 finished"},
		{ENDPOINT_RESPONSES, false, "{\"output\":[{\"type\":\"web_search_call\"}],\"tool_usage\":{\"web_search\":{\"num_requests\":4}}," USAGE "}",
			"reported input=15 cached=5 output=20 reasoning=10 web_search=4 finished"},
		{ENDPOINT_RESPONSES, true,
			EVENT("response.output_item.done", "\"item\":{\"type\":\"web_search_call\",\"action\":{\"type\":\"search\"}}") EVENT("response.completed", "\"response\":{\"output\":[]," USAGE "}"),
			"reported input=15 cached=5 output=20 reasoning=10 web_search=1 finished"},
		{ENDPOINT_RESPONSES, true,
			EVENT("response.output_item.done", "\"item\":{\"type\":\"web_search_call\"}") EVENT("response.completed", "\"response\":{\"output\":[{\"type\":\"web_search_call\"}]," USAGE "}"),
			"reported input=15 cached=5 output=20 reasoning=10 web_search=1 finished"},
		/* The image tool is a model of its own. */
		{ENDPOINT_RESPONSES, false,
			"{\"tool_usage\":{\"image_gen\":{\"input_tokens\":10,\"input_tokens_details\":{\"image_tokens\":4,\"text_tokens\":6},\"output_tokens\":100}}," USAGE "}",
			"reported input=15 cached=5 output=20 reasoning=10 + gpt-image-1 reported input=6 image_in=4 image_out=100 finished"},
		{ENDPOINT_RESPONSES, true, "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":4}\n\n", "none"},
		/* Below zero, or no number: as if it had told nothing, and marked. */
		{ENDPOINT_RESPONSES, false, "{\"usage\":{\"input_tokens\":12,\"output_tokens\":-2,\"total_tokens\":354}}", "none absurd finished"},
		{ENDPOINT_RESPONSES, false, "{\"usage\":{\"input_tokens\":\"12\",\"output_tokens\":2}}", "none absurd finished"},
		{ENDPOINT_RESPONSES, false, "{\"usage\":{\"total_tokens\":-3}}", "none absurd finished"},
		{ENDPOINT_RESPONSES, false, "{\"tool_usage\":{\"image_gen\":{\"input_tokens\":10,\"output_tokens\":100}},\"usage\":{\"input_tokens\":-12,\"output_tokens\":2}}", "none absurd finished"},
		{ENDPOINT_EMBEDDINGS, false, "{\"object\":\"list\",\"data\":[],\"usage\":{\"prompt_tokens\":-7,\"total_tokens\":-7}}", "none absurd finished"},
		{ENDPOINT_EMBEDDINGS, false, "{\"object\":\"list\",\"data\":[{\"embedding\":[0.5,1]}],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7}}", "reported input=7 finished"},
		{ENDPOINT_MODERATIONS, false, "{\"id\":\"modr-1\",\"results\":[{\"flagged\":false}]}", "none finished"},
	};
	check(rows, ARRAY_LEN(rows));
}

static void
audio_and_images_say_what_they_cost(void **state)
{
#define AUDIO_USAGE \
	"\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"input_token_details\":{\"text_tokens\":4,\"audio_tokens\":10},\"output_tokens\":5,\"total_tokens\":19}"
	static const struct row rows[] = {
		{ENDPOINT_AUDIO_TRANSCRIPTIONS, false, "{\"text\":\"hi\"," AUDIO_USAGE "}", "reported input=4 audio_in=10 output=5 finished"},
		{ENDPOINT_AUDIO_TRANSCRIPTIONS, true, EVENT("transcript.text.delta", "\"delta\":\"hi\"") EVENT("transcript.text.done", "\"text\":\"hi\"," AUDIO_USAGE),
			"reported input=4 audio_in=10 output=5 finished"},
		{ENDPOINT_AUDIO_TRANSCRIPTIONS, true, EVENT("transcript.text.delta", "\"delta\":\"hi\""), "none"},
		{ENDPOINT_AUDIO_TRANSCRIPTIONS, true, EVENT("error", "\"error\":{\"message\":\"no\"}"), "none error"},
		{ENDPOINT_AUDIO_TRANSCRIPTIONS, false, "{\"text\":\"hi\",\"usage\":{\"type\":\"duration\",\"seconds\":61}}", "reported audio_second=61 finished"},
		{ENDPOINT_AUDIO_TRANSLATIONS, false, "{\"duration\":8.470000267,\"text\":\"hi\"}", "reported audio_second=9 finished"},
		{ENDPOINT_AUDIO_TRANSLATIONS, false, "{\"duration\":\"8.00\",\"text\":\"hi\"}", "reported audio_second=8 finished"},
		{ENDPOINT_AUDIO_TRANSLATIONS, false, "{\"duration\":-8}", "none absurd finished"},
		{ENDPOINT_AUDIO_TRANSCRIPTIONS, false, "{\"text\":\"hi\",\"usage\":{\"input_tokens\":-14,\"output_tokens\":5,\"total_tokens\":19}}", "none absurd finished"},
		{ENDPOINT_IMAGES_EDITS, false, "{\"data\":[{\"b64_json\":\"A\"}],\"usage\":{\"input_tokens\":\"x\",\"output_tokens\":7}}", "none absurd finished"},
		{ENDPOINT_AUDIO_TRANSLATIONS, false, "{\"duration\":7,\"usage\":{\"seconds\":8}}", "reported audio_second=8 finished"},
		{ENDPOINT_AUDIO_TRANSLATIONS, false, "{\"text\":\"hi\"}", "none finished"},
		{ENDPOINT_AUDIO_TRANSLATIONS, false, "{\"error\":{\"message\":\"no\"}}", "none error finished"},
		{ENDPOINT_IMAGES_EDITS, false,
			"{\"data\":[{\"b64_json\":\"A\"}],\"usage\":{\"input_tokens\":30,\"input_tokens_details\":{\"text_tokens\":10,\"image_tokens\":20},\"output_tokens\":7,\"total_tokens\":37}}",
			"reported input=10 image_in=20 image_out=7 finished"},
		{ENDPOINT_IMAGES_GENERATIONS, true,
			EVENT("image_generation.partial_image", "\"b64_json\":\"A\"")
				EVENT("image_generation.completed", "\"usage\":{\"input_tokens\":3,\"output_tokens\":7,\"output_tokens_details\":{\"image_tokens\":5,\"text_tokens\":2}}"),
			"reported input=3 output=2 image_out=5 finished"},
		{ENDPOINT_AUDIO_SPEECH, true,
			EVENT("speech.audio.delta", "\"audio\":\"AAAA\"") EVENT("speech.audio.done", "\"usage\":{\"input_tokens\":14,\"output_tokens\":101,\"total_tokens\":115}"),
			"reported input=14 audio_out=101 finished"},
		{ENDPOINT_AUDIO_SPEECH, true, EVENT("speech.audio.delta", "\"audio\":\"AAAA\""), "none"},
		{ENDPOINT_IMAGES_VARIATIONS, false, "{\"data\":[{\"url\":\"a\"},{\"url\":\"b\"}]}", "none finished"},
		{ENDPOINT_IMAGES_VARIATIONS, false, "{\"usage\":{\"input_tokens\":3,\"input_tokens_details\":{\"image_tokens\":9},\"output_tokens\":1}}",
			"reported image_in=3 image_out=1 absurd finished"},
	};
	check(rows, ARRAY_LEN(rows));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anthropic_counts_by_its_rules),
		cmocka_unit_test(gemini_counts_by_its_rules),
		cmocka_unit_test(responses_count_by_their_rules),
		cmocka_unit_test(audio_and_images_say_what_they_cost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
