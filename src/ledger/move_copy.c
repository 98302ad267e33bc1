/* Rows from one store into another, and whether they are there. */
#include "ledger/move_priv.h"

#include "ledger/store_kind.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAID_EVERY = 4096,
	THERE_MAX = 128 };

static bool __attribute__((format(printf, 2, 3)))
fail(char why[MOVE_WHY_MAX], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, MOVE_WHY_MAX, format, args);
	va_end(args);
	return false;
}

static void
say(struct move_progress *p, int64_t rows)
{
	p->done += rows;
	if (p->say != NULL)
		p->say(p->arg, p->doing, p->table, p->done, p->all);
}

/* ---- rows ---- */

/* In the order of the key: bytes, not words. */
static struct query *
select_all(struct store *s, const struct move_table *t)
{
	char *columns = move_columns(t);
	size_t room = strlen(columns) + MOVE_KEY_MAX * (MOVE_NAME_MAX + 4) + MOVE_NAME_MAX + 64;
	char *sql = malloc(room);
	if (sql == NULL)
		abort();
	size_t len = (size_t)snprintf(sql, room, "SELECT %s FROM \"%s\" ORDER BY ", columns, t->name);
	for (unsigned k = 0; k < t->keys; k++)
		len += (size_t)snprintf(sql + len, room - len, "%s\"%s\"", k > 0 ? ", " : "", t->column[t->key[k]].name);
	struct query *st = sql_prepare(s, sql);
	free(columns);
	free(sql);
	return st;
}

static void
value_at(struct query *st, unsigned at, enum store_type type, struct store_value *ret)
{
	*ret = (struct store_value){.type = type, .null = sql_is_null(st, (int)at)};
	if (ret->null)
		return;
	if (type == STORE_INTEGER) {
		ret->number = sql_int(st, (int)at);
		return;
	}
	ret->bytes = type == STORE_TEXT ? (const void *)sql_str(st, (int)at) : sql_blob(st, (int)at);
	ret->len = sql_len(st, (int)at);
}

/* Each value with its type and length before it: no two rows have the same bytes. */
static void
hash_row(crypto_generichash_state *h, const struct store_value *values, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct store_value *v = &values[i];
		struct {
			uint8_t type, zero[7];
			uint64_t number;
		} head = {.type = v->null ? 255 : (uint8_t)v->type, .number = v->type == STORE_INTEGER ? (uint64_t)v->number : v->len};
		crypto_generichash_update(h, (const void *)&head, sizeof(head));
		if (!v->null && v->type != STORE_INTEGER && v->len > 0)
			crypto_generichash_update(h, v->bytes, v->len);
	}
}

struct seen {
	int64_t rows;
	uint8_t hash[MOVE_HASH_BYTES];
};

typedef bool row_taker(void *arg, const struct store_value *values, unsigned count);

/* Every row, hashed and taken. */
static bool
each_row(struct store *from, const struct move_table *t, struct move_progress *p, row_taker *take, void *arg, struct seen *ret)
{
	struct store_value values[MOVE_COLUMNS_MAX];
	crypto_generichash_state h;
	int64_t rows = 0;
	enum sql_step step = SQL_FAILED;
	bool ok = true;
	struct query *st = select_all(from, t);
	crypto_generichash_init(&h, NULL, 0, MOVE_HASH_BYTES);
	while (ok && st != NULL && (step = sql_step(from, st)) == SQL_ROW) {
		for (unsigned i = 0; i < t->count; i++)
			value_at(st, i, t->column[i].type, &values[i]);
		hash_row(&h, values, t->count);
		ok = take == NULL || take(arg, values, t->count);
		if (++rows % SAID_EVERY == 0)
			say(p, SAID_EVERY);
	}
	sql_free(st);
	say(p, rows % SAID_EVERY);
	crypto_generichash_final(&h, ret->hash, sizeof(ret->hash));
	ret->rows = rows;
	return ok && step == SQL_END;
}

/* ---- count ---- */

static bool
count_rows(struct store *s, const char *table, int64_t *ret)
{
	char sql[MOVE_NAME_MAX + 64];
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM \"%s\"", table);
	struct query *st = sql_prepare(s, sql);
	bool ok = st != NULL && sql_number(s, st, ret);
	sql_free(st);
	return ok;
}

bool
move_count(struct store *reader, struct move_tables *t, int64_t *ret_all, char ret_why[MOVE_WHY_MAX])
{
	int64_t all = 0;
	for (unsigned i = 0; i < t->count; all += t->at[i++].rows)
		if (!count_rows(reader, t->at[i].name, &t->at[i].rows))
			return fail(ret_why, "%.100s: can't be read: %.120s", reader->name, store_error(reader));
	*ret_all = all;
	return true;
}

/* ---- copy ---- */

/* What the migrations put into fresh tables, and the books have as well: the house's accounts. By number; brought up to date, and not put again. */
struct there {
	unsigned count;
	int64_t id[THERE_MAX];
};

static bool
read_there(struct store *to, const struct move_table *t, struct there *ret, char why[MOVE_WHY_MAX])
{
	char sql[2 * MOVE_NAME_MAX + 64];
	enum sql_step step = SQL_FAILED;
	int64_t rows = 0;
	ret->count = 0;
	if (!count_rows(to, t->name, &rows))
		return false;
	if (rows == 0)
		return true;
	if (t->keys != 1 || t->column[t->key[0]].type != STORE_INTEGER || rows > THERE_MAX)
		return fail(why, "the table %.60s of the new store has rows already", t->name);
	snprintf(sql, sizeof(sql), "SELECT \"%s\" FROM \"%s\"", t->column[t->key[0]].name, t->name);
	struct query *st = sql_prepare(to, sql);
	while (st != NULL && ret->count < THERE_MAX && (step = sql_step(to, st)) == SQL_ROW)
		ret->id[ret->count++] = sql_int(st, 0);
	sql_free(st);
	return step != SQL_FAILED;
}

static bool
is_there(const struct there *x, int64_t id)
{
	for (unsigned i = 0; i < x->count; i++)
		if (x->id[i] == id)
			return true;
	return false;
}

struct copy {
	struct store *to;
	const struct move_table *table;
	struct there there;
};

static void
bind_value(struct query *st, int at, const struct store_value *v)
{
	if (v->null)
		sql_bind_null(st, at);
	else if (v->type == STORE_INTEGER)
		sql_bind_int(st, at, v->number);
	else if (v->type == STORE_TEXT)
		sql_bind_text(st, at, v->bytes);
	else
		sql_bind_blob(st, at, v->bytes, v->len);
}

/* One column at a time, where it differs: what an account is, its own trigger keeps anybody from touching. */
static bool
bring_up(struct copy *c, const struct store_value *values, unsigned column)
{
	const struct move_table *t = c->table;
	char sql[5 * MOVE_NAME_MAX + 128];
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM \"%s\" WHERE \"%s\" = ?1 AND \"%s\" = ?2", t->name, t->column[column].name, t->column[t->key[0]].name);
	struct query *st = sql_prepare(c->to, sql);
	int64_t same = 0, id = values[t->key[0]].number;
	if (st == NULL)
		return false;
	bind_value(st, 1, &values[column]);
	sql_bind_int(st, 2, id);
	bool ok = sql_number(c->to, st, &same);
	sql_free(st);
	if (!ok || same == 1)
		return ok;
	snprintf(sql, sizeof(sql), "UPDATE \"%s\" SET \"%s\" = ?1 WHERE \"%s\" = ?2", t->name, t->column[column].name, t->column[t->key[0]].name);
	st = sql_prepare(c->to, sql);
	if (st == NULL)
		return false;
	bind_value(st, 1, &values[column]);
	sql_bind_int(st, 2, id);
	ok = sql_done(c->to, st);
	sql_free(st);
	return ok;
}

static bool
bring_up_row(void *arg, const struct store_value *values, unsigned count)
{
	struct copy *c = arg;
	if (!is_there(&c->there, values[c->table->key[0]].number))
		return true;
	for (unsigned i = 0; i < count; i++)
		if (i != c->table->key[0] && !bring_up(c, values, i))
			return false;
	return true;
}

static bool
put_row(void *arg, const struct store_value *values, unsigned count)
{
	struct copy *c = arg;
	return is_there(&c->there, values[c->table->key[0]].number) || store_put_row(c->to, values, count);
}

/* Partitions, where there are any, of all months between the first ticket and the last. */
static bool
make_room(struct store *from, struct store *to, const struct move_table *t)
{
	int64_t ends[2] = {0, 0};
	if (to->kind->make_room == NULL || strcmp(t->name, "ticket") != 0 || t->rows == 0)
		return true;
	struct query *st = sql_prepare(from, "SELECT min(id), max(id) FROM ticket");
	bool ok = st != NULL && sql_step(from, st) == SQL_ROW;
	for (int i = 0; ok && i < 2; i++)
		ends[i] = sql_int(st, i);
	if (ok)
		sql_reset(st);
	sql_free(st);
	return ok && to->kind->make_room(to, ends[0], ends[1]);
}

static bool
copy_table(struct store *from, struct store *to, struct move_table *t, struct move_progress *p, char why[MOVE_WHY_MAX])
{
	struct copy c = {.to = to, .table = t};
	struct move_progress silent = {0};
	struct seen seen;
	if (!read_there(to, t, &c.there, why))
		return false;
	if (c.there.count > 0 && !each_row(from, t, &silent, bring_up_row, &c, &seen))
		return false;
	char *columns = move_columns(t);
	bool ok = make_room(from, to, t) && store_put_begin(to, t->name, columns, t->count);
	free(columns);
	if (!ok)
		return false;
	ok = each_row(from, t, p, put_row, &c, &seen);
	if (!store_put_end(to, ok))
		return false;
	memcpy(t->hash, seen.hash, sizeof(t->hash));
	return seen.rows == t->rows || fail(why, "the table %.60s had %lld rows and then %lld: somebody writes to it", t->name, (long long)t->rows, (long long)seen.rows);
}

bool
move_copy(struct store *from, struct store *to, struct move_tables *t, struct move_progress *p, char ret_why[MOVE_WHY_MAX])
{
	for (unsigned i = 0; i < t->count; i++) {
		p->table = t->at[i].name;
		ret_why[0] = '\0';
		if (copy_table(from, to, &t->at[i], p, ret_why))
			continue;
		if (ret_why[0] != '\0')
			return false;
		bool theirs = from->lost || from->code != 0;
		return fail(ret_why, "the table %.60s can't be %s: %.100s: %.160s", t->at[i].name, theirs ? "read" : "written", theirs ? from->name : to->name, store_error(theirs ? from : to));
	}
	return true;
}

bool
move_compare(struct store *reader, const struct move_tables *t, struct move_progress *p, char ret_why[MOVE_WHY_MAX])
{
	for (unsigned i = 0; i < t->count; i++) {
		const struct move_table *x = &t->at[i];
		struct seen seen;
		p->table = x->name;
		if (!each_row(reader, x, p, NULL, NULL, &seen))
			return fail(ret_why, "%.100s: can't be read: %.120s", reader->name, store_error(reader));
		if (seen.rows != x->rows || memcmp(seen.hash, x->hash, sizeof(seen.hash)) != 0)
			return fail(ret_why, "the table %.60s has other rows in the new store (%lld, not %lld, or others): nothing was changed here", x->name, (long long)seen.rows, (long long)x->rows);
	}
	return true;
}
