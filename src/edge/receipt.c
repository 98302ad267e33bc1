#include "edge/receipt.h"

#include "edge/question.h"
#include "edge/receipt_inline.h"
#include "ticket/ids.h"
#include "ticket/receipt.h"

/* Behind the request's id. */
static void
add_code_of(const struct exchange *x, struct span id, struct text *t)
{
	static const char digits[] = "0123456789abcdef";
	const struct receipt_ids ids = {x->id, x->account_row, x->key};
	uint8_t code[RECEIPT_CODE_BYTES];
	char hex[2 * RECEIPT_CODE_BYTES];
	receipt_code(x->edge->receipt_key, &ids, code);
	for (size_t i = 0; i < sizeof code; i++) {
		hex[2 * i] = digits[code[i] >> 4];
		hex[2 * i + 1] = digits[code[i] & 15];
	}
	text_span(t, id);
	text_lit(t, ".");
	text_add(t, hex, sizeof hex);
}

void
receipt_add_code(const struct exchange *x, struct text *t)
{
	char id[ID_TEXT_MAX];
	add_code_of(x, (struct span){id, id_text(ID_REQUEST, x->id, id)}, t);
}

void
receipt_head_line(const struct exchange *x, struct span id, struct text *t)
{
	if (!x->held && !x->settled)
		return;
	text_lit(t, RECEIPT_LINE);
	add_code_of(x, id, t);
	text_lit(t, "\r\n");
}

/* ---- GET /v1/receipts/{id} ---- */

static void
none(struct exchange *x)
{
	answer_json(x, 404,
		SPAN("{\"error\":{\"message\":\"There is no receipt of this request. A request of another account has none here, and one that was refused before it "
			 "could cost anything has none at all.\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"no_such_receipt\"}}"));
}

static void
not_yet(struct exchange *x)
{
	answer_json(x, 409,
		SPAN("{\"error\":{\"message\":\"The request is still running; its receipt is there when it has been booked. Try again in a moment.\","
			 "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"receipt_not_yet\"}}"));
}

enum ipc_result
receipt_ask(const struct exchange *x)
{
	struct message_receipt_wanted m = MESSAGE_INIT(RECEIPT_WANTED, message_receipt_wanted);
	m.token = x->id;
	m.request = x->receipt_of;
	m.account = x->account_row;
	return ipc_send(x->edge->ledger.fd, &m, sizeof m, -1);
}

static bool
asks_in(const struct line *l, uint64_t account)
{
	for (const struct exchange *x = l->first; x; x = x->wait_next)
		if (x->account_row == account && x->question == QUESTION_RECEIPT)
			return true;
	return false;
}

/* One at a time: nobody's questions keep others' waiting, and no more stand in line than there are accounts. */
static bool
asks_already(const struct edge *e, uint64_t account)
{
	return asks_in(&e->wait_question, account) || asks_in(&e->wait_receipt, account);
}

void
receipt_asked(struct exchange *x, struct span id)
{
	struct edge *e = x->edge;
	if (!id_parse(ID_REQUEST, id, &x->receipt_of)) {
		none(x);
		return;
	}
	if (asks_already(e, x->account_row)) {
		exchange_end(x, END_RATE_LIMITED);
		return;
	}
	if (!x->id)
		exchange_end(x, END_LEDGER_AWAY);
	else
		question_ask(x, QUESTION_RECEIPT);
}

static void
forget(struct exchange *x)
{
	vault_free_dirty(x->edge->vault, x->carry, x->carry_cap, x->carry_len);
	x->carry = NULL;
	x->carry_cap = x->carry_len = 0;
}

void
receipt_put_back(struct edge *e)
{
	for (struct exchange *x = e->wait_receipt.first; x; x = x->wait_next)
		forget(x);
	question_put_back(e, &e->wait_receipt);
}

/* False: no memory, or not what follows what is there. */
static bool
add(struct exchange *x, const struct message_receipt *m)
{
	if (!x->carry && m->total <= RECEIPT_TEXT_MAX && m->total > 0) {
		x->carry = vault_alloc(x->edge->vault, m->total);
		x->carry_cap = x->carry ? m->total : 0;
	}
	if (!x->carry || m->at != x->carry_len || m->total != x->carry_cap || m->text_bytes > sizeof m->text || m->text_bytes > m->total - m->at)
		return false;
	memcpy(x->carry + m->at, m->text, m->text_bytes);
	x->carry_len += m->text_bytes;
	return true;
}

static struct exchange *
find(const struct line *l, uint64_t token)
{
	struct exchange *x = l->first;
	while (x && x->id != token)
		x = x->wait_next;
	return x;
}

void
receipt_came(struct edge *e, const void *message)
{
	const struct message_receipt *m = message;
	struct exchange *x = find(&e->wait_receipt, m->token), *inlined = x ? NULL : find(&e->wait_inlined, m->token);
	if (inlined)
		receipt_inline_came(inlined, m);
	if (!x)
		return;
	bool more = m->result == RECEIPT_COMES && add(x, m) && x->carry_len < x->carry_cap;
	if (more)
		return;
	exchange_stop_waiting(x);
	if (m->result == RECEIPT_UNKNOWN)
		none(x);
	else if (m->result == RECEIPT_NOT_YET)
		not_yet(x);
	else if (m->result == RECEIPT_COMES && x->carry && x->carry_len == x->carry_cap)
		answer_json(x, 200, (struct span){x->carry, x->carry_len});
	else
		exchange_end(x, END_LEDGER_AWAY);
}
