/*
 * What an edge asks the ledger ahead for, where other servers may have more of a balance or of a limit's window (docs/decisions/0070-nodes.md): here the test is the
 * ledger, and reads what it is asked.
 */
#include "loopback/rig.h"

#include "core/ipc.h"
#include "edge/spare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN_BODY "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
				   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"

enum { COST = 20000, /* nano, of an answer like that */
	LOOK_AHEAD = 8, /* requests */
	STEP_NANO = 4096 * 2000, /* of a stream */
	ASK_AGAIN_MS = 100,
	A_MOMENT_MS = ASK_AGAIN_MS / 2,
	AT_ONCE_MOST = 16,
	TURNS_MS = 10,
	DAY_MS = 86400000,
	ASKED_MOST = 16 };

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

static const char hi[] = "{\"model\":\"m\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static int
opened(void **state)
{
	rig_open(&r, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
closed(void **state)
{
	r.deaf = false;
	atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_BALANCES);
	rig_close(&r);
	return 0;
}

static void
limit_of(const char *op, const char *member, int64_t nano)
{
	char value[32];
	bool key = strcmp(op, "key.limit") == 0;
	snprintf(value, sizeof value, "%lld.%09lld", (long long)(nano / 1000000000), (long long)(nano % 1000000000));
	json_t *answer = rig_control(&r, json_pack("{s:s, s:s, s:s}", "op", op, key ? "key" : "account", key ? r.key : r.account, member, value));
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
}

/* It holds, and its provider is asked, whatever the ledger was asked meanwhile. */
static struct exchange *
begin(int *ret_client)
{
	int dials = r.dials;
	*ret_client = rig_client(&r);
	rig_send(&r, *ret_client, in, rig_request(&r, hi, "", in));
	rig_turn(&r);
	assert_int_equal(r.dials, dials + 1);
	assert_non_null(r.edge->exchanges);
	return r.edge->exchanges;
}

static void
answer_plainly(int client)
{
	bool eof;
	int n = r.dials - 1, p = rig_provider(&r, n);
	rig_read(&r, p, out, &eof);
	size_t len = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n" PLAIN_BODY, strlen(PLAIN_BODY));
	rig_send(&r, p, in, len);
	close(p);
	r.provider[n] = -1;
	rig_turn(&r);
	rig_read(&r, client, out, &eof);
	assert_int_equal(strncmp(out, "HTTP/1.1 200", 12), 0);
	close(client);
	rig_turn(&r);
}

static void
finish(int client)
{
	answer_plainly(client);
	rig_book(&r);
}

/* Its rows are on the board; what one like it holds. */
static int64_t
one_before(void)
{
	int c;
	int64_t hold = ticket_hold(begin(&c)->ticket).v;
	finish(c);
	return hold;
}

/* From here on others may have more, and who is asked is the test. */
static void
share(void)
{
	atomic_store(board_many(r.ledger_board), (uint32_t)BOARD_SHARES);
	r.deaf = true;
}

static unsigned
asked(struct message_row ret[ASKED_MOST])
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	unsigned n = 0;
	while (ipc_recv(r.ledger_end, buf, &bytes, &fd) == IPC_OK) {
		const struct message_row *m = (const void *)buf;
		assert_int_equal(m->head.type, MESSAGE_LOAD);
		assert_true(n < ASKED_MOST);
		ret[n++] = *m;
	}
	return n;
}

static void
is_asked_for(const struct message_row *m, const struct exchange *x, unsigned leg, int64_t need)
{
	assert_int_equal(m->token, x->id);
	assert_int_equal(m->row, atomic_load(&x->ticket->row[leg]));
	assert_int_equal(m->need_nano, need);
}

static int64_t
left_of(const struct exchange *x, unsigned leg)
{
	return board_available(r.process.board, atomic_load(&x->ticket->slot[leg])).v;
}

/* ---- what begins ---- */

static void
a_balance_that_does_for_eight_more_is_not_asked_for(void **state)
{
	struct message_row m[ASKED_MOST];
	int c;
	int64_t hold = one_before();
	for (int less = 0; less < 2; less++) {
		char dollars[32];
		closed(state);
		snprintf(dollars, sizeof dollars, "0.%09lld", (long long)(COST + (1 + LOOK_AHEAD) * hold - less));
		rig_open(&r, dollars, DURABILITY_BATCHED);
		assert_int_equal(one_before(), hold);
		share();
		const struct exchange *x = begin(&c);
		assert_int_equal(left_of(x, 0), LOOK_AHEAD * hold - less);
		assert_int_equal(asked(m), less);
		if (less) {
			assert_int_equal(m[0].row, x->account_row);
			is_asked_for(&m[0], x, 0, LOOK_AHEAD * hold);
		}
		finish(c);
	}
}

static void
who_has_all_of_a_balance_asks_for_none_of_it_ahead(void **state)
{
	struct message_row m[ASKED_MOST];
	int c;
	limit_of("key.limit", "dollars_per_day", COST + 2 * one_before());
	one_before();
	r.deaf = true;
	begin(&c);
	assert_int_equal(asked(m), 0);
	finish(c);
}

/* Of each window that will not do, and of nothing else. */
static void
more_is_asked_for_of_each_window_that_runs_out(void **state)
{
	struct message_row m[ASKED_MOST];
	int c;
	int64_t hold = one_before(), little = 4 * hold;
	limit_of("key.limit", "dollars_per_day", little);
	limit_of("key.limit", "dollars_per_month", 100 * hold);
	limit_of("account.limit", "dollars_per_week", little);
	one_before();
	share();
	const struct exchange *x = begin(&c);
	unsigned legs = 0, lacking = 0, n = asked(m);
	while (legs < TICKET_LEGS_MAX && atomic_load(&x->ticket->row[legs]))
		legs++;
	assert_int_equal(legs, 4);
	assert_int_equal(n, 2);
	for (unsigned i = 0; i < legs; i++)
		if (left_of(x, i) < LOOK_AHEAD * hold) {
			assert_int_not_equal(atomic_load(&x->ticket->row[i]), x->account_row);
			assert_true(lacking < n);
			is_asked_for(&m[lacking++], x, i, LOOK_AHEAD * hold);
		}
	assert_int_equal(lacking, n);
	finish(c);
}

/* ---- what goes on ---- */

/* One whose day has enough for those that begin, and not for another step of a stream. */
static struct exchange *
begin_with_half_a_step(int *ret_client)
{
	struct message_row m[ASKED_MOST];
	limit_of("key.limit", "dollars_per_day", STEP_NANO / 2);
	one_before();
	share();
	struct exchange *x = begin(ret_client);
	assert_int_equal(asked(m), 0);
	return x;
}

static void
what_goes_on_after_midnight_is_paid_from_the_day_in_which_it_began(void **state)
{
	struct message_row m[ASKED_MOST];
	int c;
	struct exchange *x = begin_with_half_a_step(&c);
	int64_t window = left_of(x, 0), account = left_of(x, 1), hold = ticket_hold(x->ticket).v;
	r.edge->wall_offset_ms += DAY_MS;
	assert_true(reserve_extend(x));
	assert_int_equal(asked(m), 1);
	is_asked_for(&m[0], x, 0, STEP_NANO);
	/* A quarter of what is left of it, and not a step of what the account has. */
	int64_t step = window / 2000 / 4 * 2000;
	assert_int_equal(ticket_hold(x->ticket).v - hold, step);
	assert_int_equal(window - left_of(x, 0), step);
	assert_int_equal(account - left_of(x, 1), step);
	r.edge->wall_offset_ms -= DAY_MS;
	finish(c);
}

static void
the_ledger_is_asked_ahead_so_often_and_no_oftener(void **state)
{
	struct message_row m[ASKED_MOST];
	int c;
	struct exchange *x = begin_with_half_a_step(&c);
	assert_true(reserve_extend(x));
	assert_int_equal(asked(m), 1);
	rig_pass(&r, ASK_AGAIN_MS - 1);
	assert_true(reserve_extend(x));
	assert_int_equal(asked(m), 0);
	rig_pass(&r, 1);
	assert_true(reserve_extend(x));
	assert_int_equal(asked(m), 1);
	is_asked_for(&m[0], x, 0, STEP_NANO);
	finish(c);
}

/* The request of a customer whose account was never on the board: the ledger has to be asked for it, and its arrow is full. */
static int
stranger_waits(void)
{
	const struct message_row m = MESSAGE_INIT(LOAD, message_row);
	char own[sizeof r.key];
	while (ipc_send(r.edge->ledger.fd, &m, sizeof m, -1) == IPC_OK)
		;
	memcpy(own, r.key, sizeof own);
	json_t *answer = rig_control(&r, json_pack("{s:s, s:s}", "op", "key.create", "account", "stranger"));
	strcpy(r.key, json_string_value(json_object_get(answer, "secret")));
	json_decref(answer);
	int c = rig_client(&r);
	rig_send(&r, c, in, rig_request(&r, hi, "", in));
	memcpy(r.key, own, sizeof own);
	assert_non_null(r.edge->wait_question.first);
	return c;
}

static void
nobody_asks_ahead_before_those_who_wait_to_ask(void **state)
{
	struct message_row m[ASKED_MOST];
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int c, fd;
	json_decref(rig_control(&r, json_pack("{s:s, s:s}", "op", "account.create", "name", "stranger")));
	struct exchange *x = begin_with_half_a_step(&c);
	int stranger = stranger_waits();
	const struct exchange *waits = r.edge->wait_question.first;
	/* There is room again, and whoever waits has not been told. */
	while (ipc_recv(r.ledger_end, buf, &bytes, &fd) == IPC_OK)
		;
	assert_true(reserve_extend(x));
	assert_int_equal(asked(m), 0);
	rig_pass(&r, A_MOMENT_MS);
	assert_null(r.edge->wait_question.first);
	assert_int_equal(asked(m), 1);
	assert_int_equal(m[0].token, waits->id);
	assert_int_equal(m[0].row, waits->account_row);
	/* It has not asked, and so need not wait until it may ask again. */
	assert_true(reserve_extend(x));
	assert_int_equal(asked(m), 1);
	is_asked_for(&m[0], x, 0, STEP_NANO);
	close(stranger);
	rig_turn(&r);
	finish(c);
}

/* ---- what others have ---- */

static void
answer(const struct message_row *m, enum row_result result)
{
	struct message_row a = *m;
	a.head = MESSAGE_INIT(LOADED, message_row).head;
	a.result = result;
	bool there = board_find(r.ledger_board, m->row, &a.slot);
	assert_true(there && ipc_send(r.ledger_end, &a, sizeof a, -1) == IPC_OK);
	rig_turn(&r);
}

/* The account has one nano too little here for one request like this; it is asked for, and waits. */
static int64_t
come_short(int *ret_client, struct message_row *ret_asked)
{
	struct message_row m[ASKED_MOST];
	char dollars[32];
	int64_t hold = one_before();
	closed(NULL);
	snprintf(dollars, sizeof dollars, "0.%09lld", (long long)(COST + hold - 1));
	rig_open(&r, dollars, DURABILITY_BATCHED);
	one_before();
	share();
	*ret_client = rig_client(&r);
	rig_send(&r, *ret_client, in, rig_request(&r, hi, "", in));
	rig_turn(&r);
	assert_int_equal(asked(m), 1);
	assert_int_equal(m[0].need_nano, hold);
	*ret_asked = m[0];
	return hold;
}

/* Not before its time, and then for the same. */
static void
asks_again(const struct message_row *before)
{
	struct message_row m[ASKED_MOST];
	assert_int_equal(asked(m), 0);
	assert_int_equal(r.edge->patient, 1);
	rig_pass(&r, ASK_AGAIN_MS - 1);
	assert_int_equal(asked(m), 0);
	rig_pass(&r, 1 + TURNS_MS);
	assert_int_equal(asked(m), 1);
	assert_int_equal(m[0].token, before->token);
	assert_int_equal(m[0].row, before->row);
	assert_int_equal(m[0].need_nano, before->need_nano);
}

static void
is_put_off_three_times(const struct message_row *m)
{
	for (int late = 0; late < 3; late++) {
		answer(m, ROW_LATER);
		asks_again(m);
	}
}

static void
has_nothing_held(void)
{
	struct message_row m[ASKED_MOST];
	assert_null(r.edge->exchanges);
	assert_int_equal(r.edge->patient, 0);
	assert_null(r.edge->wait_later.first);
	rig_pass(&r, 10 * ASK_AGAIN_MS);
	assert_int_equal(asked(m), 0);
}

static void
is_refused(int client, const char *status)
{
	bool eof;
	rig_book(&r); /* what has been settled here might have been enough */
	rig_book(&r);
	rig_pass(&r, TURNS_MS);
	rig_read(&r, client, out, &eof);
	assert_int_equal(strncmp(out, "HTTP/1.1 ", 9), 0);
	assert_int_equal(strncmp(out + 9, status, 3), 0);
	close(client);
	rig_turn(&r);
	has_nothing_held();
}

static void
credit(const char *dollars)
{
	json_t *given = rig_control(&r, json_pack("{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", r.account, "amount", dollars, "reason", "it came back"));
	assert_true(json_is_true(json_object_get(given, "ok")));
	json_decref(given);
}

static void
what_others_have_is_asked_for_again_and_served_when_it_has_come(void **state)
{
	struct message_row m;
	int c;
	int64_t hold = come_short(&c, &m);
	is_put_off_three_times(&m);
	credit("1.00");
	assert_int_equal(r.dials, 1);
	answer(&m, ROW_LOADED);
	assert_int_equal(r.dials, 2);
	assert_int_equal(r.edge->patient, 0);
	assert_int_equal(ticket_hold(r.edge->exchanges->ticket).v, hold);
	finish(c);
	assert_int_equal(rig_balance(&r), hold - 1 + 1000000000 - COST);
	rig_check_books(&r);
}

static void
what_others_need_themselves_is_asked_for_three_times_more(void **state)
{
	struct message_row m;
	int c;
	int64_t hold = come_short(&c, &m);
	is_put_off_three_times(&m);
	answer(&m, ROW_LATER);
	is_refused(c, "402");
	assert_int_equal(rig_balance(&r), hold - 1);
	rig_check_books(&r);
}

static void
what_nobody_has_is_refused_at_once(void **state)
{
	struct message_row m;
	int c;
	come_short(&c, &m);
	answer(&m, ROW_SHORT);
	is_refused(c, "402");
	rig_check_books(&r);
}

/* It had come, and somebody else here was faster: more may come, and that is none of the times that others are waited for. */
static void
who_was_overtaken_asks_again_at_once(void **state)
{
	struct message_row m, again[ASKED_MOST];
	int c;
	for (int comes = 0; comes < 2; comes++)
		for (int waits = 0; waits < 2; waits++) {
			come_short(&c, &m);
			if (waits)
				is_put_off_three_times(&m);
			for (int taken = 0; taken < AT_ONCE_MOST; taken++) {
				answer(&m, ROW_LOADED);
				assert_int_equal(asked(again), 1);
				assert_int_equal(again[0].token, m.token);
				assert_int_equal(again[0].need_nano, m.need_nano);
			}
			if (!waits)
				is_put_off_three_times(&m);
			if (comes)
				credit("1.00");
			answer(&m, comes ? ROW_LOADED : ROW_SHORT);
			if (comes)
				finish(c);
			else
				is_refused(c, "402");
			rig_check_books(&r);
			closed(state);
			opened(state);
		}
}

/* It may stay so for as long as its patience, and asks no oftener than others look. */
static void
who_is_overtaken_again_and_again_asks_in_a_while(void **state)
{
	struct message_row m, again[ASKED_MOST];
	bool eof;
	int c;
	come_short(&c, &m);
	for (int taken = 0; taken < AT_ONCE_MOST; taken++) {
		answer(&m, ROW_LOADED);
		assert_int_equal(asked(again), 1);
	}
	for (int later = 0; later < 2 * AT_ONCE_MOST; later++) {
		answer(&m, ROW_LOADED);
		asks_again(&m);
	}
	rig_pass(&r, SPARE_WAIT_MS);
	rig_read(&r, c, out, &eof);
	assert_int_equal(strncmp(out, "HTTP/1.1 503", 12), 0);
	close(c);
	rig_turn(&r);
	has_nothing_held();
	rig_check_books(&r);
}

/* Not even that, when half of those wait that may. */
static void
who_is_overtaken_in_a_crowd_goes(void **state)
{
	struct message_row m, again[ASKED_MOST];
	int c;
	come_short(&c, &m);
	for (int taken = 0; taken < AT_ONCE_MOST; taken++) {
		answer(&m, ROW_LOADED);
		assert_int_equal(asked(again), 1);
	}
	r.edge->put_off = r.edge->patient_most / 2 + 1; /* by others */
	answer(&m, ROW_LOADED);
	assert_int_equal(asked(again), 0);
	is_refused(c, "503");
	r.edge->put_off = 0;
	has_nothing_held();
	rig_check_books(&r);
}

static int
another_asks(struct message_row *ret_asked)
{
	struct message_row m[ASKED_MOST];
	int c = rig_client(&r);
	rig_send(&r, c, in, rig_request(&r, hi, "", in));
	rig_turn(&r);
	assert_int_equal(asked(m), 1);
	*ret_asked = m[0];
	return c;
}

/* To each of two it is said that there is enough, for one. */
static void
who_finds_that_another_took_the_portion_asks_for_the_next(void **state)
{
	struct message_row m, other, again[ASKED_MOST];
	int c, d;
	for (int comes = 0; comes < 2; comes++) {
		come_short(&c, &m);
		d = another_asks(&other);
		credit("0.000000001");
		answer(&m, ROW_LOADED);
		assert_int_equal(r.dials, 2);
		assert_int_equal(asked(again), 1); /* ahead, for those that come next */
		assert_int_equal(again[0].token, m.token);
		answer(&other, ROW_LOADED);
		assert_int_equal(r.dials, 2);
		assert_int_equal(asked(again), 1);
		assert_int_equal(again[0].token, other.token);
		assert_int_equal(again[0].need_nano, other.need_nano);
		if (comes)
			credit("1.00");
		answer(&other, comes ? ROW_LOADED : ROW_SHORT);
		assert_int_equal(r.dials, comes ? 3 : 2);
		if (comes) {
			finish(d);
			r.dials--; /* the first one's provider */
			finish(c);
			r.dials++;
		} else {
			bool eof;
			rig_book(&r);
			rig_book(&r);
			rig_pass(&r, TURNS_MS);
			rig_read(&r, d, out, &eof);
			assert_int_equal(strncmp(out, "HTTP/1.1 402", 12), 0);
			close(d);
			finish(c);
		}
		has_nothing_held();
		rig_check_books(&r);
		closed(state);
		opened(state);
	}
}

/* Of one account's, or of all, half of those wait that may: the others are to have a place, and not to hear that we are at capacity. */
static void
nobody_waits_for_others_in_a_crowd(void **state)
{
	struct message_row m, other, again[ASKED_MOST];
	bool eof;
	int c, d;
	for (int all = 0; all < 2; all++) {
		come_short(&c, &m);
		d = another_asks(&other);
		*(all ? &r.edge->patient_most : &r.edge->share_patient_most) = 2;
		assert_int_equal(r.edge->patient, 2);
		answer(&m, ROW_LATER); /* one of the two has a place, whoever else asks */
		answer(&other, ROW_LATER);
		assert_int_equal(r.edge->put_off, 1);
		assert_int_equal(asked(again), 0);
		rig_book(&r);
		rig_book(&r);
		rig_pass(&r, TURNS_MS);
		rig_read(&r, d, out, &eof);
		assert_int_equal(strncmp(out, "HTTP/1.1 402", 12), 0);
		close(d);
		rig_pass(&r, ASK_AGAIN_MS);
		assert_int_equal(asked(again), 1);
		assert_int_equal(again[0].token, m.token);
		answer(&m, ROW_LATER); /* it has its place still */
		asks_again(&m);
		answer(&m, ROW_SHORT);
		is_refused(c, "402");
		assert_int_equal(r.edge->put_off, 0);
		rig_check_books(&r);
		closed(state);
		opened(state);
	}
}

/* In the line until it is asked for again, and while it is asked for. */
static void
who_goes_while_others_are_asked_has_nothing_held(void **state)
{
	struct message_row m;
	int c;
	for (int is_asked = 0; is_asked < 2; is_asked++) {
		int64_t hold = come_short(&c, &m);
		answer(&m, ROW_LATER);
		if (is_asked)
			asks_again(&m);
		else
			assert_non_null(r.edge->wait_later.first);
		close(c);
		rig_turn(&r);
		has_nothing_held();
		answer(&m, ROW_LOADED); /* to nobody */
		rig_book(&r);
		assert_int_equal(rig_balance(&r), hold - 1);
		rig_check_books(&r);
		closed(state);
		opened(state);
	}
}

static void
a_window_that_others_have_is_asked_for_again_before_the_limit_refuses(void **state)
{
	struct message_row m[ASKED_MOST];
	for (int comes = 0; comes < 2; comes++) {
		int64_t limit = 2 * COST + one_before() - 1; /* what was used of the day counts */
		limit_of("key.limit", "dollars_per_day", limit);
		one_before();
		share();
		int c = rig_client(&r), dials = r.dials;
		rig_send(&r, c, in, rig_request(&r, hi, "", in));
		rig_turn(&r);
		assert_int_equal(asked(m), 1);
		assert_int_not_equal(m[0].row, r.edge->exchanges->account_row);
		is_put_off_three_times(&m[0]);
		if (comes) {
			uint32_t slot, back;
			uint64_t id = m[0].token + 1; /* of nobody */
			assert_true(board_find(r.ledger_board, m[0].row, &slot));
			assert_true(board_credit_begin(r.ledger_board, id, m[0].row, (struct nano){COST}, &back));
			board_give_back(r.ledger_board, back);
			answer(&m[0], ROW_LOADED);
			assert_int_equal(r.dials, dials + 1);
			finish(c);
		} else {
			answer(&m[0], ROW_LATER);
			/* And the balance, which has enough here. */
			assert_int_equal(asked(m), 1);
			assert_int_equal(m[0].row, r.edge->exchanges->account_row);
			answer(&m[0], ROW_LOADED);
			is_refused(c, "429");
			rig_check_books(&r);
			closed(state);
			opened(state);
		}
	}
}

/* The key's day has one nano too little here for one more like this, and is waited for. */
static int
come_short_of_a_day(struct message_row *ret_asked)
{
	limit_of("key.limit", "dollars_per_day", 2 * COST + one_before() - 1);
	one_before();
	share();
	int c = another_asks(ret_asked);
	assert_int_not_equal(ret_asked->row, r.edge->exchanges->account_row);
	return c;
}

static void
nothing_is_waited_for_of_a_day_that_is_over(void **state)
{
	struct message_row m, next[ASKED_MOST];
	static const enum row_result last[] = {ROW_LATER, ROW_SHORT, ROW_UNKNOWN};
	for (size_t i = 0; i < ARRAY_LEN(last); i++) {
		uint32_t slot;
		int c = come_short_of_a_day(&m), dials = r.dials;
		answer(&m, ROW_LATER);
		r.edge->wall_offset_ms += DAY_MS;
		asks_again(&m);
		answer(&m, last[i]);
		assert_int_equal(asked(next), 1);
		assert_int_equal(next[0].token, m.token);
		assert_int_equal(next[0].row, m.row + 1);
		assert_int_equal(ledger_load_row(r.ledger, next[0].row, 0, &slot), ROW_LOADED);
		answer(&next[0], ROW_LOADED);
		assert_int_equal(r.dials, dials + 1);
		finish(c);
		r.edge->wall_offset_ms -= DAY_MS;
		closed(state);
		opened(state);
	}
}

/* While it waits for a window the account may have to make room for others. */
static void
a_row_that_left_the_board_meanwhile_is_asked_for_again(void **state)
{
	struct message_row m, next[ASKED_MOST];
	uint32_t slot, back;
	int c = come_short_of_a_day(&m), dials = r.dials;
	r.edge->exchanges->loaded = true;
	r.edge->exchanges->slot = r.edge->slots;
	answer(&m, ROW_LATER);
	asks_again(&m);
	assert_true(board_find(r.ledger_board, m.row, &slot));
	assert_true(board_credit_begin(r.ledger_board, m.token + 1, m.row, (struct nano){COST}, &back));
	board_give_back(r.ledger_board, back);
	answer(&m, ROW_LOADED);
	assert_int_equal(asked(next), 1);
	assert_int_equal(next[0].row, r.edge->exchanges->account_row);
	answer(&next[0], ROW_LOADED);
	assert_int_equal(r.dials, dials + 1);
	finish(c);
}

/* ---- a stream whose hold is used up ---- */

enum { PAUSE_MS = 1000,
	PART_WORDS = 400 };

static void
provider_streams(const char *bytes)
{
	size_t len = strlen(bytes);
	char chunk[32];
	rig_send(&r, rig_provider(&r, r.dials - 1), chunk, (size_t)snprintf(chunk, sizeof chunk, "%zx\r\n", len));
	rig_send(&r, rig_provider(&r, r.dials - 1), bytes, len);
	rig_send(&r, rig_provider(&r, r.dials - 1), "\r\n", 2);
	rig_turn(&r);
}

static void
provider_streams_words(void)
{
	static char event[PART_WORDS * 6 + 256];
	int n = sprintf(event, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
	for (int i = 0; i < PART_WORDS; i++)
		n += sprintf(event + n, "word ");
	sprintf(event + n, "\"}}]}\n\n");
	provider_streams(event);
}

/* The balance has less than 500 tokens, and so many come. */
static struct exchange *
use_up(int *ret_client)
{
	static const char hello[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
	static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
	*ret_client = rig_client(&r);
	rig_send(&r, *ret_client, in, rig_request(&r, hello, "", in));
	rig_turn(&r);
	rig_read(&r, rig_provider(&r, r.dials - 1), out, &(bool){false});
	rig_send(&r, rig_provider(&r, r.dials - 1), head, strlen(head));
	struct exchange *x = r.edge->exchanges;
	for (int i = 0; i < 16 && !x->paused_ms; i++)
		provider_streams_words();
	assert_ptr_equal(r.edge->wait_more.first, x);
	return x;
}

/* The ledger's answer to what was asked meanwhile is *ret_asked's. */
static struct exchange *
pause_stream(int *ret_client, struct message_row *ret_asked)
{
	struct message_row m[ASKED_MOST];
	closed(NULL);
	rig_open(&r, "0.001", DURABILITY_BATCHED);
	r.process.timeouts.between_bytes = 2 * PAUSE_MS; /* which is not its time */
	one_before();
	share();
	struct exchange *x = use_up(ret_client);
	assert_true(asked(m) > 0);
	*ret_asked = m[0];
	return x;
}

static void
stream_says(int client, const char *said, bool whole)
{
	bool eof;
	rig_read(&r, client, out, &eof);
	assert_non_null(strstr(out, said));
	assert_int_equal(strstr(out, "[DONE]") != NULL, whole);
	close(client);
	rig_turn(&r);
	r.deaf = false;
	rig_book(&r);
	rig_pass(&r, TURNS_MS);
	rig_check_books(&r);
}

/* Others are asked for the time that they need, from the ledger's word on. */
static void
a_stream_waits_for_what_others_have_until_the_ledger_has_looked(void **state)
{
	struct message_row m;
	int c;
	pause_stream(&c, &m);
	rig_pass(&r, 4 * PAUSE_MS);
	assert_non_null(r.edge->wait_more.first);
	answer(&m, ROW_LATER);
	rig_pass(&r, PAUSE_MS - TURNS_MS);
	answer(&m, ROW_LATER); /* it is asked again meanwhile, and that makes it no longer */
	assert_non_null(r.edge->wait_more.first);
	rig_pass(&r, 2 * TURNS_MS);
	stream_says(c, "budget_exhausted", false);
}

static void
a_stream_goes_on_as_soon_as_there_is_more(void **state)
{
	struct message_row m;
	int c;
	struct exchange *x = pause_stream(&c, &m);
	rig_pass(&r, 4 * PAUSE_MS);
	answer(&m, ROW_LATER);
	rig_pass(&r, PAUSE_MS / 2);
	credit("1.00");
	rig_pass(&r, TURNS_MS);
	assert_null(r.edge->wait_more.first);
	assert_int_equal(x->paused_ms, 0);
	provider_streams("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
	rig_send(&r, rig_provider(&r, r.dials - 1), "0\r\n\r\n", 5);
	rig_turn(&r);
	stream_says(c, "finish_reason", true);
}

/* Of a balance that no other server has: what is settled is given back when it is booked. */
static void
a_stream_waits_for_what_is_settled_until_it_is_booked(void **state)
{
	for (int settled = 0; settled < 2; settled++) {
		int c, before;
		char body[256];
		closed(NULL);
		rig_open(&r, "0.02", DURABILITY_BATCHED);
		int64_t token = one_before() / 100;
		snprintf(body, sizeof body, "{\"model\":\"m\",\"max_tokens\":%lld,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", (long long)((rig_balance(&r) - 1000000) / token));
		before = rig_client(&r);
		rig_send(&r, before, in, rig_request(&r, body, "", in));
		rig_turn(&r);
		if (settled)
			answer_plainly(before);
		struct exchange *x = use_up(&c);
		assert_int_equal(atomic_load(board_wanted(r.ledger_board)), 1);
		rig_pass(&r, PAUSE_MS);
		assert_ptr_equal(r.edge->wait_more.first, x);
		rig_book(&r);
		rig_book(&r);
		rig_pass(&r, TURNS_MS);
		assert_null(r.edge->wait_more.first);
		if (!settled) {
			stream_says(c, "budget_exhausted", false);
			close(before);
			rig_turn(&r);
			rig_book(&r);
			continue;
		}
		provider_streams("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
		rig_send(&r, rig_provider(&r, r.dials - 1), "0\r\n\r\n", 5);
		rig_turn(&r);
		stream_says(c, "finish_reason", true);
	}
}

/* Nobody knows what the balance has. */
static void
a_stream_that_the_ledger_never_answers_is_interrupted(void **state)
{
	struct message_row m;
	int c;
	pause_stream(&c, &m);
	rig_pass(&r, SPARE_WAIT_MS - TURNS_MS);
	assert_non_null(r.edge->wait_more.first);
	rig_pass(&r, 2 * TURNS_MS);
	stream_says(c, "interrupted", false);
}

/* The ledger is replaced before its edges; for an older one nothing is new. */
static void
an_edge_hears_what_it_knows(void **state)
{
	struct message_row m;
	int c;
	come_short(&c, &m);
	for (enum row_result result = ROW_LOADED; result <= ROW_SHORT; result++) {
		assert_int_equal(row_result_for(m.result, result), result);
		assert_int_equal(row_result_for(0, result), row_is_there(result) ? ROW_LOADED : result);
	}
	answer(&m, (enum row_result)(ROW_SHORT + 1)); /* of a newer ledger */
	is_refused(c, "503");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, opened, closed)
	const struct CMUnitTest tests[] = {
		TEST(a_balance_that_does_for_eight_more_is_not_asked_for),
		TEST(who_has_all_of_a_balance_asks_for_none_of_it_ahead),
		TEST(more_is_asked_for_of_each_window_that_runs_out),
		TEST(what_goes_on_after_midnight_is_paid_from_the_day_in_which_it_began),
		TEST(the_ledger_is_asked_ahead_so_often_and_no_oftener),
		TEST(nobody_asks_ahead_before_those_who_wait_to_ask),
		TEST(what_others_have_is_asked_for_again_and_served_when_it_has_come),
		TEST(what_others_need_themselves_is_asked_for_three_times_more),
		TEST(what_nobody_has_is_refused_at_once),
		TEST(who_was_overtaken_asks_again_at_once),
		TEST(who_is_overtaken_again_and_again_asks_in_a_while),
		TEST(who_is_overtaken_in_a_crowd_goes),
		TEST(who_finds_that_another_took_the_portion_asks_for_the_next),
		TEST(nobody_waits_for_others_in_a_crowd),
		TEST(who_goes_while_others_are_asked_has_nothing_held),
		TEST(a_window_that_others_have_is_asked_for_again_before_the_limit_refuses),
		TEST(nothing_is_waited_for_of_a_day_that_is_over),
		TEST(a_row_that_left_the_board_meanwhile_is_asked_for_again),
		TEST(a_stream_waits_for_what_others_have_until_the_ledger_has_looked),
		TEST(a_stream_goes_on_as_soon_as_there_is_more),
		TEST(a_stream_that_the_ledger_never_answers_is_interrupted),
		TEST(a_stream_waits_for_what_is_settled_until_it_is_booked),
		TEST(an_edge_hears_what_it_knows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
