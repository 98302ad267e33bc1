/* Streams whose provider says nothing for a while, under a clock of our own; in clear text and with TLS on both sides. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers:\n"
	"  - {name: o, url: http://127.0.0.1:9/v1, keys: [{env: RIG_KEY}]}\n"
	"  - {name: a, url: http://127.0.0.1:9/v1, dialect: anthropic, keys: [{env: RIG_KEY}]}\n"
	"  - {name: g, url: http://127.0.0.1:9/v1beta, dialect: gemini, keys: [{env: RIG_KEY}]}\n"
	"models:\n"
	"  - {id: gpt, provider: o, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: claude, provider: a, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: gemini, provider: g, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n";

enum { EVERY = 15000 };
#define HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
#define CHAT "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n"
#define PING "event: ping\ndata: {\"type\": \"ping\"}\n\n"
#define DELTA \
	"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[]," \
	"\"stop_reason\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n" \
	"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" \
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n"
#define GENERATED "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"Hi\"}]},\"index\":0}]}\r\n\r\n"

static const struct way {
	const char *path, *body, *says, *word;
} ways[] = {
	{"/v1/chat/completions", "{\"model\":\"gpt\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", CHAT, ": keep-alive\n\n"},
	{"/v1/completions", "{\"model\":\"gpt\",\"stream\":true,\"prompt\":\"hi\"}", CHAT, ": keep-alive\n\n"},
	{"/v1/chat/completions", "{\"model\":\"claude\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", DELTA, ": keep-alive\n\n"},
	{"/v1/messages", "{\"model\":\"claude\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", DELTA, PING},
	{"/v1/messages", "{\"model\":\"gpt\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", CHAT, PING},
	{"/v1beta/models/gemini:streamGenerateContent?alt=sse", "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}", GENERATED, "\r\n"},
	{"/v1beta/models/gpt:streamGenerateContent?alt=sse", "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}", CHAT, "\r\n"},
};

static int
opened(void **state)
{
	(void)state;
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	r.process.timeouts.keep_alive = EVERY;
	return 0;
}

static int
closed(void **state)
{
	(void)state;
	rig_close(&r);
	return 0;
}

static int
ask(const struct way *w)
{
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %zu\r\n\r\n%s", w->path, r.key, strlen(w->body), w->body);
	rig_send(&r, c, in, n);
	return c;
}

static void
say(int p, const char *bytes)
{
	rig_send(&r, p, in, (size_t)sprintf(in, "%zx\r\n%s\r\n", strlen(bytes), bytes));
}

static void
expect(int c, const char *word)
{
	bool eof;
	char framed[128];
	size_t n = rig_read(&r, c, out, &eof), want = word ? (size_t)sprintf(framed, "%zx\r\n%s\r\n", strlen(word), word) : 0;
	assert_int_equal(n, want);
	assert_memory_equal(out, framed, want);
}

static int
running(const struct way *w, int *ret_provider)
{
	bool eof;
	int c = ask(w), p = rig_provider(&r, r.dials - 1);
	rig_send(&r, p, HEAD, sizeof HEAD - 1);
	say(p, w->says);
	assert_true(rig_read(&r, c, out, &eof) > 0);
	*ret_provider = p;
	return c;
}

static void
a_silent_stream_is_kept_alive_in_the_callers_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		int p, c = running(&ways[i], &p);
		rig_pass(&r, EVERY - 2000);
		expect(c, NULL);
		rig_pass(&r, 4000);
		expect(c, ways[i].word);
		rig_pass(&r, EVERY);
		expect(c, ways[i].word);
		close(c);
		close(p);
		rig_turn(&r);
	}
}

/* What a provider says counts, and its silence has an end as before. */
static void
only_silence_counts(void **state)
{
	bool eof;
	int p, c;
	(void)state;
	c = running(&ways[0], &p);
	for (int i = 0; i < 6; i++) {
		rig_pass(&r, EVERY / 2);
		say(p, CHAT);
		rig_read(&r, c, out, &eof);
		assert_null(strstr(out, "keep-alive"));
	}
	for (int i = 0; i < 5; i++)
		rig_pass(&r, EVERY);
	size_t n = rig_read(&r, c, out, &eof);
	assert_non_null(memmem(out, n, "keep-alive", 10));
	assert_int_equal(r.counters.ended[END_PROVIDER_STALLED], 1);
	close(c);
}

/* Wherever an event is torn: nothing stands in the middle of it. */
static void
nothing_stands_within_an_event(void **state)
{
	static const char event[] = CHAT;
	/* Who asks for usage gets each byte as it comes; else half an event waits here for the rest. */
	static const struct way bytes = {"/v1/chat/completions",
		"{\"model\":\"gpt\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", CHAT, ""};
	(void)state;
	for (size_t at = 1; at < sizeof event - 1; at += 2) {
		bool eof;
		char first[sizeof event];
		int p, c = running(&bytes, &p);
		memcpy(first, event, at);
		first[at] = 0;
		for (size_t k = 0; k < at; k += 3) { /* in steps of less than what is remembered */
			char some[4] = {0};
			memcpy(some, first + k, at - k < 3 ? at - k : 3);
			say(p, some);
		}
		rig_read(&r, c, out, &eof);
		rig_pass(&r, EVERY + 2000);
		expect(c, NULL);
		say(p, event + at);
		rig_read(&r, c, out, &eof);
		rig_pass(&r, EVERY + 2000);
		expect(c, ": keep-alive\n\n");
		close(c);
		close(p);
		rig_turn(&r);
		if (at % 16 == 0)
			rig_book(&r);
	}
}

/* Before the provider's head nothing is sent: another target may still be asked, and an error have a status. */
static void
nothing_is_sent_before_the_answer_begins(void **state)
{
	static const struct way plain = {"/v1/chat/completions", "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "", ""};
	bool eof;
	(void)state;
	int c = ask(&ways[0]);
	rig_pass(&r, 4 * EVERY);
	expect(c, NULL);
	int p = rig_provider(&r, 0);
	rig_send(&r, p, HEAD, sizeof HEAD - 1);
	assert_true(rig_read(&r, c, out, &eof) > 0);
	rig_pass(&r, EVERY + 2000);
	expect(c, ": keep-alive\n\n");
	close(c);
	close(p);
	rig_turn(&r);
	c = ask(&plain);
	p = rig_provider(&r, r.dials - 1);
	rig_send(&r, p, in, (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"a\":"));
	rig_read(&r, c, out, &eof);
	rig_pass(&r, 2 * EVERY);
	expect(c, NULL);
	close(c);
}

static void
it_can_be_switched_off(void **state)
{
	int p;
	(void)state;
	r.process.timeouts.keep_alive = 0;
	int c = running(&ways[0], &p);
	rig_pass(&r, 3 * EVERY);
	expect(c, NULL);
	close(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_silent_stream_is_kept_alive_in_the_callers_words, opened, closed),
		cmocka_unit_test_setup_teardown(only_silence_counts, opened, closed),
		cmocka_unit_test_setup_teardown(nothing_stands_within_an_event, opened, closed),
		cmocka_unit_test_setup_teardown(nothing_is_sent_before_the_answer_begins, opened, closed),
		cmocka_unit_test_setup_teardown(it_can_be_switched_off, opened, closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
