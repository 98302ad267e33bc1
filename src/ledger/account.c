#include "ledger/ledger_priv.h"
#include "ledger/limit_priv.h"
#include "ledger/share_priv.h"

#include <string.h>

static const char *
state_name(int state)
{
	return state == ACCOUNT_OPEN ? "open" : "closed";
}

/* With a board: what is not held by exchanges that run. */
static int64_t
available_of(struct ledger *l, const struct account_row *a)
{
	uint32_t slot;
	bool here = l->o.board != NULL && board_find(l->o.board, a->id, &slot);
	int64_t idle = here ? board_available(l->o.board, slot).v : 0, unlent = 0;
	if (!share_on(l))
		return here ? idle : a->balance_nano;
	/* Other nodes' shares count as held. */
	struct query *st = store_sql(&l->store, SQL_account_free);
	sql_bind(st, (int64_t)a->id);
	return sql_number(&l->store, st, &unlent) ? unlent + idle : idle;
}

static json_t *
account_json(struct ledger *l, const struct account_row *a)
{
	json_t *o = json_object();
	control_put_id(o, "account", ID_ACCOUNT, a->id);
	json_object_set_new(o, "name", json_string(a->name));
	json_object_set_new(o, "state", json_string(state_name(a->state)));
	control_put_nano(o, "balance", a->balance_nano);
	control_put_nano(o, "available", available_of(l, a));
	control_put_nano(o, "held", a->balance_nano - available_of(l, a));
	control_put_nano(o, "owed", a->owed_nano);
	control_put_time(o, "created", a->created_us);
	return o;
}

/* ---- account.create ---- */

static bool
insert_account(struct ledger *l, const struct operation *op, uint64_t id, const char *name, const struct limit_lane *lane)
{
	struct query *st = store_sql(&l->store, SQL_account_insert);
	sql_bind(st, (int64_t)id, (int64_t)clock_wall_us());
	sql_bind_text(st, 3, name);
	return sql_done(&l->store, st) && operation_record(l, op, id) && change_record(l, CHANGE_ACCOUNT, id) &&
		(lane->name[0] == '\0' || lane_write(l, id, lane));
}

static json_t *
show_id(struct ledger *l, uint64_t id)
{
	char text[ID_TEXT_MAX];
	id_text(ID_ACCOUNT, id, text);
	json_t *request = json_pack("{s:s}", "account", text);
	json_t *answer = control_account_show(l, request);
	json_decref(request);
	return answer;
}

static json_t *
create(struct ledger *l, const struct operation *op, const char *name, const struct limit_lane *lane)
{
	uint64_t id;
	if (id_parse(ID_ACCOUNT, (struct span){name, strlen(name)}, &id))
		return control_error("bad_request", "\"%s\" looks like an account's id: take another name", name);
	struct query *st = store_sql(&l->store, SQL_account_by_name);
	sql_bind_text(st, 1, name);
	enum sql_step step = sql_step(&l->store, st);
	sql_reset(st);
	if (step == SQL_ROW)
		return control_error("account_exists",
			"there is an account \"%s\" already: `lethe account show` shows it; take another name for a new one",
			name);
	id = ledger_next_id(l);
	if (step == SQL_FAILED || !store_begin(&l->store) || !store_end(&l->store, insert_account(l, op, id, name, lane)))
		return control_store_failed(l);
	if (lane->name[0] != '\0' && !limits_publish(l, id, id))
		return control_error("too_many_limits", "the account is there, but the server has no room for its lane; it holds from its next start");
	return show_id(l, id);
}

json_t *
control_account_create(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *name;
	struct operation op;
	struct lane_wish lane = {0};
	if (!control_text(request, &(struct text_rule){"name", 128, true}, &name, &error) || !lane_wanted(l, request, &lane, &error) ||
		!control_text(request, &(struct text_rule){"id", 128, false}, &op.ref, &error))
		return error;
	operation_content(&op, "account.create", (const char *const[]){name, lane.lane.name}, lane.lane.name[0] == '\0' ? 1 : 2);
	switch (operation_look_up(l, &op)) {
	case OPERATION_NEW:
		return create(l, &op, name, &lane.lane);
	case OPERATION_DONE:
		return show_id(l, op.subject);
	case OPERATION_PENDING:
	case OPERATION_OTHER:
		return operation_conflict(&op);
	case OPERATION_FAILED:
		break;
	}
	return control_store_failed(l);
}

/* ---- account.list, account.show ---- */

static bool
after_of(const json_t *request, uint64_t *ret, json_t **ret_error)
{
	const char *text;
	*ret = HOUSE_COUNT;
	if (!control_text(request, &(struct text_rule){"after", 64, false}, &text, ret_error))
		return false;
	if (text[0] == '\0' || id_parse(ID_ACCOUNT, (struct span){text, strlen(text)}, ret))
		return true;
	*ret_error = control_error("bad_request", "\"after\" must be the id of an account (acc_…)");
	return false;
}

json_t *
control_account_list(struct ledger *l, const json_t *request)
{
	json_t *error;
	int64_t limit;
	uint64_t after;
	if (!control_limit(request, &limit, &error) || !after_of(request, &after, &error))
		return error;
	json_t *answer = control_ok(), *list = json_array();
	json_object_set_new(answer, "accounts", list);
	struct query *st = store_sql(&l->store, SQL_account_list);
	sql_bind(st, (int64_t)after, limit + 1);
	struct account_row a;
	int64_t count = 0;
	enum sql_step step = SQL_END;
	for (; count < limit && (step = control_read_account(l, st, &a)) == SQL_ROW; count++)
		json_array_append_new(list, account_json(l, &a));
	bool more = count == limit && (step = sql_step(&l->store, st)) == SQL_ROW;
	sql_reset(st);
	json_object_set_new(answer, "more", json_boolean(more));
	if (step != SQL_FAILED)
		return answer;
	json_decref(answer); /* half a list looks like a whole one */
	return control_store_failed(l);
}

static uint64_t
running_of(struct ledger *l, uint64_t account)
{
	struct ticket_copy t;
	uint64_t running = 0;
	for (uint32_t i = 0; i < l->progress.count; i++)
		running += !board_is_ledger_ticket(l->o.board, i) && board_held_copy(l->o.board, i, &t) && t.facts.account == account;
	return running;
}

void
control_put_limits(struct ledger *l, json_t *o, uint64_t account)
{
	struct account_row a;
	struct query *st = store_sql(&l->store, SQL_account_by_id);
	sql_bind(st, (int64_t)account);
	bool found = control_read_account(l, st, &a) == SQL_ROW;
	sql_reset(st);
	if (found) {
		control_put_nano(o, "balance", a.balance_nano);
		control_put_nano(o, "available", available_of(l, &a));
		control_put_nano(o, "held", a.balance_nano - available_of(l, &a));
	}
	if (l->o.board == NULL)
		return;
	json_object_set_new(o, "running", json_integer((json_int_t)running_of(l, account)));
	json_object_set_new(o, "streams_per_edge", json_integer(l->o.streams_per_account));
	json_object_set_new(o, "edges", json_integer(observe_edges_running(l)));
}

json_t *
control_account_show(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct account_row a;
	if (!control_account(l, request, &a, &error))
		return error;
	json_t *answer = control_ok(), *o = account_json(l, &a);
	json_object_update(answer, o);
	json_decref(o);
	int64_t keys = 0;
	struct query *st = store_sql(&l->store, SQL_key_count);
	sql_bind(st, (int64_t)a.id);
	if (sql_number(&l->store, st, &keys))
		json_object_set_new(answer, "keys", json_integer(keys));
	control_put_limits(l, answer, a.id);
	limits_put(l, answer, a.id);
	quota_put(l, answer, a.id);
	return answer;
}

json_t *
control_account_limit(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct account_row a;
	if (!control_account(l, request, &a, &error))
		return error;
	if (a.kind != 0)
		return control_error("not_a_customer", "\"%s\" is one of the operator's own accounts and has no keys", a.name);
	error = limits_set(l, request, a.id, a.id);
	return error != NULL ? error : control_account_show(l, request);
}
