/*
 * The load generator's connections against the simulator: what it counts is what was asked for. The arguments are the
 * simulator's executable and tool/certificate.sh.
 */
#include "fixture.h"
#include "load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t PATIENCE_NS = UINT64_C(20000000000), SLICE_NS = UINT64_C(2000000);

static const char *executable;
static struct tls_client *client;
static struct load l;

static int
start(void **state)
{
	return fixture_start(executable) ? 0 : -1;
}

static int
stop(void **state)
{
	load_finish(&l);
	return fixture_stop() ? 0 : -1;
}

static struct load_options
by_tls(enum load_mode mode, enum load_handshakes handshakes)
{
	return (struct load_options){
		.mode = mode,
		.to = {fixture.tls},
		.tos = 1,
		.processes = 1,
		.client = client,
		.host = "localhost",
		.handshakes = handshakes,
		.connections = 8,
		.body_bytes = 1024,
		.path = "/v1/chat/completions",
		.model = "m",
		.sim = "",
		.header = {"authorization: Bearer k1"},
		.headers = 1,
		.max_tokens = mode == LOAD_REQUESTS ? 256 : -1,
		.gap_ms = 1,
		.rate = mode == LOAD_STREAMS ? 1000 : 0,
	};
}

static struct load_options
in_clear_text(enum load_mode mode)
{
	struct load_options o = by_tls(mode, LOAD_KEPT);
	o.to[0] = fixture.clear;
	o.client = NULL;
	return o;
}

static void
run_until_all_stream(void)
{
	for (uint64_t give_up_ns = net_now_ns() + PATIENCE_NS; l.streaming < l.options->connections && !l.counts.errors;) {
		assert_true(net_now_ns() < give_up_ns);
		load_run(&l, net_now_ns() + SLICE_NS);
	}
}

static void
run_until(const uint64_t *counter, uint64_t least)
{
	for (uint64_t give_up_ns = net_now_ns() + PATIENCE_NS; *counter < least && !l.counts.errors;) {
		assert_true(net_now_ns() < give_up_ns);
		load_run(&l, net_now_ns() + SLICE_NS);
	}
	assert_string_equal(l.first_error, "");
}

static void
begin(const struct load_options *o)
{
	static struct load_options kept; /* until the end of the test, where its own are gone */
	kept = *o;
	load_init(&l, &kept);
	load_open(&l, o->connections);
}

static void
kept_connections_have_resumed_a_session(void **state)
{
	struct load_options o = by_tls(LOAD_REQUESTS, LOAD_KEPT);
	begin(&o);
	run_until(&l.counts.resumed, o.connections);
	assert_int_equal(l.counts.handshakes, 2 * o.connections); /* the first of each brings the session */
	assert_int_equal(load_resumed_now(&l), o.connections);
	load_reset_counts(&l);
	run_until(&l.counts.requests, 200);
	assert_int_equal(l.counts.handshakes, 0);
}

static void
a_full_handshake_goes_before_every_request(void **state)
{
	struct load_options o = by_tls(LOAD_REQUESTS, LOAD_FULL);
	begin(&o);
	run_until(&l.counts.requests, 50);
	assert_in_range(l.counts.handshakes, l.counts.requests, l.counts.requests + o.connections);
	assert_int_equal(l.counts.resumed, 0);
}

static void
every_handshake_but_the_first_is_resumed(void **state)
{
	struct load_options o = by_tls(LOAD_REQUESTS, LOAD_RESUMED);
	begin(&o);
	run_until(&l.counts.requests, 100);
	assert_in_range(l.counts.handshakes, l.counts.requests, l.counts.requests + o.connections);
	assert_in_range(l.counts.handshakes - l.counts.resumed, 1, o.connections);
}

static void
streams_are_counted_by_their_stamps(void **state)
{
	struct load_options o = by_tls(LOAD_STREAMS, LOAD_KEPT);
	begin(&o);
	run_until_all_stream(); /* one may still shake hands while the others stream */
	run_until(&l.counts.chunks, 500);
	assert_int_equal(l.streaming, o.connections);
	assert_int_equal(l.counts.handshakes, o.connections);
	assert_int_equal(l.counts.resumed, 0);
}

static void
bodies_larger_than_a_socket_takes_arrive(void **state)
{
	struct load_options o = by_tls(LOAD_REQUESTS, LOAD_KEPT);
	o.connections = 2;
	o.body_bytes = 8u << 20;
	begin(&o);
	run_until(&l.counts.requests, 4);
}

static void
a_certificate_for_another_name_is_an_error(void **state)
{
	struct load_options o = by_tls(LOAD_REQUESTS, LOAD_FULL);
	o.host = "elsewhere.localhost";
	begin(&o);
	for (uint64_t give_up_ns = net_now_ns() + PATIENCE_NS; l.counts.errors < o.connections;) {
		assert_true(net_now_ns() < give_up_ns);
		load_run(&l, net_now_ns() + SLICE_NS);
	}
	assert_int_equal(l.counts.requests, 0);
	assert_non_null(strstr(l.first_error, "certificate"));
}

/* The simulator knows the first of them alone. */
static void
slow_streams_are_asked_for_by_their_gap(void **state)
{
	struct load_options o = in_clear_text(LOAD_STREAMS);
	o.rate = 0;
	o.gap_ms = 5;
	begin(&o);
	assert_non_null(memmem(l.request, l.request_len, "gap_ms=5,", 9));
	assert_null(memmem(l.request, l.request_len, "rate=", 5));
	run_until_all_stream();
	run_until(&l.counts.chunks, 3 * o.connections);
	assert_int_equal(l.streaming, o.connections);
}

static void
requests_take_turns_with_the_keys(void **state)
{
	static char known[] = "k1", unknown[] = "k2";
	char *keys[] = {known, unknown};
	struct load_options o = in_clear_text(LOAD_REQUESTS);
	o.connections = 1;
	o.keys = (struct load_keys){keys, 2, 2};
	begin(&o);
	for (uint64_t give_up_ns = net_now_ns() + PATIENCE_NS; l.counts.errors < 10;) {
		assert_true(net_now_ns() < give_up_ns);
		load_run(&l, net_now_ns() + SLICE_NS);
	}
	assert_in_range(l.counts.requests, l.counts.errors, l.counts.errors + 1);
	assert_non_null(strstr(l.first_error, "status 401"));
}

static void
streams_that_end_are_requests_each_over_its_own_connection(void **state)
{
	struct load_options o = in_clear_text(LOAD_REQUESTS);
	o.once = o.stream = true;
	o.sim = "chunks=10";
	begin(&o);
	run_until(&l.counts.requests, 100);
	assert_int_equal(l.latency.count, l.counts.requests);
	assert_true(l.counts.bytes > l.counts.requests * 10 * 100); /* ten events each */
}

/* The rest of the answer comes 20 ms later. */
static void
the_first_byte_is_timed_when_it_comes(void **state)
{
	struct load_options o = in_clear_text(LOAD_REQUESTS);
	o.stream = true;
	o.sim = "chunks=2,gap_ms=20";
	begin(&o);
	run_until(&l.counts.requests, 24);
	uint64_t whole_ns = histogram_percentile(&l.latency, 0);
	load_finish(&l);
	o.first_byte = true;
	begin(&o);
	run_until(&l.counts.requests, 24);
	assert_true(whole_ns >= 20000000);
	assert_true(histogram_percentile(&l.latency, 0) < whole_ns);
}

static void
at_a_fixed_rate_each_request_is_due_somewhere_in_its_own_step(void **state)
{
	enum { LOOKS = 40 };
	const uint64_t step_ns = UINT64_C(1000000);
	struct load_options o = in_clear_text(LOAD_REQUESTS);
	size_t early = 0;
	o.rate = 1000;
	begin(&o);
	run_until(&l.counts.requests, 1);
	uint64_t first_ns = l.step_ns;
	for (size_t i = 0; i < LOOKS; i++) {
		run_until(&l.counts.requests, l.counts.requests + 1); /* a turn may have sent many */
		assert_true(l.due_ns >= l.step_ns && l.due_ns < l.step_ns + step_ns);
		assert_int_equal((l.step_ns - first_ns) % step_ns, 0);
		early += l.due_ns - l.step_ns < step_ns / 2;
	}
	assert_in_range(early, 1, LOOKS - 1);
}

static void
run_until_all_rest(void)
{
	for (uint64_t give_up_ns = net_now_ns() + PATIENCE_NS; l.idle_count < l.options->connections && !l.counts.errors;) {
		assert_true(net_now_ns() < give_up_ns);
		load_run(&l, net_now_ns() + SLICE_NS / 8);
	}
}

/* As if the other side did. */
static void
close_all_connections(void)
{
	struct sockaddr_storage to;
	for (int fd = 0; fd < 1024; fd++) {
		socklen_t len = sizeof to;
		if (getpeername(fd, (struct sockaddr *)&to, &len) == 0)
			shutdown(fd, SHUT_RDWR);
	}
}

/* A connection that is closed while it rests is there once again, and not twice. */
static void
connections_that_rest_may_be_closed(void **state)
{
	struct load_options o = in_clear_text(LOAD_REQUESTS);
	o.rate = 100;
	begin(&o);
	run_until(&l.counts.requests, 1);
	for (unsigned i = 0; i < 3; i++) {
		run_until_all_rest();
		close_all_connections();
		load_run(&l, net_now_ns() + SLICE_NS);
	}
	run_until(&l.counts.requests, l.counts.requests + 2 * o.connections);
	run_until_all_rest();
	assert_int_equal(l.counts.errors, 0);
	assert_int_equal(l.alive, o.connections);
}

static void
a_request_that_is_due_on_a_closed_connection_is_asked_over_another(void **state)
{
	struct load_options o = in_clear_text(LOAD_REQUESTS);
	o.rate = 100;
	begin(&o);
	run_until(&l.counts.requests, 1);
	run_until_all_rest();
	close_all_connections();
	while (net_now_ns() < l.due_ns)
		continue; /* it is sent before the end of its connection is read */
	load_run(&l, net_now_ns() + SLICE_NS);
	run_until(&l.counts.requests, l.counts.requests + 2 * o.connections);
	run_until_all_rest();
	assert_int_equal(l.alive, o.connections);
}

static void
who_takes_turns_asks_in_slices_of_its_own(void **state)
{
	enum { LOOKS = 40,
		SLICES = 2 };
	const uint64_t slice_ns = LOAD_SLICE_MS * UINT64_C(1000000), settles_ns = LOAD_SLICE_SETTLES_MS * UINT64_C(1000000);
	struct load_options o = in_clear_text(LOAD_REQUESTS);
	o.rate = 1000;
	o.slices = SLICES;
	o.slice = SLICES - 1;
	begin(&o);
	for (size_t i = 0; i < LOOKS; i++) {
		run_until(&l.counts.requests, l.counts.requests + 1);
		assert_int_equal(l.step_ns / slice_ns % SLICES, SLICES - 1);
	}
	/* All that was due in the first part of a slice is answered and not timed; what was due later is both. */
	uint64_t from_ns = l.step_ns - l.step_ns % slice_ns + SLICES * slice_ns;
	while (l.step_ns < from_ns)
		load_run(&l, net_now_ns() + SLICE_NS);
	load_reset_counts(&l);
	run_until(&l.counts.requests, 1);
	bool early = net_now_ns() < from_ns + settles_ns;
	assert_true(!early || histogram_percentile(&l.latency, 0.5) == 0);
	while (l.due_ns < from_ns + settles_ns)
		load_run(&l, net_now_ns() + SLICE_NS);
	run_until(&l.counts.requests, l.counts.requests + 2 * o.connections);
	assert_true(histogram_percentile(&l.latency, 0.5) > 0);
}

static void
what_is_due_while_the_machine_stands_still_is_answered_and_not_timed(void **state)
{
	struct load_options o = in_clear_text(LOAD_REQUESTS);
	o.rate = 1000;
	o.witness = true;
	begin(&o);
	run_until(&l.counts.requests, 2 * o.connections);
	load_reset_counts(&l);
	run_until(&l.counts.requests, 20);
	size_t all = l.delay_count;
	struct standstill first = {l.delays[0].due_ns, l.delays[0].due_ns};
	assert_true(all > 1);
	assert_int_equal(l.latency.count, 0);
	load_sift(&l, &first, 1);
	assert_int_equal(l.counts.disturbed, 1);
	assert_int_equal(l.latency.count, all - 1);
	assert_int_equal(l.counts.errors, 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(kept_connections_have_resumed_a_session, start, stop),
		cmocka_unit_test_setup_teardown(a_full_handshake_goes_before_every_request, start, stop),
		cmocka_unit_test_setup_teardown(every_handshake_but_the_first_is_resumed, start, stop),
		cmocka_unit_test_setup_teardown(streams_are_counted_by_their_stamps, start, stop),
		cmocka_unit_test_setup_teardown(slow_streams_are_asked_for_by_their_gap, start, stop),
		cmocka_unit_test_setup_teardown(requests_take_turns_with_the_keys, start, stop),
		cmocka_unit_test_setup_teardown(streams_that_end_are_requests_each_over_its_own_connection, start, stop),
		cmocka_unit_test_setup_teardown(the_first_byte_is_timed_when_it_comes, start, stop),
		cmocka_unit_test_setup_teardown(at_a_fixed_rate_each_request_is_due_somewhere_in_its_own_step, start, stop),
		cmocka_unit_test_setup_teardown(connections_that_rest_may_be_closed, start, stop),
		cmocka_unit_test_setup_teardown(a_request_that_is_due_on_a_closed_connection_is_asked_over_another, start, stop),
		cmocka_unit_test_setup_teardown(who_takes_turns_asks_in_slices_of_its_own, start, stop),
		cmocka_unit_test_setup_teardown(what_is_due_while_the_machine_stands_still_is_answered_and_not_timed, start, stop),
		cmocka_unit_test_setup_teardown(bodies_larger_than_a_socket_takes_arrive, start, stop),
		cmocka_unit_test_setup_teardown(a_certificate_for_another_name_is_an_error, start, stop),
	};
	if (argc != 3 || !fixture_certificate(argv[2]))
		return 2;
	executable = argv[1];
	client = link_client_of(fixture_file("ca.pem"));
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_client_unref(&client);
	fixture_finish();
	return failed;
}
