/*
 * What two edges have in common of memory while streams run: of what one writes for a chunk the other touches no line, or each chunk would wait for a line of the
 * cache to come over from another processor. Every access to the board, the keys and the circuits is seen: the pages can't be touched, and the instruction that is
 * stopped by that goes on alone, one step long, with the pages open.
 */
#include "loopback/rig.h"

#include "ticket/board_priv.h"
#include "ticket/circuit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

enum { EDGES = 2,
	TICKETS = 64, /* of each (rig.c) */
	STREAMS = 8,
	CHUNKS = 10, /* of each stream, looked at; and as many before */
	LINE = 64,
	READ = 1,
	WRITTEN = 2,
	TRAP_FLAG = 0x100, /* of EFLAGS: a SIGTRAP after the next instruction */
	WRITE_FAULT = 2 }; /* of a page fault's error code */

struct common {
	char *at;
	size_t bytes;
	uint8_t *lines[EDGES];
};

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];
static struct common commons[3];
static uint32_t edge; /* whose accesses are looked at */
static size_t accesses;

static void
shut(int protection)
{
	for (size_t i = 0; i < ARRAY_LEN(commons); i++)
		if (mprotect(commons[i].at, commons[i].bytes, protection) != 0)
			_exit(3);
}

static void
on_access(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	char *at = info->si_addr;
	struct common *of = NULL;
	for (size_t i = 0; i < ARRAY_LEN(commons); i++)
		if (at >= commons[i].at && at < commons[i].at + commons[i].bytes)
			of = &commons[i];
	if (!of)
		_exit(4); /* a fault of another kind */
	of->lines[edge][(size_t)(at - of->at) / LINE] |= c->uc_mcontext.gregs[REG_ERR] & WRITE_FAULT ? WRITTEN : READ;
	accesses++;
	shut(PROT_READ | PROT_WRITE);
	c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void
on_step(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	c->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	shut(PROT_NONE);
}

static void
watch(void)
{
	const struct sigaction access = {.sa_sigaction = on_access, .sa_flags = SA_SIGINFO}, step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
	assert_int_equal(sigaction(SIGSEGV, &access, NULL), 0);
	assert_int_equal(sigaction(SIGTRAP, &step, NULL), 0);
	shut(PROT_NONE);
}

static void
open_edge(void *circuits)
{
	size_t bytes;
	rig_open_among(&r, edge, EDGES, circuits);
	bytes = board_bytes(&(struct board_size){.edges = EDGES, .tickets_per_edge = TICKETS, .slots = 16, .limits = 8});
	const struct common all[] = {{r.board_memory, bytes, {0}}, {r.key_memory, key_table_bytes(), {0}}, {circuits, sizeof(struct circuits), {0}}};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		commons[i].at = all[i].at;
		commons[i].bytes = all[i].bytes;
		commons[i].lines[edge] = calloc(all[i].bytes / LINE + 1, 1);
		assert_non_null(commons[i].lines[edge]);
	}
}

static void
stream(void)
{
	static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
	static const char event[] = "data: {\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\",\"choices\":[{\"index\":0,"
								"\"delta\":{\"content\":\" proposals\"},\"finish_reason\":null}],\"usage\":null}\n\n";
	char chunk[sizeof event + 16];
	int client[STREAMS], provider[STREAMS], len = snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", sizeof event - 1, event);
	for (int i = 0; i < STREAMS; i++) {
		client[i] = rig_client(&r);
		rig_send(&r, client[i], in, rig_request(&r, "{\"model\":\"m\",\"stream\":true,\"max_tokens\":256,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "", in));
		provider[i] = rig_provider(&r, i);
		assert_int_not_equal(provider[i], -1);
		rig_send(&r, provider[i], head, sizeof head - 1);
	}
	for (int i = 0; i < 2 * CHUNKS * STREAMS; i++) {
		ssize_t sent = send(provider[i % STREAMS], chunk, (size_t)len, MSG_NOSIGNAL);
		assert_int_equal(sent, len);
		if (i == CHUNKS * STREAMS)
			watch();
		loop_turn(&r.edge->loop, 0);
		ssize_t came = recv(client[i % STREAMS], out, sizeof out, 0);
		assert_true(came > 0);
	}
	shut(PROT_READ | PROT_WRITE);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
}

/* Nothing but this edge's own tickets, which the ledger looks at when it writes down how far streams are. */
static void
check_written(void)
{
	const struct ticket *own = &r.process.board->tickets[edge * TICKETS];
	for (size_t i = 0; i < ARRAY_LEN(commons); i++)
		for (size_t line = 0; line < commons[i].bytes / LINE; line++) {
			const char *at = commons[i].at + line * LINE;
			assert_true(!(commons[i].lines[edge][line] & WRITTEN) || (at >= (const char *)own && at < (const char *)(own + TICKETS)));
		}
}

static void
each_edge_runs_streams(void)
{
	for (edge = 0; edge < EDGES; edge++) {
		void *circuits = mmap(NULL, sizeof(struct circuits), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(circuits, MAP_FAILED);
		accesses = 0;
		open_edge(circuits);
		stream();
		print_message("edge %u: %.1f accesses a chunk to what is common\n", edge, (double)accesses / (CHUNKS * STREAMS));
		assert_true(accesses >= CHUNKS * STREAMS); /* each says on its ticket what the stream has cost */
		check_written();
		rig_close(&r);
		munmap(circuits, sizeof(struct circuits));
	}
}

static void
no_line_is_written_by_one_edge_and_touched_by_another_for_a_chunk(void **state)
{
	size_t written = 0, both_read = 0;
	each_edge_runs_streams();
	for (size_t i = 0; i < ARRAY_LEN(commons); i++) {
		for (size_t line = 0; line < commons[i].bytes / LINE; line++) {
			uint8_t a = commons[i].lines[0][line], b = commons[i].lines[1][line];
			written += ((a | b) & WRITTEN) != 0;
			both_read += a && b;
			assert_false(a && b && ((a | b) & WRITTEN));
		}
		free(commons[i].lines[0]);
		free(commons[i].lines[1]);
	}
	print_message("%zu lines written for %d streams, %zu read for both edges\n", written, EDGES * STREAMS, both_read);
	assert_in_range(written, EDGES * STREAMS, EDGES * STREAMS * (TICKET_BYTES / LINE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_line_is_written_by_one_edge_and_touched_by_another_for_a_chunk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
