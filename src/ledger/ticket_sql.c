/* SQL over the columns of TICKET_FIELDS: made from the list, so that a new field needs no other edit here. */
#include "ledger/store_kind.h"
#include "ticket/ticket_fields.h"

#include <stdio.h>

#define NAME(name, type, unit, meaning, promise) ", \"" #name "\""
#define PARAMETER(name, type, unit, meaning, promise) ", ?"
#define OVERWRITE(name, type, unit, meaning, promise) ", \"" #name "\" = excluded.\"" #name "\""

#define COLUMNS TICKET_FIELDS(NAME)
#define PARAMETERS TICKET_FIELDS(PARAMETER)

static const char *const texts[SQL_COUNT] = {
	[SQL_ticket_insert] =
		"INSERT INTO ticket (id, booking, cost_nano, hold_nano, difference_nano, loss, leaf, previous, place" COLUMNS ") "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?" PARAMETERS ") ON CONFLICT (id) DO NOTHING",
	[SQL_ticket_by_id] =
		"SELECT id, booking, cost_nano, hold_nano, difference_nano, loss" COLUMNS ", leaf, previous, place FROM ticket WHERE id = ?1",
	[SQL_tickets_from] = "SELECT id, booking, cost_nano, hold_nano, difference_nano, loss" COLUMNS
						 ", leaf, previous, place FROM ticket WHERE id >= ?1 AND booking > ?2",
	[SQL_progress_put] =
		"INSERT INTO progress (id, board_index, cost_nano, hold_nano" COLUMNS ") VALUES (?, ?, ?, ?" PARAMETERS ") "
		"ON CONFLICT (id) DO UPDATE SET cost_nano = excluded.cost_nano, hold_nano = "
		"excluded.hold_nano" TICKET_FIELDS(
			OVERWRITE),
	[SQL_progress_all] =
		"SELECT id, board_index, cost_nano, hold_nano, 0, 0" COLUMNS " FROM progress WHERE ?2 < 0 OR (id >> 7 & 255) = ?2 ORDER BY id LIMIT ?1",
	[SQL_progress_by_id] =
		"SELECT id, board_index, cost_nano, hold_nano, 0, 0" COLUMNS " FROM progress WHERE id = ?1",
};

static const char *const names[] = {
#define X(name, type, unit, meaning, promise) #name,
	TICKET_FIELDS(X)
#undef X
};

int
ticket_sql_leaf_column(void)
{
	return 6 + (int)ARRAY_LEN(names);
}

const char *
ticket_sql(enum sql name)
{
	return texts[name];
}

static bool
add_column(struct store *s, const char *table, const char *name)
{
	char sql[160];
	snprintf(sql, sizeof(sql), "ALTER TABLE %s ADD COLUMN \"%s\" %s NOT NULL DEFAULT 0", table, name, s->kind->integer);
	return s->kind->has_column(s, table, name) || store_exec(s, sql);
}

bool
ticket_sql_add_columns(struct store *s)
{
	bool ok = store_exec(s, sql_text(s, SQL_begin)); /* the database's own word: nobody has joined yet */
	for (size_t i = 0; ok && i < ARRAY_LEN(names); i++)
		ok = add_column(s, "ticket", names[i]) && add_column(s, "progress", names[i]);
	if (ok && store_exec(s, "COMMIT"))
		return true;
	int code = s->code;
	if (s->kind->in_transaction(s) && !store_exec(s, "ROLLBACK"))
		return false;
	s->code = code;
	return false;
}
