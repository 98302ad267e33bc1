#include "ledger/store.h"
#include "ledger/store_kind.h"
#include "ledger/store_mark.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {
#define X(name, text) [SQL_##name] = text,
	LEDGER_SQL(X)
#undef X
};

const char *
sql_text(const struct store *s, enum sql name)
{
	if (s->kind->texts != NULL && s->kind->texts[name] != NULL)
		return s->kind->texts[name];
	return name < ARRAY_LEN(texts) ? texts[name] : ticket_sql(name);
}

bool
store_exec(struct store *s, const char *sql)
{
	return s->kind->exec(s, sql);
}

struct query *
store_sql(struct store *s, enum sql name)
{
	return &s->statements[name];
}

const char *
store_trouble(const struct store *s)
{
	return s->kind->trouble(s);
}

const char *
store_error(const struct store *s)
{
	return s->kind != NULL ? s->kind->error(s) : "out of memory";
}

void
store_rest(struct store *s)
{
	if (s->kind != NULL && s->kind->rest != NULL)
		(void)!s->kind->exec(s, s->kind->rest);
}

size_t
store_examine(struct store *s, struct store_finding *out)
{
	bool can = s->kind != NULL && s->kind->examine != NULL && !s->lost && !s->kind->in_transaction(s);
	return can ? s->kind->examine(s, out) : 0;
}

void
store_breathe(struct store *s, void (*breathe)(void *arg), void *arg)
{
	s->breathe = breathe;
	s->breathe_arg = arg;
	s->kind->breathe(s);
}

/* ---- statements ---- */

struct query *
sql_prepare(struct store *s, const char *text)
{
	struct query *st = calloc(1, sizeof(*st));
	if (st == NULL)
		return NULL;
	st->store = s;
	if (s->kind->prepare(s, text, st))
		return st;
	free(st);
	return NULL;
}

void
sql_free(struct query *st)
{
	if (st == NULL)
		return;
	st->store->kind->release(st);
	free(st);
}

void
sql_bind_ints(struct query *st, int at, const int64_t *values, size_t count)
{
	st->store->kind->bind_ints(st, at, values, count);
}

void
sql_bind_int(struct query *st, int at, int64_t value)
{
	st->store->kind->bind_ints(st, at, &value, 1);
}

void
sql_bind_null(struct query *st, int at)
{
	st->store->kind->bind_null(st, at);
}

void
sql_bind_text(struct query *st, int at, const char *text)
{
	st->store->kind->bind_text(st, at, text);
}

void
sql_bind_blob(struct query *st, int at, const void *bytes, size_t len)
{
	st->store->kind->bind_blob(st, at, bytes, len);
}

int64_t
sql_int(struct query *st, int at)
{
	return st->store->kind->get_int(st, at);
}

const char *
sql_str(struct query *st, int at)
{
	return st->store->kind->get_text(st, at);
}

const void *
sql_blob(struct query *st, int at)
{
	return st->store->kind->get_blob(st, at);
}

size_t
sql_len(struct query *st, int at)
{
	return st->store->kind->get_len(st, at);
}

bool
sql_is_null(struct query *st, int at)
{
	return st->store->kind->get_null(st, at);
}

enum sql_step
sql_step(struct store *s, struct query *st)
{
	enum sql_step step = s->kind->step(st);
	if (step != SQL_ROW)
		s->kind->reset(st);
	return step;
}

void
sql_reset(struct query *st)
{
	st->store->kind->reset(st);
}

bool
sql_done(struct store *s, struct query *st)
{
	enum sql_step step;
	do
		step = sql_step(s, st);
	while (step == SQL_ROW);
	return step == SQL_END;
}

bool
sql_number(struct store *s, struct query *st, int64_t *ret)
{
	enum sql_step step = sql_step(s, st);
	if (step != SQL_ROW)
		return step == SQL_END;
	*ret = sql_int(st, 0);
	sql_reset(st);
	return true;
}

int
sql_changes(struct store *s)
{
	return s->kind->changes(s);
}

bool
sql_many(struct store *s, struct query *st, size_t count, sql_filler *fill, sql_taker *take, void *arg)
{
	return s->kind->many(s, st, count, fill, take, arg);
}

bool
sql_later(struct store *s, struct query *st)
{
	if (s->kind->later != NULL)
		return s->kind->later(s, st);
	return sql_done(s, st) && sql_changes(s) == 1;
}

bool
sql_all_done(struct store *s)
{
	return s->kind->all_done == NULL || s->kind->all_done(s);
}

bool
sql_rows(struct store *s, struct query *st, sql_row_taker *take, void *arg)
{
	enum sql_step step;
	while ((step = sql_step(s, st)) == SQL_ROW) {
		if (take(arg, st))
			continue;
		sql_reset(st);
		return false;
	}
	return step == SQL_END;
}

bool
sql_rows_of(struct store *s, struct query *st, const int64_t *numbers, size_t count, sql_row_taker *take, void *arg)
{
	return count == 0 || s->kind->rows_of(s, st, numbers, count, take, arg);
}

bool
store_bulk_begin(struct store *s, const int64_t *ids, size_t count)
{
	return s->kind->bulk_begin(s, ids, count);
}

enum sql_put
store_bulk_put(struct store *s, const int64_t *values, size_t count)
{
	return s->kind->bulk_put(s, values, count);
}

bool
store_bulk_end(struct store *s)
{
	return s->kind->bulk_end(s);
}

bool
store_leaf(struct store *s, struct store_leaves *x, int64_t first, int64_t leaf, void *ret)
{
	return s->kind->leaf(s, x, first, leaf, ret);
}

void
store_leaves_close(struct store *s, struct store_leaves *x)
{
	if (x->own != NULL)
		s->kind->leaves_close(x);
	*x = (struct store_leaves){0};
}

bool
store_put_begin(struct store *s, const char *table, const char *columns, unsigned count)
{
	return s->kind->put_begin(s, table, columns, count);
}

bool
store_put_row(struct store *s, const struct store_value *values, unsigned count)
{
	return s->kind->put_row(s, values, count);
}

bool
store_put_end(struct store *s, bool ok)
{
	return s->kind->put_end(s, ok);
}

/* ---- transactions ---- */

bool
store_begin(struct store *s)
{
	assert(!s->kind->in_transaction(s));
	return sql_done(s, store_sql(s, SQL_begin));
}

bool
store_commit(struct store *s)
{
	/* What was doubtful stays so: a commit that had nothing to write takes no place in the log. */
	if (!s->lost && sql_done(s, store_sql(s, SQL_commit)))
		return true;
	int code = s->code;
	store_rollback(s);
	s->code = code;
	s->doubtful = s->kind->settle != NULL;
	return false;
}

bool
store_make_sure(struct store *s)
{
	if (s->doubtful && !s->kind->in_transaction(s))
		s->doubtful = !s->kind->settle(s);
	return !s->doubtful;
}

void
store_rollback(struct store *s)
{
	/* It has rolled back by itself after some errors. */
	if (s->kind->in_transaction(s) && !sql_done(s, store_sql(s, SQL_rollback)))
		assert(!s->kind->in_transaction(s));
}

bool
store_end(struct store *s, bool ok)
{
	if (ok)
		return store_commit(s);
	int code = s->code;
	store_rollback(s);
	s->code = code;
	return false;
}

bool
store_in_transaction(const struct store *s)
{
	return s->kind->in_transaction(s);
}

bool
store_waited(const struct store *s)
{
	return s->kind->waited != NULL && s->kind->waited(s);
}

bool
store_try_again(struct store *s, int tried)
{
	return store_waited(s) && s->kind->try_again(s, tried);
}

bool
store_snapshot(struct store *s)
{
	return store_exec(s, s->kind->snapshot);
}

/* ---- open ---- */

static bool
prepare_all(struct store *s)
{
	for (unsigned i = 0; i < SQL_COUNT; i++) {
		s->statements[i].store = s;
		if (!s->kind->prepare(s, sql_text(s, i), &s->statements[i]))
			return false;
	}
	return true;
}

bool
store_is_postgres(const char *address)
{
	return strncmp(address, "postgres://", 11) == 0 || strncmp(address, "postgresql://", 13) == 0;
}

bool
store_open_on(struct store *s, const char *address, uint32_t node, const struct store_terms *terms, char ret_why[STORE_WHY_MAX])
{
	bool shared = store_is_postgres(address);
	*s = (struct store){.kind = shared ? &store_postgres : &store_sqlite, .node = shared ? (int64_t)node : -1, .home = terms->home, .away_ms = terms->away_ms, .terms = terms};
	if (s->kind->open(s, address, ret_why)) {
		s->terms = NULL;
		if (prepare_all(s))
			return true;
		snprintf(ret_why, STORE_WHY_MAX, "%.160s: does not fit this lethe: %.60s", s->name, store_error(s));
	}
	bool unreachable = s->unreachable || (s->lost && !s->fenced), fenced = s->fenced;
	store_close(s);
	s->unreachable = unreachable;
	s->fenced = fenced;
	return false;
}

bool
store_open(struct store *s, const char *address, uint32_t node, char ret_why[STORE_WHY_MAX])
{
	static const struct store_terms ledgers = {.look = store_mark_refuses};
	return store_open_on(s, address, node, &ledgers, ret_why);
}

bool
store_open_reader(struct store *s, struct store *writer, char ret_why[STORE_WHY_MAX])
{
	*s = (struct store){.kind = writer->kind, .node = writer->node};
	if (s->kind->open_reader(s, writer, ret_why))
		return true;
	store_close(s);
	return false;
}

void
store_close(struct store *s)
{
	for (unsigned i = 0; i < SQL_COUNT; i++)
		if (s->statements[i].own != NULL)
			s->kind->release(&s->statements[i]);
	if (s->kind != NULL)
		s->kind->close(s);
	*s = (struct store){0};
}
