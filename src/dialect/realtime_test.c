#include "dialect/realtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const struct realtime_rates rates = {.bytes_per_token_x100 = 200, .image_tokens = 1000, .context_tokens = 32000};

static struct meter *
session(void)
{
	static struct meter m;
	meter_init(&m, ENDPOINT_REALTIME, true, false);
	realtime_open(&m, SPAN("rt"), SPAN("gpt-realtime"));
	return &m;
}

/* A message of the server, in pieces of `step` bytes. */
static void
hears_by(struct meter *m, const char *text, size_t step)
{
	size_t len = strlen(text);
	for (size_t at = 0; at < len; at += step) {
		struct span spans[METER_SPANS_MAX];
		size_t count, n = len - at < step ? len - at : step;
		assert_int_equal(meter_feed(m, text + at, n, at + n == len, spans, &count), n);
		assert_int_equal(count, 1);
	}
}

static void
hears(struct meter *m, const char *text)
{
	hears_by(m, text, SIZE_MAX / 2);
}

static enum realtime_refusal
says(struct meter *m, const char *text)
{
	return realtime_client(m, text, strlen(text), true);
}

static uint64_t
tokens(const struct meter *m, enum token_kind kind)
{
	struct usage u;
	realtime_usage(m, &rates, &u);
	return u.tokens[kind];
}

#define CREATED "{\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"usage\":null}}"
#define DONE(usage) "{\"type\":\"response.done\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[],\"usage\":{" usage "}}}"
#define WHOLE \
	"\"total_tokens\":1700,\"input_tokens\":1200,\"output_tokens\":500,\"input_token_details\":{\"text_tokens\":500,\"audio_tokens\":600,\"image_tokens\":100," \
	"\"cached_tokens\":450,\"cached_tokens_details\":{\"text_tokens\":200,\"audio_tokens\":192,\"image_tokens\":58}}," \
	"\"output_token_details\":{\"text_tokens\":100,\"audio_tokens\":400}"

static void
each_kind_has_its_price(void **state)
{
	for (size_t step = 1; step < 400; step += step < 8 ? 1 : 97) {
		struct meter *m = session();
		hears_by(m, CREATED, step);
		hears_by(m, DONE(WHOLE), step);
		static const struct {
			enum token_kind kind;
			uint64_t count;
		} rows[] = {{TOKEN_input, 300}, {TOKEN_cached, 200}, {TOKEN_audio_in, 408}, {TOKEN_cached_audio, 192}, {TOKEN_image_in, 42}, {TOKEN_cached_image, 58},
			{TOKEN_output, 100}, {TOKEN_audio_out, 400}};
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			assert_int_equal(tokens(m, rows[i].kind), rows[i].count);
		assert_int_equal(m->usage.flags, USAGE_REPORTED);
	}
}

static void
responses_add_up_and_a_cancelled_one_counts(void **state)
{
	struct meter *m = session();
	for (int i = 0; i < 3; i++) {
		hears(m, CREATED);
		hears(m, "{\"type\":\"response.done\",\"response\":{\"status\":\"cancelled\",\"usage\":{\"total_tokens\":15,\"input_tokens\":10,\"output_tokens\":5}}}");
	}
	assert_int_equal(tokens(m, TOKEN_input), 30);
	assert_int_equal(tokens(m, TOKEN_output), 15);
}

static void
a_usage_that_contradicts_itself_is_clamped(void **state)
{
	struct meter *m = session();
	hears(m, DONE("\"input_tokens\":10,\"output_tokens\":5,\"total_tokens\":-1,\"input_token_details\":{\"audio_tokens\":90,\"cached_tokens\":400}"));
	assert_int_equal(tokens(m, TOKEN_audio_in), 10);
	assert_int_equal(tokens(m, TOKEN_output), 5);
	assert_true(m->usage.flags & USAGE_ABSURD);
}

static void
a_response_whose_usage_tells_nothing_stays_counted(void **state)
{
	struct meter *m = session();
	struct usage u;
	hears(m, CREATED);
	hears(m, "{\"type\":\"response.output_text.delta\",\"delta\":\"1234567890\"}");
	hears(m, DONE("\"input_tokens\":10,\"output_tokens\":-5"));
	realtime_usage(m, &rates, &u);
	assert_int_equal(u.tokens[TOKEN_output], 3);
	assert_int_equal(u.flags, USAGE_REPORTED | USAGE_ESTIMATED | USAGE_ABSURD);
}

static void
what_is_not_reported_is_counted_and_marked(void **state)
{
	struct meter *m = session();
	struct usage u;
	assert_int_equal(says(m, "{\"type\":\"session.update\",\"session\":{\"model\":\"gpt-realtime\",\"instructions\":\"Be kind.\"}}"), REALTIME_OK);
	hears(m, CREATED);
	hears(m, DONE(WHOLE));
	char append[6400 + 64] = "{\"type\":\"input_audio_buffer.append\",\"audio\":\"";
	size_t len = strlen(append);
	memset(append + len, 'A', 6400);
	memcpy(append + len + 6400, "\"}", 3);
	assert_int_equal(says(m, append), REALTIME_OK);
	realtime_usage(m, &rates, &u);
	assert_int_equal(u.flags & USAGE_ESTIMATED, 0); /* nobody asked for an answer to it yet */
	hears(m, CREATED);
	char delta[3200 + 64] = "{\"type\":\"response.output_audio.delta\",\"delta\":\"";
	len = strlen(delta);
	memset(delta + len, 'A', 3200);
	memcpy(delta + len + 3200, "\"}", 3);
	hears(m, delta);
	hears(m, "{\"type\":\"response.output_audio_transcript.delta\",\"delta\":\"12345678\"}");
	realtime_usage(m, &rates, &u);
	assert_true(u.flags & USAGE_ESTIMATED);
	assert_int_equal(u.tokens[TOKEN_audio_out], 400 + 1);
	assert_int_equal(u.tokens[TOKEN_output], 100 + 2);
	assert_int_equal(u.tokens[TOKEN_audio_in], 408 + 1);
	assert_int_equal(u.tokens[TOKEN_cached], 200 + 600); /* the conversation so far, read from the cache */
	assert_int_equal(u.tokens[TOKEN_cached_audio], 192 + 1000);
	hears(m, DONE("\"input_tokens\":2000,\"output_tokens\":3"));
	realtime_usage(m, &rates, &u);
	assert_int_equal(u.flags & USAGE_ESTIMATED, 0);
	assert_int_equal(u.tokens[TOKEN_input], 300 + 2000);
}

static void
a_response_without_usage_stays_counted(void **state)
{
	struct meter *m = session();
	struct usage u;
	hears(m, CREATED);
	hears(m, "{\"type\":\"response.output_text.delta\",\"delta\":\"1234567890\"}");
	hears(m, "{\"type\":\"response.done\",\"response\":{\"status\":\"failed\",\"usage\":null}}");
	realtime_usage(m, &rates, &u);
	assert_int_equal(u.tokens[TOKEN_output], 3);
	assert_true(u.flags & USAGE_ESTIMATED);
}

static void
a_bound_covers_the_conversation_and_one_more_response(void **state)
{
	struct meter *m = session();
	uint64_t input, output;
	realtime_bound(m, &rates, &input, &output);
	assert_int_equal(input, 0);
	assert_int_equal(says(m, "{\"type\":\"response.create\"}"), REALTIME_OK);
	realtime_bound(m, &rates, &input, &output);
	assert_int_equal(input, 13);
	hears(m, CREATED);
	realtime_bound(m, &rates, &input, &output);
	assert_int_equal(input, 26);
	hears(m, "{\"type\":\"response.output_text.delta\",\"delta\":\"1234\"}");
	realtime_bound(m, &rates, &input, &output);
	assert_int_equal(output, 2);
	hears(m, DONE(WHOLE));
	realtime_bound(m, &rates, &input, &output);
	assert_int_equal(input, 1700);
	assert_int_equal(output, 0);
	hears(m, DONE("\"input_tokens\":99999999,\"output_tokens\":1"));
	realtime_bound(m, &rates, &input, &output);
	assert_int_equal(input, rates.context_tokens);
}

/* G.711 has a sixth of the bytes: the same base64 is six times as long. */
static void
the_sessions_audio_format_counts(void **state)
{
	static const char *const formats[] = {
		"{\"type\":\"session.updated\",\"session\":{\"output_audio_format\":\"g711_ulaw\"}}",
		"{\"type\":\"session.created\",\"session\":{\"audio\":{\"output\":{\"format\":{\"type\":\"audio/pcmu\"}}}}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct meter *m = session();
		hears(m, formats[i]);
		hears(m, CREATED);
		char delta[1066 + 64] = "{\"type\":\"response.audio.delta\",\"delta\":\"";
		size_t len = strlen(delta);
		memset(delta + len, 'A', 1066);
		memcpy(delta + len + 1066, "\"}", 3);
		hears(m, delta);
		assert_int_equal(tokens(m, TOKEN_audio_out), 2);
	}
}

static void
a_transcription_is_a_leg_on_its_model(void **state)
{
	struct meter *m = session();
	hears(m, "{\"type\":\"session.updated\",\"session\":{\"audio\":{\"input\":{\"transcription\":{\"model\":\"gpt-4o-transcribe\"}}}}}");
	hears(m, "{\"type\":\"conversation.item.input_audio_transcription.completed\",\"usage\":{\"type\":\"tokens\",\"total_tokens\":22,\"input_tokens\":13,"
			 "\"input_token_details\":{\"text_tokens\":0,\"audio_tokens\":13},\"output_tokens\":9}}");
	hears(m, "{\"type\":\"session.updated\",\"session\":{\"input_audio_transcription\":{\"model\":\"whisper-1\"}}}");
	hears(m, "{\"type\":\"conversation.item.input_audio_transcription.completed\",\"usage\":{\"type\":\"duration\",\"seconds\":3}}");
	hears(m, "{\"type\":\"conversation.item.input_audio_transcription.completed\",\"usage\":{\"type\":\"duration\",\"seconds\":0.52}}");
	assert_int_equal(m->leg_count, 2);
	assert_memory_equal(m->legs[0].model, "gpt-4o-transcribe", m->legs[0].model_len);
	assert_int_equal(m->legs[0].usage.tokens[TOKEN_audio_in], 13);
	assert_int_equal(m->legs[0].usage.tokens[TOKEN_output], 9);
	assert_memory_equal(m->legs[1].model, "whisper-1", m->legs[1].model_len);
	assert_int_equal(m->legs[1].usage.tools[TOOL_audio_second], 3 + 1);
	assert_int_equal(tokens(m, TOKEN_audio_in), 0);
}

static void
a_client_may_not_say_everything(void **state)
{
	static const struct {
		const char *text;
		enum realtime_refusal refusal;
	} rows[] = {
		{"{\"type\":\"session.update\",\"session\":{\"model\":\"rt\"}}", REALTIME_OK},
		{"{\"type\":\"session.update\",\"session\":{\"model\":null,\"prompt\":null}}", REALTIME_OK},
		{"{\"type\":\"session.update\",\"session\":{\"model\":\"gpt-dearer\"}}", REALTIME_OTHER_MODEL},
		{"{\"session\":{\"mod\\u0065l\":\"gpt-dearer\"},\"type\":\"session.update\"}", REALTIME_OTHER_MODEL},
		{"{\"session\":{\"model\":\"rt\",\"model\":\"gpt-dearer\"}}", REALTIME_OTHER_MODEL},
		{"{\"session\":{\"model\":7}}", REALTIME_OTHER_MODEL},
		{"{\"type\":\"response.create\",\"response\":{\"prompt\":{\"id\":\"pmpt_1\"}}}", REALTIME_FOREIGN_OBJECT},
		{"{\"session\":{\"prompt\":\"pmpt_1\"}}", REALTIME_FOREIGN_OBJECT},
		{"{\"type\":", REALTIME_NOT_JSON},
		{"[]", REALTIME_NOT_JSON},
		{"7", REALTIME_NOT_JSON},
		{"", REALTIME_NOT_JSON},
		{"{} {}", REALTIME_NOT_JSON},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct meter *m = session();
		assert_int_equal(says(m, rows[i].text), rows[i].refusal);
		m = session();
		enum realtime_refusal r = REALTIME_OK;
		for (size_t at = 0, len = strlen(rows[i].text); at < len; at++) {
			enum realtime_refusal now = realtime_client(m, rows[i].text + at, 1, at + 1 == len);
			r = r ? r : now;
		}
		assert_int_equal(r, rows[i].text[0] ? rows[i].refusal : REALTIME_OK);
	}
}

static void
errors_are_seen(void **state)
{
	struct meter *m = session();
	hears(m, "{\"type\":\"error\",\"error\":{\"message\":\"no\"}}");
	assert_true(realtime_is_error(m));
	hears(m, "{\"type\":\"rate_limits.updated\"}");
	assert_false(realtime_is_error(m));
	hears(m, "rubbish");
	assert_true(m->malformed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_has_its_price),
		cmocka_unit_test(responses_add_up_and_a_cancelled_one_counts),
		cmocka_unit_test(a_usage_that_contradicts_itself_is_clamped),
		cmocka_unit_test(a_response_whose_usage_tells_nothing_stays_counted),
		cmocka_unit_test(what_is_not_reported_is_counted_and_marked),
		cmocka_unit_test(a_response_without_usage_stays_counted),
		cmocka_unit_test(a_bound_covers_the_conversation_and_one_more_response),
		cmocka_unit_test(the_sessions_audio_format_counts),
		cmocka_unit_test(a_transcription_is_a_leg_on_its_model),
		cmocka_unit_test(a_client_may_not_say_everything),
		cmocka_unit_test(errors_are_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
