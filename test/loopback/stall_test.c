/* The ledger stands still, as it does while the disk does: all tickets have been handed in, none comes back. Who comes then waits. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { TICKETS = 64, /* the rig's board */
	SPARE = TICKETS / 2,
	WAIT_MS = 8000,
	A_MOMENT_MS = 50,
	COST = 20000 /* 10 × $1/M + 5 × $2/M */ };

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define ANSWER "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
			   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"

static int
opened(void **state)
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
ask(int c, const char *word)
{
	char body[256];
	snprintf(body, sizeof body, "{\"model\":\"m\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", word);
	rig_send(&r, c, in, rig_request(&r, body, "", in));
}

/* The provider has been asked that, on its only connection, and answers. */
static void
answer(const char *word)
{
	bool eof;
	int p = rig_provider(&r, 0);
	rig_read(&r, p, out, &eof);
	assert_false(eof);
	assert_non_null(strstr(out, word));
	size_t len = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" ANSWER, strlen(ANSWER));
	rig_send(&r, p, in, len);
}

static void
expect(int c, const char *status)
{
	bool eof;
	rig_read(&r, c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 ", 9);
	assert_memory_equal(out + 9, status, 3);
}

static void
expect_nothing(int c)
{
	bool eof;
	assert_int_equal(rig_read(&r, c, out, &eof), 0);
	assert_false(eof);
}

/* One after the other, each answered: none is open, and none is booked. */
static int
use_all(void)
{
	int c = rig_client(&r);
	for (int i = 0; i < TICKETS; i++) {
		ask(c, "one of many");
		answer("one of many");
		expect(c, "200");
	}
	return c;
}

static void
a_request_waits_for_the_ledger_and_is_answered(void **state)
{
	int c = use_all();
	ask(c, "after the stall");
	expect_nothing(c);
	rig_pass(&r, WAIT_MS - A_MOMENT_MS);
	expect_nothing(c);
	rig_book(&r);
	rig_pass(&r, A_MOMENT_MS);
	answer("after the stall");
	expect(c, "200");
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), TICKETS + 1);
	assert_int_equal(rig_balance(&r), 1000000000 - (TICKETS + 1) * COST);
	assert_int_equal(r.edge->spares, 0);
	rig_check_books(&r);
	close(c);
}

static void
who_came_first_goes_first(void **state)
{
	int first = use_all(), second = rig_client(&r), third = rig_client(&r);
	ask(first, "number one");
	ask(second, "number two");
	assert_int_equal(ledger_round(r.ledger, r.edge->loop.now_ms + 60), TICKETS); /* the edge's time stands still */
	ask(third, "number three"); /* there are tickets again, and others who wait for them */
	assert_int_equal(r.edge->spares, 3);
	rig_pass(&r, A_MOMENT_MS);
	assert_int_equal(r.edge->spares, 0);
	answer("number one");
	expect(first, "200");
	bool eof;
	rig_read(&r, rig_provider(&r, 1), out, &eof);
	assert_non_null(strstr(out, "number two"));
	rig_read(&r, rig_provider(&r, 2), out, &eof);
	assert_non_null(strstr(out, "number three"));
	close(first);
	close(second);
	close(third);
}

static void
the_wait_has_an_end(void **state)
{
	int c = use_all(), other = rig_client(&r);
	ask(c, "too long");
	int n = snprintf(in, sizeof in, "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ncontent-length: 74\r\n\r\n"
									"{\"model\":\"m\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"Hi.\"}]}",
		r.key);
	rig_send(&r, other, in, (size_t)n);
	rig_pass(&r, WAIT_MS + A_MOMENT_MS);
	expect(c, "503");
	assert_non_null(strstr(out, "\r\nretry-after: 1\r\n"));
	assert_non_null(strstr(out, "\"unavailable\""));
	expect(other, "503");
	assert_non_null(strstr(out, "\r\nretry-after: 1\r\n"));
	assert_non_null(strstr(out, "{\"type\":\"error\",\"error\":{\"type\":"));
	assert_int_equal(r.edge->spares, 0);
	rig_book(&r);
	ask(c, "later");
	answer("later");
	expect(c, "200");
	close(c);
	close(other);
}

static void
no_more_wait_than_half_the_tickets(void **state)
{
	int first = use_all(), c[SPARE];
	r.edge->share_most = TICKETS;
	for (int i = 0; i < SPARE; i++)
		ask(c[i] = rig_client(&r), "one who waits");
	ask(first, "one too many");
	expect(first, "503");
	assert_non_null(strstr(out, "\"overloaded\""));
	assert_non_null(strstr(out, "\r\nretry-after: 1\r\n"));
	for (int i = 0; i < SPARE; i++)
		close(c[i]); /* who goes makes room */
	rig_turn(&r);
	assert_int_equal(r.edge->spares, 0);
	close(first);
}

static void
nobody_waits_behind_a_gate_that_was_shut(void **state)
{
	int c = use_all();
	ask(c, "in vain");
	atomic_store(board_gate(r.process.board), BOARD_STALLED);
	rig_pass(&r, A_MOMENT_MS);
	expect(c, "503");
	assert_non_null(strstr(out, "\"unavailable\""));
	atomic_store(board_gate(r.process.board), BOARD_OPEN);
	close(c);
}

/* Nobody waits on behalf of a client that went, and what it had is there for the next. */
static void
who_goes_leaves_the_queue(void **state)
{
	int c[4] = {use_all(), rig_client(&r), rig_client(&r), rig_client(&r)};
	for (int i = 0; i < 3; i++)
		ask(c[i], i == 1 ? "who stays" : "who goes");
	assert_int_equal(r.edge->spares, 3);
	for (int i = 0; i < 3; i += 2) { /* the first, and the last */
		close(c[i]);
		rig_turn(&r);
	}
	assert_int_equal(r.edge->spares, 1);
	ask(c[3], "who comes");
	assert_int_equal(r.edge->spares, 2);
	rig_book(&r);
	rig_pass(&r, A_MOMENT_MS);
	assert_int_equal(r.edge->spares, 0);
	answer("who stays");
	expect(c[1], "200");
	bool eof;
	rig_read(&r, rig_provider(&r, 1), out, &eof);
	assert_non_null(strstr(out, "who comes"));
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), TICKETS + 1);
	rig_check_books(&r);
	close(c[1]);
	close(c[3]);
}

/* Two on one connection, one behind the other: each has its turn, and its own charge. */
static void
what_is_behind_on_the_same_connection_waits_as_well(void **state)
{
	static const char body[] = "{\"model\":\"m\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"one of two\"}]}";
	int c = use_all();
	size_t n = rig_request(&r, body, "", in);
	n += rig_request(&r, body, "", in + n);
	rig_send(&r, c, in, n);
	expect_nothing(c);
	assert_int_equal(r.edge->spares, 1);
	rig_book(&r);
	rig_pass(&r, A_MOMENT_MS);
	for (int i = 0; i < 2; i++) {
		answer("one of two");
		expect(c, "200");
	}
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), TICKETS + 2);
	assert_int_equal(rig_balance(&r), 1000000000 - (TICKETS + 2) * COST);
	rig_check_books(&r);
	close(c);
}

/* An edge that is to end serves those who wait, and no others. */
static void
who_waits_is_served_before_the_edge_ends(void **state)
{
	int c = use_all();
	ask(c, "the last one");
	rig_tell(&r, MESSAGE_DRAIN);
	expect_nothing(c);
	rig_book(&r);
	rig_pass(&r, A_MOMENT_MS);
	answer("the last one");
	expect(c, "200");
	assert_int_equal(r.edge->spares, 0);
	assert_null(r.edge->exchanges);
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), TICKETS + 1);
	rig_check_books(&r);
	close(c);
}

/* ---- rows ---- */

enum { STRANGERS = 40, /* requests, */
	AWAY = 8, /* of so many accounts, whose slots others have got since: */
	ACCOUNTS = AWAY + 16 /* the rig's slots */ };
static char stranger[ACCOUNTS][API_KEY_BYTES + 1];

static json_t *
done(json_t *request)
{
	json_t *answer = rig_control(&r, request);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	return answer;
}

/* Accounts that are not on the board, of a ledger that hears nothing, whose arrow is soon full. */
static void
stall_before_strangers(void)
{
	for (int i = 0; i < ACCOUNTS; i++) {
		char name[32];
		sprintf(name, "stranger%d", i);
		json_decref(done(json_pack("{s:s,s:s}", "op", "account.create", "name", name)));
		json_decref(done(json_pack("{s:s,s:s,s:s,s:s}", "op", "credit.add", "account", name, "amount", "1.00", "reason", name)));
		json_t *k = done(json_pack("{s:s,s:s}", "op", "key.create", "account", name));
		strcpy(stranger[i], json_string_value(json_object_get(k, "secret")));
		json_decref(k);
	}
	const int least = 1;
	assert_return_code(setsockopt(r.edge->ledger.fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
	r.deaf = true;
}

static int
come(int i)
{
	int c = rig_client(&r);
	char own[sizeof r.key], word[32];
	strcpy(own, r.key);
	strcpy(r.key, stranger[i % AWAY]);
	sprintf(word, "stranger %d.", i);
	ask(c, word);
	strcpy(r.key, own);
	return c;
}

static int
untold(void)
{
	int n = 0;
	for (const struct exchange *x = r.edge->wait_question.first; x; x = x->wait_next)
		n++;
	return n;
}

static int
waiting(void)
{
	int n = 0;
	for (const struct exchange *x = r.edge->wait_row.first; x; x = x->wait_next)
		n++;
	return n + untold();
}

static void
answers_in_order(const int c[], int from, int count)
{
	bool eof;
	for (int i = from; i < count; i++) {
		char word[32];
		int p = rig_provider(&r, i - from);
		rig_read(&r, p, out, &eof);
		sprintf(word, "stranger %d.", i);
		assert_non_null(strstr(out, word));
		size_t len = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" ANSWER, strlen(ANSWER));
		rig_send(&r, p, in, len);
		expect(c[i], "200");
	}
}

static void
who_needs_a_row_waits_until_the_ledger_can_be_asked(void **state)
{
	int c[STRANGERS];
	stall_before_strangers();
	for (int i = 0; i < STRANGERS; i++)
		c[i] = come(i);
	assert_int_equal(waiting(), STRANGERS);
	assert_in_range(untold(), 2, STRANGERS - 1);
	rig_pass(&r, WAIT_MS - A_MOMENT_MS);
	for (int i = 0; i < STRANGERS; i++)
		expect_nothing(c[i]);
	r.deaf = false;
	for (int i = 0; i < STRANGERS && waiting(); i++)
		rig_pass(&r, 1);
	assert_int_equal(waiting(), 0);
	rig_pass(&r, A_MOMENT_MS);
	answers_in_order(c, 0, STRANGERS);
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), STRANGERS);
	rig_check_books(&r);
	for (int i = 0; i < STRANGERS; i++)
		close(c[i]);
}

static void
the_wait_for_a_row_has_an_end(void **state)
{
	int c[STRANGERS];
	stall_before_strangers();
	r.edge->p->timeouts.connect = 100; /* is about providers */
	for (int i = 0; i < STRANGERS; i++)
		c[i] = come(i);
	rig_pass(&r, WAIT_MS - A_MOMENT_MS);
	expect_nothing(c[0]);
	rig_pass(&r, 2 * A_MOMENT_MS);
	for (int i = 0; i < STRANGERS; i++) {
		expect(c[i], "503");
		assert_non_null(strstr(out, "\r\nretry-after: 1\r\n"));
		close(c[i]);
	}
	assert_int_equal(waiting(), 0);
	assert_null(r.edge->wait_question.first);
	assert_int_equal(r.edge->patient, 0);
	r.deaf = false;
	rig_turn(&r); /* answers to nobody */
	rig_check_books(&r);
}

/* The first that was not asked for goes, and the last; a ledger that was started anew is asked for all of them again, in the same order. */
static void
who_waits_for_a_row_may_go_and_a_new_ledger_is_asked_anew(void **state)
{
	int c[STRANGERS];
	stall_before_strangers();
	for (int i = 0; i < STRANGERS; i++)
		c[i] = come(i);
	int first = STRANGERS - untold();
	close(c[first]);
	rig_turn(&r);
	assert_int_equal(untold(), STRANGERS - first - 1);
	close(c[STRANGERS - 1]);
	rig_turn(&r);
	assert_int_equal(waiting(), STRANGERS - 2);
	c[STRANGERS - 1] = come(STRANGERS - 1);
	c[first] = come(first);
	assert_int_equal(untold(), STRANGERS - first);
	r.deaf = false;
	rig_renew(&r, END_OF_LEDGER);
	rig_turn(&r);
	rig_pass(&r, A_MOMENT_MS);
	assert_int_equal(waiting(), 0);
	answers_in_order(c, 0, first);
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), first);
	rig_check_books(&r);
	for (int i = 0; i < STRANGERS; i++)
		close(c[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_waits_for_the_ledger_and_is_answered, opened, closed),
		cmocka_unit_test_setup_teardown(who_came_first_goes_first, opened, closed),
		cmocka_unit_test_setup_teardown(the_wait_has_an_end, opened, closed),
		cmocka_unit_test_setup_teardown(no_more_wait_than_half_the_tickets, opened, closed),
		cmocka_unit_test_setup_teardown(nobody_waits_behind_a_gate_that_was_shut, opened, closed),
		cmocka_unit_test_setup_teardown(who_goes_leaves_the_queue, opened, closed),
		cmocka_unit_test_setup_teardown(what_is_behind_on_the_same_connection_waits_as_well, opened, closed),
		cmocka_unit_test_setup_teardown(who_waits_is_served_before_the_edge_ends, opened, closed),
		cmocka_unit_test_setup_teardown(who_needs_a_row_waits_until_the_ledger_can_be_asked, opened, closed),
		cmocka_unit_test_setup_teardown(the_wait_for_a_row_has_an_end, opened, closed),
		cmocka_unit_test_setup_teardown(who_waits_for_a_row_may_go_and_a_new_ledger_is_asked_anew, opened, closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
