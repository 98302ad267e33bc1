/* PostgreSQL: who connects how, that one ledger has the store at a time, and that its tables are of this version. */
#include "ledger/postgres.h"
#include "ledger/store_schema.h"
#include "core/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_MIGRATION = 7, /* the tables as SQLite's first seven migrations leave them */
	VERSION_MIN = 150000,
	LOCK_MS = 10000, /* a ledger that was killed is gone for the server within this */
	PEN_MS = 2000, /* for which is waited at once */
	SILENT_US = 5000000,
	LEASE_US = 30000000,
	LOCK_NUMBER = 0x1e78e };

static const char *const migrations[] = {
#define X(text) text,
	LEDGER_POSTGRES_MIGRATIONS(X)
#undef X
};

/* A migration of one kind of store needs its twin of the other. */
enum { MIGRATIONS = 0
#define X(text) +1
	LEDGER_MIGRATIONS(X)
#undef X
};
_Static_assert(ARRAY_LEN(migrations) + FIRST_MIGRATION - 1 == MIGRATIONS, "sql/ledger has a migration that sql/ledger/postgres lacks, or the other way round");

static bool
explain(struct store *s, const char *what, const char *why, char ret_why[STORE_WHY_MAX])
{
	snprintf(ret_why, STORE_WHY_MAX, "%.90s: %s: %.120s", s->name, what, why);
	return false;
}

/* ---- where it is ---- */

static const char *
option(const PQconninfoOption *o, const char *name)
{
	for (; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, name) == 0)
			return o->val != NULL ? o->val : "";
	return "";
}

/* Without a password: for people. */
static void
name_it(struct store *s, const PQconninfoOption *o)
{
	const char *host = option(o, "host"), *port = option(o, "port"), *user = option(o, "user");
	snprintf(s->name, sizeof(s->name), "postgres://%.60s%s%.100s%s%.8s/%.60s", user, user[0] != '\0' ? "@" : "", host, port[0] != '\0' ? ":" : "", port, option(o, "dbname"));
}

/* Over a network what is neither encrypted nor known to be the server is refused, unless the address says that it may be. */
static bool
is_far(const PQconninfoOption *o)
{
	const char *host = option(o, "hostaddr")[0] != '\0' ? option(o, "hostaddr") : option(o, "host");
	return host[0] != '\0' && host[0] != '/' && host[0] != '@' && strcmp(host, "localhost") != 0 && (strncmp(host, "127.", 4) != 0 || host[strspn(host, "0123456789.")] != '\0') && strcmp(host, "::1") != 0;
}

enum { WORDS = 9 };

static void
words_of(const char *url, bool far, const char *ret_names[WORDS], const char *ret_values[WORDS])
{
	/* The address' own words come later, and count. */
	const char *names[WORDS] = {far ? "sslmode" : "connect_timeout", far ? "sslrootcert" : "connect_timeout", "connect_timeout", "tcp_user_timeout", "keepalives_idle",
		"dbname", "client_encoding", "application_name", NULL};
	const char *values[WORDS] = {far ? "verify-full" : "5", far ? "/etc/ssl/certs/ca-certificates.crt" : "5", "5", "20000", "10",
		url, "UTF8", "lethe-ledger", NULL};
	memcpy(ret_names, names, sizeof(names));
	memcpy(ret_values, values, sizeof(values));
}

static PGconn *
connect_to(const char *url, bool far)
{
	const char *names[WORDS], *values[WORDS];
	words_of(url, far, names, values);
	return pq.PQconnectdbParams(names, values, 1);
}

/* Nobody answers, or who does is not up yet or no more. One that answers and refuses this user or one more connection is there. */
static bool
is_away(const char *url, bool far)
{
	const char *names[WORDS], *values[WORDS];
	words_of(url, far, names, values);
	PGPing ping = pq.PQpingParams(names, values, 1);
	return ping == PQPING_NO_RESPONSE || ping == PQPING_REJECT;
}

static void
how_far(PQconninfoOption *o, bool *ret_far, char ret_sslmode[24])
{
	const char *mode = option(o, "sslmode");
	*ret_far = is_far(o);
	snprintf(ret_sslmode, 24, "%.23s", mode[0] != '\0' ? mode : "verify-full");
}

PGconn *
postgres_connect(const char *url, bool *ret_far, char ret_sslmode[24])
{
	char *wrong = NULL;
	PQconninfoOption *o = pq.PQconninfoParse(url, &wrong);
	if (o == NULL) {
		pq.PQfreemem(wrong);
		return NULL;
	}
	how_far(o, ret_far, ret_sslmode);
	pq.PQconninfoFree(o);
	return connect_to(url, *ret_far);
}

static bool
connected(struct store *s, PGconn *conn, char ret_why[STORE_WHY_MAX])
{
	char text[160];
	if (conn != NULL && pq.PQstatus(conn) == CONNECTION_OK)
		return true;
	snprintf(text, sizeof(text), "%s", conn != NULL ? pq.PQerrorMessage(conn) : "out of memory");
	for (char *at = text; *at != '\0'; at++)
		*at = *at == '\n' ? ' ' : *at;
	return explain(s, "no connection", text, ret_why);
}

static bool
fits(struct store *s, char ret_why[STORE_WHY_MAX])
{
	struct postgres *g = s->own;
	int64_t utf8 = 0;
	if (pq.PQserverVersion(g->conn) < VERSION_MIN)
		return explain(s, "the server is too old", "PostgreSQL 15 or later is needed", ret_why);
	if (!postgres_number(s, "SELECT count(*) FROM pg_database WHERE datname = current_database() AND pg_encoding_to_char(encoding) = 'UTF8'", NULL, 0, &utf8))
		return explain(s, "can't be read", g->trouble, ret_why);
	if (utf8 != 1)
		return explain(s, "the database's encoding is not UTF8", "createdb --encoding=UTF8 makes one that is", ret_why);
	if (!postgres_exec(s, "SET client_min_messages = warning; SET timezone = 'UTC'; SET jit = off; SET default_transaction_isolation = 'read committed'; SET statement_timeout = 0; "
						  "SET idle_in_transaction_session_timeout = '10s'; SET standard_conforming_strings = on; "
						  /* A machine that is gone gives up the pen within as long, also in the middle of COPY, where the server has no such patience. */
						  "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3"))
		return explain(s, "can't be set up", g->trouble, ret_why);
	/* A commit that is not on disk is none; what waits for standbys stays as the server has it. */
	return postgres_exec(s, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')") ||
		explain(s, "can't be set up", g->trouble, ret_why);
}

/* ---- one ledger at a time ---- */

static bool
lock_as(struct store *s, const char *kind, int number, const char *what, const char *why, char ret_why[STORE_WHY_MAX])
{
	char sql[200];
	snprintf(sql, sizeof(sql), "SET lock_timeout = %d; SELECT %s(%d, hashtext(current_schema())); SET lock_timeout = 0", LOCK_MS, kind, number);
	if (postgres_exec(s, sql))
		return true;
	const struct postgres *g = s->own;
	if (s->code == POSTGRES_LOCK_TIMEOUT)
		return explain(s, what, why, ret_why);
	return explain(s, "can't be locked", g->trouble, ret_why);
}

/* Ids of the two could meet, and each would spend the other's shares. What this one's board has is not its own any more. */
static bool
refuse_number(struct store *s, char ret_why[STORE_WHY_MAX])
{
	s->fenced = true;
	snprintf(ret_why, STORE_WHY_MAX, "%.60s: node %lld is another server's, and no two may have one number: give another `node`; or `lethe node drain %lld`, and if it is gone `lethe node forget %lld` and wait for its `outbox_for`", s->name, (long long)s->node,
		(long long)s->node, (long long)s->node);
	return false;
}

/* Known before its lock is waited for; lethe_join_as() asks again, and asks more. */
static bool
is_nobody_else_s(struct store *s, char ret_why[STORE_WHY_MAX])
{
	int64_t there = 0, others = 0;
	const int64_t who[] = {s->node, s->home};
	const struct postgres *g = s->own;
	if (s->home == 0)
		return true;
	if (!postgres_number(s, "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('node') AND attname = 'home'", NULL, 0, &there) ||
		(there != 0 && !postgres_number(s, "SELECT count(*) FROM node WHERE id = $1 AND state = 1 AND home NOT IN (0, $2)", who, ARRAY_LEN(who), &others)))
		return explain(s, "can't be read", g->trouble, ret_why);
	return others == 0 || refuse_number(s, ret_why);
}

/*
 * The locks belong to the session: they are free when the server has ended what a predecessor's last statement began, so that whether that was
 * committed can be read from then on. Where several may be open, each is alone as its node; and no one is where one is that wants to be alone.
 */
static bool
lock(struct store *s, bool many, char ret_why[STORE_WHY_MAX])
{
	const char *alone = many ? "pg_advisory_lock_shared" : "pg_advisory_lock";
	char what[64];
	snprintf(what, sizeof(what), "another ledger is node %lld here", (long long)s->node);
	return lock_as(s, alone, LOCK_NUMBER, "another ledger has this store", "a server that runs on it, here or elsewhere: stop that first, or give another database", ret_why) &&
		(!many || is_nobody_else_s(s, ret_why)) && (!many || lock_as(s, "pg_advisory_lock", LOCK_NUMBER + 1 + (int)s->node, what, "no two servers may have one number: give another `node`", ret_why));
}

/* ---- its tables ---- */

static bool
version_of(struct store *s, int64_t *ret)
{
	int64_t there = 0;
	*ret = 0;
	if (!postgres_number(s, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('store_schema')", NULL, 0, &there))
		return false;
	return there == 0 || postgres_number(s, "SELECT version FROM store_schema", NULL, 0, ret);
}

static bool
end(struct store *s, bool ok)
{
	int code = s->code;
	char trouble[sizeof(((struct postgres *)0)->trouble)];
	struct postgres *g = s->own;
	if (ok && postgres_exec(s, "COMMIT"))
		return true;
	memcpy(trouble, g->trouble, sizeof(trouble));
	if (!s->lost && !postgres_exec(s, "ROLLBACK"))
		return false;
	memcpy(g->trouble, trouble, sizeof(trouble));
	s->code = ok ? s->code : code;
	return false;
}

static bool
is_many(struct store *s, bool *ret)
{
	int64_t there = 0, many = 0;
	if (!postgres_number(s, "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('pen') AND attname = 'many'", NULL, 0, &there))
		return false;
	if (there != 0 && !postgres_number(s, "SELECT many FROM pen", NULL, 0, &many))
		return false;
	*ret = many == 1;
	return true;
}

/* Tables change while nobody else has them open: they would be another version's to him. */
static bool
be_alone(struct store *s, char ret_why[STORE_WHY_MAX])
{
	const struct postgres *g = s->own;
	char sql[120];
	int64_t got = 0;
	snprintf(sql, sizeof(sql), "SELECT pg_try_advisory_lock(%d, hashtext(current_schema()))::integer::bigint", LOCK_NUMBER);
	if (!postgres_number(s, sql, NULL, 0, &got))
		return explain(s, "can't be locked", g->trouble, ret_why);
	return got == 1 || explain(s, "has to be brought up to date", "other servers run on it with an older lethe: stop them first", ret_why);
}

static bool
be_beside(struct store *s)
{
	char sql[120];
	snprintf(sql, sizeof(sql), "SELECT pg_advisory_unlock(%d, hashtext(current_schema()))", LOCK_NUMBER);
	return postgres_exec(s, sql);
}

static bool
migrate_one(struct store *s, int64_t number)
{
	char version[80];
	snprintf(version, sizeof(version), "UPDATE store_schema SET version = %lld", (long long)number);
	return postgres_exec(s, "BEGIN") && end(s, postgres_exec(s, migrations[number - FIRST_MIGRATION]) && postgres_exec(s, version));
}

static bool
migrate(struct store *s, bool many, char ret_why[STORE_WHY_MAX])
{
	struct postgres *g = s->own;
	int64_t version = 0, newest = MIGRATIONS;
	char text[120];
	if (!version_of(s, &version))
		return explain(s, "can't be read", g->trouble, ret_why);
	if (version > newest) {
		snprintf(text, sizeof(text), "schema %lld, this one knows %lld: run that one", (long long)version, (long long)newest);
		return explain(s, "was written by a newer lethe", text, ret_why);
	}
	many = many && version < newest;
	if (many && !be_alone(s, ret_why))
		return false;
	for (version = version < FIRST_MIGRATION ? FIRST_MIGRATION - 1 : version; version < newest; version++)
		if (!migrate_one(s, version + 1))
			return explain(s, "can't be brought up to date", g->trouble, ret_why);
	return (ticket_sql_add_columns(s) && (!many || be_beside(s))) || explain(s, "can't be brought up to date", g->trouble, ret_why);
}

/* Nobody waits without end for what somebody else has in hand, who may be stopped. */
static bool
be_patient(struct store *s)
{
	char sql[40];
	snprintf(sql, sizeof(sql), "SET lock_timeout = %d", PEN_MS);
	return !s->many || postgres_exec(s, sql);
}

/* A new fence: whoever wrote as this node before writes no more. */
static bool
join(struct store *s, char ret_why[STORE_WHY_MAX])
{
	const struct postgres *g = s->own;
	const int64_t who[] = {s->node, s->home, s->away_ms, LEASE_US};
	bool joined = false;
	if (be_patient(s))
		for (int n = 1; !(joined = postgres_number(s, "SELECT lethe_join_as($1, $2, $3, $4)", who, ARRAY_LEN(who), &s->fence)) && postgres_try_again(s, n); n++)
			s->code = 0;
	if (!joined)
		return explain(s, "can't be joined", g->trouble, ret_why);
	return s->fence != 0 || refuse_number(s, ret_why);
}

static bool
begin(struct store *s, char ret_why[STORE_WHY_MAX])
{
	struct postgres *g = s->own;
	if (!postgres_turn(s) || !end(s, postgres_exec(s, "UPDATE store_schema SET writer = writer + 1") && postgres_partitions(s, clock_wall_us() / 1000)))
		return explain(s, "can't be brought up to date", g->trouble, ret_why);
	s->turned = false; /* nothing has been read yet */
	return true;
}

static bool
look(struct store *s, char ret_why[STORE_WHY_MAX])
{
	return s->terms->look == NULL || s->terms->look(s, s->terms->arg, ret_why);
}

/* Whoever has had books is not to begin anew where there are none, or to go on with others'. */
static bool
are_the_books(struct store *s, char ret_why[STORE_WHY_MAX])
{
	static const char remedy[] = "correct the address in `store`, or restore them there; to begin with these, remove `books` in the data directory";
	int64_t there = 0, known = 0, identity = 0;
	const struct postgres *g = s->own;
	if (s->terms->books == 0)
		return true;
	if (!postgres_number(s, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('store_schema')", NULL, 0, &there) ||
		!postgres_number(s, "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('pen') AND attname = 'identity'", NULL, 0, &known) ||
		(known != 0 && !postgres_number(s, "SELECT identity FROM pen", NULL, 0, &identity)))
		return explain(s, "can't be read", g->trouble, ret_why);
	if (there == 0)
		return explain(s, "there are no books", remedy, ret_why);
	/* A copy from before they had one. */
	return known == 0 || identity == s->terms->books || explain(s, "these are other books", remedy, ret_why);
}

static bool
enter(struct store *s, char ret_why[STORE_WHY_MAX])
{
	const struct postgres *g = s->own;
	bool many;
	if (!is_many(s, &many))
		return explain(s, "can't be read", g->trouble, ret_why);
	many = many && !s->terms->alone;
	s->many = many;
	return lock(s, many, ret_why) && look(s, ret_why) && are_the_books(s, ret_why) && migrate(s, many, ret_why) && join(s, ret_why) && begin(s, ret_why);
}

bool
postgres_open(struct store *s, const char *url, char ret_why[STORE_WHY_MAX])
{
	char *wrong = NULL;
	if (!postgres_load(ret_why))
		return false;
	struct postgres *g = calloc(1, sizeof(*g));
	if (g == NULL)
		abort();
	s->own = g;
	g->silent_us = SILENT_US;
	PQconninfoOption *o = pq.PQconninfoParse(url, &wrong);
	if (o == NULL) {
		/* What libpq says repeats the address, password and all. */
		snprintf(ret_why, STORE_WHY_MAX, "the store's address can't be read: it is like postgres://user@host:5432/database?sslmode=verify-full");
		pq.PQfreemem(wrong);
		return false;
	}
	name_it(s, o);
	how_far(o, &g->far, g->sslmode);
	pq.PQconninfoFree(o);
	g->conn = connect_to(url, g->far);
	if (!connected(s, g->conn, ret_why)) {
		s->unreachable = is_away(url, g->far);
		return false;
	}
	if (!fits(s, ret_why) || !enter(s, ret_why))
		return false;
	g->spare = connect_to(url, g->far);
	return connected(s, g->spare, ret_why);
}

bool
postgres_open_reader(struct store *s, struct store *writer, char ret_why[STORE_WHY_MAX])
{
	struct postgres *g = calloc(1, sizeof(*g)), *from = writer->own;
	if (g == NULL)
		abort();
	s->own = g;
	snprintf(s->name, sizeof(s->name), "%s", writer->name);
	g->lender = writer;
	g->conn = from->spare;
	from->spare = NULL;
	if (g->conn != NULL)
		return true;
	g->lender = NULL;
	return explain(s, "can't be read", "another check is running", ret_why);
}

/* A reader whose connection is lost takes the writer's along: nobody can connect any more, but the next ledger can. */
static void
give_back(struct store *s, struct postgres *g)
{
	struct postgres *from = g->lender->own;
	if (!s->lost && pq.PQtransactionStatus(g->conn) != PQTRANS_IDLE && !postgres_exec(s, "ROLLBACK"))
		s->lost = true;
	if (s->lost)
		g->lender->lost = true;
	from->spare = g->conn;
}

void
postgres_close(struct store *s)
{
	struct postgres *g = s->own;
	if (g == NULL)
		return;
	if (g->lender != NULL) {
		give_back(s, g);
	} else {
		if (g->conn != NULL)
			pq.PQfinish(g->conn);
		if (g->spare != NULL)
			pq.PQfinish(g->spare);
	}
	free(g->bulk.rows);
	free(g->bulk.known);
	free(g);
}
