/* Customers' own keys at providers: whose key is sent, what it costs, what is said when it is refused, and that ours is never used in its place. */
#include "loopback/rig.h"

#include "core/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define PRICES "    context: 100000\n    output: 4000\n    prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]\n"

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"byok_fee: {percent: '5', per_request: '0.00001'}\n"
	"providers:\n"
	"  - {name: one, url: \"http://127.0.0.1:1/v1\", keys: [{env: RIG_KEY}]}\n"
	"  - {name: two, url: \"http://127.0.0.1:2/v1\", keys: [{env: RIG_KEY}]}\n"
	"  - {name: other, url: \"http://127.0.0.1:4\", dialect: anthropic, keys: [{env: RIG_KEY}]}\n"
	"  - {name: keeper, url: \"http://127.0.0.1:9/v1\", keys: [{env: RIG_KEY}], objects: true, store: true}\n"
	"  - {name: batcher, url: \"http://127.0.0.1:9/v1\", dialect: anthropic, keys: [{env: RIG_KEY}], objects: true}\n"
	"models:\n"
	"  - {id: kept, provider: keeper, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}, {from: 2020-01-01, tier: batch, times: \"0.5\"}]}\n"
	"  - {id: claude, provider: batcher, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}, {from: 2020-01-01, tier: batch, times: \"0.5\"}]}\n"
	"  - id: m\n" PRICES "    provider: one\n"
	"  - id: pair\n" PRICES "    targets: [{provider: one}, {provider: two, rank: 2}]\n"
	"  - id: crossed\n" PRICES "    provider: other\n";

#define BODY(model) "{\"model\":\"" model "\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define ANSWER "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
			   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"
#define REFUSAL "{\"error\":{\"message\":\"Incorrect API key provided: sk-the****owns.\",\"type\":\"invalid_request_error\",\"code\":\"invalid_api_key\"}}"

enum { LIST = 20000,
	FEE = 1000 + 10000 }; /* nano: 5 %, and what each request costs */

static const char ours[] = "sk-rig-";

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

/* ---- orders ---- */

static json_t *
told_ok(json_t *answer)
{
	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s", json_dumps(answer, 0));
	return answer;
}

static void
add(const char *account, const char *provider, const char *secret, bool fallback)
{
	rig_own_key(&r, account, provider, secret, fallback, NULL);
}

static void
drop(const char *account, const char *provider)
{
	json_decref(told_ok(rig_control(&r, json_pack("{s:s, s:s, s:s}", "op", "byok.remove", "account", account, "provider", provider))));
}

/* Another customer's key from here on; the first one's comes back with the end of the test. */
static void
be_somebody_else(void)
{
	json_decref(told_ok(rig_control(&r, json_pack("{s:s, s:s}", "op", "account.create", "name", "else"))));
	json_decref(told_ok(rig_control(&r, json_pack("{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "else", "amount", "1.00", "reason", "t"))));
	json_t *a = told_ok(rig_control(&r, json_pack("{s:s, s:s}", "op", "key.create", "account", "else")));
	snprintf(r.key, sizeof r.key, "%s", json_string_value(json_object_get(a, "secret")));
	snprintf(r.account, sizeof r.account, "%s", json_string_value(json_object_get(a, "account")));
	json_decref(a);
}

static int64_t
nano_of(const char *member)
{
	struct nano n = {0};
	json_t *a = told_ok(rig_control(&r, json_pack("{s:s, s:s}", "op", "account.show", "account", r.account)));
	const char *text = json_string_value(json_object_get(a, member));
	assert_true(text && nano_parse((struct span){text, strlen(text)}, &n));
	json_decref(a);
	return n.v;
}

/* ---- exchanges ---- */

/* Connections that were asked for before are not looked at again. */
static int seen;

static int
ask(const char *body)
{
	int fd = rig_client(&r);
	seen = r.dials;
	rig_send(&r, fd, in, rig_request(&r, body, "", in));
	return fd;
}

/* The next connection to a provider has got a request with a key that begins so. */
static int
asked_by(const char *key)
{
	char want[80];
	bool eof;
	int fd = rig_provider(&r, seen++);
	assert_true(fd >= 0);
	rig_read(&r, fd, out, &eof);
	snprintf(want, sizeof want, "authorization: Bearer %s", key);
	char anthropic[80];
	snprintf(anthropic, sizeof anthropic, "x-api-key: %s", key);
	if (!strstr(out, want) && !strstr(out, anthropic))
		fail_msg("asked by another key than %s: %s", key, out);
	return fd;
}

static void
say(int fd, const char *status, const char *headers, const char *body)
{
	char text[1024];
	int len = snprintf(text, sizeof text, "HTTP/1.1 %s\r\ncontent-type: application/json\r\n%sconnection: close\r\ncontent-length: %zu\r\n\r\n%s", status, headers, strlen(body), body);
	rig_send(&r, fd, text, (size_t)len);
}

static void
told(int fd, const char *begins, const char *has)
{
	bool eof;
	rig_read(&r, fd, out, &eof);
	if (strncmp(out, begins, strlen(begins)) != 0 || !strstr(out, has))
		fail_msg("wanted %s … %s, got: %s", begins, has, out);
	close(fd);
	rig_turn(&r);
}

/* A request that is answered, by that key at that price. */
static void
answered(const char *body, const char *key, int64_t cost)
{
	rig_book(&r);
	int64_t before = nano_of("balance");
	int c = ask(body), p = asked_by(key);
	say(p, "200 OK", "", ANSWER);
	told(c, "HTTP/1.1 200", "Hello.");
	rig_book(&r);
	assert_int_equal(before - nano_of("balance"), cost);
	close(p);
	rig_turn(&r);
}

/* Was any event of this kind told to the scribe? */
static bool
reported(enum event_id event)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	bool found = false;
	while (ipc_recv(r.scribe, buf, &bytes, &fd) == IPC_OK)
		found |= ((struct message_event *)buf)->head.type == MESSAGE_EVENT && ((struct message_event *)buf)->event == event;
	return found;
}

/* ---- what it is used for, and what it costs ---- */

static void
a_request_goes_by_the_own_key_and_costs_the_fee(void **state)
{
	answered(BODY("m"), ours, LIST);
	add("rig", "one", "sk-theirs-1", false);
	answered(BODY("m"), "sk-theirs-1\r", FEE);
	answered(BODY("pair"), "sk-theirs-1\r", FEE);
	answered(BODY("m"), "sk-theirs-1\r", FEE);
}

static void
the_hold_is_counted_by_the_fee(void **state)
{
	int64_t holds[3];
	for (int i = 0; i < 3; i++) {
		if (i > 0)
			add("rig", "one", "sk-theirs-1", i == 2);
		rig_book(&r);
		int c = ask(BODY("m")), p = asked_by(i ? "sk-theirs-1\r" : ours);
		holds[i] = nano_of("held");
		say(p, "200 OK", "", ANSWER);
		told(c, "HTTP/1.1 200", "Hello.");
		close(p);
		rig_turn(&r);
		rig_book(&r);
	}
	assert_int_equal(holds[1], holds[0] / 20 + 10000);
	assert_int_equal(holds[2], holds[0] + 10000); /* it may come to ours: the dearer of each amount */
}

static void
nobody_elses_key_is_used(void **state)
{
	add("rig", "one", "sk-theirs-1", false);
	answered(BODY("m"), "sk-theirs-1\r", FEE);
	be_somebody_else();
	answered(BODY("m"), ours, LIST);
	add("else", "one", "sk-elses-22", false);
	answered(BODY("m"), "sk-elses-22\r", FEE);
	drop("rig", "one");
	answered(BODY("m"), "sk-elses-22\r", FEE);
	drop("else", "one");
	answered(BODY("m"), ours, LIST);
}

static void
another_key_and_its_removal_hold_at_once(void **state)
{
	add("rig", "one", "sk-theirs-1", false);
	answered(BODY("m"), "sk-theirs-1\r", FEE);
	int c = ask(BODY("m")), p = asked_by("sk-theirs-1\r"); /* under way while it is replaced */
	add("rig", "one", "sk-theirs-2", false);
	say(p, "200 OK", "", ANSWER);
	told(c, "HTTP/1.1 200", "Hello.");
	close(p);
	rig_turn(&r);
	answered(BODY("m"), "sk-theirs-2\r", FEE);
	drop("rig", "one");
	answered(BODY("m"), ours, LIST);
	rig_pass(&r, 2100);
	answered(BODY("m"), ours, LIST);
}

static void
a_ticket_says_that_it_was_an_own_key(void **state)
{
	add("rig", "one", "sk-theirs-1", false);
	answered(BODY("m"), "sk-theirs-1\r", FEE);
	char *id = strstr(out, "lethe-receipt: req_");
	assert_non_null(id);
	char request[16];
	memcpy(request, id + 15, 15);
	request[15] = '\0';
	json_t *t = told_ok(rig_control(&r, json_pack("{s:s, s:s}", "op", "ticket.show", "id", request)));
	assert_true(json_is_true(json_object_get(t, "own_key")));
	assert_string_equal(json_string_value(json_object_get(t, "model")), "m");
	json_decref(t);
}

/* ---- when it is refused ---- */

static void
a_refused_key_is_told_and_costs_nothing_and_ours_goes_on(void **state)
{
	static const char *const statuses[] = {"401 Unauthorized", "403 Forbidden", "402 Payment Required", "429 Too Many Requests"};
	add("rig", "one", "sk-theirs-1", false);
	(void)reported(EVENT_PROVIDER_ACCOUNT);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		char line[40];
		int64_t before = nano_of("balance");
		int c = ask(BODY("pair")), p = asked_by("sk-theirs-1\r");
		say(p, statuses[i], "retry-after: 60\r\n", i == 3 ? "{\"error\":{\"message\":\"You exceeded your current quota, sk-the****owns.\",\"code\":\"insufficient_quota\"}}" : REFUSAL);
		snprintf(line, sizeof line, "HTTP/1.1 %.3s", statuses[i]);
		told(c, line, "sk-the****owns.");
		assert_int_equal(rig_provider(&r, seen), -1);
		rig_book(&r);
		assert_int_equal(nano_of("balance"), before);
		close(p);
		rig_turn(&r);
	}
	assert_false(reported(EVENT_PROVIDER_ACCOUNT));
	be_somebody_else();
	answered(BODY("pair"), "sk-rig-0", LIST); /* at the first target: its circuits are closed */
}

static void
the_refusal_is_told_in_the_callers_dialect(void **state)
{
	add("rig", "other", "sk-ant-theirs", false);
	int c = ask(BODY("crossed")), p = asked_by("sk-ant-theirs\r");
	say(p, "401 Unauthorized", "", "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}}");
	told(c, "HTTP/1.1 401", "invalid x-api-key");
	assert_non_null(strstr(out, "\"param\":"));
	assert_null(strstr(out, "\"type\":\"error\""));
	close(p);
}

static void
what_fails_does_not_fall_back_unless_it_may(void **state)
{
	add("rig", "one", "sk-theirs-1", false);
	int c = ask(BODY("pair")), p = asked_by("sk-theirs-1\r");
	say(p, "500 Oops", "", "{\"error\":{\"message\":\"no\"}}");
	told(c, "HTTP/1.1 500", "");
	assert_int_equal(rig_provider(&r, seen), -1);
	close(p);
	r.refuse = 1;
	c = ask(BODY("pair"));
	told(c, "HTTP/1.1 50", "");
	assert_int_equal(r.dials, seen);
	r.refuse = 0;
}

static void
with_leave_our_key_and_other_targets_are_asked_next_at_their_price(void **state)
{
	add("rig", "one", "sk-theirs-1", true);
	answered(BODY("pair"), "sk-theirs-1\r", FEE);
	int64_t before = nano_of("balance");
	int c = ask(BODY("pair")), p = asked_by("sk-theirs-1\r");
	say(p, "401 Unauthorized", "", REFUSAL);
	int q = asked_by(ours);
	say(q, "500 Oops", "", "{\"error\":{\"message\":\"no\"}}");
	int s = asked_by("sk-rig-1"); /* the second provider's, ours too */
	say(s, "200 OK", "", ANSWER);
	told(c, "HTTP/1.1 200", "Hello.");
	rig_book(&r);
	assert_int_equal(before - nano_of("balance"), LIST);
	close(p);
	close(q);
	close(s);
	rig_turn(&r);
	answered(BODY("pair"), "sk-theirs-1\r", FEE);
}

static void
a_key_that_no_edge_can_open_is_said_and_nobody_is_asked(void **state)
{
	static const uint8_t lost[BYOK_SEED_BYTES] = {9};
	rig_own_key(&r, "rig", "one", "sk-theirs-1", false, lost);
	int c = ask(BODY("pair"));
	told(c, "HTTP/1.1 4", "own key");
	assert_int_equal(r.dials, seen);
	rig_own_key(&r, "rig", "one", "sk-theirs-1", true, lost);
	answered(BODY("pair"), ours, LIST);
}

/* ---- what is kept ---- */

static void
the_store_never_has_it_in_the_clear(void **state)
{
	static const char *const files[] = {"ledger.db", "ledger.db-wal"};
	add("rig", "one", "sk-theirs-in-the-clear", false);
	answered(BODY("m"), "sk-theirs-in-the-clear\r", FEE);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[128];
		snprintf(path, sizeof path, "%s/%s", r.dir, files[i]);
		FILE *f = fopen(path, "r");
		assert_true(f || i == 1);
		size_t len = f ? fread(in, 1, sizeof in, f) : 0;
		assert_true(len < sizeof in);
		assert_null(memmem(in, len, "theirs-in-the-clear", 19));
		if (f)
			fclose(f);
	}
	drop("rig", "one");
}

/* ---- work that outlives its connection ---- */

#define BACKGROUND "{\"model\":\"kept\",\"input\":\"hi\",\"background\":true,\"max_output_tokens\":1000}"
#define RESPONSE(status, usage) "{\"id\":\"resp_UNSEALEDr\",\"object\":\"response\",\"status\":\"" status "\",\"model\":\"kept\",\"output\":[],\"usage\":" usage "}"
#define QUEUED RESPONSE("queued", "null")
#define DONE RESPONSE("completed", "{\"input_tokens\":1000,\"output_tokens\":100,\"total_tokens\":1100}")
#define CLAUDE "{\"requests\":[{\"custom_id\":\"a\",\"params\":{\"model\":\"claude\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}}]}"
#define RUNS "{\"id\":\"msgbatch_UNSEALEDb\",\"type\":\"message_batch\",\"processing_status\":\"in_progress\",\"results_url\":null}"
#define RESULT "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\"," \
			   "\"content\":[{\"type\":\"text\",\"text\":\"Hello.\"}],\"usage\":{\"input_tokens\":40,\"output_tokens\":50}}}}\n"

enum { RESPONSE_LIST = 1000 * 1000 + 100 * 2000,
	RESPONSE_FEE = RESPONSE_LIST / 20 + 10000,
	BATCH_LIST = 40 * 500 + 50 * 1000,
	BATCH_FEE = BATCH_LIST / 20 + 10000,
	LONG_MS = 100000000 };

static int
ask_for(const char *line, const char *body)
{
	int fd = rig_client(&r);
	seen = r.dials;
	size_t n = (size_t)sprintf(in, "%s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n", line, r.key);
	n += (size_t)sprintf(in + n, body ? "content-type: application/json\r\ncontent-length: %zu\r\n\r\n%s" : "\r\n", body ? strlen(body) : 0, body);
	rig_send(&r, fd, in, n);
	return fd;
}

/* Its id, of work that this key begins. */
static void
begun(const char *path, const char *body, const char *key, const char *answer, char line[300])
{
	char asks[80];
	snprintf(asks, sizeof asks, "POST %s", path);
	int c = ask_for(asks, body), p = asked_by(key);
	say(p, "200 OK", "", answer);
	told(c, "HTTP/1.1 200", "\"id\":\"");
	assert_null(strstr(out, "UNSEALED"));
	const char *id = strstr(out, "\"id\":\"") + 6;
	snprintf(line, 300, "GET %s/%.*s", path, (int)(strchr(id, '"') - id), id);
	close(p);
	rig_turn(&r);
}

static bool
an_errand_is_answered(uint64_t later_ms, const char *key, const char *status, const char *body)
{
	seen = r.dials;
	if (!rig_errand(&r, later_ms) || r.dials == seen)
		return false;
	int p = asked_by(key);
	say(p, status, "", body);
	close(p);
	rig_turn(&r);
	return true;
}

static void
what_runs_goes_by_the_own_key_from_its_beginning_to_its_end(void **state)
{
	static const struct {
		const char *path, *body, *begins, *ends;
		int64_t cost;
	} rows[] = {{"/v1/responses", BACKGROUND, QUEUED, DONE, RESPONSE_FEE}, {"/v1/messages/batches", CLAUDE, RUNS, RESULT, BATCH_FEE}};
	add("rig", "keeper", "sk-theirs-1", false);
	add("rig", "batcher", "sk-theirs-1", false);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char line[300];
		rig_book(&r);
		int64_t before = nano_of("balance");
		begun(rows[i].path, rows[i].body, "sk-theirs-1\r", rows[i].begins, line);
		rig_book(&r);
		assert_in_range(before - nano_of("balance"), 10001, i ? 50000 : 200000); /* the most that it can cost is a fee */
		int c = ask_for(line, NULL), p = asked_by("sk-theirs-1\r");
		say(p, "200 OK", "", rows[i].begins);
		told(c, "HTTP/1.1 200", "status\"");
		close(p);
		rig_turn(&r);
		assert_true(an_errand_is_answered(LONG_MS, "sk-theirs-1\r", "200 OK", rows[i].ends));
		rig_book(&r);
		assert_int_equal(before - nano_of("balance"), rows[i].cost);
		assert_false(an_errand_is_answered(2 * LONG_MS, "sk-theirs-1\r", "200 OK", rows[i].ends));
	}
}

static void
without_its_key_it_waits_unmeasured_until_there_is_one(void **state)
{
	char line[300];
	int64_t before = nano_of("balance");
	add("rig", "keeper", "sk-theirs-1", false);
	begun("/v1/responses", BACKGROUND, "sk-theirs-1\r", QUEUED, line);
	rig_book(&r);
	int64_t held = nano_of("balance");
	assert_true(held < before);
	(void)reported(EVENT_WORK_UNMEASURED);
	drop("rig", "keeper");
	told(ask_for(line, NULL), "HTTP/1.1 4", "own key"); /* ours would see nothing of it */
	assert_false(an_errand_is_answered(LONG_MS, ours, "200 OK", DONE));
	assert_true(reported(EVENT_WORK_UNMEASURED));
	add("rig", "keeper", "sk-theirs-2", false);
	assert_true(an_errand_is_answered(2 * (uint64_t)LONG_MS, "sk-theirs-2\r", "401 Unauthorized", REFUSAL));
	assert_true(reported(EVENT_WORK_UNMEASURED));
	assert_false(reported(EVENT_PROVIDER_ACCOUNT));
	rig_book(&r);
	assert_int_equal(nano_of("balance"), held);
	add("rig", "keeper", "sk-theirs-3", false);
	assert_true(an_errand_is_answered(3 * (uint64_t)LONG_MS, "sk-theirs-3\r", "200 OK", DONE));
	rig_book(&r);
	assert_int_equal(before - nano_of("balance"), RESPONSE_FEE);
}

/* The key of another organisation, say. */
static void
what_its_key_does_not_find_is_unmeasured(void **state)
{
	static const char *const gone[] = {"404 Not Found", "410 Gone"};
	char line[300];
	int64_t before = nano_of("balance");
	add("rig", "keeper", "sk-theirs-1", false);
	begun("/v1/responses", BACKGROUND, "sk-theirs-1\r", QUEUED, line);
	(void)reported(EVENT_WORK_UNMEASURED);
	assert_true(an_errand_is_answered(LONG_MS, "sk-theirs-1\r", "500 Oops", REFUSAL));
	assert_false(reported(EVENT_WORK_UNMEASURED));
	for (uint64_t i = 0; i < ARRAY_LEN(gone); i++) {
		assert_true(an_errand_is_answered((2 + i) * LONG_MS, "sk-theirs-1\r", gone[i], REFUSAL));
		assert_true(reported(EVENT_WORK_UNMEASURED));
	}
	assert_true(an_errand_is_answered(4 * (uint64_t)LONG_MS, "sk-theirs-1\r", "200 OK", DONE));
	rig_book(&r);
	assert_int_equal(before - nano_of("balance"), RESPONSE_FEE);
}

/* All of it is taken while the key is on its way: ours is not for this. */
static void
without_memory_ours_is_not_used_instead(void **state)
{
	enum { BLOCKS = 8192 };
	static void *taken[BLOCKS];
	static size_t bytes[BLOCKS];
	static const char *const asks[][2] = {{"POST /v1/responses", BACKGROUND}, {"POST /v1/messages/batches", CLAUDE}, {"POST /v1/chat/completions", BODY("m")}};
	static const char *const at[] = {"keeper", "batcher", "one"};
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		size_t n = 0;
		add("rig", at[i], "sk-theirs-1", true);
		r.deaf = true;
		int c = ask_for(asks[i][0], asks[i][1]);
		assert_int_equal(r.edge->patient, 1);
		for (size_t size = VAULT_BLOCK_MAX; size >= VAULT_BLOCK_MIN; size /= 2)
			for (; n < BLOCKS && (taken[n] = vault_alloc(r.edge->vault, size)); n++)
				bytes[n] = size;
		assert_true(n < BLOCKS);
		r.deaf = false;
		rig_turn(&r);
		while (n-- > 0)
			vault_free(r.edge->vault, taken[n], bytes[n]);
		rig_turn(&r);
		assert_int_equal(r.dials, seen);
		told(c, "HTTP/1.1 503", "at capacity");
	}
}

static void
what_ours_has_begun_ours_looks_after(void **state)
{
	char line[300];
	int64_t before = nano_of("balance");
	begun("/v1/responses", BACKGROUND, ours, QUEUED, line);
	add("rig", "keeper", "sk-theirs-1", false);
	int c = ask_for(line, NULL), p = asked_by(ours);
	say(p, "200 OK", "", QUEUED);
	told(c, "HTTP/1.1 200", "queued");
	close(p);
	rig_turn(&r);
	assert_true(an_errand_is_answered(LONG_MS, ours, "200 OK", DONE));
	rig_book(&r);
	assert_int_equal(before - nano_of("balance"), RESPONSE_LIST);
}

/* A batch is begun with the own key alone; one that can't be opened is said. */
static void
a_broken_own_key_begins_no_batch(void **state)
{
	static const uint8_t lost[BYOK_SEED_BYTES] = {9};
	char line[300];
	int64_t before = nano_of("balance");
	rig_own_key(&r, "rig", "batcher", "sk-theirs-1", false, lost);
	told(ask_for("POST /v1/messages/batches", CLAUDE), "HTTP/1.1 4", "own key");
	assert_int_equal(r.dials, seen);
	rig_book(&r);
	assert_int_equal(nano_of("balance"), before);
	rig_own_key(&r, "rig", "batcher", "sk-theirs-1", true, lost); /* ours may be used instead */
	begun("/v1/messages/batches", CLAUDE, ours, RUNS, line);
	assert_true(an_errand_is_answered(LONG_MS, ours, "200 OK", RESULT));
	rig_book(&r);
	assert_int_equal(before - nano_of("balance"), BATCH_LIST);
}

/* ---- files: the key that keeps one is the only one that sees it ---- */

#define FORM "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n" \
			 "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nwords\r\n--b--\r\n"
#define FILE_OBJECT "{\"id\":\"file-UNSEALEDf\",\"object\":\"file\",\"purpose\":\"user_data\"}"

#define LINES_FORM "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n" \
				   "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n" \
				   "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" BODY("kept") "}\n\r\n--b--\r\n"
#define BATCH "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}"

static void
uploaded_as(const char *form, const char *key, char id[256])
{
	int fd = rig_client(&r);
	seen = r.dials;
	size_t n = (size_t)sprintf(in, "POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: %zu\r\n\r\n%s", r.key, strlen(form), form);
	rig_send(&r, fd, in, n);
	int p = asked_by(key);
	say(p, "200 OK", "", FILE_OBJECT);
	told(fd, "HTTP/1.1 200", "\"id\":\"file-");
	assert_null(strstr(out, "UNSEALED"));
	const char *at = strstr(out, "\"id\":\"") + 6;
	snprintf(id, 256, "%.*s", (int)(strchr(at, '"') - at), at);
	close(p);
	rig_turn(&r);
}

static void
uploaded(const char *key, char id[256])
{
	uploaded_as(FORM, key, id);
}

/* Each thing that is done with it goes by this key. */
static void
seen_by(const char *id, const char *key)
{
	static const char *const methods[] = {"GET", "DELETE"};
	char line[300], body[600];
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		snprintf(line, sizeof line, "%s /v1/files/%s", methods[i], id);
		int c = ask_for(line, NULL), p = asked_by(key);
		assert_non_null(strstr(out, "/files/file-UNSEALEDf HTTP/1.1\r\n"));
		say(p, "200 OK", "", FILE_OBJECT);
		told(c, "HTTP/1.1 200", id);
		close(p);
		rig_turn(&r);
	}
	snprintf(body, sizeof body, "{\"model\":\"kept\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"%s\"}}]}]}", id);
	int c = ask(body), p = asked_by(key);
	assert_non_null(strstr(out, "\"file_id\":\"file-UNSEALEDf\""));
	say(p, "200 OK", "", ANSWER);
	told(c, "HTTP/1.1 200", "Hello.");
	close(p);
	rig_turn(&r);
}

static void
seen_by_nobody(const char *id, const char *named_says, const char *asked_says)
{
	char text[600];
	snprintf(text, sizeof text, "{\"model\":\"kept\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"%s\"}}]}]}", id);
	told(ask(text), "HTTP/1.1 400", named_says);
	assert_int_equal(r.dials, seen);
	snprintf(text, sizeof text, "DELETE /v1/files/%s", id);
	if (!asked_says)
		return;
	told(ask_for(text, NULL), "HTTP/1.1 400", asked_says);
	assert_int_equal(r.dials, seen);
}

static void
a_file_is_seen_by_the_key_that_keeps_it(void **state)
{
	char ours_id[256], own_id[256], again[256];
	uploaded(ours, ours_id);
	seen_by(ours_id, ours);
	add("rig", "keeper", "sk-theirs-1", true);
	uploaded("sk-theirs-1\r", own_id);
	assert_string_not_equal(ours_id, own_id);
	seen_by(own_id, "sk-theirs-1\r");
	seen_by(ours_id, ours); /* not by their own, though it comes first */
	add("rig", "keeper", "sk-theirs-2", false); /* another one of their organisation, say */
	uploaded("sk-theirs-2\r", again);
	assert_string_equal(own_id, again);
	seen_by(own_id, "sk-theirs-2\r");
	seen_by_nobody(ours_id, "Upload it again", NULL); /* ours is used for no model any more; to be looked at and deleted it is */
	drop("rig", "keeper");
	seen_by_nobody(own_id, "lethe byok add", "own key");
	seen_by(ours_id, ours);
}

/* Ours is not asked after it, and it is not asked for what ours keeps. */
static void
what_an_own_key_keeps_does_not_fall_back(void **state)
{
	static const uint8_t lost[BYOK_SEED_BYTES] = {9};
	char id[256], ours_id[256], body[900];
	uploaded(ours, ours_id);
	add("rig", "keeper", "sk-theirs-1", true);
	uploaded("sk-theirs-1\r", id);
	snprintf(body, sizeof body, "{\"model\":\"kept\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"%s\"}}]}]}", id);
	int c = ask(body), p = asked_by("sk-theirs-1\r");
	say(p, "401 Unauthorized", "", REFUSAL);
	told(c, "HTTP/1.1 401", "");
	assert_int_equal(rig_provider(&r, seen), -1);
	close(p);
	rig_turn(&r);
	snprintf(body, sizeof body, "{\"model\":\"kept\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"%s\"}},{\"type\":\"file\",\"file\":{\"file_id\":\"%s\"}}]}]}", id, ours_id);
	told(ask(body), "HTTP/1.1 400", "Upload it again");
	rig_own_key(&r, "rig", "keeper", "sk-theirs-2", false, lost);
	seen_by_nobody(id, "can't be used", "own key");
}

static void
a_batch_goes_by_the_key_that_keeps_its_file(void **state)
{
	char id[256], ours_id[256], body[500], line[300];
	uploaded_as(LINES_FORM, ours, ours_id);
	add("rig", "keeper", "sk-theirs-1", false);
	snprintf(body, sizeof body, BATCH, ours_id);
	told(ask_for("POST /v1/batches", body), "HTTP/1.1 400", "Upload it again");
	assert_int_equal(r.dials, seen);
	uploaded_as(LINES_FORM, "sk-theirs-1\r", id);
	snprintf(body, sizeof body, BATCH, id);
	begun("/v1/batches", body, "sk-theirs-1\r", "{\"id\":\"batch_UNSEALEDb\",\"input_file_id\":\"file-UNSEALEDf\",\"status\":\"validating\"}", line);
	assert_non_null(strstr(out, id));
	drop("rig", "keeper");
	told(ask_for("POST /v1/batches", body), "HTTP/1.1 400", "lethe byok add");
	assert_int_equal(r.dials, seen);
	add("rig", "keeper", "sk-theirs-1", true); /* ours may be used as well, for what ours keeps */
	snprintf(body, sizeof body, BATCH, ours_id);
	begun("/v1/batches", body, ours, "{\"id\":\"batch_UNSEALEDc\",\"input_file_id\":\"file-UNSEALEDf\",\"status\":\"validating\"}", line);
	assert_non_null(strstr(out, ours_id));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
		T(a_request_goes_by_the_own_key_and_costs_the_fee),
		T(the_hold_is_counted_by_the_fee),
		T(nobody_elses_key_is_used),
		T(another_key_and_its_removal_hold_at_once),
		T(a_ticket_says_that_it_was_an_own_key),
		T(a_refused_key_is_told_and_costs_nothing_and_ours_goes_on),
		T(the_refusal_is_told_in_the_callers_dialect),
		T(what_fails_does_not_fall_back_unless_it_may),
		T(with_leave_our_key_and_other_targets_are_asked_next_at_their_price),
		T(a_key_that_no_edge_can_open_is_said_and_nobody_is_asked),
		T(the_store_never_has_it_in_the_clear),
		T(what_runs_goes_by_the_own_key_from_its_beginning_to_its_end),
		T(without_its_key_it_waits_unmeasured_until_there_is_one),
		T(what_its_key_does_not_find_is_unmeasured),
		T(without_memory_ours_is_not_used_instead),
		T(what_ours_has_begun_ours_looks_after),
		T(a_broken_own_key_begins_no_batch),
		T(a_file_is_seen_by_the_key_that_keeps_it),
		T(what_an_own_key_keeps_does_not_fall_back),
		T(a_batch_goes_by_the_key_that_keeps_its_file),
#undef T
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
