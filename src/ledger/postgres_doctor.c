#include "ledger/postgres_doctor.h"

#include "core/loop.h"
#include "ledger/postgres.h"
#include "ledger/store_mark.h"
#include "ledger/store_schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION_WANTED = 150000,
	VERSION_MAJOR = 10000,
	TRIES = 5,
	SLOW_US = 5000, /* a booking is a dozen round trips, and a share of a balance one more */
	CLOCK_WARN_US = 1000000 };

/* X(NAME, expression): one row, as text */
#define FACTS(X) \
	X(FSYNC, "current_setting('fsync')") \
	X(COMMITS, "current_setting('synchronous_commit')") \
	X(WHOLE_PAGES, "current_setting('full_page_writes')") \
	X(ENCODING, "(SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database())") \
	X(MAY_MAKE, "coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)::text") \
	X(FOREIGN, \
		"(SELECT count(*) FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind IN ('r', 'p') AND NOT pg_has_role(relowner, 'USAGE'))::text") \
	X(READ_ONLY, "(pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on')::text") \
	X(TLS, "coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), '')") \
	X(SCHEMA, "(to_regclass('store_schema') IS NOT NULL)::text") \
	X(MOVED, "(to_regclass('" STORE_MOVED "') IS NOT NULL)::text") \
	X(ARRIVING, "(to_regclass('" STORE_ARRIVING "') IS NOT NULL)::text") \
	X(ROLE, "current_user::text") \
	X(DATABASE, "current_database()::text")

enum fact_of {
#define X(NAME, expression) FACT_OF_##NAME,
	FACTS(X)
#undef X
		FACTS_COUNT
};

struct patient {
	PGconn *conn;
	struct store *store; /* whose connection it is; NULL: one for this alone */
	bool far;
	const char *sslmode;
	char fact[FACTS_COUNT][80];
	struct store_finding *out;
};

static struct store_finding *__attribute__((format(printf, 4, 5)))
say(struct patient *p, enum postgres_finding which, enum finding_state state, const char *format, ...)
{
	struct store_finding *f = &p->out[which];
	va_list args;
	f->state = state;
	va_start(args, format);
	vsnprintf(f->value, sizeof(f->value), format, args);
	va_end(args);
	return f;
}

static void __attribute__((format(printf, 2, 3)))
advise(struct store_finding *f, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(f->remedy, sizeof(f->remedy), format, args);
	va_end(args);
}

/* NULL: it failed. The caller's. */
static PGresult *
ask(struct patient *p, const char *sql)
{
	PGresult *last = NULL, *r;
	bool ok;
	if (!pq.PQsendQuery(p->conn, sql))
		return NULL;
	if (p->store != NULL)
		last = postgres_await(p->store, &ok);
	while (p->store == NULL && (r = pq.PQgetResult(p->conn)) != NULL) {
		pq.PQclear(last);
		last = r;
	}
	if (last != NULL && pq.PQresultStatus(last) == PGRES_TUPLES_OK && pq.PQntuples(last) == 1)
		return last;
	pq.PQclear(last);
	return NULL;
}

static bool
read_facts(struct patient *p)
{
	static const char sql[] = "SELECT 0"
#define X(NAME, expression) ", " expression
		FACTS(X);
#undef X
	PGresult *r = ask(p, sql);
	for (int i = 0; r != NULL && i < FACTS_COUNT; i++)
		snprintf(p->fact[i], sizeof(p->fact[i]), "%s", pq.PQgetvalue(r, 0, i + 1));
	pq.PQclear(r);
	return r != NULL;
}

/* One number; 0 when there is none. */
static int64_t
ask_number(struct patient *p, const char *sql)
{
	PGresult *r = ask(p, sql);
	int64_t n = r != NULL ? strtoll(pq.PQgetvalue(r, 0, 0), NULL, 10) : 0;
	pq.PQclear(r);
	return n;
}

/* Books that an older lethe left have none yet. */
static int64_t
read_identity(struct patient *p)
{
	bool has = ask_number(p, "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('pen') AND attname = 'identity'") != 0;
	return has ? ask_number(p, "SELECT identity FROM pen") : 0;
}

static bool
is(const struct patient *p, enum fact_of which, const char *what)
{
	return strcmp(p->fact[which], what) == 0;
}

/* ---- one finding each ---- */

static void
look_at_version(struct patient *p)
{
	int version = pq.PQserverVersion(p->conn);
	bool fine = version >= VERSION_WANTED;
	struct store_finding *f = say(p, POSTGRES_VERSION, fine ? FINDING_OK : FINDING_BAD, "PostgreSQL %d.%d", version / VERSION_MAJOR, version % VERSION_MAJOR);
	f->number = (uint64_t)version;
	if (!fine)
		advise(f, "15 or later is needed: apt-get install postgresql-15, then pg_upgradecluster");
}

static void
look_at_encoding(struct patient *p)
{
	bool fine = is(p, FACT_OF_ENCODING, "UTF8");
	struct store_finding *f = say(p, POSTGRES_ENCODING, fine ? FINDING_OK : FINDING_BAD, "%.40s", p->fact[FACT_OF_ENCODING]);
	if (!fine)
		advise(f, "createdb --encoding=UTF8 --template=template0 NAME makes one that is UTF8");
}

static void
look_at_disk(struct patient *p)
{
	bool fsync = is(p, FACT_OF_FSYNC, "on"), whole = is(p, FACT_OF_WHOLE_PAGES, "on");
	struct store_finding *f = say(p, POSTGRES_KEPT, !fsync ? FINDING_BAD : !whole ? FINDING_WARN
																			: FINDING_OK,
		"fsync %.10s, full_page_writes %.10s, synchronous_commit %.20s%s", p->fact[FACT_OF_FSYNC], p->fact[FACT_OF_WHOLE_PAGES], p->fact[FACT_OF_COMMITS],
		is(p, FACT_OF_COMMITS, "off") || is(p, FACT_OF_COMMITS, "local") ? " (on for the ledger)" : "");
	if (!fsync)
		advise(f, "a power cut would lose books that were acknowledged: psql -c 'ALTER SYSTEM SET fsync = on' -c 'SELECT pg_reload_conf()'");
	else if (!whole)
		advise(f, "a power cut may tear pages, unless the file system never does (ZFS): psql -c 'ALTER SYSTEM SET full_page_writes = on' -c 'SELECT pg_reload_conf()'");
}

static void
look_at_rights(struct patient *p)
{
	const char *role = p->fact[FACT_OF_ROLE], *database = p->fact[FACT_OF_DATABASE];
	struct store_finding *f;
	if (is(p, FACT_OF_READ_ONLY, "true")) {
		f = say(p, POSTGRES_RIGHTS, FINDING_BAD, "nothing can be written: a standby, or default_transaction_read_only");
		advise(f, "give the address of the primary: ?target_session_attrs=read-write with all hosts, or psql -c 'ALTER ROLE \"%.60s\" RESET default_transaction_read_only'", role);
	} else if (!is(p, FACT_OF_FOREIGN, "0")) {
		f = say(p, POSTGRES_RIGHTS, FINDING_BAD, "%.20s tables belong to another role than %.60s", p->fact[FACT_OF_FOREIGN], role);
		advise(f, "psql -d \"%.60s\" -c 'REASSIGN OWNED BY other TO \"%.60s\"'", database, role);
	} else if (!is(p, FACT_OF_MAY_MAKE, "true")) {
		f = say(p, POSTGRES_RIGHTS, FINDING_BAD, "%.60s may not make tables here", role);
		advise(f, "psql -c 'ALTER DATABASE \"%.60s\" OWNER TO \"%.60s\"'", database, role);
	} else
		say(p, POSTGRES_RIGHTS, FINDING_OK, "%.60s may make and write what it needs", role);
}

static int64_t
schema_version(struct patient *p)
{
	PGresult *r = ask(p, "SELECT version FROM store_schema");
	int64_t version = r != NULL ? strtoll(pq.PQgetvalue(r, 0, 0), NULL, 10) : -1;
	pq.PQclear(r);
	return version;
}

static void
look_at_schema(struct patient *p)
{
	struct store_finding *f;
	int64_t version, known = store_schema();
	if (is(p, FACT_OF_MOVED, "true") || is(p, FACT_OF_ARRIVING, "true")) {
		bool left = is(p, FACT_OF_MOVED, "true");
		f = say(p, POSTGRES_SCHEMA, FINDING_BAD, left ? "the books were moved away from here" : "books are being moved here, and not all have come");
		advise(f, left ? "lethe account list says where they are: take that address into DIR/store" : "end that by the same `lethe store move --to …`");
		return;
	}
	if (!is(p, FACT_OF_SCHEMA, "true")) {
		say(p, POSTGRES_SCHEMA, FINDING_OK, "none yet: the first start makes them");
		return;
	}
	version = schema_version(p);
	f = say(p, POSTGRES_SCHEMA, version < 0 || version > known ? FINDING_BAD : version < known ? FINDING_WARN
																							   : FINDING_OK,
		"of migration %lld, this lethe knows %lld", (long long)version, (long long)known);
	f->number = version > 0 ? (uint64_t)version : 0;
	if (version < 0)
		advise(f, "the table store_schema can't be read: see the server's log");
	else if (version > known)
		advise(f, "a later lethe wrote it: install that one (lethe version)");
	else if (version < known)
		advise(f, "brought up to date by the next start: systemctl restart lethe, with all servers of this store stopped");
}

/* The shortest of a few round trips, and by the last of them how far the clocks are apart. */
static void
look_at_time(struct patient *p)
{
	uint64_t least = UINT64_MAX;
	int64_t apart = 0;
	for (int i = 0; i < TRIES; i++) {
		uint64_t began = clock_monotonic_us(), wall = clock_wall_us();
		PGresult *r = ask(p, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
		uint64_t took = clock_monotonic_us() - began;
		if (r == NULL)
			break;
		if (took < least) {
			least = took;
			apart = strtoll(pq.PQgetvalue(r, 0, 0), NULL, 10) - (int64_t)(wall + took / 2);
		}
		pq.PQclear(r);
	}
	if (least == UINT64_MAX) {
		advise(say(p, POSTGRES_LATENCY, FINDING_BAD, "it does not answer any more"), "see the server's log");
		say(p, POSTGRES_CLOCK, FINDING_OK, "not compared");
		return;
	}
	uint64_t by = (uint64_t)llabs(apart);
	struct store_finding *f = say(p, POSTGRES_LATENCY, least > SLOW_US ? FINDING_WARN : FINDING_OK, "%llu.%03llu ms a round trip", (unsigned long long)least / 1000, (unsigned long long)least % 1000);
	f->number = least;
	if (f->state != FINDING_OK)
		advise(f, "a booking takes a dozen of them: a database that is nearer, in the same zone; ping its host shows what the network takes");
	f = say(p, POSTGRES_CLOCK, by > CLOCK_WARN_US ? FINDING_WARN : FINDING_OK, "%llu.%03llu s %s this machine's", (unsigned long long)by / 1000000, (unsigned long long)by / 1000 % 1000,
		apart < 0 ? "behind" : "before");
	f->number = by;
	if (f->state != FINDING_OK)
		advise(f, "leases of servers go by its clock, days and prices by this one: timedatectl set-ntp true on both");
}

static void
look_at_tls(struct patient *p)
{
	const char *version = p->fact[FACT_OF_TLS];
	bool strict = strcmp(p->sslmode, "verify-full") == 0;
	struct store_finding *f;
	if (!p->far)
		say(p, POSTGRES_TLS, FINDING_OK, "on this machine%s%.20s", version[0] != '\0' ? ", " : "", version);
	else if (version[0] == '\0') {
		f = say(p, POSTGRES_TLS, FINDING_WARN, "over a network, in clear text");
		advise(f, "balances and hashes of keys can be read and changed on the way: leave sslmode out of the address (verify-full is the default), or give ?sslrootcert=FILE with your own authority");
	} else if (!strict) {
		f = say(p, POSTGRES_TLS, FINDING_WARN, "over a network, %.20s, but sslmode=%.20s does not see whose server it is", version, p->sslmode);
		advise(f, "leave sslmode out of the address (verify-full is the default), with ?sslrootcert=FILE for an authority of your own");
	} else
		say(p, POSTGRES_TLS, FINDING_OK, "over a network, %.20s, its name verified", version);
}

static void
not_reached(struct patient *p, const char *why)
{
	char text[120];
	snprintf(text, sizeof(text), "%s", why);
	text[strcspn(text, "\n")] = '\0';
	struct store_finding *f = say(p, POSTGRES_REACHED, FINDING_BAD, "PostgreSQL is not reached: %s", text);
	advise(f, "is it running (pg_lsclusters), does it let this role in (pg_hba.conf), and is this the server's user: sudo -u lethe lethe doctor; DIR/store has the address, psql \"$(sudo cat DIR/store)\" tries it");
}

static void
name_all(struct patient *p)
{
	static const char *const names[] = {
#define X(NAME, label, name, number) name,
		STORE_FACTS(X)
#undef X
	};
	for (int i = 0; i < POSTGRES_FINDING_COUNT; i++)
		p->out[i] = (struct store_finding){.name = names[i]};
}

static size_t
look_at_all(struct patient *p)
{
	if (pq.PQstatus(p->conn) != CONNECTION_OK || !read_facts(p)) {
		not_reached(p, pq.PQerrorMessage(p->conn));
		return 1;
	}
	say(p, POSTGRES_REACHED, FINDING_OK, "PostgreSQL, reached");
	look_at_version(p);
	look_at_encoding(p);
	look_at_disk(p);
	look_at_rights(p);
	look_at_schema(p);
	look_at_time(p);
	look_at_tls(p);
	return POSTGRES_FINDING_COUNT;
}

size_t
postgres_examine(const char *address, struct store_finding out[POSTGRES_FINDING_COUNT], int64_t *ret_identity)
{
	char why[STORE_WHY_MAX], sslmode[24] = "";
	*ret_identity = 0;
	struct patient p = {.out = out, .sslmode = sslmode};
	name_all(&p);
	if (!postgres_load(why)) {
		advise(say(&p, POSTGRES_REACHED, FINDING_BAD, "%.150s", why), "apt-get install libpq5");
		return 1;
	}
	p.conn = postgres_connect(address, &p.far, sslmode);
	if (p.conn == NULL) {
		not_reached(&p, "its address can't be read: it is like postgres://user@host:5432/database");
		return 1;
	}
	size_t count = look_at_all(&p);
	if (count == POSTGRES_FINDING_COUNT)
		*ret_identity = read_identity(&p);
	pq.PQfinish(p.conn);
	return count;
}

size_t
postgres_examine_own(struct store *s, struct store_finding out[POSTGRES_FINDING_COUNT])
{
	const struct postgres *g = s->own;
	struct patient p = {.conn = g->conn, .store = s, .far = g->far, .sslmode = g->sslmode, .out = out};
	name_all(&p);
	return look_at_all(&p);
}
