/*
 * A store that can't be reached, as a kind of store: whatever is asked of it fails, as it does when a database fails. So all that reads or writes takes the
 * way that it has for that, and none learns of another. docs/decisions/0074-outbox.md
 */
#include "ledger/store_kind.h"

#include <stdio.h>

enum { CODE = 373249 /* 08001, as postgres.c makes a number of it: no connection could be made */ };

static const char *
trouble(const struct store *s)
{
	return "PostgreSQL can't be reached";
}

static bool
fail(struct store *s)
{
	s->code = CODE;
	return false;
}

static bool
open_none(struct store *s, const char *address, char ret_why[STORE_WHY_MAX])
{
	return fail(s);
}

static bool
open_reader(struct store *s, struct store *writer, char ret_why[STORE_WHY_MAX])
{
	snprintf(ret_why, STORE_WHY_MAX, "%s", trouble(s));
	return fail(s);
}

static void
nothing(struct store *s)
{
}

static bool
exec(struct store *s, const char *sql)
{
	return fail(s);
}

static bool
in_transaction(const struct store *s)
{
	return false;
}

static bool
has_column(struct store *s, const char *table, const char *name)
{
	return fail(s);
}

static bool
prepare(struct store *s, const char *text, struct query *st)
{
	return fail(s);
}

static void
release(struct query *st)
{
}

static void
bind_ints(struct query *st, int at, const int64_t *values, size_t count)
{
}

static void
bind_null(struct query *st, int at)
{
}

static void
bind_text(struct query *st, int at, const char *text)
{
}

static void
bind_blob(struct query *st, int at, const void *bytes, size_t len)
{
}

static enum sql_step
step(struct query *st)
{
	fail(st->store);
	return SQL_FAILED;
}

static int64_t
get_int(struct query *st, int at)
{
	return 0;
}

static const char *
get_text(struct query *st, int at)
{
	return NULL;
}

static const void *
get_blob(struct query *st, int at)
{
	return NULL;
}

static size_t
get_len(struct query *st, int at)
{
	return 0;
}

static bool
get_null(struct query *st, int at)
{
	return true;
}

static int
changes(const struct store *s)
{
	return 0;
}

static bool
many(struct store *s, struct query *st, size_t count, sql_filler *fill, sql_taker *take, void *arg)
{
	return fail(s);
}

static bool
rows_of(struct store *s, struct query *st, const int64_t *values, size_t count, sql_row_taker *take, void *arg)
{
	return fail(s);
}

static bool
bulk_begin(struct store *s, const int64_t *ids, size_t count)
{
	return fail(s);
}

static enum sql_put
bulk_put(struct store *s, const int64_t *values, size_t count)
{
	fail(s);
	return SQL_PUT_FAILED;
}

static bool
put_begin(struct store *s, const char *table, const char *columns, unsigned count)
{
	return fail(s);
}

static bool
put_row(struct store *s, const struct store_value *values, unsigned count)
{
	return fail(s);
}

static bool
put_end(struct store *s, bool ok)
{
	return fail(s);
}

static bool
leaf(struct store *s, struct store_leaves *x, int64_t first, int64_t number, void *ret)
{
	return fail(s);
}

static void
leaves_close(struct store_leaves *x)
{
}

static const struct store_kind store_away = {
	.integer = "bigint",
	.open = open_none,
	.open_reader = open_reader,
	.close = nothing,
	.trouble = trouble,
	.error = trouble,
	.breathe = nothing,
	.exec = exec,
	.settle = fail,
	.in_transaction = in_transaction,
	.has_column = has_column,
	.prepare = prepare,
	.release = release,
	.bind_ints = bind_ints,
	.bind_null = bind_null,
	.bind_text = bind_text,
	.bind_blob = bind_blob,
	.step = step,
	.reset = release,
	.get_int = get_int,
	.get_text = get_text,
	.get_blob = get_blob,
	.get_len = get_len,
	.get_null = get_null,
	.changes = changes,
	.many = many,
	.rows_of = rows_of,
	.bulk_begin = bulk_begin,
	.bulk_put = bulk_put,
	.bulk_end = fail,
	.put_begin = put_begin,
	.put_row = put_row,
	.put_end = put_end,
	.leaf = leaf,
	.leaves_close = leaves_close,
};

void
store_open_away(struct store *s, uint32_t node)
{
	/* Doubtful: nothing is concluded from it. */
	*s = (struct store){.kind = &store_away, .node = node, .many = true, .doubtful = true};
	snprintf(s->name, sizeof(s->name), "the store");
	for (unsigned i = 0; i < SQL_COUNT; i++)
		s->statements[i].store = s;
}
