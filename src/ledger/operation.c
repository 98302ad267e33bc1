#include "ledger/ledger_priv.h"

#include <sodium.h>
#include <string.h>

void
operation_content(struct operation *op, const char *what, const char *const *texts, size_t count)
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, CONTENT_BYTES);
	/* With their terminators, so that no two lists of texts look alike. */
	crypto_generichash_update(&state, (const uint8_t *)what, strlen(what) + 1);
	for (size_t i = 0; i < count; i++)
		crypto_generichash_update(&state, (const uint8_t *)texts[i], strlen(texts[i]) + 1);
	crypto_generichash_final(&state, op->content, CONTENT_BYTES);
}

static enum operation_state
look_in(struct ledger *l, struct query *st, struct operation *op, enum operation_state found)
{
	sql_bind_text(st, 1, op->ref);
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step == SQL_END ? OPERATION_NEW : OPERATION_FAILED;
	const void *content = sql_blob(st, 1);
	bool same = sql_len(st, 1) == CONTENT_BYTES && memcmp(content, op->content, CONTENT_BYTES) == 0;
	op->subject = (uint64_t)sql_int(st, 0);
	sql_reset(st);
	return same ? found : OPERATION_OTHER;
}

enum operation_state
operation_look_up(struct ledger *l, struct operation *op)
{
	if (!store_make_sure(&l->store))
		return OPERATION_FAILED;
	if (op->ref[0] == '\0')
		return OPERATION_NEW;
	enum operation_state state = look_in(l, store_sql(&l->store, SQL_operation_by_ref), op, OPERATION_DONE);
	return state == OPERATION_NEW ? look_in(l, store_sql(&l->store, SQL_intent_by_ref), op, OPERATION_PENDING)
								  : state;
}

bool
operation_record(struct ledger *l, const struct operation *op, uint64_t subject)
{
	if (op->ref[0] == '\0')
		return true;
	struct query *st = store_sql(&l->store, SQL_operation_insert);
	sql_bind_text(st, 1, op->ref);
	sql_bind_blob(st, 2, op->content, CONTENT_BYTES);
	sql_bind_int(st, 3, (int64_t)subject);
	sql_bind_int(st, 4, (int64_t)clock_wall_us());
	return sql_done(&l->store, st);
}

json_t *
operation_conflict(const struct operation *op)
{
	return control_error(
		"id_conflict", "the id \"%s\" was used for something else before: take another id", op->ref);
}

bool
change_record(struct ledger *l, enum change_kind what, uint64_t subject)
{
	struct query *st = store_sql(&l->store, SQL_change_insert);
	sql_bind(st, (int64_t)clock_wall_us(), what, (int64_t)subject);
	return sql_done(&l->store, st);
}
