/* What tables a store has: from its schema, so that none can be forgotten. */
#include "ledger/move_priv.h"

#include "ledger/store_kind.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool __attribute__((format(printf, 2, 3)))
fail(char why[MOVE_WHY_MAX], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, MOVE_WHY_MAX, format, args);
	va_end(args);
	return false;
}

bool
move_is_own(const char *table)
{
	static const char *const own[] = {
#define X(name, whose, what) #name,
		MOVE_OWN(X)
#undef X
	};
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(own[i], table) == 0)
			return true;
	return false;
}

static bool
is_own_column(const char *table, const char *column)
{
	static const char *const own[][2] = {
#define X(name, column) {#name, #column},
		MOVE_OWN_COLUMNS(X)
#undef X
	};
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(own[i][0], table) == 0 && strcmp(own[i][1], column) == 0)
			return true;
	return false;
}

/* ---- read ---- */

static bool
add_column(struct move_table *t, struct query *st, char why[MOVE_WHY_MAX])
{
	const char *name = sql_str(st, 0);
	int64_t type = sql_int(st, 1), key = sql_int(st, 2);
	if (is_own_column(t->name, name))
		return true;
	if (type > STORE_BLOB || key > MOVE_KEY_MAX || t->count == MOVE_COLUMNS_MAX || strlen(name) >= MOVE_NAME_MAX)
		return fail(why, "the column %.60s.%.60s is of a kind that can't be moved: it is not of this lethe", t->name, name);
	struct move_column *c = &t->column[t->count];
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->type = (enum store_type)type;
	if (key > 0) {
		t->key[key - 1] = t->count;
		t->keys++;
	}
	t->count++;
	return true;
}

static bool
read_columns(struct store *s, struct move_table *t, char why[MOVE_WHY_MAX])
{
	struct query *st = sql_prepare(s, s->kind->columns);
	enum sql_step step = SQL_FAILED;
	bool ok = true;
	t->column = calloc(MOVE_COLUMNS_MAX, sizeof(*t->column));
	if (t->column == NULL)
		abort();
	if (st != NULL)
		sql_bind_text(st, 1, t->name);
	while (ok && st != NULL && (step = sql_step(s, st)) == SQL_ROW)
		ok = add_column(t, st, why);
	sql_free(st);
	if (ok && step != SQL_END)
		return fail(why, "%.100s: can't be read: %.120s", s->name, store_error(s));
	return ok && (t->keys > 0 || fail(why, "the table %.60s has no primary key, so that its rows have no order: it is not of this lethe", t->name));
}

static bool
add_table(struct move_tables *t, const char *name, char why[MOVE_WHY_MAX])
{
	if (move_is_own(name))
		return true;
	if (t->count == MOVE_TABLES_MAX || strlen(name) >= MOVE_NAME_MAX)
		return fail(why, "there are more tables, or longer names, than a lethe has: %.60s", name);
	struct move_table *x = &t->at[t->count++];
	*x = (struct move_table){0};
	snprintf(x->name, sizeof(x->name), "%s", name);
	return true;
}

bool
move_tables_read(struct store *s, struct move_tables *ret, char ret_why[MOVE_WHY_MAX])
{
	struct query *st = sql_prepare(s, s->kind->tables);
	enum sql_step step = SQL_FAILED;
	bool ok = true;
	ret->count = 0;
	while (ok && st != NULL && (step = sql_step(s, st)) == SQL_ROW)
		ok = add_table(ret, sql_str(st, 0), ret_why);
	sql_free(st);
	if (ok && step != SQL_END)
		return fail(ret_why, "%.100s: can't be read: %.120s", s->name, store_error(s));
	for (unsigned i = 0; ok && i < ret->count; i++)
		ok = read_columns(s, &ret->at[i], ret_why);
	return ok;
}

void
move_tables_free(struct move_tables *t)
{
	for (unsigned i = 0; i < t->count; i++) {
		free(t->at[i].column);
		t->at[i].column = NULL;
	}
	t->count = 0;
}

char *
move_columns(const struct move_table *t)
{
	size_t room = (size_t)t->count * (MOVE_NAME_MAX + 4) + 1;
	char *list = malloc(room);
	size_t len = 0;
	if (list == NULL)
		abort();
	for (unsigned i = 0; i < t->count; i++)
		len += (size_t)snprintf(list + len, room - len, "%s\"%s\"", i > 0 ? ", " : "", t->column[i].name);
	return list;
}

/* ---- match ---- */

static const struct move_table *
find(const struct move_tables *t, const char *name)
{
	for (unsigned i = 0; i < t->count; i++)
		if (strcmp(t->at[i].name, name) == 0)
			return &t->at[i];
	return NULL;
}

static bool
has_column(const struct move_table *t, const struct move_column *c)
{
	for (unsigned i = 0; i < t->count; i++)
		if (strcmp(t->column[i].name, c->name) == 0)
			return t->column[i].type == c->type;
	return false;
}

static bool
is_within(const struct move_tables *a, const struct move_tables *b, char why[MOVE_WHY_MAX])
{
	for (unsigned i = 0; i < a->count; i++) {
		const struct move_table *x = &a->at[i], *y = find(b, x->name);
		if (y == NULL)
			return fail(why, "the table %.60s is in one of the two stores only: one of them is not of this lethe", x->name);
		for (unsigned c = 0; c < x->count; c++)
			if (!has_column(y, &x->column[c]))
				return fail(why, "the column %.60s.%.60s is in one of the two stores only: one of them is not of this lethe", x->name, x->column[c].name);
	}
	return true;
}

/* ---- order ---- */

struct edges {
	unsigned count;
	struct {
		unsigned before, after;
	} at[4 * MOVE_TABLES_MAX];
};

static unsigned
place_of(const struct move_tables *t, const char *name)
{
	const struct move_table *x = find(t, name);
	return x != NULL ? (unsigned)(x - t->at) : MOVE_TABLES_MAX;
}

/* Rows that are referred to come first; where that is looked at in the end, as of bookings, who refers does: a booking closes when its postings are there. */
static bool
read_edges(struct store *postgres, const struct move_tables *t, struct edges *ret)
{
	struct query *st = sql_prepare(postgres, postgres->kind->references);
	enum sql_step step = SQL_FAILED;
	while (st != NULL && ret->count < ARRAY_LEN(ret->at) && (step = sql_step(postgres, st)) == SQL_ROW) {
		unsigned who = place_of(t, sql_str(st, 0)), whom = place_of(t, sql_str(st, 1));
		bool late = sql_int(st, 2) != 0;
		if (who == MOVE_TABLES_MAX || whom == MOVE_TABLES_MAX || who == whom)
			continue;
		ret->at[ret->count].before = late ? who : whom;
		ret->at[ret->count++].after = late ? whom : who;
	}
	sql_free(st);
	return step == SQL_END;
}

static bool
is_free(const struct edges *e, const bool *put, unsigned i)
{
	for (unsigned k = 0; k < e->count; k++)
		if (e->at[k].after == i && !put[e->at[k].before])
			return false;
	return !put[i];
}

static bool
put_in_order(struct move_tables *t, const struct edges *e)
{
	struct move_tables *sorted = calloc(1, sizeof(*sorted));
	bool put[MOVE_TABLES_MAX] = {false};
	if (sorted == NULL)
		abort();
	for (bool any = true; any;) {
		any = false;
		for (unsigned i = 0; i < t->count; i++)
			if (is_free(e, put, i)) {
				sorted->at[sorted->count++] = t->at[i];
				put[i] = any = true;
			}
	}
	bool all = sorted->count == t->count;
	if (all)
		*t = *sorted;
	free(sorted);
	return all;
}

bool
move_tables_match(struct move_tables *from, const struct move_tables *to, struct store *postgres, char ret_why[MOVE_WHY_MAX])
{
	struct edges *e = calloc(1, sizeof(*e));
	if (e == NULL)
		abort();
	bool ok = is_within(from, to, ret_why) && is_within(to, from, ret_why);
	if (ok && !read_edges(postgres, from, e))
		ok = fail(ret_why, "%.100s: can't be read: %.120s", postgres->name, store_error(postgres));
	if (ok && !put_in_order(from, e))
		ok = fail(ret_why, "the tables refer to each other in a circle: it is not of this lethe");
	free(e);
	return ok;
}
