/* An account's statement: every order, also one that leaves the balance as it is, what requests cost by day, and the balance and what is owed after each. */
#include "ledger/moment.h"
#include "ledger/order_priv.h"

#include <string.h>

#define DAY_US 86400000000LL

struct statement {
	json_t *lines;
	int64_t account, from_day, to_day; /* lines of these days only; what is before is in the balance */
	__int128 balance;
	int64_t owed;
	bool has_owed; /* from then on each line says it */
};

static void
put_line(struct statement *s, int64_t time_us, const char *what, int64_t nano, json_t *line)
{
	s->balance += nano;
	if (time_us / DAY_US < s->from_day) {
		json_decref(line);
		return;
	}
	control_put_time(line, "time", time_us);
	json_object_set_new(line, "what", json_string(what));
	control_put_nano(line, "amount", nano);
	control_put_nano(line, "balance", (int64_t)s->balance);
	if (s->has_owed)
		control_put_nano(line, "owed", s->owed);
	json_array_append_new(s->lines, line);
}

static void
put_order(struct ledger *l, struct statement *s, struct query *st)
{
	struct item i;
	json_t *line = json_object();
	uint64_t item = (uint64_t)sql_int(st, 3);
	control_put_id(line, "booking", ID_BOOKING, (uint64_t)sql_int(st, 0));
	if (item != 0 && item_find(l, item, &i) == SQL_ROW)
		item_put_id(line, "item", i.kind, i.id);
	json_object_set_new(line, "reason", json_string(sql_str(st, 5)));
	json_object_set_new(line, "actor", json_string(sql_str(st, 6)));
	s->owed += sql_int(st, 7);
	s->has_owed |= s->owed != 0;
	put_line(s, sql_int(st, 1), order_word(sql_int(st, 2)), sql_int(st, 4), line);
}

/* Requests of a day stand at its end. */
static void
put_usage(struct statement *s, struct query *st)
{
	json_t *line = json_object();
	json_object_set_new(line, "requests", json_integer(sql_int(st, 1)));
	put_line(s, (sql_int(st, 0) + 1) * DAY_US - 1, "usage", -sql_int(st, 2), line);
}

/* Two sorted lists into one. False: the store failed. */
static bool
merge(struct ledger *l, struct statement *s)
{
	struct query *orders = store_sql(&l->store, SQL_statement), *usage = store_sql(&l->store, SQL_statement_usage);
	sql_bind(orders, s->account, 0, s->to_day * DAY_US);
	sql_bind(usage, s->account, 0, s->to_day);
	enum sql_step order = sql_step(&l->store, orders), day = sql_step(&l->store, usage);
	while (order == SQL_ROW || day == SQL_ROW) {
		bool usage_first = order != SQL_ROW ||
			(day == SQL_ROW && sql_int(usage, 0) < sql_int(orders, 1) / DAY_US);
		if (usage_first) {
			put_usage(s, usage);
			day = sql_step(&l->store, usage);
		} else {
			put_order(l, s, orders);
			order = sql_step(&l->store, orders);
		}
	}
	sql_reset(orders);
	sql_reset(usage);
	return order == SQL_END && day == SQL_END;
}

static bool
day_of(const json_t *request, const char *member, int64_t otherwise, int64_t *ret, json_t **ret_error)
{
	const char *text;
	int64_t seconds;
	bool whole;
	if (!control_text(request, &(struct text_rule){member, 40, false}, &text, ret_error))
		return false;
	*ret = otherwise;
	if (text[0] == '\0')
		return true;
	if (moment_parse(text, (int64_t)(clock_wall_us() / 1000000), &seconds, &whole)) {
		*ret = seconds / 86400;
		return true;
	}
	*ret_error = control_error("bad_request", "\"%s\" must be %s, not \"%s\"", member, MOMENT_EXAMPLES, text);
	return false;
}

json_t *
control_account_statement(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct account_row a;
	struct statement s = {0};
	if (!control_account(l, request, &a, &error) || !day_of(request, "since", 0, &s.from_day, &error) ||
		!day_of(request, "until", INT64_MAX / DAY_US - 1, &s.to_day, &error))
		return error;
	if (a.kind != 0)
		return control_error("not_a_customer",
			"\"%s\" is one of the operator's own accounts: a statement is a customer's", a.name);
	s.account = (int64_t)a.id;
	s.to_day++;
	if (l->o.board != NULL && !ledger_drain(l))
		return control_store_failed(l);
	json_t *answer = control_ok();
	s.lines = json_array();
	json_object_set_new(answer, "rows", s.lines);
	json_object_set_new(answer, "columns", json_pack("[s]", "time"));
	if (!usage_flush(l) || !merge(l, &s)) {
		json_decref(answer);
		return control_store_failed(l);
	}
	control_put_nano(answer, "balance", (int64_t)s.balance);
	return answer;
}
