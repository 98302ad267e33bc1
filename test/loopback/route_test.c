/* Which of several targets is asked, in which lane, at what price; and that nobody notices when one of them fails before the first byte. */
#include "loopback/rig.h"

#include "ticket/circuit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define PRICES(in, out) "    prices: [{from: 2020-01-01, input: \"" in "\", output: \"" out "\"}]\n"
#define SIZE "    context: 100000\n    output: 4000\n"

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"expose_route: true\n"
	"timeouts: {target: 20s}\n"
	"lanes: [{name: direct}, {name: economy, times: \"0.5\"}, {name: rare}, {name: keyed, sticky: key}, {name: loose, sticky: none}, {name: even, choice: load}, {name: quick, choice: speed}]\n"
	"providers:\n"
	"  - {name: one, url: \"http://127.0.0.1:1/v1\", keys: [{env: RIG_KEY}, {env: RIG_KEY}], retention: zero, region: eu}\n"
	"  - {name: two, url: \"http://127.0.0.1:2/v1\"}\n"
	"  - {name: three, url: \"http://127.0.0.1:3/v1\"}\n"
	"  - {name: other, url: \"http://127.0.0.1:4\", dialect: anthropic}\n"
	"models:\n"
	"  - id: ranked\n" SIZE PRICES("1", "2") "    targets:\n"
											 "      - {provider: two, upstream: at-two, rank: 2, lanes: [direct, economy]}\n"
											 "      - {provider: one, upstream: at-one, lanes: [direct, economy]}\n"
											 "  - id: shared\n" SIZE PRICES("1", "2") "    targets: [{provider: one, lanes: [direct, keyed, loose]}, {provider: two, lanes: [direct, keyed, loose]}]\n"
																					  "  - id: shares\n" SIZE PRICES("1", "2") "    targets: [{provider: one, lanes: [even]}, {provider: two, weight: 3, lanes: [even]}]\n"
																															   "  - id: races\n" SIZE PRICES("1", "2") "    targets: [{provider: one, lanes: [quick]}, {provider: two, lanes: [quick]}]\n"
																																									   "  - id: dear\n" SIZE PRICES("1", "2") "    targets: [{provider: one}, {provider: two, rank: 2, prices: [{from: 2020-01-01, input: \"100\", output: \"200\"}]}]\n"
																																																			  "  - id: mixed\n" SIZE PRICES("1", "2") "    targets: [{provider: other}, {provider: three, rank: 2}]\n"
																																																													  "  - id: crossed\n" SIZE PRICES("1", "2") "    targets: [{provider: three, upstream: at-three}, {provider: other, rank: 2}]\n";

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

static bool
set_policy(bool of_key, const char *policy)
{
	json_t *a = rig_control(&r, json_pack("{s:s, s:s, s:s}", "op", of_key ? "key.limit" : "account.limit", of_key ? "key" : "account", of_key ? r.key : r.account, "policy", policy));
	bool ok = json_is_true(json_object_get(a, "ok"));
	assert_true(!ok || strcmp(policy, "none") == 0 || strcmp(json_string_value(json_object_get(a, "policy")), policy) == 0);
	json_decref(a);
	return ok;
}

static void
set_lane(bool of_key, const char *lane)
{
	json_t *a = rig_control(&r, json_pack("{s:s, s:s, s:s}", "op", of_key ? "key.limit" : "account.limit", of_key ? "key" : "account", of_key ? r.key : r.account, "lane", lane));
	assert_true(json_is_true(json_object_get(a, "ok")));
	const char *is = json_string_value(json_object_get(a, "lane"));
	assert_string_equal(is ? is : "none", lane);
	json_decref(a);
}

static void
refused(const char *model, const char *headers, const char *why)
{
	char body[200];
	snprintf(body, sizeof body, BODY("%s"), model);
	int c = ask(body, headers);
	told(c, "HTTP/1.1 4", why);
	assert_int_equal(r.dials, seen);
	close(c);
	rig_turn(&r);
}

static void
served(const char *model, const char *headers, const char *upstream)
{
	char body[200];
	snprintf(body, sizeof body, BODY("%s"), model);
	int c = ask(body, headers), p = asked(upstream);
	answer(p);
	told(c, "HTTP/1.1 200", "Hello.");
	close(c);
	close(p);
	rig_turn(&r);
}

static void
what_a_key_and_its_workspace_demand_holds_whatever_a_request_says(void **state)
{
	static const char *const wrong[] = {"region=", "region=EU", "region=eu,region=us", "eu", "zero-retention,", ",", "region=longer-than-a-region-is", "zero-retention region=eu"};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(set_policy(true, wrong[i]));
	assert_true(set_policy(true, "region=eu"));
	served("ranked", "", "at-one");
	served("ranked", "lethe-policy: region=eu\r\n", "at-one");
	served("ranked", "lethe-policy: as-is\r\n", "at-one");
	refused("ranked", "lethe-policy: region=us\r\n", "region=us, region=eu");
	refused("crossed", "", "region=eu");
	assert_true(set_policy(false, "zero-retention"));
	served("ranked", "", "at-one");
	refused("crossed", "", "zero-retention, region=eu");
	assert_true(set_policy(true, "none"));
	refused("crossed", "", "zero-retention");
	assert_true(set_policy(false, "zero-retention,region=us"));
	refused("ranked", "", "region=us");
	assert_true(set_policy(true, "region=eu"));
	refused("ranked", "", "region=eu, region=us"); /* no place is both */
	assert_true(set_policy(false, "none"));
	int c = ask(BODY("ranked"), ""), p = asked("at-one"); /* and a failure does not lead out of it */
	close(p);
	told(c, "HTTP/1.1 50", "");
	assert_int_equal(rig_provider(&r, seen), -1);
	close(c);
	assert_true(set_policy(true, "none"));
	served("crossed", "", "at-three");
}

/* The header's, else the name's, else the key's, else its account's, else the first that the model has. */
static void
who_names_no_lane_goes_by_the_key_s_or_the_workspace_s(void **state)
{
	static const struct {
		const char *key, *account, *body, *headers;
		int64_t cost;
		const char *refused; /* NULL: it is served */
	} rows[] = {
		{"none", "none", BODY("ranked"), "", 20000, NULL},
		{"none", "economy", BODY("ranked"), "", 10000, NULL},
		{"direct", "economy", BODY("ranked"), "", 20000, NULL},
		{"economy", "direct", BODY("ranked"), "", 10000, NULL},
		{"economy", "none", BODY("ranked:direct"), "", 20000, NULL},
		{"economy", "none", BODY("ranked"), "lethe-lane: direct\r\n", 20000, NULL},
		{"direct", "direct", BODY("ranked:direct"), "lethe-lane: economy\r\n", 10000, NULL},
		{"none", "rare", BODY("ranked"), "", 0, "The model `ranked` has no lane `rare`. It has: direct, economy. Requests of this key go by that lane when they name none"},
		{"rare", "economy", BODY("ranked"), "", 0, "The model `ranked` has no lane `rare`."}, /* and not by the account's */
		{"rare", "none", BODY("ranked:keyed"), "", 0, "The model `ranked` has no lane `keyed`. It has: direct, economy.\""},
		{"rare", "none", BODY("ranked:economy"), "", 10000, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set_lane(true, rows[i].key);
		set_lane(false, rows[i].account);
		int64_t before = rig_balance(&r);
		int c = ask(rows[i].body, rows[i].headers), p = -1;
		if (rows[i].refused)
			told(c, "HTTP/1.1 400", rows[i].refused);
		else {
			answer(p = asked("at-one"));
			told(c, "HTTP/1.1 200", rows[i].cost == 10000 ? "lethe-lane: economy" : "lethe-lane: direct");
			close(p);
		}
		assert_int_equal(r.dials, seen); /* who is refused is sent to nobody */
		assert_int_equal(cost_of(before), rows[i].cost);
		close(c);
		rig_turn(&r);
	}
}

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
		{BODY("ranked"), "lethe-lane: fast\r\n", "HTTP/1.1 400", "There is no lane `fast`. lethe-lane is one of: direct, economy, rare, keyed, loose, even, quick."},
		{BODY("ranked"), "lethe-lane: rare\r\n", "HTTP/1.1 400", "The model `ranked` has no lane `rare`. It has: direct, economy."},
		{BODY("ranked:fast"), "", "HTTP/1.1 400", "The model `ranked` has no lane `fast`. It has: direct, economy."},
		{BODY("nobody:economy"), "", "HTTP/1.1 404", "nobody:economy"},
		{BODY("ranked"), "lethe-policy: zero-retentoin\r\n", "HTTP/1.1 400", "lethe-policy does not know `zero-retentoin`."},
		{BODY("ranked"), "lethe-policy: as-is, region=eu, region=us\r\n", "HTTP/1.1 400", "lethe-policy does not know `region=us`."},
		{BODY("ranked"), "lethe-policy: region=\r\n", "HTTP/1.1 400", "lethe-policy does not know `region=`."},
		{BODY("ranked"), "lethe-translate: maybe\r\n", "HTTP/1.1 400", "lethe-translate is `lenient`: "},
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

/* Which of the two is asked, once nobody is busy. */
static bool
goes_to_one(const char *lane, const char *rest)
{
	char body[400], headers[64];
	snprintf(body, sizeof body, "{\"model\":\"shared\",%s}", rest);
	snprintf(headers, sizeof headers, "lethe-lane: %s\r\n", lane);
	int c = ask(body, headers), p = asked("shared");
	bool one = strstr(out, "host: 127.0.0.1:1\r\n") != NULL;
	answer(p);
	told(c, "HTTP/1.1 200", "Hello.");
	close(c);
	close(p);
	rig_turn(&r);
	return one;
}

#define HI(text) "\"messages\":[{\"role\":\"system\",\"content\":\"" text "\"},{\"role\":\"user\",\"content\":\"hi\"}]"
#define HI_AGAIN(text) "\"messages\": [ {\"role\":\"system\", \"content\":\"" text "\"},{\"role\":\"user\",\"content\":\"other\"},{\"role\":\"user\",\"content\":\"more\"}]"

/* What can hit one prompt cache goes to one place; and there are several places. */
static void
who_says_the_same_hint_goes_the_same_way(void **state)
{
	enum { MANY = 11 };
	(void)state;
	int at_one = 0;
	for (int i = 0; i < MANY; i++) {
		char first[300], again[300];
		/* of the three, the first that is said counts: the rest changes */
		snprintf(first, sizeof first, "\"prompt_cache_key\":\"k%d\",\"user\":\"a\"," HI("A"), i);
		snprintf(again, sizeof again, "%s,\"user\":\"b%d\",\"prompt_cache_key\":\"\\u006b%d\"", HI("B"), i, i);
		bool one = goes_to_one("direct", first);
		assert_true(goes_to_one("direct", again) == one);
		at_one += one;
		snprintf(first, sizeof first, "\"user\":\"u%d\"," HI("A"), i);
		snprintf(again, sizeof again, "\"user\":\"u%d\",\"prompt_cache_key\":\"\"," HI("B"), i);
		one = goes_to_one("direct", first);
		assert_true(goes_to_one("direct", again) == one);
		at_one += one;
	}
	assert_in_range(at_one, 1, 2 * MANY - 1);
}

static void
conversations_that_begin_alike_go_the_same_way(void **state)
{
	enum { MANY = 20 };
	(void)state;
	int at_one = 0;
	for (int i = 0; i < MANY; i++) {
		char first[300], again[300];
		snprintf(first, sizeof first, HI("You are number %d, \\\" and so on"), i);
		snprintf(again, sizeof again, HI_AGAIN("You are number %d, \\\" and so on"), i);
		bool one = goes_to_one("direct", first);
		assert_true(goes_to_one("direct", again) == one);
		at_one += one;
	}
	assert_in_range(at_one, 1, MANY - 1);
}

static void
a_lane_says_what_belongs_together(void **state)
{
	enum { MANY = 30 };
	(void)state;
	int keyed = 0, loose = 0;
	for (int i = 0; i < MANY; i++) {
		char hint[200];
		snprintf(hint, sizeof hint, "\"prompt_cache_key\":\"k%d\"," HI("A"), i);
		keyed += goes_to_one("keyed", hint);
		loose += goes_to_one("loose", HI("A"));
	}
	assert_true(keyed == 0 || keyed == MANY);
	assert_in_range(loose, 1, MANY - 1);
}

/* Begins one; to whom it went is *ret_one. */
static int
begun(const char *body, const char *upstream, int *ret_client, bool *ret_one)
{
	*ret_client = ask(body, "");
	int p = asked(upstream);
	*ret_one = strstr(out, "host: 127.0.0.1:1\r\n") != NULL;
	return p;
}

static void
finished(int client, int provider)
{
	answer(provider);
	told(client, "HTTP/1.1 200", "Hello.");
	close(client);
	close(provider);
	rig_turn(&r);
}

static void
who_has_the_least_in_progress_for_its_weight_is_asked(void **state)
{
	enum { MANY = 24 };
	int client[MANY], provider[MANY], at_one = 0;
	bool one[MANY];
	for (int i = 0; i < MANY; i++) {
		provider[i] = begun(BODY("shares"), "shares", &client[i], &one[i]);
		at_one += one[i];
		if (i % 4 == 3)
			assert_int_equal(at_one, (i + 1) / 4); /* one for three of the other's */
	}
	for (int i = 0; i < MANY; i++)
		if (one[i])
			finished(client[i], provider[i]);
	for (int i = 0; i < MANY; i++) { /* it has nothing to do: it is asked until it has its share again */
		if (!one[i])
			continue;
		provider[i] = begun(BODY("shares"), "shares", &client[i], &one[i]);
		assert_true(one[i]);
	}
	for (int i = 0; i < MANY; i++)
		finished(client[i], provider[i]);
}

/* One that took half a second, the other a fifth of it; both are found out by one request each. */
static void
who_answered_soonest_of_late_is_asked(void **state)
{
	enum { MANY = 6 };
	int client[MANY], provider[MANY], second;
	bool slow, one;
	provider[0] = begun(BODY("races"), "races", &client[0], &slow);
	provider[1] = begun(BODY("races"), "races", &client[1], &one);
	assert_true(one != slow); /* nobody bets on who is not known */
	rig_pass(&r, 100);
	finished(client[1], provider[1]);
	rig_pass(&r, 400);
	finished(client[0], provider[0]);
	for (int i = 0; i < MANY; i++) { /* until it has so much to do that the slow one is no slower */
		provider[i] = begun(BODY("races"), "races", &client[i], &one);
		assert_true((one == slow) == (i == 4));
	}
	for (int i = 0; i < MANY; i++)
		finished(client[i], provider[i]);
	provider[0] = begun(BODY("races"), "races", &client[0], &one);
	assert_true(one != slow);
	say(provider[0], "HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}");
	second = asked("races");
	finished(client[0], second);
	close(provider[0]);
	for (int i = 0; i < 2; i++) { /* who has failed isn't quick */
		provider[0] = begun(BODY("races"), "races", &client[0], &one);
		assert_true(one == slow);
		rig_pass(&r, 300);
		finished(client[0], provider[0]);
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

/* ---- who fails is not noticed ---- */

#define ERROR(status, kind, more, body) "HTTP/1.1 " status "\r\ncontent-type: application/json\r\n" more "content-length: %zu\r\n\r\n" body, body
#define OVERLOADED "{\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}"
#define NO_QUOTA "{\"error\":{\"message\":\"You exceeded your current quota\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}"
#define PACKED "{\x8b\x08 not what it looks like"

enum how { REFUSES,
	HANGS_AT_CONNECT,
	SAYS, /* and goes on */
	CUTS, /* behind that */
	STALLS };

/* What an account that holds the losses has, by the books. */
static int64_t
loss_retry(void)
{
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *st;
	rig_book(&r);
	snprintf(path, sizeof path, "%s/ledger.db", r.dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT balance_nano FROM account WHERE id = 7", -1, &st, NULL), SQLITE_OK);
	int64_t nano = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_finalize(st);
	sqlite3_close(db);
	return nano;
}

static const struct fault {
	enum how how;
	const char *text, *body; /* the body's length goes into the text */
	bool asks_other_key; /* of the same provider, which then does the same */
	bool may_have_cost;
} faults[] = {
	{.how = REFUSES},
	{.how = HANGS_AT_CONNECT},
	{.how = CUTS, .text = "", .may_have_cost = true},
	{.how = CUTS, .text = "HTTP/1.1 200 OK\r\ncontent-ty", .may_have_cost = true},
	{.how = STALLS, .text = "", .may_have_cost = true},
	{.how = STALLS, .text = "HTTP/1.1 20", .may_have_cost = true},
	{.how = SAYS, .text = "HTTP/9.9 hello\r\n\r\n", .may_have_cost = true},
	{SAYS, ERROR("500 Oops", "server_error", "", OVERLOADED)},
	{SAYS, ERROR("503 Busy", "server_error", "retry-after: 7\r\n", OVERLOADED)},
	{SAYS, ERROR("529 Overloaded", "server_error", "", OVERLOADED)},
	{SAYS, ERROR("502 Bad", "server_error", "", "<html>")},
	{SAYS, ERROR("429 Slow down", "rate_limit", "retry-after-ms: 1500\r\n", OVERLOADED), true, false},
	{SAYS, ERROR("429 Slow down", "insufficient_quota", "", NO_QUOTA), true, false},
	{SAYS, ERROR("500 Oops", "server_error", "content-encoding: gzip\r\n", PACKED)},
	{SAYS, ERROR("429 Slow down", "rate_limit", "retry-after-ms: 1500\r\ncontent-encoding: br\r\n", PACKED), true, false},
	{SAYS, ERROR("401 Who", "invalid", "", OVERLOADED), true, false},
	{SAYS, ERROR("403 No", "invalid", "", OVERLOADED), true, false},
	{.how = CUTS, .text = "HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{\"err"},
	{.how = STALLS, .text = "HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{\"err", .may_have_cost = true},
};

static void
fail_once(const struct fault *f, int provider)
{
	char text[1024];
	if (f->how == SAYS && f->body) {
		/* each row has one place for the length */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof text, f->text, strlen(f->body));
#pragma GCC diagnostic pop
		say(provider, text);
	} else if (f->text && *f->text)
		say(provider, f->text);
	if (f->how == CUTS) {
		shutdown(provider, SHUT_RDWR);
		rig_turn(&r);
	}
	if (f->how == STALLS)
		rig_pass(&r, 61000);
}

static void
whoever_fails_before_the_first_byte_is_not_noticed(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		const struct fault *f = &faults[i];
		begin(state);
		r.refuse = f->how == REFUSES;
		r.leave = f->how == HANGS_AT_CONNECT;
		int c = ask(BODY("ranked"), "");
		if (f->how == HANGS_AT_CONNECT)
			rig_pass(&r, 6000);
		int p = !r.refuse && !r.leave ? asked("at-one") : -1;
		if (p >= 0)
			fail_once(f, p);
		if (f->asks_other_key && strstr(f->text, " 429 ")) { /* over the kept connection, for the answer was read to its end */
			bool eof;
			rig_read(&r, p, out, &eof);
			assert_non_null(strstr(out, "\"model\":\"at-one\""));
			fail_once(f, p);
		} else if (f->asks_other_key)
			fail_once(f, asked("at-one"));
		answer(asked("at-two"));
		told(c, "HTTP/1.1 200", "Hello.");
		assert_non_null(strstr(out, "lethe-provider: two\r\nlethe-lane: direct\r\n"));
		assert_int_equal(cost_of(1000000000), 20000);
		if ((loss_retry() < 0) != f->may_have_cost)
			fail_msg("fault %zu: loss.retry is %lld", i, (long long)loss_retry());
		assert_int_equal(atomic_load(&r.counters.upstream_failovers), f->asks_other_key ? 2 : 1);
		close(c);
		end(state);
	}
}

static void
what_the_caller_did_wrong_is_told_by_the_first(void **state)
{
	static const char wrong[] = "{\"error\":{\"message\":\"messages is wrong\",\"type\":\"invalid_request_error\"}}";
	char text[512];
	int c = ask(BODY("ranked"), ""), p = asked("at-one");
	snprintf(text, sizeof text, "HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", strlen(wrong), wrong);
	say(p, text);
	told(c, "HTTP/1.1 400", "messages is wrong");
	assert_int_equal(r.dials, seen);
	close(c);
}

static void
when_nobody_is_left_the_last_one_speaks(void **state)
{
	char text[512];
	int c = ask(BODY("ranked"), "");
	snprintf(text, sizeof text, "HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" OVERLOADED, strlen(OVERLOADED));
	say(asked("at-one"), text);
	shutdown(asked("at-two"), SHUT_RDWR);
	rig_turn(&r);
	told(c, "HTTP/1.1 502", "upstream_unreachable");
	assert_int_equal(cost_of(1000000000), 0);
	close(c);
}

/* Nobody can read what it says; what it is stands in its head. Of a good answer nobody could say what it costs. */
static void
what_came_compressed_says_its_status_alone(void **state)
{
	static const struct {
		const char *model, *status, *told, *has;
	} rows[] = {
		{BODY("dear"), "400 Bad", "HTTP/1.1 400", "The provider refused this request."},
		{BODY("mixed"), "400 Bad", "HTTP/1.1 400", "\"error\":{"},
		{BODY("dear"), "404 Gone", "HTTP/1.1 404", "The provider refused this request."},
		{BODY("dear"), "200 OK", "HTTP/1.1 502", "upstream_malformed"},
		{BODY("mixed"), "200 OK", "HTTP/1.1 502", "upstream_malformed"},
	};
	char text[512];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int c = ask(rows[i].model, ""), p = rig_provider(&r, seen);
		snprintf(text, sizeof text, "HTTP/1.1 %s\r\ncontent-encoding: gzip\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" PACKED, rows[i].status, strlen(PACKED));
		say(p, text);
		told(c, rows[i].told, rows[i].has);
		assert_null(strstr(out, "looks like"));
		assert_null(strstr(out, "content-encoding"));
		close(c);
		rig_turn(&r);
	}
	assert_int_equal(cost_of(1000000000), 0);
}

static void
who_is_told_to_come_later_by_all_of_them_is_told_when(void **state)
{
	char text[512];
	bool eof;
	int c = ask(BODY("ranked"), ""), p = asked("at-one");
	snprintf(text, sizeof text, "HTTP/1.1 429 Slow\r\nretry-after: 9\r\ncontent-encoding: gzip\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" PACKED, strlen(PACKED));
	say(p, text);
	rig_read(&r, p, out, &eof); /* with its other key */
	say(p, text);
	say(asked("at-two"), text);
	told(c, "HTTP/1.1 429", "\r\nretry-after: 9\r\n");
	assert_non_null(strstr(out, "\"code\":\"rate_limit_exceeded\""));
	assert_null(strstr(out, "content-encoding"));
	assert_null(strstr(out, "looks like"));
	assert_int_equal(cost_of(1000000000), 0);
	close(c);
}

/* Nothing may be asked of anybody else once the client has seen a byte. */
static void
a_cut_behind_the_first_byte_is_a_cut(void **state)
{
	int c = ask(BODY("ranked"), ""), p = asked("at-one");
	say(p, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"id\":");
	told(c, "HTTP/1.1 200", "lethe-provider: one");
	shutdown(p, SHUT_RDWR);
	rig_turn(&r);
	assert_int_equal(r.dials, seen);
	assert_int_equal(atomic_load(&r.counters.upstream_failovers), 0);
	close(c);
}

/* Whether it was seen before the connection closed nobody knows: the customer pays once, and what the provider may charge is the operator's loss. */
static void
what_had_gone_up_whole_may_be_charged_twice(void **state)
{
	bool eof;
	int c = ask(BODY("ranked"), ""), p = asked("at-one");
	answer(p);
	told(c, "HTTP/1.1 200", "Hello.");
	close(c);
	assert_int_equal(loss_retry(), 0);
	c = ask(BODY("ranked"), "");
	rig_read(&r, p, out, &eof); /* over the kept connection */
	assert_non_null(strstr(out, "\"model\":\"at-one\""));
	shutdown(p, SHUT_RDWR);
	rig_turn(&r);
	answer(asked("at-one"));
	told(c, "HTTP/1.1 200", "lethe-provider: one");
	assert_int_equal(cost_of(1000000000), 2 * 20000);
	assert_true(loss_retry() < 0);
	assert_int_equal(atomic_load(&r.counters.upstream_failovers), 0);
	close(c);
}

/* A feature that the account doesn't have is anybody's to ask for: one such request puts no key behind the others, but several in a row do. */
static void
forbidden_once_is_no_refused_account(void **state)
{
	static const char no[] = "HTTP/1.1 403 No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
	for (int i = 0; i < 2 + CIRCUIT_FAILURES; i++) {
		bool good = i == 1; /* in a row */
		int c = ask(BODY("ranked"), "");
		int p = asked("at-one"); /* each time: it is not refused */
		if (!good) {
			say(p, no);
			close(p);
			p = asked("at-one"); /* its other key */
			say(p, no);
			close(p);
			p = asked("at-two");
		}
		answer(p);
		told(c, "HTTP/1.1 200", good ? "lethe-provider: one" : "lethe-provider: two");
		close(c);
		shutdown(p, SHUT_RDWR);
		rig_turn(&r);
	}
	int c = ask(BODY("ranked"), "");
	answer(asked("at-two"));
	told(c, "HTTP/1.1 200", "lethe-provider: two");
	assert_int_equal(loss_retry(), 0);
	close(c);
}

/* Three failures in a row, and it is asked after the others; then one request finds out, and only that one. */
static void
an_open_circuit_is_passed_over_until_a_probe_has_closed_it(void **state)
{
	int c;
	for (int i = 0; i < CIRCUIT_FAILURES; i++) {
		c = ask(BODY("ranked"), "");
		shutdown(asked("at-one"), SHUT_RDWR);
		rig_turn(&r);
		int p = asked("at-two");
		answer(p);
		told(c, "HTTP/1.1 200", "Hello.");
		close(c);
		shutdown(p, SHUT_RDWR);
		rig_turn(&r);
	}
	assert_int_equal(atomic_load(&r.counters.circuits_opened), 1);
	c = ask(BODY("ranked"), "");
	int p = asked("at-two");
	answer(p);
	told(c, "HTTP/1.1 200", "lethe-provider: two");
	close(c);
	shutdown(p, SHUT_RDWR);
	rig_pass(&r, CIRCUIT_OPEN_MS);
	int probe = ask(BODY("ranked"), ""), probed = asked("at-one"), beside = ask(BODY("ranked"), "");
	p = asked("at-two");
	answer(p);
	told(beside, "HTTP/1.1 200", "lethe-provider: two");
	answer(probed);
	told(probe, "HTTP/1.1 200", "lethe-provider: one");
	c = ask(BODY("ranked"), "");
	bool eof;
	rig_read(&r, probed, out, &eof); /* over the kept connection */
	assert_non_null(strstr(out, "\"model\":\"at-one\""));
	answer(probed);
	told(c, "HTTP/1.1 200", "lethe-provider: one");
	close(c);
	close(probe);
	close(beside);
}

/* What the second can't be told was right for the first: nobody is told that it is wrong, and SDKs send it again. */
static void
what_only_the_failed_one_takes_is_no_mistake(void **state)
{
	static const char body[] = "{\"model\":\"crossed\",\"max_tokens\":9,\"logprobs\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
	int c = ask(body, "");
	shutdown(asked("at-three"), SHUT_RDWR);
	rig_turn(&r);
	told(c, "HTTP/1.1 502", "upstream_unreachable");
	assert_int_equal(r.dials, seen);
	assert_int_equal(cost_of(1000000000), 0);
	close(c);
}

/* A request that asks nobody in the end leaves the probe to the next one. */
static void
who_can_not_pay_takes_no_probe(void **state)
{
	for (int i = 0; i < CIRCUIT_FAILURES; i++) {
		int c = ask(BODY("ranked"), "");
		shutdown(asked("at-one"), SHUT_RDWR);
		rig_turn(&r);
		int p = asked("at-two");
		answer(p);
		told(c, "HTTP/1.1 200", "Hello.");
		close(c);
		shutdown(p, SHUT_RDWR);
		rig_turn(&r);
	}
	assert_int_equal(atomic_load(&r.counters.circuits_opened), 1);
	rig_pass(&r, CIRCUIT_OPEN_MS);
	int c = ask("{\"model\":\"ranked\",\"n\":128,\"max_tokens\":4000,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "");
	rig_book(&r); /* it waits for what may come back */
	told(c, "HTTP/1.1 402", "error");
	close(c);
	c = ask(BODY("ranked"), "");
	answer(asked("at-one"));
	told(c, "HTTP/1.1 200", "lethe-provider: one");
	close(c);
}

/* A rate limit holds for the key: the other one of the provider goes on, and the first one after the time that was named. */
static void
a_key_rests_as_long_as_the_provider_says(void **state)
{
	char first[64], text[512];
	int c = ask(BODY("ranked"), ""), p = asked("at-one");
	snprintf(first, sizeof first, "%.24s", strstr(out, "sk-rig-"));
	snprintf(text, sizeof text, "HTTP/1.1 429 Slow\r\nretry-after: 9\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" OVERLOADED, strlen(OVERLOADED));
	say(p, text);
	bool eof;
	for (int i = 0; i < 3; i++) { /* the one that fails over keeps its connection: the answer was whole */
		rig_read(&r, p, out, &eof);
		assert_non_null(strstr(out, "\"model\":\"at-one\""));
		assert_null(strstr(out, first));
		answer(p);
		told(c, "HTTP/1.1 200", "lethe-provider: one");
		close(c);
		rig_turn(&r);
		if (i == 1)
			rig_pass(&r, 9000);
		c = i < 2 ? ask(BODY("ranked"), "") : -1;
		if (i == 1)
			break;
	}
	rig_read(&r, p, out, &eof);
	assert_non_null(strstr(out, first));
	answer(p);
	told(c, "HTTP/1.1 200", "lethe-provider: one");
	close(c);
}

/* Providers repeat in their errors what they were sent. Whoever makes one say what it says about an account turns it away from nobody else. */
static void
words_of_the_caller_refuse_no_key(void **state)
{
	static const char wrong[] = "{\"error\":{\"message\":\"Invalid value: 'credit balance'\",\"type\":\"invalid_request_error\"}}";
	static const char *const upstreams[] = {"at-one", "at-one", "at-two"};
	char text[512];
	snprintf(text, sizeof text, "HTTP/1.1 400 Bad\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", strlen(wrong), wrong);
	int c = ask(BODY("ranked"), "");
	for (size_t i = 0; i < ARRAY_LEN(upstreams); i++)
		say(asked(upstreams[i]), text);
	told(c, "HTTP/1.1 503", "error");
	close(c);
	c = ask(BODY("ranked"), "");
	answer(asked("at-one"));
	told(c, "HTTP/1.1 200", "lethe-provider: one");
	close(c);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(the_lowest_rank_is_asked_and_a_lane_has_its_price),
		TEST(what_a_key_and_its_workspace_demand_holds_whatever_a_request_says),
		TEST(who_names_no_lane_goes_by_the_key_s_or_the_workspace_s),
		TEST(what_is_not_known_is_named),
		TEST(a_policy_reaches_only_those_that_are_declared_so),
		TEST(who_speaks_another_api_is_asked_in_it),
		TEST(one_key_stays_at_one_target_until_that_is_busy),
		TEST(who_says_the_same_hint_goes_the_same_way),
		TEST(conversations_that_begin_alike_go_the_same_way),
		TEST(a_lane_says_what_belongs_together),
		TEST(who_has_the_least_in_progress_for_its_weight_is_asked),
		TEST(who_answered_soonest_of_late_is_asked),
		TEST(the_hold_covers_the_dearest_target),
		cmocka_unit_test(whoever_fails_before_the_first_byte_is_not_noticed),
		TEST(what_the_caller_did_wrong_is_told_by_the_first),
		TEST(when_nobody_is_left_the_last_one_speaks),
		TEST(what_came_compressed_says_its_status_alone),
		TEST(who_is_told_to_come_later_by_all_of_them_is_told_when),
		TEST(a_cut_behind_the_first_byte_is_a_cut),
		TEST(what_had_gone_up_whole_may_be_charged_twice),
		TEST(forbidden_once_is_no_refused_account),
		TEST(an_open_circuit_is_passed_over_until_a_probe_has_closed_it),
		TEST(what_only_the_failed_one_takes_is_no_mistake),
		TEST(who_can_not_pay_takes_no_probe),
		TEST(a_key_rests_as_long_as_the_provider_says),
		TEST(words_of_the_caller_refuse_no_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
