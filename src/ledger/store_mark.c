#include "ledger/store_mark.h"

#include "ledger/store_kind.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

bool
store_has_table(struct store *s, const char *name, bool *ret)
{
	int64_t count = 0;
	struct query *st = sql_prepare(s, s->kind->has_table);
	if (st == NULL)
		return false;
	sql_bind_text(st, 1, name);
	bool ok = sql_number(s, st, &count);
	sql_free(st);
	*ret = count > 0;
	return ok;
}

static bool
read_row(struct store *s, const char *table, struct store_mark *ret)
{
	char sql[160];
	snprintf(sql, sizeof(sql), "SELECT move, time_us, bookings, changes, operations, accounts, whither FROM %s", table);
	struct query *st = sql_prepare(s, sql);
	if (st == NULL)
		return false;
	enum sql_step step = sql_step(s, st);
	if (step == SQL_ROW) {
		*ret = (struct store_mark){
			.there = true, .move = sql_int(st, 0), .time_us = sql_int(st, 1), .at = {sql_int(st, 2), sql_int(st, 3), sql_int(st, 4), sql_int(st, 5)}};
		snprintf(ret->whither, sizeof(ret->whither), "%s", sql_str(st, 6));
		sql_reset(st);
	}
	sql_free(st);
	return step == SQL_ROW;
}

bool
store_mark_read(struct store *s, const char *table, struct store_mark *ret)
{
	bool there;
	*ret = (struct store_mark){0};
	return store_has_table(s, table, &there) && (!there || read_row(s, table, ret));
}

static bool
put_row(struct store *s, const char *table, const struct store_mark *m)
{
	char sql[160];
	snprintf(sql, sizeof(sql), "INSERT INTO %s (one, move, time_us, bookings, changes, operations, accounts, whither) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)", table);
	struct query *st = sql_prepare(s, sql);
	if (st == NULL)
		return false;
	sql_bind(st, m->move, m->time_us, m->at.bookings, m->at.changes, m->at.operations, m->at.accounts);
	sql_bind_text(st, 7, m->whither);
	bool ok = sql_done(s, st);
	sql_free(st);
	return ok;
}

/* The database's own words, and no turn of the pen: a store that books come to has no pen yet. */
static bool
end(struct store *s, bool ok)
{
	if (ok && store_exec(s, "COMMIT"))
		return true;
	int code = s->code;
	if (!s->lost && s->kind->in_transaction(s) && !store_exec(s, "ROLLBACK"))
		return false;
	s->code = code;
	return false;
}

bool
store_mark_put(struct store *s, const char *table, const struct store_mark *m)
{
	char drop[80], make[320];
	snprintf(drop, sizeof(drop), "DROP TABLE IF EXISTS %s", table);
	snprintf(make, sizeof(make),
		"CREATE TABLE %s (one bigint PRIMARY KEY CHECK (one = 1), move bigint NOT NULL, time_us bigint NOT NULL, bookings bigint NOT NULL, changes bigint NOT NULL, "
		"operations bigint NOT NULL, accounts bigint NOT NULL, whither text NOT NULL)",
		table);
	return store_exec(s, "BEGIN") && end(s, store_exec(s, drop) && store_exec(s, make) && put_row(s, table, m));
}

bool
store_mark_drop(struct store *s, const char *table)
{
	char sql[80];
	snprintf(sql, sizeof(sql), "DROP TABLE %s", table);
	return store_exec(s, sql);
}

static bool
count_of(struct store *s, const char *sql, int64_t *ret)
{
	struct query *st = sql_prepare(s, sql);
	bool ok = st != NULL && sql_number(s, st, ret);
	sql_free(st);
	return ok;
}

bool
store_extent_read(struct store *s, struct store_extent *ret)
{
	struct store_extent e = {0};
	bool ok = count_of(s, "SELECT coalesce(max(id), 0) FROM booking", &e.bookings) && count_of(s, "SELECT coalesce(max(number), 0) FROM change", &e.changes) &&
		count_of(s, "SELECT count(*) FROM operation", &e.operations) && count_of(s, "SELECT count(*) FROM account", &e.accounts);
	if (ok)
		*ret = e;
	return ok;
}

/* ---- terms ---- */

static bool
refuse_moved(struct store *s, const struct store_mark *m, char ret_why[STORE_WHY_MAX])
{
	char day[16] = "?";
	time_t seconds = (time_t)(m->time_us / 1000000);
	struct tm tm;
	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	snprintf(ret_why, STORE_WHY_MAX, "%.50s: the books that were here were moved to %.80s on %s: serve them there%s", s->name, m->whither, day,
		s->node < 0 ? ", or undo it: lethe store move --take-back" : "");
	return false;
}

bool
store_mark_refuses_moved(struct store *s, void *arg, char ret_why[STORE_WHY_MAX])
{
	struct store_mark m;
	if (!store_mark_read(s, STORE_MOVED, &m)) {
		snprintf(ret_why, STORE_WHY_MAX, "%.90s: can't be read: %.120s", s->name, store_error(s));
		return false;
	}
	return !m.there || refuse_moved(s, &m, ret_why);
}

bool
store_mark_refuses(struct store *s, void *arg, char ret_why[STORE_WHY_MAX])
{
	bool arriving = false;
	if (!store_mark_refuses_moved(s, arg, ret_why))
		return false;
	if (!store_has_table(s, STORE_ARRIVING, &arriving))
		snprintf(ret_why, STORE_WHY_MAX, "%.90s: can't be read: %.120s", s->name, store_error(s));
	else if (!arriving)
		return true;
	else
		snprintf(ret_why, STORE_WHY_MAX, "%.90s: books are being moved here, and not all have come: end that by the same `lethe store move --to …`, or drop the database and make it anew", s->name);
	return false;
}
