/* Lists of files: which there are, the ledger knows; what each of them is, its provider says. */
#include "loopback/talk.h"

#include "core/loop.h"
#include "edge/object_keep.h"
#include "ledger/object.h"
#include "ticket/ticket_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers:\n"
	"  - {name: keeper, url: 'http://127.0.0.1:9/v1', keys: [{env: RIG_KEY}], objects: true}\n"
	"  - {name: scholar, url: 'http://127.0.0.1:10/v1', dialect: anthropic, keys: [{env: RIG_KEY}], pass_headers: [x-own], objects: true}\n"
	"  - {name: google, url: 'http://127.0.0.1:11/v1beta', dialect: gemini, keys: [{env: RIG_KEY}], objects: true}\n"
	"models:\n"
	"  - {id: m, upstream: up-m, provider: keeper, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n";

static int provider;
static char asked_for[4096]; /* ids, in order */

static int
opened(void **state)
{
	talk_open(catalogue);
	provider = -1;
	asked_for[0] = 0;
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

/* ---- what there is ---- */

static uint64_t
own_account(void)
{
	uint64_t row = 0;
	assert_true(id_parse(ID_ACCOUNT, (struct span){r.account, strlen(r.account)}, &row));
	return row;
}

/* As if it had been uploaded; its id for the customer. */
static void
put(enum object_kind kind, unsigned at, const char *id, const char *purpose, uint64_t number, char ret[SEAL_TEXT_MAX + 8])
{
	struct sealed s = {.kind = (uint8_t)kind, .provider = catalogue_provider(r.catalogue, at)->id, .id_len = (uint8_t)strlen(id)};
	struct message_object m = MESSAGE_INIT(OBJECT, message_object);
	memcpy(s.id, id, s.id_len);
	m.object_bytes = (uint16_t)seal(r.pepper, own_account(), &s, (char *)m.object);
	assert_true(m.object_bytes);
	m.account = own_account();
	m.kind = (uint16_t)kind;
	m.token = number;
	m.purpose = object_purpose((struct span){purpose, strlen(purpose)});
	assert_int_equal(ledger_object(r.ledger, &m), WORK_DONE);
	memcpy(ret, m.object, m.object_bytes);
	ret[m.object_bytes] = 0;
}

static void
says(const char *status, const char *body)
{
	char whole[2048];
	int n = snprintf(whole, sizeof whole, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", status, strlen(body), body);
	rig_send(&r, provider, whole, (size_t)n);
	rig_turn(&r);
}

/* The provider is asked for so many, over one connection, and has those whose ids don't begin with "gone". */
static void
serve(unsigned count, const char *path)
{
	char id[256], body[1024];
	bool eof;
	for (unsigned i = 0; i < count; i++) {
		if (provider < 0)
			provider = rig_provider(&r, talk_asked++);
		assert_true(provider >= 0);
		rig_read(&r, provider, talk_out, &eof);
		assert_false(eof);
		size_t len = strlen(path);
		if (strncmp(talk_out, path, len) != 0)
			fail_msg("%s instead of %s", talk_out, path);
		snprintf(id, sizeof id, "%.*s", (int)strcspn(talk_out + len, " ?"), talk_out + len);
		snprintf(asked_for + strlen(asked_for), sizeof asked_for - strlen(asked_for), "%s ", id);
		bool gemini = strstr(path, "v1beta") != NULL, gone = strncmp(id, "gone", 4) == 0;
		if (gone)
			says(gemini ? "403 Forbidden" : "404 Not Found", "{\"error\":{\"message\":\"is not there\"}}");
		else {
			snprintf(body, sizeof body, gemini ? "{\"name\":\"files/%s\",\"sizeBytes\":\"1\"}" : "{\"id\":\"%s\",\"object\":\"file\"}", id);
			says("200 OK", body);
		}
	}
}

static void
asked_were(const char *ids)
{
	assert_string_equal(asked_for, ids);
	asked_for[0] = 0;
}

#define ANTHROPIC "anthropic-version: 2023-06-01\r\n"
#define GET "GET /v1/files/"

static const char *
list(const char *line, const char *headers, unsigned asks, const char *path)
{
	int c = talk_ask(r.key, line, headers, NULL);
	serve(asks, path);
	return talk_client_gets(c, "200");
}

/* ---- tests ---- */

#define FORM "content-type: multipart/form-data; boundary=bnd\r\n"
#define UPLOAD "--bnd\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nvision\r\n--bnd\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nwords\r\n--bnd--\r\n"

/* From its upload to its deletion, for its account alone. */
static void
what_is_uploaded_is_listed_until_it_is_deleted(void **state)
{
	char id[1024], expected[4096], line[1100];
	int c = talk_ask(r.key, "POST /v1/files", FORM, UPLOAD), p = talk_provider_sees("POST /v1/files HTTP/1.1\r\n");
	talk_provider_says(p, "200 OK", "content-type: application/json\r\n", "{\"id\":\"file-abc\",\"object\":\"file\",\"purpose\":\"vision\"}");
	talk_member(talk_client_gets(c, "200"), "id", id);
	snprintf(expected, sizeof expected, "{\"object\":\"list\",\"data\":[{\"id\":\"%s\",\"object\":\"file\"}],\"first_id\":\"%s\",\"last_id\":\"%s\",\"has_more\":false}", id, id, id);
	assert_string_equal(list("GET /v1/files", "", 1, GET), expected);
	assert_string_equal(list("GET /v1/files?purpose=vision&order=asc&limit=10000", "", 1, GET), expected);
	asked_were("file-abc file-abc ");
	static const char none[] = "{\"object\":\"list\",\"data\":[],\"first_id\":null,\"last_id\":null,\"has_more\":false}";
	int asked = r.dials;
	assert_string_equal(list("GET /v1/files?purpose=batch", "", 0, GET), none);
	assert_string_equal(talk_client_gets(talk_ask(talk_other_key, "GET /v1/files", "", NULL), "200"), none);
	assert_string_equal(list("GET /v1/files", ANTHROPIC, 0, GET), "{\"data\":[],\"first_id\":null,\"last_id\":null,\"next_page\":null,\"has_more\":false}");
	assert_string_equal(list("GET /v1beta/files", "", 0, GET), "{\"files\":[]}");
	assert_int_equal(r.dials, asked);
	snprintf(line, sizeof line, "DELETE /v1/files/%s", id);
	c = talk_ask(r.key, line, "", NULL);
	bool eof;
	rig_read(&r, provider, talk_out, &eof);
	says("200 OK", "{\"id\":\"file-abc\",\"object\":\"file\",\"deleted\":true}");
	talk_client_gets(c, "200");
	assert_string_equal(list("GET /v1/files", "", 0, GET), none);
	rig_book(&r);
	rig_check_books(&r);
}

static void
openais_pages_go_both_ways(void **state)
{
	char id[20][SEAL_TEXT_MAX + 8], line[512], name[32];
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "file-%02u", i);
		put(OBJECT_FILE, 0, name, i % 2 ? "vision" : "user_data", 100 + i, id[i]);
	}
	assert_non_null(strstr(list("GET /v1/files?limit=2", "", 2, GET), "\"has_more\":true"));
	asked_were("file-19 file-18 ");
	snprintf(line, sizeof line, "GET /v1/files?limit=2&after=%s", id[1]);
	const char *body = list(line, "", 1, GET);
	assert_non_null(strstr(body, id[0]));
	assert_non_null(strstr(body, "\"has_more\":false"));
	asked_were("file-00 ");
	snprintf(line, sizeof line, "GET /v1/files?order=asc&limit=3&purpose=vision&after=%s", id[16]);
	assert_non_null(strstr(list(line, "", 2, GET), "\"has_more\":false"));
	asked_were("file-17 file-19 ");
	assert_non_null(strstr(list("GET /v1/files?order=asc", "", 15, GET), "\"has_more\":true"));
	assert_non_null(strstr(asked_for, "file-00 file-01 "));
	assert_non_null(strstr(asked_for, "file-14 "));
}

static void
anthropics_pages_go_before_and_after(void **state)
{
	char id[6][SEAL_TEXT_MAX + 8], line[512], name[32];
	for (unsigned i = 0; i < 6; i++) {
		snprintf(name, sizeof name, "file_%u", i);
		put(OBJECT_ANTHROPIC_FILE, 1, name, "", 100 + i, id[i]);
	}
	snprintf(line, sizeof line, "GET /v1/files?limit=2&after_id=%s", id[3]);
	assert_non_null(strstr(list(line, ANTHROPIC, 2, GET), "\"has_more\":true"));
	asked_were("file_2 file_1 ");
	char next[1024];
	talk_member(strstr(talk_out, "\r\n\r\n"), "next_page", next);
	assert_string_equal(next, id[1]);
	snprintf(line, sizeof line, "GET /v1/files?beta=true&limit=2&page=%s", id[1]);
	assert_non_null(strstr(list(line, ANTHROPIC, 1, GET), "\"next_page\":null"));
	asked_were("file_0 ");
	snprintf(line, sizeof line, "GET /v1/files?limit=2&before_id=%s", id[2]);
	assert_non_null(strstr(list(line, ANTHROPIC, 2, GET), "\"has_more\":true"));
	asked_were("file_4 file_3 ");
	snprintf(line, sizeof line, "GET /v1/files?limit=2&before_id=%s", id[4]);
	assert_non_null(strstr(list(line, ANTHROPIC, 1, GET), "\"has_more\":false"));
	asked_were("file_5 ");
}

static void
geminis_pages_have_tokens(void **state)
{
	char id[3][SEAL_TEXT_MAX + 8], line[1100], name[32], token[1024];
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "abc%u", i);
		put(OBJECT_GEMINI_FILE, 2, name, "", 100 + i, id[i]);
	}
	const char *body = list("GET /v1beta/files?pageSize=2", "", 2, "GET /v1beta/files/");
	talk_member(body, "nextPageToken", token);
	assert_non_null(strstr(body, id[2]));
	assert_non_null(strstr(body, id[1]));
	snprintf(line, sizeof line, "GET /v1/files?pageToken=%s", token);
	body = list(line, "x-goog-api-key: k\r\n", 1, "GET /v1beta/files/");
	assert_non_null(strstr(body, id[0]));
	assert_null(strstr(body, "nextPageToken"));
	asked_were("abc2 abc1 abc0 ");
}

/* What is gone is asked for once, and a list asks only so often. */
static void
what_is_gone_is_dropped_and_lists_end(void **state)
{
	char id[SEAL_TEXT_MAX + 8], name[32];
	put(OBJECT_FILE, 0, "file-old", "", 100, id);
	for (unsigned i = 0; i < 70; i++) {
		snprintf(name, sizeof name, "gone-%02u", i);
		put(OBJECT_FILE, 0, name, "", 200 + i, id);
	}
	int c = talk_ask(r.key, "GET /v1/files", "", NULL);
	serve(60, GET);
	assert_non_null(strstr(talk_client_gets(c, "503"), "ask again"));
	assert_non_null(strstr(talk_out, "retry-after: "));
	assert_non_null(strstr(list("GET /v1/files", "", 11, GET), "\"has_more\":false"));
	asked_for[0] = 0;
	assert_non_null(strstr(list("GET /v1/files", "", 1, GET), "\"has_more\":false"));
	asked_were("file-old ");
	/* Also where somebody looks at it. */
	put(OBJECT_FILE, 0, "gone-again", "", 300, id);
	char line[512];
	snprintf(line, sizeof line, "GET /v1/files/%s", id);
	c = talk_ask(r.key, line, "", NULL);
	serve(1, GET);
	talk_client_gets(c, "404");
	asked_for[0] = 0;
	list("GET /v1/files", "", 1, GET);
	asked_were("file-old ");
}

/* Until so many have been, and the next one has not. */
static void
pass_put_off(int count)
{
	for (int i = 0; i < 5; i++)
		rig_pass(&r, 150);
	assert_int_equal(r.put_off, count);
	assert_int_equal(r.puts_off, 0);
}

/* Where the first page was all gone the ledger is asked for more: when it can't say, it is asked again for that, and what was seen is not asked for twice. */
static void
a_page_that_the_ledger_cannot_say_now_is_asked_for_again(void **state)
{
	char id[SEAL_TEXT_MAX + 8], name[32];
	put(OBJECT_FILE, 0, "file-old", "", 100, id);
	for (unsigned i = 0; i < 15; i++) {
		snprintf(name, sizeof name, "gone-%02u", i);
		put(OBJECT_FILE, 0, name, "", 200 + i, id);
	}
	r.puts_off = 2;
	int c = talk_ask(r.key, "GET /v1/files", "", NULL);
	pass_put_off(2);
	serve(14, GET);
	r.puts_off = 2;
	serve(1, GET);
	pass_put_off(4);
	asked_for[0] = 0;
	serve(1, GET);
	asked_were("file-old ");
	assert_non_null(strstr(talk_client_gets(c, "200"), "\"has_more\":false"));
	rig_check_books(&r);
}

/* Gemini's 403 is its word for that, and the provider stays well. */
static void
geminis_that_are_gone_are_dropped(void **state)
{
	char id[SEAL_TEXT_MAX + 8], name[32];
	for (unsigned i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "gone%u", i);
		put(OBJECT_GEMINI_FILE, 2, name, "", 100 + i, id);
	}
	assert_string_equal(list("GET /v1beta/files", "", 5, "GET /v1beta/files/"), "{\"files\":[]}");
	assert_string_equal(list("GET /v1beta/files", "", 0, "GET /v1beta/files/"), "{\"files\":[]}");
}

/* Each of them is asked for with what the caller has said beside it. */
static void
header_lines_go_up_for_each(void **state)
{
	char id[SEAL_TEXT_MAX + 8], name[32];
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof name, i == 2 ? "gone_%u" : "file_%u", i);
		put(OBJECT_ANTHROPIC_FILE, 1, name, "", 100 + i, id);
	}
	int c = talk_ask(r.key, "GET /v1/files", ANTHROPIC "anthropic-beta: files-api-2025-04-14\r\nx-own: mine\r\n", NULL);
	for (int i = 0; i < 4; i++) {
		serve(1, GET);
		assert_non_null(strstr(talk_out, "\r\nanthropic-beta: files-api-2025-04-14\r\n"));
		assert_non_null(strstr(talk_out, "\r\nx-own: mine\r\n"));
	}
	asked_were("file_3 gone_2 file_1 file_0 ");
	talk_client_gets(c, "200");
}

/* Anthropic's form says three of them. */
static void
the_longest_ids_fit_a_page(void **state)
{
	char id[SEAL_TEXT_MAX + 8], name[SEAL_ID_MAX + 1], expected[2048];
	memset(name, 'a', sizeof name);
	name[SEAL_ID_MAX] = 0;
	put(OBJECT_ANTHROPIC_FILE, 1, "file_older", "", 100, id);
	put(OBJECT_ANTHROPIC_FILE, 1, name, "", 101, id);
	const char *body = list("GET /v1/files?limit=1", ANTHROPIC, 1, GET);
	snprintf(expected, sizeof expected, "{\"data\":[{\"id\":\"%s\",\"object\":\"file\"}],\"first_id\":\"%s\",\"last_id\":\"%s\",\"next_page\":\"%s\",\"has_more\":true}", id, id, id, id);
	assert_string_equal(body, expected);
}

/* As one does it who deletes all: the page after the next begins behind what is gone. */
static void
what_is_deleted_while_one_pages_keeps_its_place(void **state)
{
	char id[5][SEAL_TEXT_MAX + 8], line[512], name[32], body[64];
	bool eof;
	for (unsigned i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "file-%u", i);
		put(OBJECT_FILE, 0, name, "", 100 + i, id[i]);
	}
	list("GET /v1/files?limit=2", "", 2, GET);
	for (unsigned i = 4; i >= 3; i--) {
		snprintf(line, sizeof line, "DELETE /v1/files/%s", id[i]);
		int c = talk_ask(r.key, line, "", NULL);
		rig_read(&r, provider, talk_out, &eof);
		snprintf(body, sizeof body, "{\"id\":\"file-%u\",\"object\":\"file\",\"deleted\":true}", i);
		says("200 OK", body);
		talk_client_gets(c, "200");
	}
	snprintf(line, sizeof line, "GET /v1/files?limit=2&after=%s", id[3]);
	assert_non_null(strstr(list(line, "", 2, GET), "\"has_more\":true"));
	asked_were("file-4 file-3 file-2 file-1 ");
	snprintf(line, sizeof line, "GET /v1/files?after=%s", id[4]);
	assert_non_null(strstr(list(line, "", 3, GET), "\"has_more\":false"));
	asked_were("file-2 file-1 file-0 ");
	list("GET /v1/files?order=asc", "", 3, GET);
	asked_were("file-0 file-1 file-2 ");
}

/* ---- what can't be believed ---- */

static uint64_t
of_minutes_ago(uint64_t minutes)
{
	return ticket_id_first(clock_wall_us() / 1000 - minutes * 60 * 1000);
}

/* A provider may not know yet what it has just made. */
static void
what_is_young_is_not_dropped_for_a_404(void **state)
{
	char id[SEAL_TEXT_MAX + 8], line[512];
	put(OBJECT_FILE, 0, "gone-young", "", of_minutes_ago(55), id);
	put(OBJECT_FILE, 0, "gone-old", "", of_minutes_ago(65), id);
	for (int again = 0; again < 2; again++)
		list("GET /v1/files", "", again ? 1 : 2, GET);
	asked_were("gone-young gone-old gone-young ");
	/* What is asked of it may not be there, and it is. (66: a number of its own, should it be made in the same millisecond.) */
	put(OBJECT_FILE, 0, "file-old", "", of_minutes_ago(66), id);
	snprintf(line, sizeof line, "GET /v1/files/%s/content", id);
	int c = talk_ask(r.key, line, "", NULL);
	bool eof;
	rig_read(&r, provider, talk_out, &eof);
	says("404 Not Found", "{\"error\":{\"message\":\"is not there\"}}");
	talk_client_gets(c, "404");
	list("GET /v1/files", "", 2, GET);
	asked_were("gone-young file-old ");
}

/* The same words are said of a key that may do nothing any more. */
static void
geminis_403_drops_only_what_has_expired(void **state)
{
	char id[SEAL_TEXT_MAX + 8];
	put(OBJECT_GEMINI_FILE, 2, "gone1", "", of_minutes_ago(49 * 60), id);
	put(OBJECT_GEMINI_FILE, 2, "gone2", "", of_minutes_ago(47 * 60), id);
	put(OBJECT_GEMINI_FILE, 2, "gone3", "", of_minutes_ago(2), id);
	for (int again = 0; again < 2; again++)
		assert_string_equal(list("GET /v1beta/files", "", again ? 2 : 3, "GET /v1beta/files/"), "{\"files\":[]}");
	asked_were("gone3 gone2 gone1 gone3 gone2 ");
}

/* Words that speak of nothing but our account end the list, and the operator hears of them. */
static void
a_list_tells_of_a_refused_account(void **state)
{
	char id[SEAL_TEXT_MAX + 8];
	bool eof;
	put(OBJECT_GEMINI_FILE, 2, "abc1", "", 100, id);
	(void)talk_reported(EVENT_PROVIDER_ACCOUNT);
	int c = talk_ask(r.key, "GET /v1beta/files", "", NULL);
	provider = rig_provider(&r, talk_asked++);
	rig_read(&r, provider, talk_out, &eof);
	says("403 Forbidden", "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\",\"details\":[{\"reason\":\"CONSUMER_SUSPENDED\"}]}}");
	talk_client_gets(c, "503");
	assert_true(talk_reported(EVENT_PROVIDER_ACCOUNT));
}

static void
what_is_wrong_is_said(void **state)
{
	char id[SEAL_TEXT_MAX + 8], line[512];
	static const struct {
		const char *line, *headers, *status, *says;
	} rows[] = {
		{"GET /v1/files?limit=0", "", "400", "\"param\":\"limit\""},
		{"GET /v1/files?limit=-1", "", "400", "\"param\":\"limit\""},
		{"GET /v1/files?limit=100000", "", "400", "\"param\":\"limit\""},
		{"GET /v1/files?order=up", "", "400", "order must be asc or desc"},
		{"GET /v1/files?purpose=fun", "", "400", "purpose must be one"},
		{"GET /v1/files?after=file-abc", "", "404", "There is nothing with this id"},
		{"GET /v1/files?before_id=file_abc", ANTHROPIC, "404", "There is nothing with this id"},
		{"GET /v1/files?before_id=a&after_id=b", ANTHROPIC, "400", "by before_id or by after_id"},
		{"GET /v1/files?ids[]=a&ids[]=b", ANTHROPIC, "400", "ids and scope_id are not available"},
		{"GET /v1/files?scope_id=a", ANTHROPIC, "400", "ids and scope_id are not available"},
		{"GET /v1beta/files?pageSize=x", "", "400", "must be a positive integer"},
		{"GET /v1beta/files?pageToken=abc", "", "404", "There is nothing with this id"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_non_null(strstr(talk_client_gets(talk_ask(r.key, rows[i].line, rows[i].headers, NULL), rows[i].status), rows[i].says));
	put(OBJECT_FILE, 0, "file-1", "", 100, id);
	snprintf(line, sizeof line, "GET /v1/files?after=%s", id);
	talk_client_gets(talk_ask(talk_other_key, line, "", NULL), "404");
	assert_int_equal(r.dials, 0);
}

int
main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, opened, closed)
	const struct CMUnitTest tests[] = {
		WITH(what_is_uploaded_is_listed_until_it_is_deleted),
		WITH(openais_pages_go_both_ways),
		WITH(anthropics_pages_go_before_and_after),
		WITH(geminis_pages_have_tokens),
		WITH(what_is_gone_is_dropped_and_lists_end),
		WITH(a_page_that_the_ledger_cannot_say_now_is_asked_for_again),
		WITH(geminis_that_are_gone_are_dropped),
		WITH(what_is_deleted_while_one_pages_keeps_its_place),
		WITH(header_lines_go_up_for_each),
		WITH(the_longest_ids_fit_a_page),
		WITH(what_is_young_is_not_dropped_for_a_404),
		WITH(geminis_403_drops_only_what_has_expired),
		WITH(a_list_tells_of_a_refused_account),
		WITH(what_is_wrong_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
