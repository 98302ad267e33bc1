/* Sessions over WebSocket, byte by byte and under a clock of our own; in clear text and with TLS on both sides. */
#include "core/websocket.h"
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define CREATED "{\"type\":\"response.created\",\"response\":{\"usage\":null}}"
#define DELTA "{\"type\":\"response.output_text.delta\",\"delta\":\"12345678\"}"
#define DONE "{\"type\":\"response.done\",\"response\":{\"status\":\"completed\",\"usage\":{\"total_tokens\":15,\"input_tokens\":10,\"output_tokens\":5}}}"
static const char create[] = "{\"type\":\"response.create\"}";

enum { PRICE = 10 * 1000 + 5 * 2000 }; /* nano-dollars of what DONE reports */

static int
opened(void **state)
{
	rig_open(&r, "1.00", DURABILITY_BATCHED);
	return 0;
}

static const char transcribers[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers: [{name: sim, url: 'http://127.0.0.1:9/v1', keys: [{env: RIG_KEY}]}]\n"
	"models:\n"
	"  - {id: m, provider: sim, context: 1000, output: 100, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: by-second, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", audio_second: \"0.0001\"}]}\n"
	"  - {id: by-token, provider: sim, context: 1000, output: 100, prices: [{from: 2020-01-01, input: \"2\", audio_in: \"6\", output: \"10\"}]}\n"
	"  - {id: by-both, provider: sim, context: 1000, output: 100, prices: [{from: 2020-01-01, input: \"2\", audio_in: \"6\", output: \"10\", audio_second: \"0.0001\"}]}\n";

static int
opened_to_transcribe(void **state)
{
	rig_open_with(&r, transcribers, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
closed(void **state)
{
	rig_book(&r);
	rig_check_books(&r);
	rig_close(&r);
	return 0;
}

static uint64_t
ended(enum end_reason reason)
{
	return r.counters.ended[reason];
}

static size_t
frame(char *at, uint8_t first, const char *payload, size_t len, bool masked)
{
	static const uint8_t mask[4] = {9, 8, 7, 6};
	size_t head = websocket_head_of(at, first, len, masked ? mask : NULL);
	memcpy(at + head, payload, len);
	if (masked)
		websocket_mask(at + head, len, mask, 0);
	return head + len;
}

static void
say(int fd, uint8_t first, const char *payload, bool masked)
{
	char bytes[512];
	rig_send(&r, fd, bytes, frame(bytes, first, payload, strlen(payload), masked));
}

static int
ask(const char *model)
{
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "GET /v1/realtime?model=%s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
								   "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		model, r.key);
	rig_send(&r, c, in, n);
	return c;
}

/* What the provider answers to the request that it has got. */
static size_t
agreement(int provider, char *at)
{
	bool eof;
	char accept[WEBSOCKET_ACCEPT_TEXT];
	rig_read(&r, provider, in, &eof);
	const char *key = strstr(in, "sec-websocket-key: ");
	assert_non_null(key);
	websocket_accept((struct span){key + 19, WEBSOCKET_KEY_TEXT}, accept);
	return (size_t)sprintf(at, "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: %.28s\r\n\r\n", accept);
}

struct session {
	int client, provider;
};

static struct session
open_session(const char *model)
{
	char head[512];
	bool eof;
	int n = r.dials;
	struct session s = {.client = ask(model)};
	s.provider = rig_provider(&r, n);
	assert_true(s.provider >= 0);
	rig_send(&r, s.provider, head, agreement(s.provider, head));
	rig_read(&r, s.client, out, &eof);
	assert_non_null(strstr(out, "HTTP/1.1 101 "));
	assert_non_null(strstr(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	return s;
}

static void
leave(struct session s)
{
	close(s.client);
	close(s.provider);
	rig_turn(&r);
	rig_book(&r);
}

/* The code of the close frame that ends what the client got; 0: there is none. */
static unsigned
code_heard(int client, bool *ret_eof)
{
	size_t n = rig_read(&r, client, out, ret_eof);
	if (n < 4 || (uint8_t)out[n - 4] != 0x88 || out[n - 3] != 2)
		return 0;
	return (unsigned)((uint8_t)out[n - 2] << 8 | (uint8_t)out[n - 1]);
}

/* ---- the way of a session ---- */

static void
a_session_costs_what_it_reports(void **state)
{
	bool eof;
	struct session s = open_session("m");
	say(s.client, 0x81, create, true);
	rig_read(&r, s.provider, in, &eof);
	say(s.provider, 0x81, CREATED, false);
	say(s.provider, 0x81, DELTA, false);
	say(s.provider, 0x81, DONE, false);
	assert_true(rig_read(&r, s.client, out, &eof) > strlen(CREATED DELTA DONE));
	say(s.client, 0x88, "\x03\xe8", true);
	say(s.provider, 0x88, "\x03\xe8", false);
	assert_int_equal(code_heard(s.client, &eof), 1000);
	assert_true(eof);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - PRICE);
	assert_int_equal(ended(END_COMPLETED), 1);
	leave(s);
}

/* Whichever it tells, and whichever its row has a price for: ten tokens are a second. */
static void
a_transcription_is_charged_in_the_measure_of_its_models_row(void **state)
{
	enum { SECOND = 100000 };
	static const struct {
		const char *model, *usage;
		int64_t nano;
	} rows[] = {
		{"by-second", "{\"type\":\"duration\",\"seconds\":3}", 3 * SECOND},
		{"by-second", "{\"type\":\"tokens\",\"total_tokens\":22,\"input_tokens\":13,\"input_token_details\":{\"text_tokens\":2,\"audio_tokens\":11},\"output_tokens\":9}", 2 * SECOND},
		{"by-second", "{\"type\":\"tokens\",\"total_tokens\":39,\"input_tokens\":30,\"output_tokens\":9}", 3 * SECOND},
		{"by-second", "{\"type\":\"tokens\",\"total_tokens\":0,\"input_tokens\":0,\"output_tokens\":0}", 0},
		{"by-token", "{\"type\":\"duration\",\"seconds\":3}", 3 * 10 * 6000},
		{"by-token", "{\"type\":\"tokens\",\"total_tokens\":22,\"input_tokens\":13,\"input_token_details\":{\"text_tokens\":2,\"audio_tokens\":11},\"output_tokens\":9}", 2 * 2000 + 11 * 6000 + 9 * 10000},
		{"by-both", "{\"type\":\"duration\",\"seconds\":3}", 3 * SECOND},
		{"by-both", "{\"type\":\"tokens\",\"total_tokens\":22,\"input_tokens\":13,\"input_token_details\":{\"text_tokens\":2,\"audio_tokens\":11},\"output_tokens\":9}", 2 * 2000 + 11 * 6000 + 9 * 10000},
	};
	char message[512];
	int64_t spent = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool eof;
		struct session s = open_session("m");
		sprintf(message, "{\"type\":\"session.updated\",\"session\":{\"audio\":{\"input\":{\"transcription\":{\"model\":\"%s\"}}}}}", rows[i].model);
		say(s.provider, 0x81, message, false);
		sprintf(message, "{\"type\":\"conversation.item.input_audio_transcription.completed\",\"usage\":%s}", rows[i].usage);
		say(s.provider, 0x81, message, false);
		say(s.client, 0x88, "\x03\xe8", true);
		say(s.provider, 0x88, "\x03\xe8", false);
		code_heard(s.client, &eof);
		assert_true(eof);
		leave(s);
		spent += rows[i].nano;
		if (rig_balance(&r) != 1000000000 - spent)
			fail_msg("row %zu: %lld too much", i, (long long)(1000000000 - spent - rig_balance(&r)));
	}
}

/* Each byte of the provider's side is once its last. What was reported whole is paid, and nothing is paid that was not said. */
static void
a_provider_cut_at_every_byte(void **state)
{
	char stream[1024], head[512];
	size_t len = 0;
	len += frame(stream + len, 0x81, CREATED, strlen(CREATED), false);
	len += frame(stream + len, 0x81, DONE, strlen(DONE), false);
	size_t done = len;
	len += frame(stream + len, 0x89, "ping", 4, false);
	for (size_t cut = 0; cut <= len; cut++) {
		bool eof;
		if (r.dials > RIG_DIALS_MAX - 2) {
			closed(NULL);
			opened(NULL);
		}
		int n = r.dials;
		int64_t before = rig_balance(&r);
		struct session s = {.client = ask("m")};
		s.provider = rig_provider(&r, n);
		rig_send(&r, s.provider, head, agreement(s.provider, head));
		rig_send(&r, s.provider, stream, cut);
		close(s.provider);
		rig_turn(&r);
		assert_int_equal(code_heard(s.client, &eof), 1014);
		assert_non_null(memmem(out, sizeof out, "upstream_cut", 12));
		close(s.client);
		rig_turn(&r);
		rig_book(&r);
		int64_t paid = before - rig_balance(&r);
		assert_int_equal(paid, cut >= done ? PRICE : 0);
	}
}

/* Each byte of the client's side is once its last: nothing hangs, nothing is lost, a response that was asked for and begun is estimated. */
static void
a_client_cut_at_every_byte(void **state)
{
	char stream[256];
	size_t len = frame(stream, 0x81, create, strlen(create), true);
	len += frame(stream + len, 0x88, "\x03\xe8", 2, true);
	for (size_t cut = 0; cut < len; cut++) {
		bool eof;
		if (r.dials > RIG_DIALS_MAX - 2) {
			closed(NULL);
			opened(NULL);
		}
		uint64_t gone = ended(END_CLIENT_GONE);
		struct session s = open_session("m");
		rig_send(&r, s.client, stream, cut);
		rig_read(&r, s.provider, in, &eof);
		close(s.client);
		rig_turn(&r);
		rig_read(&r, s.provider, in, &eof);
		assert_true(eof);
		assert_int_equal(ended(END_CLIENT_GONE), gone + 1);
		close(s.provider);
		rig_turn(&r);
		rig_book(&r);
	}
}

static void
a_client_that_goes_pays_for_the_response_under_way(void **state)
{
	struct session s = open_session("m");
	say(s.client, 0x81, create, true);
	say(s.provider, 0x81, CREATED, false);
	say(s.provider, 0x81, DELTA, false);
	close(s.client);
	rig_turn(&r);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - 7 * 1000 - 2 * 2000); /* 26 bytes asked, 8 said */
	close(s.provider);
}

static void
where_it_is_drained_the_response_is_read_on_for_its_usage(void **state)
{
	bool eof;
	struct session s = open_session("drained");
	say(s.client, 0x81, create, true);
	say(s.provider, 0x81, CREATED, false);
	close(s.client);
	rig_turn(&r);
	say(s.provider, 0x81, DELTA, false);
	say(s.provider, 0x81, DONE, false);
	rig_read(&r, s.provider, in, &eof);
	assert_true(eof);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - PRICE);
	close(s.provider);
}

/* ---- time ---- */

static void
an_idle_session_ends_and_pings_do_not_help(void **state)
{
	bool eof;
	struct session s = open_session("m");
	for (int i = 0; i < 4; i++) {
		rig_pass(&r, 70000);
		say(s.client, 0x89, "x", true);
		assert_int_equal(code_heard(s.client, &eof), 0);
	}
	rig_pass(&r, 25000);
	assert_int_equal(code_heard(s.client, &eof), 1001);
	assert_int_equal(ended(END_SESSION_IDLE), 1);
	leave(s);
}

static void
a_message_now_and_then_is_enough(void **state)
{
	bool eof;
	struct session s = open_session("m");
	for (int i = 0; i < 4; i++) {
		rig_pass(&r, 200000);
		say(i % 2 ? s.client : s.provider, 0x81, "{}", i % 2);
		rig_read(&r, i % 2 ? s.provider : s.client, in, &eof);
		assert_false(eof);
	}
	leave(s);
}

static void
who_does_not_answer_a_close_is_waited_for_so_long(void **state)
{
	bool eof;
	struct session s = open_session("m");
	say(s.client, 0x88, "\x0f\xa1", true);
	rig_pass(&r, 4000);
	assert_int_equal(code_heard(s.client, &eof), 0);
	rig_pass(&r, 2000);
	assert_int_equal(code_heard(s.client, &eof), 4001);
	assert_true(eof);
	leave(s);
	s = open_session("m");
	say(s.provider, 0x88, "\x03\xe8", false);
	assert_int_equal(code_heard(s.client, &eof), 1000);
	assert_false(eof);
	rig_pass(&r, 6000);
	rig_read(&r, s.client, out, &eof);
	assert_true(eof);
	leave(s);
	assert_int_equal(ended(END_COMPLETED), 2);
}

/* ---- who does not read ---- */

/* Bytes that one side could send before nobody took more. */
static size_t
push_until_full(int fd, bool masked)
{
	size_t total = 0;
	int stuck = 0;
	static char message[70000], bytes[sizeof message + WEBSOCKET_HEAD_MAX];
	memset(message, ' ', sizeof message);
	memcpy(message, "{}", 2);
	size_t len = frame(bytes, 0x81, message, sizeof message, masked), at = 0;
	while (stuck < 50 && total < 16 << 20) {
		ssize_t n = send(fd, bytes + at, len - at, MSG_NOSIGNAL);
		rig_turn(&r);
		stuck = n > 0 ? 0 : stuck + 1;
		total += n > 0 ? (size_t)n : 0;
		at = (at + (n > 0 ? (size_t)n : 0)) % len;
	}
	return total;
}

static uint64_t
memory_used(void)
{
	struct vault_facts facts;
	vault_facts(r.edge->vault, &facts);
	return facts.used_bytes;
}

static void
a_side_that_does_not_read_stops_the_other(void **state)
{
	enum { SOCKETS = 4 << 20,
		BUFFER = 512 << 10 };
	bool eof;
	r.process.limits.websocket_frames_per_second = 100000;
	for (int side = 0; side < 2; side++) {
		struct session s = open_session("m");
		uint64_t before = memory_used();
		size_t sent = push_until_full(side ? s.client : s.provider, side);
		assert_true(sent < SOCKETS);
		assert_true(memory_used() < before + BUFFER);
		size_t got = 0, n;
		do
			got += n = rig_read(&r, side ? s.provider : s.client, out, &eof);
		while (n);
		assert_true(got + 70100 > sent);
		leave(s);
	}
}

static void
a_provider_that_takes_nothing_for_long_has_stalled(void **state)
{
	bool eof;
	r.process.limits.websocket_frames_per_second = 100000;
	struct session s = open_session("m");
	push_until_full(s.client, true);
	rig_pass(&r, 62000);
	assert_int_equal(code_heard(s.client, &eof), 1014);
	assert_int_equal(ended(END_PROVIDER_STALLED), 1);
	leave(s);
}

/* ---- who breaks the protocol ---- */

static void
a_provider_that_breaks_the_protocol_is_cut(void **state)
{
	static const char *const frames[] = {"\x81\x80....", "\xc1\x01x", "\x83\x01x", "\x80\x01x", "\x81\x02\xc3\x28", "\x88\x02\x03\xed"};
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		bool eof;
		struct session s = open_session("m");
		rig_send(&r, s.provider, frames[i], i ? strlen(frames[i]) : 6);
		assert_int_equal(code_heard(s.client, &eof), 1014);
		leave(s);
	}
	assert_int_equal(ended(END_PROVIDER_CUT), ARRAY_LEN(frames));
}

static void
a_handshake_that_does_not_fit_is_no_session(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 101 x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
		"HTTP/1.1 101 x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
	};
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		bool eof;
		int n = r.dials, c = ask("m"), p = rig_provider(&r, n);
		rig_send(&r, p, answers[i], strlen(answers[i]));
		rig_read(&r, c, out, &eof);
		assert_non_null(strstr(out, "HTTP/1.1 502 "));
		close(c);
		close(p);
		rig_turn(&r);
	}
	static const char *const more[] = {"sec-websocket-extensions: permessage-deflate\r\n", "sec-websocket-protocol: realtime\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(more); i++) { /* nobody asked for these */
		bool eof;
		char head[512];
		int n = r.dials, c = ask("m"), p = rig_provider(&r, n);
		size_t len = agreement(p, head);
		len = len - 2 + (size_t)sprintf(head + len - 2, "%s\r\n", more[i]);
		rig_send(&r, p, head, len);
		rig_read(&r, c, out, &eof);
		assert_non_null(strstr(out, "HTTP/1.1 502 "));
		close(c);
		close(p);
		rig_turn(&r);
	}
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, opened, closed)
	const struct CMUnitTest tests[] = {
		TEST(a_session_costs_what_it_reports),
		cmocka_unit_test_setup_teardown(a_transcription_is_charged_in_the_measure_of_its_models_row, opened_to_transcribe, closed),
		TEST(a_provider_cut_at_every_byte),
		TEST(a_client_cut_at_every_byte),
		TEST(a_client_that_goes_pays_for_the_response_under_way),
		TEST(where_it_is_drained_the_response_is_read_on_for_its_usage),
		TEST(an_idle_session_ends_and_pings_do_not_help),
		TEST(a_message_now_and_then_is_enough),
		TEST(who_does_not_answer_a_close_is_waited_for_so_long),
		TEST(a_side_that_does_not_read_stops_the_other),
		TEST(a_provider_that_takes_nothing_for_long_has_stalled),
		TEST(a_provider_that_breaks_the_protocol_is_cut),
		TEST(a_handshake_that_does_not_fit_is_no_session),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
