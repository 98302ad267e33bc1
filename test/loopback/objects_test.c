/* What customers keep at a provider: under ids of their own, which open for them alone. */
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
	"  - {name: plain, url: 'http://127.0.0.1:8/v1', keys: [{env: RIG_KEY}]}\n"
	"  - {name: scholar, url: 'http://127.0.0.1:10/v1', dialect: anthropic, keys: [{env: RIG_KEY}], objects: true}\n"
	"  - {name: keeper, url: 'http://127.0.0.1:9/v1', keys: [{env: RIG_KEY}], objects: true}\n"
	"models:\n"
	"  - {id: m, upstream: up-m, provider: keeper, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: s, upstream: up-s, provider: scholar, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: elsewhere, provider: plain, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n";

static void
make_other(void)
{
	json_t *a = rig_control(&r, json_pack("{s:s,s:s}", "op", "account.create", "name", "other"));
	json_t *k = rig_control(&r, json_pack("{s:s,s:O}", "op", "key.create", "account", json_object_get(a, "account")));
	json_t *m = rig_control(&r, json_pack("{s:s,s:O,s:s,s:s}", "op", "credit.add", "account", json_object_get(a, "account"), "amount", "1.00", "reason", "rig"));
	assert_true(json_is_true(json_object_get(m, "ok")));
	snprintf(other_key, sizeof other_key, "%s", json_string_value(json_object_get(k, "secret")));
	json_decref(a);
	json_decref(k);
	json_decref(m);
}

static int
with_keeper(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	make_other();
	asked = 0;
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

static void
books_are(long tickets)
{
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000);
	assert_int_equal(rig_tickets(&r), tickets);
}

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

/* What the provider was asked, over a connection of its own. */
static int
provider_sees(const char *line)
{
	bool eof;
	int p = rig_provider(&r, asked++);
	assert_true(p >= 0);
	rig_read(&r, p, out, &eof);
	assert_memory_equal(out, line, strlen(line));
	assert_null(strstr(out, "lethe_live_"));
	return p;
}

static void
provider_says(int p, const char *status, const char *type, const char *body)
{
	size_t n = (size_t)sprintf(in, "HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\nconnection: close\r\nset-cookie: a=b\r\n\r\n%s", status, type, strlen(body), body);
	rig_send(&r, p, in, n);
	close(p);
}

/* The client's answer, its connection closed; its body. */
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
	assert_null(strstr(out, "set-cookie"));
	char *body = strstr(out, "\r\n\r\n");
	assert_non_null(body);
	return body + 4;
}

#define FORM "content-type: multipart/form-data; boundary=bnd\r\n"
#define JSON "content-type: application/json\r\n"
#define PURPOSE "--bnd\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n"
#define CONTENT "--bnd\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nwords of mine\r\n"
#define END "--bnd--\r\n"
#define FILE_OBJECT(id) "{ \"object\":\"file\", \"id\" : \"" id "\", \"bytes\":13,\"created_at\":1,\"filename\":\"a.txt\",\"purpose\":\"user_data\",\"nested\":{\"id\":\"x\"}}\n"

/* Uploads; the id that the client gets. */
static void
upload(const char *key, char ret[256])
{
	static const char before[] = "{ \"object\":\"file\", \"id\" : \"", behind[] = "\", \"bytes\":13,\"created_at\":1,\"filename\":\"a.txt\",\"purpose\":\"user_data\",\"nested\":{\"id\":\"x\"}}\n";
	int c = ask(key, "POST /v1/files", FORM, PURPOSE CONTENT END), p = provider_sees("POST /v1/files HTTP/1.1\r\n");
	assert_non_null(strstr(out, "\r\n\r\n" PURPOSE CONTENT END));
	assert_non_null(strstr(out, FORM));
	provider_says(p, "200 OK", "application/json", FILE_OBJECT("file-abc123"));
	const char *body = client_gets(c, "200");
	char length[64];
	sprintf(length, "content-length: %zu\r\n", strlen(body));
	assert_non_null(strstr(out, length));
	assert_memory_equal(body, before, sizeof before - 1);
	const char *id = body + sizeof before - 1, *end = strchr(id, '"');
	assert_string_equal(end, behind);
	assert_memory_equal(id, "file-", 5);
	assert_true(end - id < 250);
	memcpy(ret, id, (size_t)(end - id));
	ret[end - id] = 0;
	assert_null(strstr(out, "abc123"));
}

/* The text with the id in place of its star. */
static const char *
with_id(const char *text, const char *id)
{
	static char made[1400];
	const char *star = strchr(text, '*');
	sprintf(made, "%.*s%s%s", (int)(star - text), text, id, star + 1);
	return made;
}

/* ---- tests ---- */

static void
a_file_is_known_by_an_id_of_its_account(void **state)
{
	char id[256], again[256], foreign[256], line[300];
	upload(r.key, id);
	upload(r.key, again);
	upload(other_key, foreign);
	assert_string_equal(id, again);
	assert_string_not_equal(id, foreign);

	sprintf(line, "GET /v1/files/%s", id);
	int c = ask(r.key, line, "", NULL), p = provider_sees("GET /v1/files/file-abc123 HTTP/1.1\r\n");
	assert_null(strstr(out, "content-length"));
	provider_says(p, "200 OK", "application/json", FILE_OBJECT("file-abc123"));
	assert_non_null(strstr(client_gets(c, "200"), id));

	sprintf(line, "DELETE /v1/files/%s", id);
	c = ask(r.key, line, "", NULL);
	p = provider_sees("DELETE /v1/files/file-abc123 HTTP/1.1\r\n");
	provider_says(p, "200 OK", "application/json", "{\"id\":\"file-abc123\",\"object\":\"file\",\"deleted\":true}");
	const char *body = client_gets(c, "200");
	sprintf(line, "{\"id\":\"%s\",\"object\":\"file\",\"deleted\":true}", id);
	assert_string_equal(body, line);
	books_are(5);
}

/* The provider has it: its row is made, though the ledger can't at first and nobody waits for it any more. */
static void
a_file_whose_client_goes_before_it_is_written_down_is_written_down(void **state)
{
	int c = ask(r.key, "POST /v1/files", FORM, PURPOSE CONTENT END), p = provider_sees("POST /v1/files HTTP/1.1\r\n");
	r.puts_off = 2;
	provider_says(p, "200 OK", "application/json", FILE_OBJECT("file-abc123"));
	close(c);
	for (int i = 0; i < 8; i++)
		rig_pass(&r, 100);
	assert_int_equal(r.put_off, 2);
	c = ask(r.key, "GET /v1/files", "", NULL);
	p = provider_sees("GET /v1/files/file-abc123 HTTP/1.1\r\n");
	provider_says(p, "200 OK", "application/json", FILE_OBJECT("file-abc123"));
	assert_non_null(strstr(client_gets(c, "200"), "a.txt"));
}

static void
content_passes_as_it_is(void **state)
{
	static char big[300000];
	char id[256], line[300];
	bool eof;
	upload(r.key, id);
	sprintf(line, "GET /v1/files/%s/content", id);
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i * 31 >> 3);
	int c = ask(r.key, line, "", NULL), p = provider_sees("GET /v1/files/file-abc123/content HTTP/1.1\r\n");
	size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n%zx\r\n", sizeof big);
	memcpy(in + n, big, sizeof big);
	n += sizeof big;
	n += (size_t)sprintf(in + n, "\r\n0\r\n\r\n");
	size_t got = 0, sent = 0;
	while (sent < n) {
		ssize_t some = send(p, in + sent, n - sent, MSG_NOSIGNAL);
		sent += some > 0 ? (size_t)some : 0;
		rig_turn(&r);
		got += rig_read(&r, c, out + got, &eof);
	}
	got += rig_read(&r, c, out + got, &eof);
	/* Without the chunks' sizes it is what was sent. */
	char *at = strstr(out, "\r\n\r\n") + 4;
	size_t seen = 0;
	for (size_t len; (len = strtoul(at, &at, 16)) != 0; at += len + 2) {
		assert_memory_equal(at += 2, big + seen, len);
		seen += len;
	}
	assert_int_equal(seen, sizeof big);
	assert_memory_equal(at, "\r\n\r\n", 5);
	close(c);
	close(p);
	books_are(2);
}

/* Whichever way its length was said, the client can see that it did not get all. */
static void
content_that_breaks_off_is_seen_to(void **state)
{
	static const char *const heads[] = {"content-length: 100\r\n\r\nwords", "transfer-encoding: chunked\r\n\r\n5\r\nwords\r\n"};
	char id[256], line[300];
	bool eof;
	upload(r.key, id);
	sprintf(line, "GET /v1/files/%s/content", id);
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		int c = ask(r.key, line, "", NULL), p = provider_sees("GET /v1/files/file-abc123/content HTTP/1.1\r\n");
		size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%s", heads[i]);
		rig_send(&r, p, in, n);
		close(p);
		size_t len = rig_read(&r, c, out, &eof);
		assert_true(eof);
		assert_non_null(strstr(out, "words"));
		assert_null(strstr(out, "error"));
		assert_true(len < 5 || memcmp(out + len - 5, "0\r\n\r\n", 5) != 0);
		close(c);
	}
	books_are(3);
}

static void
expect_no_object(int c)
{
	const char *body = client_gets(c, "404");
	assert_non_null(strstr(body, "\"code\":\"not_found\""));
	assert_non_null(strstr(body, "There is nothing with this id"));
}

static void
another_account_and_every_altered_id_get_404(void **state)
{
	static const char *const ways[] = {"GET /v1/files/*", "DELETE /v1/files/*", "GET /v1/files/*/content"};
	char id[256], changed[256];
	upload(r.key, id);
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		expect_no_object(ask(other_key, with_id(ways[w], id), "", NULL));
		expect_no_object(ask(r.key, with_id(ways[w], "file-abc123"), "", NULL));
	}
	for (size_t i = 0; i < strlen(id); i++) {
		strcpy(changed, id);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		expect_no_object(ask(r.key, with_id(ways[i % 3], changed), "", NULL));
	}
	memset(changed, 'a', 250);
	changed[250] = 0;
	expect_no_object(ask(r.key, with_id(ways[0], changed), "", NULL));
	assert_int_equal(r.dials, asked);
	assert_null(strstr(out, "file-abc123"));
}

#define CHAT_WITH(model) "{\"model\":\"" model "\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"%s\"}},{\"type\":\"text\",\"text\":\"hi\"}]}]}"
#define ANSWER "{\"id\":\"c\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"ok\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":1,\"total_tokens\":1001}}"

static void
a_request_names_a_file_by_that_id(void **state)
{
	char id[256], body[1024], expected[1024];
	upload(r.key, id);
	sprintf(body, CHAT_WITH("m"), id);
	int c = ask(r.key, "POST /v1/chat/completions", JSON, body), p = provider_sees("POST /v1/chat/completions HTTP/1.1\r\n");
	sprintf(expected, CHAT_WITH("up-m"), "file-abc123");
	assert_string_equal(strstr(out, "\r\n\r\n") + 4, expected);
	provider_says(p, "200 OK", "application/json", ANSWER);
	client_gets(c, "200");
	rig_book(&r);
	json_t *a = rig_control(&r, json_pack("{s:s}", "op", "ledger.verify")); /* not rig_check_books(): the accounts have different balances now */
	assert_true(json_is_true(json_object_get(a, "sound")));
	json_decref(a);
	assert_int_equal(rig_balance(&r), 1000000000 - 1000 * 1000 - 2000);
}

static void
a_file_of_another_account_is_not_named(void **state)
{
	char id[256], body[1024];
	upload(r.key, id);
	sprintf(body, CHAT_WITH("m"), id);
	expect_no_object(ask(other_key, "POST /v1/chat/completions", JSON, body));
	sprintf(body, CHAT_WITH("m"), "file-abc123");
	expect_no_object(ask(r.key, "POST /v1/chat/completions", JSON, body));
	sprintf(body, "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"file_id\":\"%s\"}]}]}", id);
	body[strlen(body) - 10] = '!';
	expect_no_object(ask(r.key, "POST /v1/responses", JSON, body));
	sprintf(body, CHAT_WITH("elsewhere"), id);
	assert_non_null(strstr(client_gets(ask(r.key, "POST /v1/chat/completions", JSON, body), "400"), "kept at another provider"));
	assert_int_equal(r.dials, asked);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000);
}

#define ANTHROPIC "anthropic-version: 2023-06-01\r\nanthropic-beta: files-api-2025-04-14\r\n"
#define MESSAGE_WITH(model) "{\"model\":\"" model "\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"%s\"}}]}]}"

/* The same path: whose files they are, the version of the dialect tells. */
static void
anthropics_files_are_another_kind(void **state)
{
	char id[256] = "", openai[256], body[1024], expected[1024], line[300];
	upload(r.key, openai);
	int c = ask(r.key, "POST /v1/files?beta=true", FORM ANTHROPIC, CONTENT END), p = provider_sees("POST /v1/files?beta=true HTTP/1.1\r\n");
	assert_non_null(strstr(out, ANTHROPIC));
	provider_says(p, "200 OK", "application/json", "{\"id\":\"file_011CNabc\",\"type\":\"file\",\"filename\":\"a.txt\",\"downloadable\":false}");
	const char *answer = client_gets(c, "200");
	assert_int_equal(sscanf(answer, "{\"id\":\"%255[^\"]\",\"type\":\"file\"", id), 1);
	assert_memory_equal(id, "file_", 5);
	assert_null(strstr(out, "011CNabc"));

	sprintf(body, MESSAGE_WITH("s"), id);
	c = ask(r.key, "POST /v1/messages", JSON ANTHROPIC, body);
	p = provider_sees("POST /v1/messages HTTP/1.1\r\n");
	sprintf(expected, MESSAGE_WITH("up-s"), "file_011CNabc");
	assert_string_equal(strstr(out, "\r\n\r\n") + 4, expected);
	provider_says(p, "400 Bad Request", "application/json", "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"file_011CNabc is odd\"}}");
	client_gets(c, "400");
	assert_null(strstr(out, "011CNabc"));

	/* Neither opens by the other's words, and errors are in the caller's. */
	sprintf(line, "GET /v1/files/%s", openai);
	assert_non_null(strstr(client_gets(ask(r.key, line, ANTHROPIC, NULL), "404"), "\"type\":\"not_found_error\""));
	sprintf(line, "GET /v1/files/%s", id);
	expect_no_object(ask(r.key, line, "", NULL));
	client_gets(ask(other_key, line, ANTHROPIC, NULL), "404");
	sprintf(body, MESSAGE_WITH("s"), openai);
	client_gets(ask(r.key, "POST /v1/messages", JSON ANTHROPIC, body), "404");
	assert_int_equal(r.dials, asked);

	sprintf(line, "DELETE /v1/files/%s", id);
	c = ask(r.key, line, ANTHROPIC, NULL);
	p = provider_sees("DELETE /v1/files/file_011CNabc HTTP/1.1\r\n");
	provider_says(p, "200 OK", "application/json", "{\"id\":\"file_011CNabc\",\"type\":\"file_deleted\"}");
	assert_non_null(strstr(client_gets(c, "200"), id));
}

/* ---- ids in answers that pass ---- */

/* The chunks' sizes taken out of an answer's body, in place. */
static char *
whole_body(void)
{
	char *body = strstr(out, "\r\n\r\n") + 4, *to = body, *at = body;
	if (!strstr(out, "transfer-encoding: chunked\r\n"))
		return body;
	for (size_t len; (len = strtoul(at, &at, 16)) != 0; at += len + 2) {
		memmove(to, at += 2, len);
		to += len;
	}
	*to = 0;
	return body;
}

/* The value of that member, wherever it first stands. */
static void
member(const char *body, const char *name, char ret[256])
{
	char key[64];
	sprintf(key, "\"%s\":\"", name);
	const char *at = strstr(body, key);
	assert_non_null(at);
	at += strlen(key);
	size_t len = strcspn(at, "\"");
	assert_true(len < 256);
	memcpy(ret, at, len);
	ret[len] = 0;
}

#define SANDBOX_TOOL ",\"tools\":[{\"type\":\"code_interpreter\",\"container\":{\"type\":\"auto\"}}]"
#define MADE(container, file) \
	"{\"type\":\"code_interpreter_call\",\"id\":\"ci_1\",\"container_id\":\"" container "\",\"code\":\"1\",\"outputs\":null}," \
	"{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"see file-abc123\",\"annotations\":[{\"type\":\"container_file_citation\",\"container_id\":\"" container "\",\"file_id\":\"" file "\"}]}]}"
#define RESPONSE "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"metadata\":{\"file_id\":\"file-mine\"},\"output\":[" MADE("cntr_77aa", "cfile_88bb") "],\"usage\":{\"input_tokens\":1000,\"output_tokens\":1,\"total_tokens\":1001}}"
#define STREAM "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"metadata\":{\"file_id\":\"file-mine\"},\"output\":[]}}\n\n" \
			   "event: response.output_text.annotation.added\ndata: {\"type\":\"response.output_text.annotation.added\",\"annotation\":{\"type\":\"container_file_citation\",\"container_id\":\"cntr_77aa\",\"file_id\":\"cfile_88bb\"}}\n\n" \
			   "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":" RESPONSE "}\n\n"

/* The text, with what stands for these two put in their places. */
static const char *
with_ids(const char *text, const char *container, const char *file)
{
	static char made[8192];
	size_t n = 0;
	for (const char *at = text; *at;) {
		const char *name = !strncmp(at, "cntr_77aa", 9) ? container : !strncmp(at, "cfile_88bb", 10) ? file
																									 : NULL;
		if (name) {
			n += (size_t)sprintf(made + n, "%s", name);
			at += *name == 'c' && at[1] == 'f' ? 10 : 9;
		} else
			made[n++] = *at++;
	}
	made[n] = 0;
	return made;
}

static void
says_whole(int p, const char *type, const char *body)
{
	size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n%s", type, strlen(body), body);
	rig_send(&r, p, in, n);
}

/* Bytes otherwise unchanged; what opens them is the next request's own. */
static void
answers_name_files_by_the_accounts_own_ids(void **state)
{
	char container[256], file[256], body[4096], expected[8192];
	bool eof;
	int c = ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"m\",\"input\":\"hi\",\"max_output_tokens\":10" SANDBOX_TOOL "}");
	int p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
	says_whole(p, "application/json", RESPONSE);
	rig_read(&r, c, out, &eof);
	char *told = whole_body();
	member(told, "container_id", container);
	member(strstr(told, "container_file_citation"), "file_id", file);
	assert_memory_equal(container, "cntr_", 5);
	assert_memory_equal(file, "cfile_", 6);
	assert_true(strlen(container) > 40 && strlen(file) > 40);
	strcpy(expected, with_ids(RESPONSE, container, file));
	assert_string_equal(told, expected);
	close(c);

	/* As a stream, cut in each place of an event. */
	strcpy(expected, with_ids(STREAM, container, file));
	for (size_t cut = 0; cut < sizeof STREAM; cut += 7) {
		c = ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"m\",\"input\":\"hi\",\"stream\":true,\"max_output_tokens\":10" SANDBOX_TOOL "}");
		rig_turn(&r);
		size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %zu\r\n\r\n", sizeof STREAM - 1);
		rig_send(&r, p, in, n);
		rig_send(&r, p, STREAM, cut);
		rig_turn(&r);
		rig_send(&r, p, &STREAM[cut], sizeof STREAM - 1 - cut);
		rig_read(&r, c, out, &eof);
		assert_string_equal(whole_body(), expected);
		close(c);
		rig_book(&r);
	}

	/* What was named comes back in the conversation, and is the provider's again. */
#define TURN(model, container, file) "{\"model\":\"" model "\",\"input\":[" MADE(container, file) ",{\"role\":\"user\",\"content\":\"hi\"}],\"store\":false,\"max_output_tokens\":10}"
	rig_read(&r, p, out, &eof);
	strcpy(body, with_ids(TURN("m", "cntr_77aa", "cfile_88bb"), container, file));
	c = ask(r.key, "POST /v1/responses", JSON, body);
	rig_read(&r, p, out, &eof);
	assert_string_equal(strstr(out, "\r\n\r\n") + 4, TURN("up-m", "cntr_77aa", "cfile_88bb"));
	says_whole(p, "application/json", RESPONSE);
	rig_read(&r, c, out, &eof);
	assert_null(strstr(out, "cntr_77aa"));
	close(c);

	/* A sandbox that is not the account's is none; what was cited may be anything. */
	expect_no_object(ask(other_key, "POST /v1/responses", JSON, body));
	expect_no_object(ask(r.key, "POST /v1/responses", JSON, TURN("m", "cntr_77aa", "cfile_88bb")));
#define CITED "{\"model\":\"%sm\",\"input\":[{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"annotations\":[{\"file_id\":\"%s\"},{\"file_id\":\"file-else\"}]}]}],\"store\":false,\"max_output_tokens\":10}"
	sprintf(body, CITED, "", file);
	c = ask(r.key, "POST /v1/responses", JSON, body);
	rig_read(&r, p, out, &eof);
	sprintf(expected, CITED, "up-", "cfile_88bb");
	assert_string_equal(strstr(out, "\r\n\r\n") + 4, expected);
	close(c);
	close(p);
}

static const char *
in_container(const char *container, const char *file, const char *behind)
{
	static char line[700];
	sprintf(line, "GET /v1/containers/%s/files/%s%s", container, file, behind);
	return line;
}

/* Two names in one path: each of them is the account's own, and both lie at one provider. */
static void
what_a_tool_has_made_is_read_where_it_lies(void **state)
{
	char container[256], file[256], changed[256];
	int c = ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"m\",\"input\":\"hi\",\"max_output_tokens\":10" SANDBOX_TOOL "}");
	provider_says(provider_sees("POST /v1/responses HTTP/1.1\r\n"), "200 OK", "application/json", RESPONSE);
	const char *told = client_gets(c, "200");
	member(told, "container_id", container);
	member(strstr(told, "container_file_citation"), "file_id", file);
	rig_book(&r);
	int64_t before = rig_balance(&r);
	c = ask(r.key, in_container(container, file, "/content"), "", NULL);
	provider_says(provider_sees("GET /v1/containers/cntr_77aa/files/cfile_88bb/content HTTP/1.1\r\n"), "200 OK", "application/json", "what cntr_77aa has plotted");
	assert_string_equal(client_gets(c, "200"), "what cntr_77aa has plotted"); /* content, which is anything */
	c = ask(r.key, in_container(container, file, ""), "", NULL);
#define CONTAINER_FILE "{\"id\":\"cfile_88bb\",\"object\":\"container.file\",\"bytes\":880,\"container_id\":\"cntr_77aa\",\"path\":\"/mnt/data/plot.png\"}"
	provider_says(provider_sees("GET /v1/containers/cntr_77aa/files/cfile_88bb HTTP/1.1\r\n"), "200 OK", "application/json", CONTAINER_FILE);
	assert_string_equal(client_gets(c, "200"), with_ids(CONTAINER_FILE, container, file));
	rig_book(&r);
	assert_int_equal(rig_balance(&r), before);

	/* It speaks of another sandbox; it says its own names; it has nothing of the kind any more. */
	c = ask(r.key, in_container(container, file, ""), "", NULL);
	provider_says(provider_sees("GET /v1/containers/cntr_77aa/files/cfile_88bb HTTP/1.1\r\n"), "200 OK", "application/json", "{\"id\":\"cfile_88bb\",\"container_id\":\"cntr_else\"}");
	client_gets(c, "502");
	c = ask(r.key, in_container(container, file, "/content"), "", NULL);
	provider_says(provider_sees("GET /v1/containers/cntr_77aa/files/cfile_88bb/content HTTP/1.1\r\n"), "400 Bad Request", "application/json", "{\"error\":{\"message\":\"cntr_77aa sleeps\"}}");
	client_gets(c, "400");
	assert_null(strstr(out, "cntr_77aa"));
	c = ask(r.key, in_container(container, file, "/content"), "", NULL);
	provider_says(provider_sees("GET /v1/containers/cntr_77aa/files/cfile_88bb/content HTTP/1.1\r\n"), "404 Not Found", "application/json", "{\"error\":{\"message\":\"no cfile_88bb\"}}");
	expect_no_object(c);

	static const char *const ways[] = {"", "/content"};
	for (size_t i = 0; i < strlen(container) + strlen(file); i++) {
		size_t at = i < strlen(container) ? i : i - strlen(container);
		strcpy(changed, i < strlen(container) ? container : file);
		changed[at] = changed[at] == 'A' ? 'B' : 'A';
		expect_no_object(ask(r.key, in_container(i < strlen(container) ? changed : container, i < strlen(container) ? file : changed, ways[i % 2]), "", NULL));
	}
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		expect_no_object(ask(other_key, in_container(container, file, ways[w]), "", NULL));
		expect_no_object(ask(r.key, in_container(file, container, ways[w]), "", NULL));
		expect_no_object(ask(r.key, in_container("cntr_77aa", file, ways[w]), "", NULL));
		expect_no_object(ask(r.key, in_container(container, "cfile_88bb", ways[w]), "", NULL));
	}
	memset(changed, 'a', 250);
	changed[250] = 0;
	expect_no_object(ask(r.key, in_container(changed, file, ""), "", NULL));

	/* What isn't there says what is instead. */
	static const struct {
		const char *line, *says;
	} rows[] = {
		{"GET /v1/containers", "the container of a tool makes one"},
		{"POST /v1/containers", "the container of a tool makes one"},
		{"GET /v1/containers//files/x", "the container of a tool makes one"},
		{"GET /v1/containers/x/files/", "the container of a tool makes one"},
		{"GET /v1/containers/x/files/y/z", "the container of a tool makes one"},
		{"POST /v1/conversations", "previous_response_id"},
		{"GET /v1/conversations/conv_1/items", "previous_response_id"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_non_null(strstr(client_gets(ask(r.key, rows[i].line, "", NULL), "404"), rows[i].says));
	assert_int_equal(r.dials, asked);
}

/* Where no tool can have made a file, and none was named, nothing is looked at: members of that name are the caller's, and the length stands. */
static void
other_answers_are_not_touched(void **state)
{
	bool eof;
	int c = ask(r.key, "POST /v1/responses", JSON, "{\"model\":\"m\",\"input\":\"hi\",\"max_output_tokens\":10,\"tools\":[{\"type\":\"function\",\"name\":\"f\"},{\"type\":\"web_search\"}]}");
	int p = provider_sees("POST /v1/responses HTTP/1.1\r\n");
	char length[64];
	says_whole(p, "application/json", RESPONSE);
	rig_read(&r, c, out, &eof);
	sprintf(length, "content-length: %zu\r\n", strlen(RESPONSE));
	assert_non_null(strstr(out, length));
	assert_string_equal(whole_body(), RESPONSE);
	close(c);
	close(p);
}

#define CITATION(id) "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"so\",\"citations\":[{\"type\":\"char_location\",\"file_id\":\"" id "\"}]}," \
					 "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"file_id\":\"file_mine\"}}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}"

static void
a_citation_names_the_file_that_was_sent(void **state)
{
	char id[256], body[1024], cited[256];
	bool eof;
	int c = ask(r.key, "POST /v1/files", FORM ANTHROPIC, CONTENT END), p = provider_sees("POST /v1/files HTTP/1.1\r\n");
	provider_says(p, "200 OK", "application/json", "{\"id\":\"file_011CNabc\",\"type\":\"file\"}");
	member(client_gets(c, "200"), "id", id);
	sprintf(body, MESSAGE_WITH("s"), id);
	c = ask(r.key, "POST /v1/messages", JSON ANTHROPIC, body);
	p = provider_sees("POST /v1/messages HTTP/1.1\r\n");
	says_whole(p, "application/json", CITATION("file_011CNabc"));
	rig_read(&r, c, out, &eof);
	member(whole_body(), "file_id", cited);
	assert_string_equal(cited, id);
	assert_non_null(strstr(out, "\"input\":{\"file_id\":\"file_mine\"}"));
	assert_null(strstr(out, "011CNabc"));
	close(c);
	close(p);
}

/* The provider's own id is told to nobody, also not by its errors. */
static void
errors_about_an_object_do_not_name_it(void **state)
{
	static const struct {
		const char *status, *body, *client, *says;
	} rows[] = {
		{"404 Not Found", "{\"error\":{\"message\":\"No such File object: file-abc123\"}}", "404", "There is nothing with this id"},
		{"400 Bad Request", "{\"error\":{\"message\":\"file-abc123 is broken\"}}", "400", "error"},
		{"400 Bad Request", "{\"error\":{\"message\":\"a plain reason\"}}", "400", "a plain reason"},
		{"401 Unauthorized", "{\"error\":{\"message\":\"file-abc123\"}}", "503", "not available"},
		{"500 Oops", "file-abc123", "500", "error"},
		{"200 OK", "{\"id\":\"file-abc1234\"}", "502", "could not be read"},
		{"200 OK", "{\"id\":7}", "502", "could not be read"},
		{"200 OK", "{\"id\":\"file-abc123\",\"id\":\"file-abc123\"}", "502", "could not be read"},
		{"200 OK", "{\"bytes\":1}", "502", "could not be read"},
		{"200 OK", "{\"id\":\"file-abc123\"", "502", "could not be read"},
		{"200 OK", "", "502", "could not be read"},
		{"200 OK", "[]", "502", "could not be read"},
	};
	char id[256], line[300], body[1024];
	upload(r.key, id);
	sprintf(line, "GET /v1/files/%s", id);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int c = ask(r.key, line, "", NULL), p = provider_sees("GET /v1/files/file-abc123 HTTP/1.1\r\n");
		provider_says(p, rows[i].status, "application/json", rows[i].body);
		assert_non_null(strstr(client_gets(c, rows[i].client), rows[i].says));
		assert_null(strstr(out, "abc123"));
	}
	sprintf(body, CHAT_WITH("m"), id);
	int c = ask(r.key, "POST /v1/chat/completions", JSON, body), p = provider_sees("POST /v1/chat/completions HTTP/1.1\r\n");
	provider_says(p, "400 Bad Request", "application/json", "{\"error\":{\"message\":\"file-abc123 is no PDF\"}}");
	client_gets(c, "400");
	assert_null(strstr(out, "abc123"));
}

static void
ids_that_can_not_be_given_are_refused(void **state)
{
	static const char *const ids[] = {"", "../x", "a b", "a/b?c"};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		char body[64];
		sprintf(body, "{\"id\":\"%s\"}", ids[i]);
		int c = ask(r.key, "POST /v1/files", FORM, PURPOSE CONTENT END), p = provider_sees("POST /v1/files HTTP/1.1\r\n");
		provider_says(p, "200 OK", "application/json", body);
		client_gets(c, "502");
	}
	/* One that never ends. */
	int c = ask(r.key, "POST /v1/files", FORM, PURPOSE CONTENT END), p = provider_sees("POST /v1/files HTTP/1.1\r\n");
	static char endless[128 << 10];
	memset(endless, ' ', sizeof endless - 1);
	provider_says(p, "200 OK", "application/json", endless);
	client_gets(c, "502");
}

static void
what_is_wrong_with_an_upload_is_said(void **state)
{
	static const struct {
		const char *line, *headers, *body, *status, *says;
	} rows[] = {
		{"POST /v1/files", FORM, PURPOSE END, "400", "\"param\":\"file\""},
		{"POST /v1/files", FORM, PURPOSE CONTENT CONTENT END, "400", "\"param\":\"file\""},
		{"POST /v1/files", FORM "lethe-policy: zero-retention\r\n", PURPOSE CONTENT END, "400", "Send the content inline"},
		{"POST /v1/files", FORM, PURPOSE CONTENT, "400", "not a valid form"},
		{"POST /v1/files", JSON, "{}", "400", "multipart/form-data"},
		{"GET /v1/files/file-x", "", "body", "400", "error"},
		{"PUT /v1/files/file-x", "", "", "405", "method_not_allowed"},
		{"POST /v1/files/file-x", "", "", "405", "method_not_allowed"},
		{"POST /v1/uploads", JSON, "{}", "404", "send the file whole to POST /v1/files"},
		{"POST /v1/uploads/upload_1/parts", JSON, "{}", "404", "send the file whole to POST /v1/files"},
		{"POST /upload/v1beta/files", JSON, "{}", "400", "X-Goog-Upload-Protocol: resumable"},
		{"GET /v1/files/a/b", "x-goog-api-key: k\r\n", NULL, "404", "POST /upload/v1beta/files"},
		{"GET /v1beta/files/a", "", NULL, "404", "There is nothing with this id"},
		{"GET /v1/files/", "", NULL, "404", "no such endpoint"},
		{"GET /v1/files/a/b/content", "", NULL, "404", "no such endpoint"},
		{"GET /v1/files//content", "", NULL, "404", "no such endpoint"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_non_null(strstr(client_gets(ask(r.key, rows[i].line, rows[i].headers, rows[i].body), rows[i].status), rows[i].says));
	client_gets(ask(r.key, "DELETE /v1/files", "", NULL), "405");
	assert_non_null(strstr(out, "allow: OPTIONS, GET, POST\r\n"));
	client_gets(ask(r.key, "PUT /v1/files/file-x", "", ""), "405");
	assert_non_null(strstr(out, "allow: OPTIONS, GET, DELETE\r\n"));
	assert_int_equal(r.dials, 0);
}

static void
without_a_provider_that_keeps_files_there_are_none(void **state)
{
	asked = 0;
	assert_non_null(strstr(client_gets(ask(r.key, "POST /v1/files", FORM, PURPOSE CONTENT END), "404"), "no such endpoint"));
	expect_no_object(ask(r.key, "GET /v1/files/file-abc123", "", NULL));
	assert_int_equal(r.dials, 0);
}

int
main(void)
{
#define KEPT(test) cmocka_unit_test_setup_teardown(test, with_keeper, closed)
	const struct CMUnitTest tests[] = {
		KEPT(a_file_is_known_by_an_id_of_its_account),
		KEPT(a_file_whose_client_goes_before_it_is_written_down_is_written_down),
		KEPT(content_passes_as_it_is),
		KEPT(content_that_breaks_off_is_seen_to),
		KEPT(another_account_and_every_altered_id_get_404),
		KEPT(a_request_names_a_file_by_that_id),
		KEPT(a_file_of_another_account_is_not_named),
		KEPT(anthropics_files_are_another_kind),
		KEPT(answers_name_files_by_the_accounts_own_ids),
		KEPT(what_a_tool_has_made_is_read_where_it_lies),
		KEPT(other_answers_are_not_touched),
		KEPT(a_citation_names_the_file_that_was_sent),
		KEPT(errors_about_an_object_do_not_name_it),
		KEPT(ids_that_can_not_be_given_are_refused),
		KEPT(what_is_wrong_with_an_upload_is_said),
		cmocka_unit_test_setup_teardown(without_a_provider_that_keeps_files_there_are_none, with_dollar, closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
