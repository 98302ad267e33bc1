#include "ledger/away.h"
#include "ledger/ledger_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- the table ---- */

#define CONTROL_OPS(X) \
	X("account.create", control_account_create) \
	X("account.list", control_account_list) \
	X("account.show", control_account_show) \
	X("account.limit", control_account_limit) \
	X("key.create", control_key_create) \
	X("key.list", control_key_list) \
	X("key.show", control_key_show) \
	X("key.limit", control_key_limit) \
	X("key.rotate", control_key_rotate) \
	X("key.revoke", control_key_revoke) \
	X("key.release", control_key_release) \
	X("byok.public", control_byok_public) \
	X("byok.add", control_byok_add) \
	X("byok.list", control_byok_list) \
	X("byok.remove", control_byok_remove) \
	X("account.statement", control_account_statement) \
	X("account.quota", control_account_quota) \
	X("credit.add", control_credit_add) \
	X("credit.top_up", control_credit_top_up) \
	X("credit.refund", control_credit_refund) \
	X("credit.grant", control_credit_grant) \
	X("credit.transfer", control_credit_transfer) \
	X("payment.list", control_payment_list) \
	X("grant.list", control_grant_list) \
	X("transfer.list", control_transfer_list) \
	X("voucher.create", control_voucher_create) \
	X("voucher.redeem", control_voucher_redeem) \
	X("voucher.revoke", control_voucher_revoke) \
	X("grant.revoke", control_grant_revoke) \
	X("voucher.list", control_voucher_list) \
	X("hold.create", control_hold_create) \
	X("hold.settle", control_hold_settle) \
	X("hold.release", control_hold_release) \
	X("hold.list", control_hold_list) \
	X("dispute.open", control_dispute_open) \
	X("dispute.lost", control_dispute_lost) \
	X("dispute.won", control_dispute_won) \
	X("dispute.list", control_dispute_list) \
	X("usage", control_usage) \
	X("ticket.show", control_ticket_show) \
	X("receipt.show", control_receipt_show) \
	X("receipt.keys", control_receipt_keys) \
	X("receipt.growth", control_receipt_growth) \
	X("receipt.code", control_receipt_code) \
	X("ledger.verify", control_ledger_verify) \
	X("reconcile.run", control_reconcile_run) \
	X("reconcile.list", control_reconcile_list) \
	X("reconcile.names", control_reconcile_names) \
	X("proposal.create", control_proposal_create) \
	X("proposal.accept", control_proposal_accept) \
	X("proposal.reject", control_proposal_reject) \
	X("proposal.list", control_proposal_list) \
	X("price.list", control_price_list) \
	X("price.show", control_price_show) \
	X("provider.list", control_provider_list) \
	X("provider.low", control_provider_low) \
	X("node.list", control_node_list) \
	X("node.drain", control_node_drain) \
	X("node.forget", control_node_forget) \
	X("node.share", control_node_share) \
	X("status", control_status) \
	X("top", control_top)

static const struct {
	const char *name;
	control_op *run;
} ops[] = {
#define X(name, run) {name, run},
	CONTROL_OPS(X)
#undef X
};

static json_t *
unknown_op(const char *name)
{
	char known[960] = "";
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		strncat(known, i == 0 ? "" : ", ", sizeof(known) - strlen(known) - 1);
		strncat(known, ops[i].name, sizeof(known) - strlen(known) - 1);
	}
	return control_error("unknown_op", "there is no op \"%.64s\": use one of %s", name, known);
}

/* What is answered from the board and the outbox alone. */
static bool
works_away(control_op *run)
{
	return run == control_status || run == control_top || run == control_node_list;
}

json_t *
ledger_control(struct ledger *l, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "op"));
	if (name == NULL)
		return control_error(
			"bad_request", "a request is an object with a string \"op\", for example {\"op\": \"status\"}");
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (strcmp(ops[i].name, name) == 0)
			return l->away == NULL || works_away(ops[i].run) ? ops[i].run(l, request) : away_refuses();
	return unknown_op(name);
}

/* ---- answers ---- */

json_t *
control_ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

bool
control_error_is(const json_t *error, const char *code)
{
	const char *is = json_string_value(json_object_get(json_object_get(error, "error"), "code"));
	return is != NULL && strcmp(is, code) == 0;
}

json_t *
control_error(const char *code, const char *format, ...)
{
	char message[768];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	json_t *text = json_string(message);
	/* A name cut in the middle of a character is no JSON. */
	if (text == NULL)
		text = json_string("the request has a text that is not valid UTF-8");
	return json_pack("{s:b, s:{s:s, s:o}}", "ok", 0, "error", "code", code, "message", text);
}

json_t *
control_store_failed(struct ledger *l)
{
	return control_error("store_failed",
		"the store can't be written (%s): whether this was done is not known; free disk space or "
		"mend the disk, then ask again with the same id",
		store_trouble(&l->store));
}

void
control_put_nano(json_t *o, const char *name, int64_t nano)
{
	char text[NANO_TEXT_MAX];
	nano_text((struct nano){nano}, text);
	json_object_set_new(o, name, json_string(text));
}

void
control_put_id(json_t *o, const char *name, const char *prefix, uint64_t id)
{
	char text[ID_TEXT_MAX];
	id_text(prefix, id, text);
	json_object_set_new(o, name, json_string(text));
}

void
control_put_time(json_t *o, const char *name, int64_t us)
{
	char text[40];
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;
	if (us == 0 || gmtime_r(&seconds, &tm) == NULL) {
		json_object_set_new(o, name, json_null());
		return;
	}
	size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, sizeof(text) - len, ".%03dZ", (int)(us / 1000 % 1000));
	json_object_set_new(o, name, json_string(text));
}

/* ---- members of requests ---- */

static bool
refuse(json_t **ret_error, json_t *error)
{
	*ret_error = error;
	return false;
}

static bool
has_control_byte(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

bool
control_text(const json_t *request, const struct text_rule *rule, const char **ret, json_t **ret_error)
{
	const json_t *value = json_object_get(request, rule->name);
	bool missing = value == NULL || json_is_null(value);
	if (missing && rule->required)
		return refuse(ret_error, control_error("bad_request", "\"%s\" is missing", rule->name));
	if (missing) {
		*ret = "";
		return true;
	}
	const char *text = json_string_value(value);
	if (text == NULL)
		return refuse(ret_error, control_error("bad_request", "\"%s\" must be a string", rule->name));
	size_t len = json_string_length(value);
	if (len > rule->max || len != strlen(text) || (rule->required && len == 0) || has_control_byte(text))
		return refuse(ret_error,
			control_error("bad_request", "\"%s\" must have %s%zu bytes at most and no control characters",
				rule->name, rule->required ? "1 byte at least, " : "", rule->max));
	*ret = text;
	return true;
}

bool
control_limit(const json_t *request, int64_t *ret, json_t **ret_error)
{
	const json_t *value = json_object_get(request, "limit");
	if (value == NULL || json_is_null(value)) {
		*ret = 100;
		return true;
	}
	json_int_t limit = json_integer_value(value);
	if (!json_is_integer(value) || limit < 1 || limit > 10000)
		return refuse(ret_error, control_error("bad_request", "\"limit\" must be a whole number from 1 to 10000"));
	*ret = limit;
	return true;
}

/* ---- accounts by what people write ---- */

enum sql_step
control_read_account(struct ledger *l, struct query *st, struct account_row *ret)
{
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step;
	*ret = (struct account_row){
		.id = (uint64_t)sql_int(st, 0),
		.kind = (int)sql_int(st, 1),
		.balance_nano = sql_int(st, 2),
		.state = (int)sql_int(st, 3),
		.created_us = sql_int(st, 4),
		.owed_nano = sql_int(st, 6),
	};
	snprintf(ret->name, sizeof(ret->name), "%s", sql_str(st, 5));
	return SQL_ROW;
}

static enum sql_step
find_account(struct ledger *l, const char *text, struct account_row *ret)
{
	uint64_t id;
	struct query *st;
	if (id_parse(ID_ACCOUNT, (struct span){text, strlen(text)}, &id)) {
		st = store_sql(&l->store, SQL_account_by_id);
		sql_bind(st, (int64_t)id);
	} else {
		st = store_sql(&l->store, SQL_account_by_name);
		sql_bind_text(st, 1, text);
	}
	enum sql_step step = control_read_account(l, st, ret);
	sql_reset(st);
	return step;
}

bool
control_account(struct ledger *l, const json_t *request, struct account_row *ret, json_t **ret_error)
{
	return control_account_of(l, request, "account", ret, ret_error);
}

bool
control_account_of(
	struct ledger *l, const json_t *request, const char *member, struct account_row *ret, json_t **ret_error)
{
	const char *text;
	if (!control_text(request, &(struct text_rule){member, 128, true}, &text, ret_error))
		return false;
	enum sql_step step = find_account(l, text, ret);
	if (step == SQL_ROW)
		return true;
	if (step == SQL_FAILED) /* "no such account" would be an answer for good */
		return refuse(ret_error, control_store_failed(l));
	return refuse(ret_error,
		control_error("no_such_account",
			"there is no account \"%s\": `lethe account list` shows all; `lethe account create` makes one", text));
}

bool
control_account_filter(struct ledger *l, const json_t *request, uint64_t *ret, json_t **ret_error)
{
	const json_t *value = json_object_get(request, "account");
	*ret = 0;
	if (value == NULL || json_is_null(value))
		return true;
	struct account_row a;
	if (!control_account(l, request, &a, ret_error))
		return false;
	*ret = a.id;
	return true;
}
