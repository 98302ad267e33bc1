#include "ledger/object.h"

#include <string.h>

/* How long a page may begin behind what is gone. */
#define PLACE_US (3LL * 86400 * 1000000)

/* ---- one of them ---- */

static struct query *
statement(struct ledger *l, const struct message_object *m, int64_t now_us)
{
	struct query *st;
	switch ((enum object_order)m->order) {
	case OBJECT_KEEP:
		st = store_sql(&l->store, SQL_object_insert);
		sql_bind(st, (int64_t)m->account);
		sql_bind_blob(st, 2, m->object, m->object_bytes);
		sql_bind_ints(st, 3, (const int64_t[]){(int64_t)m->token, m->kind, m->purpose}, 3);
		return st;
	case OBJECT_DROP:
		st = store_sql(&l->store, SQL_object_drop);
		break;
	case OBJECT_WORK_IS_GONE:
		st = store_sql(&l->store, SQL_work_gone);
		break;
	default: /* an edge may say anything */
		return NULL;
	}
	sql_bind(st, (int64_t)m->account);
	sql_bind_blob(st, 2, m->object, m->object_bytes);
	sql_bind_ints(st, 3, (const int64_t[]){(int64_t)m->token, now_us}, m->order == OBJECT_DROP ? 2 : 1);
	return st;
}

/* A few of those whose time is over, each time one more is gone: no more are here than went in these days. */
static bool
sweep(struct ledger *l, const struct message_object *m, int64_t now_us)
{
	if (m->order != OBJECT_DROP)
		return true;
	struct query *st = store_sql(&l->store, SQL_object_sweep);
	sql_bind(st, now_us - PLACE_US);
	return sql_done(&l->store, st);
}

enum work_result
ledger_object(struct ledger *l, const struct message_object *m)
{
	bool good = m->object_bytes != 0 && m->object_bytes <= sizeof(m->object) && m->kind != 0 && m->kind <= UINT8_MAX && m->purpose <= UINT8_MAX;
	int64_t now_us = (int64_t)clock_wall_us();
	struct query *st = good ? statement(l, m, now_us) : NULL;
	if (st == NULL)
		return WORK_REFUSED;
	return store_begin(&l->store) && store_end(&l->store, sql_done(&l->store, st) && sweep(l, m, now_us)) ? WORK_DONE : WORK_LATER;
}

/* ---- all of them ---- */

/* Where the page begins. */
static enum sql_step
find(struct ledger *l, const struct message_object_list_wanted *m, int64_t *ret)
{
	*ret = (int64_t)m->beyond;
	if (m->beyond != 0 || m->object_bytes == 0)
		return SQL_ROW;
	struct query *st = store_sql(&l->store, SQL_object_find);
	sql_bind(st, (int64_t)m->account);
	sql_bind_blob(st, 2, m->object, m->object_bytes);
	enum sql_step step = sql_step(&l->store, st);
	if (step == SQL_ROW)
		*ret = sql_int(st, 0);
	sql_reset(st);
	return step;
}

static void
turn_around(struct message_work_listed *m)
{
	for (uint16_t i = 0, k = m->count; i + 1 < k; i++) {
		struct message_work_row row = m->rows[i];
		m->rows[i] = m->rows[--k];
		m->rows[k] = row;
	}
}

void
ledger_object_list(struct ledger *l, const struct message_object_list_wanted *m, struct message_work_listed *ret)
{
	uint16_t most = m->most < WORK_PAGE ? m->most : WORK_PAGE;
	int64_t from;
	*ret = MESSAGE_INIT(WORK_LISTED, message_work_listed);
	ret->token = m->token;
	enum sql_step step = m->object_bytes <= sizeof(m->object) ? find(l, m, &from) : SQL_END;
	if (step != SQL_ROW) {
		ret->failed = step == SQL_END ? LIST_UNKNOWN : LIST_FAILED;
		return;
	}
	struct query *st = store_sql(&l->store, m->order == OBJECTS_DOWN ? SQL_object_list : SQL_object_list_up);
	sql_bind(st, (int64_t)m->account, m->kind, m->purpose, from, most + 1);
	while ((step = sql_step(&l->store, st)) == SQL_ROW && ret->count < most) {
		struct message_work_row *row = &ret->rows[ret->count++];
		row->work = (uint64_t)sql_int(st, 0);
		const void *name = sql_blob(st, 1);
		row->object_bytes = (uint16_t)sql_len(st, 1);
		memcpy(row->object, name, row->object_bytes);
	}
	ret->more = step == SQL_ROW;
	ret->failed = step == SQL_FAILED ? LIST_FAILED : 0;
	sql_reset(st);
	if (m->order == OBJECTS_BEFORE)
		turn_around(ret);
}
