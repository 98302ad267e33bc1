/*
 * lethe-fill DIR --tickets N [--days D]: a store that looks as if it had been in use for D days. N tickets over all accounts that have a key and
 * all models that have a price, booked by the ledger's own code (batch_book), so that `lethe ledger verify` finds nothing. For the
 * bench: a store's size is part of what booking costs.
 *
 * lethe-fill DIR --book N: how fast N more are booked on a store that has tickets, as a server books them (SQLite: write-ahead log, synced at each commit), in full
 * batches. A model of its own, an array of balances, takes each ticket's cost as well; at the end every balance must be the model's. What is said: a second of time,
 * and without what this process, and the database's of this connection, waited for a processor that others had.
 *
 * The store is one that a server has had: with accounts, keys, credit and a price book, and no ticket yet. While this runs nothing is
 * safe in it (no journal, no sync): whoever calls it works on a copy.
 */
#include "ledger/ledger_priv.h"
#include "ticket/end_reasons.h"
#include "ticket/endpoints.h"
#include "ticket/price.h"
#include "ticket/ticket_id.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH = 1000, /* what 250 ms bring at 4,000 tickets a second */
	DAY_MS = 86400000,
	AN_HOUR_MS = 3600000,
	FAILED_OF = 50, /* one in so many ends with an error of the provider, free */
};

struct payer {
	uint64_t key, account;
};

/* A customer's balance as the model has it. */
struct modelled {
	uint64_t account;
	int64_t nano;
};

struct fill {
	struct ledger *l;
	struct modelled *model; /* by account; NULL: none is kept */
	size_t model_count;
	uint32_t batch;
	uint64_t span_ms; /* that the tickets are spread over */
	double wall_s, cpu_s, queued_s; /* of booking alone; queued: ready, and others had the processors */
	int64_t server_pid; /* the database's process for this connection, on this machine; 0: the store is a file */
	bool json;
	struct payer *payers;
	size_t payer_count;
	uint64_t provider, tickets, made;
	struct ticket_id_range ids;
	uint64_t last_id, random;
};

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "lethe-fill: %s: %s\n", what, why);
	exit(1);
}

static void
must(struct fill *f, bool ok, const char *what)
{
	if (!ok)
		die(what, store_error(&f->l->store));
}

/* Always the same: two fills of one store are alike. */
static uint64_t
below(struct fill *f, uint64_t most)
{
	f->random = f->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (f->random >> 33) % most;
}

/* ---- what is there ---- */

static int64_t
number(struct fill *f, const char *sql)
{
	struct query *st = NULL;
	int64_t n = 0;
	must(f, (st = sql_prepare(&f->l->store, sql)) != NULL && sql_number(&f->l->store, st, &n), sql);
	sql_free(st);
	return n;
}

static void
read_payers(struct fill *f, int64_t least_nano)
{
	static const char SQL[] = "SELECT key.id, account FROM key JOIN account ON account.id = account WHERE revoked_us = 0 AND balance_nano > ?1 ORDER BY key.id";
	struct query *st = NULL;
	must(f, (st = sql_prepare(&f->l->store, SQL)) != NULL, "keys");
	sql_bind(st, least_nano);
	f->payers = calloc((size_t)number(f, "SELECT count(*) FROM key") + 1, sizeof *f->payers);
	if (!f->payers)
		abort();
	while (sql_step(&f->l->store, st) == SQL_ROW)
		f->payers[f->payer_count++] = (struct payer){(uint64_t)sql_int(st, 0), (uint64_t)sql_int(st, 1)};
	sql_free(st);
	if (!f->payer_count)
		die("the store", "no account with a key and credit");
	if (!f->l->prices.count)
		die("the store", "no prices: a server with a catalogue has to have run on it");
}

/*
 * Ids are of the time before a server ran. A store's first boot may use all of it (docs/decisions/0003-ticket-ids.md), so they lie in its
 * range, where no edge made any.
 */
static void
choose_ids(struct fill *f, uint64_t days)
{
	uint64_t first_ms = (uint64_t)number(f, "SELECT min(started_us) / 1000 FROM boot");
	f->ids.ceiling_ms = first_ms - AN_HOUR_MS;
	f->ids.floor_ms = f->ids.ceiling_ms - days * DAY_MS;
	f->span_ms = f->ids.ceiling_ms - f->ids.floor_ms;
	if (!first_ms || f->ids.floor_ms < TICKET_ID_EPOCH_MS || f->ids.floor_ms < (uint64_t)number(f, "SELECT min(floor_ms) FROM boot"))
		die("the store", "no server has run on it, or so many days do not fit before that");
}

/* Those that are booked on top follow these at once, a thousand a millisecond, in what is left of the first boot's range. */
static void
choose_ids_on_top(struct fill *f)
{
	uint64_t last_ms = ticket_id_unix_ms((uint64_t)number(f, "SELECT max(id) FROM ticket"));
	f->ids.ceiling_ms = (uint64_t)number(f, "SELECT min(ceiling_ms) FROM boot");
	f->ids.floor_ms = last_ms + 1;
	f->span_ms = f->tickets / 1000 + 1;
	if (!last_ms || f->ids.floor_ms + f->span_ms >= f->ids.ceiling_ms)
		die("the store", "it has tickets of a server's: take a copy of one that only lethe-fill filled");
}

/* ---- a ticket ---- */

static struct usage
usage_of(const struct ticket_facts *t)
{
	return (struct usage){.tokens = {[TOKEN_input] = t->tokens_input, [TOKEN_cached] = t->tokens_cached, [TOKEN_output] = t->tokens_output}};
}

/* Half of all exchanges are of a hundredth of the payers: stores are not even. */
static const struct payer *
choose_payer(struct fill *f)
{
	size_t few = f->payer_count / 100;
	return &f->payers[few && below(f, 2) ? below(f, few) : below(f, f->payer_count)];
}

static void
make_ticket(struct fill *f, struct ticket_copy *t)
{
	uint64_t at_ms = f->ids.floor_ms + (uint64_t)((double)f->span_ms * (double)f->made / (double)f->tickets);
	const struct payer *who = choose_payer(f);
	const struct price_row *price = &f->l->prices.rows[below(f, f->l->prices.count)];
	bool failed = below(f, FAILED_OF) == 0;
	f->last_id = ticket_id_next(&f->ids, f->last_id, at_ms);
	*t = (struct ticket_copy){.index = UINT32_MAX, .legs = 1, .id = f->last_id, .row = {who->account}};
	t->facts = (struct ticket_facts){
		.started_us = at_ms * 1000 + below(f, 1000),
		.key = who->key,
		.account = who->account,
		.price = price->price.id,
		.model = price->model,
		.provider = (uint32_t)f->provider,
		.duration_ms = (uint32_t)(500 + below(f, 20000)),
		.first_byte_ms = (uint32_t)(200 + below(f, 2000)),
		.tokens_input = failed ? 0 : (uint32_t)(50 + below(f, 4000)),
		.tokens_cached = failed ? 0 : (uint32_t)below(f, 2000),
		.tokens_output = failed ? 0 : (uint32_t)(10 + below(f, 700)),
		.status = failed ? 504 : 200,
		.flags = below(f, 4) ? TICKET_STREAMED : 0,
		.end_reason = failed ? END_PROVIDER_TIMEOUT : END_COMPLETED,
		.endpoint = ENDPOINT_CHAT_COMPLETIONS,
		.client_family = CLIENT_OPENAI_PYTHON,
		.attempts = 1,
	};
	struct usage u = usage_of(&t->facts);
	t->cost.v = failed ? 0 : price_cost(&price->price, &u).v;
	t->hold.v = t->cost.v + (int64_t)below(f, 10000000);
	f->made++;
}

/* ---- the model ---- */

static void
read_model(struct fill *f)
{
	struct query *st = sql_prepare(&f->l->store, "SELECT id, balance_nano FROM account WHERE kind = 0 ORDER BY id");
	must(f, st != NULL, "accounts");
	f->model = calloc((size_t)number(f, "SELECT count(*) FROM account") + 1, sizeof *f->model);
	if (!f->model)
		abort();
	while (sql_step(&f->l->store, st) == SQL_ROW)
		f->model[f->model_count++] = (struct modelled){(uint64_t)sql_int(st, 0), sql_int(st, 1)};
	sql_free(st);
}

static int
by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct modelled *)a)->account, y = ((const struct modelled *)b)->account;
	return (x > y) - (x < y);
}

static void
charge_model(struct fill *f, const struct ticket_copy *t)
{
	struct modelled *m = bsearch(&(struct modelled){.account = t->facts.account}, f->model, f->model_count, sizeof *f->model, by_id);
	if (!m)
		die("the model", "a ticket's account is not in it");
	m->nano -= t->cost.v;
}

static void
compare_model(struct fill *f)
{
	struct query *st = sql_prepare(&f->l->store, "SELECT id, balance_nano FROM account WHERE kind = 0 ORDER BY id");
	size_t i = 0;
	must(f, st != NULL, "accounts");
	for (; sql_step(&f->l->store, st) == SQL_ROW; i++)
		if (i >= f->model_count || f->model[i].account != (uint64_t)sql_int(st, 0) || f->model[i].nano != sql_int(st, 1))
			die("the model", "a balance is not what the tickets leave of it");
	sql_free(st);
	if (i != f->model_count)
		die("the model", "an account is missing");
}

static double
seconds(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* /proc/PID/schedstat: time on a processor, time in a queue for one, in ns. */
static double
queued_of(const char *pid)
{
	char path[64];
	unsigned long long on = 0, queued = 0;
	snprintf(path, sizeof path, "/proc/%s/schedstat", pid);
	FILE *file = fopen(path, "re");
	if (file) {
		if (fscanf(file, "%llu %llu", &on, &queued) != 2)
			queued = 0;
		fclose(file);
	}
	return (double)queued / 1e9;
}

/* One waits while the other works, so their times add up. */
static double
queued(const struct fill *f)
{
	char pid[24];
	snprintf(pid, sizeof pid, "%lld", (long long)f->server_pid);
	return queued_of("self") + (f->server_pid ? queued_of(pid) : 0);
}

/* ---- all of them ---- */

static void
book_one_batch(struct fill *f)
{
	struct batch *b = f->l->batch;
	for (b->count = 0; b->count < f->batch && f->made < f->tickets; b->count++) {
		make_ticket(f, &b->tickets[b->count]);
		if (f->model)
			charge_model(f, &b->tickets[b->count]);
		b->fates[b->count] = FATE_OPEN;
	}
	double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), waited = queued(f);
	must(f, batch_book(f->l), "booking");
	f->wall_s += seconds(CLOCK_MONOTONIC) - wall;
	f->cpu_s += seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	f->queued_s += queued(f) - waited;
	b->count = 0;
	if (f->l->stats.quarantined || f->l->stats.mismatched)
		die("a ticket", "the ledger does not take it as it is; has each account enough credit?");
}

static void
fill(struct fill *f)
{
	/* Days in order: what is summed up in memory is written before it is much. */
	while (f->made < f->tickets) {
		book_one_batch(f);
		if (f->l->usage.count > USAGE_GROUPS_MAX)
			must(f, usage_flush(f->l), "usage");
		if (f->made % 1000000 < BATCH && isatty(STDERR_FILENO))
			fprintf(stderr, "lethe-fill: %llu of %llu\n", (unsigned long long)f->made, (unsigned long long)f->tickets);
	}
	must(f, usage_flush(f->l), "usage");
}

static void
sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		die(path, "can't be synced");
	close(fd);
}

/* No key is made here; PostgreSQL's stores know a hash of it. */
static void
read_pepper(const char *dir, uint8_t ret[API_KEY_PEPPER_BYTES])
{
	char path[512];
	snprintf(path, sizeof path, "%s/pepper", dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, ret, API_KEY_PEPPER_BYTES) != API_KEY_PEPPER_BYTES)
		die(path, "can't be read");
	close(fd);
}

static void
open_store(struct fill *f, const char *dir)
{
	static uint8_t pepper[API_KEY_PEPPER_BYTES];
	static const uint8_t seed[RECEIPT_SEED_BYTES]; /* the server that runs on it next has its own: the log gets another key */
	struct ledger_options o = {.data_dir = dir, .pepper = pepper, .receipt_seed = seed};
	char why[STORE_WHY_MAX];
	read_pepper(dir, pepper);
	if (ledger_open(&o, &f->l, why) != LEDGER_OPENED)
		die(dir, why);
}

static void
make_history(struct fill *f, uint64_t days)
{
	if (f->l->store.node >= 0)
		die("the store", "a history is made in a file, and moved to PostgreSQL by `lethe store move`");
	must(f, store_exec(&f->l->store, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; PRAGMA cache_size = -262144"), "pragma");
	if (number(f, "SELECT count(*) FROM (SELECT 1 FROM ticket LIMIT 1)"))
		die("the store", "it has tickets already");
	choose_ids(f, days);
	fill(f);
	must(f, store_exec(&f->l->store, "PRAGMA journal_mode = WAL"), "pragma");
}

static void
book_on_top(struct fill *f)
{
	int64_t before = number(f, "SELECT coalesce(sum(tickets), 0) FROM booking");
	choose_ids_on_top(f);
	read_model(f);
	if (f->l->store.node >= 0)
		f->server_pid = number(f, "SELECT pg_backend_pid()");
	f->batch = BATCH_MAX;
	fill(f);
	compare_model(f);
	double made = (double)f->made;
	printf(f->json ? "{\"tickets\":%llu,\"on\":%lld,\"accounts\":%zu,\"batch\":%u,\"rate\":%.0f,\"rate_alone\":%.0f,\"cpu_us\":%.3f,\"balances\":%zu}\n"
				   : "%llu tickets on a store of %lld, of %zu accounts, in batches of %u: %.0f a second, %.0f without the wait for processors that others had, %.2f us of processor "
					 "each; the model explains all %zu balances\n",
		(unsigned long long)f->made, (long long)before, f->payer_count, f->batch, made / f->wall_s, made / (f->wall_s - f->queued_s), f->cpu_s * 1e6 / made, f->model_count);
}

static uint64_t
whole(const char *text)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);
	if (!*text || *end || v == 0 || v > 1000000000)
		die(text, "a number from 1 to 1000000000 is wanted");
	return v;
}

int
main(int argc, char **argv)
{
	static const struct option LONG[] = {{"tickets", 1, NULL, 't'}, {"days", 1, NULL, 'd'}, {"book", 1, NULL, 'b'}, {"payers", 1, NULL, 'p'}, {"json", 0, NULL, 'j'}, {0}};
	struct fill f = {.random = 1, .batch = BATCH};
	bool book = false;
	uint64_t days = 60, payers = 0;
	for (int c; (c = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
		if (c == '?')
			return 2;
		if (c == 'j') {
			f.json = true;
			continue;
		}
		*(c == 'd' ? &days : c == 'p' ? &payers
									  : &f.tickets) = whole(optarg);
		book |= c == 'b';
	}
	if (optind + 1 != argc || !f.tickets) {
		fputs("usage: lethe-fill DIR --tickets N [--days 60] | lethe-fill DIR --book N [--payers N] [--json]\n", stderr);
		return 2;
	}
	open_store(&f, argv[optind]);
	read_payers(&f, book ? 1000 * NANO_PER_DOLLAR : 0); /* those that history used up pay for nothing on top */
	f.provider = (uint64_t)number(&f, "SELECT coalesce(min(id), 0) FROM provider");
	if (payers && payers < f.payer_count)
		f.payer_count = payers;
	if (book)
		book_on_top(&f);
	else
		make_history(&f, days);
	char path[sizeof f.l->store.name] = "";
	if (f.l->store.node < 0)
		memcpy(path, f.l->store.name, sizeof path);
	ledger_close(&f.l);
	if (path[0])
		sync_file(path);
	free(f.payers);
	free(f.model);
	return 0;
}
