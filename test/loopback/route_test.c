/* Which of several targets is asked, in which lane, at what price; and that nobody notices when one of them fails before the first byte. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define PRICES(in, out) "    prices: [{from: 2020-01-01, input: \"" in "\", output: \"" out "\"}]\n"
#define SIZE "    context: 100000\n    output: 4000\n"

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"expose_route: true\n"
	"lanes: [{name: direct}, {name: economy, times: \"0.5\"}, {name: rare}]\n"
	"providers:\n"
	"  - {name: one, url: \"http://127.0.0.1:1/v1\", keys: [{env: RIG_KEY}], retention: zero, region: eu}\n"
	"  - {name: two, url: \"http://127.0.0.1:2/v1\"}\n"
	"  - {name: three, url: \"http://127.0.0.1:3/v1\"}\n"
	"  - {name: other, url: \"http://127.0.0.1:4\", dialect: anthropic}\n"
	"models:\n"
	"  - id: ranked\n" SIZE PRICES("1", "2") "    targets:\n"
											 "      - {provider: two, upstream: at-two, rank: 2, lanes: [direct, economy]}\n"
											 "      - {provider: one, upstream: at-one, lanes: [direct, economy]}\n"
											 "  - id: shared\n" SIZE PRICES("1", "2") "    targets: [{provider: one, lanes: [direct]}, {provider: two, lanes: [direct]}]\n"
																					  "  - id: dear\n" SIZE PRICES("1", "2") "    targets: [{provider: one}, {provider: two, rank: 2, prices: [{from: 2020-01-01, input: \"100\", output: \"200\"}]}]\n"
																															 "  - id: mixed\n" SIZE PRICES("1", "2") "    targets: [{provider: other}, {provider: three, rank: 2}]\n";

#define BODY(model) "{\"model\":\"" model "\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define ANSWER "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
			   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"

static int
begin(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
end(void **state)
{
	rig_check_books(&r);
	rig_close(&r);
	return 0;
}

/* Connections that were asked for before are not looked at again. */
static int seen;

static int
ask(const char *body, const char *headers)
{
	int fd = rig_client(&r);
	seen = r.dials;
	rig_send(&r, fd, in, rig_request(&r, body, headers, in));
	return fd;
}

/* The next connection to a provider has got this request. */
static int
asked(const char *upstream)
{
	char want[80];
	bool eof;
	int fd = rig_provider(&r, seen++);
	assert_true(fd >= 0);
	rig_read(&r, fd, out, &eof);
	snprintf(want, sizeof want, "\"model\":\"%s\"", upstream);
	if (!strstr(out, want))
		fail_msg("asked for something else than %s: %s", upstream, out);
	return fd;
}

static void
say(int fd, const char *text)
{
	rig_send(&r, fd, text, strlen(text));
}

static void
answer(int fd)
{
	char text[1024];
	snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" ANSWER, strlen(ANSWER));
	say(fd, text);
}

/* What the client has been told begins so, and has this in it. */
static void
told(int fd, const char *begins, const char *has)
{
	bool eof;
	rig_read(&r, fd, out, &eof);
	if (strncmp(out, begins, strlen(begins)) != 0 || !strstr(out, has))
		fail_msg("wanted %s … %s, got: %s", begins, has, out);
}

static int64_t
cost_of(int64_t before)
{
	rig_book(&r);
	return before - rig_balance(&r);
}

/* ---- lanes, policies, prices ---- */

static void
the_lowest_rank_is_asked_and_a_lane_has_its_price(void **state)
{
	static const struct {
		const char *body, *headers;
		int64_t cost;
	} rows[] = {
		{BODY("ranked"), "", 20000},
		{BODY("ranked"), "lethe-lane: economy\r\n", 10000},
		{BODY("ranked:economy"), "", 10000},
		{BODY("ranked:economy"), "lethe-lane: DIRECT\r\n", 20000},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t before = rig_balance(&r);
		int c = ask(rows[i].body, rows[i].headers), p = asked("at-one");
		answer(p);
		told(c, "HTTP/1.1 200", "Hello.");
		assert_int_equal(cost_of(before), rows[i].cost);
		close(c);
		close(p);
		rig_turn(&r);
	}
}

static void
what_is_not_known_is_named(void **state)
{
	static const struct {
		const char *body, *headers, *begins, *says;
	} rows[] = {
		{BODY("ranked"), "lethe-lane: fast\r\n", "HTTP/1.1 400", "There is no lane `fast`. lethe-lane is one of: direct, economy, rare."},
		{BODY("ranked"), "lethe-lane: rare\r\n", "HTTP/1.1 400", "The model `ranked` has no lane `rare`. It has: direct, economy."},
		{BODY("ranked:fast"), "", "HTTP/1.1 400", "The model `ranked` has no lane `fast`. It has: direct, economy."},
		{BODY("nobody:economy"), "", "HTTP/1.1 404", "nobody:economy"},
		{BODY("ranked"), "lethe-policy: zero-retentoin\r\n", "HTTP/1.1 400", "lethe-policy does not know `zero-retentoin`."},
		{BODY("ranked"), "lethe-policy: as-is, region=eu, region=us\r\n", "HTTP/1.1 400", "lethe-policy does not know `region=us`."},
		{BODY("ranked"), "lethe-policy: region=\r\n", "HTTP/1.1 400", "lethe-policy does not know `region=`."},
		{BODY("mixed"), "lethe-policy: zero-retention\r\n", "HTTP/1.1 400", "No provider of the model `mixed` meets what lethe-policy demands: zero-retention."},
		{BODY("ranked"), "lethe-policy: zero-retention,region=us\r\n", "HTTP/1.1 400", "demands: zero-retention, region=us."},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int c = ask(rows[i].body, rows[i].headers);
		told(c, rows[i].begins, rows[i].says);
		assert_int_equal(r.dials, 0); /* nothing was sent to anybody */
		close(c);
		rig_turn(&r);
	}
	assert_int_equal(rig_balance(&r), 1000000000);
}

static void
a_policy_reaches_only_those_that_are_declared_so(void **state)
{
	for (int i = 0; i < 8; i++) {
		int c = ask(BODY("shared"), i % 2 ? "lethe-policy: zero-retention\r\n" : "lethe-policy: Region=EU, as-is\r\n"), p = asked("shared");
		assert_non_null(strstr(out, "host: 127.0.0.1:1\r\n"));
		answer(p);
		told(c, "HTTP/1.1 200", "Hello.");
		close(c);
		close(p);
		rig_turn(&r);
	}
}

static void
who_speaks_another_api_is_asked_in_it(void **state)
{
	static const char words[] = "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[{\"type\":\"text\",\"text\":\"Hello.\"}],"
								"\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}";
	char text[1024];
	int c = ask(BODY("mixed"), ""), p = asked("mixed");
	assert_non_null(strstr(out, "POST /messages HTTP/1.1\r\nhost: 127.0.0.1:4\r\n"));
	snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", strlen(words), words);
	say(p, text);
	told(c, "HTTP/1.1 200", "Hello.");
	close(c);
	close(p);
}

/* Requests of one key go where its prompts are cached, as long as that one isn't much busier than its share. */
static void
one_key_stays_at_one_target_until_that_is_busy(void **state)
{
	enum { MANY = 24 };
	int client[MANY], provider[MANY], at_one = 0;
	for (int i = 0; i < MANY; i++) {
		client[i] = ask(BODY("shared"), "");
		provider[i] = asked("shared");
		at_one += strstr(out, "host: 127.0.0.1:1\r\n") != NULL;
		if (i < 4)
			assert_true(at_one == 0 || at_one == i + 1);
	}
	assert_in_range(at_one > MANY / 2 ? at_one : MANY - at_one, 16, 20); /* half of them, a quarter more, and four */
	for (int i = 0; i < MANY; i++) {
		answer(provider[i]);
		told(client[i], "HTTP/1.1 200", "Hello.");
		close(client[i]);
		close(provider[i]);
	}
}

/* The dearest of all that may be asked: 4,000 tokens of output at $200 are $0.80 of the dollar. */
static void
the_hold_covers_the_dearest_target(void **state)
{
	int c = ask("{\"model\":\"dear\",\"max_completion_tokens\":4000,\"messages\":[]}", ""), p = asked("dear");
	int second = rig_client(&r);
	rig_send(&r, second, in, rig_request(&r, "{\"model\":\"dear\",\"max_completion_tokens\":4000,\"messages\":[]}", "", in));
	for (int i = 0; i < 3; i++) { /* a 402 waits for what is being booked */
		rig_pass(&r, 200);
		rig_book(&r);
		rig_turn(&r);
	}
	told(second, "HTTP/1.1 402", "insufficient_quota");
	answer(p);
	told(c, "HTTP/1.1 200", "Hello.");
	assert_int_equal(cost_of(1000000000), 20000); /* at the price of the one that answered */
	close(c);
	close(p);
	close(second);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(the_lowest_rank_is_asked_and_a_lane_has_its_price),
		TEST(what_is_not_known_is_named),
		TEST(a_policy_reaches_only_those_that_are_declared_so),
		TEST(who_speaks_another_api_is_asked_in_it),
		TEST(one_key_stays_at_one_target_until_that_is_busy),
		TEST(the_hold_covers_the_dearest_target),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
