/* Large forms that go up while they come: a window of them is here, the provider gets every byte, and money follows what was whole. */
#include "core/ipc.h"
#include "edge/spare.h"
#include "edge/upload.h"
#include "loopback/rig.h"
#include "ticket/circuit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char out[RIG_OUT_MAX];

enum { MEGA = 1 << 20,
	LARGE = 4 * MEGA,
	BODY_MAX = 64 * MEGA };

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers:\n"
	"  - name: sim\n"
	"    url: http://127.0.0.1:9/v1\n"
	"    objects: true\n"
	"    keys: [{env: RIG_KEY}]\n"
	"  - name: other\n"
	"    url: http://127.0.0.1:8/v1\n"
	"    keys: [{env: RIG_KEY}]\n"
	"models:\n"
	"  - {id: seconds, upstream: whisper-1, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", audio_second: \"0.000001\"}]}\n"
	"  - {id: flat, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", per_request: \"0.01\"}]}\n"
	"  - {id: pictures, upstream: dall-e-2, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", image: \"0.02\"}]}\n"
	"  - id: speaks\n"
	"    context: 1\n"
	"    output: 1\n"
	"    targets: [{provider: sim, upstream: first}, {provider: other, upstream: by-seconds, rank: 2, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", audio_second: \"0.0001\"}]},\n"
	"      {provider: other, upstream: third, rank: 3, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", per_request: \"0.02\"}]}]\n"
	"    prices: [{from: 2020-01-01, input: \"0\", output: \"0\", per_request: \"0.01\"}]\n"
	"  - id: either\n"
	"    context: 1\n"
	"    output: 1\n"
	"    targets: [{provider: sim, upstream: one}, {provider: other, upstream: another, rank: 2}]\n"
	"    prices: [{from: 2020-01-01, input: \"0\", output: \"0\", audio_second: \"0.000001\"}]\n";

static int
opened(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	r.process.limits.body_bytes = BODY_MAX;
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

/* ---- forms ---- */

#define FIELD(name, value) "--bnd\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_HEAD(name) "--bnd\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n"
#define END "--bnd--\r\n"

struct form {
	char *at;
	size_t len, went, heard; /* sent by the client; heard by the provider of what `expected` is */
	char *expected;
	size_t expected_len;
	int c, p;
	size_t most; /* of the vault, beyond what was there before */
	uint64_t before;
};

static uint64_t
used(void)
{
	struct vault_facts f;
	vault_facts(r.edge->vault, &f);
	return f.used_bytes;
}

static char *
put_together(const char *before, size_t bytes, const char *name, const char *behind, size_t *ret_len)
{
	char *at = malloc(bytes + 4096);
	size_t n = (size_t)sprintf(at, "%s" FILE_HEAD("%s"), before, name);
	uint32_t x = 1;
	for (size_t i = 0; i < bytes; i++) {
		x = x * 1664525 + 1013904223;
		at[n++] = (char)(x >> 24);
	}
	n += (size_t)sprintf(at + n, "\r\n%s" END, behind);
	*ret_len = n;
	return at;
}

/* A form with a file of so many bytes, fields in front of it and behind; the provider expects others. */
static struct form
form(const char *name, const char *before, size_t bytes, const char *behind, const char *expected_before, const char *expected_behind)
{
	struct form f = {.c = -1, .p = -1};
	f.at = put_together(before, bytes, name, behind, &f.len);
	f.expected = put_together(expected_before, bytes, name, expected_behind, &f.expected_len);
	return f;
}

static void
form_free(struct form *f)
{
	free(f->at);
	free(f->expected);
	if (f->c >= 0)
		close(f->c);
	rig_turn(&r);
}

static size_t
put_head(const struct form *f, const char *path, const char *headers, char *to)
{
	return (size_t)sprintf(to, "POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-type: multipart/form-data; boundary=bnd\r\n%scontent-length: %zu\r\n\r\n",
		path, r.key, headers, f->len);
}

static void
begin_as(struct form *f, int c, const char *path, const char *headers)
{
	char head[512];
	f->before = used();
	f->c = c;
	rig_send(&r, f->c, head, put_head(f, path, headers, head));
}

static void
begin(struct form *f, const char *path, const char *headers)
{
	begin_as(f, rig_client(&r), path, headers);
}

static void
note_memory(struct form *f)
{
	uint64_t now = used();
	if (now > f->before && now - f->before > f->most)
		f->most = (size_t)(now - f->before);
}

/* The client sends, at most so much, until it would have to wait. */
static size_t
say(struct form *f, size_t most)
{
	size_t said = 0;
	for (int idle = 0; said < most && f->went < f->len && idle < 3;) {
		size_t n = f->len - f->went < most - said ? f->len - f->went : most - said;
		ssize_t sent = send(f->c, f->at + f->went, n, MSG_NOSIGNAL);
		if (sent > 0) {
			f->went += (size_t)sent;
			said += (size_t)sent;
		}
		idle = sent > 0 ? 0 : idle + 1;
		rig_turn(&r);
		note_memory(f);
	}
	return said;
}

static char head_heard[4096];

/* The provider takes what is there; it is what is expected. */
static size_t
hear(struct form *f, bool *ret_eof)
{
	static char some[256 << 10];
	size_t sum = 0;
	*ret_eof = false;
	if (f->p < 0) {
		f->p = r.dials ? r.provider[r.dials - 1] : -1;
		head_heard[0] = 0;
	}
	if (f->p < 0)
		return 0;
	for (;;) {
		char *at = some;
		ssize_t n = recv(f->p, some, sizeof some - 1, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			*ret_eof = true;
		if (n <= 0)
			return sum;
		if (!head_heard[0]) {
			some[n] = 0;
			char *end = strstr(some, "\r\n\r\n");
			assert_non_null(end);
			snprintf(head_heard, sizeof head_heard, "%.*s", (int)(end + 4 - some), some);
			at = end + 4;
		}
		size_t len = (size_t)(some + n - at);
		assert_true(f->heard + len <= f->expected_len);
		assert_memory_equal(at, f->expected + f->heard, len);
		f->heard += len;
		sum += len;
		rig_turn(&r);
		note_memory(f);
	}
}

/* Until so much of it has been sent. */
static void
send_up_to(struct form *f, size_t place)
{
	bool eof;
	for (int idle = 0; idle < 20 && f->went < place;)
		idle = say(f, place - f->went) + hear(f, &eof) ? 0 : idle + 1;
	hear(f, &eof);
	assert_true(f->went >= place);
}

static void
pass(struct form *f, size_t piece)
{
	bool eof = false;
	for (int idle = 0; idle < 20 && !eof && !(f->went == f->len && f->heard == f->expected_len);)
		idle = say(f, piece) + hear(f, &eof) ? 0 : idle + 1;
}

static void
answer(struct form *f, const char *status, const char *body)
{
	char whole[512];
	int n = sprintf(whole, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", status, strlen(body), body);
	rig_send(&r, f->p, whole, (size_t)n);
}

static void
expect(struct form *f, const char *status, const char *says)
{
	bool eof;
	rig_read(&r, f->c, out, &eof);
	if (memcmp(out, "HTTP/1.1 ", 9) != 0 || memcmp(out + 9, status, 3) != 0 || !strstr(out, says))
		print_error("%s\n", out);
	assert_memory_equal(out, "HTTP/1.1 ", 9);
	assert_memory_equal(out + 9, status, 3);
	assert_non_null(strstr(out, says));
}

static bool
provider_was_left(struct form *f)
{
	bool eof;
	rig_turn(&r);
	hear(f, &eof);
	return eof;
}

static void
books_after(int64_t spent, long tickets)
{
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - spent);
	assert_int_equal(rig_tickets(&r), tickets);
}

#define SAID "{\"text\":\"hi\",\"usage\":{\"type\":\"duration\",\"seconds\":61}}"
enum { COST = 61 * 1000 };
#define TRANSCRIPTIONS "/v1/audio/transcriptions"
#define EDITS "/v1/images/edits"

/* ---- it goes up ---- */

static void
a_large_form_is_never_here_as_a_whole(void **state)
{
	struct form f = form("file", FIELD("model", "seconds"), BODY_MAX - 4096, "", FIELD("model", "whisper-1"), "");
	bool eof;
	begin(&f, TRANSCRIPTIONS, "");
	/* a provider that takes nothing: the client has to wait, with most of it */
	say(&f, BODY_MAX);
	assert_true(r.dials == 1);
	assert_true(f.went < 8 * MEGA);
	assert_int_equal(say(&f, BODY_MAX), 0);
	pass(&f, BODY_MAX);
	assert_int_equal(f.heard, f.expected_len);
	answer(&f, "200 OK", SAID);
	expect(&f, "200", SAID);
	assert_true(f.most < (r.tls ? 768 << 10 : 512 << 10));
	/* and its connections can be used again */
	f.went = f.heard = 0;
	(void)hear(&f, &eof);
	assert_false(eof);
	form_free(&f);
	books_after(COST, 1);
}

/* Wherever pieces end, also within the model's name. */
static void
it_arrives_byte_by_byte(void **state)
{
	static const size_t pieces[] = {1, 2, 3, 7, 61, 4096, 65537};
	int64_t spent = 0;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		for (int behind = 0; behind < 2; behind++) {
			struct form f = behind ? form("file", "", UPLOAD_LEAST, FIELD("model", "seconds") FIELD("language", "en"), "", FIELD("model", "whisper-1") FIELD("language", "en"))
								   : form("file", FIELD("model", "seconds"), UPLOAD_LEAST, FIELD("language", "en"), FIELD("model", "whisper-1"), FIELD("language", "en"));
			begin(&f, TRANSCRIPTIONS, behind ? "lethe-model: seconds\r\n" : "");
			size_t slow = behind ? f.len - 400 : 0; /* small pieces where the fields are */
			send_up_to(&f, slow);
			for (bool eof; f.went < slow + 400 && f.went < f.len; hear(&f, &eof))
				say(&f, pieces[i]);
			pass(&f, LARGE);
			assert_int_equal(f.heard, f.expected_len);
			answer(&f, "200 OK", SAID);
			expect(&f, "200", SAID);
			close(f.p);
			form_free(&f);
			spent += COST;
		}
	books_after(spent, 2 * ARRAY_LEN(pieces));
}

static void
a_file_in_front_of_the_model_is_held_until_it_is_known(void **state)
{
	struct form f = form("file", "", 3 * MEGA, FIELD("model", "seconds"), "", FIELD("model", "whisper-1"));
	begin(&f, TRANSCRIPTIONS, "");
	say(&f, f.len - 1);
	assert_int_equal(r.dials, 0);
	assert_true(f.most > 3 * MEGA);
	pass(&f, LARGE);
	assert_int_equal(f.heard, f.expected_len);
	answer(&f, "200 OK", SAID);
	expect(&f, "200", SAID);
	form_free(&f);
	books_after(COST, 1);
}

static void
a_file_to_keep_needs_no_model(void **state)
{
	struct form f = form("file", FIELD("purpose", "user_data"), LARGE, "", FIELD("purpose", "user_data"), "");
	begin(&f, "/v1/files", "");
	say(&f, 2 * MEGA);
	assert_int_equal(r.dials, 1);
	pass(&f, LARGE);
	assert_int_equal(f.heard, f.expected_len);
	assert_true(f.most < 768 << 10);
	answer(&f, "200 OK", "{\"id\":\"file-1\",\"object\":\"file\"}");
	expect(&f, "200", "\"object\":\"file\"");
	form_free(&f);
	books_after(0, 1);
}

/* ---- it is not whole ---- */

/* Whoever has too little waits for that. */
static void
give_back_what_is_settled(void)
{
	rig_book(&r);
	rig_book(&r);
	rig_pass(&r, 10);
}

/* Without its end nobody has a form: what would be refused is known before that goes up. */
static void
what_stands_behind_is_looked_at_before_the_end_goes_up(void **state)
{
	static const struct {
		const char *path, *headers, *name, *before, *behind, *status, *says;
	} rows[] = {
		{TRANSCRIPTIONS, "", "file", FIELD("model", "seconds"), FIELD("response_format", "text"), "400", "how long the audio is"},
		{TRANSCRIPTIONS, "", "file", FIELD("model", "seconds"), FIELD("model", "flat"), "400", "given twice"},
		{TRANSCRIPTIONS, "", "file", FIELD("model", "seconds"), FIELD("stream", "perhaps"), "400", "stream"},
		{TRANSCRIPTIONS, "", "file", FIELD("model", "seconds"), "--bnd?", "400", "boundary"},
		{TRANSCRIPTIONS, "lethe-model: seconds\r\n", "file", "", FIELD("model", "flat"), "400", "another model"},
		{TRANSCRIPTIONS, "lethe-model: seconds\r\n", "file", "", "", "400", "model"},
		{EDITS, "", "image", FIELD("model", "pictures"), FIELD("n", "60"), "402", "insufficient_quota"},
		{"/v1/files", "", "thing", FIELD("purpose", "batch"), "", "400", "`file`"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct form f = form(rows[i].name, rows[i].before, LARGE, rows[i].behind, rows[i].before, rows[i].behind);
		f.expected_len = f.len + 16;
		free(f.expected);
		size_t front = strlen(rows[i].before);
		f.expected = malloc(f.expected_len);
		if (front && rows[i].path[4] != 'f') { /* the name's length differs from what came */
			const char *upstream = strcmp(rows[i].path, EDITS) == 0 ? FIELD("model", "dall-e-2") : FIELD("model", "whisper-1");
			memcpy(f.expected, upstream, strlen(upstream));
			memcpy(f.expected + strlen(upstream), f.at + front, f.len - front);
			f.expected_len = f.len - front + strlen(upstream);
		} else {
			memcpy(f.expected, f.at, f.len);
			f.expected_len = f.len;
		}
		begin(&f, rows[i].path, rows[i].headers);
		pass(&f, LARGE);
		if (r.dials != (int)i + 1)
			print_error("row %zu\n", i);
		assert_int_equal(r.dials, i + 1);
		give_back_what_is_settled();
		expect(&f, rows[i].status, rows[i].says);
		assert_true(provider_was_left(&f));
		assert_true(f.heard <= f.expected_len - strlen("--\r\n"));
		form_free(&f);
	}
	books_after(0, ARRAY_LEN(rows));
}

/* Adding credit would not help. */
static void
a_limit_of_money_that_is_short_behind_the_file_is_named(void **state)
{
	struct form f = form("image", FIELD("model", "pictures"), LARGE, FIELD("n", "40"), FIELD("model", "dall-e-2"), FIELD("n", "40"));
	json_t *a = rig_control(&r, json_pack("{s:s, s:s, s:s}", "op", "key.limit", "key", r.key, "dollars_per_day", "0.50"));
	assert_true(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
	begin(&f, EDITS, "");
	pass(&f, LARGE);
	give_back_what_is_settled();
	expect(&f, "429", "limited to $0.50 a day; $0.50 is left, and this request can cost up to $0.80.");
	assert_true(provider_was_left(&f));
	form_free(&f);
	books_after(0, 1);
}

/* All of it has come, but for its last bytes it is at the provider, and costs more than is here. */
static struct form
come_short(bool shared)
{
	struct form f = form("image", FIELD("model", "pictures"), LARGE, FIELD("n", "60"), FIELD("model", "dall-e-2"), FIELD("n", "60"));
	begin(&f, EDITS, "");
	say(&f, MEGA);
	if (shared) {
		atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_SHARES);
		r.deaf = true;
	}
	pass(&f, LARGE);
	assert_int_equal(f.went, f.len);
	assert_true(f.heard < f.expected_len && f.heard > LARGE);
	assert_non_null(r.edge->wait_more.first);
	return f;
}

static void
more_is_asked_for(struct message_row *ret)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	assert_int_equal(ipc_recv(r.ledger_end, buf, &bytes, &fd), IPC_OK);
	memcpy(ret, buf, sizeof *ret);
	assert_int_equal(ret->head.type, MESSAGE_LOAD);
	assert_int_equal(ret->row, r.edge->exchanges->account_row);
	assert_int_equal(ret->need_nano, 1200000000 - 20000000);
}

static void
ledger_says(struct message_row m, enum row_result result)
{
	m.head = MESSAGE_INIT(LOADED, message_row).head;
	m.result = result;
	assert_int_equal(ipc_send(r.ledger_end, &m, sizeof m, -1), IPC_OK);
	rig_turn(&r);
}

static void
credit(const char *dollars)
{
	json_t *a = rig_control(&r, json_pack("{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", r.account, "amount", dollars, "reason", "it came"));
	assert_true(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
}

static void
is_served(struct form *f)
{
	pass(f, LARGE);
	assert_int_equal(f->heard, f->expected_len);
	answer(f, "200 OK", "{\"created\":1,\"data\":[{\"url\":\"a\"},{\"url\":\"b\"}]}");
	expect(f, "200", "\"url\"");
}

static void
alone_again(void)
{
	atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_BALANCES);
	r.deaf = false;
	rig_turn(&r);
}

/* As a request does that is held before it goes up. */
static void
what_stands_behind_waits_for_what_is_given_back_and_for_what_others_have(void **state)
{
	struct message_row m;
	for (int shared = 0; shared < 2; shared++) {
		struct form f = come_short(shared);
		if (shared) {
			more_is_asked_for(&m);
			ledger_says(m, ROW_LATER);
		}
		rig_pass(&r, shared ? 500 : 3000); /* a round may take long */
		assert_non_null(r.edge->wait_more.first);
		credit("1.00");
		if (!shared)
			give_back_what_is_settled();
		rig_pass(&r, 10);
		assert_null(r.edge->wait_more.first);
		assert_int_equal(ticket_hold(r.edge->exchanges->ticket).v, 1200000000);
		is_served(&f);
		form_free(&f);
		alone_again();
		rig_book(&r);
		assert_int_equal(rig_tickets(&r), 1 + shared);
		rig_check_books(&r);
		credit("-0.96");
	}
}

static void
what_stands_behind_waits_so_long(void **state)
{
	struct message_row m;
	r.process.timeouts.between_bytes = 700; /* which is not its time */
	for (int answered = 0; answered < 2; answered++) {
		struct form f = come_short(true);
		more_is_asked_for(&m);
		if (answered)
			ledger_says(m, ROW_SHORT);
		rig_pass(&r, (answered ? 1000 : SPARE_WAIT_MS) - 10);
		assert_non_null(r.edge->wait_more.first);
		rig_pass(&r, 20);
		expect(&f, answered ? "402" : "503", answered ? "insufficient_quota" : "unavailable");
		assert_true(provider_was_left(&f));
		form_free(&f);
		alone_again();
	}
	books_after(0, 2);
}

/* Nor is the provider late. */
static void
what_stands_behind_waits_no_longer_than_a_request_may_take(void **state)
{
	r.process.timeouts.request = 5000;
	for (int i = 0; i < CIRCUIT_FAILURES; i++) {
		struct form f = come_short(true);
		rig_pass(&r, 6000);
		expect(&f, "503", "unavailable");
		form_free(&f);
		alone_again();
	}
	assert_int_equal(r.counters.circuits_opened, 0);
	books_after(0, CIRCUIT_FAILURES);
}

static void
who_goes_while_what_stands_behind_waits_leaves_nothing(void **state)
{
	struct form f = come_short(true);
	close(f.c);
	f.c = -1;
	rig_turn(&r);
	assert_null(r.edge->exchanges);
	assert_true(provider_was_left(&f));
	form_free(&f);
	alone_again();
	books_after(0, 1);
}

/* What the hold does not cover yet is held when it is known. */
static void
the_hold_grows_with_what_stands_behind(void **state)
{
	struct form f = form("image", FIELD("model", "pictures"), LARGE, FIELD("n", "40"), FIELD("model", "dall-e-2"), FIELD("n", "40"));
	begin(&f, EDITS, "");
	say(&f, 2 * MEGA);
	assert_int_equal(ticket_hold(r.edge->exchanges->ticket).v, 20000000);
	pass(&f, LARGE);
	assert_int_equal(f.heard, f.expected_len);
	assert_int_equal(ticket_hold(r.edge->exchanges->ticket).v, 800000000);
	answer(&f, "200 OK", "{\"created\":1,\"data\":[{\"url\":\"a\"},{\"url\":\"b\"}]}");
	expect(&f, "200", "\"url\"");
	form_free(&f);
	books_after(40000000, 1);
}

static void
the_last_bytes_wait_for_the_end(void **state)
{
	struct form f = form("file", FIELD("model", "seconds"), LARGE, "", FIELD("model", "whisper-1"), "");
	begin(&f, TRANSCRIPTIONS, "");
	for (size_t left = 5; left; left--) {
		send_up_to(&f, f.len - left);
		assert_true(f.heard <= f.expected_len - strlen("--\r\n"));
	}
	pass(&f, LARGE);
	assert_int_equal(f.heard, f.expected_len);
	answer(&f, "200 OK", SAID);
	expect(&f, "200", SAID);
	form_free(&f);
	books_after(COST, 1);
}

static void
a_client_that_leaves_takes_the_request_along(void **state)
{
	static const size_t places[] = {UPLOAD_WINDOW / 2, UPLOAD_LEAST, 2 * MEGA, LARGE};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct form f = form("file", FIELD("model", "seconds"), LARGE, "", FIELD("model", "whisper-1"), "");
		begin(&f, TRANSCRIPTIONS, "");
		send_up_to(&f, places[i]);
		assert_int_equal(r.dials, i + 1);
		close(f.c);
		f.c = -1;
		assert_true(provider_was_left(&f));
		assert_true(f.heard < f.expected_len);
		assert_null(r.edge->exchanges);
		form_free(&f);
	}
	books_after(0, ARRAY_LEN(places));
}

/* The window is full, and bytes wait in the socket: their end may never be read. By TLS it is the rig that speaks to the edge, and ends only behind all that it was given. */
static void
a_client_that_leaves_behind_a_provider_that_takes_nothing_is_the_one_that_left(void **state)
{
	struct form f = form("file", FIELD("model", "seconds"), LARGE, "", FIELD("model", "whisper-1"), "");
	begin(&f, TRANSCRIPTIONS, "");
	say(&f, LARGE);
	assert_true(f.went < f.len);
	assert_true(upload_is_unread(r.edge->exchanges));
	close(f.c);
	f.c = -1;
	rig_turn(&r);
	if (!r.tls) {
		assert_null(r.edge->exchanges);
		assert_int_equal(atomic_load(&r.counters.ended[END_CLIENT_GONE_EARLY]), 1);
	}
	assert_true(provider_was_left(&f));
	form_free(&f);
	books_after(0, 1);
}

/* Who has only said all that it will say is still there: it is asked. By TLS an end is one. */
static void
a_client_that_has_said_all_is_not_taken_for_one_that_left(void **state)
{
	struct form f = form("file", FIELD("model", "seconds"), LARGE, "", FIELD("model", "whisper-1"), "");
	bool eof;
	if (r.tls) {
		form_free(&f);
		return;
	}
	begin(&f, TRANSCRIPTIONS, "");
	size_t room = say(&f, LARGE); /* of all that lies between them */
	send_up_to(&f, f.len - room + MEGA / 16);
	say(&f, LARGE);
	assert_int_equal(f.went, f.len);
	assert_true(upload_is_unread(r.edge->exchanges));
	shutdown(f.c, SHUT_WR);
	rig_turn(&r);
	assert_non_null(r.edge->exchanges);
	pass(&f, LARGE);
	answer(&f, "200 OK", SAID);
	rig_read(&r, f.c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200", 37);
	assert_non_null(strstr(out, SAID));
	form_free(&f);
	books_after(COST, 1);
}

/* Of what it announced less stands in its socket than is missing: whatever the provider takes, that can't become whole. Nobody has to be asked. */
static void
a_client_that_ends_its_side_too_early_has_left(void **state)
{
	struct form f = form("file", FIELD("model", "seconds"), LARGE, "", FIELD("model", "whisper-1"), "");
	bool eof;
	if (r.tls) { /* its end is one, wherever it stands */
		form_free(&f);
		return;
	}
	begin(&f, TRANSCRIPTIONS, "");
	size_t room = say(&f, LARGE);
	send_up_to(&f, f.len - room + MEGA / 16);
	say(&f, f.len - f.went - 1);
	assert_int_equal(f.went, f.len - 1);
	assert_true(upload_is_unread(r.edge->exchanges));
	shutdown(f.c, SHUT_WR);
	rig_turn(&r);
	assert_null(r.edge->exchanges);
	assert_int_equal(atomic_load(&r.counters.ended[END_CLIENT_GONE_EARLY]), 1);
	rig_read(&r, f.c, out, &eof);
	assert_string_equal(out, "");
	assert_true(eof);
	assert_true(provider_was_left(&f));
	form_free(&f);
	books_after(0, 1);
}

/* Its way is not known yet, so that nothing of it is read. */
/* at_once: head, the beginning of the form and the end come together. */
static void
leave_before_there_is_a_way(bool at_once)
{
	enum { MOST = 256,
		SOME = 30000 };
	struct ticket *all[MOST];
	size_t count = 0;
	while (count < MOST && (all[count] = ticket_pick(r.edge->desk)))
		count++;
	struct form f = form("file", FIELD("model", "seconds"), LARGE, "", FIELD("model", "whisper-1"), "");
	if (at_once) {
		char head[512];
		f.c = rig_client(&r);
		size_t len = put_head(&f, TRANSCRIPTIONS, "", head);
		assert_int_equal(send(f.c, head, len, MSG_NOSIGNAL), len);
		assert_int_equal(send(f.c, f.at, SOME, MSG_NOSIGNAL), SOME);
	} else {
		begin(&f, TRANSCRIPTIONS, "");
		say(&f, LARGE);
		assert_int_equal(r.edge->spares, 1);
	}
	close(f.c);
	f.c = -1;
	rig_turn(&r);
	if (!r.tls) {
		assert_null(r.edge->exchanges);
		assert_int_equal(atomic_load(&r.counters.ended[END_CLIENT_GONE_EARLY]), 1);
		assert_int_equal(r.edge->spares, 0);
	}
	while (count)
		ticket_unpick(r.edge->desk, all[--count]);
	rig_pass(&r, 50);
	form_free(&f);
	assert_true(r.tls || r.dials == 0);
	books_after(0, r.tls);
}

static void
a_client_that_leaves_before_its_form_has_a_way_is_let_go(void **state)
{
	leave_before_there_is_a_way(false);
}

static void
a_client_whose_end_comes_with_the_beginning_of_its_form_is_let_go(void **state)
{
	if (!r.tls)
		leave_before_there_is_a_way(true);
}

/* Its end stands behind bytes for which our socket has no room, and can't be known: it is let go with the provider, whose time is over, and costs nothing. */
static void
a_client_whose_end_cannot_come_goes_with_the_provider_that_takes_nothing(void **state)
{
	struct form f = form("file", FIELD("model", "seconds"), 4 * LARGE, "", FIELD("model", "whisper-1"), "");
	if (r.tls) {
		form_free(&f);
		return;
	}
	begin_as(&f, rig_tcp_client(&r), TRANSCRIPTIONS, "");
	say(&f, f.len);
	assert_true(f.went < f.len);
	close(f.c);
	f.c = -1;
	rig_turn(&r);
	assert_non_null(r.edge->exchanges);
	assert_true(upload_is_unread(r.edge->exchanges));
	rig_pass(&r, r.process.timeouts.between_bytes + 3000);
	assert_null(r.edge->exchanges);
	assert_int_equal(atomic_load(&r.counters.ended[END_PROVIDER_TIMEOUT]), 1);
	assert_true(provider_was_left(&f));
	assert_true(f.heard < f.expected_len);
	form_free(&f);
	books_after(0, 1);
}

static void
a_client_that_stalls_is_told_so(void **state)
{
	struct form f = form("file", FIELD("model", "seconds"), LARGE, "", FIELD("model", "whisper-1"), "");
	begin(&f, TRANSCRIPTIONS, "");
	send_up_to(&f, 2 * MEGA);
	rig_pass(&r, r.process.timeouts.body - 1000);
	assert_non_null(r.edge->exchanges);
	rig_pass(&r, 3000);
	expect(&f, "408", "did not arrive in time");
	assert_true(provider_was_left(&f));
	form_free(&f);
	books_after(0, 1);
}

static void
a_provider_that_stalls_is_left(void **state)
{
	struct form f = form("file", FIELD("model", "seconds"), LARGE, "", FIELD("model", "whisper-1"), "");
	begin(&f, TRANSCRIPTIONS, "");
	say(&f, LARGE);
	assert_true(f.went < f.len);
	rig_pass(&r, r.process.timeouts.between_bytes + 3000);
	expect(&f, "504", "did not answer in time");
	f.heard = 0;
	form_free(&f);
	books_after(0, 1);
}

/* ---- somebody else ---- */

static void
a_refused_connection_fails_over(void **state)
{
	struct form f = form("file", FIELD("model", "either"), LARGE, "", FIELD("model", "another"), "");
	r.refuse = 1;
	begin(&f, TRANSCRIPTIONS, "");
	pass(&f, LARGE);
	assert_int_equal(f.heard, f.expected_len);
	answer(&f, "200 OK", SAID);
	expect(&f, "200", SAID);
	form_free(&f);
	books_after(COST, 1);
}

/* Of three that could speak the second is billed by what speech does not tell. */
static void
who_can_not_charge_an_answer_is_not_asked_for_it(void **state)
{
	static const char body[] = "{\"model\":\"speaks\",\"voice\":\"a\",\"input\":\"hi\",\"stream_format\":\"audio\"}";
	static const char spoken[] = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 3\r\n\r\nID3";
	static char text[8192];
	bool eof;
	int c = rig_client(&r);
	int n = sprintf(text, "POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", r.key, strlen(body), body);
	r.refuse = 1;
	rig_send(&r, c, text, (size_t)n);
	rig_turn(&r);
	int p = rig_provider(&r, r.dials - 1);
	rig_read(&r, p, text, &eof);
	assert_non_null(strstr(text, "\"third\""));
	rig_send(&r, p, spoken, strlen(spoken));
	rig_read(&r, c, text, &eof);
	assert_non_null(strstr(text, "200 OK"));
	close(c);
	rig_turn(&r);
	books_after(20000000, 1);
}

static void
what_is_all_here_is_sent_again(void **state)
{
	struct form f = form("file", FIELD("model", "either"), LARGE, "", FIELD("model", "one"), "");
	bool eof;
	begin(&f, TRANSCRIPTIONS, "");
	say(&f, UPLOAD_WINDOW / 2);
	hear(&f, &eof);
	assert_true(f.heard > 0);
	answer(&f, "503 No", "{}");
	f.p = -1;
	f.heard = 0;
	free(f.expected);
	f.expected = put_together(FIELD("model", "another"), LARGE, "file", "", &f.expected_len);
	rig_turn(&r);
	assert_int_equal(r.dials, 2);
	pass(&f, LARGE);
	assert_int_equal(f.heard, f.expected_len);
	answer(&f, "200 OK", SAID);
	expect(&f, "200", SAID);
	form_free(&f);
	books_after(COST, 1);
}

static void
what_is_gone_is_not(void **state)
{
	static const struct {
		const char *answer, *status, *says;
	} rows[] = {
		{NULL, "502", "upstream_unreachable"},
		{"HTTP/1.1 503 No\r\ncontent-type: application/json\r\ncontent-length: 28\r\n\r\n{\"error\":{\"message\":\"busy\"}}", "503", ""},
		{"HTTP/1.1 413 Too Large\r\ncontent-type: application/json\r\ncontent-length: 28\r\n\r\n{\"error\":{\"message\":\"long\"}}", "413", "long"},
		/* an answer to what was not asked */
		{"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}", "502", "upstream_malformed"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct form f = form("file", FIELD("model", "either"), LARGE, "", FIELD("model", "one"), "");
		begin(&f, TRANSCRIPTIONS, "");
		send_up_to(&f, 2 * MEGA);
		assert_int_equal(r.dials, i + 1);
		if (rows[i].answer)
			rig_send(&r, f.p, rows[i].answer, strlen(rows[i].answer));
		else {
			close(f.p);
			r.provider[r.dials - 1] = -1;
			rig_turn(&r);
			say(&f, LARGE); /* what comes then tells */
		}
		expect(&f, rows[i].status, rows[i].says);
		assert_non_null(strstr(out, "connection: close\r\n"));
		assert_int_equal(r.dials, i + 1);
		form_free(&f);
		rig_pass(&r, 120000); /* its target may be asked again */
	}
	books_after(0, ARRAY_LEN(rows));
}

/* While the ledger stands still: what has not been held for is not read on, nor sent. */
static void
it_waits_for_a_ticket(void **state)
{
	enum { MOST = 256,
		WAIT_MS = 8000 };
	struct ticket *all[MOST];
	size_t count = 0;
	while (count < MOST && (all[count] = ticket_pick(r.edge->desk)))
		count++;
	assert_in_range(count, 1, MOST - 1);
	for (int late = 0; late < 2; late++) {
		struct form f = form("file", FIELD("model", "seconds"), LARGE, "", FIELD("model", "whisper-1"), "");
		begin(&f, TRANSCRIPTIONS, "");
		say(&f, LARGE);
		assert_int_equal(r.dials, 0);
		assert_true(f.most < (r.tls ? 768 << 10 : 512 << 10));
		assert_int_equal(r.edge->spares, 1);
		if (late) {
			while (count)
				ticket_unpick(r.edge->desk, all[--count]);
			rig_pass(&r, 50);
			pass(&f, LARGE);
			assert_int_equal(f.heard, f.expected_len);
			answer(&f, "200 OK", SAID);
			expect(&f, "200", SAID);
		} else {
			rig_pass(&r, WAIT_MS + 50);
			expect(&f, "503", "\"unavailable\"");
			assert_non_null(strstr(out, "connection: close\r\n"));
		}
		assert_int_equal(r.edge->spares, 0);
		form_free(&f);
	}
	books_after(COST, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, opened, closed)
		T(a_large_form_is_never_here_as_a_whole),
		T(it_arrives_byte_by_byte),
		T(a_file_in_front_of_the_model_is_held_until_it_is_known),
		T(a_file_to_keep_needs_no_model),
		T(what_stands_behind_is_looked_at_before_the_end_goes_up),
		T(a_limit_of_money_that_is_short_behind_the_file_is_named),
		T(what_stands_behind_waits_for_what_is_given_back_and_for_what_others_have),
		T(what_stands_behind_waits_so_long),
		T(what_stands_behind_waits_no_longer_than_a_request_may_take),
		T(who_goes_while_what_stands_behind_waits_leaves_nothing),
		T(the_hold_grows_with_what_stands_behind),
		T(the_last_bytes_wait_for_the_end),
		T(a_client_that_leaves_takes_the_request_along),
		T(a_client_that_leaves_behind_a_provider_that_takes_nothing_is_the_one_that_left),
		T(a_client_that_has_said_all_is_not_taken_for_one_that_left),
		T(a_client_that_ends_its_side_too_early_has_left),
		T(a_client_whose_end_cannot_come_goes_with_the_provider_that_takes_nothing),
		T(a_client_that_leaves_before_its_form_has_a_way_is_let_go),
		T(a_client_whose_end_comes_with_the_beginning_of_its_form_is_let_go),
		T(a_client_that_stalls_is_told_so),
		T(a_provider_that_stalls_is_left),
		T(a_refused_connection_fails_over),
		T(who_can_not_charge_an_answer_is_not_asked_for_it),
		T(what_is_all_here_is_sent_again),
		T(what_is_gone_is_not),
		T(it_waits_for_a_ticket),
#undef T
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
