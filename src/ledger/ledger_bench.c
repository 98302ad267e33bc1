/*
 * What booking a ticket costs the ledger's processor, by size of batch and number of accounts.
 * `meson test --benchmark`.
 */
#include "ledger/ledger_world.h"

#include "core/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double
cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double
wall(void)
{
	return (double)clock_wall_us();
}

static uint64_t
make_accounts(struct world *w, uint32_t count)
{
	char sql[512];
	snprintf(sql, sizeof(sql),
		"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %u) "
		"INSERT INTO account (id, kind, name, created_us, balance_nano) SELECT 1000000 + i * "
		"32768, 0, 'customer ' || i, 0, 1000000000000 FROM n",
		count);
	assert_true(store_exec(&w->ledger->store, sql));
	return 1000000;
}

static void
run(uint32_t batch, uint32_t accounts, uint32_t rounds)
{
	struct world w;
	world_begin_sized(&w, accounts + 1);
	uint64_t first = make_accounts(&w, accounts), random = 1;
	double cpu = 0, elapsed = 0, worst = 0;
	/* The first rounds grow files and caches. */
	for (uint32_t r = 0; r < rounds + 5; r++) {
		for (uint32_t i = 0; i < batch; i++) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			uint64_t account = first + (random >> 33) % accounts * 32768;
			struct world_exchange e = {.account = account,
				.key = account + 1,
				.model = i % 2,
				.input = 1000 + i,
				.output = 200 + i % 50,
				.cost = -1};
			if (world_exchange(&w, e) == 0)
				abort();
		}
		double c = cpu_us(), t = wall();
		if (world_round(&w) != (int)batch)
			abort();
		c = cpu_us() - c;
		t = wall() - t;
		if (r < 5)
			continue;
		cpu += c;
		elapsed += t;
		worst = t > worst ? t : worst;
	}
	printf("batch %4u, %5u accounts: %.2f us CPU a ticket, %.2f ms a round (worst %.2f)\n", batch, accounts,
		cpu / rounds / batch, elapsed / rounds / 1000, worst / 1000);
	world_end(&w);
}

/* What the sums for metrics add to that: both copies, over as many models as a large catalogue is asked for. */
static void
run_tally(uint32_t models)
{
	enum { TICKETS = 1000,
		ROUNDS = 2000 };
	size_t head = (sizeof(struct catalogue) + 7) & ~(size_t)7, provider = (sizeof(struct catalogue_provider) + 7) & ~(size_t)7; /* places are multiples of 8 */
	char *memory = calloc(1, head + provider + models * (sizeof(struct catalogue_model) + sizeof(struct catalogue_target)) + sizeof(struct catalogue_lane)), *sums = calloc(1, tally_bytes(models));
	struct catalogue *c = (void *)memory;
	if (memory == NULL || sums == NULL)
		abort();
	*c = (struct catalogue){.provider_count = 1, .model_count = models, .provider_at = head, .model_at = head + provider, .lane_count = 1, .target_count = models};
	c->target_at = c->model_at + models * sizeof(struct catalogue_model);
	c->lane_at = c->target_at + models * sizeof(struct catalogue_target);
	for (uint32_t i = 0; i < models; i++) {
		((struct catalogue_model *)(void *)(memory + c->model_at))[i].id = 1000 + i;
		((struct catalogue_target *)(void *)(memory + c->target_at))[i].model = i;
	}
	tally_format(sums, models);
	struct tally *t = tally_attach(sums, tally_bytes(models), c);
	struct ticket_facts f = {.status = 200, .end_reason = 1, .duration_ms = 4000, .first_byte_ms = 700, .tokens_input = 9, .tokens_output = 9};
	tally_begin(t, 0);
	double cpu = cpu_us();
	for (int64_t r = 1; r <= ROUNDS; r++) {
		for (int copy = 0; copy < 2; copy++) {
			for (uint32_t i = 0; i < TICKETS; i++) {
				f.model = 1000 + i * 7 % models;
				tally_add(t, &f, (struct nano){1});
			}
			if (copy == 0)
				tally_publish(t, r);
		}
	}
	cpu = cpu_us() - cpu;
	printf("sums for metrics, %4u models: %.3f us CPU a ticket\n", models, cpu / ROUNDS / TICKETS);
	tally_detach(&t);
	free(sums);
	free(memory);
}

int
main(int argc, char **argv)
{
	if (argc == 4) { /* batch, accounts, rounds: for counting instructions */
		run((uint32_t)strtoul(argv[1], NULL, 10), (uint32_t)strtoul(argv[2], NULL, 10), (uint32_t)strtoul(argv[3], NULL, 10));
		return 0;
	}
	run_tally(1);
	run_tally(20);
	run_tally(500);
	run(1, 1, 200);
	run(100, 1, 200);
	run(1000, 1, 100);
	run(100, 10000, 200);
	run(1000, 10000, 100);
	return 0;
}
