#include "ledger/work.h"

#include "ledger/limit_priv.h"
#include "ledger/order_priv.h"
#include "ledger/share_priv.h"

#include <stdio.h>
#include <string.h>

enum work_state { WORK_NEW,
	WORK_HELD,
	WORK_NAMED,
	WORK_ENDED };

enum work_trouble {
#define X(name, number, word, meaning) WORK_TROUBLE_##name = number,
	WORK_TROUBLES(X)
#undef X
};

enum {
	FIRST_LOOK_S = 15,
	LOOKS_DOUBLE = 6, /* then it is looked at every 16 minutes */
	UNNAMED_S = 3600,
	REF_MAX = 48,
	HASTE_US = 1000000,
	SILENCE_STAYS_US = 60000000, /* at least, unless it ends before */
	OTHERS_HAVE_US = 300000, /* other servers look each 100 ms for what is wanted of theirs */
	OTHERS_WORK_US = 60000000, /* what other servers have begun is looked for so often: they may be gone when it is due */
	AT_ONCE_MOST = 16, /* of what was never named: rounds and requests wait meanwhile */
};
#define SECOND_US UINT64_C(1000000)

struct work {
	uint64_t id, account, hold;
	enum work_state state;
	int64_t nano;
	uint64_t created_us, due_us;
	int looks;
	uint16_t object_bytes;
	uint8_t object[WORK_OBJECT_MAX];
};

/* ---- the row ---- */

static enum sql_step
read_work(struct ledger *l, struct query *st, struct work *ret)
{
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step;
	ret->id = (uint64_t)sql_int(st, 0);
	ret->account = (uint64_t)sql_int(st, 1);
	ret->state = (enum work_state)sql_int(st, 2);
	ret->nano = sql_int(st, 3);
	ret->hold = (uint64_t)sql_int(st, 4);
	const void *object = sql_blob(st, 5);
	ret->object_bytes = (uint16_t)sql_len(st, 5);
	if (ret->object_bytes != 0)
		memcpy(ret->object, object, ret->object_bytes);
	ret->looks = (int)sql_int(st, 6);
	ret->created_us = (uint64_t)sql_int(st, 7);
	ret->due_us = (uint64_t)sql_int(st, 8);
	sql_reset(st);
	return SQL_ROW;
}

static enum sql_step
find(struct ledger *l, uint64_t id, struct work *ret)
{
	struct query *st = store_sql(&l->store, SQL_work_by_id);
	sql_bind(st, (int64_t)id);
	return read_work(l, st, ret);
}

/* One statement is a transaction of its own. */
static bool
done(struct ledger *l, struct query *st, int *ret_rows)
{
	if (!store_begin(&l->store))
		return false;
	bool ok = sql_done(&l->store, st);
	*ret_rows = ok ? sql_changes(&l->store) : 0;
	return store_end(&l->store, ok);
}

static bool
change(struct ledger *l, enum sql name, uint64_t id, uint64_t number)
{
	int rows;
	struct query *st = store_sql(&l->store, name);
	sql_bind(st, (int64_t)id, (int64_t)number);
	return done(l, st, &rows);
}

/* ---- what it used ---- */

static struct work_counted *
counted(struct ledger *l, uint64_t work)
{
	for (int i = 0; i < WORK_COUNTED; i++)
		if (l->counted[i].work == work)
			return &l->counted[i];
	return NULL;
}

/* Many end at once: those that were counted the longest ago are counted anew by an errand, or stand in the sums with their cost alone. */
static enum work_result
count(struct ledger *l, const struct message_work *m)
{
	struct work_counted *c = counted(l, m->work);
	if (m->of >= WORK_COUNT_MAX || m->nano > (uint64_t)INT64_MAX)
		return WORK_REFUSED;
	if (c == NULL)
		c = &l->counted[l->counted_next++ % WORK_COUNTED];
	/* The first of what is said: nothing is left of an END before, which failed. Zeros are not said. */
	if (c->work != m->work || m->of == WORK_COUNT_model)
		*c = (struct work_counted){.work = m->work};
	c->values[m->of] = (int64_t)m->nano;
	return WORK_DONE;
}

/* ---- what is not said of it ---- */

static struct work_silence *
silence_of(struct ledger *l, uint64_t work)
{
	for (int i = 0; i < WORK_SILENCES; i++)
		if (l->silences[i].work == work)
			return &l->silences[i];
	return NULL;
}

/*
 * Right after a cancel a provider says what had come by then, while more may be on its way, and nothing of what it used. So silence is the last word only of an errand that
 * was sent a second after the end was first seen. What is forgotten here (another ledger) is looked at once more.
 *
 * False: there are too many. Who comes then must not push out another before its second is over, or none of them would ever end: it is looked at when its turn comes.
 */
static bool
hear_silence(struct ledger *l, uint64_t work)
{
	uint64_t now_us = clock_wall_us();
	struct work_silence *oldest = l->silences;
	if (silence_of(l, work) != NULL)
		return true;
	for (int i = 0; i < WORK_SILENCES; i++)
		if (l->silences[i].seen_us < oldest->seen_us)
			oldest = &l->silences[i];
	if (oldest->work != 0 && now_us < oldest->seen_us + SILENCE_STAYS_US)
		return false;
	*oldest = (struct work_silence){.work = work, .seen_us = now_us};
	return true;
}

static void
forget_silence(struct ledger *l, uint64_t work)
{
	struct work_silence *s = silence_of(l, work);
	if (s != NULL)
		*s = (struct work_silence){0};
}

static void
ripen(struct ledger *l, uint64_t work, uint64_t now_us)
{
	struct work_silence *s = silence_of(l, work);
	if (s != NULL)
		s->errand = now_us >= s->seen_us + HASTE_US ? l->errand : 0;
}

/* Of that errand, not of one that was sent before it and is late, nor of a caller. */
static bool
is_last_word(struct ledger *l, const struct message_work *m)
{
	const struct work_silence *s = silence_of(l, m->work);
	return s != NULL && m->errand != 0 && s->errand == m->errand;
}

/* ---- its end ---- */

/* It has ended: what its hold was charged, and what for, into the sums. */
static bool
write_ended(struct ledger *l, const struct work *w)
{
	static const int64_t none[WORK_COUNT_MAX];
	const struct work_counted *c = counted(l, w->id);
	struct query *st = store_sql(&l->store, SQL_work_ended);
	sql_bind(st, (int64_t)w->id, (int64_t)clock_wall_us());
	if (!sql_done(&l->store, st))
		return false;
	if (sql_changes(&l->store) != 1 || w->state < WORK_NAMED)
		return true;
	st = store_sql(&l->store, SQL_work_usage_insert);
	sql_bind(st, (int64_t)w->id);
	sql_bind_ints(st, 2, c != NULL ? c->values : none, WORK_COUNT_MAX);
	return sql_done(&l->store, st);
}

static bool
write_down_end(struct ledger *l, const struct work *w)
{
	if (!store_begin(&l->store) || !store_end(&l->store, write_ended(l, w)))
		return false;
	struct work_counted *c = counted(l, w->id);
	if (c != NULL)
		*c = (struct work_counted){0};
	forget_silence(l, w->id);
	return true;
}

static bool
drop(struct ledger *l, uint64_t id)
{
	struct query *st = store_sql(&l->store, SQL_work_drop);
	sql_bind(st, (int64_t)id);
	return store_begin(&l->store) && store_end(&l->store, sql_done(&l->store, st));
}

/* ---- its money: orders by the work's own id ---- */

static void
reference(const struct work *w, const char *what, char ret[REF_MAX])
{
	char id[ID_TEXT_MAX];
	id_text(ID_REQUEST, w->id, id);
	snprintf(ret, REF_MAX, "work:%s:%s", id, what);
}

/* Takes the answer. */
static enum work_result
result_of(json_t *answer)
{
	enum work_result result = WORK_LATER;
	const char *code = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
	if (json_is_true(json_object_get(answer, "ok")))
		result = WORK_DONE;
	else if (code != NULL && strcmp(code, "insufficient_balance") == 0)
		result = WORK_SHORT;
	else if (code != NULL && strcmp(code, "store_failed") != 0 && strcmp(code, "busy") != 0)
		result = WORK_REFUSED;
	json_decref(answer);
	return result;
}

static enum work_result
set_aside(struct ledger *l, struct work *w, uint64_t key)
{
	char ref[REF_MAX], amount[NANO_TEXT_MAX], account[ID_TEXT_MAX];
	uint64_t windows[ITEM_WINDOWS_MAX];
	int count = budget_windows(l, key, w->account, windows);
	if (count < 0)
		return WORK_LATER;
	reference(w, "hold", ref);
	nano_text((struct nano){w->nano}, amount);
	id_text(ID_ACCOUNT, w->account, account);
	json_t *request = json_pack("{s:s,s:s,s:s,s:s}", "account", account, "amount", amount, "id", ref, "reason", "batch or background response");
	json_t *answer = hold_create(l, request, windows);
	json_decref(request);
	const char *item = json_string_value(json_object_get(answer, "item"));
	bool known = item != NULL && id_parse("hold_", (struct span){item, strlen(item)}, &w->hold);
	enum work_result result = result_of(answer);
	return result == WORK_DONE && !known ? WORK_LATER : result;
}

/* UNCERTAIN: the store does not say. */
enum resolved { RESOLVED_NO,
	RESOLVED_YES,
	RESOLVED_UNCERTAIN };

static enum resolved
is_resolved(struct ledger *l, const struct work *w)
{
	struct item i;
	enum sql_step step = item_find(l, w->hold, &i);
	if (step == SQL_FAILED)
		return RESOLVED_UNCERTAIN;
	return step == SQL_ROW && i.state > ITEM_OPEN ? RESOLVED_YES : RESOLVED_NO;
}

/* It stays as it is, for a reason. */
static enum work_result
is_stuck(struct ledger *l, const struct work *w, enum work_trouble why)
{
	return change(l, SQL_work_trouble, w->id, why) ? WORK_REFUSED : WORK_LATER;
}

/* Somebody may have resolved the hold by hand: then it is paid as he said. Any other refusal would come again: nothing is taken for paid that is not. */
static enum work_result
pay(struct ledger *l, const struct work *w, int64_t nano)
{
	char ref[REF_MAX], cost[NANO_TEXT_MAX], hold[ID_TEXT_MAX];
	reference(w, "end", ref);
	nano_text((struct nano){nano}, cost);
	id_text("hold_", w->hold, hold);
	json_t *request = json_pack("{s:s,s:s,s:s}", "hold", hold, "id", ref, "reason", "batch or background response");
	if (nano != 0)
		json_object_set_new(request, "cost", json_string(cost));
	json_t *answer = nano != 0 ? control_hold_settle(l, request) : control_hold_release(l, request);
	json_decref(request);
	enum work_result result = result_of(answer);
	if (result == WORK_DONE || result == WORK_LATER)
		return result;
	switch (is_resolved(l, w)) {
	case RESOLVED_YES:
		return WORK_DONE;
	case RESOLVED_NO:
		return is_stuck(l, w, WORK_TROUBLE_REFUSED);
	case RESOLVED_UNCERTAIN:
		break;
	}
	return WORK_LATER;
}

/* ---- what edges ask ---- */

/* Other servers have it, and were asked for what lies idle with them. */
static bool
may_come(struct ledger *l, const struct work *w, uint64_t key)
{
	uint64_t windows[ITEM_WINDOWS_MAX];
	if (budget_windows(l, key, w->account, windows) < 0)
		return true;
	bool may = share_may_come(l, w->account, w->nano);
	for (int i = 0; may && i < ITEM_WINDOWS_MAX; i++)
		may = windows[i] == 0 || share_may_come(l, windows[i], w->nano);
	return may;
}

/* Another server may have dropped it meanwhile: what was set aside is found again when it is asked again. */
static bool
write_held(struct ledger *l, const struct work *w)
{
	int rows;
	struct query *st = store_sql(&l->store, SQL_work_held);
	sql_bind(st, (int64_t)w->id, (int64_t)w->hold);
	return done(l, st, &rows) && rows == 1;
}

static enum work_result
hold(struct ledger *l, struct work *w, uint64_t key, bool waits)
{
	enum work_result result = set_aside(l, w, key);
	if (result == WORK_DONE)
		return write_held(l, w) ? WORK_DONE : WORK_LATER;
	if (result == WORK_SHORT && waits && share_on(l) && may_come(l, w, key))
		return WORK_LATER;
	if (result != WORK_LATER)
		(void)!drop(l, w->id); /* else it goes with those that were never begun */
	return result;
}

static bool
write_down(struct ledger *l, const struct message_work *m)
{
	uint64_t now_us = clock_wall_us();
	struct query *st = store_sql(&l->store, SQL_work_insert);
	sql_bind(st, (int64_t)m->work, (int64_t)m->account, (int64_t)m->nano, (int64_t)now_us, (int64_t)(now_us + UNNAMED_S * SECOND_US), (int64_t)m->key);
	return store_begin(&l->store) && store_end(&l->store, sql_done(&l->store, st));
}

static enum work_result
begin(struct ledger *l, const struct message_work *m)
{
	struct work w;
	if (m->nano == 0 || m->nano > (uint64_t)ORDER_NANO_MAX)
		return WORK_REFUSED;
	enum sql_step step = find(l, m->work, &w);
	bool first = step == SQL_END;
	if (first && write_down(l, m))
		step = find(l, m->work, &w);
	if (step != SQL_ROW)
		return WORK_LATER;
	if (w.account != m->account || w.nano != (int64_t)m->nano || w.state > WORK_HELD)
		return WORK_REFUSED;
	/* The first question is what tells the others, however long it took. */
	return w.state == WORK_HELD ? WORK_DONE : hold(l, &w, m->key, first || clock_wall_us() - w.created_us < OTHERS_HAVE_US);
}

/* Whether it was set aside, though that is not written in its row: by its order's own id. */
static enum resolved
is_set_aside(struct ledger *l, const struct work *w)
{
	char ref[REF_MAX];
	struct operation op = {.ref = ref};
	reference(w, "hold", ref);
	switch (operation_look_up(l, &op)) {
	case OPERATION_NEW:
		return RESOLVED_NO;
	case OPERATION_FAILED:
		return RESOLVED_UNCERTAIN;
	default:
		return RESOLVED_YES;
	}
}

static enum work_result
finish(struct ledger *l, struct work *w, int64_t nano)
{
	if (w->state == WORK_NEW) {
		enum resolved set = is_set_aside(l, w);
		if (set == RESOLVED_UNCERTAIN)
			return WORK_LATER;
		if (set == RESOLVED_NO)
			return drop(l, w->id) ? WORK_DONE : WORK_LATER;
		enum work_result held = hold(l, w, 0, false); /* for its row: it is known by its id */
		if (held != WORK_DONE)
			return held == WORK_LATER ? WORK_LATER : WORK_DONE;
	}
	enum work_result paid = pay(l, w, nano);
	if (paid != WORK_DONE)
		return paid;
	return write_down_end(l, w) ? WORK_DONE : WORK_LATER;
}

/* False: the store failed. */
static bool
look_soon(struct ledger *l, const struct message_work *m)
{
	if (m->of == WORK_SILENT && !hear_silence(l, m->work))
		return true;
	return change(l, SQL_work_hasten, m->work, clock_wall_us() + HASTE_US);
}

static enum work_result
end(struct ledger *l, const struct message_work *m)
{
	struct work w;
	enum sql_step step = find(l, m->work, &w);
	if (step != SQL_ROW)
		return step == SQL_END ? WORK_REFUSED : WORK_LATER;
	if (w.account != m->account || (w.state < WORK_NAMED && m->nano != 0))
		return WORK_REFUSED;
	if (w.state == WORK_ENDED)
		return WORK_DONE;
	if (m->of == WORK_SILENT && !is_last_word(l, m))
		return look_soon(l, m) ? WORK_REFUSED : WORK_LATER;
	/* What goes beyond the hold is the operator's. */
	return finish(l, &w, m->nano > (uint64_t)w.nano ? w.nano : (int64_t)m->nano);
}

/* Work is not over when it can't be counted: a provider may say later what it used, and somebody may settle its hold by hand. */
static enum work_result
unmeasured(struct ledger *l, const struct message_work *m)
{
	struct work w;
	enum sql_step step = find(l, m->work, &w);
	if (step != SQL_ROW)
		return step == SQL_END ? WORK_REFUSED : WORK_LATER;
	if (w.account != m->account || w.state != WORK_NAMED)
		return WORK_REFUSED;
	return is_stuck(l, &w, WORK_TROUBLE_UNMEASURED);
}

/* By hand. */
static bool
ends_by_hand(struct ledger *l, const struct work *w)
{
	return w->state > WORK_NEW && w->state < WORK_ENDED && is_resolved(l, w) == RESOLVED_YES && write_down_end(l, w);
}

/* An edge has seen that it has ended, but not what it cost; or somebody wants it gone. Who asks again and again is not obeyed each time. */
static enum work_result
look(struct ledger *l, const struct message_work *m)
{
	struct work w;
	enum sql_step step = find(l, m->work, &w);
	if (step != SQL_ROW)
		return step == SQL_END ? WORK_DONE : WORK_LATER;
	if (w.account != m->account)
		return WORK_REFUSED;
	if (w.state == WORK_ENDED || ends_by_hand(l, &w))
		return WORK_DONE;
	return look_soon(l, m) ? WORK_SHORT : WORK_LATER;
}

enum work_result
ledger_work(struct ledger *l, const struct message_work *m)
{
	l->work_due_ms = 0;
	if (l->away != NULL)
		return WORK_LATER;
	switch ((enum work_order)m->order) {
	case WORK_BEGIN:
		return begin(l, m);
	case WORK_END:
		return end(l, m);
	case WORK_LOOK:
		return look(l, m);
	case WORK_UNMEASURED:
		return unmeasured(l, m);
	case WORK_COUNT:
		return count(l, m);
	case WORK_KEPT:
		break;
	}
	return WORK_REFUSED;
}

enum work_result
ledger_work_named(struct ledger *l, const struct message_work_named *m)
{
	struct work w;
	l->work_due_ms = 0;
	if (m->object_bytes == 0 || m->object_bytes > sizeof(m->object))
		return WORK_REFUSED;
	enum sql_step step = find(l, m->work, &w);
	if (step != SQL_ROW)
		return step == SQL_END ? WORK_REFUSED : WORK_LATER;
	if (w.account != m->account || w.state == WORK_NEW)
		return WORK_REFUSED;
	if (w.state >= WORK_NAMED) /* asked again, since the answer was lost */
		return w.object_bytes == m->object_bytes && memcmp(w.object, m->object, m->object_bytes) == 0 ? WORK_DONE : WORK_REFUSED;
	struct query *st = store_sql(&l->store, SQL_work_named);
	sql_bind(st, (int64_t)m->work, (int64_t)(clock_wall_us() + FIRST_LOOK_S * SECOND_US));
	sql_bind_blob(st, 3, m->object, m->object_bytes);
	return store_begin(&l->store) && store_end(&l->store, sql_done(&l->store, st)) ? WORK_DONE : WORK_LATER;
}

void
ledger_work_list(struct ledger *l, const struct message_work_list_wanted *m, struct message_work_listed *ret)
{
	uint16_t most = m->most < WORK_PAGE ? m->most : WORK_PAGE, prefix = m->prefix_bytes < WORK_PREFIX_MAX ? m->prefix_bytes : WORK_PREFIX_MAX;
	enum sql_step step;
	*ret = MESSAGE_INIT(WORK_LISTED, message_work_listed);
	ret->token = m->token;
	struct query *st = store_sql(&l->store, SQL_work_list);
	sql_bind(st, (int64_t)m->account, (int64_t)m->beyond, (int64_t)prefix);
	sql_bind_blob(st, 4, m->prefix, prefix);
	sql_bind_ints(st, 5, (const int64_t[]){most + 1}, 1);
	while ((step = sql_step(&l->store, st)) == SQL_ROW && ret->count < most) {
		struct message_work_row *row = &ret->rows[ret->count++];
		row->work = (uint64_t)sql_int(st, 0);
		const void *object = sql_blob(st, 1);
		row->object_bytes = (uint16_t)sql_len(st, 1);
		memcpy(row->object, object, row->object_bytes);
	}
	ret->more = step == SQL_ROW;
	ret->failed = step == SQL_FAILED ? LIST_FAILED : 0;
	sql_reset(st);
}

/* ---- what time brings ---- */

static uint64_t
patience_us(const struct work *w)
{
	int doubled = w->looks < LOOKS_DOUBLE ? w->looks : LOOKS_DOUBLE;
	return (FIRST_LOOK_S * SECOND_US) << doubled;
}

static void
fill_errand(const struct ledger *l, const struct work *w, struct message_errand *ret)
{
	*ret = MESSAGE_INIT(ERRAND, message_errand);
	ret->number = l->errand;
	ret->work = w->id;
	ret->account = w->account;
	ret->object_bytes = w->object_bytes;
	memcpy(ret->object, w->object, w->object_bytes);
}

/* Not as those of a ledger before this one, whose errands may still be on their way. */
static void
number_errand(struct ledger *l, uint64_t now_us)
{
	l->errand = l->errand == 0 ? (uint32_t)now_us : l->errand + 1;
	l->errand += l->errand == 0;
}

/* Of several servers one has it. */
static bool
take_turn(struct ledger *l, const struct work *w, uint64_t now_us, bool *ret_mine)
{
	int rows;
	struct query *st = store_sql(&l->store, SQL_work_looked);
	sql_bind(st, (int64_t)w->id, (int64_t)(now_us + patience_us(w)), (int64_t)w->due_us);
	bool ok = done(l, st, &rows);
	*ret_mine = rows == 1;
	return ok;
}

/* 0: nothing is open, and nobody else begins any. False: the store failed. */
static bool
next_due(struct ledger *l, uint64_t now_us, uint64_t *ret)
{
	int64_t next = 0;
	if (!sql_number(&l->store, store_sql(&l->store, SQL_work_next), &next))
		return false;
	*ret = (uint64_t)next;
	if (l->store.many && (next == 0 || *ret > now_us + OTHERS_WORK_US))
		*ret = now_us + OTHERS_WORK_US;
	return true;
}

bool
ledger_work_due(struct ledger *l, uint64_t now_us, struct message_errand *ret, uint64_t *ret_next_us)
{
	struct work w;
	*ret_next_us = now_us + SECOND_US; /* the store failed, or there are too many at once */
	for (int n = 0; n < AT_ONCE_MOST; n++) {
		bool mine = false;
		struct query *st = store_sql(&l->store, SQL_work_due);
		sql_bind(st, (int64_t)now_us);
		enum sql_step step = read_work(l, st, &w);
		if (step != SQL_ROW) {
			uint64_t next_us;
			if (step == SQL_END && next_due(l, now_us, &next_us))
				*ret_next_us = next_us;
			return false;
		}
		if (!take_turn(l, &w, now_us, &mine))
			return false;
		if (!mine || ends_by_hand(l, &w))
			continue;
		if (w.state == WORK_NAMED) {
			number_errand(l, now_us);
			ripen(l, w.id, now_us);
			fill_errand(l, &w, ret);
			return true;
		}
		if (finish(l, &w, 0) == WORK_LATER)
			return false;
	}
	return false;
}

/* ---- what people see ---- */

static const char *const troubles[] = {
#define X(name, number, word, meaning) [number] = word,
	WORK_TROUBLES(X)
#undef X
};

void
work_put(struct ledger *l, json_t *o, uint64_t hold)
{
	struct query *st = store_sql(&l->store, SQL_work_by_hold);
	sql_bind(st, (int64_t)hold);
	if (sql_step(&l->store, st) == SQL_ROW) {
		enum work_state state = (enum work_state)sql_int(st, 1);
		const char *word = state == WORK_ENDED ? "paid" : state < WORK_NAMED ? "begun"
																			 : troubles[sql_int(st, 2)];
		control_put_id(o, "request", ID_REQUEST, (uint64_t)sql_int(st, 0));
		json_object_set_new(o, "work", json_string(word));
	}
	sql_reset(st);
}

void
work_put_troubles(struct ledger *l, json_t *o)
{
	static const struct {
		enum work_trouble trouble;
		const char *member;
	} rows[] = {{WORK_TROUBLE_UNMEASURED, "holds_of_unmeasured_work"}, {WORK_TROUBLE_REFUSED, "holds_of_refused_work"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t count = -1; /* the store failed */
		struct query *st = store_sql(&l->store, SQL_work_troubled);
		sql_bind(st, rows[i].trouble);
		(void)!sql_number(&l->store, st, &count);
		json_object_set_new(o, rows[i].member, json_integer((json_int_t)count));
	}
}
