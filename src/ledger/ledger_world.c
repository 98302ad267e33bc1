#include "ledger/ledger_world.h"

#include "ledger/home.h"
#include "ledger/ledger_fresh.h"
#include "ledger/postgres.h"

#include "ticket/limit.h"
#include "ticket/end_reasons.h"
#include "ticket/endpoints.h"
#include "ticket/price.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT(member) offsetof(struct world_catalogue, member)

static void
fill_catalogue(struct world_catalogue *c)
{
	memset(c, 0, sizeof(*c));
	c->head = (struct catalogue){.magic = CATALOGUE_MAGIC,
		.bytes = sizeof(*c),
		.provider_count = 1,
		.model_count = 2,
		.price_count = 3,
		.name_count = 2,
		.provider_at = AT(provider),
		.model_at = AT(model),
		.price_at = AT(price),
		.name_at = AT(name),
		.price_ref_at = AT(ref),
		.lane_count = 1,
		.target_count = 2,
		.lane_at = AT(lane),
		.target_at = AT(target)};
	c->lane[0] = (struct catalogue_lane){"direct", 0};
	c->target[0] = (struct catalogue_target){.upstream_id = "small-1", .rank = 1, .weight = 1, .price_count = 1};
	c->target[1] = (struct catalogue_target){.model = 1, .upstream_id = "large-1", .rank = 1, .weight = 1, .price_at = 1, .price_count = 2};
	c->provider[0] = (struct catalogue_provider){
		.id = 1, .key_count = 1, .name = "sim", .host = "127.0.0.1", .port = 80, .base_path = "/v1"};
	c->model[0] = (struct catalogue_model){.id = 10,
		.public_id = "small",
		.target_at = 0,
		.target_count = 1,
		.context_tokens = 1000,
		.output_tokens = 100,
		.bytes_per_token_x100 = 200,
		.price_at = 0,
		.price_count = 1};
	c->model[1] = (struct catalogue_model){.id = 11,
		.public_id = "large",
		.target_at = 1,
		.target_count = 1,
		.context_tokens = 1000,
		.output_tokens = 100,
		.bytes_per_token_x100 = 200,
		.price_at = 1,
		.price_count = 2};
	c->price[0] = (struct catalogue_price){.id = 0xf000000000000001ULL, .from_ms = 1600000000000ULL};
	c->price[1] = (struct catalogue_price){.id = 3, .from_ms = 1700000000000ULL, .request_nano = 5000};
	c->price[2] = (struct catalogue_price){.id = 2, .from_ms = 1600000000000ULL};
	for (int k = 0; k < TOKEN_KIND_COUNT; k++) {
		c->price[0].pico[k] = 250000 + k;
		c->price[1].pico[k] = 3000000 + k;
		c->price[2].pico[k] = 4000000 + k;
	}
	c->name[0] = (struct catalogue_name){"large", 5, 1, false};
	c->name[1] = (struct catalogue_name){"small", 5, 0, false};
	c->ref[0] = (struct catalogue_price_ref){2, 2, 0};
	c->ref[1] = (struct catalogue_price_ref){3, 1, 0};
	c->ref[2] = (struct catalogue_price_ref){0xf000000000000001ULL, 0, 0};
}

static void *
shared(size_t bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(m, MAP_FAILED);
	return m;
}

static void
open_desk(struct world *w)
{
	w->edge_board = board_attach(w->board_memory, board_bytes(&w->size));
	assert_non_null(w->edge_board);
	w->desk_memory = calloc(1, ticket_desk_bytes(w->edge_board));
	w->desk = ticket_desk_open(w->desk_memory, w->edge_board, 0, ++w->incarnation);
	assert_non_null(w->desk);
}

static void
close_desk(struct world *w)
{
	free(w->desk_memory);
	board_detach(&w->edge_board);
}

static size_t
counters_bytes(const struct world *w)
{
	return (w->size.edges + 2UL) * WORLD_COUNTERS;
}

static void
new_board(struct world *w)
{
	w->board_memory = shared(board_bytes(&w->size));
	board_format(w->board_memory, &w->size);
	w->keys_memory = shared(key_table_bytes());
	key_table_format(w->keys_memory);
	w->counters = shared(counters_bytes(w));
	w->tally_memory = shared(tally_bytes(2) + sizeof(int64_t));
	tally_format(w->tally_memory, 2);
	w->incarnation = 0;
	open_desk(w);
}

/* Behind the tally, as it outlives the test's processes alike: the booking after which it began. */
static int64_t *
tally_from(struct world *w)
{
	return (int64_t *)((char *)w->tally_memory + tally_bytes(2));
}

static void
drop_board(struct world *w)
{
	close_desk(w);
	munmap(w->board_memory, board_bytes(&w->size));
	munmap(w->keys_memory, key_table_bytes());
	munmap(w->counters, counters_bytes(w));
	munmap(w->tally_memory, tally_bytes(2) + sizeof(int64_t));
}

void
world_lose_board(struct world *w)
{
	if (w->ledger != NULL)
		world_kill_ledger(w);
	drop_board(w);
	new_board(w);
}

void
world_kill_edge(struct world *w)
{
	close_desk(w);
	limit_forget_edge(w->ledger_board, 0);
	board_mark_dead(w->ledger_board, 0, w->incarnation);
	open_desk(w);
}

static void
detach(struct world *w)
{
	if (w->ledger_board != NULL)
		board_detach(&w->ledger_board);
	w->ledger_board = NULL;
	tally_detach(&w->tally);
}

bool
world_try_open(struct world *w, bool with_board, char why[256])
{
	bool fresh = false;
	if (with_board) {
		w->ledger_board = board_attach(w->board_memory, board_bytes(&w->size));
		w->tally = tally_attach(w->tally_memory, tally_bytes(2), &w->catalogue.head);
		assert_non_null(w->tally);
		fresh = tally_booking(w->tally) < 0;
	}
	struct ledger_options o = {.data_dir = w->dir,
		.store = w->cut_off ? "postgres://nobody@/none?host=/nonexistent" : w->store[0] != '\0' ? w->store
																								: NULL,
		.away_ms = 600000,
		.away_requests = 1000,
		.node = w->size.node,
		.pepper = w->pepper,
		.receipt_seed = w->pepper,
		.batch_window_ms = 50,
		.streams_per_account = 7,
		.catalogue = &w->catalogue.head,
		.board = with_board ? w->ledger_board : NULL,
		.tally = with_board ? w->tally : NULL,
		.circuits = with_board ? w->circuits : NULL,
		.counters = with_board ? w->counters : NULL,
		.counters_stride = WORLD_COUNTERS,
		.keys = with_board ? key_table_attach(w->keys_memory, key_table_bytes()) : NULL};
	if (ledger_open(&o, &w->ledger, why) != LEDGER_OPENED) {
		detach(w);
		return false;
	}
	if (fresh)
		*tally_from(w) = tally_booking(w->tally);
	w->now_ms = clock_monotonic_ms();
	snprintf(why, 256, "the ledger does not start");
	return !with_board || ledger_start(w->ledger);
}

void
world_open(struct world *w, bool with_board)
{
	char why[256];
	if (!world_try_open(w, with_board, why))
		fail_msg("%s", why);
}

void
world_close(struct world *w)
{
	ledger_close(&w->ledger);
	detach(w);
}

/*
 * What a killed process leaves: no flush of sums, no last words. SQLite's own close writes nothing
 * that a recovery would not.
 */
void
world_kill_ledger(struct world *w)
{
	free(w->ledger->usage.sums);
	w->ledger->usage = (struct usage_sums){0};
	world_close(w);
}

/* ---- PostgreSQL ---- */

bool
world_on_postgres(void)
{
	return getenv("LETHE_TEST_POSTGRES") != NULL;
}

void
world_on_server(const char *address, const char *sql)
{
	char why[STORE_WHY_MAX];
	const char *names[] = {"dbname", NULL}, *values[] = {address, NULL};
	if (!postgres_load(why))
		fail_msg("%s", why);
	PGconn *conn = pq.PQconnectdbParams(names, values, 1);
	PGresult *r;
	assert_int_equal(pq.PQsendQuery(conn, sql), 1);
	while ((r = pq.PQgetResult(conn)) != NULL) {
		if (pq.PQresultStatus(r) != PGRES_COMMAND_OK)
			fail_msg("%s", pq.PQerrorMessage(conn));
		pq.PQclear(r);
	}
	pq.PQfinish(conn);
}

void
world_schema(const char *address, char ret[256])
{
	static unsigned schemas;
	char schema[40], sql[240];
	snprintf(schema, sizeof(schema), "w%ld_%u", (long)getpid(), ++schemas);
	snprintf(sql, sizeof(sql), "CREATE SCHEMA %s; CREATE FUNCTION %s.zeroblob(bigint) RETURNS bytea LANGUAGE sql AS $$ SELECT decode(repeat('00', $1::integer), 'hex') $$", schema, schema);
	world_on_server(address, sql);
	snprintf(ret, 256, "%.140s&options=-csearch_path%%3D%s", address, schema);
}

void
world_forget_books(const struct world *w)
{
	assert_true(home_forget_books(w->dir));
}

void
world_drop_schema(struct world *w)
{
	if (w->store[0] == '\0')
		return;
	if (w->ledger != NULL)
		world_close(w);
	char sql[120];
	snprintf(sql, sizeof(sql), "SET client_min_messages = warning; DROP SCHEMA %s CASCADE", strrchr(w->store, 'D') + 1);
	world_on_server(w->store, sql);
}

/* By the table whose name its own begins with. */
static int
table_of_trigger(const char *name)
{
	static const char *const longer[] = {"receipt_batch", "receipt_key", "receipt_node"};
	for (size_t i = 0; i < ARRAY_LEN(longer); i++)
		if (strncmp(name, longer[i], strlen(longer[i])) == 0)
			return (int)strlen(longer[i]);
	return (int)strcspn(name, "_");
}

/* Foreign keys are triggers there, and a trigger is dropped from a table. */
void
world_damage(struct world *w, const char *sql)
{
	static const char drop[] = "DROP TRIGGER ", exists[] = "IF EXISTS ", keys[] = "PRAGMA foreign_keys = OFF", blob[] = "x'00'", checks[] = "PRAGMA ignore_check_constraints = ON";
	char text[700];
	size_t len = 0, cap = sizeof(text) - 100;
	for (const char *at = sql; *at != '\0' && len < cap;) {
		const char *name = at + strlen(drop);
		if (world_on_postgres() && strncmp(at, drop, strlen(drop)) == 0) {
			name += strncmp(name, exists, strlen(exists)) == 0 ? strlen(exists) : 0;
			at = name + strspn(name, "abcdefghijklmnopqrstuvwxyz_");
			len += (size_t)snprintf(text + len, 90, "DROP TRIGGER IF EXISTS %.*s ON %.*s", (int)(at - name), name, table_of_trigger(name), name);
		} else if (world_on_postgres() && strncmp(at, keys, strlen(keys)) == 0) {
			len += (size_t)snprintf(text + len, 90, "SET session_replication_role = replica");
			at += strlen(keys);
		} else if (world_on_postgres() && strncmp(at, checks, strlen(checks)) == 0) {
			len += (size_t)snprintf(text + len, 100, "ALTER TABLE account DROP CONSTRAINT no_customer_below_zero, DROP CONSTRAINT lent_is_there");
			at += strlen(checks);
		} else if (world_on_postgres() && strncmp(at, blob, strlen(blob)) == 0) {
			len += (size_t)snprintf(text + len, 90, "'\\x00'");
			at += strlen(blob);
		} else
			text[len++] = *at++;
	}
	text[len] = '\0';
	if (!store_exec(&w->ledger->store, text))
		fail_msg("%s: %s", text, store_error(&w->ledger->store));
}

void
world_begin_sized(struct world *w, uint32_t slots)
{
	world_begin_with(w, &(struct board_size){.edges = 1, .tickets_per_edge = WORLD_TICKETS, .slots = slots, .limits = 8});
}

void
world_begin_with(struct world *w, const struct board_size *size)
{
	*w = (struct world){.size = *size, .now_ms = clock_monotonic_ms()};
	const char *tmp = getenv("TMPDIR");
	snprintf(w->dir, sizeof(w->dir), "%.40s/lethe-ledger-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	memset(w->pepper, 7, sizeof(w->pepper));
	if (world_on_postgres())
		world_schema(getenv("LETHE_TEST_POSTGRES"), w->store);
	else
		ledger_fresh(w->dir);
	fill_catalogue(&w->catalogue);
	assert_non_null(catalogue_attach(&w->catalogue, sizeof(w->catalogue)));
	new_board(w);
	world_open(w, true);
}

void
world_begin(struct world *w)
{
	world_begin_sized(w, WORLD_SLOTS);
}

/* What a move into a file put aside. */
static void
remove_moved(const char *dir)
{
	DIR *d = opendir(dir);
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		if (strncmp(e->d_name, "ledger.db.moved-", 16) == 0)
			unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
}

void
world_end(struct world *w)
{
	const char *const names[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.part", "ledger.db.part-wal", "ledger.db.part-shm", "store", "store.new", "lock", "outbox.db", "outbox.db-wal", "outbox.db-shm", "outbox.db.copy", "home", "home.new", "books", "books.new"};
	if (w->ledger != NULL)
		world_close(w);
	drop_board(w);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
		unlink(path);
	}
	remove_moved(w->dir);
	assert_int_equal(rmdir(w->dir), 0);
}

int
world_round(struct world *w)
{
	w->now_ms += 50;
	return ledger_round(w->ledger, w->now_ms);
}

/*
 * Starting and orders make rounds too, by the machine's clock: where that takes long, progress was written later than this world's clock says, and is due so much
 * later.
 */
int
world_progress(struct world *w)
{
	uint64_t due_ms = w->ledger->progress.due_ms;
	w->now_ms = due_ms > w->now_ms ? due_ms : w->now_ms;
	return world_round(w);
}

/* ---- asking ---- */

static json_t *
ask(struct world *w, const char *format, va_list args)
{
	json_error_t error;
	json_t *request = json_vpack_ex(&error, 0, format, args);
	if (request == NULL)
		fail_msg("%s: %s", format, error.text);
	json_t *answer = ledger_control(w->ledger, request);
	json_decref(request);
	assert_non_null(answer);
	return answer;
}

json_t *
world_ask(struct world *w, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	json_t *answer = ask(w, format, args);
	va_end(args);
	return answer;
}

json_t *
world_must(struct world *w, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	json_t *answer = ask(w, format, args);
	va_end(args);
	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s", json_dumps(answer, 0));
	return answer;
}

void
world_refused(struct world *w, const char *code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	json_t *answer = ask(w, format, args);
	va_end(args);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	json_t *error = json_object_get(answer, "error");
	assert_string_equal(json_string_value(json_object_get(error, "code")), code);
	assert_true(json_string_length(json_object_get(error, "message")) > 10);
	json_decref(answer);
}

uint64_t
world_account(struct world *w, const char *name, const char *credit)
{
	uint64_t id;
	json_t *answer = world_must(w, "{s:s, s:s}", "op", "account.create", "name", name);
	const char *text = json_string_value(json_object_get(answer, "account"));
	assert_true(id_parse(ID_ACCOUNT, (struct span){text, strlen(text)}, &id));
	json_decref(answer);
	if (credit != NULL)
		json_decref(world_must(
			w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", name, "amount", credit, "reason", "test"));
	return id;
}

int64_t
world_sql(struct world *w, const char *sql)
{
	struct query *st = sql_prepare(&w->ledger->store, sql);
	int64_t value = INT64_MIN;
	if (st == NULL)
		fail_msg("%s: %s", sql, store_error(&w->ledger->store));
	if (!sql_number(&w->ledger->store, st, &value))
		fail_msg("%s: %s", sql, store_error(&w->ledger->store));
	sql_free(st);
	return value;
}

int64_t
world_balance(struct world *w, uint64_t account)
{
	char sql[96];
	snprintf(sql, sizeof(sql), "SELECT balance_nano FROM account WHERE id = %llu", (unsigned long long)account);
	return world_sql(w, sql);
}

/* Legs are attempts that failed and are free, in this world: in no sum. */
static int64_t
booked(struct world *w, const char *what, uint32_t model)
{
	char sql[200];
	snprintf(sql, sizeof(sql), "SELECT coalesce(sum(%s), 0) FROM ticket WHERE model = %u AND parent = 0 AND booking > %lld", what, model,
		(long long)*tally_from(w));
	return world_sql(w, sql);
}

static uint64_t
requests_of(const struct tally_block *b)
{
	uint64_t sum = 0;
	for (unsigned r = 0; r < TALLY_REASONS; r++)
		for (unsigned s = 0; s < TALLY_STATUS_COUNT; s++)
			sum += atomic_load(&b->requests[r][s]);
	return sum;
}

static void
tally_is_right(struct world *w)
{
	static const struct tally_block nothing;
	struct tally_view v = {0};
	assert_true(tally_view_take(w->tally, &v));
	for (uint32_t m = 0, at = 0; m < 2; m++) {
		bool used = at < v.count && v.index[at] == m;
		const struct tally_block *b = used ? &v.block[at++] : &nothing;
		assert_int_equal(requests_of(b), booked(w, "1", w->catalogue.model[m].id));
		assert_int_equal(atomic_load(&b->cost_nano), booked(w, "cost_nano", w->catalogue.model[m].id));
		assert_int_equal(atomic_load(&b->tokens[TOKEN_input]), booked(w, "tokens_input", w->catalogue.model[m].id));
		assert_int_equal(atomic_load(&b->tokens[TOKEN_output]), booked(w, "tokens_output", w->catalogue.model[m].id));
	}
	assert_true(v.count <= 2);
	tally_view_free(&v);
}

void
world_is_sound(struct world *w)
{
	if (w->tally != NULL)
		tally_is_right(w);
	json_t *answer = world_must(w, "{s:s}", "op", "ledger.verify");
	if (!json_is_true(json_object_get(answer, "sound")))
		fail_msg("%s", json_dumps(answer, JSON_INDENT(1)));
	json_decref(answer);
}

bool
world_is_broken(struct world *w, const char *inv)
{
	json_t *answer = world_must(w, "{s:s}", "op", "ledger.verify"), *check;
	bool broken = false;
	size_t i;
	json_array_foreach(json_object_get(answer, "invariants"), i,
		check) if (strcmp(json_string_value(json_object_get(check, "inv")), inv) == 0) broken =
		json_is_false(json_object_get(check, "ok"));
	assert_true(!broken || json_is_false(json_object_get(answer, "sound")));
	json_decref(answer);
	return broken;
}

/* ---- exchanges ---- */

static const struct catalogue_price *
price_of(const struct world *w, const struct world_exchange *e)
{
	return &w->catalogue.price[e->model == 0 ? 0 : 1];
}

int64_t
world_cost(const struct world *w, const struct world_exchange *e)
{
	struct usage u = {.tokens = {[TOKEN_input] = e->input, [TOKEN_output] = e->output}};
	return price_cost(price_of(w, e), &u).v;
}

static void
write_facts(const struct world *w, struct ticket *t, const struct world_exchange *e)
{
	t->facts.started_us = clock_wall_us();
	t->facts.key = e->key;
	t->facts.account = e->account;
	t->facts.price = price_of(w, e)->id;
	t->facts.model = w->catalogue.model[e->model].id;
	t->facts.provider = 1;
	t->facts.parent = e->parent;
	t->facts.tokens_input = e->input;
	t->facts.tokens_output = e->output;
	t->facts.status = 200;
	t->facts.end_reason = e->end_reason != 0 ? e->end_reason : END_COMPLETED;
	t->facts.endpoint = ENDPOINT_CHAT_COMPLETIONS;
}

struct ticket *
world_hold_on(struct world *w, const struct world_exchange *e, const struct ticket_leg *legs, unsigned count)
{
	int64_t cost = world_cost(w, e);
	struct ticket *t = ticket_pick(w->desk);
	assert_non_null(t);
	write_facts(w, t, e);
	uint64_t id = ticket_next_id(w->desk, clock_wall_us() / 1000);
	assert_true(id != 0);
	struct nano available, hold = {e->hold != 0 ? e->hold : cost + 1000};
	if (ticket_take(w->desk, t, id, legs, count, hold, &available) != MOVED) {
		ticket_unpick(w->desk, t);
		return NULL;
	}
	ticket_state_cost(t, (struct nano){e->cost >= 0 ? e->cost : cost});
	return t;
}

struct ticket *
world_hold(struct world *w, const struct world_exchange *e)
{
	struct ticket_leg legs[2];
	unsigned count = 0;
	if (e->window != 0)
		legs[count++].row = e->window;
	legs[count++].row = e->account;
	for (unsigned k = 0; k < count; k++)
		if (!board_find(w->ledger_board, legs[k].row, &legs[k].slot))
			assert_int_equal(ledger_load_row(w->ledger, legs[k].row, 0, &legs[k].slot), 0);
	return world_hold_on(w, e, legs, count);
}

uint64_t
world_exchange(struct world *w, struct world_exchange e)
{
	struct ticket *t = world_hold(w, &e);
	if (t == NULL)
		return 0;
	uint64_t id = t->id;
	ticket_settle(w->desk, t);
	return id;
}

/* ---- an older store ---- */

static const char *const migrations[] = {
#define X(text) text,
	LEDGER_MIGRATIONS(X)
#undef X
};

static const char old_business[] =
	"INSERT INTO account (id, kind, name, created_us, balance_nano) VALUES (1000, 0, 'old', 1, 7000000000);"
	"UPDATE account SET balance_nano = -7000000000 WHERE id = 3;"
	"INSERT INTO booking (id, kind, time_us, intent, reason) VALUES (1, 2, 5, 77, 'one'), (2, 3, 6, 78, 'two');"
	"INSERT INTO posting (booking, account, amount_nano) VALUES (1, 1000, 8000000000), (1, 3, -8000000000),"
	" (2, 1000, -1000000000), (2, 3, 1000000000);"
	"INSERT INTO operation (ref, content, subject, time_us) VALUES ('one', x'00', 1, 5)";

static const char *const postgres_migrations[] = {
#define X(text) text,
	LEDGER_POSTGRES_MIGRATIONS(X)
#undef X
};

static const char old_business_there[] =
	"INSERT INTO account (id, kind, name, created_us, balance_nano) VALUES (1000, 0, 'old', 1, 7000000000);"
	"UPDATE account SET balance_nano = -7000000000 WHERE id = 3;"
	"INSERT INTO posting (booking, account, amount_nano) VALUES (1, 1000, 8000000000), (1, 3, -8000000000), (2, 1000, -1000000000), (2, 3, 1000000000);"
	"INSERT INTO booking (id, kind, time_us, intent, reason) VALUES (1, 2, 5, 77, 'one'), (2, 3, 6, 78, 'two');"
	"INSERT INTO operation (ref, content, subject, time_us) VALUES ('one', '\\x00', 1, 5)";

/* PostgreSQL's first has what SQLite's first seven have. */
static void
make_older_there(struct world *w, int64_t schema, const char *business)
{
	char version[64];
	world_drop_schema(w);
	world_forget_books(w);
	world_schema(getenv("LETHE_TEST_POSTGRES"), w->store);
	for (int64_t i = 0; i <= schema - WORLD_POSTGRES_FIRST; i++)
		world_on_server(w->store, postgres_migrations[i]);
	snprintf(version, sizeof(version), "UPDATE store_schema SET version = %lld", (long long)schema);
	world_on_server(w->store, version);
	world_on_server(w->store, business);
}

static void
make_older_here(const struct world *w, int64_t schema, const char *business)
{
	char path[128], version[64];
	sqlite3 *db;
	snprintf(path, sizeof(path), "%s/ledger.db", w->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	for (int64_t i = 0; i < schema; i++)
		assert_int_equal(sqlite3_exec(db, migrations[i], NULL, NULL, NULL), SQLITE_OK);
	snprintf(version, sizeof(version), "PRAGMA user_version = %lld", (long long)schema);
	assert_int_equal(sqlite3_exec(db, version, NULL, NULL, NULL), SQLITE_OK);
	if (sqlite3_exec(db, business, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", business, sqlite3_errmsg(db));
	sqlite3_close(db);
}

void
world_make_older(struct world *w, int64_t schema, const char *business)
{
	if (w->ledger != NULL)
		world_close(w);
	world_lose_board(w);
	if (world_on_postgres())
		make_older_there(w, schema, business);
	else
		make_older_here(w, schema, business);
}

void
world_make_old(struct world *w)
{
	enum { OLD = 4 }; /* before 005_orders.sql */
	bool there = world_on_postgres();
	world_make_older(w, there ? WORLD_POSTGRES_FIRST : OLD, there ? old_business_there : old_business);
}

bool
world_killed_before_call(void (*live)(void *arg), void *arg, uint64_t at)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(3);
		raise(SIGSTOP);
		live(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	for (uint64_t calls = 0;;) {
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		/* Stops come in pairs, before and after a call. */
		if (WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80) && calls++ == 2 * at)
			break;
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

uint64_t
world_stride(void)
{
	const char *text = getenv("LETHE_CRASH_STRIDE");
	uint64_t n = text != NULL ? strtoull(text, NULL, 10) : 0;
	return n != 0 ? n : 19;
}
