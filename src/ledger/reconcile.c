/*
 * Tickets = postings = balances, nightly and on demand: the whole of `ledger verify`, whose outcome is kept. And what a provider's own names of models are called here,
 * for who compares its account of things with ours.
 */
#include "ledger/ledger_priv.h"
#include "ledger/verify.h"

#include <string.h>

enum { DAY_S = 86400,
	FROM_S = 3 * 3600, /* between three and six at night (UTC) */
	UNTIL_S = 6 * 3600,
	LOOK_AGAIN_MS = 60000 };

static bool
record(struct ledger *l, const struct verify_sums *s)
{
	struct query *st = store_sql(&l->store, SQL_reconciliation_insert);
	sql_bind(st, (int64_t)clock_wall_us(), s->bookings, s->tickets, s->charged_nano, s->balances_nano, s->broken);
	return sql_done(&l->store, st);
}

/* NULL: done, sums filled in. */
static json_t *
reconcile(struct ledger *l, struct verify_sums *s, json_t **ret_verified)
{
	if (l->o.board != NULL && !ledger_drain(l))
		return control_store_failed(l);
	json_t *o = verify_books(l, s);
	if (!json_is_true(json_object_get(o, "ok")))
		return o;
	*ret_verified = o;
	if (s->broken != 0)
		ledger_event(l, EVENT_BOOKS_WRONG, (uint64_t)s->broken, 0);
	return record(l, s) ? NULL : control_store_failed(l);
}

json_t *
control_reconcile_run(struct ledger *l, const json_t *request)
{
	struct verify_sums s;
	json_t *verified = NULL, *error = reconcile(l, &s, &verified);
	if (error != NULL) {
		json_decref(verified);
		return error;
	}
	json_object_set_new(verified, "bookings", json_integer(s.bookings));
	control_put_nano(verified, "charged_by_tickets", s.charged_nano);
	control_put_nano(verified, "charged_by_bookings", s.booked_nano);
	control_put_nano(verified, "balances_by_postings", s.derived_nano);
	control_put_nano(verified, "balances", s.balances_nano);
	return verified;
}

json_t *
control_reconcile_list(struct ledger *l, const json_t *request)
{
	json_t *error;
	int64_t limit;
	if (!control_limit(request, &limit, &error))
		return error;
	json_t *answer = control_ok(), *rows = json_array();
	json_object_set_new(answer, "rows", rows);
	struct query *st = store_sql(&l->store, SQL_reconciliations);
	sql_bind(st, limit);
	enum sql_step step;
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		json_t *o = json_object();
		control_put_time(o, "time", sql_int(st, 1));
		json_object_set_new(o, "bookings", json_integer(sql_int(st, 2)));
		json_object_set_new(o, "tickets", json_integer(sql_int(st, 3)));
		control_put_nano(o, "charged", sql_int(st, 4));
		control_put_nano(o, "balances", sql_int(st, 5));
		json_object_set_new(o, "broken", json_integer(sql_int(st, 6)));
		json_array_append_new(rows, o);
	}
	if (step == SQL_END)
		return answer;
	json_decref(answer);
	return control_store_failed(l);
}

/* ---- names ---- */

json_t *
control_reconcile_names(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *provider;
	if (!control_text(request, &(struct text_rule){"provider", 128, true}, &provider, &error))
		return error;
	json_t *answer = control_ok(), *rows = json_array();
	json_object_set_new(answer, "names", rows);
	const struct catalogue *c = l->o.catalogue;
	for (uint32_t i = 0; c != NULL && i < c->target_count; i++) {
		const struct catalogue_target *t = catalogue_target(c, i);
		if (strcmp(catalogue_provider(c, t->provider)->name, provider) == 0)
			json_array_append_new(rows, json_pack("{s:s, s:s}", "upstream", t->upstream_id, "model", catalogue_model(c, t->model)->public_id));
	}
	return answer;
}

/* ---- nightly ---- */

static bool
last_day(struct ledger *l, int64_t *ret)
{
	struct query *st = store_sql(&l->store, SQL_reconciliations);
	sql_bind(st, (int64_t)1);
	enum sql_step step = sql_step(&l->store, st);
	if (step == SQL_ROW)
		*ret = sql_int(st, 1) / 1000000 / DAY_S;
	sql_reset(st);
	return step != SQL_FAILED;
}

bool
reconcile_nightly(struct ledger *l, int64_t now_s)
{
	struct verify_sums s;
	int64_t day = now_s / DAY_S, second = now_s % DAY_S, last = -1;
	if (second < FROM_S || second >= UNTIL_S || !last_day(l, &last) || last >= day)
		return false;
	json_t *verified = NULL, *error = reconcile(l, &s, &verified);
	bool done = error == NULL;
	if (done && s.broken == 0)
		ledger_event(l, EVENT_BOOKS_RIGHT, (uint64_t)s.tickets, (uint64_t)s.bookings);
	json_decref(error);
	json_decref(verified);
	return done;
}

void
ledger_reconcile_when_due(struct ledger *l, uint64_t now_monotonic_ms)
{
	if (l->back_off_ms != 0 || now_monotonic_ms < l->reconcile_due_ms)
		return;
	l->reconcile_due_ms = now_monotonic_ms + LOOK_AGAIN_MS;
	(void)reconcile_nightly(l, (int64_t)(clock_wall_us() / 1000000));
}
