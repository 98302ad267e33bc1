/*
 * Both bare relays between the load generator and the simulator: what comes out is what went in, for as long as there are connections. The
 * arguments are the simulator's executable, tool/certificate.sh, and the relays' executables.
 */
#include "fixture.h"
#include "load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t PATIENCE_NS = UINT64_C(20000000000), SLICE_NS = UINT64_C(2000000);

static const char *simulator;

struct relay {
	const char *executable;
	pid_t pid;
	struct net_address at;
};

static pid_t
spawn(const char *executable, int out)
{
	char to[32];
	snprintf(to, sizeof to, "127.0.0.1:%u", ntohs(((struct sockaddr_in *)(void *)&fixture.clear.at)->sin_port));
	pid_t pid = fork();
	if (pid == 0) {
		dup2(out, STDOUT_FILENO);
		execl(executable, executable, "--connect", to, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static int
start(void **state)
{
	struct relay *r = *state;
	int out[2];
	unsigned port = 0;
	char address[32];
	if (!fixture_start(simulator) || pipe(out) != 0 || (r->pid = spawn(r->executable, out[1])) < 0)
		return -1;
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	bool said = f && fscanf(f, "listening on port %u", &port) == 1;
	if (f)
		fclose(f);
	snprintf(address, sizeof address, "127.0.0.1:%u", port);
	return said && net_address_parse(address, &r->at) ? 0 : -1;
}

static int
stop(void **state)
{
	struct relay *r = *state;
	int status;
	kill(r->pid, SIGTERM);
	bool ran = waitpid(r->pid, &status, 0) == r->pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
	return fixture_stop() && ran ? 0 : -1;
}

/* As often as `least` of this counter, without an error. */
static void
drive(struct load_options o, const struct relay *r, uint64_t least)
{
	static struct load l;
	o.to[0] = r->at;
	o.tos = o.processes = 1;
	o.path = "/v1/chat/completions";
	o.model = "m";
	o.header[0] = "authorization: Bearer k1";
	o.headers = 1;
	o.max_tokens = -1;
	load_init(&l, &o);
	load_open(&l, o.connections);
	uint64_t *counter = o.mode == LOAD_STREAMS ? &l.counts.chunks : &l.counts.requests;
	for (uint64_t give_up_ns = net_now_ns() + PATIENCE_NS; *counter < least && !l.counts.errors;) {
		assert_true(net_now_ns() < give_up_ns);
		load_run(&l, net_now_ns() + SLICE_NS);
	}
	assert_string_equal(l.first_error, "");
	load_finish(&l);
}

static void
many_requests_go_over_kept_connections(void **state)
{
	drive((struct load_options){.mode = LOAD_REQUESTS, .connections = 32, .body_bytes = 1024, .sim = ""}, *state, 2000);
}

/* More than sockets and buffers take at once, both ways. */
static void
large_bodies_arrive_whole(void **state)
{
	drive((struct load_options){.mode = LOAD_REQUESTS, .connections = 4, .body_bytes = 3000000, .sim = "body_bytes=5000000"}, *state, 12);
}

static void
connections_come_and_go(void **state)
{
	drive((struct load_options){.mode = LOAD_REQUESTS, .once = true, .connections = 16, .body_bytes = 1024, .sim = ""}, *state, 500);
}

static void
streams_flow_chunk_by_chunk(void **state)
{
	drive((struct load_options){.mode = LOAD_STREAMS, .connections = 16, .rate = 200, .sim = ""}, *state, 1000);
}

int
main(int argc, char **argv)
{
	struct relay relays[2];
	if (argc != 5 || !fixture_certificate(argv[2]))
		return 2;
	simulator = argv[1];
	relays[0] = (struct relay){.executable = argv[3]};
	relays[1] = (struct relay){.executable = argv[4]};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(many_requests_go_over_kept_connections, start, stop, &relays[0]),
		cmocka_unit_test_prestate_setup_teardown(large_bodies_arrive_whole, start, stop, &relays[0]),
		cmocka_unit_test_prestate_setup_teardown(connections_come_and_go, start, stop, &relays[0]),
		cmocka_unit_test_prestate_setup_teardown(streams_flow_chunk_by_chunk, start, stop, &relays[0]),
		cmocka_unit_test_prestate_setup_teardown(many_requests_go_over_kept_connections, start, stop, &relays[1]),
		cmocka_unit_test_prestate_setup_teardown(large_bodies_arrive_whole, start, stop, &relays[1]),
		cmocka_unit_test_prestate_setup_teardown(connections_come_and_go, start, stop, &relays[1]),
		cmocka_unit_test_prestate_setup_teardown(streams_flow_chunk_by_chunk, start, stop, &relays[1]),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_finish();
	return failed;
}
