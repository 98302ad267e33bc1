/* HTTP/2 on both sides of the edge, under a clock of the test's: windows, time-outs, and every way in which a stream or a connection can end. */
#include "edge/edge_priv.h"
#include "edge/h2.h"
#include "edge/h2_up.h"
#include "loopback/h2_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static struct peer c, p, second; /* a client; the first connections to the provider */

#define USAGE "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}"
#define PLAIN_BODY "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," USAGE "}"
#define EVENT "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"},\"finish_reason\":null}]}\n\n"
#define EVENT_END "data: {\"id\":\"c\",\"choices\":[]," USAGE "}\n\ndata: [DONE]\n\n"
#define TOO_MANY "{\"error\":{\"message\":\"too many requests for words\",\"type\":\"x\",\"param\":null,\"code\":null}}"

/* 10 × $1/M + 5 × $2/M */
enum { COST = 20000 };

static const char hi[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char hi_stream[] = "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[]}";
static char body_60k[60 << 10], long_body[900 << 10], long_answer[4 << 20];

static void
make_body(char *at, size_t bytes)
{
	size_t n = (size_t)sprintf(at, "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"");
	memset(at + n, 'x', bytes - n - 5);
	strcpy(at + bytes - 5, "\"}]}");
}

static void
make_long(void)
{
	make_body(body_60k, sizeof body_60k);
	make_body(long_body, sizeof long_body);
	size_t n = 0;
	for (; n < sizeof long_answer - 4096; n += strlen(EVENT))
		memcpy(long_answer + n, EVENT, strlen(EVENT));
	strcpy(long_answer + n, EVENT_END);
}

static void
open_with(enum durability d)
{
	if (!*long_body)
		make_long();
	rig_open(&r, "1000.00", d);
	peer_client(&c, &r, rig_client(&r), true);
}

static int
opened(void **state)
{
	open_with(DURABILITY_BATCHED);
	return 0;
}

static int
strict(void **state)
{
	open_with(DURABILITY_STRICT);
	return 0;
}

static int
closed(void **state)
{
	peer_close(&c);
	if (p.session) {
		for (int i = 0; i < r.dials; i++)
			if (r.provider[i] == p.fd)
				r.provider[i] = -1;
		peer_close(&p);
	}
	rig_close(&r);
	return 0;
}

/* The provider's side of the first connection, and the request on it. */
static struct peer_stream *
provider_hears(void)
{
	if (!p.session)
		peer_provider(&p, &r, rig_provider(&r, 0), true, 65535);
	peer_turn(&p);
	peer_turn(&c);
	peer_turn(&p);
	return p.count ? &p.streams[p.count - 1] : NULL;
}

static void
both_turn(void)
{
	for (int i = 0; i < 4; i++) {
		peer_turn(&p);
		peer_turn(&c);
	}
}

static void
assert_booked(long tickets, int64_t paid)
{
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), tickets);
	assert_int_equal(1000000000000 - rig_balance(&r), paid);
	rig_check_books(&r);
}

/* ---- it works at all ---- */

static void
an_answer_passes_through_both_sides(void **state)
{
	struct peer_stream *s = peer_ask(&c, hi, strlen(hi), NULL, false), *u = provider_hears();
	assert_non_null(u);
	assert_true(u->ended);
	assert_int_equal(u->bytes, strlen(hi));
	assert_memory_equal(u->text, hi, strlen(hi));
	peer_answer(&p, u, "200", PLAIN_BODY, strlen(PLAIN_BODY), false);
	both_turn();
	rig_book(&r); /* strict: until then it waits */
	rig_pass(&r, 1000);
	both_turn();
	assert_string_equal(s->status, "200");
	assert_string_equal(s->text, PLAIN_BODY);
	assert_true(s->ended && s->closed && s->error == 0);
	assert_booked(1, COST);
}

/* ---- windows and time ---- */

/* Whoever takes some of it within each client_write is not slow, however long it takes altogether. */
static void
a_steady_reader_may_be_slow(void **state)
{
	peer_close(&c);
	peer_client(&c, &r, rig_client(&r), false);
	struct peer_stream *s = peer_ask(&c, hi_stream, strlen(hi_stream), NULL, false), *u = provider_hears();
	peer_answer(&p, u, "200", long_answer, 1 << 20, true);
	for (int i = 0; i < 10; i++) {
		both_turn();
		rig_pass(&r, 15000);
		assert_false(s->closed || c.eof);
		size_t before = s->bytes;
		peer_take(&c, s, 40000);
		both_turn();
		assert_true(s->bytes > before);
	}
	rig_pass(&r, 29000);
	peer_turn(&c);
	assert_false(s->closed);
	rig_pass(&r, 2000); /* nothing taken for 30 s */
	peer_turn(&c);
	assert_true(s->closed);
	assert_int_equal(s->error, NGHTTP2_CANCEL);
}

/* Clients open their windows in small steps: as many as there was data for are no flood. */
static void
windows_are_opened_for_what_was_sent(void **state)
{
	peer_close(&c);
	peer_client(&c, &r, rig_client(&r), false);
	struct peer_stream *s = peer_ask(&c, hi_stream, strlen(hi_stream), NULL, false), *u = provider_hears();
	peer_answer(&p, u, "200", long_answer, 3 << 20, true);
	size_t taken = 0;
	for (int i = 0; i < 20000 && taken < 2 << 20 && !c.eof; i++) {
		size_t some = s->bytes - taken < 4096 ? s->bytes - taken : 4096;
		if (some == 0) {
			both_turn();
			continue;
		}
		nghttp2_submit_window_update(c.session, NGHTTP2_FLAG_NONE, s->id, (int32_t)some); /* each step by itself, as Go's client does */
		nghttp2_submit_window_update(c.session, NGHTTP2_FLAG_NONE, 0, (int32_t)some);
		taken += some;
		if (i % 8 == 0)
			both_turn();
	}
	assert_false(c.gone_away);
	assert_true(taken >= 2 << 20);
}

/* What it had said before lies here, within its window, and is all there is: paid by what is held. */
static void
a_provider_that_has_said_all_and_goes_while_its_stream_waits_for_money_cuts_nothing(void **state)
{
	json_decref(rig_control(&r, json_pack("{s:s, s:s, s:s}", "op", "key.limit", "key", r.key, "dollars_per_day", "0.01")));
	peer_ask(&c, hi, strlen(hi), NULL, false); /* for its rows */
	peer_answer(&p, provider_hears(), "200", PLAIN_BODY, strlen(PLAIN_BODY), false);
	both_turn();
	atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_SHARES);
	struct peer_stream *s = peer_ask(&c, hi_stream, strlen(hi_stream), NULL, false), *u = provider_hears();
	peer_answer(&p, u, "200", long_answer, 40000, true);
	for (int i = 0; i < 200 && !r.edge->wait_more.first; i++)
		peer_go_on(&p, u, long_answer, strlen(EVENT) * 100, true), both_turn();
	assert_non_null(r.edge->wait_more.first);
	size_t before = s->bytes;
	peer_go_on(&p, u, EVENT EVENT_END, strlen(EVENT EVENT_END), false);
	peer_turn(&p);
	assert_int_equal(s->bytes, before);
	for (int i = 0; i < r.dials; i++)
		if (r.provider[i] == p.fd)
			r.provider[i] = -1;
	peer_close(&p);
	rig_turn(&r);
	peer_turn(&c);
	assert_true(s->ended && s->closed && s->error == 0);
	assert_int_equal(s->bytes, before + strlen(EVENT EVENT_END));
	assert_null(r.edge->exchanges);
	atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_BALANCES);
	rig_book(&r);
	rig_check_books(&r);
}

static uint64_t
vault_used(void)
{
	struct vault_facts facts;
	vault_facts(r.edge->vault, &facts);
	return facts.used_bytes;
}

/* Neither of the answers that come nor of the time that passes depends what is kept of them: a box each, and what the window lets the provider say. */
static void
a_client_that_reads_nothing_costs_its_box_and_a_window(void **state)
{
	enum { STREAMS = 6,
		BESIDE = 4 << 10 /* for nghttp2 */ };
	struct peer_stream *s[STREAMS], *u[STREAMS];
	peer_close(&c);
	peer_client(&c, &r, rig_client(&r), false);
	for (int i = 0; i < STREAMS; i++) {
		s[i] = peer_ask(&c, hi_stream, strlen(hi_stream), NULL, false);
		u[i] = provider_hears();
		peer_answer(&p, u[i], "200", EVENT, strlen(EVENT), true);
		both_turn();
	}
	uint64_t before = vault_used();
	for (int i = 0; i < STREAMS; i++)
		peer_go_on(&p, u[i], long_answer, 1 << 20, true);
	for (int i = 0; i < 20; i++)
		both_turn();
	uint64_t kept = vault_used() - before;
	assert_true(kept >= STREAMS * (H2_STREAM_FULL / 2)); /* else nothing was tested */
	assert_true(kept <= STREAMS * (H2_STREAM_FULL + H2_UP_STREAM_WINDOW + BESIDE));
	for (int i = 0; i < 2000 && !s[0]->closed; i++) { /* and it goes on as if nothing had been */
		peer_take(&c, s[0], 20000);
		both_turn();
		if (s[0]->bytes == strlen(EVENT) + (1 << 20) && !u[0]->say_len)
			break;
	}
	assert_int_equal(s[0]->bytes, strlen(EVENT) + (1 << 20));
	assert_memory_equal(s[0]->text, long_answer, sizeof s[0]->text - 1);
}

/* A window that the way is too long for makes large answers slow; it widens while they are taken, for some of them at a time. */
static void
a_large_answer_that_is_taken_has_a_wide_window(void **state)
{
	enum { STREAMS = H2_UP_WIDE_MAX + 2 };
	struct peer_stream *u[STREAMS];
	for (int i = 0; i < STREAMS; i++) {
		(void)peer_ask(&c, hi_stream, strlen(hi_stream), NULL, false);
		u[i] = provider_hears();
		peer_answer(&p, u[i], "200", long_answer, 300 << 10, true);
		for (int k = 0; k < 4; k++)
			both_turn();
		int32_t window = nghttp2_session_get_stream_remote_window_size(p.session, u[i]->id);
		assert_true(i < H2_UP_WIDE_MAX ? window > H2_UP_STREAM_WINDOW : window <= H2_UP_STREAM_WINDOW);
	}
	peer_go_on(&p, u[0], EVENT_END, strlen(EVENT_END), false);
	for (int k = 0; k < 4; k++)
		both_turn();
	peer_go_on(&p, u[STREAMS - 1], long_answer, 300 << 10, true);
	for (int k = 0; k < 4; k++)
		both_turn();
	assert_true(nghttp2_session_get_stream_remote_window_size(p.session, u[STREAMS - 1]->id) > H2_UP_STREAM_WINDOW);
}

/* HEADERS without their end, and no more. */
static void
half_a_head_has_its_time(void **state)
{
	static const char half[] = {0, 0, 1, 1, 0, 0, 0, 0, 1, (char)0x83}; /* POST; END_HEADERS is not set */
	peer_say_raw(&c, half, sizeof half);
	rig_pass(&r, 5000);
	peer_turn(&c);
	assert_false(c.eof);
	rig_pass(&r, 6000);
	peer_turn(&c);
	assert_true(c.eof);
}

/* A byte is a field (RFC 7541 6.1). */
static void
say_head_of(size_t fields)
{
	enum { HEAD = 9 };
	static char frame[HEAD + 2000];
	const char head[HEAD] = {0, (char)(fields >> 8), (char)fields, 1, 5, 0, 0, 0, 1};
	memcpy(frame, head, HEAD);
	memset(frame + HEAD, 0x90, fields); /* accept-encoding: gzip, deflate */
	memcpy(frame + HEAD, "\x82\x86\x84", 3); /* GET, http, / */
	peer_say_raw(&c, frame, HEAD + fields);
	both_turn();
}

/* Who sends thousands makes everybody wait, and is not heard to the end. */
static void
a_head_that_unfolds_ends_the_connection(void **state)
{
	say_head_of(2000);
	assert_int_equal(atomic_load(&r.counters.h2_calmed), 1);
	assert_true(c.eof || c.gone_away);
}

/* Nor may others be refused their time because of one that asks all the time. */
static void
half_a_frame_between_requests_has_its_time(void **state)
{
	static const char half[] = {0, 0, 100, 1, 5, 0, 0, 0, 1, (char)0x83};
	peer_say_raw(&c, half, sizeof half);
	rig_pass(&r, 80000);
	peer_turn(&c);
	assert_true(c.eof);
}

/* ---- a provider that answers before it has heard all ---- */

static void
an_early_answer_is_read_whole(void **state)
{
	struct peer_stream *s = peer_ask(&c, long_body, strlen(long_body), NULL, false);
	peer_provider(&p, &r, rig_provider(&r, 0), false, 65535);
	both_turn();
	struct peer_stream *u = &p.streams[0];
	assert_true(u->bytes > 0 && !u->ended);
	peer_answer(&p, u, "429", TOO_MANY, 20, true);
	peer_take(&p, u, 30000); /* it takes more, but there is nothing left that would be said */
	both_turn();
	assert_false(u->closed);
	peer_go_on(&p, u, &TOO_MANY[20], strlen(TOO_MANY) - 20, false);
	both_turn();
	assert_string_equal(s->status, "429");
	assert_string_equal(s->text, TOO_MANY);
	assert_true(u->closed); /* the rest of the request is called off */
	assert_booked(1, 0);
}

/* ---- bodies that wait for memory ---- */

static void
bodies_that_waited_give_their_window_back(void **state)
{
	uint64_t all = 0;
	while (vault_admit(r.edge->vault, 4096))
		all += 4096;
	for (int i = 0; i < 8; i++) { /* 8 × 200 kB: more than the window of the connection */
		struct peer_stream *s = peer_ask(&c, long_body, 200000, NULL, false);
		assert_false(s->head);
		rig_pass(&r, 5000);
		peer_turn(&c);
		assert_string_equal(s->status, "503");
		assert_true(s->closed);
	}
	vault_release(r.edge->vault, all);
	struct peer_stream *s = peer_ask(&c, long_body, strlen(long_body), NULL, false);
	struct peer_stream *u = provider_hears();
	both_turn();
	assert_non_null(u);
	assert_true(u->ended && u->bytes >= strlen(long_body));
	assert_false(s->closed);
}

static void
who_waits_for_100_gets_it_with_the_memory(void **state)
{
	uint64_t all = 0;
	while (vault_admit(r.edge->vault, 4096))
		all += 4096;
	struct peer_stream *s = peer_ask(&c, NULL, strlen(hi), "100-continue", true);
	peer_turn(&c);
	assert_false(s->head);
	vault_release(r.edge->vault, all);
	rig_turn(&r);
	peer_turn(&c);
	assert_true(s->continued);
	peer_go_on(&c, s, hi, strlen(hi), false);
	assert_non_null(provider_hears());
}

/* ---- cuts ---- */

static void
forget_provider(void)
{
	for (int i = 1; i < r.dials; i++)
		close(r.provider[i]);
	peer_close(&p);
	for (r.dials = 0; rig_turn(&r), r.dials; r.dials = 0) /* who was not sent asks another, once */
		for (int i = 0; i < r.dials; i++)
			close(r.provider[i]);
}

/* The provider's connection ends behind each of its bytes: booked once, and only what is whole looks whole. */
static void
a_cut_behind_each_byte_of_the_provider(void **state)
{
	long tickets = 0;
	bool cut = true;
	for (size_t n = 0; cut; n++) {
		struct peer_stream *s = peer_ask(&c, hi_stream, strlen(hi_stream), NULL, false);
		peer_provider_cut(&p, &r, rig_provider(&r, 0), n);
		if (p.count && p.fd >= 0)
			peer_answer(&p, &p.streams[0], "200", EVENT EVENT_END, strlen(EVENT EVENT_END), false);
		peer_turn(&c);
		cut = p.fd < 0;
		forget_provider();
		int64_t before = rig_balance(&r);
		rig_book(&r);
		rig_pass(&r, 100); /* strict: what waited for it is said */
		peer_turn(&c);
		assert_true(s->closed && !r.edge->exchanges);
		bool whole = strstr(s->text, "[DONE]") != NULL;
		assert_true(whole == (s->ended && !s->error && !strcmp(s->status, "200") && !strstr(s->text, "upstream_cut")));
		assert_int_equal(rig_tickets(&r), ++tickets);
		assert_true(!whole || before - rig_balance(&r) == COST);
		c.count = 0;
	}
	rig_check_books(&r);
}

/* The client's, in the same way: what the provider was asked is booked once, and nothing is left. */
static void
a_cut_behind_each_byte_of_the_client(void **state)
{
	bool cut = true;
	for (size_t n = 0; cut; n++) {
		peer_close(&c);
		peer_client(&c, &r, rig_client(&r), true);
		c.limited = true;
		c.out_limit = n;
		long tickets = rig_tickets(&r);
		peer_ask(&c, hi_stream, strlen(hi_stream), NULL, false);
		if (r.dials && !p.session)
			peer_provider(&p, &r, rig_provider(&r, 0), true, 65535);
		if (p.session)
			peer_turn(&p);
		struct peer_stream *u = p.session && p.count ? &p.streams[0] : NULL;
		if (u)
			peer_answer(&p, u, "200", EVENT EVENT_END, strlen(EVENT EVENT_END), false);
		if (c.fd >= 0)
			peer_turn(&c);
		cut = c.fd < 0;
		if (p.session)
			peer_turn(&p);
		assert_null(r.edge->exchanges);
		rig_book(&r);
		assert_true(rig_tickets(&r) == tickets + (u != NULL));
		p.count = 0;
	}
	rig_check_books(&r);
}

/* ---- ends ---- */

static void
a_request_that_was_never_sent_goes_elsewhere(void **state)
{
	struct peer_stream *s = peer_ask(&c, hi, strlen(hi), NULL, false), *u = provider_hears();
	peer_answer(&p, u, "200", PLAIN_BODY, strlen(PLAIN_BODY), false);
	both_turn();
	assert_true(s->closed);
	/* The next request and the end of the connection come in the same turn, the request first. */
	shutdown(p.fd, SHUT_RDWR);
	struct peer_stream *again = peer_ask(&c, hi, strlen(hi), NULL, false);
	both_turn();
	assert_int_equal(r.dials, 2);
	peer_provider(&second, &r, rig_provider(&r, 1), true, 65535);
	peer_turn(&c);
	peer_turn(&second);
	assert_int_equal(second.count, 1);
	peer_answer(&second, &second.streams[0], "200", PLAIN_BODY, strlen(PLAIN_BODY), false);
	peer_turn(&c);
	assert_string_equal(again->status, "200");
	r.provider[1] = -1;
	peer_close(&second);
	assert_booked(2, 2 * COST);
}

/* All of the length, but no end: the exchange is over, and the stream too, after some time. */
static void
a_stream_without_an_end_is_let_go(void **state)
{
	char length[16];
	struct peer_stream *s = peer_ask(&c, hi, strlen(hi), NULL, false), *u = provider_hears();
	snprintf(length, sizeof length, "%zu", strlen(PLAIN_BODY));
	u->stays = true;
	const nghttp2_nv fields[] = {{(uint8_t *)":status", (uint8_t *)"200", 7, 3, 0}, {(uint8_t *)"content-type", (uint8_t *)"application/json", 12, 16, 0},
		{(uint8_t *)"content-length", (uint8_t *)length, 14, strlen(length), 0}};
	nghttp2_submit_headers(p.session, NGHTTP2_FLAG_NONE, u->id, NULL, fields, 3, NULL);
	peer_turn(&p);
	char frame[9 + sizeof PLAIN_BODY] = {0, 0, (char)strlen(PLAIN_BODY), 0, 0, 0, 0, 0, (char)u->id};
	memcpy(frame + 9, PLAIN_BODY, strlen(PLAIN_BODY));
	peer_say_raw(&p, frame, 9 + strlen(PLAIN_BODY));
	both_turn();
	assert_string_equal(s->text, PLAIN_BODY);
	assert_true(s->ended);
	rig_pass(&r, 20000);
	both_turn();
	assert_true(u->closed);
	assert_booked(1, COST);
}

/* Who has what it wants closes the stream before it hears the end: no flood. */
static void
resets_behind_an_answer_are_none(void **state)
{
	struct peer_stream *s = NULL;
	for (int i = 0; i < 400; i++) {
		s = peer_ask(&c, hi_stream, strlen(hi_stream), NULL, false);
		struct peer_stream *u = provider_hears();
		peer_answer(&p, u, "200", EVENT EVENT_END, strlen(EVENT EVENT_END), true);
		both_turn();
		assert_string_equal(s->status, "200");
		nghttp2_submit_rst_stream(c.session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
		both_turn();
		assert_false(c.gone_away);
		if (i % 30 == 29)
			rig_book(&r);
	}
	assert_booked(400, 400 * COST);
}

/* Of those that come and go in one turn a few cost what an exchange does, the others nothing, and are told that they may come again. */
static void
resets_at_once_cost_little(void **state)
{
	enum { HEAD = 9, PAIR = HEAD + 3 + HEAD + 4, PAIRS = 100 };
	static char all[PAIRS * PAIR], heard[64 << 10];
	for (uint8_t i = 0; i < PAIRS; i++) {
		uint16_t id = (uint16_t)(2 * i + 1);
		const char pair[PAIR] = {0, 0, 3, 1, 5, 0, 0, (char)(id >> 8), (char)id, (char)0x82, (char)0x86, (char)0x84, /* GET, http, / */
			0, 0, 4, 3, 0, 0, 0, (char)(id >> 8), (char)id, 0, 0, 0, 8};
		memcpy(all + i * PAIR, pair, PAIR);
	}
	struct vault_facts before, after;
	vault_facts(r.edge->vault, &before);
	peer_say_raw(&c, all, sizeof all);
	for (int i = 0; i < 4; i++)
		rig_turn(&r);
	vault_facts(r.edge->vault, &after);
	assert_in_range(after.peak_bytes - before.used_bytes, 1, 512 << 10);
	assert_true(atomic_load(&r.counters.h2_streams) <= H2_CUT_SHORT_TURN + 1u);
	ssize_t n = recv(c.fd, heard, sizeof heard, MSG_DONTWAIT);
	int refused = 0;
	for (const char *at = heard; n > 0 && (at = memmem(at, (size_t)(heard + n - at), "\0\0\4\3\0\0\0", 7)); at++)
		refused += at[12] == NGHTTP2_REFUSED_STREAM;
	assert_int_equal(refused, PAIRS - H2_CUT_SHORT_TURN);
	assert_int_equal(atomic_load(&r.counters.h2_calmed), 0);
}

/* Thousands broken off in their middle, both ways; the windows are still there. */
static void
windows_survive_what_is_broken_off(void **state)
{
	for (int i = 0; i < 1000; i++) {
		struct peer_stream *s = peer_ask(&c, body_60k, strlen(body_60k) - i % 2, NULL, i % 2), *u = provider_hears();
		if (i % 2 == 0)
			peer_answer(&p, u, "200", long_answer, 100000, true);
		both_turn();
		nghttp2_submit_rst_stream(c.session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
		both_turn();
		assert_false(c.gone_away || p.gone_away);
		c.count = p.count = 0;
		if (i % 20 == 19) {
			rig_pass(&r, 2000);
			rig_book(&r);
		}
	}
	struct peer_stream *s = peer_ask(&c, long_body, strlen(long_body), NULL, false), *u = provider_hears();
	both_turn();
	assert_true(u->ended && u->bytes >= strlen(long_body));
	peer_answer(&p, u, "200", long_answer, strlen(long_answer), false);
	for (int i = 0; i < 20 && !s->ended; i++)
		both_turn();
	assert_true(s->ended);
	assert_int_equal(s->bytes, strlen(long_answer));
	rig_book(&r);
	rig_check_books(&r);
}

/* ---- money, wherever a stream or its connection ends ---- */

static uint64_t
ended(enum end_reason reason)
{
	return atomic_load(&r.counters.ended[reason]);
}

/* What the client has when it resets its stream, as far as the exchange had come. */
enum point { HALF_ASKED,
	UNHEARD, /* said, but the provider has not looked yet */
	ASKED,
	HEAD,
	EVENTS,
	ALL_BUT_END,
	HALF_SENT, /* the window of the provider's connection is used up by it */
	POINTS };

/* Up to there; the provider's stream, if it has heard of it. */
static struct peer_stream *
come_to(enum point point, struct peer_stream **ret_client)
{
	bool connected = p.session;
	const char *body = point == HALF_SENT ? long_body : hi_stream;
	*ret_client = peer_ask(&c, body, strlen(body) - (point == HALF_ASKED), NULL, point == HALF_ASKED);
	if (point <= UNHEARD)
		return NULL;
	if (!connected)
		peer_provider(&p, &r, rig_provider(&r, 0), false, 65535);
	both_turn();
	struct peer_stream *u = &p.streams[p.count - 1];
	if (point >= HEAD && point <= ALL_BUT_END)
		peer_answer(&p, u, "200", EVENT EVENT_END, point == HEAD ? 0 : point == EVENTS ? strlen(EVENT)
																					   : strlen(EVENT EVENT_END),
			true);
	both_turn();
	return u;
}

static void
a_client_resets_at_each_point(void **state)
{
	static const struct {
		enum end_reason reason;
		int tickets;
	} rows[POINTS] = {
		[HALF_ASKED] = {END_CLIENT_GONE_EARLY, 0},
		[UNHEARD] = {END_CLIENT_GONE, 1},
		[HALF_SENT] = {END_CLIENT_GONE_EARLY, 1},
		[ASKED] = {END_CLIENT_GONE, 1},
		[HEAD] = {END_CLIENT_GONE, 1},
		[EVENTS] = {END_CLIENT_GONE, 1},
		[ALL_BUT_END] = {END_CLIENT_GONE, 1},
	};
	long tickets = 0;
	for (int i = 0; i < POINTS; i++) {
		struct peer_stream *s;
		uint64_t before = ended(rows[i].reason);
		int64_t had = rig_balance(&r);
		struct peer_stream *u = come_to((enum point)i, &s);
		nghttp2_submit_rst_stream(c.session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
		peer_turn(&c);
		assert_null(r.edge->exchanges);
		if (u) {
			peer_turn(&p);
			assert_true(u->closed && !p.eof);
		}
		rig_book(&r);
		tickets += rows[i].tickets;
		assert_int_equal(rig_tickets(&r), tickets);
		assert_int_equal(ended(rows[i].reason), before + 1);
		assert_true((had - rig_balance(&r) > 0) == (rows[i].reason == END_CLIENT_GONE));
		if (i == ALL_BUT_END) /* what was reported is what is paid */
			assert_int_equal(had - rig_balance(&r), COST);
	}
	rig_check_books(&r);
}

/* What a provider does: RST_STREAM with this error, GOAWAY that leaves the stream out, GOAWAY that keeps it, the end of the connection. */
enum blow { RESET,
	REFUSE,
	RESET_WITHOUT_ERROR,
	LEAVE_OUT,
	LEAVE_LATER,
	CUT,
	BLOWS };

static void
strike(enum blow blow, const struct peer_stream *u)
{
	static const uint32_t errors[] = {[RESET] = NGHTTP2_INTERNAL_ERROR, [REFUSE] = NGHTTP2_REFUSED_STREAM, [RESET_WITHOUT_ERROR] = NGHTTP2_NO_ERROR};
	if (blow <= RESET_WITHOUT_ERROR)
		nghttp2_submit_rst_stream(p.session, NGHTTP2_FLAG_NONE, u->id, errors[blow]);
	else if (blow != CUT)
		nghttp2_submit_goaway(p.session, NGHTTP2_FLAG_NONE, blow == LEAVE_OUT ? u->id - 1 : u->id, NGHTTP2_NO_ERROR, NULL, 0);
	if (blow == CUT)
		shutdown(p.fd, SHUT_RDWR);
	peer_turn(&p);
	peer_turn(&c);
}

/* Asked once more, on whichever connection: it was never looked at. */
static void
answer_again(void)
{
	struct peer *to = &p;
	if (r.dials > 1) {
		peer_provider(&second, &r, rig_provider(&r, 1), true, 65535);
		to = &second;
	}
	peer_turn(&c);
	peer_turn(to);
	struct peer_stream *u = &to->streams[to->count - 1];
	assert_true(u->ended && !u->closed);
	peer_answer(to, u, "200", EVENT EVENT_END, strlen(EVENT EVENT_END), false);
	peer_turn(&c);
	if (to == &second) {
		r.provider[1] = -1;
		peer_close(&second);
	}
}

/* Nothing is asked twice but what was refused unseen; each ticket is booked once; what is not whole does not look whole. */
static void
a_provider_strikes_at_each_point(void **state)
{
	for (int blow = 0; blow < BLOWS; blow++)
		for (int point = ASKED; point <= ALL_BUT_END; point++) {
			struct peer_stream *s, *u = come_to((enum point)point, &s);
			size_t heard = (size_t)p.count;
			strike((enum blow)blow, u);
			bool again = point == ASKED && (blow == REFUSE || blow == LEAVE_OUT);
			if (again)
				answer_again();
			else if (blow == LEAVE_LATER) {
				assert_non_null(r.edge->exchanges);
				if (point == ASKED)
					peer_answer(&p, u, "200", EVENT EVENT_END, strlen(EVENT EVENT_END), false);
				else
					peer_go_on(&p, u, EVENT_END, strlen(EVENT_END), false);
				peer_turn(&c);
			} else
				assert_int_equal(p.count, heard);
			assert_null(r.edge->exchanges);
			assert_true(s->closed);
			bool whole = again || blow == LEAVE_LATER || point == ALL_BUT_END;
			assert_int_equal(!strncmp(s->status, "200", 3) && s->ended && !s->error && !strstr(s->text, "upstream_cut"), whole);
			assert_int_equal(strcmp(s->status, "502") == 0, point == ASKED && !whole);
			rig_book(&r);
			assert_int_equal(rig_tickets(&r), 1);
			int64_t paid = 1000000000000 - rig_balance(&r);
			assert_true(whole ? paid == COST : point >= EVENTS ? paid > 0 && paid < 2 * COST
															   : paid == 0);
			rig_check_books(&r);
			closed(NULL);
			open_with(DURABILITY_BATCHED);
		}
}

/* Whatever it says afterwards: it has looked at the request, so nobody else is asked. */
static void
who_gave_an_interim_answer_has_looked(void **state)
{
	const nghttp2_nv status = {(uint8_t *)":status", (uint8_t *)"103", 7, 3, 0};
	struct peer_stream *s = peer_ask(&c, hi, strlen(hi), NULL, false), *u = provider_hears();
	nghttp2_submit_headers(p.session, NGHTTP2_FLAG_NONE, u->id, NULL, &status, 1, NULL);
	peer_turn(&p);
	strike(REFUSE, u);
	assert_int_equal(p.count, 1);
	assert_string_equal(s->status, "502");
	assert_booked(1, 0);
}

/* Many at once on a connection that breaks, each somewhere else on its way. */
static void
a_connection_breaks_under_many(void **state)
{
	enum { MANY = 30 };
	struct peer_stream *s[MANY];
	for (int i = 0; i < MANY; i++)
		come_to((enum point)(ASKED + i % 4), &s[i]);
	assert_int_equal(p.count, MANY);
	shutdown(p.fd, SHUT_RDWR);
	peer_turn(&c);
	assert_null(r.edge->exchanges);
	uint64_t unreachable = ended(END_PROVIDER_UNREACHABLE), cut = ended(END_PROVIDER_CUT), completed = ended(END_COMPLETED);
	for (int i = 0; i < MANY; i++) {
		assert_true(s[i]->closed);
		assert_string_equal(s[i]->status, i % 4 == 0 ? "502" : "200");
	}
	assert_int_equal(unreachable, 8);
	assert_int_equal(cut, 15);
	assert_int_equal(completed, 7);
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), MANY);
	rig_check_books(&r);
	int64_t paid = 1000000000000 - rig_balance(&r);
	assert_true(paid > 7 * COST && paid < (7 + 2 * 8) * COST);
}

/* The same with the client's connection. */
static void
a_clients_connection_breaks_under_many(void **state)
{
	enum { MANY = 28 };
	struct peer_stream *s;
	for (int i = 0; i < MANY; i++)
		come_to((enum point)(ASKED + i % 4), &s);
	shutdown(c.fd, SHUT_RDWR);
	both_turn();
	assert_null(r.edge->exchanges);
	assert_int_equal(ended(END_CLIENT_GONE), MANY);
	for (int i = 0; i < MANY; i++)
		assert_true(p.streams[i].closed);
	assert_false(p.eof);
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), MANY);
	rig_check_books(&r);
}

/* ---- a provider that is there no longer ---- */

static void
who_is_silent_is_asked_and_left(void **state)
{
	struct peer_stream *s = peer_ask(&c, hi, strlen(hi), NULL, false), *u = provider_hears();
	for (int i = 0; i < 20; i++) { /* it thinks for minutes, but answers that it is there */
		rig_pass(&r, 10000);
		peer_turn(&p);
		peer_turn(&c);
	}
	assert_false(s->closed || p.eof || u->closed);
	nghttp2_submit_ping(p.session, NGHTTP2_FLAG_NONE, NULL);
	peer_turn(&p);
	rig_pass(&r, 44000); /* it is gone, and nobody has said so */
	peer_turn(&c);
	assert_false(s->closed);
	rig_pass(&r, 3000);
	peer_turn(&c);
	assert_string_equal(s->status, "502"); /* it may have been seen: it is not asked again */
	assert_int_equal(ended(END_PROVIDER_UNREACHABLE), 1);
	struct peer_stream *next = peer_ask(&c, hi, strlen(hi), NULL, false);
	peer_provider(&second, &r, rig_provider(&r, 1), true, 65535);
	peer_turn(&c);
	peer_turn(&second);
	assert_int_equal(second.count, 1);
	peer_answer(&second, &second.streams[0], "200", PLAIN_BODY, strlen(PLAIN_BODY), false);
	peer_turn(&c);
	assert_string_equal(next->status, "200");
	r.provider[1] = -1;
	peer_close(&second);
	assert_booked(2, COST);
}

/* One that rests may be silent as long as it rests. */
static void
who_rests_is_not_asked(void **state)
{
	struct peer_stream *s = peer_ask(&c, hi, strlen(hi), NULL, false), *u = provider_hears();
	peer_answer(&p, u, "200", PLAIN_BODY, strlen(PLAIN_BODY), false);
	both_turn();
	assert_true(s->closed);
	rig_pass(&r, 50000);
	s = peer_ask(&c, hi, strlen(hi), NULL, false);
	rig_pass(&r, 20000);
	assert_false(s->closed);
	u = provider_hears();
	assert_int_equal(r.dials, 1);
	peer_answer(&p, u, "200", PLAIN_BODY, strlen(PLAIN_BODY), false);
	both_turn();
	assert_string_equal(s->status, "200");
	assert_booked(2, 2 * COST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_answer_passes_through_both_sides, opened, closed),
		cmocka_unit_test_setup_teardown(an_answer_passes_through_both_sides, strict, closed),
		cmocka_unit_test_setup_teardown(a_steady_reader_may_be_slow, opened, closed),
		cmocka_unit_test_setup_teardown(windows_are_opened_for_what_was_sent, opened, closed),
		cmocka_unit_test_setup_teardown(a_client_that_reads_nothing_costs_its_box_and_a_window, opened, closed),
		cmocka_unit_test_setup_teardown(a_large_answer_that_is_taken_has_a_wide_window, opened, closed),
		cmocka_unit_test_setup_teardown(half_a_head_has_its_time, opened, closed),
		cmocka_unit_test_setup_teardown(a_head_that_unfolds_ends_the_connection, opened, closed),
		cmocka_unit_test_setup_teardown(half_a_frame_between_requests_has_its_time, opened, closed),
		cmocka_unit_test_setup_teardown(an_early_answer_is_read_whole, opened, closed),
		cmocka_unit_test_setup_teardown(bodies_that_waited_give_their_window_back, opened, closed),
		cmocka_unit_test_setup_teardown(who_waits_for_100_gets_it_with_the_memory, opened, closed),
		cmocka_unit_test_setup_teardown(a_provider_that_has_said_all_and_goes_while_its_stream_waits_for_money_cuts_nothing, opened, closed),
		cmocka_unit_test_setup_teardown(a_cut_behind_each_byte_of_the_provider, opened, closed),
		cmocka_unit_test_setup_teardown(a_cut_behind_each_byte_of_the_provider, strict, closed),
		cmocka_unit_test_setup_teardown(a_cut_behind_each_byte_of_the_client, opened, closed),
		cmocka_unit_test_setup_teardown(a_request_that_was_never_sent_goes_elsewhere, opened, closed),
		cmocka_unit_test_setup_teardown(a_stream_without_an_end_is_let_go, opened, closed),
		cmocka_unit_test_setup_teardown(resets_behind_an_answer_are_none, opened, closed),
		cmocka_unit_test_setup_teardown(resets_at_once_cost_little, opened, closed),
		cmocka_unit_test_setup_teardown(windows_survive_what_is_broken_off, opened, closed),
		cmocka_unit_test_setup_teardown(a_client_resets_at_each_point, opened, closed),
		cmocka_unit_test_setup_teardown(a_provider_strikes_at_each_point, opened, closed),
		cmocka_unit_test_setup_teardown(who_gave_an_interim_answer_has_looked, opened, closed),
		cmocka_unit_test_setup_teardown(a_connection_breaks_under_many, opened, closed),
		cmocka_unit_test_setup_teardown(a_clients_connection_breaks_under_many, opened, closed),
		cmocka_unit_test_setup_teardown(who_is_silent_is_asked_and_left, opened, closed),
		cmocka_unit_test_setup_teardown(who_rests_is_not_asked, opened, closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
