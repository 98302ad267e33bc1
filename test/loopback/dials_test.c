/* A crowd comes at once: more connections are wanted than the dialer's arrow holds, or than are made to one provider at a time. Who is not asked for yet waits. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CROWD = 24,
	AT_A_TIME = 4,
	CONNECT_MS = 10000,
	COST = 20000 /* 10 × $1/M + 5 × $2/M */ };

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];
static int client[CROWD];

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"timeouts: {connect: 10s}\n"
	"providers:\n"
	"  - {name: one, url: \"http://127.0.0.1:1/v1\", keys: [{env: RIG_KEY}]}\n"
	"  - {name: two, url: \"http://127.0.0.1:2/v1\", keys: [{env: RIG_KEY}]}\n"
	"models:\n"
	"  - {id: of-one, context: 1000, output: 100, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}], targets: [{provider: one}]}\n"
	"  - {id: of-two, context: 1000, output: 100, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}], targets: [{provider: two}]}\n";

#define ANSWER "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
			   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"

static int
begin(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
end(void **state)
{
	rig_check_books(&r);
	rig_close(&r);
	return 0;
}

static int
ask(const char *model)
{
	char body[256];
	int c = rig_client(&r);
	snprintf(body, sizeof body, "{\"model\":\"%s\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", model);
	rig_send(&r, c, in, rig_request(&r, body, "", in));
	return c;
}

static void
crowd_asks(void)
{
	for (int i = 0; i < CROWD; i++)
		client[i] = ask("of-one");
}

static void
answer(int n)
{
	int p = rig_provider(&r, n);
	size_t len = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n" ANSWER, strlen(ANSWER));
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

static void
crowd_is_served(void)
{
	for (int i = 0; i < CROWD; i++)
		rig_turn(&r);
	assert_int_equal(r.dials, CROWD);
	for (int i = 0; i < CROWD; i++) {
		expect_nothing(client[i]);
		answer(i);
		expect(client[i], "200");
		close(client[i]);
	}
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - CROWD * COST);
}

/* It holds a few messages, as many as the kernel lets it at least. */
static void
narrow(void)
{
	int least = 1;
	assert_int_equal(setsockopt(r.edge->dialer.fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
	r.dialer_rests = true;
}

static void
a_full_arrow_is_waited_for(void **state)
{
	narrow();
	crowd_asks();
	assert_non_null(r.edge->pool[0].wait.first);
	r.dialer_rests = false;
	crowd_is_served();
	assert_null(r.edge->pool[0].wait.first);
}

static void
one_provider_has_only_so_many_at_a_time_and_others_are_not_held_up(void **state)
{
	r.edge->dials_most = AT_A_TIME;
	r.dialer_rests = true;
	crowd_asks();
	int other = ask("of-two");
	assert_int_equal(r.edge->pool[0].dials, AT_A_TIME);
	assert_int_equal(r.edge->pool[1].dials, 1);
	r.leave = 1;
	r.dialer_rests = false;
	rig_turn(&r);
	assert_int_equal(r.dials, 1);
	answer(0);
	expect(other, "200");
	close(other);
	assert_int_equal(r.edge->pool[0].dials, AT_A_TIME); /* the silent one's */
	for (int i = 0; i < CROWD; i++)
		expect_nothing(client[i]);
	rig_pass(&r, CONNECT_MS); /* by the clock of each: nobody waits longer for having waited here */
	for (int i = 0; i < CROWD; i++) {
		expect(client[i], "504");
		close(client[i]);
	}
	assert_null(r.edge->pool[0].wait.first);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - COST);
}

static void
an_arrow_that_a_silent_providers_crowd_has_filled_is_tried_again_for_others(void **state)
{
	int other[4];
	narrow();
	crowd_asks();
	for (int i = 0; i < 4; i++)
		other[i] = ask("of-two");
	assert_int_equal(r.edge->pool[1].dials, 0);
	r.leave = 1;
	r.dialer_rests = false;
	for (int i = 0; i < CROWD; i++) {
		rig_turn(&r);
		rig_pass(&r, 4); /* nobody answers, so that only the clock makes a turn */
	}
	assert_int_equal(r.edge->pool[0].dials, CROWD);
	assert_int_equal(r.dials, 4);
	for (int i = 0; i < 4; i++) {
		answer(i);
		expect(other[i], "200");
		close(other[i]);
	}
	for (int i = 0; i < CROWD; i++)
		close(client[i]);
	rig_turn(&r);
	rig_book(&r);
}

static void
who_was_never_dialled_for_hears_that_we_are_at_capacity_and_no_provider_is_blamed(void **state)
{
	narrow();
	crowd_asks();
	int other = ask("of-two");
	rig_pass(&r, CONNECT_MS);
	expect(other, "503");
	expect(client[CROWD - 1], "503");
	expect(client[0], "504");
	for (int i = 0; i < CROWD; i++)
		close(client[i]);
	close(other);
	r.dialer_rests = false;
	rig_turn(&r);
	other = ask("of-two");
	rig_turn(&r);
	answer(r.dials - 1);
	expect(other, "200");
	close(other);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - COST);
}

static void
a_connection_whose_client_has_gone_is_the_next_ones(void **state)
{
	r.edge->dials_most = 1;
	r.dialer_rests = true;
	crowd_asks();
	close(client[0]);
	rig_turn(&r);
	r.dialer_rests = false;
	for (int i = 0; i < CROWD; i++)
		rig_turn(&r);
	assert_int_equal(r.dials, CROWD - 1); /* what the first had asked for is used */
	for (int i = 1; i < CROWD; i++) {
		answer(i - 1);
		expect(client[i], "200");
		close(client[i]);
	}
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - (CROWD - 1) * COST);
}

static void
who_waits_is_not_refused_for_want_of_a_place(void **state)
{
	r.dialer_rests = true;
	r.edge->dials_most = AT_A_TIME;
	crowd_asks();
	r.process.limits.connections = CROWD + 1; /* one beside those of the clients */
	r.dialer_rests = false;
	for (int i = 0; i < CROWD; i++) {
		rig_turn(&r);
		rig_pass(&r, 4);
		assert_in_range(r.dials, i + 1, i + AT_A_TIME); /* those that were asked for before come all the same */
		answer(i);
		expect(client[i], "200");
	}
	for (int i = 0; i < CROWD; i++)
		close(client[i]);
	rig_turn(&r);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - CROWD * COST);
}

static void
who_came_first_is_dialled_for_first(void **state)
{
	r.edge->dials_most = 1;
	r.dialer_rests = true;
	crowd_asks();
	r.dialer_rests = false;
	crowd_is_served(); /* the n-th client's is the n-th connection */
}

static void
who_goes_meanwhile_is_not_dialled_for(void **state)
{
	r.edge->dials_most = AT_A_TIME;
	r.dialer_rests = true;
	crowd_asks();
	for (int i = AT_A_TIME; i < CROWD; i++)
		close(client[i]);
	rig_turn(&r);
	assert_null(r.edge->pool[0].wait.first);
	r.dialer_rests = false;
	rig_turn(&r);
	assert_int_equal(r.dials, AT_A_TIME);
	for (int i = 0; i < AT_A_TIME; i++) {
		answer(i);
		expect(client[i], "200");
		close(client[i]);
	}
	assert_int_equal(r.edge->pool[0].dials, 0);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - AT_A_TIME * COST);
}

static void
a_new_dialer_is_asked_for_all(void **state)
{
	r.edge->dials_most = AT_A_TIME;
	narrow();
	crowd_asks();
	rig_renew(&r, END_OF_DIALER);
	rig_turn(&r);
	assert_int_equal(r.edge->pool[0].dials, AT_A_TIME);
	r.dialer_rests = false;
	crowd_is_served();
	assert_int_equal(r.edge->pool[0].dials, 0);
}

static void
where_there_is_no_dialer_its_successor_is_asked(void **state)
{
	r.edge->dials_most = AT_A_TIME;
	r.dialer_rests = true;
	shutdown(r.dialer, SHUT_RDWR);
	crowd_asks();
	for (int i = 0; i < CROWD; i++)
		expect_nothing(client[i]);
	rig_renew(&r, END_OF_DIALER);
	r.dialer_rests = false;
	crowd_is_served();
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(a_full_arrow_is_waited_for),
		T(one_provider_has_only_so_many_at_a_time_and_others_are_not_held_up),
		T(an_arrow_that_a_silent_providers_crowd_has_filled_is_tried_again_for_others),
		T(who_was_never_dialled_for_hears_that_we_are_at_capacity_and_no_provider_is_blamed),
		T(a_connection_whose_client_has_gone_is_the_next_ones),
		T(who_waits_is_not_refused_for_want_of_a_place),
		T(who_came_first_is_dialled_for_first),
		T(who_goes_meanwhile_is_not_dialled_for),
		T(a_new_dialer_is_asked_for_all),
		T(where_there_is_no_dialer_its_successor_is_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
