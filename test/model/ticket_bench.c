/*
 * What the ticket protocol costs: reserve + settle with one leg and two, give back + free, and two processes
 * on one account. Prints nanoseconds per exchange: alone the best of many rounds, together the median.
 */
#include "ticket/board_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TICKETS = 1024,
	ROUNDS = 1500,
	RUNS = 15,
	TOGETHER = 40000 };

static double
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct board *
new_board(uint32_t tickets)
{
	struct board_size size = {.edges = 2, .tickets_per_edge = tickets, .slots = 4};
	size_t bytes = board_bytes(&size);
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(memory != MAP_FAILED);
	board_format(memory, &size);
	struct board *b = board_attach(memory, bytes);
	assert(b);
	atomic_store(board_id_ceiling_ms(b), UINT64_MAX);
	board_sweep_start(b);
	for (uint64_t row = 1; row <= 4; row++) {
		uint32_t slot;
		bool loaded = board_load(b, row, (struct nano){INT64_MAX / 2}, &slot);
		assert(loaded && slot == row - 1);
		(void)loaded;
	}
	return b;
}

static void
reserve_and_settle(struct ticket_desk *d, unsigned legs)
{
	const struct ticket_leg leg[] = {{.row = legs, .slot = legs - 1}, {.row = 1, .slot = 0}};
	struct ticket *t = ticket_pick(d);
	uint64_t id = ticket_next_id(d, 1700000000000ULL);
	enum moved m = ticket_take(d, t, id, leg, legs, (struct nano){10}, NULL);
	assert(m == MOVED);
	(void)m;
	ticket_state_cost(t, (struct nano){3});
	ticket_settle(d, t);
}

static size_t
book_all(struct board *b)
{
	static struct ticket_copy batch[TICKETS];
	size_t n = board_collect(b, batch, TICKETS, NULL);
	for (size_t i = 0; i < n; i++)
		board_give_back(b, batch[i].index);
	return n;
}

static void
alone(unsigned legs)
{
	struct board *b = new_board(TICKETS);
	struct ticket_desk *d = ticket_desk_open(calloc(1, ticket_desk_bytes(b)), b, 0, 1);
	double edge = 1e12, ledger = 1e12;
	for (unsigned i = 0; i < ROUNDS; i++) {
		double t0 = now_ns();
		for (unsigned k = 0; k < TICKETS; k++)
			reserve_and_settle(d, legs);
		double t1 = now_ns();
		book_all(b);
		double t2 = now_ns();
		edge = t1 - t0 < edge ? t1 - t0 : edge;
		ledger = t2 - t1 < ledger ? t2 - t1 : ledger;
	}
	printf("%u leg%s: pick, id, reserve, cost, settle %6.1f ns; collect, give back, free %6.1f ns\n", legs, legs > 1 ? "s" : "",
		edge / TICKETS, ledger / TICKETS);
	board_detach(&b);
}

/* Two edges that do nothing but this to one account; nobody frees. Returns the slower one's time. */
static double
both_edges(struct board *b, _Atomic unsigned *ready, unsigned legs)
{
	double *took = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(took != MAP_FAILED);
	for (unsigned e = 0; e < 2; e++) {
		pid_t pid = fork();
		assert(pid >= 0);
		if (pid)
			continue;
		uint32_t incarnation = board_incarnation(b, e) + 1;
		struct ticket_desk *d = ticket_desk_open(calloc(1, ticket_desk_bytes(b)), b, e, incarnation);
		atomic_fetch_add(ready, 1);
		while (atomic_load(ready) % 2)
			;
		double t0 = now_ns();
		for (unsigned i = 0; i < TOGETHER; i++)
			reserve_and_settle(d, legs);
		took[e] = now_ns() - t0;
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	double slower = took[0] > took[1] ? took[0] : took[1];
	munmap(took, 4096);
	return slower;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void
together(unsigned legs)
{
	struct board *b = new_board(TOGETHER);
	_Atomic unsigned *ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double took[RUNS];
	for (unsigned run = 0; run < RUNS; run++) {
		took[run] = both_edges(b, ready, legs);
		board_mark_all_dead(b);
		while (book_all(b))
			;
	}
	qsort(took, RUNS, sizeof(took[0]), by_size);
	printf("%u leg%s, two edges on one account: pick, id, reserve, cost, settle %6.1f ns (median)\n", legs,
		legs > 1 ? "s" : "", took[RUNS / 2] / TOGETHER);
	board_detach(&b);
}

int
main(void)
{
	for (unsigned legs = 1; legs <= 2; legs++)
		alone(legs);
	for (unsigned legs = 1; legs <= 2; legs++)
		together(legs);
	return 0;
}
