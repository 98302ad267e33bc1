/* Responses that the provider keeps: named by ids that only their account can use, and paid once when they end in the background, whoever sees that. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX], other_key[API_KEY_BYTES + 1];
static int asked; /* connections to providers so far */

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers:\n"
	"  - {name: keeper, url: 'http://127.0.0.1:9/v1', keys: [{env: RIG_KEY}], objects: true, store: true}\n"
	"  - {name: other, url: 'http://127.0.0.2:9/v1', keys: [{env: RIG_KEY}], objects: true, store: true}\n"
	"  - {name: plain, url: 'http://127.0.0.1:9/plain', keys: [{env: RIG_KEY}], objects: true}\n"
	"  - {name: chat, url: 'http://127.0.0.2:9/chat', keys: [{env: RIG_KEY}], objects: true, store: true, responses: false}\n"
	"models:\n"
	"  - {id: m, upstream: up-m, provider: keeper, context: 10000, output: 4000, reasoning: true, prices: [{from: 2020-01-01, input: \"1\", cached: \"0.5\", output: \"2\", per_request: \"0.000100\"}, {from: 2020-01-01, tier: flex, times: \"0.5\"}]}\n"
	"  - {id: elsewhere, provider: other, context: 10000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: plain, provider: plain, context: 10000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: twice, targets: [{provider: keeper}, {provider: other, rank: 2}], context: 10000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: chat, provider: chat, context: 10000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n";

/* ---- asking and answering ---- */

static int
ask(const char *key, const char *line, const char *headers, const char *body)
{
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "%s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n%s", line, key, headers);
	n += (size_t)(body ? sprintf(in + n, "content-length: %zu\r\n\r\n%s", strlen(body), body) : sprintf(in + n, "\r\n"));
	rig_send(&r, c, in, n);
	return c;
}

static int
provider_sees(const char *line)
{
	bool eof;
	int p = rig_provider(&r, asked++);
	assert_true(p >= 0);
	rig_read(&r, p, out, &eof);
	if (memcmp(out, line, strlen(line)) != 0)
		fail_msg("%s instead of %s", out, line);
	assert_null(strstr(out, "lethe_live_"));
	return p;
}

static void
provider_says(int p, const char *status, const char *body)
{
	size_t n = (size_t)sprintf(in, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n%s", status, strlen(body), body);
	rig_send(&r, p, in, n);
	close(p);
	rig_turn(&r);
}

static const char *
client_gets(int c, const char *status)
{
	bool eof;
	rig_read(&r, c, out, &eof);
	close(c);
	rig_turn(&r);
	assert_memory_equal(out, "HTTP/1.1 ", 9);
	if (memcmp(out + 9, status, 3) != 0)
		fail_msg("%s instead of %s", out, status);
	char *body = strstr(out, "\r\n\r\n");
	assert_non_null(body);
	return body + 4;
}

/* The string that a member has, as SDKs find it. */
static void
member(const char *body, const char *name, char ret[256])
{
	char quoted[64];
	sprintf(quoted, "\"%s\":\"", name);
	const char *at = strstr(body, quoted);
	assert_non_null(at);
	at += strlen(quoted);
	const char *end = strchr(at, '"');
	assert_true(end - at < 256);
	memcpy(ret, at, (size_t)(end - at));
	ret[end - at] = 0;
}

#define JSON "content-type: application/json\r\n"
#define USAGE "{\"input_tokens\":1000,\"input_tokens_details\":{\"cached_tokens\":200},\"output_tokens\":100,\"output_tokens_details\":{\"reasoning_tokens\":40},\"total_tokens\":1100}"
#define RESPONSE(status, usage, more) "{\"id\":\"resp_UNSEALEDr\",\"object\":\"response\",\"status\":\"" status "\",\"model\":\"up-m\"" more ",\"usage\":" usage "}"
#define QUEUED RESPONSE("queued", "null", ",\"previous_response_id\":null,\"output\":[]")
#define DONE RESPONSE("completed", USAGE, ",\"background\":true,\"output\":[{\"type\":\"message\",\"id\":\"msg_1\",\"content\":[{\"type\":\"output_text\",\"text\":\"hi there\"}]}]")
#define BACKGROUND "{\"model\":\"m\",\"input\":\"hi\",\"background\":true,\"max_output_tokens\":1000}"
enum { ASKED_AGAIN = 3,
	DOLLAR = 1000000000,
	COST = 800 * 1000 + 200 * 500 + 100 * 2000 + 100000 }; /* at $1, $0.5 and $2 a million, and the fee of a request */

static int64_t
set_aside(void)
{
	json_t *a = rig_control(&r, json_pack("{s:s,s:b}", "op", "hold.list", "open", 1));
	json_t *items = json_object_get(a, "items");
	struct nano n = {0};
	if (json_array_size(items) == 1) {
		const char *text = json_string_value(json_object_get(json_array_get(items, 0), "open"));
		bool parsed = nano_parse((struct span){text, strlen(text)}, &n);
		assert_true(parsed);
	}
	json_decref(a);
	return n.v;
}

static void
balance_is(int64_t nano)
{
	rig_book(&r);
	json_t *a = rig_control(&r, json_pack("{s:s}", "op", "ledger.verify"));
	assert_true(json_is_true(json_object_get(a, "sound")));
	json_decref(a);
	assert_int_equal(rig_balance(&r), nano);
}

/* One that runs; its id. */
static void
begin(char id[256])
{
	int c = ask(r.key, "POST /v1/responses", JSON, BACKGROUND), p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
	assert_non_null(strstr(out, "{\"model\":\"up-m\",\"input\":\"hi\",\"background\":true,\"max_output_tokens\":1000}"));
	assert_true(set_aside() >= 1000 * 2000); /* before it is asked */
	provider_says(p, "200 OK", QUEUED);
	member(client_gets(c, "200"), "id", id);
	assert_null(strstr(out, "UNSEALED"));
	assert_memory_equal(id, "resp_", 5);
	assert_non_null(strstr(out, "\"status\":\"queued\""));
}

static const char *
look(const char *id, const char *answer)
{
	char line[300];
	sprintf(line, "GET /v1/responses/%s", id);
	int c = ask(r.key, line, "", NULL), p = provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n");
	provider_says(p, "200 OK", answer);
	return client_gets(c, "200");
}

/* The answer comes in chunks, whose bytes are put together here. */
static size_t
unchunked(const char *body, char *ret)
{
	size_t len = 0, n;
	char *end;
	while ((n = strtoul(body, &end, 16)) > 0) {
		memcpy(ret + len, end + 2, n);
		len += n;
		body = end + 2 + n + 2;
	}
	ret[len] = 0;
	return len;
}

static void
provider_streams(int p, const char *bytes, size_t step)
{
	char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
	rig_send(&r, p, head, sizeof head - 1);
	for (size_t at = 0, len = strlen(bytes); at < len; at += step)
		rig_send(&r, p, bytes + at, len - at < step ? len - at : step);
	close(p);
	rig_turn(&r);
}

/* ---- fixtures ---- */

static int
opened(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	json_t *a = rig_control(&r, json_pack("{s:s,s:s}", "op", "account.create", "name", "other"));
	json_t *k = rig_control(&r, json_pack("{s:s,s:O}", "op", "key.create", "account", json_object_get(a, "account")));
	json_t *m = rig_control(&r, json_pack("{s:s,s:O,s:s,s:s}", "op", "credit.add", "account", json_object_get(a, "account"), "amount", "1.00", "reason", "rig"));
	assert_true(json_is_true(json_object_get(m, "ok")));
	snprintf(other_key, sizeof other_key, "%s", json_string_value(json_object_get(k, "secret")));
	json_decref(a);
	json_decref(k);
	json_decref(m);
	asked = 0;
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

/* ---- in the background ---- */

static void
it_is_paid_once_by_who_sees_its_end(void **state)
{
	char id[256], seen[256];
	begin(id);
	int64_t held = set_aside();
	balance_is(DOLLAR - held);
	look(id, RESPONSE("in_progress", "null", "")); /* what is not over costs nothing yet */
	balance_is(DOLLAR - held);
	for (int i = 0; i < 3; i++) {
		member(look(id, DONE), "id", seen);
		assert_null(strstr(out, "UNSEALED"));
		assert_non_null(strstr(out, "\"hi there\""));
		assert_string_equal(seen, id);
		balance_is(DOLLAR - COST);
	}
	assert_int_equal(set_aside(), 0);
	assert_false(rig_errand(&r, 1000000));
	assert_int_equal(rig_tickets(&r), 5);
}

static void
two_that_look_at_once_pay_it_once(void **state)
{
	char id[256], line[300];
	begin(id);
	sprintf(line, "GET /v1/responses/%s", id);
	int a = ask(r.key, line, "", NULL), pa = provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n");
	int b = ask(r.key, line, "", NULL), pb = provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n");
	assert_true(rig_errand(&r, 16000));
	int pc = provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n");
	r.deaf = true;
	provider_says(pb, "200 OK", DONE);
	provider_says(pa, "200 OK", DONE);
	provider_says(pc, "200 OK", DONE);
	client_gets(a, "200");
	client_gets(b, "200");
	r.deaf = false;
	rig_turn(&r);
	balance_is(DOLLAR - COST);
	assert_int_equal(set_aside(), 0);
}

static void
an_errand_pays_it_when_nobody_looks(void **state)
{
	static const struct {
		const char *status, *body;
	} bad[] = {{"404 Not Found", "{}"}, {"500 Oops", "x"}, {"401 Unauthorized", "{}"}, {"200 OK", "{"},
		{"200 OK", "{\"id\":\"resp_another\",\"status\":\"completed\",\"usage\":" USAGE "}"}, {"200 OK", QUEUED}};
	uint64_t later = 16000;
	char id[256];
	begin(id);
	assert_false(rig_errand(&r, 1000));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(rig_errand(&r, later));
		provider_says(provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n"), bad[i].status, bad[i].body);
		assert_true(set_aside() > 0);
		later += 10000000;
	}
	assert_true(rig_errand(&r, later));
	close(provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n")); /* cut */
	rig_turn(&r);
	assert_true(rig_errand(&r, later += 10000000));
	provider_says(provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n"), "200 OK", DONE);
	balance_is(DOLLAR - COST);
	assert_false(rig_errand(&r, later * 2));
	assert_int_equal(rig_tickets(&r), 1); /* errands are nobody's requests */
}

static void
every_way_to_end_costs_what_was_used(void **state)
{
	static const struct {
		const char *answer;
		int64_t cost; /* -1: it stays set aside */
		bool silent; /* what it used is not said: an errand that comes a second later takes that for the last word */
	} rows[] = {
		{RESPONSE("failed", "null", ",\"error\":{\"code\":\"server_error\",\"message\":\"oops\"}"), 0},
		{RESPONSE("failed", USAGE, ",\"error\":{\"code\":\"server_error\",\"message\":\"oops\"}"), COST},
		{RESPONSE("incomplete", USAGE, ",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"), COST},
		{RESPONSE("cancelled", USAGE, ""), COST},
		{RESPONSE("cancelled", "null", ",\"output\":[]"), 0, true},
		/* What came is counted where the provider doesn't say: 63 bytes in, 40 out. */
		{RESPONSE("cancelled", "null", ",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"0123456789012345678901234567890123456789\"}]}]"), 18 * 1000 + 10 * 2000 + 100000, true},
		{RESPONSE("completed", USAGE, ",\"service_tier\":\"flex\""), (800 * 1000 + 200 * 500 + 100 * 2000) / 2 + 100000},
		{RESPONSE("in_progress", USAGE, ""), -1},
		{RESPONSE("queued", "null", ",\"output\":[{\"type\":\"message\",\"status\":\"completed\"}],\"metadata\":{\"status\":\"completed\",\"id\":\"resp_UNSEALEDr\"}"), -1},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char id[256];
		begin(id);
		int64_t held = set_aside();
		look(id, rows[i].answer);
		assert_null(strstr(out, "UNSEALED"));
		if (rows[i].silent) {
			balance_is(DOLLAR - held);
			assert_true(rig_errand(&r, 1100));
			provider_says(provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n"), "200 OK", rows[i].answer);
		}
		balance_is(DOLLAR - (rows[i].cost < 0 ? held : rows[i].cost));
		closed(NULL);
		opened(NULL);
	}
}

static void
no_more_is_paid_than_was_set_aside(void **state)
{
	char id[256];
	begin(id);
	int64_t held = set_aside();
	look(id, RESPONSE("completed", "{\"input_tokens\":100000000,\"output_tokens\":1}", ""));
	balance_is(DOLLAR - held);
	assert_int_equal(set_aside(), 0);
}

static void
it_is_cancelled(void **state)
{
	char id[256], line[300];
	begin(id);
	sprintf(line, "POST /v1/responses/%s/cancel", id);
	int c = ask(r.key, line, "content-length: 0\r\n", NULL), p = provider_sees("POST /v1/responses/resp_UNSEALEDr/cancel HTTP/1.1\r\n");
	assert_non_null(strstr(out, "\r\ncontent-length: 0\r\n"));
	provider_says(p, "200 OK", RESPONSE("cancelled", "null", ",\"output\":[]"));
	assert_non_null(strstr(client_gets(c, "200"), id));
	assert_true(set_aside() > 0); /* an errand, a second later, sees what came of it */
	assert_true(rig_errand(&r, 1100));
	provider_says(provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n"), "200 OK", RESPONSE("cancelled", "null", ",\"output\":[]"));
	balance_is(DOLLAR);
	assert_int_equal(set_aside(), 0);
	begin(id);
	sprintf(line, "POST /v1/responses/%s/cancel", id);
	c = ask(r.key, line, "content-length: 0\r\n", NULL);
	provider_says(provider_sees("POST /v1/responses/resp_UNSEALEDr/cancel HTTP/1.1\r\n"), "200 OK", RESPONSE("cancelled", "null", ",\"output\":[]"));
	client_gets(c, "200");
	look(id, RESPONSE("cancelled", "null", ",\"output\":[]")); /* who looks at once doesn't end it at nothing */
	assert_true(set_aside() > 0);
	assert_true(rig_errand(&r, 1100));
	provider_says(provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n"), "200 OK", RESPONSE("cancelled", USAGE, ",\"output\":[]")); /* what had streamed by then */
	balance_is(DOLLAR - COST);
	begin(id);
	sprintf(line, "POST /v1/responses/%s/cancel", id);
	c = ask(r.key, line, "content-length: 0\r\n", NULL);
	provider_says(provider_sees("POST /v1/responses/resp_UNSEALEDr/cancel HTTP/1.1\r\n"), "200 OK", RESPONSE("cancelled", USAGE, ",\"output\":[]"));
	client_gets(c, "200");
	balance_is(DOLLAR - 2 * COST);
	assert_false(rig_errand(&r, 1100));
}

/* What is deleted can't be counted any more. */
static void
it_is_deleted_when_it_is_paid(void **state)
{
	char id[256], line[300];
	begin(id);
	sprintf(line, "DELETE /v1/responses/%s", id);
	int c = ask(r.key, line, "", NULL);
	for (int i = 0; i < ASKED_AGAIN; i++) { /* what another edge has seen a moment ago may come behind it */
		bool eof;
		assert_int_equal(rig_read(&r, c, in, &eof), 0);
		rig_pass(&r, 100);
	}
	assert_non_null(strstr(client_gets(c, "400"), "has not been counted yet"));
	assert_int_equal(r.dials, asked);
	look(id, DONE);
	c = ask(r.key, line, "", NULL);
	int p = provider_sees("DELETE /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n");
	provider_says(p, "200 OK", "{\"id\":\"resp_UNSEALEDr\",\"object\":\"response\",\"deleted\":true}");
	assert_non_null(strstr(client_gets(c, "200"), id));
	assert_null(strstr(out, "UNSEALED"));
	balance_is(DOLLAR - COST);
}

static void
what_the_provider_does_not_begin_comes_back(void **state)
{
	static const char *const answers[] = {"400 Bad Request", "429 Too Many Requests", "500 Oops", "401 Unauthorized", "200 OK"};
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		int c = ask(r.key, "POST /v1/responses", JSON, BACKGROUND), p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
		assert_true(set_aside() > 0);
		provider_says(p, answers[i], "{\"error\":{\"message\":\"no\"}}");
		client_gets(c, i == 0 ? "400" : i == 1 ? "429"
				: i == 2                       ? "500"
				: i == 3                       ? "503"
											   : "502");
		balance_is(DOLLAR);
	}
	int c = ask(r.key, "POST /v1/responses", JSON, BACKGROUND);
	close(provider_sees("POST /v1/responses HTTP/1.1\r\n"));
	client_gets(c, "502");
	balance_is(DOLLAR);
	assert_int_equal(set_aside(), 0);
	assert_false(rig_errand(&r, 1000000000));
}

static void
a_client_that_goes_leaves_one_that_is_paid(void **state)
{
	int c = ask(r.key, "POST /v1/responses", JSON, BACKGROUND), p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
	close(c);
	rig_turn(&r);
	assert_true(set_aside() > 0);
	provider_says(p, "200 OK", QUEUED);
	assert_true(rig_errand(&r, 16000));
	provider_says(provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n"), "200 OK", DONE);
	balance_is(DOLLAR - COST);
}

static void
a_ledger_that_is_started_anew_is_asked_again(void **state)
{
	char id[256];
	r.deaf = true;
	int c = ask(r.key, "POST /v1/responses", JSON, BACKGROUND);
	assert_int_equal(r.dials, asked);
	rig_renew(&r, END_OF_LEDGER);
	r.deaf = false;
	rig_turn(&r);
	int p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
	r.deaf = true;
	provider_says(p, "200 OK", QUEUED);
	bool eof;
	assert_int_equal(rig_read(&r, c, out, &eof), 0); /* the caller hears of nothing that would not be paid */
	rig_renew(&r, END_OF_LEDGER);
	r.deaf = false;
	rig_turn(&r);
	member(client_gets(c, "200"), "id", id);
	look(id, DONE);
	balance_is(DOLLAR - COST);
}

/* It is the ledger that is late: the provider has begun it, and no other is asked to. */
static void
what_runs_is_begun_nowhere_else_while_the_ledger_is_late(void **state)
{
	int c = ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"twice\",\"input\":\"hi\",\"background\":true,\"max_output_tokens\":1000}");
	int p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
	r.deaf = true;
	provider_says(p, "200 OK", QUEUED);
	rig_pass(&r, 8100);
	client_gets(c, "503");
	assert_int_equal(r.dials, asked);
}

static void
a_ledger_that_stays_away_begins_nothing(void **state)
{
	r.deaf = true;
	int c = ask(r.key, "POST /v1/responses", JSON, BACKGROUND);
	rig_pass(&r, 20000);
	client_gets(c, "503");
	assert_int_equal(r.dials, asked);
	r.deaf = false;
	rig_turn(&r);
	balance_is(DOLLAR);
	assert_int_equal(set_aside(), 0);
}

#define EVENT(type, more) "event: " type "\ndata: {\"type\":\"" type "\"" more "}\n\n"
#define STREAM \
	EVENT("response.created", ",\"sequence_number\":0,\"response\":" QUEUED) \
	EVENT("response.output_text.delta", ",\"sequence_number\":1,\"item_id\":\"msg_1\",\"delta\":\"he said resp_UNSEALEDr-not and \\\"resp_UNSEALEDr\\\"\"") \
	EVENT("response.completed", ",\"sequence_number\":2,\"response\":" DONE)

/* In any pieces; what a text says is its own affair. */
static void
a_stream_of_it_is_relayed_and_paid(void **state)
{
	static char first[RIG_OUT_MAX], body[RIG_OUT_MAX];
	for (size_t step = 1; step < 300; step += step < 4 ? 1 : 67) {
		int c = ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"m\",\"input\":\"hi\",\"background\":true,\"stream\":true,\"max_output_tokens\":1000}");
		provider_streams(provider_sees("POST /v1/responses HTTP/1.1\r\n"), STREAM, step);
		unchunked(client_gets(c, "200"), body);
		char id[256], *delta = strstr(body, "he said");
		member(body, "id", id);
		assert_memory_equal(delta, "he said resp_UNSEALEDr-not and \\\"resp_UNSEALEDr\\\"\"", 46);
		assert_non_null(strstr(strstr(body, "response.completed"), id));
		assert_null(strstr(body, "\"resp_UNSEALEDr\","));
		assert_int_equal(strlen(body), strlen(STREAM) + 2 * (strlen(id) - strlen("resp_UNSEALEDr")));
		balance_is(DOLLAR - COST);
		assert_int_equal(set_aside(), 0);
		char line[400];
		sprintf(line, "GET /v1/responses/%s?stream=true&starting_after=1&key=secret&include[]=x", id);
		c = ask(r.key, line, "", NULL);
		provider_streams(provider_sees("GET /v1/responses/resp_UNSEALEDr?stream=true&starting_after=1&include[]=x HTTP/1.1\r\n"), STREAM, step);
		unchunked(client_gets(c, "200"), first);
		assert_string_equal(first, body);
		balance_is(DOLLAR - COST);
		closed(NULL);
		opened(NULL);
	}
}

static void
a_stream_whose_client_goes_is_paid_by_an_errand(void **state)
{
	static const char begun[] = EVENT("response.created", ",\"sequence_number\":0,\"response\":" QUEUED);
	int c = ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"m\",\"input\":\"hi\",\"background\":true,\"stream\":true}"), p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
	char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
	rig_send(&r, p, head, sizeof head - 1);
	rig_send(&r, p, begun, sizeof begun - 1);
	bool eof;
	rig_read(&r, c, out, &eof);
	assert_non_null(strstr(out, "response.created"));
	close(c);
	rig_turn(&r);
	close(p);
	rig_turn(&r);
	assert_true(set_aside() > 0);
	assert_true(rig_errand(&r, 16000));
	provider_says(provider_sees("GET /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n"), "200 OK", DONE);
	balance_is(DOLLAR - COST);
}

static void
what_is_not_covered_is_not_begun(void **state)
{
	json_t *a = rig_control(&r, json_pack("{s:s,s:s,s:s,s:s}", "op", "credit.add", "account", r.account, "amount", "-0.995", "reason", "rig"));
	assert_true(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
	client_gets(ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"m\",\"input\":\"hi\",\"background\":true,\"max_output_tokens\":4000}"), "402");
	assert_int_equal(r.dials, asked);
	assert_int_equal(set_aside(), 0);
}

/* ---- kept ---- */

#define KEPT "{\"model\":\"m\",\"input\":\"hi\"}"

static void
keep(char id[256])
{
	int c = ask(r.key, "POST /v1/responses", JSON, KEPT), p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
	assert_null(strstr(out, "store"));
	provider_says(p, "200 OK", DONE);
	member(client_gets(c, "200"), "id", id);
	assert_null(strstr(out, "UNSEALED"));
}

static void
a_response_is_named_by_the_next_and_looked_at_for_nothing(void **state)
{
	char id[256], seen[256], body[700], line[400];
	keep(id);
	balance_is(DOLLAR - COST);
	member(look(id, DONE), "id", seen);
	assert_string_equal(seen, id);
	sprintf(body, "{\"model\":\"m\",\"previous_response_id\":\"%s\",\"input\":\"hi\"}", id);
	int c = ask(r.key, "POST /v1/responses", JSON, body), p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
	assert_non_null(strstr(out, "\"previous_response_id\":\"resp_UNSEALEDr\","));
	provider_says(p, "200 OK", "{\"id\":\"resp_UNSEALED2\",\"previous_response_id\":\"resp_UNSEALEDr\",\"object\":\"response\",\"status\":\"completed\",\"usage\":" USAGE "}");
	client_gets(c, "200");
	assert_null(strstr(out, "UNSEALED"));
	member(out, "previous_response_id", seen);
	assert_string_equal(seen, id);
	member(out, "id", seen);
	sprintf(line, "GET /v1/responses/%s", seen);
	c = ask(r.key, line, "", NULL);
	p = provider_sees("GET /v1/responses/resp_UNSEALED2 HTTP/1.1\r\n");
	provider_says(p, "200 OK", "{\"previous_response_id\":\"resp_UNSEALEDr\",\"id\":\"resp_UNSEALED2\",\"status\":\"completed\",\"usage\":" USAGE "}");
	client_gets(c, "200");
	member(out, "previous_response_id", seen);
	assert_string_equal(seen, id); /* known from its answer alone */
	balance_is(DOLLAR - 2 * COST);
	sprintf(line, "GET /v1/responses/%s/input_items?limit=2&order=asc&after=msg_1", id);
	c = ask(r.key, line, "", NULL);
	p = provider_sees("GET /v1/responses/resp_UNSEALEDr/input_items?limit=2&order=asc&after=msg_1 HTTP/1.1\r\n");
	provider_says(p, "200 OK", "{\"object\":\"list\",\"data\":[{\"id\":\"msg_0\",\"role\":\"user\",\"content\":\"hi\"}]}");
	assert_non_null(strstr(client_gets(c, "200"), "msg_0"));
	sprintf(line, "DELETE /v1/responses/%s", id);
	c = ask(r.key, line, "", NULL);
	provider_says(provider_sees("DELETE /v1/responses/resp_UNSEALEDr HTTP/1.1\r\n"), "200 OK", "{\"id\":\"resp_UNSEALEDr\",\"object\":\"response\",\"deleted\":true}");
	assert_non_null(strstr(client_gets(c, "200"), id));
	c = ask(r.key, "POST /v1/responses", JSON, body);
	provider_says(provider_sees("POST /v1/responses HTTP/1.1\r\n"), "400 Bad Request",
		"{\"error\":{\"message\":\"Previous response with id 'resp_UNSEALEDr' not found.\",\"type\":\"invalid_request_error\",\"param\":\"previous_response_id\",\"code\":\"previous_response_not_found\"}}");
	client_gets(c, "404");
	assert_null(strstr(out, "UNSEALED"));
	balance_is(DOLLAR - 2 * COST);
}

/* An id that the caller only says is none that it is given. */
static void
an_id_in_what_is_said_is_sealed_for_nobody(void **state)
{
	int c = ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"m\",\"input\":\"hi\",\"metadata\":{\"id\":\"resp_ofsomebody\",\"previous_response_id\":\"resp_ofsomebody\"}}");
	provider_says(provider_sees("POST /v1/responses HTTP/1.1\r\n"), "200 OK",
		"{\"id\":\"resp_UNSEALEDr\",\"metadata\":{\"id\":\"resp_ofsomebody\",\"previous_response_id\":\"resp_ofsomebody\"},\"status\":\"completed\",\"usage\":" USAGE "}");
	assert_non_null(strstr(client_gets(c, "200"), "{\"id\":\"resp_ofsomebody\",\"previous_response_id\":\"resp_ofsomebody\"}"));
}

/* Of what was asked and answered; but what the caller said that an answer cited may be anybody's. */
static void
files_in_it_are_sealed_as_well(void **state)
{
	char id[256], line[400], seen[256];
	keep(id);
	look(id, RESPONSE("completed", USAGE, ",\"tools\":[{\"container\":{\"file_ids\":[\"file-UNSEALEDt\"]}}],\"output\":[{\"content\":[{\"annotations\":[{\"file_id\":\"file-UNSEALEDc\"}]}]}]"));
	assert_null(strstr(out, "UNSEALED"));
	member(out, "file_id", seen);
	sprintf(line, "GET /v1/files/%s/content", seen);
	int c = ask(r.key, line, "", NULL);
	provider_says(provider_sees("GET /v1/files/file-UNSEALEDc/content HTTP/1.1\r\n"), "200 OK", "cited");
	assert_string_equal(client_gets(c, "200"), "cited");
	sprintf(line, "GET /v1/responses/%s/input_items", id);
	c = ask(r.key, line, "", NULL);
	provider_says(provider_sees("GET /v1/responses/resp_UNSEALEDr/input_items HTTP/1.1\r\n"), "200 OK",
		"{\"object\":\"list\",\"data\":[{\"content\":[{\"type\":\"input_file\",\"file_id\":\"file-UNSEALEDi\"},{\"annotations\":[{\"file_id\":\"file-ofsomebody\"}]}]}]}");
	assert_non_null(strstr(client_gets(c, "200"), "[{\"file_id\":\"file-ofsomebody\"}]"));
	assert_null(strstr(out, "UNSEALED"));
}

static void
another_account_and_every_altered_id_get_404(void **state)
{
	static const struct {
		const char *before, *behind;
	} ways[] = {{"GET /v1/responses/", ""}, {"POST /v1/responses/", "/cancel"}, {"DELETE /v1/responses/", ""}, {"GET /v1/responses/", "/input_items"}};
	char id[256], line[400], changed[256], body[600];
	for (int runs = 0; runs < 2; runs++) {
		(runs ? begin : keep)(id);
		const char *const ids[] = {"resp_UNSEALEDr", "resp_made_up", "batch_made_up"};
		for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
			sprintf(line, "%s%s%s", ways[w].before, id, ways[w].behind);
			client_gets(ask(other_key, line, "", NULL), "404");
			for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
				sprintf(line, "%s%s%s", ways[w].before, ids[i], ways[w].behind);
				client_gets(ask(r.key, line, "", NULL), "404");
			}
			for (size_t i = 0; i < strlen(id); i++) {
				strcpy(changed, id);
				changed[i] = changed[i] == 'A' ? 'B' : 'A';
				sprintf(line, "%s%s%s", ways[w].before, changed, ways[w].behind);
				client_gets(ask(r.key, line, "", NULL), "404");
			}
		}
		sprintf(body, "{\"model\":\"m\",\"input\":\"hi\",\"previous_response_id\":\"%s\"}", id);
		client_gets(ask(other_key, "POST /v1/responses", JSON, body), "404");
		changed[5] ^= 1;
		sprintf(body, "{\"model\":\"m\",\"input\":\"hi\",\"previous_response_id\":\"%s\"}", changed);
		client_gets(ask(r.key, "POST /v1/responses", JSON, body), "404");
		sprintf(body, "{\"model\":\"m\",\"input\":\"hi\",\"conversation\":\"%s\"}", id);
		client_gets(ask(r.key, "POST /v1/responses", JSON, body), "404");
	}
	client_gets(ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"m\",\"input\":\"hi\",\"previous_response_id\":\"resp_UNSEALEDr\"}"), "404");
	assert_int_equal(r.dials, asked);
}

static void
what_cannot_be_kept_is_refused_and_the_field_is_named(void **state)
{
	static const struct {
		const char *headers, *model, *more, *says; /* more: NULL: the one before */
	} rows[] = {
		{"lethe-policy: zero-retention\r\n", "m", ",\"background\":true", "\"param\":\"background\""},
		{"lethe-policy: zero-retention\r\n", "m", ",\"store\":true", "\"param\":\"store\""},
		{"lethe-policy: zero-retention\r\n", "m", NULL, "\"param\":\"previous_response_id\""},
		{"lethe-policy: region=eu\r\n", "m", ",\"background\":true", "\"param\":\"background\""},
		{"", "m", ",\"background\":true,\"store\":false", "\"param\":\"background\""},
		{"", "plain", ",\"background\":true", "\"param\":\"background\""},
		{"", "plain", NULL, "\"param\":\"previous_response_id\""},
		{"", "plain", ",\"store\":true", "\"param\":\"store\""},
		{"", "chat", ",\"background\":true", "\"param\":\"background\""},
		{"", "chat", NULL, "\"param\":\"previous_response_id\""},
		{"lethe-translate: lenient\r\n", "chat", NULL, "\"param\":\"previous_response_id\""},
		{"", "elsewhere", NULL, "another provider"},
	};
	char id[256], more[400], body[600], headers[200];
	keep(id);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		sprintf(more, ",\"previous_response_id\":\"%s\"", id);
		sprintf(body, "{\"model\":\"%s\",\"input\":\"hi\"%s}", rows[i].model, rows[i].more ? rows[i].more : more);
		sprintf(headers, JSON "%s", rows[i].headers);
		const char *answer = client_gets(ask(r.key, "POST /v1/responses", headers, body), "400");
		if (!strstr(answer, rows[i].says))
			fail_msg("row %zu: %s", i, answer);
	}
	assert_int_equal(r.dials, asked);
	assert_int_equal(set_aside(), 0);
}

static void
what_policy_forbids_to_keep_is_not_kept(void **state)
{
	int c = ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"plain\",\"input\":\"hi\"}");
	int p = provider_sees("POST /plain/responses HTTP/1.1\r\n");
	assert_non_null(strstr(out, "\"store\":false"));
	provider_says(p, "200 OK", DONE);
	client_gets(c, "200");
}

static void
limits_of_money_and_tokens_count_what_runs_in_the_background(void **state)
{
	char id[256];
	json_t *a = rig_control(&r, json_pack("{s:s,s:s,s:s,s:s}", "op", "account.limit", "account", r.account, "dollars_per_month", "0.004", "output_tokens_per_minute", "1500"));
	assert_true(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
	begin(id);
	int dials = r.dials;
	assert_non_null(strstr(client_gets(ask(r.key, "POST /v1/responses", JSON, BACKGROUND), "429"), "output"));
	rig_pass(&r, 60000);
	assert_non_null(strstr(client_gets(ask(r.key, "POST /v1/responses", JSON, BACKGROUND), "429"), "month"));
	assert_int_equal(r.dials, dials);
	look(id, DONE);
	balance_is(DOLLAR - COST);
	a = rig_control(&r, json_pack("{s:s,s:s}", "op", "account.show", "account", r.account));
	assert_string_equal(json_string_value(json_object_get(json_object_get(a, "used"), "dollars_per_month")), "0.001200000");
	json_decref(a);
	begin(id);
}

static void
a_limit_of_money_that_servers_share_lets_a_response_run_in_the_background(void **state)
{
	char id[256];
	atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_SHARES);
	json_decref(rig_control(&r, json_pack("{s:s,s:s,s:s}", "op", "account.limit", "account", r.account, "dollars_per_month", "0.9")));
	begin(id);
	atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_BALANCES);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, opened, closed)
	const struct CMUnitTest tests[] = {
		TEST(it_is_paid_once_by_who_sees_its_end),
		TEST(two_that_look_at_once_pay_it_once),
		TEST(an_errand_pays_it_when_nobody_looks),
		TEST(every_way_to_end_costs_what_was_used),
		TEST(no_more_is_paid_than_was_set_aside),
		TEST(it_is_cancelled),
		TEST(it_is_deleted_when_it_is_paid),
		TEST(what_the_provider_does_not_begin_comes_back),
		TEST(a_client_that_goes_leaves_one_that_is_paid),
		TEST(a_ledger_that_is_started_anew_is_asked_again),
		TEST(what_runs_is_begun_nowhere_else_while_the_ledger_is_late),
		TEST(a_ledger_that_stays_away_begins_nothing),
		TEST(a_stream_of_it_is_relayed_and_paid),
		TEST(a_stream_whose_client_goes_is_paid_by_an_errand),
		TEST(what_is_not_covered_is_not_begun),
		TEST(a_response_is_named_by_the_next_and_looked_at_for_nothing),
		TEST(an_id_in_what_is_said_is_sealed_for_nobody),
		TEST(files_in_it_are_sealed_as_well),
		TEST(another_account_and_every_altered_id_get_404),
		TEST(what_cannot_be_kept_is_refused_and_the_field_is_named),
		TEST(what_policy_forbids_to_keep_is_not_kept),
		TEST(a_limit_of_money_that_servers_share_lets_a_response_run_in_the_background),
		TEST(limits_of_money_and_tokens_count_what_runs_in_the_background),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
