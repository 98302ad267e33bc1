/* Gemini's files: they go up to a place that only their account can write to, and are named by URLs that only it can use. */
#include "loopback/talk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers:\n"
	"  - {name: google, url: 'http://127.0.0.1:9/v1beta', dialect: gemini, keys: [{env: RIG_KEY}], objects: true}\n"
	"  - {name: elsewhere, url: 'http://127.0.0.1:8/v1beta', dialect: gemini, keys: [{env: RIG_KEY}]}\n"
	"models:\n"
	"  - {id: m, upstream: up-m, provider: google, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: far, provider: elsewhere, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n";

static int
opened(void **state)
{
	talk_open(catalogue);
	r.process.limits.body_bytes = 64 << 20;
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

#define JSON "content-type: application/json\r\n"
#define START JSON "x-goog-upload-protocol: resumable\r\nx-goog-upload-command: start\r\nx-goog-upload-header-content-length: 13\r\nx-goog-upload-header-content-type: text/plain\r\n"
#define DESCRIPTION "{\"file\":{\"displayName\":\"notes\",\"mimeType\":\"text/plain\"}}"
#define PLACE "/upload/v1beta/files?upload_id=AHmUCY0ELi7c2zAa0bzkYiP5&upload_protocol=resumable"
#define WHOLE "x-goog-upload-command: upload, finalize\r\nx-goog-upload-offset: 0\r\n"
#define GEMINI_FILE(id) "\"name\": \"files/" id "\",\"displayName\":\"notes\",\"sizeBytes\":\"13\",\"uri\": \"http://127.0.0.1:9/v1beta/files/" id "\",\"state\":\"ACTIVE\""

static const char *
scheme(void)
{
	return r.tls ? "https://api.example" : "http://api.example";
}

/* As its provider names it. */
static const char *
theirs(void)
{
	return r.tls ? "https://127.0.0.1:9/v1beta/files/abc-123" : "http://127.0.0.1:9/v1beta/files/abc-123";
}

/* Begins an upload; the path of the URL that the client gets. */
static void
start(const char *key, char ret[1024])
{
	char url[1024], from[64];
	int c = talk_ask(key, "POST /upload/v1beta/files", START, DESCRIPTION), p = talk_provider_sees("POST /upload/v1beta/files HTTP/1.1\r\n");
	assert_non_null(strstr(talk_out, "x-goog-upload-command: start\r\n"));
	assert_non_null(strstr(talk_out, "x-goog-upload-header-content-length: 13\r\n"));
	assert_non_null(strstr(talk_out, "\r\n\r\n" DESCRIPTION));
	talk_provider_says(p, "200 OK", "x-goog-upload-status: active\r\nx-goog-upload-url: https://upload.example" PLACE "\r\nx-goog-upload-control-url: https://x" PLACE "\r\nx-goog-upload-chunk-granularity: 262144\r\n", "");
	assert_string_equal(talk_client_gets(c, "200"), "");
	assert_non_null(strstr(talk_out, "x-goog-upload-status: active\r\n"));
	assert_null(strstr(talk_out, "AHmUCY0"));
	assert_null(strstr(talk_out, "upload.example"));
	talk_field("x-goog-upload-url", url);
	snprintf(from, sizeof from, "%s/upload/v1beta/files/", scheme());
	assert_memory_equal(url, from, strlen(from));
	snprintf(ret, 1024, "%s", url + strlen(scheme()));
}

/* A whole file; its name and its URI as the client gets them. */
static void
upload(const char *key, char name[1024], char uri[1024])
{
	char path[1024], line[1100];
	start(key, path);
	snprintf(line, sizeof line, "POST %s", path);
	int c = talk_ask(key, line, WHOLE, "words of mine"), p = talk_provider_sees("POST " PLACE " HTTP/1.1\r\n");
	assert_non_null(strstr(talk_out, WHOLE));
	assert_non_null(strstr(talk_out, "\r\n\r\nwords of mine"));
	talk_provider_says(p, "200 OK", JSON "x-goog-upload-status: final\r\n", "{\"file\":{" GEMINI_FILE("abc-123") "}}");
	const char *body = talk_client_gets(c, "200");
	assert_non_null(strstr(talk_out, "x-goog-upload-status: final\r\n"));
	assert_null(strstr(body, "abc-123"));
	assert_null(strstr(body, "127.0.0.1"));
	assert_non_null(strstr(body, "\"displayName\":\"notes\",\"sizeBytes\":\"13\""));
	const char *at = strstr(body, "\"name\": \"") + 9;
	snprintf(name, 1024, "%.*s", (int)strcspn(at, "\""), at);
	at = strstr(body, "\"uri\": \"") + 8;
	snprintf(uri, 1024, "%.*s", (int)strcspn(at, "\""), at);
	snprintf(line, sizeof line, "%s/v1beta/%s", scheme(), name);
	assert_string_equal(uri, line);
	assert_int_equal(strspn(name + 6, "abcdefghijklmnopqrstuvwxyz234567"), strlen(name) - 6); /* as SDKs read it out of a URI */
}

#define RELATED "content-type: multipart/related; boundary=bnd\r\n"
#define ABOUT "--bnd\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n" DESCRIPTION "\r\n"
#define FILE_BYTES "--bnd\r\nContent-Type: text/plain\r\n\r\n{\"file\":{\"name\":\"files/of-words\"}}\r\n--bnd--\r\n"

/* All in one request, as either says it; the file that it becomes is like any other. */
static void
a_file_goes_up_in_one_request(void **state)
{
	static const char *const asks[][2] = {{"POST /upload/v1beta/files?uploadType=multipart", RELATED}, {"POST /upload/v1beta/files", RELATED "x-goog-upload-protocol: multipart\r\n"}};
	char first[1024] = "", name[1024], line[1100];
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		int c = talk_ask(r.key, asks[i][0], asks[i][1], ABOUT FILE_BYTES), p = talk_provider_sees("POST /upload/v1beta/files?uploadType=multipart HTTP/1.1\r\n");
		assert_non_null(strstr(talk_out, RELATED));
		assert_null(strstr(talk_out, "x-goog-upload"));
		assert_non_null(strstr(talk_out, "\r\n\r\n" ABOUT FILE_BYTES));
		talk_provider_says(p, "200 OK", JSON, "{\"file\":{" GEMINI_FILE("abc-123") "}}");
		const char *body = talk_client_gets(c, "200");
		assert_null(strstr(talk_out, "abc-123"));
		assert_null(strstr(talk_out, "127.0.0.1"));
		const char *at = strstr(body, "\"name\": \"") + 9;
		snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "\""), at);
		assert_true(i == 0 || !strcmp(first, name));
		snprintf(first, sizeof first, "%s", name);
	}
	snprintf(line, sizeof line, "DELETE /v1beta/%s", name);
	int c = talk_ask(r.key, line, "", NULL), p = talk_provider_sees("DELETE /v1beta/files/abc-123 HTTP/1.1\r\n");
	talk_provider_says(p, "200 OK", JSON, "{}");
	(void)talk_client_gets(c, "200");
	assert_non_null(strstr(talk_client_gets(talk_ask(talk_other_key, line, "", NULL), "404"), "There is nothing with this id"));
}

/* What chooses a name, and what another may read in another way. */
static void
a_request_that_is_not_quite_that_goes_nowhere(void **state)
{
	static const char *const bodies[][2] = {
		{"--bnd\r\nContent-Type: application/json\r\n\r\n{\"file\":{\"name\":\"files/another\"}}\r\n" FILE_BYTES, "leave file.name out"},
		{"--bnd\r\nContent-Type: application/json\r\n\r\n{\"file\":{\"n\\u0061me\":\"files/another\"}}\r\n" FILE_BYTES, "leave file.name out"},
		{"--bnd\r\nContent-Type: application/json\r\n\r\n[]\r\n" FILE_BYTES, "must be a JSON object"},
		{"--bnd\r\nContent-Type: application/json\r\n\r\n{\"file\":\r\n" FILE_BYTES, "must be a JSON object"},
		{"--bnd\r\nContent-Type: application/jsonp\r\n\r\n" DESCRIPTION "\r\n" FILE_BYTES, "two parts"},
		{"--bnd\r\nContent-Type: application/json; charset=utf-7\r\n\r\n{\"file\":{\"+AG4-ame\":\"files/another\"}}\r\n" FILE_BYTES, "two parts"},
		{"--bnd\r\n\r\n" DESCRIPTION "\r\n" FILE_BYTES, "two parts"},
		{"--bnd\r\nContent-Type: text/plain\r\nContent-Type: application/json\r\n\r\n" DESCRIPTION "\r\n" FILE_BYTES, "two parts"},
		{"--bnd\r\nContent-Type: application/json\r\nContent-Transfer-Encoding: base64\r\n\r\n" DESCRIPTION "\r\n" FILE_BYTES, "two parts"},
		{"preamble\r\n" ABOUT FILE_BYTES, "two parts"},
		{ABOUT ABOUT FILE_BYTES, "two parts"},
		{ABOUT "--bnd--\r\n", "two parts"},
		{ABOUT "--bnd\r\n\r\nwords", "two parts"},
		{"", "two parts"},
	};
	static const char *const heads[] = {JSON, "", "content-type: multipart/form-data; boundary=bnd\r\n", "content-type: multipart/related\r\n", "content-type: multipart/related; boundary=bnd; start=\"<b>\"\r\n",
		"content-type: multipart/related; boundary=bnd; boundary*=utf-8''b\r\n", RELATED "x-goog-upload-command: start\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		assert_non_null(strstr(talk_client_gets(talk_ask(r.key, "POST /upload/v1beta/files?uploadType=multipart", RELATED, bodies[i][0]), "400"), bodies[i][1]));
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		assert_non_null(strstr(talk_client_gets(talk_ask(r.key, "POST /upload/v1beta/files?uploadType=multipart", heads[i], ABOUT FILE_BYTES), "400"), "multipart/related"));
	assert_int_equal(r.dials, talk_asked);
}

static void
expect_nothing(int c)
{
	assert_non_null(strstr(talk_client_gets(c, "404"), "There is nothing with this id"));
}

static void
a_file_goes_up_is_shown_and_deleted(void **state)
{
	char name[1024], uri[1024], line[1100];
	upload(r.key, name, uri);
	snprintf(line, sizeof line, "GET /v1beta/%s", name);
	int c = talk_ask(r.key, line, "x-goog-upload-command: start\r\n", NULL), p = talk_provider_sees("GET /v1beta/files/abc-123 HTTP/1.1\r\n");
	assert_null(strstr(talk_out, "content-length"));
	assert_null(strstr(talk_out, "x-goog-upload"));
	talk_provider_says(p, "200 OK", JSON, "{" GEMINI_FILE("abc-123") ",\"downloadUri\":\"http://127.0.0.1:9/v1beta/files/abc-123:download?alt=media\"}");
	const char *body = talk_client_gets(c, "200");
	assert_non_null(strstr(body, name));
	assert_non_null(strstr(body, ":download?alt=media\""));
	assert_null(strstr(body, "abc-123"));

	snprintf(line, sizeof line, "GET /v1beta/%s:download?alt=media", name);
	c = talk_ask(r.key, line, "", NULL);
	p = talk_provider_sees("GET /v1beta/files/abc-123:download?alt=media HTTP/1.1\r\n");
	talk_provider_says(p, "200 OK", "content-type: text/plain\r\n", "words of mine");
	assert_string_equal(talk_client_gets(c, "200"), "words of mine");

	/* Google's SDK sends "{}" with it, which says nothing. */
	snprintf(line, sizeof line, "DELETE /v1beta/%s", name);
	for (int twice = 0; twice < 2; twice++) {
		c = talk_ask(r.key, line, JSON, twice ? NULL : "{}");
		p = talk_provider_sees("DELETE /v1beta/files/abc-123 HTTP/1.1\r\n");
		assert_string_equal(strstr(talk_out, "\r\n\r\n"), "\r\n\r\n");
		talk_provider_says(p, "200 OK", JSON, "{}");
		assert_string_equal(talk_client_gets(c, "200"), "{}");
	}
	/* Of what it does not have Google says that one may not see it. */
	snprintf(line, sizeof line, "GET /v1beta/%s", name);
	c = talk_ask(r.key, line, "", NULL);
	p = talk_provider_sees("GET /v1beta/files/abc-123 HTTP/1.1\r\n");
	talk_provider_says(p, "403 Forbidden", JSON, "{\"error\":{\"code\":403,\"message\":\"You do not have permission to access the File abc-123 or it may not exist.\",\"status\":\"PERMISSION_DENIED\"}}");
	expect_nothing(c);
	assert_null(strstr(talk_out, "abc-123"));
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000);
}

/* The place at the provider is good for whoever has it; ours is its account's, each letter of it. */
static void
an_upload_is_its_accounts(void **state)
{
	char path[1024], line[1100];
	start(r.key, path);
	int asked = talk_asked;
	snprintf(line, sizeof line, "POST %s", path);
	expect_nothing(talk_ask(talk_other_key, line, WHOLE, "words"));
	size_t from = strlen("POST /upload/v1beta/files/");
	for (size_t i = from; i < strlen(line); i++) {
		char was = line[i];
		line[i] = was == 'A' ? 'B' : 'A';
		expect_nothing(talk_ask(r.key, line, WHOLE, "words"));
		line[i] = was;
	}
	char longer[1200];
	memset(longer, 'a', sizeof longer);
	memcpy(longer, "POST /upload/v1beta/files/", from);
	longer[sizeof longer - 1] = 0;
	expect_nothing(talk_ask(r.key, longer, WHOLE, "words"));
	assert_int_equal(r.dials, asked);
	/* What is there of it so far, and what goes wrong. */
	int c = talk_ask(r.key, line, "x-goog-upload-command: query\r\n", ""), p = talk_provider_sees("POST " PLACE " HTTP/1.1\r\n");
	talk_provider_says(p, "200 OK", "x-goog-upload-status: active\r\nx-goog-upload-size-received: 5\r\n", "");
	assert_string_equal(talk_client_gets(c, "200"), "");
	assert_non_null(strstr(talk_out, "x-goog-upload-size-received: 5\r\n"));
	c = talk_ask(r.key, line, WHOLE, "words");
	p = talk_provider_sees("POST " PLACE " HTTP/1.1\r\n");
	talk_provider_says(p, "400 Bad Request", JSON, "{\"error\":{\"message\":\"upload_id=AHmUCY0ELi7c2zAa0bzkYiP5 has ended\"}}");
	talk_client_gets(c, "400");
	assert_null(strstr(talk_out, "AHmUCY0"));
	c = talk_ask(r.key, line, WHOLE, "words");
	p = talk_provider_sees("POST " PLACE " HTTP/1.1\r\n");
	talk_provider_says(p, "404 Not Found", "content-type: text/plain\r\n", "Not Found");
	expect_nothing(c);
}

#define ASK_WITH "{\"contents\":[{\"parts\":[{\"fileData\":{\"mimeType\":\"text/plain\",\"fileUri\":\"%s\"}},{\"text\":\"hi\"}]}],\"generationConfig\":{\"maxOutputTokens\":10}}"
#define ANSWER "{\"candidates\":[{\"content\":{\"parts\":[{\"fileData\":{\"fileUri\":\"%s\"}},{\"fileData\":{\"fileUri\":\"https://example.com/files/x\"}},{\"text\":\"ok\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1000,\"candidatesTokenCount\":1,\"totalTokenCount\":1001}}"

static void
a_request_names_a_file_by_its_uri(void **state)
{
	char name[1024], uri[1024], body[2048], expected[2048], slashes[1024] = "";
	upload(r.key, name, uri);
	for (const char *at = uri; *at; at++)
		snprintf(slashes + strlen(slashes), sizeof slashes - strlen(slashes), *at == '/' ? "\\/" : "%c", *at);
	const char *const ways[] = {uri, name, slashes};
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		snprintf(body, sizeof body, ASK_WITH, ways[i]);
		int c = talk_ask(r.key, "POST /v1beta/models/m:generateContent", JSON, body), p = talk_provider_sees("POST /v1beta/models/up-m:generateContent HTTP/1.1\r\n");
		snprintf(expected, sizeof expected, ASK_WITH, theirs());
		assert_string_equal(strstr(talk_out, "\r\n\r\n") + 4, expected);
		snprintf(body, sizeof body, ANSWER, theirs());
		talk_provider_says(p, "200 OK", JSON, body);
		talk_client_gets(c, "200");
		assert_null(strstr(talk_out, "abc-123"));
		assert_non_null(strstr(talk_out, name));
		assert_non_null(strstr(talk_out, "https://example.com/files/x"));
		rig_book(&r);
		assert_int_equal(rig_balance(&r), 1000000000 - (int64_t)(i + 1) * (1000 * 1000 + 2000));
	}
	/* It has expired: that is no word about our key, and closes no circuit. */
	for (int i = 0; i < 12; i++) {
		snprintf(body, sizeof body, ASK_WITH, uri);
		int c = talk_ask(r.key, "POST /v1beta/models/m:generateContent", JSON, body), p = talk_provider_sees("POST /v1beta/models/up-m:generateContent HTTP/1.1\r\n");
		talk_provider_says(p, "403 Forbidden", JSON, "{\"error\":{\"code\":403,\"message\":\"You do not have permission to access the File abc-123 or it may not exist.\",\"status\":\"PERMISSION_DENIED\"}}");
		expect_nothing(c);
		assert_null(strstr(talk_out, "abc-123"));
		rig_book(&r);
	}
}

static void
nobody_elses_uri_is_named(void **state)
{
	char name[1024], uri[1024], body[2048], line[1100];
	upload(r.key, name, uri);
	int asked = talk_asked;
	static const char *const foreign[] = {"https://generativelanguage.googleapis.com/v1beta/files/abc-123", "http://127.0.0.1:9/v1beta/files/abc-123", "files/abc-123", "abc-123",
		"https://generativelanguage.googleapis.com/v1beta/files/", "/v1beta/files/abc-123"};
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		snprintf(body, sizeof body, ASK_WITH, foreign[i]);
		expect_nothing(talk_ask(r.key, "POST /v1beta/models/m:generateContent", JSON, body));
	}
	snprintf(body, sizeof body, ASK_WITH, uri);
	expect_nothing(talk_ask(talk_other_key, "POST /v1beta/models/m:generateContent", JSON, body));
	snprintf(line, sizeof line, "GET /v1beta/%s", name);
	expect_nothing(talk_ask(talk_other_key, line, "", NULL));
	for (size_t i = strlen(scheme()) + strlen("/v1beta/files/"); i < strlen(uri); i++) {
		char was = uri[i];
		uri[i] = was == 'a' ? 'b' : 'a';
		snprintf(body, sizeof body, ASK_WITH, uri);
		expect_nothing(talk_ask(r.key, "POST /v1beta/models/m:streamGenerateContent?alt=sse", JSON, body));
		snprintf(line, sizeof line, "%s /v1beta/%s", i % 2 ? "GET" : "DELETE", uri + strlen(scheme()) + strlen("/v1beta/"));
		expect_nothing(talk_ask(r.key, line, "", NULL));
		uri[i] = was;
		rig_book(&r);
	}
	snprintf(body, sizeof body, ASK_WITH, uri);
	assert_non_null(strstr(talk_client_gets(talk_ask(r.key, "POST /v1beta/models/far:generateContent", JSON, body), "400"), "kept at another provider"));
	assert_int_equal(r.dials, asked);
}

static void
what_is_wrong_with_a_beginning_is_said(void **state)
{
	static const struct {
		const char *line, *headers, *body, *status, *says;
	} rows[] = {
		{"POST /upload/v1beta/files", JSON, "{}", "400", "X-Goog-Upload-Protocol: resumable"},
		{"POST /upload/v1beta/files", "content-type: text/plain\r\nx-goog-upload-protocol: raw\r\n", "words", "400", "X-Goog-Upload-Protocol: resumable"},
		{"POST /upload/v1beta/files", "x-goog-upload-protocol: resumable\r\nx-goog-upload-command: start, upload, finalize\r\n", "{}", "400", "X-Goog-Upload-Protocol: resumable"},
		{"POST /upload/v1beta/files", START, "{\"file\":{\"name\":\"files/mine\"}}", "400", "leave file.name out"},
		{"POST /upload/v1beta/files", START, "{\"file\":{\"n\\u0061me\":\"files/mine\"},\"x\":1}", "400", "leave file.name out"},
		{"POST /upload/v1beta/files", START, "{\"file\":{\"name\":\"files/mine\"},\"file\":{}}", "400", "leave file.name out"},
		{"POST /upload/v1beta/files", START, "{\"file\":[{\"name\":\"files/mine\"}]}", "400", "must be a JSON object"},
		{"POST /upload/v1beta/files", START, "{\"file\":", "400", "must be a JSON object"},
		{"POST /upload/v1beta/files", START, "[]", "400", "must be a JSON object"},
		{"POST /upload/v1beta/files", START "lethe-policy: zero-retention\r\n", "{}", "400", "Send the content inline"},
		{"POST /upload/v1beta/files", START "X-Goog-Upload-Command: upload, finalize\r\n", "{}", "400", "one of yours came twice"},
		{"POST /upload/v1beta/files/abc", WHOLE "x-goog-upload-offset: 7\r\n", "x", "400", "one of yours came twice"},
		{"POST /upload/v1beta/files/abc", "x-goog-upload-command: burn\r\n", "x", "400", "X-Goog-Upload-Command must be"},
		{"POST /upload/v1beta/files/abc", "", "x", "400", "X-Goog-Upload-Command must be"},
		{"PUT /upload/v1beta/files", START, "{}", "405", "METHOD_NOT_ALLOWED"},
		{"GET /v1beta/files/a/b", "", NULL, "404", "POST /upload/v1beta/files"},
		{"GET /v1/files/a", "x-goog-api-key: k\r\n", NULL, "404", "There is nothing with this id"},
		{"GET /v1/files/a/content", "x-goog-api-key: k\r\n", NULL, "404", "POST /upload/v1beta/files"},
		{"POST /v1/batches", JSON "x-goog-api-key: k\r\n", "{}", "404", "no such endpoint"},
		{"DELETE /v1beta/files/a", JSON, "{\"a body\":\"that is longer than anything that says nothing can be at all\"}", "400", "error"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_non_null(strstr(talk_client_gets(talk_ask(r.key, rows[i].line, rows[i].headers, rows[i].body), rows[i].status), rows[i].says));
	assert_int_equal(r.dials, 0);
}

/* Where a provider says nothing that can be passed on, there is no upload. */
static void
a_beginning_without_a_url_is_none(void **state)
{
	char longest[1200] = "x-goog-upload-url: https://a/";
	memset(longest + strlen(longest), 'a', 600);
	strcat(longest, "\r\n");
	const char *const lines[] = {"", "x-goog-upload-url: \r\n", "x-goog-upload-url: /upload\r\n", "x-goog-upload-url: https://a\r\n", "x-goog-upload-url: https://a/b c\r\n", "x-goog-upload-url: https://a/#\r\n", longest};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		int c = talk_ask(r.key, "POST /upload/v1beta/files", START, DESCRIPTION), p = talk_provider_sees("POST /upload/v1beta/files HTTP/1.1\r\n");
		talk_provider_says(p, "200 OK", lines[i], "");
		talk_client_gets(c, "502");
	}
	static const char *const files[] = {"{}", "{\"file\":{}}", "{\"file\":{\"name\":\"abc\"}}", "{\"file\":{\"name\":\"files/a/b\"}}", "{\"file\":{\"name\":\"files/a\",\"uri\":\"http://x/files/b\"}}",
		"{\"file\":{\"uri\":\"http://x/files/b\",\"name\":\"files/a\"}}", "{\"file\":{\"name\":\"files/a\",\"name\":\"files/a\"}}", "{\"file\":{\"name\":\"files/a:b\"}}", "{\"file\":{\"name\":\"files/a\",\"uri\":\"http://x/files/a:\\\"\"}}",
		"{\"file\":{\"name\":7}}", "{\"file\":{\"name\":\"files/a\"}", "[]"};
	char path[1024], line[1100];
	start(r.key, path);
	snprintf(line, sizeof line, "POST %s", path);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int c = talk_ask(r.key, line, WHOLE, "words of mine"), p = talk_provider_sees("POST " PLACE " HTTP/1.1\r\n");
		talk_provider_says(p, "200 OK", JSON "x-goog-upload-status: final\r\n", files[i]);
		talk_client_gets(c, "502");
	}
}

/* Nothing is named yet: it is our key that is refused. */
static void
a_refused_beginning_is_told_to_the_operator(void **state)
{
	(void)talk_reported(EVENT_PROVIDER_ACCOUNT);
	int c = talk_ask(r.key, "POST /upload/v1beta/files", START, DESCRIPTION), p = talk_provider_sees("POST /upload/v1beta/files HTTP/1.1\r\n");
	talk_provider_says(p, "403 Forbidden", JSON, "{\"error\":{\"code\":403,\"message\":\"The caller does not have permission\",\"status\":\"PERMISSION_DENIED\"}}");
	talk_client_gets(c, "503");
	assert_true(talk_reported(EVENT_PROVIDER_ACCOUNT));
}

/* Bytes pass as the provider takes them: a window of them is here. */
static void
megabytes_pass_without_being_here(void **state)
{
	enum { BYTES = 20 << 20 };
	static char piece[256 << 10];
	char path[1024], head[2048];
	struct vault_facts before, now;
	size_t sent = 0, heard = 0, most = 0, head_len;
	start(r.key, path);
	vault_facts(r.edge->vault, &before);
	int c = rig_client(&r), p = -1;
	int n = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nhost: api.example\r\nauthorization: Bearer %s\r\n" WHOLE "content-length: %d\r\n\r\n", path, r.key, BYTES);
	rig_send(&r, c, head, (size_t)n);
	head[0] = 0;
	for (int idle = 0; idle < 20 && heard < BYTES;) {
		for (size_t i = 0; i < sizeof piece; i++)
			piece[i] = (char)((sent + i) * 7 >> 3);
		ssize_t went = send(c, piece, BYTES - sent < sizeof piece ? BYTES - sent : sizeof piece, MSG_NOSIGNAL);
		sent += went > 0 ? (size_t)went : 0;
		rig_turn(&r);
		p = p < 0 && r.dials > talk_asked ? rig_provider(&r, talk_asked++) : p;
		ssize_t got = p < 0 ? -1 : recv(p, piece, sizeof piece - 1, 0);
		char *at = piece;
		if (got > 0 && !head[0]) {
			piece[got] = 0;
			at = strstr(piece, "\r\n\r\n") + 4;
			head_len = (size_t)(at - piece);
			memcpy(head, piece, head_len < sizeof head ? head_len : sizeof head);
		}
		for (; got > 0 && at < piece + got; at++, heard++)
			if (*at != (char)(heard * 7 >> 3))
				fail_msg("byte %zu", heard);
		idle = went > 0 || got > 0 ? 0 : idle + 1;
		vault_facts(r.edge->vault, &now);
		if (now.used_bytes > before.used_bytes && now.used_bytes - before.used_bytes > most)
			most = (size_t)(now.used_bytes - before.used_bytes);
	}
	assert_int_equal(heard, BYTES);
	assert_memory_equal(head, "POST " PLACE, strlen("POST " PLACE));
	assert_non_null(strstr(head, "content-length: 20971520\r\n"));
	assert_true(most > 0 && most < 1 << 20);
	talk_provider_says(p, "200 OK", JSON "x-goog-upload-status: final\r\n", "{\"file\":{" GEMINI_FILE("abc-123") "}}");
	assert_null(strstr(talk_client_gets(c, "200"), "abc-123"));
}

int
main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, opened, closed)
	const struct CMUnitTest tests[] = {
		WITH(a_file_goes_up_is_shown_and_deleted),
		WITH(a_file_goes_up_in_one_request),
		WITH(a_request_that_is_not_quite_that_goes_nowhere),
		WITH(an_upload_is_its_accounts),
		WITH(a_request_names_a_file_by_its_uri),
		WITH(nobody_elses_uri_is_named),
		WITH(what_is_wrong_with_a_beginning_is_said),
		WITH(a_beginning_without_a_url_is_none),
		WITH(a_refused_beginning_is_told_to_the_operator),
		WITH(megabytes_pass_without_being_here),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
