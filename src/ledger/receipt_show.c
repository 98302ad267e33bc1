/* A receipt as its owner gets it, how the tree grew between two heads, the keys that signed; and whether a code from an answer's head is ours. */
#include "ledger/ledger_priv.h"

#include "ticket/nano.h"

#include <stdio.h>
#include <string.h>

static const char MEANS[] =
	"Proves: this gateway booked this request with these numbers, at this price row, for this cost, as one leaf of its log of receipts and one link of this "
	"account's chain, and signed the log's head; it can show nobody another row for it without being found out. Does not prove: that the provider's count of "
	"tokens is right, what was asked or answered (nothing of it is kept), or that two readers were shown the same log: compare heads for that.";

static json_t *
hash_json(const struct merkle_hash *h)
{
	char hex[2 * MERKLE_BYTES + 1];
	sodium_bin2hex(hex, sizeof(hex), h->at, MERKLE_BYTES);
	return json_string(hex);
}

static json_t *
hex_json(const uint8_t *at, size_t len)
{
	char hex[2 * crypto_sign_BYTES + 1];
	sodium_bin2hex(hex, sizeof(hex), at, len);
	return json_string(hex);
}

/* [name, bytes, value] each, in the order in which they are hashed. */
static json_t *
fields_json(const struct receipt_field *f, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++) {
		char text[24];
		snprintf(text, sizeof(text), "%llu", (unsigned long long)f[i].number);
		json_t *value = f[i].bytes == MERKLE_BYTES ? hash_json(&f[i].hash) : json_string(text);
		json_array_append_new(list, json_pack("[s, i, o]", f[i].name, (int)f[i].bytes, value));
	}
	return list;
}

static json_t *
proof_json(const struct merkle_proof *p)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < p->count; i++)
		json_array_append_new(list, hash_json(&p->hash[i]));
	return list;
}

static bool
public_key(struct ledger *l, int64_t key, uint8_t ret[crypto_sign_PUBLICKEYBYTES])
{
	struct query *st = store_sql(&l->store, SQL_receipt_key_by_id);
	sql_bind(st, key);
	if (sql_step(&l->store, st) != SQL_ROW)
		return false;
	bool sound = sql_len(st, 0) == crypto_sign_PUBLICKEYBYTES;
	if (sound)
		memcpy(ret, sql_blob(st, 0), crypto_sign_PUBLICKEYBYTES);
	sql_reset(st);
	return sound;
}

/* NULL: its key can't be read. */
static json_t *
head_json(struct ledger *l, const struct receipt_batch *b)
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES];
	const struct merkle_head head = {b->first + b->count, b->root};
	char text[RECEIPT_HEAD_TEXT_MAX];
	if (!public_key(l, b->key, public))
		return NULL;
	receipt_head_text(l->receipts.origin, &head, b->time_us, text);
	json_t *o = json_pack("{s:s, s:I, s:o, s:I}", "origin", l->receipts.origin, "size", (json_int_t)head.size, "root", hash_json(&head.root), "time_us",
		(json_int_t)b->time_us);
	control_put_time(o, "time", b->time_us);
	json_object_set_new(o, "text", json_string(text));
	json_object_set_new(o, "key", hex_json(public, sizeof(public)));
	json_object_set_new(o, "signature", hex_json(b->signature, sizeof(b->signature)));
	return o;
}

/* ---- one receipt ---- */

struct found {
	struct ticket_copy ticket;
	int64_t leaf, previous;
	struct receipt_row row;
	struct receipt_batch batch;
};

enum finding { FOUND,
	NOT_THERE,
	WITHOUT, /* booked before there were receipts */
	UNREADABLE };

static enum finding
find(struct ledger *l, uint64_t id, struct found *f)
{
	struct query *st = store_sql(&l->store, SQL_ticket_by_id);
	int at = ticket_sql_leaf_column();
	bool there;
	sql_bind(st, (int64_t)id);
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step == SQL_END ? NOT_THERE : UNREADABLE;
	ticket_of_row(st, &f->ticket);
	f->leaf = sql_int(st, at);
	f->previous = sql_int(st, at + 1);
	f->row = (struct receipt_row){.ticket = &f->ticket, .booking = sql_int(st, 1), .place = (uint64_t)sql_int(st, at + 2)};
	sql_reset(st);
	if (f->leaf < 0)
		return WITHOUT;
	if (f->previous >= 0 && !receipt_leaves(l, (uint64_t)f->previous, 1, &f->row.previous))
		return UNREADABLE;
	return receipt_batch_of(l, (uint64_t)f->leaf, &f->batch, &there) && there ? FOUND : UNREADABLE;
}

static void
put_price(struct ledger *l, json_t *o, struct found *f)
{
	struct receipt_field fields[RECEIPT_FIELDS_MAX];
	const struct price_row *p = price_book_find(&l->prices, f->ticket.facts.price);
	if (p == NULL) {
		json_object_set_new(o, "price", json_null());
		return;
	}
	f->row.price = receipt_price(p, f->batch.shape);
	json_object_set_new(o, "price", fields_json(fields, receipt_price_fields(p, f->batch.shape, fields)));
}

static bool
put_proof(struct ledger *l, json_t *o, const struct found *f)
{
	struct receipt_field fields[RECEIPT_FIELDS_MAX];
	struct merkle_proof proof;
	struct merkle_hash leaf = receipt_leaf(&f->row, f->batch.shape);
	json_t *head = head_json(l, &f->batch);
	if (head == NULL || !merkle_prove_leaf((uint64_t)f->leaf, f->batch.first + f->batch.count, receipt_subtree, l, &proof) ||
		!merkle_leaf_holds(&leaf, (uint64_t)f->leaf, f->batch.first + f->batch.count, &proof, &f->batch.root)) {
		json_decref(head);
		return false;
	}
	json_object_set_new(o, "row", fields_json(fields, receipt_fields(&f->row, f->batch.shape, fields)));
	json_object_set_new(o, "leaf", json_pack("{s:I, s:o}", "number", (json_int_t)f->leaf, "hash", hash_json(&leaf)));
	json_object_set_new(o, "proof", proof_json(&proof));
	json_object_set_new(o, "head", head);
	return true;
}

static json_t *
receipt_json(struct ledger *l, struct found *f)
{
	json_t *o = control_ok();
	const struct ticket_facts *t = &f->ticket.facts;
	json_object_set_new(o, "receipt", json_string("lethe receipt 1"));
	control_put_id(o, "request", ID_REQUEST, f->ticket.id);
	control_put_id(o, "account", ID_ACCOUNT, t->account);
	control_put_name(l, o, "model", SQL_model_by_id, t->model);
	control_put_name(l, o, "provider", SQL_provider_by_id, t->provider);
	control_put_time(o, "started", (int64_t)t->started_us);
	control_put_nano(o, "cost", f->ticket.cost.v);
	json_object_set_new(o, "end_reason", json_string(end_reason_name(t->end_reason)));
	json_object_set_new(o, "means", json_string(MEANS));
	put_price(l, o, f);
	if (put_proof(l, o, f))
		return o;
	json_decref(o);
	return NULL;
}

static const char NO_RECEIPT[] = "no_such_receipt";

/* account: 0, or the only one whose receipt it may be. */
static json_t *
receipt_of(struct ledger *l, uint64_t id, uint64_t account)
{
	struct found f;
	enum finding finding = find(l, id, &f);
	if (finding != UNREADABLE && (finding == NOT_THERE || (account != 0 && f.ticket.facts.account != account)))
		return control_error(NO_RECEIPT, "there is no receipt of this request: it has not been booked, or never was, or is another account's");
	if (finding == WITHOUT)
		return control_error(NO_RECEIPT, "this request was booked before this gateway gave receipts");
	json_t *o = finding == FOUND ? receipt_json(l, &f) : NULL;
	return o != NULL ? o : control_error("store_failed", "the receipt can't be read, or the store was altered: `lethe ledger verify` says which");
}

static bool
request_id(const json_t *request, uint64_t *ret, json_t **ret_error)
{
	const char *text;
	if (!control_text(request, &(struct text_rule){"id", 64, true}, &text, ret_error))
		return false;
	if (id_parse(ID_REQUEST, (struct span){text, strlen(text)}, ret))
		return true;
	*ret_error = control_error("bad_request", "\"id\" must be a request's id (req_…, from the header x-request-id), not \"%s\"", text);
	return false;
}

json_t *
control_receipt_show(struct ledger *l, const json_t *request)
{
	json_t *error;
	uint64_t id;
	if (!request_id(request, &id, &error))
		return error;
	if (l->o.board != NULL && !ledger_drain(l))
		return control_store_failed(l);
	return receipt_of(l, id, 0);
}

/* ---- for edges ---- */

/* Many ask, few receipts a second: each reads a few dozen pages, and the bookings go first. */
enum { RECEIPTS_PER_SECOND = 100,
	RECEIPTS_AT_ONCE = 20 };

static bool
may_ask(struct receipts *r, uint64_t now_ms)
{
	double more = (double)(now_ms - r->tokens_ms) * RECEIPTS_PER_SECOND / 1000;
	r->tokens = r->tokens + more > RECEIPTS_AT_ONCE || r->tokens_ms == 0 ? RECEIPTS_AT_ONCE : r->tokens + more;
	r->tokens_ms = now_ms;
	if (r->tokens < 1)
		return false;
	r->tokens--;
	return true;
}

/* An answer's last byte may be read before its edge has handed the ticket in. */
static bool
is_running(const struct ledger *l, uint64_t id, uint64_t account)
{
	struct ticket_copy t;
	for (uint32_t i = 0; i < l->progress.count; i++)
		if (board_held_copy(l->o.board, i, &t) && t.id == id)
			return t.facts.account == account;
	return false;
}

static const char *
error_code(const json_t *answer)
{
	return json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
}

enum receipt_answer
ledger_receipt(struct ledger *l, uint64_t id, uint64_t account, char **ret)
{
	*ret = NULL;
	if (account == 0 || l->o.board == NULL || l->away != NULL || !may_ask(&l->receipts, clock_monotonic_ms()))
		return RECEIPT_BUSY;
	json_t *o = receipt_of(l, id, account);
	const char *code = error_code(o);
	bool runs = code != NULL && strcmp(code, NO_RECEIPT) == 0 && is_running(l, id, account);
	if (code != NULL && !runs && strcmp(code, NO_RECEIPT) == 0 && ledger_drain(l)) { /* it may be handed in and not booked yet */
		json_decref(o);
		o = receipt_of(l, id, account);
		code = error_code(o);
	}
	enum receipt_answer answer = RECEIPT_BUSY;
	if (code == NULL)
		answer = RECEIPT_HERE;
	else if (strcmp(code, NO_RECEIPT) == 0)
		answer = runs ? RECEIPT_RUNNING : RECEIPT_NONE;
	json_object_del(o, "ok");
	*ret = answer == RECEIPT_HERE ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return answer == RECEIPT_HERE && *ret == NULL ? RECEIPT_BUSY : answer;
}

/* ---- keys, growth, codes ---- */

json_t *
control_receipt_keys(struct ledger *l, const json_t *request)
{
	json_t *o = control_ok(), *list = json_array();
	struct query *st = store_sql(&l->store, SQL_receipt_keys);
	enum sql_step step;
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		bool sound = sql_len(st, 1) == crypto_sign_PUBLICKEYBYTES;
		json_t *row = json_pack("{s:I, s:o, s:I, s:b}", "number", (json_int_t)sql_int(st, 0), "key",
			sound ? hex_json(sql_blob(st, 1), crypto_sign_PUBLICKEYBYTES) : json_null(), "from_leaf", (json_int_t)sql_int(st, 3),
			"signs", sql_int(st, 0) == l->receipts.key);
		control_put_time(row, "since", sql_int(st, 2));
		json_array_append_new(list, row);
	}
	json_object_set_new(o, "keys", list);
	json_object_set_new(o, "origin", json_string(l->receipts.origin));
	json_object_set_new(o, "size", json_integer((json_int_t)l->receipts.edge.size));
	if (step == SQL_END)
		return o;
	json_decref(o);
	return control_store_failed(l);
}

/* A number of leaves at which a head was signed; 0: the newest. */
static bool
head_at(struct ledger *l, uint64_t size, struct receipt_batch *ret, json_t **ret_error)
{
	bool there;
	if (!receipt_batch_of(l, size == 0 ? INT64_MAX : size - 1, ret, &there)) {
		*ret_error = control_store_failed(l);
		return false;
	}
	if (there && (size == 0 || ret->first + ret->count == size))
		return true;
	*ret_error = control_error("no_such_head", "no head was signed at %llu leaves: take the size of a receipt's head", (unsigned long long)size);
	return false;
}

static bool
size_of(const json_t *request, const char *member, uint64_t *ret, json_t **ret_error)
{
	const json_t *v = json_object_get(request, member);
	*ret = v != NULL && json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
	if (v == NULL || *ret != 0)
		return true;
	*ret_error = control_error("bad_request", "\"%s\" must be the size of a head: a whole number above 0", member);
	return false;
}

json_t *
control_receipt_growth(struct ledger *l, const json_t *request)
{
	json_t *error, *from_head, *to_head;
	uint64_t from, to;
	struct receipt_batch a, b;
	struct merkle_proof proof;
	if (!size_of(request, "from", &from, &error) || !size_of(request, "to", &to, &error) || !head_at(l, from, &a, &error) || !head_at(l, to, &b, &error))
		return error;
	if (a.first > b.first)
		return control_error("bad_request", "\"from\" must be the smaller head");
	if (!merkle_prove_growth(a.first + a.count, b.first + b.count, receipt_subtree, l, &proof))
		return control_store_failed(l);
	from_head = head_json(l, &a);
	to_head = head_json(l, &b);
	json_t *o = control_ok();
	json_object_set_new(o, "growth", json_string("lethe receipt growth 1"));
	json_object_set_new(o, "from", from_head);
	json_object_set_new(o, "to", to_head);
	json_object_set_new(o, "proof", proof_json(&proof));
	return o;
}

/* req_….32 digits, as it stood in lethe-receipt. */
json_t *
control_receipt_code(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *text;
	if (!control_text(request, &(struct text_rule){"code", 96, true}, &text, &error))
		return error;
	const char *dot = strchr(text, '.');
	struct receipt_ids ids = {0};
	uint8_t given[RECEIPT_CODE_BYTES];
	size_t len = 0;
	if (dot == NULL || !id_parse(ID_REQUEST, (struct span){text, (size_t)(dot - text)}, &ids.request) ||
		sodium_hex2bin(given, sizeof(given), dot + 1, strlen(dot + 1), NULL, &len, NULL) != 0 || len != sizeof(given))
		return control_error("bad_request", "\"code\" must be what the header lethe-receipt had: req_….32 hexadecimal digits");
	if (l->o.board != NULL && !ledger_drain(l))
		return control_store_failed(l);
	struct found f;
	enum finding finding = find(l, ids.request, &f);
	if (finding == UNREADABLE)
		return control_store_failed(l);
	if (finding == NOT_THERE)
		return control_error(NO_RECEIPT, "request %.*s is not in the ledger, so which key it had can't be told", (int)(dot - text), text);
	ids.account = f.ticket.facts.account;
	ids.key = f.ticket.facts.key;
	json_t *o = control_ok();
	control_put_id(o, "request", ID_REQUEST, ids.request);
	control_put_id(o, "account", ID_ACCOUNT, ids.account);
	control_put_id(o, "key", ID_KEY, ids.key);
	json_object_set_new(o, "ours", json_boolean(receipt_code_is_ours(l->o.receipt_seed, &ids, given)));
	return o;
}
