/* Anthropic's batches: the requests are in the body, and what they used stands in the results, which somebody has to read to their end. */
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
	"  - {name: forgetful, url: 'http://127.0.0.1:9/v1', dialect: anthropic, keys: [{env: RIG_KEY}]}\n"
	"  - {name: elsewhere, url: 'http://127.0.0.1:9/v1', dialect: anthropic, keys: [{env: RIG_KEY}], objects: true}\n"
	"  - {name: keeper, url: 'http://127.0.0.1:9/v1', dialect: anthropic, keys: [{env: RIG_KEY}], objects: true}\n"
	"models:\n"
	"  - {id: m, provider: keeper, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", cached: \"0.1\", output: \"2\", per_request: \"0.001\", geo_us: \"1.1\"}, {from: 2020-01-01, tier: batch, times: \"0.5\"}]}\n"
	"  - {id: renamed, upstream: up-m, provider: keeper, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: long, provider: keeper, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}, {from: 2020-01-01, above: 10, input: \"2\", output: \"4\"}]}\n"
	"  - {id: brief, provider: forgetful, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n";

/* ---- asking and answering ---- */

static int
ask(const char *key, const char *line, const char *headers, const char *body)
{
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "%s HTTP/1.1\r\nhost: lethe.example:8080\r\nx-api-key: %s\r\nanthropic-version: 2023-06-01\r\n%s", line, key, headers);
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
	assert_null(strstr(out, "UNSEALED"));
	char *body = strstr(out, "\r\n\r\n");
	assert_non_null(body);
	return body + 4;
}

#define ASKS(model, more) "{\"custom_id\":\"a\",\"params\":{\"model\":\"" model "\",\"max_tokens\":1000,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}}"
#define LIST(items) "{\"requests\":[" items "]}"
#define TWO LIST(ASKS("m", "") "," ASKS("m", ""))
#define JSON "content-type: application/json\r\n"
#define BATCH(status, more) "{\"id\":\"msgbatch_UNSEALEDb\",\"type\":\"message_batch\",\"processing_status\":\"" status "\",\"request_counts\":{\"processing\":2}" more "}"
#define RUNS BATCH("in_progress", ",\"results_url\":null")
#define ENDED BATCH("ended", ",\"results_url\":\"https://provider/v1/messages/batches/msgbatch_UNSEALEDb/results\"")
#define USED(more) "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"ok\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":400,\"cache_read_input_tokens\":100,\"output_tokens\":50,\"service_tier\":\"batch\"" more "}}}}\n"
#define ERRED "{\"custom_id\":\"b\",\"result\":{\"type\":\"errored\",\"error\":{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}}}\n"
#define RESULTS USED("") USED("")
enum { DOLLAR = 1000000000,
	FEE = 1000000, /* of a request: not of tokens, so not halved */
	TOKENS = 400 * 500 + 100 * 50 + 50 * 1000, /* half of $1, $0.1 and $2 a million */
	COST = 2 * (TOKENS + FEE) };

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

/* The string behind `"id":"`. */
static void
id_of(const char *body, char ret[256])
{
	const char *at = strstr(body, "\"id\":\""), *end;
	assert_non_null(at);
	at += 6;
	end = strchr(at, '"');
	assert_true(end - at < 256);
	memcpy(ret, at, (size_t)(end - at));
	ret[end - at] = 0;
}

static void
create(char batch[256])
{
	int c = ask(r.key, "POST /v1/messages/batches", JSON, TWO), p = provider_sees("POST /v1/messages/batches HTTP/1.1\r\n");
	assert_non_null(strstr(out, "\r\n\r\n" TWO));
	assert_true(set_aside() >= 2 * (1000 * 1000 + FEE)); /* before it is asked */
	provider_says(p, "200 OK", RUNS);
	id_of(client_gets(c, "200"), batch);
	assert_memory_equal(batch, "msgbatch_", 9);
}

static int
ask_about(const char *key, const char *method, const char *batch, const char *behind)
{
	char line[400];
	sprintf(line, "%s /v1/messages/batches/%s%s", method, batch, behind);
	return ask(key, line, "", NULL);
}

static const char *
read_results(const char *batch, const char *answer)
{
	int c = ask_about(r.key, "GET", batch, "/results"), p = provider_sees("GET /v1/messages/batches/msgbatch_UNSEALEDb/results HTTP/1.1\r\n");
	provider_says(p, "200 OK", answer);
	return client_gets(c, "200");
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

/* ---- tests ---- */

static void
a_batch_is_paid_once_by_who_reads_its_results(void **state)
{
	char batch[256];
	create(batch);
	int64_t held = set_aside();
	balance_is(DOLLAR - held);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(read_results(batch, RESULTS), RESULTS);
		balance_is(DOLLAR - COST);
	}
	assert_int_equal(set_aside(), 0);
	assert_false(rig_errand(&r, 1000000));
}

static void
who_sees_that_it_has_ended_has_an_errand_sent(void **state)
{
	char batch[256], url[400];
	create(batch);
	assert_false(rig_errand(&r, 2000));
	int c = ask_about(r.key, "GET", batch, ""), p = provider_sees("GET /v1/messages/batches/msgbatch_UNSEALEDb HTTP/1.1\r\n");
	provider_says(p, "200 OK", ENDED);
	sprintf(url, "\"results_url\":\"%s://lethe.example:8080/v1/messages/batches/%s/results\"", r.tls ? "https" : "http", batch);
	assert_non_null(strstr(client_gets(c, "200"), url));
	assert_true(rig_errand(&r, 2000));
	provider_says(provider_sees("GET /v1/messages/batches/msgbatch_UNSEALEDb/results HTTP/1.1\r\n"), "200 OK", RESULTS);
	balance_is(DOLLAR - COST);
	assert_false(rig_errand(&r, 1000000000));
	assert_int_equal(rig_tickets(&r), 2); /* creation and look: errands are nobody's requests */
}

/* Half of them are not all of them: what they cost is only known at their end. */
static void
results_that_are_not_all_there_pay_nothing(void **state)
{
	static const char *const bad[] = {USED(""), RESULTS USED(""), USED("") "{\"custom_id\":\"a\"}\n", USED("") "{", "", USED("") "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_1\"}}}\n"};
	uint64_t later = 10000000;
	char batch[256];
	create(batch);
	int64_t held = set_aside();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		read_results(batch, bad[i]);
		balance_is(DOLLAR - held);
		assert_true(rig_errand(&r, later *= 2));
		provider_says(provider_sees("GET /v1/messages/batches/msgbatch_UNSEALEDb/results HTTP/1.1\r\n"), "200 OK", bad[i]);
		balance_is(DOLLAR - held);
	}
	static const char *const statuses[] = {"404 Not Found", "500 Oops", "401 Unauthorized"};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		assert_true(rig_errand(&r, later *= 2));
		provider_says(provider_sees("GET /v1/messages/batches/msgbatch_UNSEALEDb/results HTTP/1.1\r\n"), statuses[i], "{}");
		balance_is(DOLLAR - held);
	}
	for (int errand = 0; errand < 2; errand++) { /* cut, one byte before the end */
		int c = errand ? -1 : ask_about(r.key, "GET", batch, "/results");
		if (errand)
			assert_true(rig_errand(&r, later *= 2));
		int p = provider_sees("GET /v1/messages/batches/msgbatch_UNSEALEDb/results HTTP/1.1\r\n");
		size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s", strlen(RESULTS) + 1, RESULTS);
		rig_send(&r, p, in, n);
		close(p);
		rig_turn(&r);
		if (c >= 0)
			close(c);
		rig_turn(&r);
		balance_is(DOLLAR - held);
	}
	assert_true(rig_errand(&r, later *= 2));
	provider_says(provider_sees("GET /v1/messages/batches/msgbatch_UNSEALEDb/results HTTP/1.1\r\n"), "200 OK", RESULTS);
	balance_is(DOLLAR - COST);
}

static void
every_way_to_end_costs_what_was_done(void **state)
{
	static const struct {
		const char *results;
		int64_t cost;
	} rows[] = {
		{ERRED ERRED, 0},
		{USED("") ERRED, TOKENS + FEE},
		{"{\"custom_id\":\"a\",\"result\":{\"type\":\"canceled\"}}\n{\"custom_id\":\"a\",\"result\":{\"type\":\"expired\"}}", 0},
		{USED("") USED(",\"inference_geo\":\"us\""), TOKENS + TOKENS * 11 / 10 + 2 * FEE},
		{USED(",\"cache_creation_input_tokens\":10,\"cache_creation\":{\"ephemeral_1h_input_tokens\":4,\"ephemeral_5m_input_tokens\":6}") ERRED, TOKENS + 10 * 500 + FEE},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char batch[256];
		create(batch);
		read_results(batch, rows[i].results);
		balance_is(DOLLAR - rows[i].cost);
		closed(NULL);
		opened(NULL);
	}
}

static void
no_more_is_paid_than_was_set_aside(void **state)
{
	char batch[256];
	create(batch);
	int64_t held = set_aside();
	read_results(batch, USED("") "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"type\":\"message\",\"usage\":{\"input_tokens\":100000000,\"output_tokens\":1}}}}");
	balance_is(DOLLAR - held);
	assert_int_equal(set_aside(), 0);
}

static void
it_is_cancelled(void **state)
{
	char batch[256];
	create(batch);
	int c = ask_about(r.key, "POST", batch, "/cancel"), p = provider_sees("POST /v1/messages/batches/msgbatch_UNSEALEDb/cancel HTTP/1.1\r\n");
	provider_says(p, "200 OK", BATCH("canceling", ",\"results_url\":null"));
	assert_non_null(strstr(client_gets(c, "200"), batch));
	assert_true(set_aside() > 0);
}

/* Once its results are gone, nobody could tell what they cost. */
static void
it_is_deleted_when_it_is_paid(void **state)
{
	char batch[256];
	create(batch);
	int c = ask_about(r.key, "DELETE", batch, "");
	for (int i = 0; i < 3; i++)
		rig_pass(&r, 100);
	assert_non_null(strstr(client_gets(c, "400"), "has not been paid for yet"));
	assert_int_equal(r.dials, asked);
	assert_true(rig_errand(&r, 2000)); /* somebody looks at once */
	provider_says(provider_sees("GET /v1/messages/batches/msgbatch_UNSEALEDb/results HTTP/1.1\r\n"), "200 OK", RESULTS);
	balance_is(DOLLAR - COST);
	r.deaf = true;
	c = ask_about(r.key, "DELETE", batch, "");
	rig_pass(&r, 20000);
	client_gets(c, "503");
	c = ask_about(r.key, "DELETE", batch, "");
	rig_renew(&r, END_OF_LEDGER);
	r.deaf = false;
	rig_turn(&r);
	provider_says(provider_sees("DELETE /v1/messages/batches/msgbatch_UNSEALEDb HTTP/1.1\r\n"), "200 OK", "{\"id\":\"msgbatch_UNSEALEDb\",\"type\":\"message_batch_deleted\"}");
	assert_non_null(strstr(client_gets(c, "200"), batch));
	balance_is(DOLLAR - COST);
}

static void
what_the_provider_does_not_begin_comes_back(void **state)
{
	static const char *const answers[] = {"400 Bad Request", "429 Too Many Requests", "500 Oops", "401 Unauthorized", "200 OK"};
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		int c = ask(r.key, "POST /v1/messages/batches", JSON, TWO), p = provider_sees("POST /v1/messages/batches HTTP/1.1\r\n");
		assert_true(set_aside() > 0);
		provider_says(p, answers[i], "{\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"y\"}}");
		client_gets(c, i == 0 ? "400" : i == 1 ? "429"
				: i == 2                       ? "500"
				: i == 3                       ? "503"
											   : "502");
		balance_is(DOLLAR);
	}
	assert_int_equal(set_aside(), 0);
	assert_false(rig_errand(&r, 1000000000));
}

static void
a_client_that_goes_leaves_a_batch_that_is_paid(void **state)
{
	int c = ask(r.key, "POST /v1/messages/batches", JSON, TWO), p = provider_sees("POST /v1/messages/batches HTTP/1.1\r\n");
	close(c);
	rig_turn(&r);
	provider_says(p, "200 OK", RUNS);
	assert_true(rig_errand(&r, 16000));
	provider_says(provider_sees("GET /v1/messages/batches/msgbatch_UNSEALEDb/results HTTP/1.1\r\n"), "200 OK", RESULTS);
	balance_is(DOLLAR - COST);
}

static void
another_account_and_every_altered_id_get_404(void **state)
{
	static const struct {
		const char *method, *behind;
	} ways[] = {{"GET", ""}, {"GET", "/results"}, {"POST", "/cancel"}, {"DELETE", ""}};
	char batch[256], changed[256], line[400];
	create(batch);
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		const char *const ids[] = {"msgbatch_UNSEALEDb", "msgbatch_made_up", "batch_made_up"};
		client_gets(ask_about(other_key, ways[w].method, batch, ways[w].behind), "404");
		for (size_t i = 0; i < ARRAY_LEN(ids); i++)
			client_gets(ask_about(r.key, ways[w].method, ids[i], ways[w].behind), "404");
		for (size_t i = 0; i < strlen(batch); i += 7) {
			strcpy(changed, batch);
			changed[i] = changed[i] == 'A' ? 'B' : 'A';
			client_gets(ask_about(r.key, ways[w].method, changed, ways[w].behind), "404");
		}
	}
	sprintf(line, "GET /v1/batches/%s", batch);
	client_gets(ask(r.key, line, "", NULL), "404");
	assert_int_equal(r.dials, asked);
}

/* ---- lists ---- */

/* The provider is asked about the one that it knows by that number. */
static int
asked_about(const char *number)
{
	char line[100];
	sprintf(line, "GET /v1/messages/batches/msgbatch_UNSEALED%s HTTP/1.1\r\n", number);
	return provider_sees(line);
}

static void
create_numbered(const char *number, char ret[256])
{
	char answer[300];
	int c = ask(r.key, "POST /v1/messages/batches", JSON, TWO), p = provider_sees("POST /v1/messages/batches HTTP/1.1\r\n");
	sprintf(answer, "{\"id\":\"msgbatch_UNSEALED%s\",\"processing_status\":\"in_progress\",\"results_url\":null}", number);
	provider_says(p, "200 OK", answer);
	id_of(client_gets(c, "200"), ret);
}

static void
says_numbered(int p, const char *number)
{
	char answer[300];
	sprintf(answer, "{\"id\":\"msgbatch_UNSEALED%s\",\"processing_status\":\"in_progress\",\"results_url\":null}", number);
	provider_says(p, "200 OK", answer);
}

static void
a_list_has_the_accounts_own_from_the_youngest_on(void **state)
{
	char ids[3][256], line[400], expected[1600];
	for (int i = 0; i < 3; i++)
		create_numbered((const char *const[]){"0", "1", "2"}[i], ids[i]);
	int c = ask(r.key, "GET /v1/messages/batches?limit=2", "", NULL);
	says_numbered(asked_about("2"), "2");
	says_numbered(asked_about("1"), "1");
#define ONE "{\"id\":\"%s\",\"processing_status\":\"in_progress\",\"results_url\":null}"
	sprintf(expected, "{\"data\":[" ONE "," ONE "],\"first_id\":\"%s\",\"last_id\":\"%s\",\"has_more\":true}", ids[2], ids[1], ids[2], ids[1]);
	assert_string_equal(client_gets(c, "200"), expected);
	sprintf(line, "GET /v1/messages/batches?after_id=%s&limit=2", ids[1]);
	c = ask(r.key, line, "", NULL);
	says_numbered(asked_about("0"), "0");
	sprintf(expected, "{\"data\":[" ONE "],\"first_id\":\"%s\",\"last_id\":\"%s\",\"has_more\":false}", ids[0], ids[0], ids[0]);
	assert_string_equal(client_gets(c, "200"), expected);
	assert_string_equal(client_gets(ask(other_key, "GET /v1/messages/batches", "", NULL), "200"), "{\"data\":[],\"first_id\":null,\"last_id\":null,\"has_more\":false}");
	client_gets(ask(other_key, line, "", NULL), "404");
	client_gets(ask(r.key, "GET /v1/messages/batches?after_id=msgbatch_UNSEALED1", "", NULL), "404");
	client_gets(ask(r.key, "GET /v1/messages/batches?limit=0", "", NULL), "400");
	client_gets(ask(r.key, "GET /v1/messages/batches?limit=many", "", NULL), "400");
	assert_non_null(strstr(client_gets(ask(r.key, "GET /v1/messages/batches?before_id=x", "", NULL), "400"), "after_id"));
	assert_int_equal(r.dials, asked);
	balance_is(rig_balance(&r));
}

/* What is gone is in no list, and an empty page is no end while there is more. */
static void
a_list_goes_on_behind_what_is_gone(void **state)
{
	char ids[3][256];
	for (int i = 0; i < 3; i++)
		create_numbered((const char *const[]){"0", "1", "2"}[i], ids[i]);
	int c = ask(r.key, "GET /v1/messages/batches?limit=1", "", NULL);
	provider_says(asked_about("2"), "404 Not Found", "{}");
	provider_says(asked_about("1"), "404 Not Found", "{}");
	says_numbered(asked_about("0"), "0");
	const char *body = client_gets(c, "200");
	assert_non_null(strstr(body, ids[0]));
	assert_null(strstr(body, ids[1]));
	assert_non_null(strstr(body, "\"has_more\":false"));
}

static void
a_list_that_fails_half_way_is_an_error(void **state)
{
	static const struct {
		const char *provider, *client;
	} rows[] = {{"500 Oops", "500"}, {"401 Unauthorized", "503"}, {"200 OK", "502"}};
	char ids[2][256];
	create_numbered("0", ids[0]);
	create_numbered("1", ids[1]);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int c = ask(r.key, "GET /v1/messages/batches", "", NULL);
		says_numbered(asked_about("1"), "1");
		provider_says(asked_about("0"), rows[i].provider, "{\"id\":\"msgbatch_another\"}");
		client_gets(c, rows[i].client);
	}
	int c = ask(r.key, "GET /v1/messages/batches", "", NULL);
	says_numbered(asked_about("1"), "1");
	close(asked_about("0"));
	client_gets(c, "502");
	c = ask(r.key, "GET /v1/messages/batches", "", NULL);
	int p = asked_about("1");
	close(c);
	rig_turn(&r);
	close(p);
	rig_turn(&r);
	r.deaf = true;
	c = ask(r.key, "GET /v1/messages/batches", "", NULL);
	rig_pass(&r, 20000);
	client_gets(c, "503");
	c = ask(r.key, "GET /v1/messages/batches?limit=1", "", NULL);
	rig_renew(&r, END_OF_LEDGER);
	r.deaf = false;
	rig_turn(&r);
	says_numbered(asked_about("1"), "1");
	assert_non_null(strstr(client_gets(c, "200"), ids[1]));
	balance_is(rig_balance(&r));
}

/* One connection carries all of them. */
static void
a_list_is_asked_for_over_one_connection(void **state)
{
	char ids[2][256], answer[300];
	bool eof;
	create_numbered("0", ids[0]);
	create_numbered("1", ids[1]);
	int c = ask(r.key, "GET /v1/messages/batches", "", NULL), p = asked_about("1");
	for (int i = 1; i >= 0; i--) {
		sprintf(answer, "{\"id\":\"msgbatch_UNSEALED%d\",\"processing_status\":\"in_progress\",\"results_url\":null}", i);
		size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s", strlen(answer), answer);
		rig_send(&r, p, in, n);
		rig_turn(&r);
		if (i) {
			rig_read(&r, p, out, &eof);
			assert_non_null(strstr(out, "GET /v1/messages/batches/msgbatch_UNSEALED0 HTTP/1.1\r\n"));
		}
	}
	const char *body = client_gets(c, "200");
	assert_non_null(strstr(body, ids[0]));
	assert_non_null(strstr(body, ids[1]));
	assert_int_equal(r.dials, asked);
	close(p);
}

static void
what_is_wrong_is_said_before_anything_is_sent(void **state)
{
	static const struct {
		const char *body, *says;
	} rows[] = {
		{"{}", "requests: Field required"},
		{LIST(""), "requests.0: it needs one"},
		{"{\"requests\":[],\"requests\":[]}", "given twice"},
		{LIST(ASKS("m", "") "," ASKS("m", ",\"stream\":true")), "requests.1: "},
		{LIST(ASKS("m", "") "," ASKS("n", "")), "Make a batch for each model"},
		{LIST(ASKS("renamed", "")), "has no model of that name"},
		{LIST(ASKS("up-m", "")), "has no model of that name"},
		{LIST(ASKS("brief", "")), "has no model of that name"},
		{LIST(ASKS("nobody", "")), "the model `nobody`"},
		{LIST(ASKS("long", "")), "costs more from there on"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strstr(client_gets(ask(r.key, "POST /v1/messages/batches", JSON, rows[i].body), "400"), rows[i].says))
			fail_msg("row %zu: %s", i, out);
	client_gets(ask(r.key, "POST /v1/messages/batches", JSON "lethe-policy: zero-retention\r\n", TWO), "400");
	static char dear[400000] = "{\"requests\":[";
	size_t n = strlen(dear);
	for (int i = 0; i < 1000; i++) /* more than $0.002 each */
		n += (size_t)sprintf(dear + n, "%s%s", i ? "," : "", ASKS("m", ""));
	sprintf(dear + n, "]}");
	assert_non_null(strstr(client_gets(ask(r.key, "POST /v1/messages/batches", JSON, dear), "402"), "can cost up to $2."));
	assert_int_equal(r.dials, asked);
	balance_is(DOLLAR);
	assert_int_equal(set_aside(), 0);
}

/* The provider's are short: what is hidden of it in words is part of ours by chance, and here always. */
static void
a_short_id_is_hidden_in_words_and_not_in_ours(void **state)
{
	char batch[256], line[400], whole[512];
	int c = ask(r.key, "POST /v1/messages/batches", JSON, TWO), p = provider_sees("POST /v1/messages/batches HTTP/1.1\r\n");
	provider_says(p, "200 OK", "{\"note\":\"of msgbatch_\",\"id\":\"msgbatch_\",\"processing_status\":\"in_progress\",\"results_url\":\"https://provider/msgbatch_\"}");
	const char *body = client_gets(c, "200");
	id_of(body, batch);
	assert_memory_equal(batch, "msgbatch_", 9);
	assert_non_null(strstr(body, "{\"note\":\"of xxxxxxxxx\",\"id\":\"msgbatch_"));
	sprintf(line, "/v1/messages/batches/%s/results\"", batch);
	assert_non_null(strstr(body, line));
	c = ask_about(r.key, "GET", batch, "");
	p = provider_sees("GET /v1/messages/batches/msgbatch_ HTTP/1.1\r\n");
	provider_says(p, "200 OK", "{\"id\":\"msgbatch_\",\"processing_status\":\"in_progress\",\"results_url\":null}");
	sprintf(whole, "{\"id\":\"%s\",\"processing_status\":\"in_progress\",\"results_url\":null}", batch);
	assert_string_equal(client_gets(c, "200"), whole);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, opened, closed)
	const struct CMUnitTest tests[] = {
		TEST(a_batch_is_paid_once_by_who_reads_its_results),
		TEST(who_sees_that_it_has_ended_has_an_errand_sent),
		TEST(results_that_are_not_all_there_pay_nothing),
		TEST(every_way_to_end_costs_what_was_done),
		TEST(no_more_is_paid_than_was_set_aside),
		TEST(it_is_cancelled),
		TEST(it_is_deleted_when_it_is_paid),
		TEST(what_the_provider_does_not_begin_comes_back),
		TEST(a_client_that_goes_leaves_a_batch_that_is_paid),
		TEST(another_account_and_every_altered_id_get_404),
		TEST(a_list_has_the_accounts_own_from_the_youngest_on),
		TEST(a_list_goes_on_behind_what_is_gone),
		TEST(a_list_that_fails_half_way_is_an_error),
		TEST(a_list_is_asked_for_over_one_connection),
		TEST(what_is_wrong_is_said_before_anything_is_sent),
		TEST(a_short_id_is_hidden_in_words_and_not_in_ours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
