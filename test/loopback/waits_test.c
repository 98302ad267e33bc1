/* The ledger stands still, and requests need something of it: a row, an own key, a round of booking, money set aside for a batch, a list, its leave to delete, a receipt. All of them stand in one line. */
#include "loopback/talk.h"

#include "core/ipc.h"
#include "ticket/board.h"
#include "ticket/circuit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { TICKETS = 64, /* the rig's board */
	PATIENT = TICKETS - TICKETS / 4, /* so many wait with one, */
	SHARE = TICKETS / 4, /* … of one account */
	WAIT_MS = 8000,
	A_MOMENT_MS = 50,
	AWAY = 8, /* accounts that are not on the board: */
	ACCOUNTS = AWAY + 16 /* others have got its slots since */ };

#define OFFER "context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}, {from: 2020-01-01, tier: batch, times: \"0.5\"}]}\n"
static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"byok_fee: {percent: '5', per_request: '0.00001'}\n"
	"providers:\n"
	"  - {name: one, url: 'http://127.0.0.1:1/v1', keys: [{env: RIG_KEY}]}\n"
	"  - {name: keeper, url: 'http://127.0.0.1:9/v1', dialect: anthropic, keys: [{env: RIG_KEY}], objects: true}\n"
	"models:\n"
	"  - {id: m, provider: one, " OFFER
	"  - {id: claude, provider: keeper, " OFFER;

#define JSON "content-type: application/json\r\n"
#define CHAT "{\"model\":\"m\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define ANSWER "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
			   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"
#define BATCH "{\"requests\":[{\"custom_id\":\"a\",\"params\":{\"model\":\"claude\",\"max_tokens\":1000,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}}]}"
#define RUNS "{\"id\":\"msgbatch_b\",\"type\":\"message_batch\",\"processing_status\":\"in_progress\",\"request_counts\":{\"processing\":1},\"results_url\":null}"
#define RESULTS "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"ok\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":400,\"output_tokens\":50,\"service_tier\":\"batch\"}}}}\n"
enum { BATCH_COST = 400 * 500 + 50 * 1000 };

/* ---- who asks, and what for ---- */

static char away[ACCOUNTS][API_KEY_BYTES + 1], owner[API_KEY_BYTES + 1], poor[API_KEY_BYTES + 1], batch[1024], paid[1024];
static int next; /* of those that are away: who was asked for is here */

static json_t *
done(json_t *request)
{
	json_t *answer = rig_control(&r, request);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	return answer;
}

static void
account(const char *name, const char *amount, char ret_key[API_KEY_BYTES + 1])
{
	json_decref(done(json_pack("{s:s,s:s}", "op", "account.create", "name", name)));
	json_decref(done(json_pack("{s:s,s:s,s:s,s:s}", "op", "credit.add", "account", name, "amount", amount, "reason", name)));
	json_t *k = done(json_pack("{s:s,s:s}", "op", "key.create", "account", name));
	strcpy(ret_key, json_string_value(json_object_get(k, "secret")));
	json_decref(k);
}

static int
chat(const char *key)
{
	return talk_ask(key, "POST /v1/chat/completions", JSON, CHAT);
}

static int
list(const char *key)
{
	return talk_ask(key, "GET /v1/messages/batches", "", NULL);
}

static void
answer_chat(int c)
{
	talk_provider_says(talk_provider_sees("POST /v1/chat/completions HTTP/1.1\r\n"), "200 OK", JSON, ANSWER);
	talk_client_gets(c, "200");
}

static int
asks_row(void)
{
	return chat(away[next++]);
}

static int
asks_row_as_anthropic(void)
{
	return talk_ask(away[next++], "POST /v1/messages", JSON, CHAT);
}

static int
asks_row_as_gemini(void)
{
	return talk_ask(away[next++], "POST /v1beta/models/m:generateContent", JSON, "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]}");
}

static int
asks_key(void)
{
	return chat(owner);
}

/* Which no edge has yet. */
static int
asks_new_key(void)
{
	rig_own_key(&r, "owner", "one", "sk-theirs-2", false, NULL);
	return asks_key();
}

static int
asks_round(void)
{
	atomic_store(board_sleeping(r.process.board), 0);
	return chat(poor);
}

static int
asks_batch(void)
{
	return talk_ask(r.key, "POST /v1/messages/batches", JSON, BATCH);
}

static int
asks_list(void)
{
	return list(r.key);
}

static int
asks_deletion(void)
{
	char line[1100];
	sprintf(line, "DELETE /v1/messages/batches/%s", batch);
	return talk_ask(r.key, line, "", NULL);
}

static int
asks_receipt(void)
{
	char line[1100];
	sprintf(line, "GET /v1/receipts/%s", paid);
	return talk_ask(talk_other_key, line, "", NULL);
}

enum { ROUND = 4,
	RECEIPT = 8 };
static const struct kind {
	int (*ask)(void);
	const char *says; /* when it has waited in vain */
} kinds[] = {
	{asks_row, "{\"error\":{\"message\":"},
	{asks_row_as_anthropic, "{\"type\":\"error\",\"error\":{\"type\":"},
	{asks_row_as_gemini, "\"status\":\"UNAVAILABLE\""},
	{asks_new_key, "{\"error\":{\"message\":"},
	[ROUND] = {asks_round, "{\"error\":{\"message\":"},
	{asks_batch, "{\"type\":\"error\",\"error\":{\"type\":"},
	{asks_list, "{\"type\":\"error\",\"error\":{\"type\":"},
	{asks_deletion, "{\"type\":\"error\",\"error\":{\"type\":"},
	[RECEIPT] = {asks_receipt, "{\"error\":{\"message\":"}, /* it has no ticket that it could keep from others */
};

/* ---- fixtures ---- */

static int
opened(void **state)
{
	talk_open(catalogue);
	for (int i = 0; i < ACCOUNTS; i++) {
		char name[32];
		sprintf(name, "away%d", i);
		account(name, "1.00", away[i]);
	}
	account("owner", "1.00", owner);
	account("poor", "0.00001", poor);
	int c = asks_batch();
	talk_provider_says(talk_provider_sees("POST /v1/messages/batches HTTP/1.1\r\n"), "200 OK", JSON, RUNS);
	talk_member(talk_client_gets(c, "200"), "id", batch);
	talk_client_gets(list(owner), "200");
	talk_client_gets(list(poor), "200");
	answer_chat(chat(talk_other_key));
	talk_field("x-request-id", paid);
	rig_own_key(&r, "owner", "one", "sk-theirs-1", false, NULL);
	rig_book(&r);
	next = 0;
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

static void
make_arrow(int bytes)
{
	assert_return_code(setsockopt(r.edge->ledger.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
}

static void
stall(void)
{
	make_arrow(1);
	r.deaf = true;
}

/* The arrow takes no more. What it has is answered, to nobody. */
static void
fill(void)
{
	struct message_row m = MESSAGE_INIT(LOAD, message_row);
	stall();
	while (ipc_send(r.edge->ledger.fd, &m, sizeof m, -1) == IPC_OK)
		;
}

static void
hear(void)
{
	r.deaf = false;
	for (int i = 0; i < TICKETS && (r.edge->patient || r.edge->wait_question.first); i++)
		rig_pass(&r, 1);
	rig_pass(&r, A_MOMENT_MS);
}

static int
in_line(void)
{
	int n = 0;
	for (const struct exchange *x = r.edge->wait_question.first; x; x = x->wait_next)
		n++;
	return n;
}

static int
open_exchanges(void)
{
	int n = 0;
	for (const struct exchange *x = r.edge->exchanges; x; x = x->next)
		n++;
	return n;
}

static void
waits(int c)
{
	bool eof;
	assert_int_equal(rig_read(&r, c, talk_out, &eof), 0);
	assert_false(eof);
}

static size_t
holds(void)
{
	json_t *a = done(json_pack("{s:s,s:b}", "op", "hold.list", "open", 1));
	size_t n = json_array_size(json_object_get(a, "items"));
	json_decref(a);
	return n;
}

/* Each ticket can be had. */
static void
all_is_free(void)
{
	struct ticket *t[TICKETS];
	rig_book(&r);
	assert_null(r.edge->exchanges);
	assert_int_equal(r.edge->patient + r.edge->spares, 0);
	for (int i = 0; i < TICKETS; i++)
		assert_non_null(t[i] = ticket_pick(r.edge->desk));
	for (int i = 0; i < TICKETS; i++)
		ticket_unpick(r.edge->desk, t[i]);
}

struct standing {
	int64_t balance;
	size_t holds;
	long tickets;
	int dials;
};

static struct standing
standing(void)
{
	rig_book(&r);
	return (struct standing){rig_balance(&r), holds(), rig_tickets(&r), r.dials};
}

static void
stands_as(const struct standing *before)
{
	struct standing now = standing();
	assert_int_equal(now.balance, before->balance);
	assert_int_equal(now.holds, before->holds);
	assert_int_equal(now.dials, before->dials);
	rig_check_books(&r);
}

/* ---- tests ---- */

static void
who_goes_while_it_waits_leaves_nothing(void **state)
{
	struct standing before = standing();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		for (int full = 0; full < 2; full++) {
			if (full)
				fill();
			else
				stall();
			int c = kinds[i].ask();
			waits(c);
			assert_int_equal(r.edge->patient, i != RECEIPT);
			assert_int_equal(in_line(), full && i != ROUND);
			close(c);
			rig_turn(&r);
			assert_int_equal(open_exchanges(), 0);
			all_is_free();
			hear();
			all_is_free();
			stands_as(&before);
		}
}

static void
the_wait_has_an_end_in_each_dialect(void **state)
{
	struct standing before = standing();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		for (int full = 0; full < 2; full++) {
			if (full)
				fill();
			else
				stall();
			int c = kinds[i].ask();
			rig_pass(&r, WAIT_MS - A_MOMENT_MS);
			waits(c);
			rig_pass(&r, 2 * A_MOMENT_MS);
			const char *body = talk_client_gets(c, "503");
			assert_non_null(strstr(talk_out, "\r\nretry-after: 1\r\n"));
			assert_non_null(strstr(body, kinds[i].says));
			all_is_free();
			hear();
			stands_as(&before);
		}
}

/* An edge whose time is over does not wait for the ledger. */
static void
an_edge_that_ends_leaves_nothing(void **state)
{
	struct standing before = standing();
	int c[ARRAY_LEN(kinds)];
	fill();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		c[i] = kinds[i].ask();
	assert_int_equal(open_exchanges(), (int)ARRAY_LEN(kinds));
	edge_stop(r.edge);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		talk_client_gets(c[i], "502");
	all_is_free();
	r.deaf = false;
	rig_turn(&r);
	stands_as(&before);
}

/* In the order in which they came, whatever they ask. */
static void
all_are_served(int (*const ask[])(void), const int c[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ask[i] == asks_batch) {
			talk_provider_says(talk_provider_sees("POST /v1/messages/batches HTTP/1.1\r\n"), "200 OK", JSON, RUNS);
			talk_client_gets(c[i], "200");
		} else if (ask[i] == asks_list) {
			talk_provider_says(talk_provider_sees("GET /v1/messages/batches/msgbatch_b HTTP/1.1\r\n"), "200 OK", JSON, RUNS);
			talk_client_gets(c[i], "200");
		} else if (ask[i] == asks_deletion) { /* it runs; where there is time that is asked again */
			char byte;
			for (int again = 0; again < 3 && recv(c[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0; again++)
				rig_pass(&r, 100);
			assert_non_null(strstr(talk_client_gets(c[i], "400"), "has not been paid for yet"));
		} else if (ask[i] == asks_receipt)
			assert_non_null(strstr(talk_client_gets(c[i], "200"), paid));
		else
			answer_chat(c[i]);
	}
}

/* In the second order a ledger is asked that was started anew. */
enum { MIXED = 8,
	MIXED_TICKETS = MIXED - 1 };
static int (*const mixed[2][MIXED])(void) = {
	{asks_list, asks_key, asks_receipt, asks_row, asks_batch, asks_deletion, asks_list, asks_row},
	{asks_row, asks_row, asks_list, asks_batch, asks_receipt, asks_deletion, asks_list, asks_key},
};

static struct standing before;

static void
mix(int order, int c[MIXED])
{
	before = standing();
	for (size_t i = 0; i < MIXED; i++) {
		c[i] = mixed[order][i]();
		waits(c[i]);
	}
}

static void
mixed_are_served(int order, const int c[MIXED])
{
	hear();
	all_are_served(mixed[order], c, MIXED);
	all_is_free();
	struct standing now = standing();
	assert_int_equal(now.tickets - before.tickets, MIXED_TICKETS);
	assert_int_equal(now.holds, before.holds + 1);
	rig_check_books(&r);
}

static void
all_questions_stand_in_one_line(void **state)
{
	int c[MIXED];
	fill();
	mix(0, c);
	assert_int_equal(in_line(), MIXED);
	rig_pass(&r, WAIT_MS - A_MOMENT_MS);
	mixed_are_served(0, c);
}

static void
a_ledger_that_was_killed_while_they_waited_is_asked_anew(void **state)
{
	int c[MIXED];
	fill();
	mix(0, c);
	assert_int_equal(in_line(), MIXED);
	rig_renew(&r, END_OF_LEDGER);
	rig_turn(&r);
	assert_int_equal(in_line(), 0);
	mixed_are_served(0, c);
}

static void
what_a_ledger_was_asked_when_it_was_killed_is_asked_again(void **state)
{
	int c[MIXED];
	r.deaf = true;
	mix(1, c);
	assert_int_equal(in_line(), 0);
	rig_renew(&r, END_OF_LEDGER);
	rig_turn(&r);
	mixed_are_served(1, c);
}

/* The second has not asked: the first has. */
static void
who_joined_the_line_for_a_key_asks_the_next_ledger_for_it(void **state)
{
	static int (*const both[])(void) = {asks_key, asks_key};
	int c[2];
	r.deaf = true;
	for (int i = 0; i < 2; i++) {
		c[i] = both[i]();
		waits(c[i]);
	}
	rig_renew(&r, END_OF_LEDGER);
	rig_turn(&r);
	hear();
	all_are_served(both, c, 2);
	all_is_free();
	rig_check_books(&r);
}

/* One of an account at a time, wherever it waits. */
static void
a_second_question_for_a_receipt_is_refused(void **state)
{
	for (int full = 0; full < 2; full++) {
		if (full)
			fill();
		else
			stall();
		int c = asks_receipt();
		talk_client_gets(asks_receipt(), "429");
		waits(c);
		assert_int_equal(in_line(), full);
		hear();
		assert_non_null(strstr(talk_client_gets(c, "200"), paid));
	}
}

/* It serves them, and nobody else. */
static void
an_edge_that_is_to_end_serves_those_in_line(void **state)
{
	int c[MIXED];
	fill();
	mix(0, c);
	assert_int_equal(in_line(), MIXED);
	rig_tell(&r, MESSAGE_DRAIN);
	rig_turn(&r);
	waits(c[0]);
	mixed_are_served(0, c);
}

/* ---- what runs at the provider ---- */

/* A batch that has begun there, and of which the ledger can't hear yet. */
static int
begin_batch_and_stall(void)
{
	int c = asks_batch(), p = talk_provider_sees("POST /v1/messages/batches HTTP/1.1\r\n");
	fill();
	talk_provider_says(p, "200 OK", JSON, RUNS);
	rig_turn(&r);
	waits(c);
	assert_int_equal(in_line(), 1);
	return c;
}

static void
what_runs_is_told_when_its_turn_comes(void **state)
{
	char id[1024];
	int c = begin_batch_and_stall();
	rig_pass(&r, WAIT_MS - A_MOMENT_MS);
	waits(c);
	hear();
	talk_member(talk_client_gets(c, "200"), "id", id);
	assert_int_equal(holds(), 2);
	all_is_free();
}

/* Its client goes: the ledger hears of it all the same, and whoever looks after it pays. */
static void
what_runs_is_told_also_when_its_client_went(void **state)
{
	size_t begun = holds();
	close(begin_batch_and_stall());
	rig_turn(&r);
	assert_null(r.edge->clients);
	assert_int_equal(open_exchanges(), 1);
	hear();
	make_arrow(1 << 16);
	all_is_free();
	assert_int_equal(holds(), begun + 1);
	assert_false(talk_reported(EVENT_WORK_ORPHANED));
	for (size_t i = 0; i <= begun; i++) {
		assert_true(rig_errand(&r, 16000));
		talk_provider_says(talk_provider_sees("GET /v1/messages/batches/msgbatch_b/results HTTP/1.1\r\n"), "200 OK", JSON, RESULTS);
		rig_turn(&r);
	}
	rig_book(&r);
	assert_int_equal(holds(), 0);
	assert_int_equal(rig_balance(&r), 1000000000 - (int64_t)(begun + 1) * BATCH_COST);
}

/* Nothing was asked of the provider yet: what was set aside is given back, whenever the ledger can hear of it, and whichever does. */
static void
who_goes_before_it_runs_is_told_of_when_there_is_room(void **state)
{
	for (int anew = 0; anew < 2; anew++) {
		struct standing then = standing();
		r.leave = ~0u;
		int c = asks_batch();
		rig_turn(&r);
		assert_int_equal(holds(), then.holds + 1);
		fill();
		close(c);
		rig_turn(&r);
		assert_null(r.edge->clients);
		rig_pass(&r, 2 * WAIT_MS);
		assert_int_equal(open_exchanges(), 1);
		if (anew)
			rig_renew(&r, END_OF_LEDGER);
		hear();
		make_arrow(1 << 16);
		rig_pass(&r, 100);
		all_is_free();
		stands_as(&then);
	}
}

static void
pass_by_moments(int ms)
{
	for (int i = 0; i < ms; i += A_MOMENT_MS)
		rig_pass(&r, A_MOMENT_MS);
}

/* A batch that was not begun at the provider; the ledger's store is away just then, and it was told twice by now. */
static void
go_before_it_runs(void)
{
	r.leave = ~0u;
	size_t before_it = holds();
	int c = asks_batch();
	rig_turn(&r);
	assert_int_equal(holds(), before_it + 1);
	r.puts_off = 4;
	close(c);
	rig_turn(&r);
	assert_int_equal(r.put_off, 1);
	assert_int_equal(open_exchanges(), 1);
	pass_by_moments(2 * A_MOMENT_MS);
	assert_int_equal(r.put_off, 2);
	assert_false(talk_reported(EVENT_WORK_UNSAID));
}

static void
who_goes_before_it_runs_is_told_of_until_the_ledger_can(void **state)
{
	struct standing then = standing();
	uint64_t ended = r.counters.ended[END_COMPLETED];
	go_before_it_runs();
	pass_by_moments(8 * A_MOMENT_MS);
	assert_int_equal(r.puts_off, 0);
	assert_int_equal(r.counters.ended[END_COMPLETED], ended); /* saying so is no request */
	all_is_free();
	stands_as(&then);
}

/* Nothing is known to be set aside: while the store is away each that asks and goes would stay here to say that it has. */
static void
who_goes_before_anything_is_set_aside_says_so_once(void **state)
{
	struct standing then = standing();
	r.puts_off = 10;
	int c = asks_batch();
	assert_int_equal(r.put_off, 1);
	close(c);
	rig_turn(&r);
	assert_null(r.edge->exchanges);
	pass_by_moments(8 * A_MOMENT_MS);
	assert_int_equal(r.put_off, 1);
	r.puts_off = 0;
	all_is_free();
	stands_as(&then);
}

/* An edge that is to end does not live for that. */
static void
who_goes_before_it_runs_is_told_of_by_no_edge_that_is_to_end(void **state)
{
	go_before_it_runs();
	rig_tell(&r, MESSAGE_DRAIN);
	pass_by_moments(3 * A_MOMENT_MS);
	assert_true(talk_reported(EVENT_WORK_UNSAID));
	assert_int_equal(r.put_off, 3);
	assert_null(r.edge->exchanges);
}

static void
what_stands_in_line_to_be_told_is_a_warning_when_the_edge_ends(void **state)
{
	go_before_it_runs();
	edge_stop(r.edge);
	assert_true(talk_reported(EVENT_WORK_UNSAID));
	assert_null(r.edge->exchanges);
}

/* The ledger finds it by itself, but later. */
static void
who_goes_before_it_runs_and_leaves_no_memory_is_told_of(void **state)
{
	r.leave = ~0u;
	for (int object = 0; object < 2; object++) {
		int c = asks_batch();
		rig_turn(&r);
		fill();
		close(c);
		rig_hoard(&r, VAULT_BLOCK_MAX, VAULT_BLOCK_MIN);
		if (object) /* there is memory for one who waits, and none for what it is to say */
			rig_give_back(&r, vault_block_bytes(sizeof(struct exchange)), 1000);
		assert_false(talk_reported(EVENT_WORK_UNSAID));
		rig_turn(&r);
		assert_true(talk_reported(EVENT_WORK_UNSAID));
		assert_null(r.edge->exchanges);
		rig_give_back(&r, 0, 1);
		hear();
		make_arrow(1 << 16);
		rig_pass(&r, 100);
	}
}

/* It is the ledger that is late, and not the provider, and somebody hears of what nobody will pay. */
static void
what_could_not_be_told_is_an_alarm(void **state)
{
	for (int i = 0; i < CIRCUIT_FAILURES; i++) {
		int c = begin_batch_and_stall();
		rig_pass(&r, WAIT_MS + A_MOMENT_MS);
		talk_client_gets(c, "503");
		assert_non_null(strstr(talk_out, "\r\nretry-after: 1\r\n"));
		assert_true(talk_reported(EVENT_WORK_ORPHANED));
		all_is_free();
		hear();
		assert_int_equal(r.counters.circuits_opened, 0);
	}
}

/* ---- the ledger can't say now ---- */

enum { ASKED_MOST = WAIT_MS / 100 };

static void
what_the_ledger_cannot_do_now_is_asked_again(void **state)
{
	static int (*const asks[])(void) = {asks_list, asks_batch, asks_deletion};
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		r.puts_off = 3;
		r.put_off = 0;
		int c = asks[i]();
		for (int n = 1; n <= 3; n++) { /* not at once */
			rig_pass(&r, A_MOMENT_MS);
			waits(c);
			assert_int_equal(r.put_off, n);
			rig_pass(&r, 2 * A_MOMENT_MS);
		}
		all_are_served(&asks[i], &c, 1);
		all_is_free();
	}
	rig_check_books(&r);
}

/* Who can be asked about is not kept waiting by who is put off. */
static void
who_is_put_off_stands_in_nobodys_way(void **state)
{
	r.puts_off = 1;
	int late = asks_batch(), c = asks_list();
	talk_provider_says(talk_provider_sees("GET /v1/messages/batches/msgbatch_b HTTP/1.1\r\n"), "200 OK", JSON, RUNS);
	talk_client_gets(c, "200");
	waits(late);
	rig_pass(&r, 3 * A_MOMENT_MS);
	all_are_served((int (*const[])(void)){asks_batch}, &late, 1);
	all_is_free();
}

static void
the_ledger_is_asked_again_so_long_and_so_often(void **state)
{
	static int (*const asks[])(void) = {asks_list, asks_batch, asks_deletion};
	struct standing then = standing();
	for (size_t i = 0; i < ARRAY_LEN(asks); i++)
		for (int goes = 0; goes < 2; goes++) {
			r.puts_off = 1000;
			r.put_off = 0;
			int c = asks[i]();
			pass_by_moments(WAIT_MS - A_MOMENT_MS);
			waits(c);
			assert_in_range(r.put_off, ASKED_MOST / 2, ASKED_MOST + 1);
			if (goes)
				close(c);
			rig_pass(&r, 2 * A_MOMENT_MS);
			if (!goes)
				talk_client_gets(c, "503");
			r.puts_off = 0;
			rig_pass(&r, 3 * A_MOMENT_MS); /* also for the word that it has gone */
			all_is_free();
			stands_as(&then);
		}
}

/* It runs at the provider: what the ledger can't write down now it writes down later, whether its client is there or not. */
static void
what_runs_and_cannot_be_written_down_now_is_told_again(void **state)
{
	for (int goes = 0; goes < 2; goes++) {
		size_t begun = holds();
		int c = asks_batch(), p = talk_provider_sees("POST /v1/messages/batches HTTP/1.1\r\n");
		r.puts_off = 3;
		talk_provider_says(p, "200 OK", JSON, RUNS);
		rig_turn(&r);
		waits(c);
		if (goes)
			close(c);
		pass_by_moments(8 * A_MOMENT_MS);
		if (!goes)
			talk_client_gets(c, "200");
		assert_int_equal(r.puts_off, 0);
		assert_false(talk_reported(EVENT_WORK_ORPHANED));
		all_is_free();
		assert_int_equal(holds(), begun + 1);
	}
	for (int i = 0; i < 3; i++) { /* with the one that ran before */
		assert_true(rig_errand(&r, 16000));
		talk_provider_says(talk_provider_sees("GET /v1/messages/batches/msgbatch_b/results HTTP/1.1\r\n"), "200 OK", JSON, RESULTS);
		rig_turn(&r);
	}
	rig_book(&r);
	assert_int_equal(holds(), 0);
	rig_check_books(&r);
}

static void
what_was_never_written_down_is_an_alarm(void **state)
{
	int c = asks_batch(), p = talk_provider_sees("POST /v1/messages/batches HTTP/1.1\r\n");
	r.puts_off = 1000;
	talk_provider_says(p, "200 OK", JSON, RUNS);
	pass_by_moments(WAIT_MS - A_MOMENT_MS);
	waits(c);
	assert_false(talk_reported(EVENT_WORK_ORPHANED));
	rig_pass(&r, 2 * A_MOMENT_MS);
	talk_client_gets(c, "503");
	assert_true(talk_reported(EVENT_WORK_ORPHANED));
	all_is_free();
}

/* ---- how many ---- */

static void
is_refused(int c)
{
	assert_non_null(strstr(talk_client_gets(c, "503"), "overloaded"));
	assert_non_null(strstr(talk_out, "\r\nretry-after: 1\r\n"));
}

/* Of one account, and of all: who needs nothing of the ledger's always has a ticket. */
static void
who_waits_leaves_tickets_to_those_who_need_not(void **state)
{
	int c[PATIENT], n = 0;
	stall();
	for (int a = 0; a < PATIENT / SHARE; a++) {
		for (int i = 0; i < SHARE; i++)
			c[n++] = chat(away[a]);
		if (n < PATIENT)
			is_refused(chat(away[a])); /* it has its part; others go on coming */
	}
	is_refused(chat(away[AWAY - 1]));
	assert_int_equal(r.edge->patient, PATIENT);
	answer_chat(chat(r.key)); /* its account is on the board */
	for (int i = 0; i < n; i++)
		waits(c[i]);
	close(c[0]);
	rig_turn(&r);
	waits(c[0] = chat(away[0])); /* who goes makes room */
	assert_int_equal(r.edge->patient, PATIENT);
	hear();
	for (int i = 1; i < n; i++)
		answer_chat(c[i]);
	answer_chat(c[0]);
	all_is_free();
	rig_check_books(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_goes_while_it_waits_leaves_nothing, opened, closed),
		cmocka_unit_test_setup_teardown(the_wait_has_an_end_in_each_dialect, opened, closed),
		cmocka_unit_test_setup_teardown(an_edge_that_ends_leaves_nothing, opened, closed),
		cmocka_unit_test_setup_teardown(all_questions_stand_in_one_line, opened, closed),
		cmocka_unit_test_setup_teardown(a_ledger_that_was_killed_while_they_waited_is_asked_anew, opened, closed),
		cmocka_unit_test_setup_teardown(what_a_ledger_was_asked_when_it_was_killed_is_asked_again, opened, closed),
		cmocka_unit_test_setup_teardown(who_joined_the_line_for_a_key_asks_the_next_ledger_for_it, opened, closed),
		cmocka_unit_test_setup_teardown(a_second_question_for_a_receipt_is_refused, opened, closed),
		cmocka_unit_test_setup_teardown(an_edge_that_is_to_end_serves_those_in_line, opened, closed),
		cmocka_unit_test_setup_teardown(what_runs_is_told_when_its_turn_comes, opened, closed),
		cmocka_unit_test_setup_teardown(what_runs_is_told_also_when_its_client_went, opened, closed),
		cmocka_unit_test_setup_teardown(who_goes_before_it_runs_is_told_of_when_there_is_room, opened, closed),
		cmocka_unit_test_setup_teardown(who_goes_before_it_runs_is_told_of_until_the_ledger_can, opened, closed),
		cmocka_unit_test_setup_teardown(who_goes_before_anything_is_set_aside_says_so_once, opened, closed),
		cmocka_unit_test_setup_teardown(who_goes_before_it_runs_is_told_of_by_no_edge_that_is_to_end, opened, closed),
		cmocka_unit_test_setup_teardown(what_stands_in_line_to_be_told_is_a_warning_when_the_edge_ends, opened, closed),
		cmocka_unit_test_setup_teardown(who_goes_before_it_runs_and_leaves_no_memory_is_told_of, opened, closed),
		cmocka_unit_test_setup_teardown(what_could_not_be_told_is_an_alarm, opened, closed),
		cmocka_unit_test_setup_teardown(what_the_ledger_cannot_do_now_is_asked_again, opened, closed),
		cmocka_unit_test_setup_teardown(who_is_put_off_stands_in_nobodys_way, opened, closed),
		cmocka_unit_test_setup_teardown(the_ledger_is_asked_again_so_long_and_so_often, opened, closed),
		cmocka_unit_test_setup_teardown(what_runs_and_cannot_be_written_down_now_is_told_again, opened, closed),
		cmocka_unit_test_setup_teardown(what_was_never_written_down_is_an_alarm, opened, closed),
		cmocka_unit_test_setup_teardown(who_waits_leaves_tickets_to_those_who_need_not, opened, closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
