/* Batches: what they can cost is set aside before the provider is asked, and paid once when they have ended, whoever sees that. */
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
	"  - {name: keeper, url: 'http://127.0.0.1:9/v1', keys: [{env: RIG_KEY}], objects: true}\n"
	"models:\n"
	"  - {id: m, provider: keeper, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}, {from: 2020-01-01, tier: batch, times: \"0.5\"}]}\n"
	"  - {id: renamed, upstream: up-m, provider: keeper, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: respond, provider: keeper, language: responses, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: long, provider: keeper, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}, {from: 2020-01-01, above: 10, input: \"2\", output: \"4\"}]}\n";

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

#define FORM "content-type: multipart/form-data; boundary=bnd\r\n"
#define JSON "content-type: application/json\r\n"
#define PURPOSE(p) "--bnd\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n" p "\r\n"
#define CONTENT(lines) "--bnd\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n" lines "\r\n--bnd--\r\n"
#define LINE_OF(model) "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"" model "\",\"max_tokens\":1000,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}}"
#define TWO LINE_OF("m") "\n" LINE_OF("m") "\n"

static void
upload(const char *key, const char *form, char ret[256])
{
	int c = ask(key, "POST /v1/files", FORM, form), p = provider_sees("POST /v1/files HTTP/1.1\r\n");
	provider_says(p, "200 OK", "{\"object\":\"file\",\"id\":\"file-UNSEALEDin\",\"bytes\":13}");
	member(client_gets(c, "200"), "id", ret);
	assert_null(strstr(out, "UNSEALED"));
}

#define CREATE "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}"
#define BATCH(status, more) "{\"id\":\"batch_UNSEALEDb\",\"object\":\"batch\",\"endpoint\":\"/v1/chat/completions\",\"input_file_id\":\"file-UNSEALEDin\",\"status\":\"" status "\"" more "}"
#define RUNS BATCH("validating", ",\"output_file_id\":null,\"request_counts\":{\"total\":2,\"completed\":0,\"failed\":0}")
#define USAGE ",\"request_counts\":{\"total\":2,\"completed\":2,\"failed\":0},\"usage\":{\"input_tokens\":1000,\"input_tokens_details\":{\"cached_tokens\":200},\"output_tokens\":100,\"output_tokens_details\":{\"reasoning_tokens\":40},\"total_tokens\":1100}"
#define DONE BATCH("completed", ",\"output_file_id\":\"file-UNSEALEDout\",\"error_file_id\":null" USAGE)
enum { DOLLAR = 1000000000,
	COST = (1000 * 1 + 100 * 2) * 500 }; /* half of $1 and $2 a million */

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

static int
ask_to_create(const char *key, const char *file)
{
	char body[512];
	sprintf(body, CREATE, file);
	return ask(key, "POST /v1/batches", JSON, body);
}

/* A batch that runs; its id and its file's. */
static void
create(char batch[256], char file[256])
{
	char again[256];
	upload(r.key, PURPOSE("batch") CONTENT(TWO), file);
	int c = ask_to_create(r.key, file), p = provider_sees("POST /v1/batches HTTP/1.1\r\n");
	assert_non_null(strstr(out, "{\"input_file_id\":\"file-UNSEALEDin\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}"));
	assert_true(set_aside() >= 2 * 1000 * 1000); /* before it is asked */
	provider_says(p, "200 OK", RUNS);
	const char *body = client_gets(c, "200");
	assert_null(strstr(out, "UNSEALED"));
	member(body, "id", batch);
	member(body, "input_file_id", again);
	assert_string_equal(again, file);
	assert_memory_equal(batch, "batch_", 6);
}

static const char *
look(const char *batch, const char *answer)
{
	char line[300];
	sprintf(line, "GET /v1/batches/%s", batch);
	int c = ask(r.key, line, "", NULL), p = provider_sees("GET /v1/batches/batch_UNSEALEDb HTTP/1.1\r\n");
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

/* In the operator's sums, beside the requests about it, which are free. */
static void
used_of_model(const char *model, json_int_t requests, const char *cost, json_int_t input, json_int_t output)
{
	json_t *a = rig_control(&r, json_pack("{s:s,s:s,s:s}", "op", "usage", "group", "key,model", "model", model)), *row = json_array_get(json_object_get(a, "rows"), 0);
	assert_int_equal(json_integer_value(json_object_get(row, "requests")), requests);
	assert_string_equal(json_string_value(json_object_get(row, "cost")), cost);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(row, "tokens"), "input")), input);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(row, "tokens"), "output")), output);
	assert_non_null(json_string_value(json_object_get(row, "key_name")));
	json_decref(a);
}

static void
a_batch_is_paid_once_by_who_sees_its_end(void **state)
{
	char batch[256], file[256], seen[256], line[300];
	create(batch, file);
	int64_t held = set_aside();
	balance_is(DOLLAR - held);
	look(batch, BATCH("in_progress", USAGE)); /* what is not over costs nothing yet */
	balance_is(DOLLAR - held);
	for (int i = 0; i < 3; i++) {
		const char *body = look(batch, DONE);
		assert_null(strstr(out, "UNSEALED"));
		member(body, "id", seen);
		assert_string_equal(seen, batch);
		member(body, "input_file_id", seen);
		assert_string_equal(seen, file);
		member(body, "output_file_id", seen);
		balance_is(DOLLAR - COST);
	}
	sprintf(line, "GET /v1/files/%s/content", seen);
	int c = ask(r.key, line, "", NULL), p = provider_sees("GET /v1/files/file-UNSEALEDout/content HTTP/1.1\r\n");
	provider_says(p, "200 OK", "lines");
	assert_string_equal(client_gets(c, "200"), "lines");
	client_gets(ask(other_key, line, "", NULL), "404");
	assert_int_equal(set_aside(), 0);
	assert_false(rig_errand(&r, 1000000));
	used_of_model("m", 2, "0.000600000", 800, 60);
}

static void
an_errand_pays_it_when_nobody_looks(void **state)
{
	uint64_t later = 10000000;
	char batch[256], file[256];
	create(batch, file);
	assert_false(rig_errand(&r, 1000));
	assert_true(rig_errand(&r, 16000));
	provider_says(provider_sees("GET /v1/batches/batch_UNSEALEDb HTTP/1.1\r\n"), "200 OK", RUNS);
	assert_true(set_aside() > 0);
	static const struct {
		const char *status, *body;
	} bad[] = {{"404 Not Found", "{}"}, {"500 Oops", "x"}, {"401 Unauthorized", "{}"}, {"200 OK", "{"}, {"200 OK", "{\"id\":\"batch_other\",\"status\":\"completed\"}"}};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(rig_errand(&r, later *= 2));
		provider_says(provider_sees("GET /v1/batches/batch_UNSEALEDb HTTP/1.1\r\n"), bad[i].status, bad[i].body);
		assert_true(set_aside() > 0);
	}
	assert_true(rig_errand(&r, later *= 2));
	close(provider_sees("GET /v1/batches/batch_UNSEALEDb HTTP/1.1\r\n")); /* cut */
	rig_turn(&r);
	assert_true(rig_errand(&r, later *= 2));
	provider_says(provider_sees("GET /v1/batches/batch_UNSEALEDb HTTP/1.1\r\n"), "200 OK", DONE);
	balance_is(DOLLAR - COST);
	assert_false(rig_errand(&r, later *= 2));
	look(batch, DONE);
	balance_is(DOLLAR - COST);
	assert_int_equal(rig_tickets(&r), 3); /* upload, creation, look: errands are nobody's requests */
}

static void
an_account_with_nothing_left_is_settled_as_well(void **state)
{
	char batch[256], file[256], amount[32];
	create(batch, file);
	rig_book(&r);
	int64_t left = rig_balance(&r);
	nano_text((struct nano){-left}, amount);
	json_t *a = rig_control(&r, json_pack("{s:s,s:s,s:s,s:s}", "op", "credit.add", "account", r.account, "amount", amount, "reason", "rig"));
	assert_true(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
	int64_t held = set_aside();
	assert_true(rig_errand(&r, 16000));
	provider_says(provider_sees("GET /v1/batches/batch_UNSEALEDb HTTP/1.1\r\n"), "200 OK", DONE);
	balance_is(held - COST);
}

static void
every_way_to_end_costs_what_was_done(void **state)
{
	static const struct {
		const char *answer;
		int64_t cost; /* -1: it stays set aside */
	} rows[] = {
		{BATCH("failed", ",\"errors\":{\"data\":[{\"message\":\"file-UNSEALEDin is bad, so is batch_UNSEALEDb\"}]},\"request_counts\":{\"total\":0,\"completed\":0,\"failed\":0}"), 0},
		{BATCH("expired", USAGE), COST},
		{BATCH("cancelled", USAGE), COST},
		{BATCH("cancelled", ",\"request_counts\":{\"total\":2,\"completed\":0,\"failed\":0}"), 0},
		{BATCH("completed", ",\"request_counts\":{\"total\":2,\"completed\":0,\"failed\":2},\"usage\":{\"input_tokens\":0,\"output_tokens\":0}"), 0},
		{BATCH("completed", ",\"usage\":{\"input_tokens\":10,\"input_tokens_details\":{\"cached_tokens\":99},\"output_tokens\":null}"), 10 * 500},
		{BATCH("completed", ",\"usage\":{\"input_tokens\":10,\"input_tokens_details\":{\"cached_tokens\":-1},\"output_tokens\":0}"), 10 * 500},
		{BATCH("completed", ",\"usage\":{\"input_tokens\":10,\"output_tokens\":-1}"), -1},
		{BATCH("completed", ",\"usage\":{\"input_tokens\":1.5,\"output_tokens\":1}"), -1},
		{BATCH("completed", ",\"usage\":{\"input_tokens\":\"many\",\"output_tokens\":1}"), -1},
		{BATCH("completed", ",\"usage\":{\"input_tokens\":10,\"output_tokens\":99999999999999999999}"), -1},
		{BATCH("completed", ",\"request_counts\":{\"total\":2,\"completed\":-2,\"failed\":0}"), -1},
		{BATCH("completed", ",\"request_counts\":{\"total\":2,\"completed\":2,\"failed\":0},\"usage\":null"), -1},
		{BATCH("completed", ""), -1},
		{BATCH("finalizing", USAGE), -1},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char batch[256], file[256];
		create(batch, file);
		int64_t held = set_aside();
		look(batch, rows[i].answer);
		assert_null(strstr(out, "UNSEALED"));
		balance_is(DOLLAR - (rows[i].cost < 0 ? held : rows[i].cost));
		closed(NULL);
		opened(NULL);
	}
}

static void
no_more_is_paid_than_was_set_aside(void **state)
{
	char batch[256], file[256];
	create(batch, file);
	int64_t held = set_aside();
	look(batch, BATCH("completed", ",\"usage\":{\"input_tokens\":100000000,\"output_tokens\":1}"));
	balance_is(DOLLAR - held);
	assert_int_equal(set_aside(), 0);
}

static void
it_is_cancelled(void **state)
{
	char batch[256], file[256], line[300];
	create(batch, file);
	sprintf(line, "POST /v1/batches/%s/cancel", batch);
	int c = ask(r.key, line, "content-length: 0\r\n", NULL), p = provider_sees("POST /v1/batches/batch_UNSEALEDb/cancel HTTP/1.1\r\n");
	assert_non_null(strstr(out, "\r\ncontent-length: 0\r\n"));
	provider_says(p, "200 OK", BATCH("cancelling", ""));
	assert_non_null(strstr(client_gets(c, "200"), batch));
	assert_true(set_aside() > 0);
	client_gets(ask(other_key, line, "content-length: 0\r\n", NULL), "404");
}

static void
what_the_provider_does_not_begin_comes_back(void **state)
{
	static const char *const answers[] = {"400 Bad Request", "429 Too Many Requests", "500 Oops", "401 Unauthorized", "200 OK"};
	char file[256];
	upload(r.key, PURPOSE("batch") CONTENT(TWO), file);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		int c = ask_to_create(r.key, file), p = provider_sees("POST /v1/batches HTTP/1.1\r\n");
		assert_true(set_aside() > 0);
		provider_says(p, answers[i], "{\"error\":{\"message\":\"file-UNSEALEDin\"}}");
		client_gets(c, i == 0 ? "400" : i == 1 ? "429"
				: i == 2                       ? "500"
				: i == 3                       ? "503"
											   : "502");
		assert_null(strstr(out, "UNSEALED"));
		balance_is(DOLLAR);
	}
	int c = ask_to_create(r.key, file);
	close(provider_sees("POST /v1/batches HTTP/1.1\r\n"));
	client_gets(c, "502");
	balance_is(DOLLAR);
	assert_int_equal(set_aside(), 0);
	assert_false(rig_errand(&r, 1000000000));
}

static void
what_is_not_covered_is_not_begun(void **state)
{
	static char form[400000];
	char file[256];
	size_t n = (size_t)sprintf(form, PURPOSE("batch") "--bnd\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n");
	for (int i = 0; i < 1500; i++) /* $0.001 each, at least */
		n += (size_t)sprintf(form + n, "%s\n", LINE_OF("m"));
	sprintf(form + n, "\r\n--bnd--\r\n");
	upload(r.key, form, file);
	assert_non_null(strstr(client_gets(ask_to_create(r.key, file), "402"), "can cost up to $1."));
	assert_int_equal(r.dials, asked);
	balance_is(DOLLAR);
	assert_int_equal(set_aside(), 0);
}

/* The client goes while the provider is at it: it runs, so it is paid. */
static void
a_client_that_goes_leaves_a_batch_that_is_paid(void **state)
{
	char file[256];
	upload(r.key, PURPOSE("batch") CONTENT(TWO), file);
	int c = ask_to_create(r.key, file), p = provider_sees("POST /v1/batches HTTP/1.1\r\n");
	close(c);
	rig_turn(&r);
	assert_true(set_aside() > 0);
	provider_says(p, "200 OK", RUNS);
	assert_true(rig_errand(&r, 16000));
	provider_says(provider_sees("GET /v1/batches/batch_UNSEALEDb HTTP/1.1\r\n"), "200 OK", DONE);
	balance_is(DOLLAR - COST);
}

/* Another ledger is there before the first has answered: it is asked again, and does it once. */
static void
a_ledger_that_is_started_anew_is_asked_again(void **state)
{
	char file[256], batch[256];
	upload(r.key, PURPOSE("batch") CONTENT(TWO), file);
	r.deaf = true;
	int c = ask_to_create(r.key, file);
	assert_int_equal(r.dials, asked);
	rig_renew(&r, END_OF_LEDGER);
	r.deaf = false;
	rig_turn(&r);
	int p = provider_sees("POST /v1/batches HTTP/1.1\r\n");
	r.deaf = true;
	provider_says(p, "200 OK", RUNS);
	bool eof;
	assert_int_equal(rig_read(&r, c, out, &eof), 0); /* the caller hears of nothing that would not be paid */
	rig_renew(&r, END_OF_LEDGER);
	r.deaf = false;
	rig_turn(&r);
	member(client_gets(c, "200"), "id", batch);
	look(batch, DONE);
	balance_is(DOLLAR - COST);
}

static void
a_ledger_that_stays_away_begins_nothing(void **state)
{
	char file[256];
	upload(r.key, PURPOSE("batch") CONTENT(TWO), file);
	r.deaf = true;
	int c = ask_to_create(r.key, file);
	rig_pass(&r, 20000);
	client_gets(c, "503");
	assert_int_equal(r.dials, asked);
	r.deaf = false;
	rig_turn(&r);
	balance_is(DOLLAR);
	assert_int_equal(set_aside(), 0);
}

static void
another_account_and_every_altered_id_get_404(void **state)
{
	static const struct {
		const char *before, *behind;
	} ways[] = {{"GET /v1/batches/", ""}, {"POST /v1/batches/", "/cancel"}};
	char batch[256], file[256], line[400], changed[256];
	create(batch, file);
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		const char *const ids[] = {"batch_UNSEALEDb", "batch_made_up", file};
		sprintf(line, "%s%s%s", ways[w].before, batch, ways[w].behind);
		client_gets(ask(other_key, line, "", NULL), "404");
		for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
			sprintf(line, "%s%s%s", ways[w].before, ids[i], ways[w].behind);
			client_gets(ask(r.key, line, "", NULL), "404");
		}
		for (size_t i = 0; i < strlen(batch); i++) {
			strcpy(changed, batch);
			changed[i] = changed[i] == 'A' ? 'B' : 'A';
			sprintf(line, "%s%s%s", ways[w].before, changed, ways[w].behind);
			client_gets(ask(r.key, line, "", NULL), "404");
		}
	}
	client_gets(ask_to_create(other_key, file), "404");
	client_gets(ask_to_create(r.key, "file-UNSEALEDin"), "404");
	client_gets(ask_to_create(r.key, batch), "404");
	sprintf(line, "GET /v1/files/%s", batch);
	client_gets(ask(r.key, line, "", NULL), "404");
	assert_int_equal(r.dials, asked);
}

static void
what_is_wrong_is_said_before_anything_is_sent(void **state)
{
	static const struct {
		const char *form, *says;
	} uploads[] = {
		{PURPOSE("batch") CONTENT("words"), "Line 1 of the file: it is not one JSON object"},
		{CONTENT("words"), NULL},
		{PURPOSE("batch") CONTENT(LINE_OF("m") "\n{}"), "Line 2 of the file: it needs one"},
		{PURPOSE("batch") CONTENT(LINE_OF("renamed")), "has no model of that name"},
		{PURPOSE("batch") CONTENT(LINE_OF("up-m")), "has no model of that name"},
		{PURPOSE("batch") CONTENT(LINE_OF("nobody")), "the model `nobody`"},
		{PURPOSE("batch") CONTENT(LINE_OF("respond")), "is not served at their url"},
		{PURPOSE("batch") CONTENT(LINE_OF("long")), "costs more from there on"},
	};
	char file[256], plain[256], body[1024];
	for (size_t i = 0; i < ARRAY_LEN(uploads); i++)
		if (uploads[i].says)
			assert_non_null(strstr(client_gets(ask(r.key, "POST /v1/files", FORM, uploads[i].form), "400"), uploads[i].says));
	upload(r.key, PURPOSE("batch") CONTENT(TWO), file);
	upload(r.key, PURPOSE("user_data") CONTENT(TWO), plain);
	assert_non_null(strstr(client_gets(ask_to_create(r.key, plain), "400"), "uploaded here with purpose batch"));
	sprintf(body, "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/responses\",\"completion_window\":\"24h\"}", file);
	assert_non_null(strstr(client_gets(ask(r.key, "POST /v1/batches", JSON, body), "400"), "endpoint must be the url"));
	sprintf(body, "{\"input_file_id\":\"%s\",\"completion_window\":\"24h\"}", file);
	assert_non_null(strstr(client_gets(ask(r.key, "POST /v1/batches", JSON, body), "400"), "endpoint parameter"));
	assert_non_null(strstr(client_gets(ask(r.key, "POST /v1/batches", JSON, "{\"endpoint\":\"/v1/responses\"}"), "400"), "input_file_id"));
	sprintf(body, "{\"input_file_id\":\"%s\",\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/completions\"}", file, file);
	client_gets(ask(r.key, "POST /v1/batches", JSON, body), "400");
	sprintf(body, CREATE, file);
	client_gets(ask(r.key, "POST /v1/batches", JSON "lethe-policy: zero-retention\r\n", body), "400");
	assert_int_equal(r.dials, asked);
	balance_is(DOLLAR);
	assert_int_equal(set_aside(), 0);
}

static void
limit(const char *kind, const char *amount)
{
	json_t *a = rig_control(&r, json_pack("{s:s,s:s,s:s}", "op", "account.limit", "account", r.account, kind, amount));
	assert_true(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
}

/* Of dollars_per_month. */
static void
used_is(const char *dollars)
{
	rig_book(&r);
	json_t *a = rig_control(&r, json_pack("{s:s,s:s}", "op", "account.show", "account", r.account));
	assert_string_equal(json_string_value(json_object_get(json_object_get(a, "used"), "dollars_per_month")), dollars);
	json_decref(a);
}

static void
a_limit_of_money_holds_what_a_batch_can_cost_until_it_is_paid(void **state)
{
	char batch[256], file[256];
	limit("dollars_per_month", "0.003");
	create(batch, file);
	int64_t held = set_aside();
	assert_true(held > 1500000 && held < 3000000);
	int dials = r.dials;
	const char *body = client_gets(ask_to_create(r.key, file), "429");
	assert_non_null(strstr(body, "month"));
	assert_int_equal(r.dials, dials);
	balance_is(DOLLAR - held);
	look(batch, DONE);
	balance_is(DOLLAR - COST);
	used_is("0.000600000");
}

static void
tokens_of_a_batch_count_in_the_minute_in_which_it_begins(void **state)
{
	char batch[256], file[256];
	limit("output_tokens_per_minute", "3000");
	create(batch, file); /* two requests of a thousand at most */
	assert_non_null(strstr(client_gets(ask_to_create(r.key, file), "429"), "output"));
	int c, p;
	rig_pass(&r, 30000);
	c = ask_to_create(r.key, file);
	p = provider_sees("POST /v1/batches HTTP/1.1\r\n");
	provider_says(p, "400 Bad Request", "{\"error\":{\"message\":\"no\"}}"); /* what did not begin has used none */
	client_gets(c, "400");
	c = ask_to_create(r.key, file);
	provider_says(provider_sees("POST /v1/batches HTTP/1.1\r\n"), "200 OK", RUNS);
	client_gets(c, "200");
}

static void
a_limit_of_money_that_servers_share_lets_a_batch_begin(void **state)
{
	char file[256];
	upload(r.key, PURPOSE("batch") CONTENT(TWO), file);
	atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_SHARES);
	limit("dollars_per_month", "0.9");
	int c = ask_to_create(r.key, file);
	provider_says(provider_sees("POST /v1/batches HTTP/1.1\r\n"), "200 OK", RUNS);
	client_gets(c, "200");
	assert_true(set_aside() > 0);
	atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_BALANCES);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, opened, closed)
	const struct CMUnitTest tests[] = {
		TEST(a_batch_is_paid_once_by_who_sees_its_end),
		TEST(an_errand_pays_it_when_nobody_looks),
		TEST(an_account_with_nothing_left_is_settled_as_well),
		TEST(every_way_to_end_costs_what_was_done),
		TEST(no_more_is_paid_than_was_set_aside),
		TEST(it_is_cancelled),
		TEST(what_the_provider_does_not_begin_comes_back),
		TEST(what_is_not_covered_is_not_begun),
		TEST(a_client_that_goes_leaves_a_batch_that_is_paid),
		TEST(a_ledger_that_is_started_anew_is_asked_again),
		TEST(a_ledger_that_stays_away_begins_nothing),
		TEST(another_account_and_every_altered_id_get_404),
		TEST(what_is_wrong_is_said_before_anything_is_sent),
		TEST(a_limit_of_money_holds_what_a_batch_can_cost_until_it_is_paid),
		TEST(a_limit_of_money_that_servers_share_lets_a_batch_begin),
		TEST(tokens_of_a_batch_count_in_the_minute_in_which_it_begins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
