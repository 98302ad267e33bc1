/*
 * Proposals: what may be given back because a provider counted less than was charged; and, of the account loss.estimate, what the house may bear because one counted more.
 * One is an order that nobody has given yet: an operator accepts it, and it is booked, or rejects it; either once, and for ever. Decided by an operation under the
 * proposal's own id, so that of two decisions the database takes one.
 */
#include "ledger/moment.h"
#include "ledger/order_priv.h"

#include <stdio.h>
#include <string.h>

#define ID_PROPOSAL "prp_"
#define REF_PREFIX "item:decision:" /* order_read.c refuses such ids of givers */

enum { NAME_MAX_BYTES = 128,
	REF_MAX = 48 };

struct proposal {
	uint64_t id, account;
	int64_t amount_nano, day, created_us;
	char provider[NAME_MAX_BYTES + 1], model[NAME_MAX_BYTES + 1], reason[257], actor[65];
};

static bool
is_loss(const struct proposal *p)
{
	return p->account == HOUSE_LOSS_ESTIMATE;
}

/* The subject of a decision that nothing came of. Numbers of bookings begin at 1, as those of the house's accounts do: such a one would be taken for a booking. */
static uint64_t
rejection(const struct proposal *p)
{
	return is_loss(p) ? p->id : p->account;
}

static void
text_of(uint64_t id, char ret_id[ID_TEXT_MAX], char ret_ref[REF_MAX])
{
	id_text(ID_PROPOSAL, id, ret_id);
	snprintf(ret_ref, REF_MAX, REF_PREFIX "%s", ret_id);
}

static void
keep(char *to, size_t cap, struct query *st, int at)
{
	const char *text = sql_str(st, at);
	snprintf(to, cap, "%s", text != NULL ? text : "");
}

static enum sql_step
read_row(struct ledger *l, struct query *st, struct proposal *ret)
{
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step;
	*ret = (struct proposal){.id = (uint64_t)sql_int(st, 0), .account = (uint64_t)sql_int(st, 1), .amount_nano = sql_int(st, 2), .day = sql_int(st, 3), .created_us = sql_int(st, 4)};
	keep(ret->provider, sizeof(ret->provider), st, 5);
	keep(ret->model, sizeof(ret->model), st, 6);
	keep(ret->reason, sizeof(ret->reason), st, 7);
	keep(ret->actor, sizeof(ret->actor), st, 8);
	return SQL_ROW;
}

static enum sql_step
find(struct ledger *l, uint64_t id, struct proposal *ret)
{
	struct query *st = store_sql(&l->store, SQL_proposal_by_id);
	sql_bind(st, (int64_t)id);
	enum sql_step step = read_row(l, st, ret);
	sql_reset(st);
	return step;
}

/* What came of it; 0: nothing yet. */
static bool
decision_of(struct ledger *l, const struct proposal *p, int64_t *ret_subject)
{
	char id[ID_TEXT_MAX], ref[REF_MAX];
	struct query *st = store_sql(&l->store, SQL_operation_by_ref);
	*ret_subject = 0;
	text_of(p->id, id, ref);
	sql_bind_text(st, 1, ref);
	return sql_number(&l->store, st, ret_subject);
}

/* ---- answers ---- */

static json_t *
proposal_json(struct ledger *l, const struct proposal *p)
{
	char id[ID_TEXT_MAX], ref[REF_MAX];
	int64_t subject;
	json_t *o = json_object();
	text_of(p->id, id, ref);
	if (!decision_of(l, p, &subject))
		subject = 0;
	json_object_set_new(o, "item", json_string(id));
	json_object_set_new(o, "state", json_string(subject == 0 ? "open" : (uint64_t)subject == rejection(p) ? "rejected"
																										  : "accepted"));
	control_put_id(o, "account", ID_ACCOUNT, p->account);
	control_put_name(l, o, "account_name", SQL_account_name, (int64_t)p->account);
	control_put_nano(o, "worth", p->amount_nano);
	control_put_day(o, "day", p->day);
	json_object_set_new(o, "provider", json_string(p->provider));
	json_object_set_new(o, "model", json_string(p->model));
	json_object_set_new(o, "reason", json_string(p->reason));
	json_object_set_new(o, "actor", json_string(p->actor));
	control_put_time(o, "created", p->created_us);
	if (subject != 0 && (uint64_t)subject != rejection(p))
		control_put_id(o, is_loss(p) ? "booked_by" : "given_back_by", ID_BOOKING, (uint64_t)subject);
	return o;
}

static json_t *
show(struct ledger *l, uint64_t id)
{
	struct proposal p;
	if (find(l, id, &p) != SQL_ROW)
		return control_store_failed(l);
	json_t *answer = control_ok(), *o = proposal_json(l, &p);
	json_object_update(answer, o);
	json_decref(o);
	return answer;
}

/* ---- made ---- */

static bool
write_row(struct ledger *l, const struct proposal *p, const struct order *o)
{
	char id[ID_TEXT_MAX], ref[REF_MAX];
	text_of(p->id, id, ref);
	struct query *st = store_sql(&l->store, SQL_proposal_insert);
	sql_bind(st, (int64_t)p->id, (int64_t)p->account, p->amount_nano, p->day, p->created_us);
	sql_bind_text(st, 6, p->provider);
	sql_bind_text(st, 7, p->model);
	sql_bind_text(st, 8, ref);
	sql_bind_text(st, 9, o->reason);
	sql_bind_text(st, 10, o->actor);
	return sql_done(&l->store, st) && operation_record(l, &o->op, p->id);
}

static bool
read_about(const json_t *request, struct proposal *p, json_t **ret_error)
{
	const char *day, *provider, *model;
	int64_t seconds;
	if (!control_text(request, &(struct text_rule){"day", 10, true}, &day, ret_error) ||
		!control_text(request, &(struct text_rule){"provider", NAME_MAX_BYTES, true}, &provider, ret_error) ||
		!control_text(request, &(struct text_rule){"model", NAME_MAX_BYTES, true}, &model, ret_error))
		return false;
	if (strlen(day) != 10 || !moment_parse_time(day, &seconds) || seconds < 0) {
		*ret_error = control_error("bad_request", "\"day\" must be a day like 2026-01-31, not \"%s\"", day);
		return false;
	}
	p->day = seconds / 86400;
	snprintf(p->provider, sizeof(p->provider), "%s", provider);
	snprintf(p->model, sizeof(p->model), "%s", model);
	return true;
}

/* A customer, or the one account of the house's that this is about. */
static bool
read_whose(struct ledger *l, const json_t *request, struct order *o, json_t **ret_error)
{
	if (!control_account_of(l, request, "account", &o->account, ret_error))
		return false;
	return o->account.id == HOUSE_LOSS_ESTIMATE ? order_read_texts(request, o, ret_error) : order_read(l, request, o, ret_error);
}

/* Whoever gave the id may propose another amount under another one when this was rejected, and not before: no two of one matter are open. */
static json_t *
id_is_taken(struct ledger *l, const struct operation *op)
{
	struct proposal p;
	int64_t subject;
	enum sql_step step = find(l, op->subject, &p);
	if (step == SQL_FAILED || (step == SQL_ROW && !decision_of(l, &p, &subject)))
		return control_store_failed(l);
	if (step != SQL_ROW || (uint64_t)subject != rejection(&p))
		return operation_conflict(op);
	return control_error("rejected", "the proposal of id \"%s\" was of another amount, and was rejected: take another id", op->ref);
}

json_t *
control_proposal_create(struct ledger *l, const json_t *request)
{
	json_t *error;
	char amount[NANO_TEXT_MAX], day[24];
	struct order o = {0};
	struct proposal p = {0};
	if (!read_whose(l, request, &o, &error) || !order_amount(request, "amount", false, &p.amount_nano, &error) || !read_about(request, &p, &error))
		return error;
	nano_text((struct nano){p.amount_nano}, amount);
	snprintf(day, sizeof(day), "%lld", (long long)p.day);
	order_content(&o, "proposal.create", (const char *const[]){o.account.name, amount, day, p.provider, p.model}, 5);
	switch (operation_look_up(l, &o.op)) {
	case OPERATION_NEW:
		break;
	case OPERATION_DONE:
		return show(l, o.op.subject);
	case OPERATION_PENDING:
		return operation_conflict(&o.op);
	case OPERATION_OTHER:
		return id_is_taken(l, &o.op);
	case OPERATION_FAILED:
		return control_store_failed(l);
	}
	p.id = ledger_next_id(l);
	p.account = o.account.id;
	p.created_us = (int64_t)clock_wall_us();
	if (!store_begin(&l->store) || !store_end(&l->store, write_row(l, &p, &o)))
		return control_store_failed(l);
	return show(l, p.id);
}

/* ---- decided ---- */

struct decision {
	struct proposal p;
	struct order o;
	char id[ID_TEXT_MAX], ref[REF_MAX];
};

static bool
read_decision(struct ledger *l, const json_t *request, const char *what, struct decision *d, json_t **ret_error)
{
	const char *text;
	uint64_t id;
	*d = (struct decision){0};
	if (!control_text(request, &(struct text_rule){"proposal", 64, true}, &text, ret_error) || !order_read_texts(request, &d->o, ret_error))
		return false;
	enum sql_step step = SQL_END;
	if (id_parse(ID_PROPOSAL, (struct span){text, strlen(text)}, &id))
		step = find(l, id, &d->p);
	if (step == SQL_END)
		*ret_error = control_error("no_such_item", "there is no proposal \"%s\": `lethe reconcile proposals` shows all", text);
	else if (step == SQL_FAILED || (!is_loss(&d->p) && !order_load_account(l, d->p.account, &d->o.account)))
		*ret_error = control_store_failed(l);
	else {
		text_of(id, d->id, d->ref);
		d->o.op.ref = d->ref;
		order_content(&d->o, what, (const char *const[]){d->id}, 1);
		return true;
	}
	return false;
}

static json_t *
decided_otherwise(const struct decision *d)
{
	return control_error("resolved", "%s is decided already: it can be accepted or rejected only once", d->id);
}

/* No customer's money moves for what the house bears. */
static void
fill_in(struct decision *d)
{
	d->o.kind = is_loss(&d->p) ? ORDER_UNDERCOUNT : ORDER_CORRECTION;
	if (is_loss(&d->p))
		d->o.second_nano = -d->p.amount_nano;
	else
		d->o.nano = d->p.amount_nano;
	if (d->o.reason[0] == '\0')
		d->o.reason = d->p.reason;
}

json_t *
control_proposal_accept(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct decision d;
	if (!read_decision(l, request, "proposal.accept", &d, &error))
		return error;
	enum operation_state state = operation_look_up(l, &d.o.op);
	if (state == OPERATION_FAILED)
		return control_store_failed(l);
	if (state == OPERATION_OTHER)
		return decided_otherwise(&d);
	fill_in(&d);
	json_t *answer = order_answer(l, &d.o);
	if (json_is_true(json_object_get(answer, "ok"))) {
		if (state == OPERATION_NEW && is_loss(&d.p))
			ledger_event(l, EVENT_LOSS, HOUSE_LOSS_ESTIMATE, (uint64_t)d.p.amount_nano);
		json_t *o = proposal_json(l, &d.p);
		json_object_update(answer, o);
		json_decref(o);
	}
	return answer;
}

json_t *
control_proposal_reject(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct decision d;
	if (!read_decision(l, request, "proposal.reject", &d, &error))
		return error;
	switch (operation_look_up(l, &d.o.op)) {
	case OPERATION_NEW:
		break;
	case OPERATION_DONE:
		return show(l, d.p.id);
	case OPERATION_PENDING:
	case OPERATION_OTHER:
		return decided_otherwise(&d);
	case OPERATION_FAILED:
		return control_store_failed(l);
	}
	if (!store_begin(&l->store) || !store_end(&l->store, operation_record(l, &d.o.op, rejection(&d.p))))
		return control_store_failed(l);
	return show(l, d.p.id);
}

/* ---- list ---- */

json_t *
control_proposal_list(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *text;
	int64_t limit, count = 0;
	uint64_t after = 0, account;
	if (!control_limit(request, &limit, &error) || !control_account_filter(l, request, &account, &error) ||
		!control_text(request, &(struct text_rule){"after", 64, false}, &text, &error))
		return error;
	if (text[0] != '\0' && !id_parse(ID_PROPOSAL, (struct span){text, strlen(text)}, &after))
		return control_error("bad_request", "\"after\" must be an id that begins with " ID_PROPOSAL);
	json_t *answer = control_ok(), *items = json_array();
	json_object_set_new(answer, "items", items);
	struct query *st = store_sql(&l->store, SQL_proposals_list);
	sql_bind(st, (int64_t)after, (int64_t)account, json_is_true(json_object_get(request, "open")), limit + 1);
	struct proposal p;
	enum sql_step step = SQL_END;
	for (; count < limit && (step = read_row(l, st, &p)) == SQL_ROW; count++)
		json_array_append_new(items, proposal_json(l, &p));
	bool more = count == limit && (step = read_row(l, st, &p)) == SQL_ROW;
	sql_reset(st);
	json_object_set_new(answer, "more", json_boolean(more));
	if (step != SQL_FAILED)
		return answer;
	json_decref(answer);
	return control_store_failed(l);
}
