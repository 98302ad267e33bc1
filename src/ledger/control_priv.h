/*
 * The operations of the control socket and what they share: reading members of requests, writing those of answers, doing an order once.
 * Ledger only; answers are the caller's.
 */
#ifndef LEDGER_CONTROL_PRIV_H
#define LEDGER_CONTROL_PRIV_H

#include "ledger/ledger.h"
#include "ledger/store.h"

enum change_kind { CHANGE_ACCOUNT = 1,
	CHANGE_KEY = 2,
	CHANGE_KEY_REVOKED = 3,
	CHANGE_CREDIT = 4,
	CHANGE_DEBIT = 5,
	CHANGE_PRICE = 6,
	CHANGE_BYOK = 7 };

typedef json_t *control_op(struct ledger *l, const json_t *request);
control_op control_account_create, control_account_list, control_account_show, control_account_limit, control_key_limit, control_key_create, control_key_list,
	control_key_show, control_key_rotate, control_key_revoke, control_key_release, control_credit_add, control_credit_top_up, control_credit_refund, control_credit_grant, control_credit_transfer, control_account_statement,
	control_payment_list, control_grant_list, control_grant_revoke, control_transfer_list, control_voucher_create, control_voucher_redeem, control_voucher_revoke, control_voucher_list,
	control_hold_create, control_account_quota, control_hold_settle, control_hold_release, control_hold_list, control_dispute_open, control_dispute_lost, control_dispute_won, control_dispute_list, control_usage, control_ticket_show, control_receipt_show, control_receipt_keys, control_receipt_growth, control_receipt_code, control_ledger_verify,
	control_reconcile_run, control_reconcile_list, control_reconcile_names, control_proposal_create, control_proposal_accept, control_proposal_reject, control_proposal_list,
	control_price_list, control_price_show, control_provider_list, control_provider_low, control_node_list, control_node_drain, control_node_forget, control_node_share, control_status, control_top, control_byok_public, control_byok_add, control_byok_list, control_byok_remove;
/* Do edges take requests, in a word. */
/* Version and generation of the server that runs. */
void control_put_server(const struct ledger *l, json_t *o);
const char *control_gate(const struct ledger *l);

bool control_error_is(const json_t *error, const char *code);
json_t *control_error(const char *code, const char *format, ...) __attribute__((format(printf, 2, 3)));
json_t *control_store_failed(struct ledger *l);
/* {"ok": true} to be filled. */
json_t *control_ok(void);
void control_put_nano(json_t *o, const char *name, int64_t nano);
void control_put_id(json_t *o, const char *name, const char *prefix, uint64_t id);
/* Name of a model or provider; null when unknown. */
void control_put_name(struct ledger *l, json_t *o, const char *member, enum sql name_by_id, int64_t id);
void control_put_time(json_t *o, const char *name, int64_t us); /* RFC 3339; null for 0 */
void control_put_day(json_t *o, const char *name, int64_t day);
/* The word for it; its number when there is none. */
void control_put_endpoint(json_t *o, int64_t endpoint);
void control_put_tier(json_t *o, int64_t tier);
/* The name in any case. */
must_check bool control_reason_parse(const char *text, int64_t *ret);

/* Text of a member; *ret "" when missing and not required. False with *ret_error. */
struct text_rule {
	const char *name;
	size_t max;
	bool required;
};
must_check bool control_text(
	const json_t *request, const struct text_rule *rule, const char **ret, json_t **ret_error);
must_check bool control_limit(const json_t *request, int64_t *ret, json_t **ret_error);

struct account_row {
	uint64_t id;
	int kind, state;
	int64_t balance_nano, created_us, owed_nano;
	char name[129];
};
/* The next row of a statement that selects accounts. */
must_check enum sql_step control_read_account(struct ledger *l, struct query *st, struct account_row *ret);
/* By id or by name. False with *ret_error. */
must_check bool control_account(
	struct ledger *l, const json_t *request, struct account_row *ret, json_t **ret_error);
must_check bool control_account_of(
	struct ledger *l, const json_t *request, const char *member, struct account_row *ret, json_t **ret_error);
/* The optional filter "account": *ret 0 when missing. */
must_check bool control_account_filter(struct ledger *l, const json_t *request, uint64_t *ret, json_t **ret_error);

/* What an account has, holds and may do now: members of the answer. */
void control_put_limits(struct ledger *l, json_t *o, uint64_t account);

/* operation.c: doing an order once */
enum operation_state { OPERATION_NEW,
	OPERATION_DONE,
	OPERATION_PENDING,
	OPERATION_OTHER,
	OPERATION_FAILED };
enum { CONTENT_BYTES = 32 };
struct operation {
	const char *ref; /* "": the giver chose no id */
	uint8_t content[CONTENT_BYTES];
	uint64_t subject; /* OPERATION_DONE: what came of it; PENDING: the intent */
};
/* Fills content from op's name and the texts that make it what it is. */
void operation_content(struct operation *op, const char *what, const char *const *texts, size_t count);
enum operation_state operation_look_up(struct ledger *l, struct operation *op);
/* Inside the transaction that does it; nothing when ref is "". */
must_check bool operation_record(struct ledger *l, const struct operation *op, uint64_t subject);
json_t *operation_conflict(const struct operation *op);
must_check bool change_record(struct ledger *l, enum change_kind what, uint64_t subject);

/* order.c: inside a batch's transaction. */
enum ordered { ORDER_BOOKED,
	ORDER_KNOWN,
	ORDER_REFUSED,
	ORDER_FAILED };
enum ordered order_book(struct ledger *l, uint64_t intent);

/* provider_show.c: `providers`, of all their keys and targets those that are asked after the others. */
void provider_put_troubles(const struct ledger *l, json_t *o);

#endif
