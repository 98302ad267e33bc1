#include "ledger/postgres.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct postgres_functions pq;

bool
postgres_load(char ret_why[STORE_WHY_MAX])
{
	void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		snprintf(ret_why, STORE_WHY_MAX, "PostgreSQL's client library can't be loaded (%.120s): apt-get install libpq5", dlerror());
		return false;
	}
#define X(name) \
	pq.name = (__typeof__(&name))dlsym(library, #name); \
	if (pq.name == NULL) { \
		snprintf(ret_why, STORE_WHY_MAX, "libpq.so.5 has no " #name ": it is older than PostgreSQL 14's, install a later one"); \
		return false; \
	}
	POSTGRES_FUNCTIONS(X)
#undef X
	return true;
}

void
postgres_put64(char *to, int64_t v)
{
	uint64_t big = htobe64((uint64_t)v);
	memcpy(to, &big, sizeof(big));
}

int64_t
postgres_get64(const char *from)
{
	uint64_t big;
	memcpy(&big, from, sizeof(big));
	return (int64_t)be64toh(big);
}

/* ---- failures ---- */

/* The five characters of an SQLSTATE, base 36: it fits a number, and can be read from it. */
static int
code_of(const char *state)
{
	int code = 0;
	for (int i = 0; i < 5 && state[i] != '\0'; i++)
		code = 36 * code + (state[i] <= '9' ? state[i] - '0' : state[i] - 'A' + 10);
	return code;
}

#define FENCED "LF001" /* lethe_pen() */

bool
postgres_failed(struct store *s, const PGresult *r)
{
	struct postgres *g = s->own;
	const char *state = r != NULL ? pq.PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
	const char *text = r != NULL ? pq.PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	/* Without an answer nobody knows what was done, also where libpq believes that it still has a connection: as after a read that failed. */
	if (r == NULL || pq.PQstatus(g->conn) != CONNECTION_OK)
		s->lost = true;
	if (state != NULL && strcmp(state, FENCED) == 0)
		s->lost = s->fenced = true;
	s->code = code_of(state != NULL ? state : "08006"); /* connection_failure */
	snprintf(g->trouble, sizeof(g->trouble), "%s", text != NULL ? text : "the connection to the database is lost");
	g->trouble[strcspn(g->trouble, "\n")] = '\0';
	return false;
}

/* ---- one round trip ---- */

enum {
	BREATH_MS = 20,
	PATIENCE_MS = 30000, /* the database is as good as lost when a writer waits longer for it */
};

/* False: lost. */
static bool
wait_for_answer(struct store *s)
{
	struct postgres *g = s->own;
	int waited_ms = 0;
	while (pq.PQisBusy(g->conn)) {
		struct pollfd wait = {.fd = pq.PQsocket(g->conn), .events = POLLIN};
		int step_ms = s->breathe != NULL ? BREATH_MS : PATIENCE_MS;
		int ready = poll(&wait, 1, step_ms);
		if (ready > 0 && !pq.PQconsumeInput(g->conn))
			return false;
		if (ready == 0 && s->breathe != NULL)
			s->breathe(s->breathe_arg);
		else if (ready == 0 && (waited_ms += step_ms) >= PATIENCE_MS) {
			s->lost = true;
			return false;
		}
	}
	return true;
}

static bool
is_fine(const PGresult *r)
{
	ExecStatusType status = pq.PQresultStatus(r);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN || status == PGRES_PIPELINE_SYNC;
}

PGresult *
postgres_await(struct store *s, bool *ret_ok)
{
	struct postgres *g = s->own;
	PGresult *kept = NULL, *r;
	*ret_ok = true;
	while (wait_for_answer(s) && (r = pq.PQgetResult(g->conn)) != NULL) {
		bool fine = is_fine(r), copy = pq.PQresultStatus(r) == PGRES_COPY_IN;
		if (*ret_ok) {
			pq.PQclear(kept);
			kept = r;
		} else
			pq.PQclear(r);
		/* What stood behind one that failed says nothing of why. */
		if (!fine && *ret_ok)
			*ret_ok = pq.PQresultStatus(kept) != PGRES_PIPELINE_ABORTED && postgres_failed(s, kept);
		if (copy)
			break;
	}
	/* The server said why it ends the session, and then did. */
	if (s->lost || kept == NULL || pq.PQstatus(g->conn) != CONNECTION_OK)
		*ret_ok = postgres_failed(s, kept);
	return kept;
}

bool
postgres_exec(struct store *s, const char *sql)
{
	struct postgres *g = s->own;
	bool ok;
	if (!pq.PQsendQuery(g->conn, sql))
		return postgres_failed(s, NULL);
	PGresult *r = postgres_await(s, &ok);
	/* An aborted transaction is ended by COMMIT, too, and the answer says by what it was. */
	if (ok && strncmp(sql, "COMMIT", 6) == 0 && strcmp(pq.PQcmdStatus(r), "COMMIT") != 0)
		ok = postgres_failed(s, r);
	/* Its turn is given again, perhaps to somebody else. */
	if (strncmp(sql, "ROLLBACK", 8) == 0 || (!ok && strncmp(sql, "COMMIT", 6) == 0))
		s->turn = -2;
	pq.PQclear(r);
	return ok;
}

#define CAME_BACK "LF002"

/* With the pen in hand: a node that joins takes it, too. */
static bool
is_forgotten_still(struct store *s)
{
	struct postgres *g = s->own;
	int64_t there = 0;
	if (!postgres_number(s, "SELECT count(*) FROM node WHERE id = $1 AND state = 3 AND fence = $2", (const int64_t[]){s->forgotten, s->forgotten_fence}, 2, &there))
		return false;
	if (there == 1)
		return true;
	s->code = code_of(CAME_BACK);
	snprintf(g->trouble, sizeof(g->trouble), "the node that is being settled has come back");
	return false;
}

static bool
take_turn(struct store *s)
{
	struct postgres *g = s->own;
	char sql[120];
	bool ok;
	snprintf(sql, sizeof(sql), "BEGIN; SELECT lethe_pen(%lld, %lld)", (long long)s->node, (long long)s->fence);
	if (!pq.PQsendQuery(g->conn, sql))
		return postgres_failed(s, NULL);
	PGresult *r = postgres_await(s, &ok);
	int64_t turn = ok && pq.PQntuples(r) == 1 ? strtoll(pq.PQgetvalue(r, 0, 0), NULL, 10) : 0;
	pq.PQclear(r);
	ok = ok && (s->forgotten_fence == 0 || is_forgotten_still(s));
	if (!ok) {
		/* The first of the two may have gone well. */
		int code = s->code;
		if (pq.PQstatus(g->conn) == CONNECTION_OK && !postgres_exec(s, "ROLLBACK"))
			s->lost = true;
		s->code = code;
		return false;
	}
	s->turned |= turn != s->turn + 1;
	s->turn = turn;
	return true;
}

bool
postgres_waited(const struct store *s)
{
	return !s->lost && s->code == POSTGRES_LOCK_TIMEOUT;
}

/*
 * The server waits without end for the rest of a message, or for the next row of COPY, of a process that is stopped while its machine lives. Whoever
 * waits for the pen ends such a session, after which the transaction has never been: as if its connection had been cut.
 */
static bool
free_pen(struct store *s)
{
	static const char sql[] = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() AND "
							  "application_name = 'lethe-ledger' AND backend_xid IS NOT NULL AND wait_event = 'ClientRead' AND "
							  "state_change < clock_timestamp() - $1 * interval '1 microsecond'";
	const struct postgres *g = s->own;
	int64_t ended;
	return postgres_waited(s) && postgres_number(s, sql, &g->silent_us, 1, &ended);
}

bool
postgres_try_again(struct store *s, int tried)
{
	enum { TRIES = 5 };
	int code = s->code;
	if (!free_pen(s))
		return false;
	s->code = code;
	return tried < TRIES;
}

bool
postgres_turn(struct store *s)
{
	for (int n = 1; !take_turn(s); n++)
		if (!postgres_try_again(s, n))
			return false;
	return true;
}

bool
postgres_number(struct store *s, const char *sql, const int64_t *values, size_t count, int64_t *ret)
{
	enum { PARAMETERS_MAX = 4 };
	struct postgres *g = s->own;
	char bytes[PARAMETERS_MAX][8];
	const char *at[PARAMETERS_MAX];
	int lengths[PARAMETERS_MAX], binary[PARAMETERS_MAX];
	Oid types[PARAMETERS_MAX];
	bool ok;
	for (size_t i = 0; i < count && i < PARAMETERS_MAX; i++) {
		postgres_put64(bytes[i], values[i]);
		at[i] = bytes[i];
		lengths[i] = 8;
		binary[i] = 1;
		types[i] = POSTGRES_INT8;
	}
	if (!pq.PQsendQueryParams(g->conn, sql, (int)count, types, at, lengths, binary, 1))
		return postgres_failed(s, NULL);
	PGresult *r = postgres_await(s, &ok);
	if (ok && pq.PQresultStatus(r) == PGRES_TUPLES_OK && pq.PQntuples(r) == 1 && pq.PQgetlength(r, 0, 0) == 8)
		*ret = postgres_get64(pq.PQgetvalue(r, 0, 0));
	pq.PQclear(r);
	return ok;
}
