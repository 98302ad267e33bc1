/* Bodies: of requests, however they come and however large, and answers that can't be read. */
#include "core/ipc.h"
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

static const char hi[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char hi_stream[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"byok_fee: {percent: '50', per_request: '0.00003'}\n"
	"providers:\n"
	"  - name: sim\n"
	"    url: http://127.0.0.1:9/v1\n"
	"    keys: [{env: RIG_KEY}]\n"
	"models:\n"
	"  - {id: words, upstream: gpt-4o-transcribe, provider: sim, context: 16000, output: 2000, audio_tokens: 8000,\n"
	"     prices: [{from: 2020-01-01, input: \"2.5\", audio_in: \"6\", output: \"10\"}]}\n"
	"  - {id: seconds, upstream: whisper-1, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", audio_second: \"0.0001\"}]}\n"
	"  - {id: words-and-seconds, upstream: gpt-4o-mini-tts, provider: sim, context: 16000, output: 2000, prices: [{from: 2020-01-01, input: \"2\", output: \"10\", audio_second: \"0.0001\"}]}\n"
	"  - {id: flat, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", per_request: \"0.01\"}]}\n"
	"  - {id: draws, upstream: gpt-image-1, provider: sim, context: 100000, output: 6000, image_tokens: 5000,\n"
	"     prices: [{from: 2020-01-01, input: \"5\", image_in: \"10\", output: \"40\"}]}\n"
	"  - {id: pictures, upstream: dall-e-2, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", image: \"0.02\"}]}\n"
	/* and so much for each request besides */
	"  - {id: words-and-fee, upstream: gpt-4o-transcribe, provider: sim, context: 16000, output: 2000, audio_tokens: 100, prices: [{from: 2020-01-01, input: \"2\", output: \"10\", per_request: \"0.001\"}]}\n"
	"  - {id: seconds-and-fee, upstream: whisper-1, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", audio_second: \"0.0001\", per_request: \"0.001\"}]}\n"
	"  - {id: pictures-and-fee, upstream: dall-e-2, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", image: \"0.02\", per_request: \"0.001\"}]}\n"
	"  - {id: tokens-out-and-fee, upstream: gpt-image-1, provider: sim, context: 100000, output: 6000, image_tokens: 5000, prices: [{from: 2020-01-01, input: \"0\", output: \"40\", per_request: \"0.001\"}]}\n"
	"  - {id: both-and-fee, upstream: dall-e-2, provider: sim, context: 1000, output: 1, prices: [{from: 2020-01-01, input: \"5\", output: \"0\", image: \"0.02\", per_request: \"0.001\"}]}\n"
	"  - {id: pictures-by-piece, upstream: gpt-image-1, provider: sim, context: 1000, output: 1, prices: [{from: 2020-01-01, input: \"5\", output: \"40\", image_out: \"0\", image: \"0.02\", per_request: \"0.001\"}]}\n"
	"  - {id: two-ways, upstream: gpt-image-1, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"5\", output: \"40\", image: \"0.02\", per_request: \"0.001\"}]}\n"
	"  - {id: words-or-seconds, provider: sim, context: 1, output: 1, audio_tokens: 100, prices: [{from: 2020-01-01, input: \"2\", output: \"10\", audio_second: \"0.0001\", per_request: \"0.001\"}]}\n"
	"  - {id: m, provider: sim, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n";

static int
with_media(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
with_dollar(void **state)
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

static int
send_chat(const char *body, const char *headers)
{
	int c = rig_client(&r);
	size_t n = rig_request(&r, body, headers, in);
	rig_send(&r, c, in, n);
	return c;
}

static void
expect_status(const char *answer, const char *status)
{
	assert_int_equal(memcmp(answer, "HTTP/1.1 ", 9), 0);
	assert_memory_equal(answer + 9, status, 3);
}

static void
books_after(int64_t spent, long tickets)
{
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - spent);
	assert_int_equal(rig_tickets(&r), tickets);
}

/* ---- compressed ---- */

static void
a_compressed_request_is_refused_and_told_so(void **state)
{
	static const char *const codings[] = {"gzip", "br", "zstd", "deflate", "identity, gzip", "x"};
	bool eof;
	for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
		char header[64];
		sprintf(header, "content-encoding: %s\r\n", codings[i]);
		int c = send_chat(hi, header);
		rig_read(&r, c, out, &eof);
		expect_status(out, "415");
		assert_non_null(strstr(out, "accept-encoding: identity\r\n"));
		assert_non_null(strstr(out, "\"code\":\"unsupported_encoding\""));
		close(c);
	}
	assert_int_equal(r.dials, 0);
	books_after(0, 0);
}

static void
a_request_that_says_it_is_not_compressed_is_served(void **state)
{
	int c = send_chat(hi, "content-encoding: Identity\r\n");
	assert_true(rig_provider(&r, 0) >= 0);
	close(c);
}

/* Labelled or not: it can't be read, so it is not passed on, and not charged. */
static void
a_compressed_answer_is_refused(void **state)
{
	static const struct {
		const char *headers, *begins;
	} rows[] = {
		{"content-encoding: gzip\r\n", "\x1f\x8b\x08"},
		{"content-encoding: br\r\n", "\x1b"},
		{"content-encoding: zstd\r\n", "\x28\xb5\x2f\xfd"},
		{"content-encoding: deflate\r\n", "\x78\x9c"},
		{"content-encoding: x-of-tomorrow\r\n", "{"},
		{"transfer-encoding: gzip, chunked\r\n", "\x1f\x8b"},
		{"", "\x1f\x8b\x08"},
		{"", "\x28\xb5\x2f\xfd"},
		{"", "\x78\x9c"},
		{"", "\x0b\x02\x80"}, /* brotli */
	};
	bool eof;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		bool stream = i & 1;
		int c = send_chat(stream ? hi_stream : hi, ""), p = rig_provider(&r, (int)i);
		size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%sconnection: close\r\n\r\n%szzzz",
			stream ? "text/event-stream" : "application/json", rows[i / 2].headers, rows[i / 2].begins);
		rig_send(&r, p, in, n);
		n = rig_read(&r, c, out, &eof);
		expect_status(out, "502");
		assert_null(memmem(out, n, "zzzz", 4));
		close(c);
		close(p);
		rig_turn(&r);
	}
	books_after(0, 2 * ARRAY_LEN(rows));
}

/* The head is out before it is known: what follows is still nobody's. */
static void
a_compressed_answer_behind_its_head_is_cut(void **state)
{
	bool eof;
	int c = send_chat(hi, ""), p = rig_provider(&r, 0);
	size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n");
	rig_send(&r, p, in, n);
	rig_send(&r, p, "\x1f\x8bzzzzz", 7);
	n = rig_read(&r, c, out, &eof);
	expect_status(out, "200");
	assert_true(eof);
	assert_null(memmem(out, n, "zzzz", 4));
	books_after(0, 1);
	close(c);
}

/* ---- forms ---- */

#define FIELD(name, value) "--bnd\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define AUDIO(bytes) "--bnd\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n" bytes "\r\n"
#define IMAGE(name) "--bnd\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\r\n"
#define END "--bnd--\r\n"

static int
send_form(const char *path, const char *body)
{
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-type: multipart/form-data; boundary=bnd\r\ncontent-length: %zu\r\n\r\n%s",
		path, r.key, strlen(body), body);
	rig_send(&r, c, in, n);
	return c;
}

static void
answer(int p, const char *type, const char *body)
{
	size_t len = strlen(body), n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n", type, len);
	memcpy(in + n, body, len);
	rig_send(&r, p, in, n + len);
}

#define JSON "application/json"

static void
a_form_is_charged_by_what_its_answer_says(void **state)
{
	static const struct {
		const char *path, *form, *type, *answer;
		int64_t nano;
	} rows[] = {
		{"/v1/audio/transcriptions", AUDIO("ID3--bn") FIELD("model", "words") END, JSON,
			"{\"text\":\"hi\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"input_token_details\":{\"text_tokens\":4,\"audio_tokens\":10},\"output_tokens\":5,\"total_tokens\":19}}",
			4 * 2500 + 10 * 6000 + 5 * 10000},
		{"/v1/audio/transcriptions", FIELD("model", "words") FIELD("stream", "true") AUDIO("ID3") END, "text/event-stream",
			"data: {\"type\":\"transcript.text.delta\",\"delta\":\"hi\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"hi\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":10,"
			"\"input_token_details\":{\"audio_tokens\":10},\"output_tokens\":2,\"total_tokens\":12}}\n\n",
			10 * 6000 + 2 * 10000},
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds") END, JSON, "{\"text\":\"hi\",\"usage\":{\"type\":\"duration\",\"seconds\":61}}", 61 * 100000},
		{"/v1/audio/translations", AUDIO("ID3") FIELD("model", "seconds") FIELD("response_format", "verbose_json") END, JSON, "{\"task\":\"translate\",\"duration\":8.47,\"text\":\"hi\"}", 9 * 100000},
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "flat") FIELD("response_format", "vtt") END, "text/vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n", 10000000},
		/* no word about it: by the size of the file, as 128 kbit/s */
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds") END, JSON, "{\"text\":\"hi\"}", 100000},
		/* a measure without a price is none */
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds") END, JSON, "{\"text\":\"hi\",\"usage\":{\"input_tokens\":14,\"output_tokens\":5,\"total_tokens\":19}}", 100000},
		{"/v1/images/edits", IMAGE("image[]") IMAGE("image[]") FIELD("prompt", "a cat") FIELD("model", "draws") END, JSON,
			"{\"created\":1,\"data\":[{\"b64_json\":\"AAAA\"}],\"usage\":{\"input_tokens\":30,\"input_tokens_details\":{\"text_tokens\":10,\"image_tokens\":20},\"output_tokens\":7,\"total_tokens\":37}}",
			10 * 5000 + 20 * 10000 + 7 * 40000},
		{"/v1/images/edits", FIELD("model", "draws") FIELD("stream", "True") IMAGE("image") END, "text/event-stream",
			"event: image_edit.partial_image\ndata: {\"type\":\"image_edit.partial_image\",\"b64_json\":\"AA\"}\n\n"
			"event: image_edit.completed\ndata: {\"type\":\"image_edit.completed\",\"b64_json\":\"AAAA\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3,\"output_tokens_details\":{\"image_tokens\":2}}}\n\n",
			5000 + 2 * 40000},
		{"/v1/images/variations", IMAGE("image") FIELD("n", "3") FIELD("model", "pictures") END, JSON, "{\"created\":1,\"data\":[{\"url\":\"a\"},{\"url\":\"b\"},{\"url\":\"c\"}]}", 3 * 20000000},
		/* two came of three, without a word about their cost: two thirds of what was held for them, and the prompt by its size */
		{"/v1/images/variations", FIELD("n", "2") FIELD("model", "draws") END, JSON, "{\"created\":1,\"data\":[{\"url\":\"a\"}]}", 6000 * 40000 + (sizeof FIELD("n", "2") FIELD("model", "draws") END - 1 + 3) / 4 * 5000},
	};
	bool eof;
	int64_t sum = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int c = send_form(rows[i].path, rows[i].form), p = rig_provider(&r, (int)i);
		if (p < 0) {
			rig_read(&r, c, out, &eof);
			print_error("row %zu: %s\n", i, out);
		}
		assert_true(p >= 0);
		rig_read(&r, p, out, &eof);
		assert_non_null(strstr(out, "content-type: multipart/form-data; boundary=bnd\r\n"));
		answer(p, rows[i].type, rows[i].answer);
		size_t n = rig_read(&r, c, out, &eof);
		expect_status(out, "200");
		assert_string_equal(out + n - strlen(rows[i].answer), rows[i].answer);
		sum += rows[i].nano;
		rig_book(&r);
		if (rig_balance(&r) != 1000000000 - sum)
			print_error("row %zu: %lld, not %lld\n", i, (long long)(1000000000 - sum + rows[i].nano - rig_balance(&r)), (long long)rows[i].nano);
		assert_int_equal(rig_balance(&r), 1000000000 - sum);
		close(c);
		close(p);
		rig_turn(&r);
	}
	books_after(sum, ARRAY_LEN(rows));
}

/* Nobody tells how long speech is: a price by the second charges nothing of it, in events no more than as such, whatever each request costs besides. */
static void
speech_by_the_second_is_refused(void **state)
{
	static const struct {
		const char *model, *format, *says; /* says: NULL: it goes up */
	} rows[] = {
		{"seconds", "audio", "billed by the second"},
		{"seconds", "sse", "billed by the second"},
		{"seconds-and-fee", "audio", "billed by the second"},
		{"seconds-and-fee", "sse", "billed by the second"},
		{"words", "audio", "use stream_format: sse"},
		{"words", "sse", NULL},
		{"words-and-seconds", "audio", "use stream_format: sse"},
		{"words-and-seconds", "sse", NULL},
		{"flat", "audio", NULL},
		{"flat", "sse", NULL},
	};
	char body[256];
	bool eof;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int asked = r.dials, c = rig_client(&r);
		int len = sprintf(body, "{\"model\":\"%s\",\"voice\":\"a\",\"input\":\"hi\",\"stream_format\":\"%s\"}", rows[i].model, rows[i].format);
		size_t n = (size_t)sprintf(in, "POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-type: " JSON "\r\ncontent-length: %d\r\n\r\n%s", r.key, len, body);
		rig_send(&r, c, in, n);
		rig_read(&r, c, out, &eof);
		assert_int_equal(r.dials - asked, rows[i].says == NULL);
		if (rows[i].says) {
			expect_status(out, "400");
			assert_non_null(strstr(out, rows[i].says));
		} else
			close(rig_provider(&r, asked));
		close(c);
		rig_turn(&r);
	}
}

static bool
is_estimated(const char *answer)
{
	char request[16] = "";
	const char *at = strstr(answer, "lethe-receipt: req_");
	assert_non_null(at);
	memcpy(request, at + 15, 15);
	json_t *t = rig_control(&r, json_pack("{s:s, s:s}", "op", "ticket.show", "id", request));
	bool estimated = json_is_true(json_object_get(t, "estimated"));
	assert_true(json_is_true(json_object_get(t, "ok")));
	json_decref(t);
	return estimated;
}

#define TOLD(usage) "{\"text\":\"hi\",\"usage\":" usage "}"
#define CHAT_USAGE "{\"prompt_tokens\":14,\"completion_tokens\":5,\"total_tokens\":19}"
#define TOKENS_USAGE "{\"input_tokens\":14,\"output_tokens\":5,\"total_tokens\":19}"
#define ZERO_USAGE "{\"input_tokens\":0,\"output_tokens\":0,\"total_tokens\":0}"
#define SECONDS_USAGE(n) "{\"type\":\"duration\",\"seconds\":" n "}"
#define TWO_PICTURES(usage) "{\"created\":1,\"data\":[{\"url\":\"a\"},{\"url\":\"b\"}],\"usage\":" usage "}"

/* Whatever is taken for each request besides, by the model's price or for the use of an own key: a report in the wrong measure is none, and one in the right is one. */
static void
what_each_request_costs_hides_no_measure(void **state)
{
	enum { EACH = 1000000,
		OWN = 30000,
		SECOND = 100000,
		PICTURE = 20000000 };
	static const char words[] = AUDIO("ID3") FIELD("model", "words-and-fee") END;
	const int64_t prompt = (sizeof words - 1 - strlen("ID3") + 3) / 4 + 100; /* by its size, and what a file is taken for */
	const struct {
		const char *path, *form, *answer;
		int64_t nano; /* without what each request costs */
		bool estimated, only_own; /* only_own: the model has no price by the request */
	} rows[] = {
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds-and-fee") END, TOLD(CHAT_USAGE), SECOND, true, false},
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds-and-fee") END, TOLD(TOKENS_USAGE), SECOND, true, false},
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds-and-fee") END, TOLD(ZERO_USAGE), SECOND, true, false},
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds-and-fee") END, TOLD(SECONDS_USAGE("7")), 7 * SECOND, false, false},
		{"/v1/audio/translations", AUDIO("ID3") FIELD("model", "seconds-and-fee") END, TOLD(SECONDS_USAGE("0")), 0, false, false},
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds") END, TOLD(CHAT_USAGE), SECOND, true, true},
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds") END, TOLD(ZERO_USAGE), SECOND, true, true},
		{"/v1/audio/transcriptions", words, TOLD(SECONDS_USAGE("7")), prompt * 2000 + 10000, true, false},
		{"/v1/audio/transcriptions", words, TOLD("{\"input_tokens\":-14,\"output_tokens\":5,\"total_tokens\":19}"), prompt * 2000 + 10000, true, false},
		{"/v1/audio/transcriptions", words, TOLD(TOKENS_USAGE), 14 * 2000 + 5 * 10000, false, false},
		{"/v1/audio/transcriptions", words, TOLD(ZERO_USAGE), 0, false, false},
		{"/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "pictures-and-fee") END, TWO_PICTURES(TOKENS_USAGE), 2 * PICTURE, false, false},
		{"/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "pictures") END, TWO_PICTURES(ZERO_USAGE), 2 * PICTURE, false, true},
		/* both told: what the row has a price for counts; a zero in a measure of the row's is one; seconds are none of a picture's */
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "seconds-and-fee") END, "{\"text\":\"hi\",\"duration\":8,\"usage\":" CHAT_USAGE "}", 8 * SECOND, false, false},
		{"/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "tokens-out-and-fee") END, TWO_PICTURES("{\"input_tokens\":14,\"output_tokens\":0,\"total_tokens\":14}"), 0, false, false},
		{"/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "both-and-fee") END, TWO_PICTURES(ZERO_USAGE), 2 * PICTURE, false, false},
		{"/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "pictures") END, TWO_PICTURES("{\"seconds\":0}"), 2 * PICTURE, false, true},
		/* prices of both kinds: tokens that are told are charged alone; but what is made has no price by tokens in the third and fourth row */
		{"/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "two-ways") END, TWO_PICTURES(TOKENS_USAGE), 14 * 5000 + 5 * 40000, false, false},
		{"/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "two-ways") END, TWO_PICTURES(ZERO_USAGE), 2 * PICTURE, false, false},
		{"/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "both-and-fee") END, TWO_PICTURES(TOKENS_USAGE), 14 * 5000 + 2 * PICTURE, false, false},
		{"/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "pictures-by-piece") END, TWO_PICTURES(TOKENS_USAGE), 14 * 5000 + 2 * PICTURE, false, false},
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "words-or-seconds") END, "{\"text\":\"hi\",\"duration\":8,\"usage\":" TOKENS_USAGE "}", 14 * 2000 + 5 * 10000, false, false},
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "words-or-seconds") END, TOLD(SECONDS_USAGE("7")), 7 * SECOND, false, false},
		/* nothing but the request costs: there is nothing to estimate */
		{"/v1/audio/transcriptions", AUDIO("ID3") FIELD("model", "flat") END, TOLD(TOKENS_USAGE), 10 * EACH, false, true},
	};
	bool eof;
	int64_t sum = 0;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		size_t at = i % ARRAY_LEN(rows);
		bool own = i >= ARRAY_LEN(rows);
		if (i == ARRAY_LEN(rows))
			rig_own_key(&r, "rig", "sim", "sk-theirs", false, NULL);
		int c = send_form(rows[at].path, rows[at].form), p = rig_provider(&r, (int)i);
		assert_true(p >= 0);
		rig_read(&r, p, out, &eof);
		assert_true(own == (strstr(out, "sk-theirs") != NULL));
		answer(p, JSON, rows[at].answer);
		rig_read(&r, c, out, &eof);
		expect_status(out, "200");
		int64_t nano = rows[at].nano + (rows[at].only_own ? 0 : EACH);
		sum += own ? nano / 2 + OWN : nano;
		rig_book(&r);
		if (rig_balance(&r) != 1000000000 - sum || is_estimated(out) != rows[at].estimated)
			fail_msg("row %zu%s: %lld too much, or marked wrongly", at, own ? ", own key" : "", (long long)(1000000000 - sum - rig_balance(&r)));
		close(c);
		close(p);
		rig_turn(&r);
	}
	books_after(sum, 2 * ARRAY_LEN(rows));
}

/* Not even what each request costs: neither is a picture that did not come. */
static void
a_provider_that_fails_before_the_first_picture_is_not_paid_for(void **state)
{
	static const char begun[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"created\":1,\"da";
	bool eof;
	int c = send_form("/v1/images/variations", IMAGE("image") FIELD("n", "2") FIELD("model", "pictures-and-fee") END), p = rig_provider(&r, 0);
	assert_true(p >= 0);
	rig_read(&r, p, out, &eof);
	rig_send(&r, p, begun, sizeof begun - 1);
	close(p);
	rig_turn(&r);
	rig_read(&r, c, out, &eof);
	assert_true(eof);
	books_after(0, 1);
	close(c);
}

/* In front of the file or behind it, in whatever pieces: the model's name is written over, all else arrives byte by byte. */
static void
a_form_goes_up_as_it_came(void **state)
{
	static const char *const forms[][2] = {
		{AUDIO("ID3\r\n--bn\r\n\x01") FIELD("model", "seconds") FIELD("x", "--") END, AUDIO("ID3\r\n--bn\r\n\x01") FIELD("model", "whisper-1") FIELD("x", "--") END},
		{FIELD("model", "seconds") AUDIO("ID3") "--bnd--", FIELD("model", "whisper-1") AUDIO("ID3") "--bnd--"},
	};
	bool eof;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		int c = rig_client(&r);
		size_t len = strlen(forms[i][0]), n = (size_t)sprintf(in, "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-type: multipart/form-data; boundary=\"bnd\"\r\n%s\r\n", r.key, i ? "transfer-encoding: chunked\r\n" : "");
		if (!i)
			n += (size_t)sprintf(in + n - 2, "content-length: %zu\r\n\r\n", len) - 2;
		rig_send(&r, c, in, n);
		for (size_t at = 0; at < len; at++) {
			n = i ? (size_t)sprintf(in, "1\r\n%c\r\n", forms[i][0][at]) : (in[0] = forms[i][0][at], 1);
			rig_send(&r, c, in, n);
		}
		if (i)
			rig_send(&r, c, "0\r\n\r\n", 5);
		int p = rig_provider(&r, (int)i);
		n = rig_read(&r, p, out, &eof);
		len = strlen(forms[i][1]);
		assert_true(n > len);
		assert_memory_equal(out + n - len, forms[i][1], len);
		close(c);
		close(p);
		rig_turn(&r);
	}
}

static void
a_form_that_two_could_read_in_two_ways_is_refused(void **state)
{
	static const struct {
		const char *form, *status, *says;
	} rows[] = {
		{FIELD("model", "seconds") FIELD("model", "flat") END, "400", "given twice"},
		{FIELD("model", "seconds") FIELD("model[]", "flat") END, "400", "plain fields"},
		{IMAGE("model") END, "400", "plain fields"},
		{FIELD("file", "x") END, "400", "model"},
		{FIELD("model", "") END, "400", "model"},
		{FIELD("model", "nobody") END, "404", "nobody"},
		{FIELD("model", "seconds") FIELD("stream", "perhaps") END, "400", "stream"},
		{FIELD("model", "seconds") FIELD("response_format", "text") END, "400", "how long the audio is"},
		{FIELD("model", "words") FIELD("response_format", "srt") END, "400", "how long the audio is"},
		{FIELD("model", "seconds") AUDIO("a\n--bnd\nb") END, "400", "The boundary stands inside of a part."},
		{FIELD("model", "seconds") "--bnd", "400", "not a valid form"},
		{"{\"model\":\"seconds\"}", "400", "does not begin with its boundary"},
	};
	bool eof;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int c = send_form("/v1/audio/transcriptions", rows[i].form);
		rig_read(&r, c, out, &eof);
		if (memcmp(out + 9, rows[i].status, 3) != 0 || !strstr(out, rows[i].says))
			print_error("row %zu: %s\n", i, out);
		expect_status(out, rows[i].status);
		assert_non_null(strstr(out, rows[i].says));
		close(c);
	}
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/images/edits HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}", r.key);
	rig_send(&r, c, in, n);
	rig_read(&r, c, out, &eof);
	expect_status(out, "400");
	assert_non_null(strstr(out, "multipart/form-data"));
	close(c);
	assert_int_equal(r.dials, 0);
	books_after(0, 0);
}

/* Cut by the client at each byte: nothing goes up, nothing is charged. By the provider at each byte: only a whole answer is. */
static void
a_form_is_charged_when_its_answer_is_whole(void **state)
{
	static const char form[] = FIELD("model", "seconds") AUDIO("ID3") END, said[] = "{\"text\":\"hi\",\"usage\":{\"type\":\"duration\",\"seconds\":7}}";
	char request[1024], whole[512];
	size_t n = (size_t)sprintf(request, "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n"
										"content-type: multipart/form-data; boundary=bnd\r\ncontent-length: %zu\r\n\r\n%s",
		r.key, strlen(form), form);
	for (size_t at = 1; at < n; at++) {
		int c = rig_client(&r);
		rig_send(&r, c, request, at);
		close(c);
		rig_turn(&r);
	}
	assert_int_equal(r.dials, 0);
	books_after(0, 0);
	bool eof;
	size_t len = (size_t)sprintf(whole, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", strlen(said), said);
	for (size_t at = len - 50; at <= len; at++) {
		int c = rig_client(&r);
		rig_send(&r, c, request, n);
		int p = rig_provider(&r, r.dials - 1);
		rig_send(&r, p, whole, at);
		close(p);
		rig_turn(&r);
		rig_read(&r, c, out, &eof);
		close(c);
		rig_turn(&r);
	}
	books_after(7 * 100000, 51);
}

/* Larger than what lies between: the provider answers before it has read it all. */
static void
an_answer_before_the_request_is_sent_is_passed_on(void **state)
{
	static const struct {
		const char *answer, *status;
		int64_t nano;
	} rows[] = {
		{"HTTP/1.1 413 Too Large\r\ncontent-type: application/json\r\ncontent-length: 28\r\n\r\n{\"error\":{\"message\":\"long\"}}", "413", 0},
		{"HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}", "503", 0},
		{"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 83\r\n\r\n"
		 "{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}",
			"200", 10 * 1000 + 5 * 2000},
	};
	static char body[900000];
	bool eof;
	int64_t sum = 0;
	size_t n = (size_t)sprintf(body, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"");
	memset(body + n, 'x', sizeof body - n - 5);
	strcpy(body + sizeof body - 5, "\"}]}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int c = send_chat(body, ""), p = rig_provider(&r, (int)i); /* each in a connection of its own: what was not sent whole is not used again */
		assert_true(p >= 0 && (r.tls || r.edge->exchanges->step == STEP_SEND));
		send(p, rows[i].answer, strlen(rows[i].answer), 0);
		rig_turn(&r);
		rig_read(&r, c, out, &eof);
		expect_status(out, rows[i].status);
		sum += rows[i].nano;
		close(c);
		rig_turn(&r);
	}
	books_after(sum, ARRAY_LEN(rows));
}

/* ---- memory ---- */

enum { BUDGET = 8 << 20 };

/* A head that says how long its body will be; the rest of it comes when it is told to continue. */
static int
announce(const char *key, size_t bytes)
{
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\nexpect: 100-continue\r\ncontent-length: %zu\r\n\r\n", key, bytes);
	r.process.limits.body_bytes = BUDGET;
	rig_send(&r, c, in, n);
	return c;
}

static bool
may_send(int c)
{
	bool eof;
	return rig_read(&r, c, out, &eof) && !memcmp(out, "HTTP/1.1 100", 12);
}

static const char *
somebody_else(void)
{
	static char key[API_KEY_BYTES + 1];
	json_t *a = rig_control(&r, json_pack("{s:s,s:s}", "op", "account.create", "name", "else"));
	const char *account = json_string_value(json_object_get(a, "account"));
	json_t *k = rig_control(&r, json_pack("{s:s,s:s}", "op", "key.create", "account", account));
	snprintf(key, sizeof key, "%s", json_string_value(json_object_get(k, "secret")));
	json_decref(rig_control(&r, json_pack("{s:s,s:s,s:s,s:s}", "op", "credit.add", "account", account, "amount", "1", "reason", "rig")));
	json_decref(k);
	json_decref(a);
	rig_turn(&r);
	return key;
}

static void
who_fills_the_memory_delays_itself(void **state)
{
	const char *other = somebody_else();
	int first = announce(r.key, 3500000), second = announce(r.key, 3500000), third = announce(r.key, 3500000);
	assert_true(may_send(first) && may_send(second));
	assert_false(may_send(third));
	int theirs = announce(other, 3500000), next = announce(other, 100000);
	assert_false(may_send(theirs));
	assert_false(may_send(next)); /* behind its own account's */
	close(first);
	rig_turn(&r);
	assert_true(may_send(theirs)); /* who has nothing goes before who came earlier and has something */
	assert_true(may_send(next));
	assert_false(may_send(third));
	close(second);
	rig_turn(&r);
	assert_true(may_send(third));
	close(third);
	close(theirs);
	close(next);
}

static void
the_last_of_the_memory_is_for_who_has_little(void **state)
{
	const char *other = somebody_else();
	int first = announce(r.key, 3500000), second = announce(r.key, 4350000);
	assert_true(may_send(first) && may_send(second));
	int third = announce(r.key, 100000), small = announce(r.key, 100);
	assert_false(may_send(third)); /* there would be room */
	assert_false(may_send(small)); /* its account has much */
	int theirs = announce(other, 60000), more = announce(other, 60000);
	assert_true(may_send(theirs)); /* nor does it wait behind them */
	assert_false(may_send(more)); /* not little any more */
	close(first);
	rig_turn(&r);
	assert_true(may_send(third) && may_send(small) && may_send(more));
	close(second);
	close(third);
	close(small);
	close(theirs);
	close(more);
	rig_turn(&r);
}

/* What an answer has that is settled, and has not gone to its client yet, is its account's still: else each request one after another would have little. */
static void
an_accounts_memory_is_known_beyond_its_last_exchange(void **state)
{
	enum { ACCOUNT = 7777 };
	struct edge *e = r.edge;
	assert_true(share_take(e, ACCOUNT));
	share_content(e, ACCOUNT, 1000);
	share_give(e, ACCOUNT);
	assert_int_equal(share_content_of(e, ACCOUNT), 1000);
	assert_true(share_take(e, ACCOUNT));
	share_content(e, ACCOUNT, 50);
	share_content(e, ACCOUNT, -1000);
	share_give(e, ACCOUNT);
	assert_int_equal(share_content_of(e, ACCOUNT), 50);
	assert_int_equal(e->shares_left, 1);
	share_content(e, ACCOUNT, -50);
	assert_int_equal(share_content_of(e, ACCOUNT), 0);
	assert_int_equal(e->shares_left, 0);
	for (uint64_t i = 0; i < 10 * (uint64_t)e->share_mask; i++) { /* of many that leave something some are forgotten, and the table never fills */
		assert_true(share_take(e, ACCOUNT + i));
		share_content(e, ACCOUNT + i, 1);
		share_give(e, ACCOUNT + i);
	}
	assert_int_equal(e->shares_left, e->spares_most / 2);
	for (uint64_t i = 0; i < 10 * (uint64_t)e->share_mask; i++)
		share_content(e, ACCOUNT + i, -1);
	assert_int_equal(e->shares_left, 0);
}

static void
a_slow_sender_gives_back_what_it_does_not_use(void **state)
{
	bool eof;
	int slow = announce(r.key, 7000000);
	assert_true(may_send(slow));
	rig_send(&r, slow, "{\"model\":\"m\",", 13);
	int next = announce(r.key, 7000000);
	assert_false(may_send(next));
	bool given = false;
	for (int i = 0; i < 7 && !given; i++) {
		rig_send(&r, slow, "  ", 2);
		rig_pass(&r, 500);
		given = may_send(next);
	}
	assert_true(given);
	/* it goes on piece by piece, and waits for what is not there, until the other one turns out to be slow as well */
	memset(in, ' ', 100000);
	for (int i = 0; i < 100 && !r.edge->wait_memory.first; i++)
		rig_send(&r, slow, in, 20000);
	assert_non_null(r.edge->wait_memory.first);
	for (int i = 0; i < 7 && r.edge->wait_memory.first; i++)
		rig_pass(&r, 500);
	assert_null(r.edge->wait_memory.first);
	rig_read(&r, slow, out, &eof);
	assert_false(eof);
	rig_pass(&r, 21000);
	rig_read(&r, slow, out, &eof);
	expect_status(out, "408");
	close(next);
	close(slow);
	rig_turn(&r);
	struct vault_facts facts;
	vault_facts(r.edge->vault, &facts);
	bool all = vault_admit(r.edge->vault, BUDGET); /* nothing of it was lost */
	assert_true(all);
	vault_release(r.edge->vault, BUDGET);
	books_after(0, 0);
}

static void
a_body_of_unknown_length_waits_in_its_middle_and_arrives_whole(void **state)
{
	static char body[150000];
	bool eof, filled = vault_admit(r.edge->vault, BUDGET - 100000);
	assert_true(filled);
	size_t head = (size_t)sprintf(body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"");
	for (size_t i = head; i < sizeof body - 4; i++)
		body[i] = (char)('a' + i % 23);
	memcpy(body + sizeof body - 4, "\"}]}", 4);
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ntransfer-encoding: chunked\r\n\r\n", r.key);
	rig_send(&r, c, in, n);
	for (size_t at = 0; at < sizeof body; at += 10000) {
		n = (size_t)sprintf(in, "2710\r\n");
		memcpy(in + n, body + at, 10000);
		memcpy(in + n + 10000, "\r\n", 2);
		rig_send(&r, c, in, n + 10002);
	}
	rig_send(&r, c, "0\r\n\r\n", 5);
	assert_non_null(r.edge->wait_memory.first);
	assert_int_equal(r.dials, 0);
	vault_release(r.edge->vault, BUDGET - 100000);
	rig_turn(&r);
	int p = rig_provider(&r, 0);
	assert_true(p >= 0);
	n = 0;
	for (size_t got; (got = rig_read(&r, p, out + n, &eof)); n += got)
		rig_turn(&r);
	const char *sent = memmem(out, n, body, 40);
	assert_non_null(sent);
	assert_memory_equal(sent, body, sizeof body - 1);
	close(c);
	close(p);
}

/* What is mapped is taken until so much is left; the blocks that hold it. */
static size_t
take_mapped(void **blocks, size_t most, uint64_t left)
{
	struct vault_facts facts;
	size_t n = 0;
	for (vault_facts(r.edge->vault, &facts); n < most && facts.mapped_bytes - facts.used_bytes > left; vault_facts(r.edge->vault, &facts), n++)
		blocks[n] = vault_alloc(r.edge->vault, 32 << 10);
	return n;
}

static void
who_finds_taken_what_was_free_waits_again(void **state)
{
	enum { CLIENTS = 16,
		BODY = 60000,
		TAKEN = 1024,
		SOME = 8 };
	static void *taken[TAKEN];
	static const char *const framing[] = {"content-length: 60000\r\n\r\n", "transfer-encoding: chunked\r\n\r\nea60\r\n"};
	int c[CLIENTS];
	bool eof;
	for (int f = 0; f < 2; f++) {
		for (int i = 0; i < CLIENTS; i++) { /* with TLS, the handshake is over */
			c[i] = rig_client(&r);
			rig_send(&r, c[i], "POST /v1/chat/completions HTTP/1.1\r\n", 36);
		}
		size_t have = take_mapped(taken, TAKEN, 300 << 10);
		for (int i = 0; i < CLIENTS; i++) {
			size_t n = (size_t)sprintf(in, "host: x\r\nauthorization: Bearer %s\r\n%s{\"model\":\"m\",", r.key, framing[f]);
			rig_send(&r, c[i], in, n);
		}
		assert_non_null(r.edge->wait_memory.first);
		for (int i = 0; i < SOME; i++) /* each sees that there is enough for one of them */
			vault_free(r.edge->vault, taken[--have], 32 << 10);
		rig_turn(&r);
		memset(in, ' ', BODY);
		for (int i = 0; i < CLIENTS; i++)
			rig_send(&r, c[i], in, BODY - 13);
		assert_non_null(r.edge->wait_memory.first);
		while (have)
			vault_free(r.edge->vault, taken[--have], 32 << 10);
		for (int i = 0; i < 3; i++)
			rig_turn(&r);
		assert_null(r.edge->wait_memory.first);
		for (int i = 0; i < CLIENTS; i++) { /* none was refused, each has all of its body to say */
			size_t n = rig_read(&r, c[i], out, &eof);
			if (!f)
				expect_status(out, "400"); /* it ends before it is an object's end */
			else
				assert_true(n == 0 && !eof);
			close(c[i]);
		}
		rig_turn(&r);
	}
	books_after(0, 0);
}

/* ---- where they lie ---- */

enum { LARGE = 40000 };

/* A request in one piece, `bytes` of body. Returns its length. */
static size_t
long_request(char *to, const char *path, size_t bytes, char letter)
{
	static const char begins[] = "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"", ends[] = "\"}]}";
	int head = sprintf(to, "POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %zu\r\n\r\n%s", path, r.key, bytes, begins);
	size_t n = (size_t)head, words = bytes - strlen(begins) - strlen(ends);
	memset(to + n, letter, words);
	memcpy(to + n + words, ends, strlen(ends));
	return n + words + strlen(ends);
}

static void
expect_body(int p, const char *body, size_t bytes)
{
	bool eof;
	assert_true(p >= 0);
	size_t n = rig_read(&r, p, out, &eof);
	assert_true(n > bytes);
	assert_memory_equal(out + n - bytes, body, bytes);
}

/* It has the caller's key in it. */
static void
expect_no_head_before(const struct block *b)
{
	for (const char *at = (const char *)(b + 1); at < b->bytes; at++)
		assert_int_equal(*at, 0);
}

/* One large enough to need such a block keeps the one that it was read into, whether all of it has come with its head or not. */
static void
a_large_body_stays_where_it_was_read(void **state)
{
	static const struct {
		size_t bytes, first;
		bool stays;
	} rows[] = {
		{1000, SIZE_MAX, false},
		{30000, SIZE_MAX, false},
		{LARGE, SIZE_MAX, true},
		{LARGE, 10000, true},
		{LARGE, 0, false}, /* nothing of it with its head */
		{200000, SIZE_MAX, true},
		{200000, 1, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct block *before = r.edge->read;
		int c = rig_client(&r);
		size_t n = long_request(in, "/v1/chat/completions", rows[i].bytes, 'a'), head = n - rows[i].bytes;
		size_t first = rows[i].first < rows[i].bytes ? head + rows[i].first : n;
		rig_send(&r, c, in, first);
		assert_int_equal(r.edge->read != before, rows[i].stays);
		if (rows[i].stays)
			expect_no_head_before(r.edge->exchanges->req->body);
		rig_send(&r, c, in + first, n - first);
		expect_body(rig_provider(&r, r.dials - 1), in + head, rows[i].bytes);
		close(c);
		rig_turn(&r);
		close(rig_provider(&r, r.dials - 1));
	}
}

static void
no_memory_is_given_out_dirty(void)
{
	enum { BLOCKS = 8,
		BYTES = 64 << 10 };
	static const char zero[BYTES];
	char *at[BLOCKS];
	for (size_t i = 0; i < BLOCKS; i++)
		if ((at[i] = vault_alloc(r.edge->vault, BYTES)))
			assert_memory_equal(at[i], zero, BYTES);
	for (size_t i = 0; i < BLOCKS; i++)
		vault_free(r.edge->vault, at[i], BYTES);
}

/* Two are read in one turn into one block, and what the second does not write over is the first one's. */
static void
what_another_sent_in_the_same_turn_is_wiped_with_a_body_that_stays(void **state)
{
	int one = rig_client(&r), two = rig_client(&r);
	size_t n = long_request(in, "/v1/nothing", 60000, 'a');
	assert_int_equal(send(one, in, n, 0), n);
	n = long_request(in, "/v1/chat/completions", LARGE, 'b');
	assert_int_equal(send(two, in, n, 0), n);
	expect_body(rig_provider(&r, 0), in + n - LARGE, LARGE);
	close(one);
	close(two);
	close(rig_provider(&r, 0));
	rig_turn(&r);
	assert_null(r.edge->exchanges);
	no_memory_is_given_out_dirty();
}

/* A head of some 32 KB makes no body large. */
static void
a_small_body_behind_a_long_head_is_copied(void **state)
{
	enum { HEAD = 32000,
		BODY = 40 };
	const struct block *before = r.edge->read;
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n", r.key, BODY);
	while (n < HEAD)
		n += (size_t)sprintf(in + n, "x-a: %0700d\r\n", 0);
	n += (size_t)sprintf(in + n, "\r\n{");
	rig_send(&r, c, in, n);
	assert_ptr_equal(r.edge->read, before);
	assert_non_null(r.edge->exchanges);
	close(c);
}

static uint64_t
segments(void)
{
	struct vault_facts f;
	vault_facts(r.edge->vault, &f);
	return f.segments;
}

/* What came in a crowd is all given back: the block that the last of it left the edge with as well. */
static void
an_idle_edge_reads_into_its_first_segment(void **state)
{
	enum { BYTES = 32 << 10,
		MORE = 20 };
	static void *crowd[1024];
	size_t count = 0;
	int fd = vault_segment_create(VAULT_PLAIN, VAULT_SEGMENT);
	struct message_segment m = MESSAGE_INIT(SEGMENT, message_segment);
	m.segment_bytes = VAULT_SEGMENT;
	assert_int_equal(ipc_send(r.supervisor, &m, sizeof m, fd), IPC_OK);
	close(fd);
	rig_turn(&r);
	assert_int_equal(segments(), 1);
	for (size_t left = SIZE_MAX; left; left = segments() > 1 && left > MORE ? MORE : left - 1) {
		assert_true(count < ARRAY_LEN(crowd));
		assert_non_null(crowd[count++] = vault_alloc(r.edge->vault, BYTES));
	}
	int c = rig_client(&r);
	size_t n = long_request(in, "/v1/chat/completions", LARGE, 'a');
	rig_send(&r, c, in, n);
	close(c);
	rig_turn(&r);
	close(rig_provider(&r, 0));
	while (count)
		vault_free(r.edge->vault, crowd[--count], BYTES);
	rig_turn(&r);
	assert_int_equal(segments(), 2);
	rig_pass(&r, 4 * VAULT_IDLE_MS);
	assert_int_equal(segments(), 1);
}

/* Nor does it ask for another one where its own is full, and it lies there already. */
static void
an_idle_edge_with_little_room_asks_for_none(void **state)
{
	enum { BYTES = 32 << 10,
		MOST = (16 << 20) / BYTES };
	static void *all[MOST];
	size_t count = 0;
	struct vault_facts f;
	for (vault_facts(r.edge->vault, &f); count < MOST && f.mapped_bytes - f.used_bytes > 2 * BYTES; vault_facts(r.edge->vault, &f)) {
		void *at = vault_alloc(r.edge->vault, BYTES);
		if (!at)
			break;
		all[count++] = at;
	}
	int fd = vault_segment_create(VAULT_PLAIN, VAULT_SEGMENT);
	const struct block *before = r.edge->read;
	assert_true(fd >= 0 && vault_keep_segment(r.edge->vault, fd, VAULT_SEGMENT));
	block_settle(r.edge);
	assert_int_equal(segments(), 1);
	assert_ptr_equal(r.edge->read, before);
	while (count)
		vault_free(r.edge->vault, all[--count], BYTES);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, with_dollar, closed)
#define MEDIA(f) cmocka_unit_test_setup_teardown(f, with_media, closed)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_compressed_request_is_refused_and_told_so),
		CASE(a_request_that_says_it_is_not_compressed_is_served),
		CASE(a_compressed_answer_is_refused),
		CASE(a_compressed_answer_behind_its_head_is_cut),
		CASE(who_fills_the_memory_delays_itself),
		CASE(the_last_of_the_memory_is_for_who_has_little),
		CASE(an_accounts_memory_is_known_beyond_its_last_exchange),
		CASE(a_slow_sender_gives_back_what_it_does_not_use),
		CASE(who_finds_taken_what_was_free_waits_again),
		CASE(a_body_of_unknown_length_waits_in_its_middle_and_arrives_whole),
		CASE(a_large_body_stays_where_it_was_read),
		CASE(what_another_sent_in_the_same_turn_is_wiped_with_a_body_that_stays),
		CASE(a_small_body_behind_a_long_head_is_copied),
		CASE(an_idle_edge_reads_into_its_first_segment),
		CASE(an_idle_edge_with_little_room_asks_for_none),
		MEDIA(a_form_is_charged_by_what_its_answer_says),
		MEDIA(speech_by_the_second_is_refused),
		MEDIA(what_each_request_costs_hides_no_measure),
		MEDIA(a_provider_that_fails_before_the_first_picture_is_not_paid_for),
		MEDIA(a_form_goes_up_as_it_came),
		MEDIA(a_form_is_charged_when_its_answer_is_whole),
		MEDIA(an_answer_before_the_request_is_sent_is_passed_on),
		MEDIA(a_form_that_two_could_read_in_two_ways_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
